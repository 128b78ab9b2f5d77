//! The time a frame was sent, carried inside the frame through any server.
//!
//! A stamp is a supplemental enhancement NAL unit of type user_data_unregistered (ITU-T H.264
//! 7.3.2.3 and D.1.7), in front of the slices of an H.264 frame in its FLV form:
//!
//! ```text
//!  length 4 | 06 | 05 | 28 | UUID 16 | time 16 hex digits | sequence 8 hex digits | 80
//! ```
//!
//! The numbers are digits, so no start code can arise and nothing has to be escaped.

use bytes::BufMut;
use memchr::memmem;

/// Bytes that [`write()`] appends.
pub const STAMP_BYTES: usize = 4 + 3 + UUID.len() + TIME_DIGITS + SEQUENCE_DIGITS + 1;

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the frame was given to the socket, in microseconds of `CLOCK_MONOTONIC`.
    pub sent_us: u64,
    /// Number of the frame in its stream, from 0.
    pub sequence: u32,
}

/// Appends the NAL unit with its 4-byte length.
pub fn write(stamp: Stamp, out: &mut Vec<u8>) {
    out.put_u32((STAMP_BYTES - 4) as u32);
    out.put_slice(&HEADER);
    out.put_slice(&UUID);
    put_hex(stamp.sent_us, TIME_DIGITS, out);
    put_hex(stamp.sequence.into(), SEQUENCE_DIGITS, out);
    out.put_u8(RBSP_TRAILING);
}

/// The stamp in an FLV video tag body (an RTMP video message): the first NAL unit, or one of the
/// few behind it, since servers may put parameter sets in front.
///
/// Cost: a look at the first NAL units; the picture is not read.
pub fn read(body: &[u8]) -> Option<Stamp> {
    let [head, AVC_NALU, _, _, _, ..] = *body else { return None };
    if head & 0x0F != CODEC_AVC {
        return None;
    }
    let mut rest = body.get(5..)?;
    for _ in 0..NAL_UNITS_LOOKED_AT {
        let (size, behind) = rest.split_first_chunk::<4>()?;
        let (unit, next) = behind.split_at_checked(u32::from_be_bytes(*size) as usize)?;
        if let Some(stamp) = read_unit(unit) {
            return Some(stamp);
        }
        rest = next;
    }
    None
}

/// The first stamp anywhere in some bytes, as in a container whose frames are not taken apart.
///
/// Cost: a search through the bytes in front of it.
pub fn find(bytes: &[u8]) -> Option<Stamp> {
    let at = memmem::find(bytes, &UUID)?.checked_sub(HEADER.len())?;
    read_unit(bytes.get(at..)?)
}

fn read_unit(unit: &[u8]) -> Option<Stamp> {
    let digits = unit.strip_prefix(&HEADER)?.strip_prefix(&UUID)?;
    let (time, sequence) = digits.split_at_checked(TIME_DIGITS)?;
    let sequence = sequence.get(..SEQUENCE_DIGITS)?;
    Some(Stamp { sent_us: hex(time)?, sequence: u32::try_from(hex(sequence)?).ok()? })
}

fn put_hex(value: u64, digits: usize, out: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        let nibble = (value >> (4 * digit)) & 0xF;
        out.extend(char::from_digit(nibble as u32, 16).map(|digit| digit as u8));
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value: u64, digit| {
        Some(value << 4 | u64::from(char::from(*digit).to_digit(16)?))
    })
}

/// NAL unit type 6 (SEI), payload type 5 (user_data_unregistered), payload size 40.
const HEADER: [u8; 3] = [0x06, 0x05, (UUID.len() + TIME_DIGITS + SEQUENCE_DIGITS) as u8];
/// Ours; made once at random (RFC 9562 version 4).
const UUID: [u8; 16] = *b"\x8e\x5c\x1b\x3f\x9a\x7d\x4e\x62\xb4\x71\x2d\xc6\x5f\xa3\xe8\x94";
const TIME_DIGITS: usize = 16;
const SEQUENCE_DIGITS: usize = 8;
const RBSP_TRAILING: u8 = 0x80;
/// AVCPacketType of coded frames, and CodecID, in an FLV video tag (Annex E.4.3.1).
const AVC_NALU: u8 = 1;
const CODEC_AVC: u8 = 7;
const NAL_UNITS_LOOKED_AT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(units: &[&[u8]]) -> Vec<u8> {
        let mut body = vec![0x17, AVC_NALU, 0, 0, 0];
        for unit in units {
            body.put_u32(unit.len() as u32);
            body.put_slice(unit);
        }
        body
    }

    fn stamped(stamp: Stamp) -> Vec<u8> {
        let mut unit = Vec::new();
        write(stamp, &mut unit);
        unit
    }

    const STAMP: Stamp = Stamp { sent_us: 0x0123_4567_89AB, sequence: 42 };

    #[test]
    fn a_stamp_survives_in_front_of_the_slices_and_behind_parameter_sets() {
        let unit = stamped(STAMP);
        assert_eq!(unit.len(), STAMP_BYTES);
        let unit = &unit[4..];
        assert_eq!(read(&frame(&[unit, b"\x65slice"])), Some(STAMP));
        assert_eq!(read(&frame(&[b"\x67sps", b"\x68pps", unit, b"\x65slice"])), Some(STAMP));
        let last = Stamp { sent_us: u64::MAX, sequence: u32::MAX };
        assert_eq!(read(&frame(&[&stamped(last)[4..]])), Some(last));
    }

    #[test]
    fn a_stamp_is_found_anywhere() {
        let unit = stamped(STAMP);
        assert_eq!(find(&[b"in front", &unit[..], b"behind"].concat()), Some(STAMP));
        assert_eq!(find(&unit[..unit.len() - 2]), None);
        assert_eq!((find(&UUID), find(b"")), (None, None));
    }

    #[test]
    fn no_start_code_can_arise_in_a_stamp() {
        let unit = stamped(Stamp { sent_us: 0, sequence: 0 });
        assert!(!unit[4..].windows(3).any(|bytes| bytes[..2] == [0, 0] && bytes[2] <= 3));
    }

    #[test]
    fn what_is_not_stamped_or_cut_off_has_no_stamp() {
        let whole = frame(&[&stamped(STAMP)[4..], b"\x65slice"]);
        for length in 0..9 + STAMP_BYTES - 4 {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
        assert_eq!(read(&frame(&[b"\x65slice"])), None);
        assert_eq!(read(b"\x27\x00\x00\x00\x00record"), None);
        let mut hevc = whole.clone();
        hevc[0] = 0x1C;
        assert_eq!(read(&hevc), None);
        let mut huge = whole;
        huge[5] = 0xFF;
        assert_eq!(read(&huge), None);
    }
}
