use super::*;
use crate::container::mpegts::PACKET_SIZE;

// The PES header of the first picture of tests/data/h264_aac.ts: PTS 133,200, DTS 126,000.
const HEADER: [u8; 19] = [
    0, 0, 1, 0xE0, 0, 0, 0x80, 0xC0, 0x0A, 0x31, 0x00, 0x09, 0x10, 0xA1, 0x11, 0x00, 0x07, 0xD8,
    0x61,
];

/// Packets of one PID whose payloads are these; `true` starts a unit. Short payloads are led by an
/// adaptation field.
fn packets(payloads: &[(bool, &[u8])]) -> Vec<[u8; PACKET_SIZE]> {
    let packet = |(number, (starts, payload)): (usize, &(bool, &[u8]))| {
        let mut packet = vec![0x47, if *starts { 0x41 } else { 1 }, 0];
        if payload.len() == 184 {
            packet.push(0x10 | number as u8 & 0x0F);
        } else {
            packet.push(0x30 | number as u8 & 0x0F);
            packet.push((183 - payload.len()) as u8);
            packet.resize(PACKET_SIZE - payload.len(), 0);
        }
        packet.extend_from_slice(payload);
        packet.try_into().expect("188 bytes")
    };
    payloads.iter().enumerate().map(packet).collect()
}

/// What a reader hands out, data joined.
fn read(payloads: &[(bool, &[u8])]) -> Vec<String> {
    let mut reader = Reader::default();
    let mut found = Vec::new();
    let mut data = Vec::new();
    for packet in packets(payloads) {
        reader.push(Packet::new(&packet), |part| match part {
            Part::Data(bytes) => data.extend_from_slice(bytes),
            Part::Start(header) => found.push(format!("start {:?}", header.payload_size)),
            Part::End => found.push(format!("end {}", std::mem::take(&mut data).len())),
            Part::Fault(fault) => found.push(format!("{fault:?}")),
        });
        assert!(reader.header.len() <= 264 + PACKET_SIZE);
    }
    found
}

#[test]
fn the_header_tells_times_and_flags() {
    let (header, size) = Header::parse(&HEADER).expect("a header").expect("all of it");
    let expected =
        Header { stream_id: 0xE0, pts: Some(133_200), dts: Some(126_000), ..Header::default() };
    assert_eq!((header, size), (expected, 19));
    assert_eq!(header.decoding_time(), Some(126_000));
    let mut flags = HEADER;
    flags[6] = 0xA4;
    flags[5] = 20;
    let (header, _) = Header::parse(&flags).expect("a header").expect("all of it");
    assert!(header.is_aligned && header.is_scrambled);
    assert_eq!(header.payload_size, Some(7));
}

#[test]
fn a_header_is_read_when_it_is_complete_wherever_it_is_cut() {
    for end in 0..HEADER.len() {
        assert_eq!(Header::parse(&HEADER[..end]), Ok(None), "cut at {end}");
    }
    let mut body = HEADER.to_vec();
    body.extend([7; 100]);
    for split in 1..HEADER.len() + 10 {
        let found = read(&[(true, &body[..split]), (false, &body[split..]), (true, &HEADER)]);
        assert_eq!(found, ["start None", "end 100", "start None"], "split at {split}");
    }
}

#[test]
fn headers_that_contradict_themselves_are_told() {
    for (at, value, fault) in [
        (0, 1, Fault::StartCode),
        (2, 2, Fault::StartCode),
        (6, 0x40, Fault::Header),
        (5, 12, Fault::Header),
    ] {
        let mut bytes = HEADER;
        bytes[at] = value;
        assert_eq!(Header::parse(&bytes), Err(fault), "byte {at}");
    }
    let no_room = [0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 3, 0x21, 0, 7];
    assert_eq!(Header::parse(&no_room), Err(Fault::Header));
    let private = [0, 0, 1, 0xBF, 0, 2, 5, 5];
    let (header, size) = Header::parse(&private).expect("a header").expect("all of it");
    assert_eq!((header.payload_size, header.pts, size), (Some(2), None, 6));
}

#[test]
fn an_announced_size_ends_the_packet_and_what_follows_is_left_out() {
    let mut bytes = HEADER.to_vec();
    bytes[5] = 13 + 150;
    bytes.extend([1; 165]);
    assert_eq!(read(&[(true, &bytes), (false, &[2; 184])]), ["start Some(150)", "end 150"]);
    bytes[4] = 1; // 256 more
    let found = read(&[(true, &bytes), (false, &[2; 184]), (true, &HEADER)]);
    assert_eq!(found, ["start Some(406)", "Cut", "start None"]);
    let found = read(&[(true, &bytes), (false, &[2; 184]), (false, &[3; 57])]);
    assert_eq!(found, ["start Some(406)", "end 406"]);
}

#[test]
fn what_comes_before_the_first_start_and_after_a_loss_is_left_out() {
    assert!(read(&[(false, &[0; 184]), (false, &[1; 20])]).is_empty());
    let mut reader = Reader::default();
    let all = packets(&[(true, &HEADER), (false, &[1; 184]), (true, &HEADER)]);
    let mut count = 0;
    reader.push(Packet::new(&all[0]), |_| count += 1);
    assert!(reader.lose() && !reader.lose());
    reader.push(Packet::new(&all[1]), |_| count += 1);
    assert_eq!(count, 1);
    reader.push(Packet::new(&all[2]), |part| assert!(matches!(part, Part::Start(_))));
    reader.finish(|part| assert_eq!(part, Part::End));
}

#[test]
fn every_flip_of_a_bit_is_read_without_a_panic() {
    for bit in 0..HEADER.len() * 8 {
        let mut damaged = HEADER.to_vec();
        damaged[bit / 8] ^= 0x80 >> (bit % 8);
        let _ = Header::parse(&damaged);
        read(&[(true, &damaged), (false, &[1; 184]), (true, &HEADER)]);
    }
}
