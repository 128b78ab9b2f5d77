use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::access_unit::{FlvBody, Timestamp, TrackId};

fn unit(codec: CodecId, kind: UnitKind, payload: &[u8]) -> AccessUnit {
    AccessUnit {
        track: TrackId { kind: codec.kind(), index: 0 },
        kind,
        codec,
        dts: Timestamp::default(),
        pts_offset: 0,
        payload: Bytes::copy_from_slice(payload),
        flv: FlvBody::Build,
    }
}

const FRAME: UnitKind = UnitKind::Frame { random_access: true };

#[test]
fn every_codec_has_its_row_in_the_place_of_its_variant() {
    for (index, row) in CODECS.iter().enumerate() {
        assert_eq!(row.id as usize, index, "{}", row.name);
        assert_eq!(row.id.row().id, row.id);
    }
    assert_eq!(CODECS.last().map(|row| row.id), Some(CodecId::Amf0), "the last variant has a row");
}

#[test]
fn no_two_codecs_share_a_fourcc_or_a_legacy_number() {
    for (index, row) in CODECS.iter().enumerate() {
        for other in &CODECS[index + 1..] {
            assert!(row.fourcc.is_none() || row.fourcc != other.fourcc, "{}", row.name);
            let shared = row.flv_ids.iter().any(|id| other.flv_ids.contains(id));
            assert!(!shared || row.kind != other.kind, "{} and {}", row.name, other.name);
        }
    }
}

#[test]
fn fourccs_and_legacy_numbers_find_their_codec() {
    assert_eq!(CodecId::from_fourcc(*b"hvc1"), Some(CodecId::H265));
    assert_eq!(CodecId::from_fourcc(*b".mp3"), Some(CodecId::Mp3));
    assert_eq!(CodecId::from_fourcc(*b"xxxx"), None);
    assert_eq!(CodecId::from_flv_video_id(7), Some(CodecId::H264));
    assert_eq!(CodecId::from_flv_audio_id(7), Some(CodecId::G711A));
    assert_eq!(CodecId::from_flv_audio_id(14), Some(CodecId::Mp3));
    assert_eq!(CodecId::from_flv_video_id(15), None);
}

#[test]
fn a_unit_tells_at_least_its_codec() {
    let info = track_info(&unit(CodecId::H264, UnitKind::Config, &[0xFF])).expect("the codec");
    assert_eq!(info, TrackInfo { codec: CodecId::H264, ..TrackInfo::default() });
    let info = track_info(&unit(CodecId::Vp6, FRAME, &[])).expect("the codec");
    assert_eq!(info.codec, CodecId::Vp6);
    assert_eq!(track_info(&unit(CodecId::Unknown, FRAME, &[])), None);
    assert_eq!(track_info(&unit(CodecId::H264, UnitKind::EndOfSequence, &[])), None);
}

#[test]
fn a_key_frame_completes_what_the_record_of_vp9_told() {
    let record = unit(CodecId::Vp9, UnitKind::Config, &hex("001f820202020000"));
    let frame = unit(CodecId::Vp9, FRAME, &hex("8249834200281016560638241c184a10"));
    let mut info = track_info(&record).expect("readable");
    info.update(track_info(&frame).expect("readable"));
    assert_eq!((info.level.as_str(), info.width, info.height), ("3.1", 642, 358));
}

#[test]
fn another_codec_replaces_everything_that_was_known() {
    let mut info =
        TrackInfo { codec: CodecId::H264, width: 640, height: 360, ..Default::default() };
    info.update(TrackInfo { codec: CodecId::Av1, ..Default::default() });
    assert_eq!(info, TrackInfo { codec: CodecId::Av1, ..Default::default() });
}

#[test]
fn frames_of_lame_tell_layer_rate_and_channels() {
    // ffmpeg -f lavfi -i sine=sample_rate=48000 -c:a libmp3lame, -ac 2 and -ar 22050 -ac 1
    let info = mp3::from_frame(&hex("fffb540000000000")).expect("readable");
    assert_eq!((info.profile.as_str(), info.sample_rate_hz, info.channels), ("Layer 3", 48_000, 2));
    let info = mp3::from_frame(&hex("fff340c40014")).expect("readable");
    assert_eq!((info.sample_rate_hz, info.channels), (22_050, 1));
    assert_eq!(mp3::from_frame(&hex("ffe340c4")).map(|info| info.sample_rate_hz), Some(11_025));
    for refused in ["fff940c4", "ffeb40c4", "fffb4cc4", "7ffb40c4", "fffb54"] {
        assert_eq!(mp3::from_frame(&hex(refused)), None, "{refused}");
    }
}

