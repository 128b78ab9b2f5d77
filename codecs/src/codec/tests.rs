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

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for row in CODECS {
            for describe in [row.from_config, row.from_frame].into_iter().flatten() {
                if let Some(info) = describe(&bytes) {
                    prop_assert_eq!(info.codec, row.id);
                }
            }
        }
    }
}
