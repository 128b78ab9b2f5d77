use bytes::Bytes;

use super::*;

fn parse(tag_type: TagType, body: &[u8]) -> Units {
    parse_tag(tag_type, 1000, Bytes::copy_from_slice(body)).expect("well formed")
}

fn one(tag_type: TagType, body: &[u8]) -> AccessUnit {
    let mut units = parse(tag_type, body);
    assert_eq!(units.len(), 1);
    let unit = units.remove(0);
    assert_eq!(unit.flv, FlvBody::Verbatim(Bytes::copy_from_slice(body)));
    assert_eq!(unit.dts, Timestamp::from_millis(1000));
    unit
}

fn error_of(tag_type: TagType, body: &[u8]) -> Error {
    parse_tag(tag_type, 0, Bytes::copy_from_slice(body)).expect_err("malformed")
}

const KEY: UnitKind = UnitKind::Frame { random_access: true };
const INTER: UnitKind = UnitKind::Frame { random_access: false };

/// E-RTMP video bytes in front of a FourCC: key frame and this packet type.
fn ex_video(packet_type: u8, rest: &[&[u8]]) -> Vec<u8> {
    [&[0x90 | packet_type][..], &rest.concat()].concat()
}

fn ex_audio(packet_type: u8, rest: &[&[u8]]) -> Vec<u8> {
    [&[0x90 | packet_type][..], &rest.concat()].concat()
}

#[test]
fn avc_bodies_of_ffmpeg_become_config_frame_and_end_of_sequence() {
    // Fronts of tags of tests/data/h264_aac.flv.
    let config = one(TagType::Video, b"\x17\x00\x00\x00\x00\x01\x64\x00\x0c");
    assert_eq!((config.kind, config.codec), (UnitKind::Config, CodecId::H264));
    assert_eq!((config.track, &config.payload[..]), (TrackId::VIDEO, &b"\x01\x64\x00\x0c"[..]));
    let key = one(TagType::Video, b"\x17\x01\x00\x00\x50\x00\x00\x02\xba");
    assert_eq!((key.kind, key.pts_offset), (KEY, 80 * 90));
    assert_eq!(&key.payload[..], b"\x00\x00\x02\xba");
    assert_eq!(one(TagType::Video, b"\x27\x01\x00\x00\x28\x00").kind, INTER);
    assert_eq!(one(TagType::Video, b"\x17\x02\x00\x00\x00").kind, UnitKind::EndOfSequence);
    assert_eq!(one(TagType::Video, b"\x17\x02").kind, UnitKind::EndOfSequence);
}

#[test]
fn a_negative_composition_time_is_sign_extended() {
    let unit = one(TagType::Video, b"\x27\x01\xff\xff\xd8\x00");
    assert_eq!(unit.pts_offset, -40 * 90);
    assert_eq!(unit.pts(), Timestamp::from_millis(960));
}

#[test]
fn the_unofficial_hevc_id_has_the_layout_of_avc() {
    let config = one(TagType::Video, b"\x1c\x00\x00\x00\x00\x01");
    assert_eq!((config.kind, config.codec), (UnitKind::Config, CodecId::H265));
    assert_eq!(one(TagType::Video, b"\x1c\x01\x00\x00\x01\xaa").pts_offset, 90);
}

#[test]
fn old_video_codecs_have_their_payload_behind_the_first_byte() {
    let codecs = [
        (1, CodecId::Jpeg),
        (2, CodecId::SorensonH263),
        (3, CodecId::ScreenVideo),
        (4, CodecId::Vp6),
        (5, CodecId::Vp6Alpha),
        (6, CodecId::ScreenVideo2),
    ];
    for (id, codec) in codecs {
        let key = one(TagType::Video, &[0x10 | id, 1, 2]);
        assert_eq!((key.codec, key.kind, &key.payload[..]), (codec, KEY, &[1, 2][..]));
        assert_eq!(one(TagType::Video, &[0x20 | id]).kind, INTER);
        assert_eq!(one(TagType::Video, &[0x30 | id]).kind, INTER);
        assert_eq!(one(TagType::Video, &[0x40 | id]).kind, KEY, "generated key frame");
    }
}

#[test]
fn video_commands_and_unknown_codecs_are_opaque() {
    let opaque: [&[u8]; 4] = [b"\x57\x00", b"\x1e\x01\x02", b"\x17\x03\x00\x00\x00", b"\x52\x01"];
    for body in opaque {
        let unit = one(TagType::Video, body);
        assert_eq!((unit.kind, &unit.payload[..]), (UnitKind::Opaque, body));
    }
}

