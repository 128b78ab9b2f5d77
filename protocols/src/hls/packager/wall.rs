//! When a point of the timeline was on air (EXT-X-PROGRAM-DATE-TIME).
//!
//! The first frame after each discontinuity was received at the time that it was received, and from
//! then on the date goes on with the stream's time, so that dates and durations agree. A sender's
//! clock is not ours: when the date is more than a second away from what we see, it runs one per
//! cent faster or slower until it is right to a tenth of a second; when it is ten seconds away, it
//! jumps.

/// From stream time to the date.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wall {
    /// A point of the timeline in ticks, and its date in microseconds since 1970.
    anchor: Option<(i64, u64)>,
    is_slewing: bool,
}

impl Wall {
    /// The date of a segment that begins with a frame received at `received_us`. Times do not go
    /// back.
    pub(super) fn segment(&mut self, time: i64, received_us: u64) -> u64 {
        let Some((anchor_time, _)) = self.anchor else {
            self.anchor = Some((time, received_us));
            return received_us;
        };
        let expected_us = self.at(time);
        let behind_us = i128::from(received_us) - i128::from(expected_us);
        let behind_us = behind_us.clamp(-i128::from(FAR_US), FAR_US.into()) as i64;
        if behind_us.abs() > JUMP_US {
            (self.anchor, self.is_slewing) = (Some((time, received_us)), false);
            return received_us;
        }
        let limit_us = if self.is_slewing { RIGHT_US } else { WRONG_US };
        self.is_slewing = behind_us.abs() > limit_us;
        let passed_us = micros(time.saturating_sub(anchor_time)).max(0);
        let slew_us = if self.is_slewing { passed_us / 100 } else { 0 };
        let date_us = expected_us.saturating_add_signed(behind_us.clamp(-slew_us, slew_us));
        self.anchor = Some((time, date_us));
        date_us
    }

    /// The date of any point; 0 before the first segment.
    pub(super) fn at(&self, time: i64) -> u64 {
        let Some((anchor_time, date_us)) = self.anchor else { return 0 };
        date_us.saturating_add_signed(micros(time.saturating_sub(anchor_time)))
    }

    /// A discontinuity: the next segment is dated anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Ticks of 90 kHz as microseconds.
fn micros(ticks: i64) -> i64 {
    (i128::from(ticks) * 100 / 9).clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// As far as any date has to be known to be away.
const FAR_US: i64 = i64::MAX / 2;
const WRONG_US: i64 = 1_000_000;
const RIGHT_US: i64 = 100_000;
const JUMP_US: i64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn dates_go_on_with_the_stream_and_not_with_the_network() {
        let mut wall = Wall::default();
        assert_eq!(wall.at(5), 0);
        assert_eq!(wall.segment(900_000, 77 * SECOND), 77 * SECOND);
        assert_eq!(wall.segment(900_000 + 180_000, 79 * SECOND + 400_000), 79 * SECOND);
        assert_eq!(wall.segment(900_000 + 360_000, 80 * SECOND + 500_000), 81 * SECOND);
        assert_eq!(wall.at(900_000 + 450_000), 82 * SECOND);
        wall.reset();
        assert_eq!(wall.segment(0, 5), 5);
    }

    #[test]
    fn a_wrong_date_is_put_right_by_one_per_cent() {
        let mut wall = Wall::default();
        wall.segment(0, 0);
        let mut late = Vec::new();
        for n in 1..=200_u64 {
            let arrival = n * 2 * SECOND + 1_500_000;
            let date = wall.segment(n as i64 * 180_000, arrival);
            late.push(arrival - date);
        }
        assert_eq!(late[..2], [1_480_000, 1_460_000]);
        assert!(late.is_sorted_by(|a, b| a >= b));
        assert_eq!(late[199], 100_000);
    }

    #[test]
    fn a_clock_that_was_set_is_followed_at_once() {
        let mut wall = Wall::default();
        wall.segment(0, 1_000 * SECOND);
        assert_eq!(wall.segment(180_000, 2_000 * SECOND), 2_000 * SECOND);
        assert_eq!(wall.segment(360_000, 10 * SECOND), 10 * SECOND);
        let _ = wall.segment(i64::MAX, u64::MAX >> 2);
        let _ = wall.at(i64::MIN);
    }
}
