//! Writes teletext as a broadcaster does (ETSI EN 300 706, EN 300 472). Only `std`: tests of other
//! crates take this file by its path.
#![allow(dead_code, unreachable_pub, reason = "every test uses another part of this file")]

/// Control bits of a header.
pub const C4_ERASE: u16 = 1 << 4;
pub const C5_NEWSFLASH: u16 = 1 << 5;
pub const C6_SUBTITLE: u16 = 1 << 6;
pub const C10_INHIBIT: u16 = 1 << 10;
pub const C11_SERIAL: u16 = 1 << 11;

/// Control bits C12 to C14 of a national option, 0 to 7.
pub const fn option(number: u16) -> u16 {
    (number >> 2 & 1) << 12 | (number >> 1 & 1) << 13 | (number & 1) << 14
}

/// A packet: magazine 1 to 8, its number, and 40 bytes.
pub fn packet(magazine: u8, number: u8, data: [u8; 40]) -> Vec<u8> {
    let address = magazine & 7 | number << 3;
    [&[nibble(address & 15), nibble(address >> 4)][..], &data].concat()
}

/// The header of page 0x100 to 0x8FF, with control bits by their numbers.
pub fn header(page: u16, control: u16) -> Vec<u8> {
    let bits = |from: u32, count: u32| (control >> from & ((1 << count) - 1)) as u8;
    let fields = [
        (page & 15) as u8,
        (page >> 4 & 15) as u8,
        0,
        bits(4, 1) << 3,
        0,
        bits(5, 2) << 2,
        bits(7, 4),
        bits(11, 4),
    ];
    let mut data = [odd(b' '); 40];
    fields.iter().zip(&mut data).for_each(|(field, byte)| *byte = nibble(*field));
    packet((page >> 8) as u8, 0, data)
}

/// A row of a page, of codes of seven bits; spaces behind them.
pub fn row(page: u16, number: u8, codes: &[u8]) -> Vec<u8> {
    let mut data = [odd(b' '); 40];
    codes.iter().zip(&mut data).for_each(|(code, byte)| *byte = odd(*code));
    packet((page >> 8) as u8, number, data)
}

/// The codes of a text in a box, in double height, as subtitles are.
pub fn boxed(codes: &[u8]) -> Vec<u8> {
    [&[0x0D, 0x0B, 0x0B][..], codes, &[0x0A, 0x0A]].concat()
}

/// Packet 26 of a page with triplets of address, mode and data.
pub fn enhancements(page: u16, triplets: &[(u8, u8, u8)]) -> Vec<u8> {
    let words = triplets.iter().map(|(address, mode, data)| {
        u32::from(*address) | u32::from(*mode) << 6 | u32::from(*data) << 11
    });
    let end = 63 | 0x1F << 6;
    of_triplets(page, 26, 0, words.chain(std::iter::repeat(end)))
}

/// Packet 28 of a page or 29 of its magazine: region and option of the first and second set.
pub fn designation(page: u16, number: u8, first: u32, second: u32) -> Vec<u8> {
    let words = [first << 7 | (second & 0xF) << 14, second >> 4];
    of_triplets(page, number, 0, words.into_iter().chain(std::iter::repeat(0)))
}

fn of_triplets(page: u16, number: u8, code: u8, words: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut data = [0; 40];
    data[0] = nibble(code);
    for (place, word) in data[1..].chunks_mut(3).zip(words) {
        place.copy_from_slice(&triplet(word));
    }
    packet((page >> 8) as u8, number, data)
}

/// The payload of a PES packet: data units of these packets, filled up to whole transport packets
/// behind a PES header of 45 bytes (EN 300 472 4.2).
pub fn payload(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![0x10];
    for (packet, line) in packets.iter().zip((7..23).cycle()) {
        payload.extend([0x03, 44, 0xE0 | line, 0xE4]);
        payload.extend(packet.iter().map(|byte| byte.reverse_bits()));
    }
    while payload.len() < 139 || !(payload.len() + 45).is_multiple_of(184) {
        payload.extend([0xFF, 44]);
        payload.resize(payload.len() + 44, 0xFF);
    }
    payload
}

/// A whole PES packet with such a payload.
pub fn pes(pts: u64, packets: &[Vec<u8>]) -> Vec<u8> {
    let payload = payload(packets);
    let mut pes = vec![0, 0, 1, 0xBD];
    pes.extend((payload.len() as u16 + 39).to_be_bytes());
    pes.extend([0x84, 0x80, 0x24]);
    pes.extend([
        0x21 | (pts >> 29) as u8 & 0x0E,
        (pts >> 22) as u8,
        (pts >> 14) as u8 | 1,
        (pts >> 7) as u8,
        (pts << 1) as u8 | 1,
    ]);
    pes.resize(45, 0xFF);
    pes.extend(payload);
    pes
}

/// Hamming 8/4 (8.2): each protection bit makes the parity of its data bits odd, the last one that of
/// all.
pub fn nibble(value: u8) -> u8 {
    let bit = |at: u8| value >> at & 1;
    let (d1, d2, d3, d4) = (bit(0), bit(1), bit(2), bit(3));
    let (p1, p2, p3) = (1 ^ d1 ^ d3 ^ d4, 1 ^ d1 ^ d2 ^ d4, 1 ^ d1 ^ d2 ^ d3);
    let byte = p1 | d1 << 1 | p2 << 2 | d2 << 3 | p3 << 4 | d3 << 5 | d4 << 7;
    byte | (1 ^ (byte.count_ones() & 1) as u8) << 6
}

/// Hamming 24/18 (8.3).
pub fn triplet(value: u32) -> [u8; 3] {
    let mut word = 0_u32;
    let data_bits = (1..24).filter(|bit: &u32| !bit.is_power_of_two());
    for (at, bit) in data_bits.enumerate() {
        word |= (value >> at & 1) << (bit - 1);
    }
    for group in 0..5 {
        let of_group = (1..24).filter(|bit: &u32| bit >> group & 1 == 1);
        let ones: u32 = of_group.map(|bit| word >> (bit - 1) & 1).sum();
        word |= (1 ^ ones & 1) << ((1 << group) - 1);
    }
    word |= (1 ^ word.count_ones() & 1) << 23;
    let [low, middle, high, _] = word.to_le_bytes();
    [low, middle, high]
}

/// Odd parity in the highest bit.
pub fn odd(code: u8) -> u8 {
    code | (1 ^ (code.count_ones() & 1) as u8) << 7
}