#[test]
fn aac_bodies_become_config_and_frames() {
    let config = one(TagType::Audio, b"\xaf\x00\x12\x10\x56\xe5\x00");
    assert_eq!((config.kind, config.codec), (UnitKind::Config, CodecId::Aac));
    assert_eq!((config.track, &config.payload[..]), (TrackId::AUDIO, &b"\x12\x10\x56\xe5\x00"[..]));
    let frame = one(TagType::Audio, b"\xaf\x01\x21\x25");
    assert_eq!((frame.kind, &frame.payload[..]), (KEY, &b"\x21\x25"[..]));
    assert_eq!(one(TagType::Audio, b"\xaf\x02\x21").kind, UnitKind::Opaque);
}

#[test]
fn other_legacy_sounds_have_their_payload_behind_the_first_byte() {
    let codecs = [
        (0, CodecId::PcmNative),
        (1, CodecId::Adpcm),
        (2, CodecId::Mp3),
        (3, CodecId::PcmLe),
        (4, CodecId::Nellymoser),
        (5, CodecId::Nellymoser),
        (6, CodecId::Nellymoser),
        (7, CodecId::G711A),
        (8, CodecId::G711U),
        (11, CodecId::Speex),
        (14, CodecId::Mp3),
    ];
    for (format, codec) in codecs {
        let unit = one(TagType::Audio, &[format << 4 | 0x0F, 1, 2]);
        assert_eq!((unit.codec, unit.kind, &unit.payload[..]), (codec, KEY, &[1, 2][..]));
    }
    for format in [12, 13, 15] {
        assert_eq!(one(TagType::Audio, &[format << 4, 1]).kind, UnitKind::Opaque);
    }
}

