//! PTS, DTS and PCR base count 90 kHz in 33 bits and wrap every 26.5 hours (ISO/IEC 13818-1
//! 2.4.3.5, 2.4.3.7). Here they become the 64-bit timeline, and the other way round.

/// Ticks of 90 kHz after which a 33-bit time wraps.
pub const WRAP_TICKS: i64 = 1 << 33;

/// The 33 bits of a time on the 64-bit timeline; times before zero wrap as well.
pub const fn wrap(ticks: i64) -> u64 {
    ticks.rem_euclid(WRAP_TICKS) as u64
}

/// Ticks from `earlier` to `later`, both 33-bit times, the shorter way around the wrap: negative
/// when `later` is in truth behind, by less than 13 hours.
pub const fn difference(later: u64, earlier: u64) -> i64 {
    let forward = (later as i64).wrapping_sub(earlier as i64).rem_euclid(WRAP_TICKS);
    if forward < WRAP_TICKS / 2 { forward } else { forward - WRAP_TICKS }
}

/// The point on the 64-bit timeline nearest to `reference` whose 33 bits are `time`.
pub const fn unwrap_near(time: u64, reference: i64) -> i64 {
    reference.saturating_add(difference(time, wrap(reference)))
}

/// Follows one 33-bit clock over its wraps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    /// The time on the 64-bit timeline: nearest to the one before; the first one as it is.
    pub fn unwrap(&mut self, time: u64) -> i64 {
        let reference = self.last.unwrap_or(wrap(time as i64) as i64);
        let unwrapped = unwrap_near(time, reference);
        self.last = Some(unwrapped);
        unwrapped
    }

    /// The last time, `None` before the first one.
    pub fn last(&self) -> Option<i64> {
        self.last
    }
}

/// Reads the five bytes of a PTS or DTS; the marker bits and the prefix are not checked, because
/// senders get them wrong and the time is right all the same.
///
/// ```text
/// | 4 prefix | 3 time | 1 | 15 time | 1 | 15 time | 1 |
/// ```
pub fn parse(field: &[u8]) -> Option<u64> {
    let &[b0, b1, b2, b3, b4] = field.first_chunk()?;
    let high = u64::from(b0 >> 1 & 0x07);
    let middle = u64::from(u16::from_be_bytes([b1, b2]) >> 1);
    let low = u64::from(u16::from_be_bytes([b3, b4]) >> 1);
    Some(high << 30 | middle << 15 | low)
}

/// The five bytes of a PTS or DTS. `prefix` is 0010 for a PTS alone, 0011 for a PTS in front of a
/// DTS and 0001 for that DTS.
pub const fn to_bytes(prefix: u8, time: u64) -> [u8; 5] {
    [
        prefix << 4 | (time >> 29) as u8 & 0x0E | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_goes_on_and_a_step_back_goes_back() {
        let mut clock = Unwrapper::default();
        let near_wrap = (1 << 33) - 10;
        assert_eq!(clock.unwrap(near_wrap as u64), near_wrap);
        assert_eq!(clock.unwrap(5), (1 << 33) + 5);
        assert_eq!(clock.unwrap(near_wrap as u64), near_wrap);
        assert_eq!(clock.last(), Some(near_wrap));
    }

    #[test]
    fn seventy_two_virtual_hours_of_pictures_stay_in_step() {
        let mut clock = Unwrapper::default();
        for picture in 0..72 * 3600 * 5_i64 {
            let ticks = picture * 18_000 + 8_589_000_000;
            assert_eq!(clock.unwrap(wrap(ticks)), ticks);
        }
    }

    #[test]
    fn differences_take_the_shorter_way() {
        assert_eq!(difference(5, (1 << 33) - 5), 10);
        assert_eq!(difference((1 << 33) - 5, 5), -10);
        assert_eq!(difference(1 << 32, 0), -(1 << 32));
        assert_eq!(unwrap_near(7, -20), 7);
        assert_eq!(wrap(-1), (1 << 33) - 1);
        assert_eq!(difference(u64::MAX, 0), -1);
        let _ = unwrap_near(u64::MAX, i64::MAX);
    }

    #[test]
    fn the_five_bytes_are_read_and_written_as_the_table_says() {
        // The first picture of tests/data/h264_aac.ts has PTS 133,200 in front of DTS 126,000.
        assert_eq!(to_bytes(0b0010, 126_000), [0x21, 0x00, 0x07, 0xD8, 0x61]);
        assert_eq!(to_bytes(0b0011, 133_200), [0x31, 0x00, 0x09, 0x10, 0xA1]);
        assert_eq!(to_bytes(0b0001, 126_000), [0x11, 0x00, 0x07, 0xD8, 0x61]);
        for shift in 0..33 {
            let time = (1u64 << shift) | 1;
            assert_eq!(parse(&to_bytes(2, time)), Some(time));
        }
        assert_eq!(parse(&[0x21, 0, 7, 0xD8]), None);
    }
}
