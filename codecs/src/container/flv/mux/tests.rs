use proptest::prelude::*;

use super::*;
use crate::access_unit::{Timestamp, TrackId};
use crate::codec::CODECS;
use crate::container::flv::demux::{Demuxer, parse_tag};
use crate::container::flv::header::file_header;

const KEY: UnitKind = UnitKind::Frame { random_access: true };
const INTER: UnitKind = UnitKind::Frame { random_access: false };

fn unit(codec: CodecId, kind: UnitKind, payload: &'static [u8]) -> AccessUnit {
    AccessUnit {
        track: TrackId { kind: codec.kind(), index: 0 },
        kind,
        codec,
        dts: Timestamp::from_millis(1000),
        pts_offset: 0,
        payload: Bytes::from_static(payload),
        flv: FlvBody::Build,
    }
}

fn body(unit: &AccessUnit) -> Vec<u8> {
    let body = tag_body(unit).expect("FLV can carry it");
    let bytes = [&body.header[..], &body.payload].concat();
    assert_eq!(bytes.len(), body.len());
    bytes
}

#[test]
fn a_verbatim_body_goes_out_unchanged_and_a_covered_one_not_at_all() {
    let mut unit = unit(CodecId::H264, KEY, b"payload");
    unit.flv = FlvBody::Verbatim(Bytes::from_static(b"\x17\x01\x00\x00\x00payload"));
    let body = tag_body(&unit).expect("has a body");
    assert_eq!(body.header, Header::new());
    assert_eq!(&body.payload[..], b"\x17\x01\x00\x00\x00payload");
    unit.flv = FlvBody::Covered;
    assert_eq!(tag_body(&unit), None);
    assert_eq!(build_body(&unit).expect("by itself").len(), 12);
}

#[test]
fn h264_and_aac_get_the_bytes_that_ffmpeg_writes() {
    // The fronts of tags of tests/data/h264_aac.flv.
    let config = unit(CodecId::H264, UnitKind::Config, b"\x01\x64");
    assert_eq!(body(&config), b"\x17\x00\x00\x00\x00\x01\x64");
    let mut frame = unit(CodecId::H264, INTER, b"\x00\x00");
    frame.pts_offset = 160 * 90;
    assert_eq!(body(&frame), b"\x27\x01\x00\x00\xa0\x00\x00");
    let end = unit(CodecId::H264, UnitKind::EndOfSequence, b"");
    assert_eq!(body(&end), b"\x17\x02\x00\x00\x00");
    assert_eq!(body(&unit(CodecId::Aac, UnitKind::Config, b"\x12\x10")), b"\xaf\x00\x12\x10");
    assert_eq!(body(&unit(CodecId::Aac, KEY, b"\x21")), b"\xaf\x01\x21");
}

#[test]
fn a_capture_of_ffmpeg_rebuilt_from_its_units_is_the_same_file() {
    let capture = include_bytes!("../../../../tests/data/h264_aac.flv");
    let mut demuxer = Demuxer::new(1 << 20);
    demuxer.push(capture);
    let mut rebuilt = file_header(true, true).to_vec();
    while let Some(tag) = demuxer.next_tag().expect("well formed") {
        for unit in parse_tag(tag.tag_type, tag.timestamp_ms.into(), tag.body).expect("well formed")
        {
            let body = build_body(&unit).expect("FLV can carry it");
            let timestamp_ms = unit.dts.as_millis() as u32;
            write_tag(body.tag_type, timestamp_ms, &body.header, &body.payload, &mut rebuilt);
        }
    }
    assert_eq!(rebuilt, capture);
}

