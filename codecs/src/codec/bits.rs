//! Reading bit fields from bytes that cannot be trusted: past the end there is `None`.

/// Reads most-significant-bit-first fields (ISO/IEC 14496-10 7.2 and 9.1).
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An unsigned number of `count` bits, at most 32: u(n).
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count.min(32) {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// Like [`bits`](Self::bits), at most 8 of them.
    pub(super) fn u8(&mut self, count: u32) -> Option<u8> {
        u8::try_from(self.bits(count)?).ok()
    }

    /// One bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        let at = self.at.checked_add(count).filter(|&at| at <= self.bytes.len() * 8)?;
        self.at = at;
        Some(())
    }

    /// Passes over the bits up to the next whole byte.
    pub(super) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// Bits read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bytes, which may start at any bit.
    pub(super) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let (first, shift) = (self.at / 8, self.at % 8);
        self.skip(count.checked_mul(8)?)?;
        let bytes = self.bytes.get(first..)?;
        if shift == 0 {
            return bytes.get(..count).map(<[u8]>::to_vec);
        }
        let pairs = bytes.iter().zip(bytes.iter().skip(1)).take(count);
        Some(pairs.map(|(high, low)| high << shift | low >> (8 - shift)).collect())
    }

    /// Bits not read yet.
    pub(super) fn bits_left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// An unsigned Exp-Golomb number: ue(v); up to 2^32 - 2, as the specifications allow.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        // 31 bits at most: 2^31 - 1 + 2^31 - 1 fits.
        Some((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// A signed Exp-Golomb number: se(v).
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }

    /// Passes over `count` numbers of either Exp-Golomb kind.
    pub(super) fn skip_golomb(&mut self, count: u32) -> Option<()> {
        for _ in 0..count {
            self.ue()?;
        }
        Some(())
    }
}

/// Takes the emulation prevention bytes out of a NAL unit: 00 00 03 becomes 00 00
/// (ISO/IEC 14496-10 7.4.1.1).
pub(super) fn unescape(nal_unit: &[u8]) -> Vec<u8> {
    let mut rbsp = Vec::with_capacity(nal_unit.len());
    let mut zeros = 0;
    for &byte in nal_unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        rbsp.push(byte);
    }
    rbsp
}

/// Bytes at the front of a NAL unit that become `size` bytes without emulation prevention; `None` when it
/// is shorter.
pub(super) fn header_size(nal_unit: &[u8], size: usize) -> Option<usize> {
    let (mut zeros, mut left) = (0, size);
    for (at, &byte) in nal_unit.iter().enumerate() {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        if left == 0 {
            return Some(at);
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        left -= 1;
    }
    (left == 0).then_some(nal_unit.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_numbers_follow_the_table_of_the_specification() {
        // ISO/IEC 14496-10 table 9-2 and 9-3: 1 | 010 | 011 | 00100 | 00101, then padding.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut unsigned = BitReader::new(&bytes);
        let values: Vec<_> = (0..5).map(|_| unsigned.ue()).collect();
        assert_eq!(values, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
        let mut signed = BitReader::new(&bytes);
        let values: Vec<_> = (0..5).map(|_| signed.se()).collect();
        assert_eq!(values, [Some(0), Some(1), Some(-1), Some(2), Some(-2)]);
    }

    #[test]
    fn reading_past_the_end_is_none_and_stays_none() {
        let mut reader = BitReader::new(&[0xFF]);
        assert_eq!(reader.bits(9), None);
        let mut reader = BitReader::new(&[0xFF]);
        assert_eq!(reader.skip(9), None);
        assert_eq!(reader.skip(8), Some(()));
        assert_eq!(reader.flag(), None);
        assert_eq!(reader.bits_left(), 0);
    }

    #[test]
    fn an_exp_golomb_prefix_longer_than_32_bits_is_refused() {
        assert_eq!(BitReader::new(&[0; 16]).ue(), None);
        assert_eq!(BitReader::new(&[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]).ue(), Some(u32::MAX - 1));
    }

    #[test]
    fn only_a_3_behind_two_zeros_is_taken_out() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 3, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 3, 0, 0, 0, 0]);
    }
}
