use proptest::prelude::*;
use scuffle_h265::SpsNALUnit;

use super::*;
use crate::codec::hex;

// hvcC boxes of ffmpeg -f lavfi -i testsrc=size=WxH:rate=R -c:v libx265 -pix_fmt F x.mp4, with the
// array of SEI messages taken off (numOfArrays 4 made 3).
/// 640x360, 50 fps, yuv420p10le.
const MAIN_10: &str = "\
    0102200000009000000000005af000fcfdfafa00000f03200001001840010c01ffff0220000003009000000300 \
    0003005a959809210001002b42010102200000030090000003000003005aa005020169365959a4932bc05a0200 \
    0003000200000300641022000100074401c172b46240";
/// 1920x1080, 25 fps, yuv420p, -x265-params scaling-list=default.
const MAIN: &str = "\
    01016000000090000000000078f000fcfdf8f800000f03200001001840010c01ffff0160000003009000000300 \
    00030078959809210001002a420101016000000300900000030000030078a003c08010e596566924e5780b4040 \
    00000300400000064222000100074401c172b46240";
/// 1918x1078, 60000/1001 fps, yuv422p10le, -x265-params hrd=1:vbv-maxrate=2000:vbv-bufsize=2000:
/// temporal-layers=1: two sub-layers, cropped on both axes.
const SUB_LAYERS: &str = "\
    0104080000009d08000000007bf002fffefafa00001303200001001b40010c02ffff0408000003009d08000003 \
    00007b00009598acc048210001003f4201020408000003009d0800000300007b0000b003c08010e756d965662b \
    349265780b40400000fa40003a981827261f8003d090007a12e000f424001e848822000100074401c172b46240";