#[test]
fn mp3_g711_and_speex_get_the_first_byte_that_ffmpeg_writes() {
    // From ffmpeg -f lavfi -i sine x.flv with -c:a libmp3lame -ar 22050 -ac 1, pcm_mulaw -ar 8000
    // -ac 1 and libspeex -ar 16000 -ac 1.
    assert_eq!(body(&unit(CodecId::Mp3, KEY, b"\xff\xf3\x40\xc4"))[0], 0x2a);
    assert_eq!(body(&unit(CodecId::G711U, KEY, b"\xe5")), b"\x82\xe5");
    assert_eq!(body(&unit(CodecId::G711A, KEY, b"\xe5")), b"\x72\xe5");
    assert_eq!(body(&unit(CodecId::Speex, KEY, b"\x30")), b"\xb6\x30");
    // 48 kHz stereo, and 8 kHz mono by its own format number.
    assert_eq!(body(&unit(CodecId::Mp3, KEY, b"\xff\xfb\x54\x00"))[0], 0x2f);
    assert_eq!(body(&unit(CodecId::Mp3, KEY, b"\xff\xe3\x48\xc4"))[0], 0xe2);
}

#[test]
fn newer_codecs_get_a_fourcc() {
    assert_eq!(body(&unit(CodecId::H265, UnitKind::Config, b"c")), b"\x90hvc1c");
    assert_eq!(body(&unit(CodecId::H265, KEY, b"f")), b"\x93hvc1f", "CodedFramesX");
    let mut frame = unit(CodecId::H265, INTER, b"f");
    frame.pts_offset = -40 * 90;
    assert_eq!(body(&frame), b"\xa1hvc1\xff\xff\xd8f", "CodedFrames");
    assert_eq!(body(&unit(CodecId::Av1, INTER, b"f")), b"\xa1av01f");
    assert_eq!(body(&unit(CodecId::Opus, UnitKind::Config, b"c")), b"\x90Opusc");
    assert_eq!(body(&unit(CodecId::Flac, KEY, b"f")), b"\x91fLaCf");
    assert_eq!(body(&unit(CodecId::Eac3, UnitKind::EndOfSequence, b"")), b"\x92ec-3");
}

#[test]
fn further_tracks_are_written_as_one_track_multitrack() {
    let mut video = unit(CodecId::H264, KEY, b"f");
    video.track.index = 3;
    video.pts_offset = 90;
    assert_eq!(body(&video), b"\x96\x01avc1\x03\x00\x00\x01f");
    let mut audio = unit(CodecId::Aac, UnitKind::Config, b"c");
    audio.track.index = 1;
    assert_eq!(body(&audio), b"\x95\x00mp4a\x01c");
}

#[test]
fn what_flv_cannot_carry_has_no_body() {
    for codec in [CodecId::PcmLe, CodecId::PcmNative, CodecId::Adpcm, CodecId::Nellymoser] {
        assert_eq!(tag_body(&unit(codec, KEY, b"f")), None, "the rate is not in the unit");
    }
    assert_eq!(tag_body(&unit(CodecId::H264, UnitKind::Opaque, b"f")), None);
    assert_eq!(tag_body(&unit(CodecId::Aac, UnitKind::EndOfSequence, b"")), None);
    assert_eq!(tag_body(&unit(CodecId::Mp3, UnitKind::Config, b"c")), None);
    let mut second_track = unit(CodecId::Vp6, KEY, b"f");
    second_track.track.index = 1;
    assert_eq!(tag_body(&second_track), None);
}

#[test]
fn a_time_between_milliseconds_keeps_the_presentation_time_rounded_down() {
    let mut frame = unit(CodecId::H264, KEY, b"");
    frame.dts = Timestamp(89);
    frame.pts_offset = 1;
    assert_eq!(body(&frame), b"\x17\x01\x00\x00\x01");
}

#[test]
fn a_composition_time_beyond_24_bits_is_held_at_the_limit() {
    let mut frame = unit(CodecId::H264, KEY, b"");
    frame.dts = Timestamp(i64::from(i32::MAX) * -90);
    frame.pts_offset = i32::MAX;
    assert_eq!(body(&frame), b"\x17\x01\x7f\xff\xff");
}

