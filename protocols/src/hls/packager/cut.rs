//! Where segments and parts end.
//!
//! Invariants
//! - No segment is longer than `segment_ms_max`, and none behind the first one is longer than the
//!   target duration allows that the first one fixes. None but one behind a forced cut begins without
//!   an entry point.
//! - A part is longer than `part_ms` only when frames come further apart than the eight before.

use super::settings::Settings;

/// Follows the main track, frame by frame. Times are ticks of 90 kHz of its decoding times.
#[derive(Debug)]
pub(super) struct Cutter {
    settings: Settings,
    segment: i64,
    /// As far as it is known.
    segment_max: i64,
    /// Of the first segment.
    first_duration: Option<i64>,
    part: i64,
    open: Option<Open>,
    last: i64,
    /// Distances of the newest frames.
    steps: [i64; STEPS],
    frames: usize,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    segment_at: i64,
    part_at: i64,
}

/// What a frame of the main track does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is left out: no segment is open and it is no entry point.
    LeftOut,
    /// It begins a segment; none was open.
    Begin,
    /// It belongs to the open part.
    None,
    /// The open part ends in front of it.
    Part,
    /// The open segment ends in front of it, and it begins the next one.
    Segment {
        /// It is no entry point.
        is_forced: bool,
    },
    /// It comes so late that no segment can reach it: the open one ends behind the frame before, at
    /// the given time. [`Cutter::frame`] is to be asked again.
    Gap(i64),
}

impl Cutter {
    /// A cutter for the first segment, or for those behind a first one of this duration.
    pub(super) fn new(settings: &Settings, first_duration: Option<i64>) -> Self {
        let ticks = |ms: u32| i64::from(ms.max(1)) * 90;
        Self {
            settings: settings.clone(),
            segment: ticks(settings.segment_ms),
            segment_max: settings.segment_ticks_max(first_duration),
            first_duration,
            part: ticks(settings.part_ms.min(settings.segment_ms)),
            open: None,
            last: 0,
            steps: [0; STEPS],
            frames: 0,
        }
    }

    /// The next frame; its time is above that of the frame before. With `is_due`, an entry point
    /// begins a segment however short the open one is.
    pub(super) fn frame(&mut self, time: i64, is_entry: bool, is_due: bool) -> Cut {
        let Some(open) = self.open else {
            if !is_entry {
                return Cut::LeftOut;
            }
            self.begin(time);
            return Cut::Begin;
        };
        let length = time.saturating_sub(open.segment_at);
        if length > self.segment_max {
            return Cut::Gap(self.end());
        }
        if let Some(step) = self.steps.get_mut(self.frames % STEPS) {
            *step = time - self.last;
        }
        self.frames += 1;
        self.last = time;
        let step = self.steps.iter().copied().max().unwrap_or(0);
        let is_long = length + step / 2 >= self.segment;
        let is_full = length + step > self.segment_max;
        if is_full || is_entry && (is_long || is_due) {
            self.ended(length);
            self.open = Some(Open { segment_at: time, part_at: time });
            return Cut::Segment { is_forced: !is_entry };
        }
        if time - open.part_at + step > self.part {
            self.open = Some(Open { part_at: time, ..open });
            return Cut::Part;
        }
        Cut::None
    }

    /// True while a segment is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Time of the newest frame.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// True when the main track has been silent for longer than any segment.
    pub(super) fn is_silent_at(&self, time: i64) -> bool {
        self.is_open() && time.saturating_sub(self.last) > self.segment_max
    }

    /// The time up to which the newest frame lasts, as far as the ones before tell.
    pub(super) fn end(&self) -> i64 {
        let newest = self.frames.checked_sub(1).and_then(|at| self.steps.get(at % STEPS));
        self.limit(self.last.saturating_add(newest.copied().unwrap_or(0).max(1)))
    }

    /// This time, or the latest at which the open segment may end.
    pub(super) fn limit(&self, time: i64) -> i64 {
        let latest = |open: Open| open.segment_at.saturating_add(self.segment_max);
        self.open.map_or(time, |open| time.min(latest(open)))
    }

    /// The open segment ends; the next one begins with an entry point.
    pub(super) fn close(&mut self, end: i64) {
        if let Some(open) = self.open.take() {
            self.ended(end.saturating_sub(open.segment_at));
        }
    }

    fn ended(&mut self, duration: i64) {
        if self.first_duration.is_none() {
            self.first_duration = Some(duration);
            self.segment_max = self.settings.segment_ticks_max(self.first_duration);
        }
    }