fn told(record: &str) -> (String, String, u32, u32, f64) {
    let info = from_config(&hex(record)).expect("readable");
    assert_eq!(info.codec, CodecId::H265);
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
fn records_of_x265_tell_profile_level_cropped_size_and_rate() {
    assert_eq!(told(MAIN_10), expected("Main 10", "3", 640, 360, 50.0));
    assert_eq!(told(MAIN), expected("Main", "4", 1920, 1080, 25.0));
    assert_eq!(told(SUB_LAYERS), expected("Rext", "4.1", 1918, 1078, 60_000.0 / 1001.0));
}

#[test]
fn the_record_lists_its_parameter_sets_and_the_length_size() {
    let bytes = hex(MAIN);
    let record = ConfigurationRecord::parse(&bytes).expect("readable");
    assert_eq!(record.nal_length_size, 4);
    assert_eq!((record.vps.len(), record.sps.len(), record.pps.len()), (1, 1, 1));
    assert_eq!(record.pps[0], hex("4401c172b46240"));
    assert!(!record.high_tier);
}

#[test]
fn a_cut_record_is_refused() {
    let bytes = hex(MAIN);
    for end in 0..bytes.len() {
        assert_eq!(ConfigurationRecord::parse(&bytes[..end]), None, "cut at {end}");
    }
}

#[test]
fn a_parameter_set_cut_behind_the_size_still_tells_the_size() {
    let bytes = hex(MAIN);
    let record = ConfigurationRecord::parse(&bytes).expect("readable");
    let sps = Sps::parse(&record.sps[0][..28]).expect("readable");
    assert_eq!((sps.width, sps.height, sps.frame_rate), (1920, 1080, 0.0));
}

/// Writes bit fields, the other way round from `BitReader`.
#[derive(Default)]
struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    fn bits(&mut self, count: u32, value: u64) {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let size = 64 - code.leading_zeros();
        self.bits(2 * size - 1, code);
    }

    /// With the stop bit and the emulation prevention bytes.
    fn into_nal_payload(mut self) -> Vec<u8> {
        self.bits.push(true);
        let mut escaped = Vec::new();
        let mut zeros = 0;
        for byte in self.bits.chunks(8) {
            let byte =
                byte.iter().enumerate().fold(0u8, |b, (i, &bit)| b | u8::from(bit) << (7 - i));
            if zeros >= 2 && byte <= 3 {
                escaped.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            escaped.push(byte);
        }
        escaped
    }
}

#[derive(Clone, Debug)]
enum Set {
    Explicit { before: Vec<u32>, after: Vec<u32> },
    Predicted { negative: bool, distance_minus1: u32, flags: u64 },
}

fn a_set() -> impl Strategy<Value = Set> {
    let distances = || proptest::collection::vec(0..4u32, 0..4);
    prop_oneof![
        (distances(), distances()).prop_map(|(before, after)| Set::Explicit { before, after }),
        (any::<bool>(), 0..6u32, any::<u64>()).prop_map(|(negative, distance_minus1, flags)| {
            Set::Predicted { negative, distance_minus1, flags }
        }),
    ]
}

/// A parameter set, 1280x720, whose only unusual part are these reference picture sets; 50 fps
/// behind them, so a misread set shows. Predicted sets get as many flags as the caller counted
/// pictures.
fn parameter_set(sets: &[(Set, usize)]) -> Vec<u8> {
    let mut w = BitWriter::default();
    w.bits(4 + 3 + 1, 1);
    w.bits(8, 1); // Main
    w.bits(32, 0x6000_0000);
    w.bits(48, 0x9000_0000_0000);
    w.bits(8, 120);
    w.ue(0); // id
    w.ue(1); // 4:2:0
    w.ue(1280);
    w.ue(720);
    w.bits(1, 0); // no conformance window
    w.ue(0);
    w.ue(0); // bit depths
    w.ue(4);
    w.bits(1, 1);
    w.ue(15);
    w.ue(0);
    w.ue(0); // sub-layer ordering
    for value in [0, 3, 0, 3, 0, 0] {
        w.ue(value); // block sizes and depths
    }
    w.bits(1 + 2 + 1, 0); // no scaling lists, AMP, SAO, PCM
    w.ue(sets.len() as u32);
    for (index, (set, candidates)) in sets.iter().enumerate() {
        match set {
            Set::Explicit { before, after } => {
                w.bits(u32::from(index > 0), 0);
                w.ue(before.len() as u32);
                w.ue(after.len() as u32);
                for &distance_minus1 in before.iter().chain(after) {
                    w.ue(distance_minus1);
                    w.bits(1, 1);
                }
            }
            Set::Predicted { negative, distance_minus1, flags } => {
                w.bits(2, 0b10 | u64::from(*negative));
                w.ue(*distance_minus1);
                for candidate in 0..*candidates {
                    let use_delta = flags >> candidate & 1;
                    w.bits(2, use_delta); // used_by_curr_pic 0, use_delta
                }
            }
        }
    }
    w.bits(1 + 2, 0); // no long-term pictures, no temporal MVP, no smoothing
    w.bits(1, 1); // VUI
    w.bits(4 + 3 + 1, 0); // nothing in front of the timing
    w.bits(1, 1);
    w.bits(32, 1);
    w.bits(32, 50);
    w.bits(1 + 1 + 1, 0); // no POC timing, HRD, restriction
    w.bits(1, 0); // no extension
    [vec![NAL_TYPE_SPS << 1, 1], w.into_nal_payload()].concat()
}

#[test]
fn the_frame_rate_is_found_behind_explicit_and_predicted_reference_picture_sets() {
    // -1 -3 | +2, then the same moved by -2: -3 -5 | (0 falls out), and -2 itself: 3 pictures.
    let explicit = Set::Explicit { before: vec![0, 1], after: vec![1] };
    let all = u64::MAX;
    let predicted = Set::Predicted { negative: true, distance_minus1: 1, flags: all };
    let again = Set::Predicted { negative: false, distance_minus1: 0, flags: all };
    let nal_unit = parameter_set(&[(explicit, 0), (predicted, 4), (again, 4)]);
    let sps = Sps::parse(&nal_unit).expect("readable");
    assert_eq!((sps.width, sps.height, sps.frame_rate), (1280, 720, 50.0));
}

#[test]
fn the_distances_of_a_predicted_set_are_in_the_order_of_the_specification() {
    // -1 | +1 +3, moved by -4: -1 -3 -4 -5. Of those moved by +1, the first one falls out for
    // becoming 0, whether or not it is used; if the order were wrong, another one would go as well.
    let explicit = Set::Explicit { before: vec![0], after: vec![0, 1] };
    let all = u64::MAX;
    let moved = Set::Predicted { negative: true, distance_minus1: 3, flags: all };
    let without_first = Set::Predicted { negative: false, distance_minus1: 0, flags: all - 1 };
    let again = Set::Predicted { negative: true, distance_minus1: 0, flags: all };
    let nal_unit = parameter_set(&[(explicit, 0), (moved, 4), (without_first, 5), (again, 5)]);
    let sps = Sps::parse(&nal_unit).map(|sps| (sps.width, sps.height, sps.frame_rate));
    assert_eq!(sps, Some((1280, 720, 50.0)));
    assert_eq!(oracle(&nal_unit), sps);
}

/// What scuffle-h265 reads, where it accepts the parameter set and its arithmetic does not
/// overflow.
fn oracle(nal_unit: &[u8]) -> Option<(u32, u32, f64)> {
    let read = || {
        let sps = SpsNALUnit::parse(nal_unit).ok()?.rbsp;
        let timing = sps.vui_parameters.as_ref().and_then(|vui| vui.vui_timing_info.clone());
        let frame_rate = timing.map_or(0.0, |timing| {
            f64::from(timing.time_scale.get()) / f64::from(timing.num_units_in_tick.get())
        });
        Some((sps.cropped_width() as u32, sps.cropped_height() as u32, frame_rate))
    };
    std::panic::catch_unwind(read).ok().flatten()
}

#[test]
fn the_parameter_sets_of_x265_are_read_as_scuffle_reads_them() {
    for record in [MAIN_10, MAIN, SUB_LAYERS] {
        let bytes = hex(record);
        let record = ConfigurationRecord::parse(&bytes).expect("readable");
        let ours = Sps::parse(record.sps[0]).map(|sps| (sps.width, sps.height, sps.frame_rate));
        assert!(ours.is_some());
        assert_eq!(ours, oracle(record.sps[0]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn reference_picture_sets_are_read_as_scuffle_reads_them(
        sets in proptest::collection::vec((a_set(), 1..8usize), 1..6),
    ) {
        let mut sets = sets;
        if let Set::Predicted { .. } = sets[0].0 {
            sets[0].0 = Set::Explicit { before: vec![0], after: vec![] };
        }
        let nal_unit = parameter_set(&sets);
        if let Some(found) = oracle(&nal_unit) {
            let ours = Sps::parse(&nal_unit).map(|sps| (sps.width, sps.height, sps.frame_rate));
            prop_assert_eq!(ours, Some(found));
        }
    }
}
