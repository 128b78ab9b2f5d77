//! Cues of SCTE-35 as date ranges (RFC 8216bis 4.4.5.1.1).
//!
//! The end of a break is told as the same date range as its beginning: same id, same start, and how
//! long it was. Cues are repeated in a stream; each is told once.

use std::collections::VecDeque;

use bytes::Bytes;
use corelay_codecs::scte35::{self, CueKind};

use crate::hls::segment::{Cue, DateRange};

/// The breaks that have begun.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    open: VecDeque<Break>,
    /// The newest cues.
    told: VecDeque<Told>,
}

#[derive(Debug)]
struct Break {
    event_id: u32,
    id: String,
    start_us: u64,
}

#[derive(Debug)]
struct Told {
    kind: CueKind,
    event_id: u32,
    at_us: u64,
}

impl Breaks {
    /// The date range of a cue that takes effect at `at_us`, in microseconds since 1970; `None` for
    /// one that was told already.
    pub(super) fn date_range(
        &mut self,
        cue: &scte35::Cue,
        section: &Bytes,
        at_us: u64,
    ) -> Option<DateRange> {
        if self.was_told(cue, at_us) {
            return None;
        }
        let at = self.open.iter().position(|open| open.event_id == cue.event_id);
        let ends = cue.kind == CueKind::In || cue.is_cancelled;
        let ended = at.filter(|_| ends).and_then(|at| self.open.remove(at));
        let millis = |ticks: u64| ticks / 90;
        let mut range = DateRange {
            id: format!("scte35-{}-{}", cue.event_id, at_us / 1_000),
            start_us: at_us,
            duration_ms: None,
            planned_ms: cue.duration_ticks.map(millis).filter(|_| cue.kind == CueKind::Out),
            cue: kind(cue.kind),
            section: section.clone(),
        };
        if let Some(ended) = ended {
            range.duration_ms = Some(at_us.saturating_sub(ended.start_us) / 1_000);
            (range.id, range.start_us) = (ended.id, ended.start_us);
        }
        if cue.kind == CueKind::Out {
            self.open.retain(|open| open.event_id != cue.event_id);
            push_bounded(
                &mut self.open,
                Break { event_id: cue.event_id, id: range.id.clone(), start_us: at_us },
            );
        }
        Some(range)
    }

    /// Another source follows.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn was_told(&mut self, cue: &scte35::Cue, at_us: u64) -> bool {
        let is_same = |told: &Told| {
            told.kind == cue.kind
                && told.event_id == cue.event_id
                && told.at_us.abs_diff(at_us) < REPETITION_US
        };
        let was_told = self.told.iter().any(is_same);
        if !was_told {
            let told = Told { kind: cue.kind, event_id: cue.event_id, at_us };
            push_bounded(&mut self.told, told);
        }
        was_told
    }
}

fn kind(kind: CueKind) -> Cue {
    match kind {
        CueKind::Out => Cue::Out,
        CueKind::In => Cue::In,
        CueKind::Command => Cue::Command,
    }
}

/// Appends; the oldest makes room.
fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= REMEMBERED_MAX {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Breaks of one program that are open together, and cues that may be repeated among each other.
const REMEMBERED_MAX: usize = 32;
/// The same cue so near is a repetition. One without a time takes effect wherever it stands, so that
/// its repetitions have other times; breaks of one id are further apart.
const REPETITION_US: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn cue(kind: CueKind, event_id: u32, duration_ticks: Option<u64>) -> scte35::Cue {
        scte35::Cue {
            kind,
            event_id,
            is_cancelled: false,
            pts: None,
            duration_ticks,
            auto_return: false,
        }
    }

    #[test]
    fn the_end_of_a_break_has_its_id_and_start_and_says_how_long_it_was() {
        let mut breaks = Breaks::default();
        let (first, second) = (Bytes::from_static(b"out"), Bytes::from_static(b"in"));
        let out = cue(CueKind::Out, 7, Some(30 * 90_000));
        let begin = breaks.date_range(&out, &first, 100 * SECOND).expect("new");
        assert_eq!((begin.id.as_str(), begin.cue), ("scte35-7-100000", Cue::Out));
        assert_eq!((begin.planned_ms, begin.duration_ms), (Some(30_000), None));
        assert_eq!(breaks.date_range(&out, &first, 101 * SECOND), None, "repeated");
        let end = breaks.date_range(&cue(CueKind::In, 7, None), &second, 129 * SECOND);
        let end = end.expect("new");
        assert_eq!((end.id, end.start_us, end.cue), (begin.id, 100 * SECOND, Cue::In));
        assert_eq!((end.planned_ms, end.duration_ms, end.section), (None, Some(29_000), second));
        assert!(breaks.date_range(&out, &first, 500 * SECOND).is_some(), "the id is used again");
    }

    #[test]
    fn ends_without_a_beginning_and_commands_stand_alone() {
        let mut breaks = Breaks::default();
        let range = |breaks: &mut Breaks, cue| breaks.date_range(&cue, &Bytes::new(), 5 * SECOND);
        let end = range(&mut breaks, cue(CueKind::In, 1, None)).expect("new");
        assert_eq!(
            (end.id.as_str(), end.start_us, end.duration_ms),
            ("scte35-1-5000", 5_000_000, None)
        );
        let command = range(&mut breaks, cue(CueKind::Command, 2, Some(90))).expect("new");
        assert_eq!((command.cue, command.planned_ms), (Cue::Command, None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut breaks = Breaks::default();
        for event_id in 0..1_000 {
            let out = cue(CueKind::Out, event_id, None);
            assert!(breaks.date_range(&out, &Bytes::new(), u64::from(event_id)).is_some());
        }
        assert_eq!((breaks.open.len(), breaks.told.len()), (32, 32));
    }
}
