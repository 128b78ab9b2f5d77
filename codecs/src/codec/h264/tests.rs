use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader as OracleReader, decode_nal};
use proptest::prelude::*;

use super::*;
use crate::codec::hex;

// avcC boxes of ffmpeg -f lavfi -i testsrc=size=WxH:rate=R -c:v libx264 -profile:v P -pix_fmt F
// x.mp4
/// 320x180, 25 fps, baseline, yuv420p.
const BASELINE: &str = "\
    0142c00cffe100196742c00cd901419f9f011000000300100000030320f142a48001000568cb83cb20";
/// 1918x1078, 30000/1001 fps, high422, yuv422p10le: cropped on both axes.
const HIGH_422: &str = "\
    017a0028ffe1001e677a0028b6cd940780227a8bffc13401344400000fa40003a9803c60c65801000668ebe3cb \
    22c0fefafa00";
/// 1920x1080, 25 fps, high, yuv420p, -flags +ildct+ilme: interlaced, so heights count twice.
const INTERLACED: &str = "\
    01640028ffe1001a67640028acd94078044fde0220000003002000000643e2c5b2c001000668fba3cb22c0fdf8 \
    f800";

fn told(record: &str) -> (String, String, u32, u32, f64) {
    let info = from_config(&hex(record)).expect("readable");
    assert_eq!(info.codec, CodecId::H264);
    (info.profile, info.level, info.width, info.height, info.frame_rate)
}

fn expected(
    profile: &str,
    level: &str,
    w: u32,
    h: u32,
    rate: f64,
) -> (String, String, u32, u32, f64) {
    (profile.to_owned(), level.to_owned(), w, h, rate)
}

#[test]
fn records_of_x264_tell_profile_level_cropped_size_and_rate() {
    assert_eq!(told(BASELINE), expected("Constrained Baseline", "1.2", 320, 180, 25.0));
    assert_eq!(told(HIGH_422), expected("High 4:2:2", "4", 1918, 1078, 30_000.0 / 1001.0));
    assert_eq!(told(INTERLACED), expected("High", "4", 1920, 1080, 25.0));
}

#[test]
fn the_record_lists_its_parameter_sets_and_the_length_size() {
    let bytes = hex(BASELINE);
    let record = ConfigurationRecord::parse(&bytes).expect("readable");
    assert_eq!(record.nal_length_size, 4);
    assert_eq!((record.sps.len(), record.pps.len()), (1, 1));
    assert_eq!((record.sps[0].len(), record.sps[0][0]), (25, 0x67));
    assert_eq!(record.pps[0], hex("68cb83cb20"));
}

#[test]
fn a_record_cut_anywhere_in_front_of_its_last_parameter_set_is_refused() {
    let bytes = hex(BASELINE);
    for end in 0..bytes.len() {
        assert_eq!(ConfigurationRecord::parse(&bytes[..end]), None, "cut at {end}");
    }
}

#[test]
fn a_record_with_an_unreadable_parameter_set_still_tells_profile_and_level() {
    let info = from_config(&hex("0142c00cffe1000267ff0100016b")).expect("readable");
    assert_eq!((info.profile.as_str(), info.level.as_str()), ("Constrained Baseline", "1.2"));
    assert_eq!((info.width, info.height), (0, 0));
}

#[test]
fn a_parameter_set_beyond_the_limits_of_its_level_is_read_all_the_same() {
    let bytes = hex(HIGH_422);
    let record = ConfigurationRecord::parse(&bytes).expect("readable");
    let mut sps = record.sps[0].to_vec();
    sps[3] = 10; // Level 1 allows 99 macroblocks.
    let parsed = Sps::parse(&sps).expect("readable");
    assert_eq!((parsed.level_idc, parsed.width, parsed.height), (10, 1918, 1078));
}

#[test]
fn level_1b_is_told_from_level_1_1() {
    assert_eq!(level_name(11, 0x10), "1b");
    assert_eq!(level_name(11, 0x00), "1.1");
    assert_eq!(level_name(9, 0x00), "1b");
    assert_eq!(level_name(51, 0x00), "5.1");
}

/// The picture size and rate that h264-reader finds, for parameter sets that it accepts.
fn oracle(nal_unit: &[u8]) -> Option<(u32, u32, f64)> {
    let rbsp = decode_nal(nal_unit).ok()?;
    let sps = SeqParameterSet::from_bits(OracleReader::new(&rbsp[..])).ok()?;
    let (width, height) = sps.pixel_dimensions().ok()?;
    let frame_rate = sps.fps().filter(|rate| rate.is_finite()).unwrap_or(0.0);
    Some((width, height, frame_rate))
}

#[test]
fn the_parameter_sets_of_x264_are_read_as_h264_reader_reads_them() {
    for record in [BASELINE, HIGH_422, INTERLACED] {
        let bytes = hex(record);
        let record = ConfigurationRecord::parse(&bytes).expect("readable");
        let ours = Sps::parse(record.sps[0]).map(|sps| (sps.width, sps.height, sps.frame_rate));
        assert!(ours.is_some());
        assert_eq!(ours, oracle(record.sps[0]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn changed_parameter_sets_are_read_as_h264_reader_reads_them(
        which in 0..3usize,
        changes in proptest::collection::vec((4..30usize, any::<u8>()), 0..4),
    ) {
        let bytes = hex([BASELINE, HIGH_422, INTERLACED][which]);
        let record = ConfigurationRecord::parse(&bytes).expect("readable");
        let mut sps = record.sps[0].to_vec();
        for (at, byte) in changes {
            if let Some(target) = sps.get_mut(at) {
                *target = byte;
            }
        }
        if let Some(found) = oracle(&sps) {
            let ours = Sps::parse(&sps).map(|sps| (sps.width, sps.height, sps.frame_rate));
            prop_assert_eq!(ours, Some(found));
        }
    }
}
