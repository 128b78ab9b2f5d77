use super::*;
use crate::container::mpegts::PACKET_SIZE;

/// The PAT of tests/data/h264_aac.ts: program 1 with its PMT on PID 0x1000.
const PAT: [u8; 16] =
    [0x00, 0xB0, 0x0D, 0x00, 0x01, 0xC1, 0, 0, 0x00, 0x01, 0xF0, 0x00, 0x2A, 0xB1, 0x04, 0xB2];

/// Packets of PID 0 with these payloads; a payload that starts with `Some` has a pointer_field.
fn packets(payloads: &[(Option<u8>, &[u8])]) -> Vec<[u8; PACKET_SIZE]> {
    let packet = |(number, (pointer, payload)): (usize, &(Option<u8>, &[u8]))| {
        let mut packet = vec![0x47, if pointer.is_some() { 0x40 } else { 0 }, 0];
        packet.push(0x10 | number as u8 & 0x0F);
        packet.extend(*pointer);
        packet.extend_from_slice(payload);
        packet.resize(PACKET_SIZE, 0xFF);
        packet.try_into().expect("188 bytes")
    };
    payloads.iter().enumerate().map(packet).collect()
}

fn assemble(packets: &[[u8; PACKET_SIZE]]) -> Vec<Result<Vec<u8>, SectionFault>> {
    let mut assembler = SectionAssembler::default();
    let mut found = Vec::new();
    for packet in packets {
        let packet = Packet::new(packet);
        assembler.push(packet, |section| found.push(section.map(|s| s.bytes().to_vec())));
        assert!(assembler.pending.len() < SECTION_BYTES_MAX + PACKET_SIZE);
    }
    found
}

/// A section of 1,000 bytes with a right CRC.
fn long_section(version: u8) -> Vec<u8> {
    let mut section = vec![0x42, 0xF3, 0xE5, 0, 1, 0xC1 | version << 1, 0, 0];
    section.resize(996, version);
    section.extend(crc32b(&section).to_be_bytes());
    section
}

#[test]
fn fields_of_a_section_are_found() {
    let found = assemble(&packets(&[(Some(0), &PAT)]));
    assert_eq!(found, [Ok(PAT.to_vec())]);
    let section = Section(&PAT);
    assert_eq!((section.table_id(), section.table_id_extension()), (0, 1));
    assert_eq!((section.version(), section.number(), section.last_number()), (0, 0, 0));
    assert!(section.has_long_form() && section.is_current());
    assert_eq!(section.crc(), 0x2AB1_04B2);
    assert_eq!(Section(&[]).version(), 0);
}

#[test]
fn several_sections_in_a_packet_and_one_over_several_packets_are_found() {
    let long = long_section(1);
    let mut stream = PAT.to_vec();
    stream.extend(&long);
    stream.extend(PAT);
    // The long section starts in the first packet, ends in the sixth, and a PAT follows it there.
    let ends_in = 1000 - (183 - 16) - 4 * 184;
    let payloads = [
        (Some(0), &stream[..183]),
        (None, &stream[183..367]),
        (None, &stream[367..551]),
        (None, &stream[551..735]),
        (None, &stream[735..919]),
        (Some(ends_in as u8), &stream[919..]),
    ];
    let expected = [Ok(PAT.to_vec()), Ok(long), Ok(PAT.to_vec())];
    assert_eq!(assemble(&packets(&payloads)), expected);
}

#[test]
fn a_section_may_start_with_the_last_byte_of_a_packet() {
    for split in 1..PAT.len() {
        let pointer = (183 - split) as u8;
        let mut first = vec![0xFF; usize::from(pointer)];
        first.extend(&PAT[..split]);
        let found = assemble(&packets(&[(Some(pointer), &first), (None, &PAT[split..])]));
        assert_eq!(found, [Ok(PAT.to_vec())], "split at {split}");
        let next = [&PAT[split..], &PAT].concat();
        let next_pointer = (PAT.len() - split) as u8;
        let found = assemble(&packets(&[(Some(pointer), &first), (Some(next_pointer), &next)]));
        assert_eq!(found, [Ok(PAT.to_vec()), Ok(PAT.to_vec())], "split at {split}");
    }
}

#[test]
fn every_flip_of_a_bit_is_a_wrong_crc_or_a_wrong_length() {
    for bit in 0..PAT.len() * 8 {
        let mut damaged = PAT;
        damaged[bit / 8] ^= 0x80 >> (bit % 8);
        let found = assemble(&packets(&[(Some(0), &damaged), (Some(0), &PAT)]));
        assert!(!found.contains(&Ok(damaged.to_vec())) || bit == 8, "bit {bit}");
        assert_eq!(found.last(), Some(&Ok(PAT.to_vec())), "bit {bit}");
    }
}

#[test]
fn a_lost_packet_cuts_the_section_and_a_doubled_one_does_not() {
    let long = long_section(2);
    let payloads: Vec<_> = std::iter::once((Some(0), &long[..183]))
        .chain(long[183..].chunks(184).map(|chunk| (None, chunk)))
        .collect();
    let all = packets(&payloads);
    let doubled: Vec<_> = all.iter().flat_map(|packet| [*packet, *packet]).collect();
    assert_eq!(assemble(&doubled), [Ok(long)]);
    for lost in 1..all.len() - 1 {
        let mut damaged = all.clone();
        damaged.remove(lost);
        assert_eq!(assemble(&damaged), [Err(SectionFault::Cut)], "packet {lost}");
    }
}

#[test]
fn pointers_lengths_and_scrambling_that_cannot_be_are_told() {
    let pointer = assemble(&packets(&[(Some(183), &PAT), (Some(255), &PAT)]));
    assert_eq!(pointer, [Err(SectionFault::Pointer)]);
    let too_long = assemble(&packets(&[(Some(0), &[0x42, 0xBF, 0xFF, 0, 0])]));
    assert_eq!(too_long, [Err(SectionFault::Length)]);
    let too_short = assemble(&packets(&[(Some(0), &[0x00, 0xB0, 0x05, 1, 2, 3, 4, 5])]));
    assert_eq!(too_short, [Err(SectionFault::Length)]);
    let mut scrambled = packets(&[(Some(0), &PAT)]);
    scrambled[0][3] |= 0x80;
    assert_eq!(assemble(&scrambled), [Err(SectionFault::Scrambled)]);
    // 64 KiB of section, as far as the length field lets it: 4,095 + 3 bytes, never completed.
    let endless: Vec<_> = (0..400).map(|_| (None, &[0x55; 184][..])).collect();
    let start = [(Some(0), &[0x42, 0xBF, 0xFD, 0, 0][..])];
    assert_eq!(assemble(&packets(&[&start[..], &endless].concat())), [Err(SectionFault::Crc)]);
}