#[test]
fn on_meta_data_is_metadata_and_anything_else_is_data() {
    let metadata = one(TagType::Script, b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09");
    assert_eq!((metadata.kind, metadata.track), (UnitKind::Metadata, TrackId::DATA));
    assert_eq!(metadata.codec, CodecId::Amf0);
    let data: [&[u8]; 4] =
        [b"\x02\x00\x0bonTextData\x05", b"\x02\x00\x0aonMeta", b"\x00", b"\x02\x00\x0aonMetaDat4"];
    for body in data {
        let unit = one(TagType::Script, body);
        assert_eq!((unit.kind, &unit.payload[..]), (UnitKind::Data, body));
    }
}

#[test]
fn set_data_frame_is_taken_off() {
    let inner = &b"\x02\x00\x0aonMetaData\x05"[..];
    let body = [&b"\x02\x00\x0d@setDataFrame"[..], inner].concat();
    let units = parse(TagType::Script, &body);
    assert_eq!(units[0].kind, UnitKind::Metadata);
    assert_eq!(units[0].flv, FlvBody::Verbatim(Bytes::from_static(inner)));
    let alone = one(TagType::Script, b"\x02\x00\x0d@setDataFrame");
    assert_eq!(alone.kind, UnitKind::Data, "nothing behind it to take");
}

#[test]
fn an_empty_body_has_no_unit() {
    for tag_type in [TagType::Audio, TagType::Video, TagType::Script] {
        assert!(parse(tag_type, b"").is_empty());
    }
}

#[test]
fn enhanced_video_packets_become_config_frames_and_end_of_sequence() {
    let fourccs: [(&[u8; 4], CodecId); 6] = [
        (b"avc1", CodecId::H264),
        (b"hvc1", CodecId::H265),
        (b"vvc1", CodecId::H266),
        (b"av01", CodecId::Av1),
        (b"vp08", CodecId::Vp8),
        (b"vp09", CodecId::Vp9),
    ];
    for (fourcc, codec) in fourccs {
        let config = one(TagType::Video, &ex_video(0, &[fourcc, b"cfg"]));
        assert_eq!((config.kind, config.codec), (UnitKind::Config, codec));
        assert_eq!(&config.payload[..], b"cfg");
        let has_time = matches!(codec, CodecId::H264 | CodecId::H265 | CodecId::H266);
        let frame = one(TagType::Video, &ex_video(1, &[fourcc, b"\xff\xff\xfeabc"]));
        assert_eq!(frame.kind, KEY);
        assert_eq!(frame.pts_offset, if has_time { -180 } else { 0 });
        assert_eq!(frame.payload.len(), if has_time { 3 } else { 6 });
        let frame = one(TagType::Video, &ex_video(3, &[fourcc, b"abc"]));
        assert_eq!((frame.kind, frame.pts_offset, &frame.payload[..]), (KEY, 0, &b"abc"[..]));
        let end = one(TagType::Video, &ex_video(2, &[fourcc]));
        assert_eq!(end.kind, UnitKind::EndOfSequence);
    }
    let inter = one(TagType::Video, b"\xa3hvc1abc");
    assert_eq!(inter.kind, INTER);
}

#[test]
fn enhanced_audio_packets_become_config_frames_and_end_of_sequence() {
    let fourccs: [(&[u8; 4], CodecId); 6] = [
        (b"mp4a", CodecId::Aac),
        (b"Opus", CodecId::Opus),
        (b"fLaC", CodecId::Flac),
        (b"ac-3", CodecId::Ac3),
        (b"ec-3", CodecId::Eac3),
        (b".mp3", CodecId::Mp3),
    ];
    for (fourcc, codec) in fourccs {
        for (packet_type, kind) in [(0, UnitKind::Config), (1, KEY), (2, UnitKind::EndOfSequence)] {
            let unit = one(TagType::Audio, &ex_audio(packet_type, &[fourcc, b"abc"]));
            assert_eq!((unit.kind, unit.codec, &unit.payload[..]), (kind, codec, &b"abc"[..]));
        }
    }
}

#[test]
fn track_metadata_is_sticky_even_with_a_codec_that_is_not_known() {
    for body in
        [ex_video(4, &[b"hvc1", b"\x02\x00\x09colorInfo"]), ex_video(4, &[b"xxxx", b"\x02"])]
    {
        let unit = one(TagType::Video, &body);
        assert_eq!(unit.kind, UnitKind::TrackMetadata);
        assert!(unit.is_sticky());
    }
    let channels = one(TagType::Audio, &ex_audio(4, &[b"mp4a", b"\x01\x06\x00\x00\x00\x3f"]));
    assert_eq!(channels.kind, UnitKind::TrackMetadata);
    assert!(!one(TagType::Audio, &ex_audio(1, &[b"mp4a"])).is_sticky());
}

#[test]
fn the_frame_type_of_a_metadata_packet_is_ignored_and_a_command_is_opaque() {
    assert_eq!(one(TagType::Video, b"\xd4hvc1\x02").kind, UnitKind::TrackMetadata);
    assert_eq!(one(TagType::Video, b"\xd1\x00").kind, UnitKind::Opaque);
}

#[test]
fn unknown_fourccs_and_packet_types_are_opaque() {
    assert_eq!(one(TagType::Video, &ex_video(1, &[b"xxxx", b"abc"])).kind, UnitKind::Opaque);
    assert_eq!(one(TagType::Video, &ex_video(9, &[b"hvc1", b"abc"])).kind, UnitKind::Opaque);
    assert_eq!(one(TagType::Audio, &ex_audio(9, &[b"mp4a", b"abc"])).kind, UnitKind::Opaque);
    let audio_in_video = one(TagType::Video, &ex_video(1, &[b"mp4a", b"abc"]));
    assert_eq!((audio_in_video.kind, audio_in_video.codec), (UnitKind::Opaque, CodecId::Unknown));
}

#[test]
fn an_av1_descriptor_of_mpeg_2_ts_is_the_record_that_it_contains() {
    let unit = one(TagType::Video, &ex_video(5, &[b"av01", b"\x80\x04\x81\x01\x0c\x00"]));
    assert_eq!((unit.kind, &unit.payload[..]), (UnitKind::Config, &b"\x81\x01\x0c\x00"[..]));
    for broken in [&b"\x80\x04\x81\x01\x0c"[..], b"\x81\x04\x81\x01\x0c\x00", b""] {
        let unit = one(TagType::Video, &ex_video(5, &[b"av01", broken]));
        assert_eq!(unit.kind, UnitKind::Opaque);
    }
    assert_eq!(one(TagType::Video, &ex_video(5, &[b"hvc1", b"abcdef"])).kind, UnitKind::Opaque);
}

#[test]
fn a_timestamp_offset_in_nanoseconds_moves_the_presentation_time_only() {
    // ModEx, 3 bytes (size - 1 = 2): 500,000 ns = 45 ticks; type 0, then CodedFrames, 1 ms.
    let body = ex_video(7, &[b"\x02\x07\xa1\x20\x01", b"hvc1", b"\x00\x00\x01", b"abc"]);
    let unit = one(TagType::Video, &body);
    assert_eq!((unit.kind, unit.pts_offset), (KEY, 90 + 45));
    let body = ex_audio(7, &[b"\x02\x07\xa1\x20\x01", b"Opus", b"abc"]);
    assert_eq!(one(TagType::Audio, &body).pts_offset, 45);
    let config = ex_video(7, &[b"\x02\x07\xa1\x20\x00", b"hvc1", b"abc"]);
    assert_eq!(one(TagType::Video, &config).pts_offset, 0, "only frames are presented");
}

#[test]
fn several_modifiers_of_both_size_forms_are_passed_over() {
    let long = [&b"\xff\x01\x00"[..], &[0xEE; 257], b"\xf7"].concat();
    let body = ex_video(7, &[b"\x00\xaa\x57", &long, b"\x02\x00\x2b\x67\x03", b"av01", b"abc"]);
    let unit = one(TagType::Video, &body);
    assert_eq!((unit.kind, unit.codec, &unit.payload[..]), (KEY, CodecId::Av1, &b"abc"[..]));
    assert_eq!(unit.pts_offset, 0, "11,111 ns is less than one tick");
}

#[test]
fn one_track_carries_its_track_id() {
    let unit = one(TagType::Video, &ex_video(6, &[b"\x01", b"hvc1", b"\x02", b"\x00\x00\x01abc"]));
    assert_eq!(unit.track, TrackId { kind: TrackKind::Video, index: 2 });
    assert_eq!((unit.kind, unit.pts_offset, &unit.payload[..]), (KEY, 90, &b"abc"[..]));
    let unit = one(TagType::Audio, &ex_audio(5, &[b"\x00", b"mp4a", b"\x07", b"cfg"]));
    assert_eq!((unit.track.index, unit.kind), (7, UnitKind::Config));
}

#[test]
fn many_tracks_share_one_body_that_the_first_carries() {
    let body = ex_video(6, &[b"\x13", b"av01", b"\x00\x00\x00\x02ab", b"\x01\x00\x00\x01c"]);
    let units = parse(TagType::Video, &body);
    let seen: Vec<_> = units.iter().map(|unit| (unit.track.index, &unit.payload[..])).collect();
    assert_eq!(seen, [(0, &b"ab"[..]), (1, &b"c"[..])]);
    assert_eq!(units[0].flv, FlvBody::Verbatim(Bytes::from(body)));
    assert_eq!(units[1].flv, FlvBody::Covered);
}

#[test]
fn many_tracks_of_many_codecs_have_a_fourcc_each() {
    let tracks: [&[u8]; 4] =
        [b"\x21", b"Opus\x00\x00\x00\x02ab", b"mp4a\x01\x00\x00\x01c", b"xxxx\x02\x00\x00\x00"];
    let units = parse(TagType::Audio, &ex_audio(5, &tracks));
    let seen: Vec<_> = units.iter().map(|unit| (unit.codec, unit.kind)).collect();
    let expected =
        [(CodecId::Opus, KEY), (CodecId::Aac, KEY), (CodecId::Unknown, UnitKind::Opaque)];
    assert_eq!(seen, expected);
}

#[test]
fn multitrack_framing_that_is_not_known_is_opaque() {
    let bodies = [
        ex_video(6, &[b"\x31", b"hvc1"]),
        ex_video(6, &[b"\x06", b"hvc1\x00"]),
        ex_video(6, &[b"\x07", b"hvc1\x00"]),
        ex_video(6, &[b"\x11", b"hvc1"]),
    ];
    for body in bodies {
        let unit = one(TagType::Video, &body);
        assert_eq!((unit.kind, &unit.payload[..]), (UnitKind::Opaque, &body[..]));
    }
}

#[test]
fn more_tracks_than_track_ids_are_a_violation() {
    let tracks = |count| ex_audio(5, &[b"\x11", b"Opus", &[0; 4].repeat(count)]);
    assert_eq!(parse(TagType::Audio, &tracks(256)).len(), 256);
    assert!(matches!(error_of(TagType::Audio, &tracks(257)), Error::Violation(_)));
}

#[test]
fn a_body_cut_inside_a_field_says_where_and_what() {
    let malformed = |at, what| Error::Malformed { at, what };
    let cut: [(TagType, &[u8], Error); 9] = [
        (TagType::Video, b"\x17", malformed(1, "AVCPacketType")),
        (TagType::Video, b"\x17\x01\x00", malformed(3, "CompositionTime")),
        (TagType::Audio, b"\xaf", malformed(1, "AACPacketType")),
        (TagType::Video, b"\x91hvc", malformed(4, "FourCC")),
        (TagType::Video, b"\x91hvc1\x00", malformed(1, "compositionTimeOffset")),
        (TagType::Video, b"\x97\x02\x00", malformed(3, "modExData")),
        (TagType::Video, b"\x97\x00\x00", malformed(3, "packet type after ModEx")),
        (TagType::Video, b"\x96\x01hvc1", malformed(6, "trackId")),
        (TagType::Video, b"\x96\x11hvc1\x00\x00\x00\x02a", malformed(11, "track data")),
    ];
    for (tag_type, body, error) in cut {
        assert_eq!(error_of(tag_type, body), error, "{body:x?}");
    }
}

#[test]
fn payloads_are_slices_of_the_body() {
    let body = Bytes::from(vec![0x17, 1, 0, 0, 0, 9, 9, 9]);
    let units = parse_tag(TagType::Video, 0, body.clone()).expect("well formed");
    assert_eq!(units[0].payload.as_ptr(), body[5..].as_ptr());
}