#[test]
fn opus_and_flac_headers_tell_rate_and_channels() {
    // The first packet of ffmpeg -f lavfi -i sine -ac 2 -c:a libopus x.ogg
    let info = opus::from_config(&hex("4f707573486561640102380180bb0000000000")).expect("readable");
    assert_eq!((info.sample_rate_hz, info.channels), (48_000, 2));
    assert_eq!(opus::from_config(b"OpusTags\x01\x02"), None);
    assert_eq!(opus::from_config(b"OpusHead\x10\x02"), None, "another major version");
    // The front of ffmpeg -f lavfi -i sine=sample_rate=48000 -ac 2 -c:a flac x.flac
    let flac =
        "664c614300000022120012000000c70005110bb802f000002580d9b81de011fef694f3e1d33694c8ae61";
    let flac = hex(flac);
    for config in [&flac[..], &flac[4..], &flac[8..]] {
        let info = flac::from_config(config).expect("readable");
        assert_eq!((info.sample_rate_hz, info.channels), (48_000, 2));
    }
    assert_eq!(flac::from_config(&flac[9..]), None);
}

#[test]
fn flash_video_frames_tell_their_size() {
    // Behind the first byte of the first tag of ffmpeg -f lavfi -i testsrc=size=S x.flv with -c:v
    // flv1 (322x178, 352x288), flashsv and flashsv2 (322x178).
    let custom = flash_video::from_sorenson_h263(&hex("0000840080a10059122620")).expect("readable");
    assert_eq!((custom.width, custom.height), (322, 178));
    let cif = flash_video::from_sorenson_h263(&hex("0000840112a620202021")).expect("readable");
    assert_eq!((cif.codec, cif.width, cif.height), (CodecId::SorensonH263, 352, 288));
    let screen = flash_video::from_screen_video(&hex("314230b2012178da")).expect("readable");
    assert_eq!((screen.codec, screen.width, screen.height), (CodecId::ScreenVideo, 322, 178));
    let screen = flash_video::from_screen_video_2(&hex("314230b20000971078")).expect("readable");
    assert_eq!((screen.codec, screen.width, screen.height), (CodecId::ScreenVideo2, 322, 178));
}

#[test]
fn g711_and_speex_have_the_parameters_that_flv_fixes() {
    let told = |codec| track_info(&unit(codec, FRAME, &[0x55])).expect("readable");
    assert_eq!(told(CodecId::G711A).sample_rate_hz, 8_000);
    assert_eq!(told(CodecId::G711U).channels, 1);
    assert_eq!(told(CodecId::Speex).sample_rate_hz, 16_000);
}

/// Configuration records of ffmpeg 5.1.9, and what it makes of them in MP4 where that differs.
const AVCC: &str = "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f162d9601000668\
                    ebe3cb22c0fdf8f800";
const HVCC: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff01600000\
                    030090000003000003003f959809210001002a42010101600000030090000003000003003fa0\
                    0502016965959a4932bc05a0200000030020000003032122000100074401c172b46240";
const AV1C: &str = "81010c000a0b0000000cc4ff6700be0010";
const VPCC: &str = "010000000215a20910090000";

fn name(codec: CodecId, config: &str) -> Option<String> {
    rfc6381(&TrackInfo { codec, ..TrackInfo::default() }, &hex(config))
}

fn mp4_config(codec: CodecId, source: &str) -> Option<Vec<u8>> {
    (codec.row().mp4.as_ref().expect("fits").config)(&hex(source))
}

#[test]
fn playlists_name_a_codec_by_what_its_record_says() {
    let h265_high_tier = "01216000000090000000000078f000fcfdf8f800000f00";
    for (codec, config, expected) in [
        (CodecId::H264, AVCC, "avc1.64001e"),
        (CodecId::H265, HVCC, "hvc1.1.6.L63.90"),
        (CodecId::H265, h265_high_tier, "hvc1.1.6.H120.90"),
        (CodecId::Av1, AV1C, "av01.0.01M.08"),
        // By hand: profile 2, level 5.1, High tier, twelve bit.
        (CodecId::Av1, "814de000", "av01.2.13H.12"),
        (CodecId::Vp9, VPCC, "vp09.02.21.10.01.09.16.09.00"),
        (CodecId::Vp9, "001f820202020000", "vp09.00.31.08"),
        (CodecId::Vp9, "0000820101010000", "vp09.00.10.08"),
        (CodecId::Aac, "1190", "mp4a.40.2"),
        // SBR behind the core's configuration, then PS; SBR and PS in front of it.
        (CodecId::Aac, "131056e598", "mp4a.40.5"),
        (CodecId::Aac, "130856e59d4880", "mp4a.40.29"),
        (CodecId::Aac, "2b118800", "mp4a.40.5"),
        (CodecId::Aac, "eb098800", "mp4a.40.29"),
        (CodecId::Mp3, "", "mp4a.40.34"),
        (CodecId::Opus, "", "opus"),
        (CodecId::Flac, "", "fLaC"),
        (CodecId::Ac3, "", "ac-3"),
        (CodecId::Eac3, "", "ec-3"),
    ] {
        assert_eq!(name(codec, config).as_deref(), Some(expected), "{codec:?} {config}");
    }
}

#[test]
fn without_a_record_that_can_be_read_there_is_no_name() {
    for codec in [CodecId::H264, CodecId::H265, CodecId::Av1, CodecId::Vp9, CodecId::Aac] {
        assert_eq!(name(codec, ""), None, "{codec:?}");
    }
    assert_eq!(name(CodecId::Speex, ""), None);
    assert_eq!(name(CodecId::Vp8, VPCC), None);
}

