//! NAL units in a byte stream with start codes (ISO/IEC 14496-10 Annex B, also of H.265 and H.266),
//! and the same units with lengths in front, as MP4 and FLV have them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// Bytes of the length in front of each unit that [`to_length_prefixed`] writes.
pub const NAL_LENGTH_SIZE: usize = 4;

/// Position of the next 00 00 01 at or behind `from`; the NAL unit starts three bytes further.
///
/// Cost: one pass with vector instructions.
pub fn find_start_code(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.checked_add(2)?;
    loop {
        at += memchr(1, bytes.get(at..)?)?;
        if bytes.get(at - 2..at) == Some(&[0, 0]) {
            return Some(at - 2);
        }
        at += 1;
    }
}

/// Position behind the last byte that is not zero, at or in front of `end`, not in front of
/// `start`: zeros in front of a start code belong to it, and none ends a NAL unit (7.4.1).
pub fn trim_zeros(bytes: &[u8], start: usize, end: usize) -> usize {
    let unit = bytes.get(start..end).unwrap_or_default();
    start + unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// The NAL units at `units`, in order and without overlap, with a 32-bit length in front of each
/// instead of what is between them.
///
/// Cost: where four bytes in front of each unit are free, as start codes and left out units make
/// them, the last unit stays where it is and the ones in front of it move up to it; nothing is
/// allocated. Otherwise one copy.
pub fn to_length_prefixed(mut bytes: BytesMut, units: &[Range<usize>]) -> Bytes {
    let size: usize = units.iter().map(|unit| NAL_LENGTH_SIZE + unit.len()).sum();
    let Some(end) = units.last().map(|last| last.end) else {
        return Bytes::new();
    };
    let (Some(start), true) = (end.checked_sub(size), has_room(units)) else {
        return copy_length_prefixed(&bytes, units, size);
    };
    let mut to = end;
    for unit in units.iter().rev() {
        let length = unit.len();
        to -= length;
        if to != unit.start {
            bytes.copy_within(unit.clone(), to);
        }
        to -= NAL_LENGTH_SIZE;
        if let Some(field) = bytes.get_mut(to..to + NAL_LENGTH_SIZE) {
            field.copy_from_slice(&(length as u32).to_be_bytes());
        }
    }
    bytes.freeze().slice(start..end)
}

/// True when moving the units up never overwrites one that has not been moved.
fn has_room(units: &[Range<usize>]) -> bool {
    let mut to = units.last().map_or(0, |last| last.end);
    units.iter().rev().all(|unit| {
        let is_free = unit.end <= to && unit.len() + NAL_LENGTH_SIZE <= to;
        to = to.saturating_sub(unit.len() + NAL_LENGTH_SIZE);
        is_free
    })
}

fn copy_length_prefixed(bytes: &[u8], units: &[Range<usize>], size: usize) -> Bytes {
    let mut copy = BytesMut::with_capacity(size);
    for unit in units {
        let unit = bytes.get(unit.clone()).unwrap_or_default();
        copy.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        copy.extend_from_slice(unit);
    }
    copy.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units of a stream and their conversion.
    fn convert(stream: &[u8]) -> Vec<u8> {
        let mut units = Vec::new();
        let mut next = find_start_code(stream, 0);
        while let Some(at) = next {
            next = find_start_code(stream, at + 3);
            units.push(at + 3..trim_zeros(stream, at + 3, next.unwrap_or(stream.len())));
        }
        let copied = copy_length_prefixed(stream, &units, 0);
        let converted = to_length_prefixed(BytesMut::from(stream), &units);
        assert_eq!(converted, copied);
        converted.to_vec()
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_become_lengths() {
        let four = [0, 0, 0, 1, 9, 8, 0, 0, 0, 1, 7];
        assert_eq!(convert(&four), [0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 7]);
        let mixed = [0, 0, 0, 1, 9, 8, 0, 0, 1, 7, 7, 7, 0, 0, 0, 0, 1, 5];
        assert_eq!(convert(&mixed), [0, 0, 0, 2, 9, 8, 0, 0, 0, 3, 7, 7, 7, 0, 0, 0, 1, 5]);
        let three = [0, 0, 1, 9, 0, 0, 1, 8, 0, 0, 1, 7];
        assert_eq!(convert(&three), [0, 0, 0, 1, 9, 0, 0, 0, 1, 8, 0, 0, 0, 1, 7]);
    }

    #[test]
    fn a_single_unit_behind_a_left_out_one_is_not_moved() {
        let stream = BytesMut::from(&[0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 1, 2, 3][..]);
        let unit_at = stream[9..].as_ptr();
        let converted = to_length_prefixed(stream, std::slice::from_ref(&(9..13)));
        assert_eq!(converted, &[0, 0, 0, 4, 0x41, 1, 2, 3][..]);
        assert_eq!(converted[4..].as_ptr(), unit_at);
    }

    #[test]
    fn start_codes_are_found_at_every_place_and_only_there() {
        for at in 0..300 {
            let mut bytes = vec![1; 300];
            if let Some(zeros) = bytes.get_mut(at..at + 2) {
                zeros.fill(0);
                let expected = (at + 2 < 300).then_some(at);
                assert_eq!(find_start_code(&bytes, 0), expected);
                assert_eq!(find_start_code(&bytes, at), expected);
                assert_eq!(find_start_code(&bytes, at + 1), None);
            }
        }
        assert_eq!(find_start_code(&[0, 0], 0), None);
        assert_eq!(find_start_code(&[], usize::MAX), None);
    }

    #[test]
    fn nothing_becomes_nothing() {
        assert!(to_length_prefixed(BytesMut::new(), &[]).is_empty());
        assert!(convert(&[0, 0, 0, 0]).is_empty());
    }
}