    fn begin(&mut self, time: i64) {
        self.open = Some(Open { segment_at: time, part_at: time });
        self.last = time;
        (self.steps, self.frames) = ([0; STEPS], 0);
    }
}

/// So many frames tell how far apart frames can be: more than the cycle of any pull-down.
const STEPS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 90;

    fn cutter() -> Cutter {
        let settings = Settings { segment_ms_max: 6_000, ..Settings::default() };
        Cutter::new(&settings, None)
    }

    /// Cuts by time in ms, of frames that come every `step_ms`.
    fn cuts(step_ms: i64, end_ms: i64, is_entry: impl Fn(i64) -> bool) -> Vec<(i64, Cut)> {
        let mut cutter = cutter();
        let times = (0..end_ms / step_ms).map(|n| n * step_ms);
        let cuts = times.map(|ms| (ms, cutter.frame(ms * MS, is_entry(ms), false)));
        cuts.filter(|(_, cut)| *cut != Cut::None).collect()
    }

    #[test]
    fn a_segment_ends_at_the_first_entry_point_when_it_is_long_enough() {
        let cuts = cuts(40, 6_001, |ms| ms % 1_000 == 0);
        let segments: Vec<_> = cuts.iter().filter(|(_, cut)| *cut != Cut::Part).collect();
        let cut = Cut::Segment { is_forced: false };
        assert_eq!(segments, [&(0, Cut::Begin), &(2_000, cut), &(4_000, cut)]);
        let parts = cuts.iter().filter(|(_, cut)| *cut == Cut::Part).map(|(ms, _)| *ms);
        assert_eq!(parts.take(4).collect::<Vec<_>>(), [480, 960, 1_440, 1_920]);
    }

    #[test]
    fn half_a_frame_less_is_long_enough() {
        let mut cutter = cutter();
        assert_eq!(cutter.frame(0, true, false), Cut::Begin);
        for n in 1..50 {
            cutter.frame(n * 3_600, false, false);
        }
        assert_eq!(cutter.frame(1_981 * MS, true, false), Cut::Segment { is_forced: false });
    }

    #[test]
    fn a_long_group_of_pictures_is_a_segment_up_to_the_limit() {
        let segments: Vec<_> = cuts(40, 20_000, |ms| ms == 0 || ms == 5_000 || ms == 18_000)
            .into_iter()
            .filter(|(_, cut)| *cut != Cut::Part)
            .collect();
        let cut = |is_forced| Cut::Segment { is_forced };
        assert_eq!(
            segments,
            // The target duration is 5 s, which is up to 5.5 s.
            [
                (0, Cut::Begin),
                (5_000, cut(false)),
                (10_480, cut(true)),
                (15_960, cut(true)),
                (18_000, cut(false))
            ]
        );
    }

    #[test]
    fn the_first_segment_limits_those_behind_it() {
        let starts = |is_entry: fn(i64) -> bool| {
            let cuts = cuts(40, 14_000, is_entry).into_iter();
            let segments = cuts.filter(|(_, cut)| *cut != Cut::Part);
            segments.map(|(ms, _)| ms).collect::<Vec<_>>()
        };
        assert_eq!(starts(|ms| ms == 0), [0, 6_000, 12_000], "it may be as long as any");
        assert_eq!(starts(|ms| ms == 0 || ms == 2_000), [0, 2_000, 4_480, 6_960, 9_440, 11_920]);
    }

    #[test]
    fn nothing_begins_without_an_entry_point_and_one_that_is_due_cuts_at_once() {
        let mut cutter = cutter();
        assert_eq!(cutter.frame(0, false, true), Cut::LeftOut);
        assert_eq!(cutter.frame(40 * MS, true, false), Cut::Begin);
        assert_eq!(cutter.frame(80 * MS, true, false), Cut::None);
        assert_eq!(cutter.frame(120 * MS, false, true), Cut::None);
        assert_eq!(cutter.frame(160 * MS, true, true), Cut::Segment { is_forced: false });
    }

    #[test]
    fn a_gap_ends_the_segment_behind_its_last_frame() {
        let mut cutter = cutter();
        for n in 0..10 {
            cutter.frame(n * 3_600, n == 0, false);
        }
        assert_eq!(cutter.frame(60_000 * MS, true, false), Cut::Gap(36_000));
        cutter.close(36_000);
        assert_eq!(cutter.frame(60_000 * MS, true, false), Cut::Begin);
        // The target duration is 2 s, which is up to 2.5 s.
        assert!(cutter.is_silent_at(62_500 * MS) && !cutter.is_silent_at(62_499 * MS));
    }
}
