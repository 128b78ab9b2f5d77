use super::*;
use crate::codec::hex;

// av1C boxes of ffmpeg -f lavfi -i testsrc=size=640x360:rate=25 -c:v C -pix_fmt F x.mp4
/// libaom-av1, yuv420p.
const AOM: &str = "81010c000a0b0000000cc4ff6736be4010";
/// libsvtav1, yuv420p10le.
const SVT_10_BIT: &str = "81014c000a0b0000000cc4ff6700be1010";

#[test]
fn records_of_libaom_and_svt_tell_profile_level_and_size() {
    for record in [AOM, SVT_10_BIT] {
        let info = from_config(&hex(record)).expect("readable");
        assert_eq!((info.profile.as_str(), info.level.as_str()), ("Main", "2.1"));
        assert_eq!((info.codec, info.width, info.height), (CodecId::Av1, 640, 360));
    }
}

#[test]
fn a_sequence_header_is_found_behind_a_temporal_delimiter() {
    let unit = [&[0x12, 0x00][..], &hex(AOM)[4..]].concat();
    let info = from_frame(&unit).expect("a sequence header");
    assert_eq!((info.width, info.height), (640, 360));
    assert_eq!(from_frame(&[0x12, 0x00]), None);
}

#[test]
fn a_record_without_obus_tells_profile_and_level_only() {
    let info = from_config(&hex("81294c00")).expect("readable");
    assert_eq!((info.profile.as_str(), info.level.as_str()), ("High", "4.1"));
    assert_eq!((info.width, info.height), (0, 0));
}

#[test]
fn timing_and_operating_points_in_front_of_the_size_are_passed_over() {
    // By hand from 5.5.1: profile 0; timing 1/50 s with equal intervals of 2 ticks (uvlc 1);
    // decoder model with 10-bit delays; display delay present; one operating point of level index 8
    // (tier flag) with its delays and its display delay; 11-bit width and height fields, 1920x1080.
    let fields: [(u32, u64); 24] = [
        (3, 0),
        (1, 0),
        (1, 0),
        (1, 1),
        (32, 1),
        (32, 50),
        (1, 1),
        (3, 0b010),
        (1, 1),
        (5, 9),
        (32, 1),
        (10, 0),
        (1, 1),
        (5, 0),
        (12, 0),
        (5, 8),
        (1, 0),
        (1, 1),
        (21, 0),
        (1, 1),
        (4, 3),
        (4, 10),
        (4, 10),
        (11, 1919),
    ];
    let mut bits: Vec<bool> = Vec::new();
    for (count, value) in fields.into_iter().chain([(11, 1079)]) {
        bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }
    let pack =
        |bits: &[bool]| bits.iter().enumerate().fold(0u8, |b, (i, &x)| b | u8::from(x) << (7 - i));
    let payload: Vec<u8> = bits.chunks(8).map(pack).collect();
    let obu = [&[0x0A, payload.len() as u8][..], &payload].concat();
    let info = from_frame(&obu).expect("readable");
    assert_eq!((info.width, info.height, info.frame_rate), (1920, 1080, 25.0));
    assert_eq!(info.level, "4.0");
}

#[test]
fn an_obu_size_beyond_the_end_or_without_end_is_refused() {
    assert_eq!(from_frame(&[0x0A, 0x7F, 0x00]), None);
    assert_eq!(from_frame(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), None);
}
