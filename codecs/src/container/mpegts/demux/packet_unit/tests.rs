use super::*;
use crate::codec::hex;

fn run(mut stream: PacketStream, packets: &[&[u8]]) -> Vec<Found> {
    let mut found = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        let time = number as i64 * 90_000;
        stream.start(Some(Times { dts: time, pts: time }));
        for piece in packet.chunks(100) {
            stream.data(piece, &mut |item| found.push(item));
        }
        stream.end(&mut |item| found.push(item));
    }
    found
}

fn units(found: &[Found]) -> Vec<(UnitKind, i64, Vec<u8>)> {
    let unit = |found: &Found| match found {
        Found::Unit(unit) => Some((unit.kind, unit.times.dts, unit.payload.to_vec())),
        Found::Fault(_) => None,
    };
    found.iter().filter_map(unit).collect()
}

const FRAME: UnitKind = UnitKind::Frame { random_access: true };

fn opus() -> PacketStream {
    let head = opus::head_of_channel_config(2).map(Bytes::from);
    PacketStream::new(CodecId::Opus, head, 10_000)
}

#[test]
fn opus_packets_of_a_pes_packet_are_taken_apart_and_timed() {
    // 20 ms (config 31, one frame), with a start trim; 300 bytes of 2 x 20 ms; with an extension.
    let short = [&[0x7F, 0xF0, 3, 0x01, 0x38][..], &[0xF8, 1, 2]].concat();
    let long_packet = [&[0xF9][..], &[7; 299]].concat();
    let long = [&[0x7F, 0xE0, 0xFF, 45][..], &long_packet].concat();
    let extended = [&[0x7F, 0xE4, 2, 1, 0xEE][..], &[0xF8, 9]].concat();
    let found = run(opus(), &[&[&short[..], &long, &extended].concat()]);
    let head = hex("4f707573486561640102000080bb0000000000");
    let expected = [
        (UnitKind::Config, 0, head),
        (FRAME, 0, vec![0xF8, 1, 2]),
        (FRAME, 1_800, long_packet),
        (FRAME, 5_400, vec![0xF8, 9]),
    ];
    assert_eq!(units(&found), expected);
}

#[test]
fn opus_packets_that_are_cut_or_without_header_are_told() {
    for bad in [&[0x7F, 0xE0, 9, 1][..], &[0x7F], &[0x12, 0x34, 1, 1], &[0x7F, 0xE0, 0]] {
        let found = run(opus(), &[bad, &[0x7F, 0xE0, 1, 0xF8]]);
        assert!(matches!(found[0], Found::Fault(StreamFault::Malformed(_))));
        assert_eq!(units(&found).len(), 2, "the next packet is good");
    }
}

#[test]
fn opus_mappings_are_those_of_vorbis() {
    let head = opus::head_of_channel_config(6).expect("5.1");
    assert_eq!(head[18..], [1, 4, 2, 0, 4, 1, 2, 3, 5]);
    assert_eq!(opus::head_of_channel_config(0).expect("dual mono")[18..], [255, 2, 0, 0, 1]);
    assert_eq!(opus::head_of_channel_config(9), None);
    assert_eq!(opus::packet_samples(&[0xFB, 0x83]), Some(2880));
    assert_eq!(opus::packet_samples(&[0xFB, 0x3F]), None, "more than 120 ms");
}

#[test]
fn av1_units_come_with_their_record() {
    let header = hex("0a0b0000000cc4ff6736be4010");
    let key = [&[0x12, 0][..], &header, &[0x32, 2, 0x10, 1]].concat();
    let inter = [0x12, 0, 0x32, 2, 0x30, 1];
    let stream = || PacketStream::new(CodecId::Av1, None, 10_000);
    let found = run(stream(), &[&inter, &key, &inter, &key]);
    assert!(matches!(found[0], Found::Fault(StreamFault::NoConfig)));
    let kinds: Vec<_> = units(&found).iter().map(|unit| unit.0).collect();
    let inter = UnitKind::Frame { random_access: false };
    assert_eq!(kinds, [UnitKind::Config, FRAME, inter, FRAME]);
    assert_eq!(units(&found)[0].2, hex("81010c000a0b0000000cc4ff6736be4010"));
    let found = run(stream(), &[&[0x80; 20], &key]);
    assert!(matches!(found[0], Found::Fault(StreamFault::Malformed(_))));
}

#[test]
fn a_packet_longer_than_allowed_is_left_out() {
    let found = run(opus(), &[&[0x7F; 20_000], &[0x7F, 0xE0, 1, 0xF8]]);
    assert!(matches!(found[0], Found::Fault(StreamFault::TooLong)));
    assert_eq!(units(&found).len(), 2);
}
