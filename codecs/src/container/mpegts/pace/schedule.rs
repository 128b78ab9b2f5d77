//! When each packet leaves: knots of position and stream time, and straight lines between them.
//!
//! ```text
//! stream time
//!   |                      o- - -   behind the last knot: by the rate of before, a guess
//!   |              o------/
//!   |      o-----/                  o: a PCR, or an arrival
//!   +------+-------+-------+------> position: packets since the start
//! ```
//!
//! Invariants
//! - Positions of knots increase, stream times never go back.
//! - Memory: a knot is forgotten with the last packet of its line.

use std::collections::VecDeque;

/// Ticks of a packet, times 2^16.
pub(super) type Pace = i64;

/// A packet whose time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knot {
    pub(super) position: u64,
    pub(super) stream: i64,
    /// Of the packets behind it.
    pub(super) pace: Pace,
}

impl Knot {
    fn at(self, position: u64) -> i64 {
        let packets = position.saturating_sub(self.position).min(PACKETS_MAX) as i64;
        self.stream.saturating_add(packets.saturating_mul(self.pace) >> 16)
    }

    /// The knot whose line ends at `end`.
    fn until(self, end: Self) -> Self {
        Self {
            pace: pace_of(end.stream.saturating_sub(self.stream), end.position - self.position),
            ..self
        }
    }
}

/// The times of the packets in the buffer, and of the ones to come.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    knots: VecDeque<Knot>,
}

impl Schedule {
    /// The last knot; `None` before the first packet.
    pub(super) fn last(&self) -> Option<Knot> {
        self.knots.back().copied()
    }

    /// Stream time of a packet that is not forgotten.
    pub(super) fn time_at(&self, position: u64) -> i64 {
        let is_first = self.knots.get(1).is_none_or(|next| next.position > position);
        let index = match is_first {
            true => 0,
            false => self.knots.partition_point(|knot| knot.position <= position) - 1,
        };
        self.knots.get(index).map_or(0, |knot| knot.at(position))
    }

    /// The first packet that is not earlier than `stream`; at most the one of the last knot.
    pub(super) fn position_at(&self, stream: i64) -> u64 {
        let index = self.knots.partition_point(|knot| knot.stream < stream);
        let end = self.knots.get(index).or(self.knots.back()).map_or(0, |knot| knot.position);
        let Some(knot) = index.checked_sub(1).and_then(|index| self.knots.get(index)) else {
            return end;
        };
        let ticks = stream.saturating_sub(knot.stream);
        let packets = match knot.pace {
            ..=0 => return end,
            pace => (i128::from(ticks) << 16).unsigned_abs().div_ceil(pace.unsigned_abs().into()),
        };
        end.min(knot.position.saturating_add(u64::try_from(packets).unwrap_or(u64::MAX)))
    }

    /// Ends the last line at `knot`; what is at `head` or later and not scheduled yet is spread
    /// evenly in between. The pace behind it is the one given.
    pub(super) fn close(&mut self, head: u64, knot: Knot) {
        let Some(last) = self.knots.back_mut() else { return self.knots.push_back(knot) };
        if knot.position <= last.position {
            return;
        }
        // Times never go back, not even where the clock does.
        let knot = Knot { stream: knot.stream.max(last.stream), ..knot };
        if head <= last.position {
            *last = last.until(knot);
        } else if head < knot.position {
            let stream = last.at(head).min(knot.stream);
            last.pace = pace_of(stream.saturating_sub(last.stream), head - last.position);
            self.knots.push_back(Knot { position: head, stream, pace: 0 }.until(knot));
        }
        self.knots.push_back(knot);
    }

    /// Gives all packets from `position` on the same time, or a later one if the line before says so.
    pub(super) fn push_flat(&mut self, position: u64, stream: i64) {
        let before = self.last().map(|knot| knot.at(position));
        let stream = before.map_or(stream, |before| before.max(stream));
        let knot = Knot { position, stream, pace: 0 };
        match self.knots.back() {
            Some(last) if last.position >= position => {}
            Some(last) if last.stream == stream && last.pace == 0 => {}
            _ => self.knots.push_back(knot),
        }
    }

    /// Gives the packets from `from` on the times of the line through `line` and `end`, which is the
    /// last knot then. None is earlier than the packets before `from`.
    pub(super) fn redraw(&mut self, from: u64, line: Knot, end: Knot) {
        while self.knots.back().is_some_and(|knot| knot.position >= from) {
            self.knots.pop_back();
        }
        let floor = self.last().map_or(i64::MIN, |knot| knot.at(from));
        let back = line.position.saturating_sub(from).min(PACKETS_MAX) as i64;
        let start = line.stream.saturating_sub(back.saturating_mul(line.pace) >> 16);
        let start = if back > 0 { start } else { line.at(from) };
        let line = Knot { stream: line.stream.max(floor), ..line };
        let end = Knot { stream: end.stream.max(line.stream), ..end };
        let next = if line.position > from { line } else { end };
        let first = Knot { position: from, stream: start.max(floor).min(next.stream), pace: 0 };
        if from < next.position {
            self.knots.push_back(first.until(next));
        }
        if from < line.position {
            self.knots.push_back(line.until(end));
        }
        self.knots.push_back(end);
    }

    /// The last line is no steeper than the one to (`position`, `stream`).
    pub(super) fn limit(&mut self, position: u64, stream: i64) {
        if let Some(last) = self.knots.back_mut().filter(|last| last.position < position) {
            let ticks = stream.saturating_sub(last.stream).max(0);
            last.pace = last.pace.min(pace_of(ticks, position - last.position));
        }
    }