#[test]
fn playlists_name_mpeg_audio_by_the_layer_of_its_frames() {
    // Of ffmpeg -f lavfi -i sine=sample_rate=48000 -c:a libmp3lame, -ar 22050, -c:a mp2; layer I is
    // the last one with its two bits changed.
    for (codec, frame, expected) in [
        (CodecId::Mp3, "fffb54c4", "mp4a.40.34"),
        (CodecId::Mp3, "fff340c4", "mp4a.40.34"),
        (CodecId::Mp2, "fffde4c4", "mp4a.40.33"),
        (CodecId::Mp2, "ffffe4c4", "mp4a.40.32"),
        // FLV has one number for all of them.
        (CodecId::Mp3, "fffde4c4", "mp4a.40.33"),
    ] {
        let info = (codec.row().from_frame.expect("has frames"))(&hex(frame)).expect("a header");
        assert_eq!(info.codec, codec);
        assert_eq!(rfc6381(&info, &[]).as_deref(), Some(expected), "{codec:?} {frame}");
    }
    assert_eq!(name(CodecId::Mp2, "").as_deref(), Some("mp4a.40.33"), "before a frame came");
}

#[test]
fn records_go_into_mp4_as_they_are_where_it_takes_them() {
    for (codec, record) in [(CodecId::H264, AVCC), (CodecId::Av1, AV1C), (CodecId::Vp9, VPCC)] {
        assert_eq!(mp4_config(codec, record), Some(hex(record)), "{codec:?}");
    }
    assert_eq!(mp4_config(CodecId::Vp9, &VPCC[8..]), Some(hex(VPCC)), "version and flags");
    // Of ffmpeg -i x.flv -c copy x.mp4, without its ES_ID and bit rates.
    let esds = "0000000003808080250000000480808017401500000000000000000000000580808005119056e500\
                068080800102";
    assert_eq!(mp4_config(CodecId::Aac, "119056e500"), Some(hex(esds)));
    let esds = "00000000038080801b000000048080800d69150000000000000000000000068080800102";
    assert_eq!(mp4_config(CodecId::Mp3, "fff340c40014"), Some(hex(esds)), "22,050 Hz");
    assert_eq!(mp4_config(CodecId::Mp3, "fffb5400").map(|esds| esds[17]), Some(0x6B), "48 kHz");
}

#[test]
fn the_parameter_sets_of_h265_are_said_to_be_complete() {
    // The same ones of ffmpeg -i x.mp4 -c copy -tag:v hev1 y.mp4 have open arrays, as here.
    let expected = HVCC.replace("03200001", "03a00001").replace("09210001", "09a10001");
    let expected = hex(&expected.replace("03212200010007", "0321a200010007"));
    assert_eq!(mp4_config(CodecId::H265, HVCC).as_ref(), Some(&expected));
    assert_eq!(mp4_config(CodecId::H265, &format!("00{}", &HVCC[2..])), Some(expected));
}

#[test]
fn records_without_parameter_sets_start_no_decoder() {
    assert_eq!(mp4_config(CodecId::H264, "0164001effe00100046800e1e2"), None);
    assert_eq!(mp4_config(CodecId::H265, &format!("{}00", &HVCC[..44])), None);
    for (codec, record) in [(CodecId::H264, AVCC), (CodecId::H265, HVCC)] {
        for end in 0..record.len() / 2 - 4 {
            assert_eq!(mp4_config(codec, &record[..2 * end]), None, "{codec:?} cut at {end}");
        }
    }
}

#[test]
fn opus_changes_its_byte_order_and_flac_gets_its_block_header() {
    // ffmpeg -f lavfi -i sine -ac 2 -c:a libopus x.ogg, and -ac 6; dOps of the same in x.mp4.
    let stereo = "4f707573486561640102380180bb0000000000";
    assert_eq!(mp4_config(CodecId::Opus, stereo), Some(hex("000201380000bb80000000")));
    let surround = "4f707573486561640106380180bb00000000010402000401020305";
    let expected = hex("000601380000bb800000010402000401020305");
    assert_eq!(mp4_config(CodecId::Opus, surround), Some(expected));
    assert_eq!(mp4_config(CodecId::Opus, &surround[..surround.len() - 2]), None, "cut mapping");
    let info = "120012000000c70005110bb802f000002580d9b81de011fef694f3e1d33694c8ae61";
    let expected = hex(&format!("0000000080000022{info}"));
    for front in ["", "00000022", "664c614300000022"] {
        assert_eq!(mp4_config(CodecId::Flac, &format!("{front}{info}")).as_ref(), Some(&expected));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for row in CODECS {
            for describe in [row.from_config, row.from_frame].into_iter().flatten() {
                if let Some(info) = describe(&bytes) {
                    prop_assert_eq!(info.codec, row.id);
                }
            }
            if let Some(mp4) = &row.mp4 {
                let _ = (mp4.config)(&bytes);
            }
            let _ = rfc6381(&TrackInfo { codec: row.id, ..TrackInfo::default() }, &bytes);
        }
    }
}
