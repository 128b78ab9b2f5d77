//! The times of one track on 64 bits, and whether they jump.

use crate::container::mpegts::packet::{Pcr, Pid};
use crate::container::mpegts::timestamp::{difference, unwrap_near};

/// Times of a PES packet, unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) dts: i64,
    pub(super) pts: i64,
}

#[derive(Debug)]
pub(super) struct Line {
    jump_max: i64,
    last: Option<Times>,
    pcr_pid: Pid,
    last_pcr: Option<Pcr>,
    /// A discontinuity_indicator came, and the PCR that it speaks of did not yet.
    is_announced: bool,
    /// Decoding time at which the clock jumped: the decoding times jump with it a little later, and
    /// that was said already.
    jumped_at: Option<i64>,
}

impl Line {
    pub(super) fn new(time_jump_ms: u32) -> Self {
        Self {
            jump_max: i64::from(time_jump_ms) * 90,
            last: None,
            pcr_pid: Pid::NULL,
            last_pcr: None,
            is_announced: false,
            jumped_at: None,
        }
    }

    pub(super) fn last(&self) -> Option<Times> {
        self.last
    }

    pub(super) fn unwrap(&self, time: u64) -> Option<i64> {
        self.last.map(|last| unwrap_near(time, last.dts))
    }

    /// The PCR is on this PID from now on.
    pub(super) fn set_pcr_pid(&mut self, pid: Pid) {
        if self.pcr_pid != pid {
            (self.pcr_pid, self.last_pcr, self.is_announced) = (pid, None, false);
        }
    }

    /// What a packet of the PCR PID says; true when the clock jumped, as announced. The indicator
    /// may come before the PCR, and also announces no more than a jump of the continuity counter.
    pub(super) fn clock(&mut self, pcr: Option<Pcr>, is_discontinuity: bool) -> bool {
        self.is_announced |= is_discontinuity;
        let Some(pcr) = pcr else { return false };
        let step = self.last_pcr.replace(pcr).map_or(0, |last| pcr.since(last));
        let is_announced = std::mem::take(&mut self.is_announced);
        let has_jumped = is_announced && !(0..=ANNOUNCED_JUMP_MIN).contains(&step);
        if has_jumped {
            self.jumped_at = self.last.map(|last| last.dts);
        }
        has_jumped
    }

    /// Moves on to the times of a PES packet; true when they jumped, and that was not said yet.
    pub(super) fn advance(&mut self, pts: u64, dts: u64) -> (Times, bool) {
        let ahead = difference(pts, dts);
        let ahead = if ahead.abs() <= self.jump_max { ahead } else { 0 };
        let last = self.last.map(|last| last.dts);
        let dts = unwrap_near(dts, last.unwrap_or(dts as i64));
        let times = Times { dts, pts: dts + ahead };
        self.last = Some(times);
        let Some(last) = last else { return (times, false) };
        if (-BACK_MAX..=self.jump_max).contains(&(dts - last)) {
            return (times, false);
        }
        let was_said = self.jumped_at.take().is_some_and(|at| last - at <= FOLLOWS_CLOCK_TICKS);
        (times, !was_said)
    }
}

/// PCRs are at most 100 ms apart: more than 200 ms behind a discontinuity_indicator is another
/// clock. In ticks of 27 MHz.
const ANNOUNCED_JUMP_MIN: i64 = 5_400_000;
/// 500 ms: further back is a jump; less is what multiplexers do that write presentation times only.
const BACK_MAX: i64 = 45_000;
/// 5 s: what is sent behind a jump of the clock was made at most one second after it (the buffer of
/// the T-STD); some more for those who do not keep to it.
const FOLLOWS_CLOCK_TICKS: i64 = 450_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 90_000;

    fn pcr(seconds: u64) -> Option<Pcr> {
        Some(Pcr::new(seconds * Pcr::HZ))
    }

    #[test]
    fn times_go_on_over_the_wrap() {
        let mut line = Line::new(10_000);
        let end = (1_u64 << 33) - 3_600;
        assert_eq!(line.unwrap(7), None);
        assert_eq!(line.advance(3_600, end).0, Times { dts: end as i64, pts: end as i64 + 7_200 });
        let after = Times { dts: end as i64 + 3_600, pts: end as i64 + 7_200 };
        assert_eq!(line.advance(3_600, 0), (after, false));
        assert_eq!(line.unwrap(90_000), Some((1 << 33) + 90_000));
    }

    #[test]
    fn a_step_beyond_the_bound_is_a_jump_either_way() {
        let mut line = Line::new(10_000);
        let jumps = [100, 110, 121, 120, 119].map(|second| {
            let time = second * SECOND;
            line.advance(time, time).1
        });
        assert_eq!(jumps, [false, false, true, true, true]);
        assert!(!line.advance(119 * SECOND - 45_000, 119 * SECOND - 45_000).1, "rounded times");
    }

    #[test]
    fn an_announced_jump_is_said_once_for_the_clock_and_the_times() {
        let mut line = Line::new(10_000);
        assert!(!line.clock(pcr(100), false));
        line.advance(101 * SECOND, 101 * SECOND);
        assert!(!line.clock(None, true), "the PCR did not come yet");
        assert!(line.clock(pcr(5), false));
        assert!(!line.advance(101 * SECOND + 3_600, 101 * SECOND + 3_600).1);
        assert!(!line.advance(6 * SECOND, 6 * SECOND).1, "said already");
        assert!(line.advance(60 * SECOND, 60 * SECOND).1, "another one");
    }

    #[test]
    fn an_announcement_of_the_continuity_counter_alone_is_no_jump() {
        let mut line = Line::new(10_000);
        assert!(!line.clock(Some(Pcr::new(0)), true));
        assert!(!line.clock(Some(Pcr::new(1_080_000)), true));
        assert!(!line.clock(Some(Pcr::new(Pcr::MODULUS - 1)), false), "not announced");
    }
}
