use bytes::Bytes;

use super::*;

// Parameter sets and slices are written by hand from ISO/IEC 14496-10 7.3.2 and 7.3.3: Main,
// 160x128, 4 bits of frame_num.

/// Bits written as a row of '0' and '1', and 'ue' codes made by [`ue`].
fn bytes_of(bits: &str) -> Vec<u8> {
    let bits: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').map(|bit| bit - b'0').collect();
    bits.chunks(8)
        .map(|byte| (0..8).fold(0, |all, bit| all << 1 | byte.get(bit).copied().unwrap_or(0)))
        .collect()
}

fn ue(value: u32) -> String {
    let code = format!("{:b}", value + 1);
    "0".repeat(code.len() - 1) + &code
}

/// A sequence parameter set with 4 bits of frame_num.
fn sps(is_frames_only: bool) -> Vec<u8> {
    let frames = if is_frames_only { "1" } else { "0 0" }; // and no MBAFF
    let bits = [ue(0), ue(0), ue(2), ue(1), "0".into(), ue(9), ue(7), frames.into(), "1001".into()];
    [vec![0x67, 77, 0, 30], bytes_of(&bits.concat())].concat()
}

/// A picture parameter set with its ids.
fn pps(id: u32) -> Vec<u8> {
    [vec![0x68], bytes_of(&[ue(id), ue(0), "0001111".into()].concat())].concat()
}

/// A slice: its first macroblock, type and frame_num, and which field it is.
fn slice(nal: u8, first: u32, slice_type: u32, frame_num: u32, field: &str) -> Vec<u8> {
    let frame_num = format!("{frame_num:04b}");
    let bits = [ue(first), ue(slice_type), ue(0), frame_num, field.into(), "1".into()];
    // Long enough for the decision, without zeros.
    [vec![nal], bytes_of(&bits.concat()), vec![0x99; 30]].concat()
}

const AUD: &[u8] = &[9, 0xF0];
const IDR: u8 = 0x65;
const REF: u8 = 0x41;

/// PES payloads with their times, each a row of NAL units; what comes out.
fn run(payloads: &[(Option<i64>, Vec<u8>)], codec: CodecId) -> Vec<Found> {
    let mut stream = NalStream::new(codec, 100_000);
    let mut found = Vec::new();
    for (time, payload) in payloads {
        stream.start(time.map(|time| Times { dts: time, pts: time }), false);
        for piece in payload.chunks(184) {
            stream.data(piece, &mut |item| found.push(item));
        }
    }
    stream.finish(&mut |item| found.push(item));
    found
}