    /// Nobody asks for packets before `head` any more.
    pub(super) fn forget_before(&mut self, head: u64) {
        while self.knots.get(1).is_some_and(|next| next.position <= head) {
            self.knots.pop_front();
        }
    }
}

/// Ticks for each of so many packets.
pub(super) fn pace_of(ticks: i64, packets: u64) -> Pace {
    let packets = i64::try_from(packets).unwrap_or(i64::MAX).max(1);
    (ticks.clamp(0, TICKS_MAX) << 16) / packets
}

/// More packets than any buffer holds; keeps products inside of 64 bits.
const PACKETS_MAX: u64 = 1 << 32;
/// 2^16 times this fits 63 bits: 1,400 hours.
const TICKS_MAX: i64 = 1 << 46;

#[cfg(test)]
mod tests {
    use super::*;

    fn knot(position: u64, stream: i64) -> Knot {
        Knot { position, stream, pace: 0 }
    }

    fn schedule() -> Schedule {
        let mut schedule = Schedule::default();
        schedule.close(0, knot(0, 1_000));
        schedule.close(0, Knot { position: 10, stream: 2_000, pace: 50 << 16 });
        schedule
    }

    fn times(schedule: &Schedule, positions: &[u64]) -> Vec<i64> {
        positions.iter().map(|position| schedule.time_at(*position)).collect()
    }

    #[test]
    fn packets_between_two_knots_are_spread_evenly() {
        let mut schedule = schedule();
        assert_eq!(times(&schedule, &[0, 1, 5, 10]), [1_000, 1_100, 1_500, 2_000]);
        assert_eq!(times(&schedule, &[11, 14]), [2_050, 2_200], "a guess");
        schedule.close(0, knot(20, 2_100));
        assert_eq!(times(&schedule, &[9, 10, 11, 20]), [1_900, 2_000, 2_010, 2_100]);
        schedule.forget_before(15);
        assert_eq!((times(&schedule, &[15, 20]), schedule.knots.len()), (vec![2_050, 2_100], 2));
    }

    #[test]
    fn what_left_by_a_guess_keeps_its_time() {
        let mut early = schedule();
        early.close(14, knot(20, 2_500));
        assert_eq!(times(&early, &[14, 16, 20]), [2_200, 2_300, 2_500]);
        let mut late = schedule();
        late.close(14, knot(20, 2_100));
        assert_eq!(times(&late, &[14, 16, 20]), [2_100, 2_100, 2_100]);
        let mut all = schedule();
        all.close(20, knot(20, 2_600));
        assert_eq!(times(&all, &[20]), [2_600]);
    }

    #[test]
    fn positions_are_found_by_time() {
        let schedule = schedule();
        for (stream, position) in [(0, 0), (1_000, 0), (1_001, 1), (1_500, 5), (1_501, 6)] {
            assert_eq!(schedule.position_at(stream), position, "{stream}");
        }
        assert_eq!((schedule.position_at(2_000), schedule.position_at(9_000)), (10, 10));
        assert_eq!(Schedule::default().position_at(5), 0);
    }

    #[test]
    fn arrivals_are_flat_and_never_go_back() {
        let mut schedule = Schedule::default();
        for (position, stream) in [(0, 100), (7, 200), (14, 150), (21, 300)] {
            schedule.push_flat(position, stream);
        }
        assert_eq!(
            times(&schedule, &[0, 6, 7, 13, 14, 20, 21, 99]),
            [100, 100, 200, 200, 200, 200, 300, 300]
        );
        assert_eq!(schedule.knots.len(), 3);
    }

    #[test]
    fn a_guess_can_be_limited_and_nothing_else() {
        let mut limited = schedule();
        limited.limit(20, 2_100);
        assert_eq!(times(&limited, &[5, 10, 15, 20]), [1_500, 2_000, 2_050, 2_100]);
        limited.limit(20, 9_000);
        assert_eq!(times(&limited, &[20]), [2_100]);
        limited.limit(20, 0);
        assert_eq!(times(&limited, &[10, 20]), [2_000, 2_000]);
    }

    #[test]
    fn a_line_redraws_what_arrivals_gave() {
        let arrivals = || {
            let mut schedule = Schedule::default();
            for (position, stream) in [(0, 100), (7, 200), (14, 300), (21, 400)] {
                schedule.push_flat(position, stream);
            }
            schedule
        };
        let line = |position, stream| Knot { position, stream, pace: 10 << 16 };
        let mut whole = arrivals();
        whole.redraw(0, line(14, 300), line(24, 400));
        assert_eq!(times(&whole, &[0, 7, 14, 19, 24]), [160, 230, 300, 350, 400]);
        let mut part = arrivals();
        part.redraw(10, line(14, 300), line(24, 400));
        assert_eq!(times(&part, &[7, 9, 10, 14, 24]), [200, 200, 260, 300, 400]);
        let mut past = arrivals();
        past.redraw(18, line(14, 300), line(24, 400));
        assert_eq!(times(&past, &[17, 18, 21, 24]), [300, 340, 370, 400]);
        let mut floor = arrivals();
        floor.redraw(22, line(23, 350), line(24, 360));
        assert_eq!(times(&floor, &[21, 22, 23, 24]), [400, 400, 400, 400]);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut schedule = Schedule::default();
        schedule.push_flat(0, i64::MIN);
        schedule.close(0, Knot { position: 1, stream: i64::MAX / 2, pace: i64::MAX });
        schedule.time_at(u64::MAX);
        schedule.position_at(i64::MAX);
        schedule.limit(u64::MAX, i64::MAX);
        schedule.redraw(0, knot(1, i64::MAX), knot(u64::MAX, i64::MIN));
    }
}
