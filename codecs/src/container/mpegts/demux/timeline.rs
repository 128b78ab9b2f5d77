//! The 33-bit times of a program on one 64-bit timeline that never goes back.
//!
//! Between two jumps of the program's clock all its times have one offset to the timeline, so that
//! sound and pictures keep their distance: an epoch. A jump begins another epoch, whose offset lets
//! the timeline go on. Times of the epoch before may still come for a while, because sound and
//! pictures of one moment are sent up to seconds apart: they are told by what they are near to.

use crate::container::mpegts::packet::Pcr;
use crate::container::mpegts::timestamp::{difference, unwrap_near};

/// A time that did not continue the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    /// From the last time to the new one, in ticks of 90 kHz.
    pub(super) ticks: i64,
}

/// Decoding and presentation time on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) dts: i64,
    pub(super) pts: i64,
}

/// Where a track is: its last decoding time on the timeline, and the epoch that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    dts: i64,
    epoch: u64,
}

#[derive(Debug)]
pub(super) struct Timeline {
    current: Option<Epoch>,
    previous: Option<Epoch>,
    epochs: u64,
    /// Times further apart do not belong to the same epoch.
    jump_max: i64,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    number: u64,
    /// First time, unwrapped.
    start: i64,
    /// Highest time so far, unwrapped.
    latest: i64,
    /// Last PCR, unwrapped; `None` when the epoch began with a decoding time.
    clock: Option<i64>,
    /// From unwrapped times to the timeline.
    offset: i64,
}

impl Epoch {
    fn is_young(&self) -> bool {
        self.latest - self.start < YOUNG_TICKS
    }
}

impl Timeline {
    pub(super) fn new(jump_max: i64) -> Self {
        Self { current: None, previous: None, epochs: 0, jump_max }
    }

    /// The program's clock. The first time of all, PCR or DTS, is on the timeline as it is.
    pub(super) fn pcr(&mut self, pcr: Pcr, is_discontinuity: bool) -> Option<Jump> {
        let base = pcr.base();
        let Some(current) = &mut self.current else {
            self.begin(base as i64, base as i64, Some(base as i64));
            return None;
        };
        let time = unwrap_near(base, current.clock.unwrap_or(current.latest));
        let ticks = time - current.clock.unwrap_or(current.latest);
        let is_continuous = match (current.clock, is_discontinuity) {
            (Some(_), false) => (-CLOCK_BACK_MAX..=self.jump_max).contains(&ticks),
            (Some(_), true) => (-CLOCK_BACK_MAX..=ANNOUNCED_JUMP_MIN).contains(&ticks),
            // The clock of an epoch that a decoding time began, which is ahead of it.
            (None, _) => ticks.abs() <= self.jump_max,
        };
        if is_continuous {
            current.clock = Some(time);
            current.latest = current.latest.max(time);
            return None;
        }
        let last = current.clock.unwrap_or(current.latest) + current.offset;
        self.begin(base as i64, last + CLOCK_STEP, Some(base as i64));
        Some(Jump { ticks })
    }

    /// The times of a PES packet, and where its track is then; `last` is where it was.
    pub(super) fn map(
        &mut self,
        pts: u64,
        dts: u64,
        last: Option<Place>,
    ) -> (Times, Place, Option<Jump>) {
        let current = self.current.and_then(|epoch| self.fit(epoch, dts, last));
        let previous = self.previous.and_then(|epoch| self.fit(epoch, dts, last));
        let distance = |fit: &Fit| last.map_or(0, |last| fit.place.dts - last.dts);
        let fit = match (current, previous) {
            // What is sent behind a jump belongs behind it (2.4.3.5), unless that makes a hole.
            (Some(fit), _) if (-TRACK_BACK_MAX..=TRACK_HOLE_MIN).contains(&distance(&fit)) => {
                Some(fit)
            }
            (current, previous) => {
                current.into_iter().chain(previous).min_by_key(|fit| distance(fit).abs())
            }
        };
        let (place, jump) = match fit {
            Some(fit) => {
                self.advance(fit);
                (fit.place, None)
            }
            None => self.jump_to(dts, last),
        };
        let ahead = difference(pts, dts);
        let ahead = if ahead.abs() <= self.jump_max { ahead } else { 0 };
        (Times { dts: place.dts, pts: place.dts + ahead }, place, jump)
    }

    /// A time of 33 bits that belongs to no track: the point nearest to the newest ones. `None` before the
    /// first.
    pub(super) fn place(&self, time: u64) -> Option<i64> {
        let current = self.current?;
        Some(unwrap_near(time, current.latest) + current.offset)
    }

    /// The time in this epoch; `None` when it does not belong there.
    fn fit(&self, epoch: Epoch, dts: u64, last: Option<Place>) -> Option<Fit> {
        let time = unwrap_near(dts, epoch.latest);
        let place = Place { dts: time + epoch.offset, epoch: epoch.number };
        let is_near = (time - epoch.latest).abs() <= self.jump_max;
        let goes_on = last.is_none_or(|last| {
            // Where another track began the epoch, the start of this one may overlap.
            let is_inside = last.epoch == epoch.number;
            place.dts >= last.dts - if is_inside { TRACK_BACK_MAX } else { self.jump_max }
        });
        (is_near && goes_on).then_some(Fit { time, place })
    }

    fn advance(&mut self, fit: Fit) {
        for epoch in [&mut self.current, &mut self.previous].into_iter().flatten() {
            if epoch.number == fit.place.epoch {
                epoch.latest = epoch.latest.max(fit.time);
            }
        }
        if self.current.is_some_and(|current| !current.is_young()) {
            self.previous = None;
        }
    }

    /// Begins an epoch with a decoding time that fits into none.
    fn jump_to(&mut self, dts: u64, last: Option<Place>) -> (Place, Option<Jump>) {
        let time = dts as i64;
        let Some(current) = self.current else {
            return (self.begin(time, time, None), None);
        };
        let before = last.map_or(current.latest + current.offset, |last| last.dts);
        let ticks = unwrap_near(dts, current.latest) - current.latest;
        (self.begin(time, before + TRACK_STEP, None), Some(Jump { ticks }))
    }

    fn begin(&mut self, time: i64, out: i64, clock: Option<i64>) -> Place {
        self.previous = self.current;
        self.epochs += 1;
        let number = self.epochs;
        let offset = out - time;
        self.current = Some(Epoch { number, start: time, latest: time, clock, offset });
        Place { dts: out, epoch: number }
    }
}

#[derive(Clone, Copy)]
struct Fit {
    /// Unwrapped.
    time: i64,
    place: Place,
}

/// PCRs of one clock do not go back; a little for multiplexers that round.
const CLOCK_BACK_MAX: i64 = 9_000;
/// PCRs are at most 100 ms apart: more behind a discontinuity_indicator is another clock.
const ANNOUNCED_JUMP_MIN: i64 = 18_000;
/// Between the last PCR of one clock and the first of the next.
const CLOCK_STEP: i64 = 3_600;
/// Between the last decoding time of one epoch and the first of the next.
const TRACK_STEP: i64 = 3_600;
/// Decoding times of a track that go back further are a jump; less is what multiplexers do that
/// write presentation times only.
const TRACK_BACK_MAX: i64 = 45_000;
/// PES packets of sound and pictures start at most 700 ms apart (2.7.4).
const TRACK_HOLE_MIN: i64 = 90_000;
/// Sound and pictures of one moment are sent at most one second apart (the buffer of the T-STD);
/// some more for those who do not keep to it.
const YOUNG_TICKS: i64 = 5 * 90_000;

#[cfg(test)]
mod tests;
