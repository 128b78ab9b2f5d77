//! Codes that repair and find errors (EN 300 706 8.1 to 8.3). The first bit that is sent is the lowest.

/// The four bits of a byte of Hamming 8/4; one wrong bit is repaired, two are found.
///
/// ```text
/// | D4 | P4 | D3 | P3 | D2 | P2 | D1 | P1 |
/// ```
pub(super) fn nibble(byte: u8) -> Option<u8> {
    let is_near = |word: &u8| (word ^ byte).count_ones() <= 1;
    NIBBLES.iter().position(is_near).map(|value| value as u8)
}

/// The 18 bits of three bytes of Hamming 24/18; one wrong bit is repaired, two are found.
///
/// Bits are numbered from 1. Those whose number is a power of two, and the last one, are protection;
/// the numbers of the bits that are set add up, without carry, to 31.
pub(super) fn triplet(bytes: [u8; 3]) -> Option<u32> {
    let [low, middle, high] = bytes.map(u32::from);
    let word = low | middle << 8 | high << 16;
    let sum = (1..24).filter(|bit| word >> (bit - 1) & 1 == 1).fold(31, |sum, bit| sum ^ bit);
    let is_whole = word.count_ones() % 2 == 1;
    let word = match (sum, is_whole) {
        (0, _) => word,
        (1..24, false) => word ^ 1 << (sum - 1),
        _ => return None,
    };
    Some(word >> 2 & 0x1 | word >> 3 & 0xE | word >> 4 & 0x7F0 | word >> 5 & 0x3_F800)
}

/// The seven bits of a byte with odd parity.
pub(super) fn odd(byte: u8) -> Option<u8> {
    (byte.count_ones() % 2 == 1).then_some(byte & 0x7F)
}

const NIBBLES: [u8; 16] = [
    0x15, 0x02, 0x49, 0x5E, 0x64, 0x73, 0x38, 0x2F, 0xD0, 0xC7, 0x8C, 0x9B, 0xA1, 0xB6, 0xFD, 0xEA,
];

#[cfg(test)]
mod tests {
    use super::super::tests::encoder;
    use super::*;

    #[test]
    fn a_wrong_bit_is_repaired_and_two_are_found() {
        for value in 0..16 {
            let byte = encoder::nibble(value);
            assert_eq!(nibble(byte), Some(value));
            for bit in 0..8 {
                assert_eq!(nibble(byte ^ 1 << bit), Some(value));
                for other in (0..8).filter(|other| *other != bit) {
                    assert_eq!(nibble(byte ^ 1 << bit ^ 1 << other), None);
                }
            }
        }
        for value in [0, 1, 0x3_FFFF, 0x2_A5A5, 0x1_0F0F] {
            let bytes = encoder::triplet(value);
            assert_eq!(triplet(bytes), Some(value), "{value:x}");
            let flipped = |bits: &[usize]| {
                let mut bytes = bytes;
                bits.iter().for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8));
                triplet(bytes)
            };
            for bit in 0..24 {
                assert_eq!(flipped(&[bit]), Some(value), "{value:x}, bit {bit}");
                for other in (0..24).filter(|other| *other != bit) {
                    assert_eq!(flipped(&[bit, other]), None, "{value:x}, bits {bit} and {other}");
                }
            }
        }
        assert_eq!((odd(0xC1), odd(0x41), odd(0x80)), (Some(0x41), None, Some(0)));
    }
}