fn annexb(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

/// Frames as their time, key flag and the types of their NAL units.
fn frames(found: &[Found]) -> Vec<(i64, bool, Vec<u8>)> {
    let frame = |found: &Found| match found {
        Found::Unit(Unit { kind: UnitKind::Frame { random_access }, times, payload, .. }) => {
            let mut types = Vec::new();
            let mut rest: &[u8] = payload;
            while let Some((size, units)) = rest.split_first_chunk::<4>() {
                types.push(units[0]);
                rest = &units[u32::from_be_bytes(*size) as usize..];
            }
            Some((times.dts, *random_access, types))
        }
        _ => None,
    };
    found.iter().filter_map(frame).collect()
}

fn configs(found: &[Found]) -> Vec<Bytes> {
    let config = |found: &Found| match found {
        Found::Unit(Unit { kind: UnitKind::Config, payload, .. }) => Some(payload.clone()),
        _ => None,
    };
    found.iter().filter_map(config).collect()
}

#[test]
fn several_access_units_in_a_pes_packet_are_taken_apart() {
    let key = annexb(&[AUD, &sps(true), &pps(0), &slice(IDR, 0, 7, 0, "")]);
    let second = annexb(&[AUD, &slice(REF, 0, 5, 1, ""), &slice(REF, 40, 5, 1, "")]);
    // Without a delimiter the first macroblock tells.
    let third = annexb(&[&slice(REF, 0, 5, 2, "")]);
    let found = run(&[(Some(1_000), [key, second, third].concat())], CodecId::H264);
    let expected =
        [(1_000, true, vec![IDR]), (4_600, false, vec![REF, REF]), (8_200, false, vec![REF])];
    assert_eq!(frames(&found), expected);
    assert_eq!(configs(&found).len(), 1);
}

#[test]
fn an_access_unit_over_several_pes_packets_is_put_together() {
    let key = annexb(&[AUD, &sps(true), &pps(0), &slice(IDR, 0, 7, 0, "")]);
    let next = annexb(&[AUD, &slice(REF, 0, 5, 1, "")]);
    let all = [key.clone(), next].concat();
    let expected = frames(&run(&[(Some(1_000), all.clone())], CodecId::H264));
    // A single zero in front of a start code does not count.
    for cut in 2..key.len() {
        // The times of the second packet belong to the unit that starts in it.
        let payloads = [(Some(1_000), all[..cut].to_vec()), (Some(4_600), all[cut..].to_vec())];
        assert_eq!(frames(&run(&payloads, CodecId::H264)), expected, "cut at {cut}");
    }
}

#[test]
fn both_fields_of_a_frame_are_one_unit_and_fields_of_two_frames_are_two() {
    let head = [AUD.to_vec(), sps(false), pps(0)];
    let (top, bottom) = ("10", "11");
    let payload = annexb(&[
        &head[0],
        &head[1],
        &head[2],
        &slice(IDR, 0, 7, 0, top),
        AUD,
        &slice(REF, 0, 5, 0, bottom),
        AUD,
        &slice(REF, 0, 5, 1, top),
        &slice(REF, 20, 5, 1, top),
        &slice(REF, 0, 5, 1, bottom),
        // A field whose other one is missing, and a whole frame.
        &slice(REF, 0, 5, 2, top),
        AUD,
        &slice(REF, 0, 5, 3, "0"),
        AUD,
        &slice(REF, 0, 5, 4, "0"),
    ]);
    let types: Vec<_> = frames(&run(&[(Some(0), payload)], CodecId::H264))
        .into_iter()
        .map(|(_, _, types)| types)
        .collect();
    let expected = [vec![IDR, REF], vec![REF; 3], vec![REF], vec![REF], vec![REF]];
    assert_eq!(types, expected);
}

#[test]
fn parameter_sets_that_change_make_another_record_and_are_not_in_the_frames() {
    let unit = |sets: &[&[u8]], nal| {
        let slice = slice(nal, 0, 7, 0, "");
        let units: Vec<&[u8]> = [AUD].iter().chain(sets).copied().chain([&slice[..]]).collect();
        annexb(&units)
    };
    let (sps, pps_0, pps_1) = (sps(true), pps(0), pps(1));
    let mut pps_0_other = pps_0.clone();
    pps_0_other.push(0x80);
    let payloads = [
        (Some(0), unit(&[&sps, &pps_0], IDR)),
        (Some(3_600), unit(&[&sps, &pps_0], IDR)),
        (Some(7_200), unit(&[&pps_1], IDR)),
        (Some(10_800), unit(&[&pps_0_other], IDR)),
    ];
    let found = run(&payloads, CodecId::H264);
    let records: Vec<_> = configs(&found);
    let read: Vec<_> = records
        .iter()
        .map(|record| h264::ConfigurationRecord::parse(record).expect("readable"))
        .collect();
    let sets: Vec<_> = read.iter().map(|record| record.pps.clone()).collect();
    assert_eq!(sets, [vec![&pps_0[..]], vec![&pps_0, &pps_1], vec![&pps_0_other, &pps_1]]);
    assert!(read.iter().all(|record| record.sps == [&sps[..]] && record.nal_length_size == 4));
    assert!(frames(&found).iter().all(|(_, _, types)| *types == [IDR]));
}

#[test]
fn decoding_starts_at_idr_recovery_points_and_marked_intra_pictures() {
    let recovery: &[u8] = &[6, 6, 1, 0xC4, 0x80];
    let other_sei: &[u8] = &[6, 5, 2, 6, 1, 0x80];
    let payload = annexb(&[
        AUD,
        &sps(true),
        &pps(0),
        &slice(IDR, 0, 7, 0, ""),
        AUD,
        recovery,
        &slice(REF, 0, 7, 1, ""),
        AUD,
        other_sei,
        &slice(REF, 0, 7, 2, ""),
    ]);
    let keys: Vec<_> =
        frames(&run(&[(Some(0), payload)], CodecId::H264)).iter().map(|frame| frame.1).collect();
    assert_eq!(keys, [true, true, false]);
    let mut stream = NalStream::new(CodecId::H264, 100_000);
    let mut found = Vec::new();
    let times = |dts| Some(Times { dts, pts: dts });
    stream.start(times(0), false);
    let head = annexb(&[AUD, &sps(true), &pps(0), &slice(IDR, 0, 7, 0, "")]);
    stream.data(&head, &mut |item| found.push(item));
    for (number, slice_type) in [(1, 7), (2, 5)] {
        stream.start(times(number), true);
        let unit = annexb(&[AUD, &slice(REF, 0, slice_type, 1, "")]);
        stream.data(&unit, &mut |item| found.push(item));
    }
    stream.finish(&mut |item| found.push(item));
    let keys: Vec<_> = frames(&found).iter().map(|frame| frame.1).collect();
    assert_eq!(keys, [true, true, false], "only the intra picture");
}

#[test]
fn h265_units_end_at_delimiters_parameter_sets_and_first_slices() {
    // Parameter sets of codecs/fuzz/corpus/codec_config/h265_main (x265, 640x360).
    let record = include_bytes!("../../../../../fuzz/corpus/codec_config/h265_main");
    let Some(record) = h265::ConfigurationRecord::parse(record)
        .or_else(|| h265::ConfigurationRecord::parse(&record[1..]))
    else {
        panic!("the corpus file holds a record");
    };
    let aud: &[u8] = &[0x46, 1, 0x50];
    let slice = |nal_type: u8, first: u8| [vec![nal_type << 1, 1, first], vec![0x99; 30]].concat();
    let payload = annexb(&[
        aud,
        record.vps[0],
        record.sps[0],
        record.pps[0],
        &slice(19, 0x80),
        &slice(19, 0),
        aud,
        &slice(1, 0x80),
        &slice(1, 0x80),
        &[0x4E, 1, 5, 1, 7, 0x80],
        &slice(21, 0x80),
        &[0x46, 9, 0x50],
        &slice(1, 0x80),
    ]);
    let found = run(&[(Some(0), payload)], CodecId::H265);
    let expected: Vec<(bool, Vec<u8>)> = vec![
        (true, vec![38, 38]),
        (false, vec![2]),
        (false, vec![2]),
        (true, vec![0x4E, 42]),
        (false, vec![2]),
    ];
    let found_frames: Vec<_> =
        frames(&found).into_iter().map(|(_, key, types)| (key, types)).collect();
    assert_eq!(found_frames, expected);
    let made = configs(&found);
    let made = h265::ConfigurationRecord::parse(&made[0]).expect("readable");
    assert_eq!((made.vps, made.sps, made.pps), (record.vps, record.sps, record.pps));
    assert_eq!((made.profile_idc, made.level_idc), (record.profile_idc, record.level_idc));
}

#[test]
fn frames_without_configuration_or_times_are_left_out_and_told() {
    let unit = annexb(&[AUD, &slice(IDR, 0, 7, 0, "")]);
    let found = run(&[(Some(0), unit.clone()), (Some(1), unit.clone())], CodecId::H264);
    assert!(frames(&found).is_empty());
    let is_told = |found: &Found| matches!(found, Found::Fault(StreamFault::NoConfig));
    assert_eq!(found.iter().filter(|found| is_told(found)).count(), 2);
    let whole = annexb(&[AUD, &sps(true), &pps(0), &slice(IDR, 0, 7, 0, "")]);
    let found = run(&[(None, whole.clone()), (Some(9), whole)], CodecId::H264);
    assert_eq!(frames(&found), [(9, true, vec![IDR])]);
}

#[test]
fn a_picture_longer_than_allowed_is_left_out_and_the_next_one_is_not() {
    let head = annexb(&[AUD, &sps(true), &pps(0), &slice(IDR, 0, 7, 0, "")]);
    let endless = [annexb(&[AUD]), vec![0, 0, 1, IDR], vec![0x99; 300_000]].concat();
    let payloads = [(Some(0), head.clone()), (Some(3_600), endless), (Some(7_200), head)];
    let found = run(&payloads, CodecId::H264);
    assert_eq!(frames(&found).iter().map(|frame| frame.0).collect::<Vec<_>>(), [0, 7_200]);
    assert!(found.iter().any(|found| matches!(found, Found::Fault(StreamFault::TooLong))));
}

#[test]
fn fields_of_parameter_sets_are_read_as_they_were_written() {
    let frames = h264::nal::SpsFields::parse(&sps(true)).expect("readable");
    assert_eq!((frames.id, frames.frame_num_bits, frames.is_frames_only), (0, 4, true));
    let fields = h264::nal::SpsFields::parse(&sps(false)).expect("readable");
    assert!(!fields.is_frames_only);
    assert_eq!(h264::nal::pps_ids(&pps(5)), Some((5, 0)));
    let info = h264::Sps::parse(&sps(true)).expect("readable");
    assert_eq!((info.width, info.height), (160, 128));
}