#[test]
fn a_tag_is_written_with_header_body_and_previous_tag_size() {
    let mut out = Vec::new();
    let size = write_tag(TagType::Audio, 0x0102_0304, b"\xaf\x01", b"abc", &mut out);
    let expected = b"\x08\x00\x00\x05\x02\x03\x04\x01\x00\x00\x00\xaf\x01abc\x00\x00\x00\x10";
    assert_eq!(out, expected);
    assert_eq!(size, out.len());
}

#[test]
fn a_body_that_is_too_long_is_not_written() {
    let mut out = Vec::new();
    let payload = vec![0; 0xFF_FFFF];
    assert_eq!(write_tag(TagType::Video, 0, b"\x17", &payload, &mut out), 0);
    assert!(out.is_empty());
}

const KINDS: [UnitKind; 8] = [
    UnitKind::Config,
    KEY,
    INTER,
    UnitKind::EndOfSequence,
    UnitKind::Metadata,
    UnitKind::Data,
    UnitKind::TrackMetadata,
    UnitKind::Opaque,
];

fn any_unit() -> impl Strategy<Value = AccessUnit> {
    let index = prop_oneof![Just(0u8), any::<u8>()];
    let composition_time_ms = -(1i32 << 23)..1 << 23;
    let payload = proptest::collection::vec(any::<u8>(), 0..40);
    (0..CODECS.len(), 0..KINDS.len(), index, composition_time_ms, payload).prop_map(
        |(codec, kind, index, composition_time_ms, payload)| {
            let mut unit = unit(CODECS[codec].id, KINDS[kind], b"");
            unit.track.index = index;
            unit.payload = Bytes::from(payload);
            let has_composition_time =
                matches!(unit.codec, CodecId::H264 | CodecId::H265 | CodecId::H266);
            if has_composition_time && matches!(unit.kind, UnitKind::Frame { .. }) {
                unit.pts_offset = composition_time_ms * 90;
            }
            unit
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn what_is_muxed_is_demuxed_to_the_same_unit(unit in any_unit()) {
        let Some(body) = tag_body(&unit).filter(|body| !body.is_empty()) else {
            return Ok(());
        };
        let bytes = Bytes::from([&body.header[..], &body.payload].concat());
        let units = parse_tag(body.tag_type, 1000, bytes.clone()).expect("our own bytes");
        prop_assert_eq!(units.len(), 1);
        let back = &units[0];
        prop_assert_eq!(&back.flv, &FlvBody::Verbatim(bytes));
        prop_assert_eq!(back.track.kind, unit.track.kind);
        if unit.track.kind == TrackKind::Data {
            return Ok(());
        }
        prop_assert_eq!((back.track, back.codec), (unit.track, unit.codec));
        prop_assert_eq!((back.dts, back.pts_offset), (unit.dts, unit.pts_offset));
        // FLV cannot say that a sound is no random access point, nor does its end of sequence have
        // data.
        let is_frame = matches!(unit.kind, UnitKind::Frame { .. });
        if !(unit.track.kind == TrackKind::Audio && is_frame) {
            prop_assert_eq!(back.kind, unit.kind);
        }
        if unit.kind != UnitKind::EndOfSequence {
            prop_assert_eq!(&back.payload, &unit.payload);
        }
    }

    #[test]
    fn no_body_makes_the_demuxer_panic_and_what_it_accepts_goes_out_unchanged(
        tag_type in prop_oneof![Just(TagType::Audio), Just(TagType::Video), Just(TagType::Script)],
        bytes in proptest::collection::vec(any::<u8>(), 1..60),
    ) {
        let bytes = Bytes::from(bytes);
        if let Ok(units) = parse_tag(tag_type, 0, bytes.clone()) {
            let bodies: Vec<_> = units.iter().filter_map(tag_body).collect();
            prop_assert_eq!(bodies.len(), 1);
            prop_assert_eq!(&bodies[0].payload, &bytes);
        }
    }
}
