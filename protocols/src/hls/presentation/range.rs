//! The date ranges that a playlist must tell (EXT-X-DATERANGE, RFC 8216bis 4.4.5.1).
//!
//! Invariants
//! - A range stays as long as its segment is listed, or any of its time is (RFC 8216bis 6.2.1).
//! - What is said of an id is said once for the beginning and once for the end, and both agree.

use super::super::segment::{Cue, DateRange};

/// The ranges of one rendition.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// The segment in which it begins.
    msn: u64,
    /// Microseconds since 1970; `None` as long as it goes on.
    ends_us: Option<u64>,
    range: DateRange,
}

impl Ranges {
    /// Takes a range that begins in segment `msn`. Cues are sent several times: nothing happens
    /// when it is known.
    pub(super) fn push(&mut self, msn: u64, range: &DateRange) {
        if self.rows.iter().any(|row| row.range.id == range.id && row.range.cue == range.cue) {
            return;
        }
        let mut range = range.clone();
        if range.cue == Cue::In {
            self.close(&mut range);
        }
        let length_ms = range.duration_ms.or(range.planned_ms);
        let ends_us = match (length_ms, range.cue) {
            (Some(ms), _) => Some(range.start_us.saturating_add(ms.saturating_mul(1000))),
            (None, Cue::Out) => None,
            (None, Cue::In | Cue::Command) => Some(range.start_us),
        };
        self.rows.push(Row { msn, ends_us, range });
        if self.rows.len() > RANGES_MAX {
            self.rows.remove(0);
        }
    }

    /// The end of a range has the attributes of its beginning, and says how long it was.
    fn close(&mut self, end: &mut DateRange) {
        let is_begin = |row: &&mut Row| row.range.cue == Cue::Out && row.range.id == end.id;
        let Some(begin) = self.rows.iter_mut().find(is_begin) else { return };
        let length_ms = end.start_us.saturating_sub(begin.range.start_us) / 1000;
        begin.ends_us = Some(end.start_us);
        end.duration_ms = begin.range.duration_ms.or(end.duration_ms).or(Some(length_ms));
        end.planned_ms = None;
        end.start_us = begin.range.start_us;
    }

    /// Forgets what lies before the first segment that is listed.
    pub(super) fn forget_before(&mut self, msn: u64, started_us: u64) {
        self.rows
            .retain(|row| row.msn >= msn || row.ends_us.is_none_or(|ends_us| ends_us > started_us));
    }

    /// Those that began before segment `msn`.
    pub(super) fn before(&self, msn: u64) -> impl Iterator<Item = &DateRange> {
        self.rows.iter().filter(move |row| row.msn < msn).map(|row| &row.range)
    }

    /// Those that begin in segment `msn`.
    pub(super) fn of(&self, msn: u64) -> impl Iterator<Item = &DateRange> {
        self.rows.iter().filter(move |row| row.msn == msn).map(|row| &row.range)
    }
}

/// A break that never ends must not fill the playlist; more than this in one window is not a
/// programme.
const RANGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn cue(id: &str, cue: Cue, start_s: u64, planned_s: Option<u64>) -> DateRange {
        DateRange {
            id: id.to_owned(),
            start_us: start_s * 1_000_000,
            duration_ms: None,
            planned_ms: planned_s.map(|s| s * 1000),
            cue,
            section: Bytes::from_static(b"\xFC"),
        }
    }

    fn ids(ranges: &Ranges) -> Vec<(&str, Cue)> {
        ranges.before(u64::MAX).map(|range| (range.id.as_str(), range.cue)).collect()
    }

    #[test]
    fn a_break_stays_until_all_of_its_time_has_left() {
        let mut ranges = Ranges::default();
        ranges.push(5, &cue("a", Cue::Out, 100, Some(30)));
        ranges.forget_before(6, 102_000_000);
        assert_eq!(ids(&ranges), [("a", Cue::Out)]);
        ranges.forget_before(20, 130_000_000);
        assert_eq!(ids(&ranges), []);
    }

    #[test]
    fn a_break_of_unknown_length_stays_until_its_end_has_left() {
        let mut ranges = Ranges::default();
        ranges.push(5, &cue("a", Cue::Out, 100, None));
        ranges.forget_before(500, 1_000_000_000);
        assert_eq!(ids(&ranges), [("a", Cue::Out)]);
        ranges.push(600, &cue("a", Cue::In, 1200, None));
        ranges.forget_before(600, 1_199_000_000);
        assert_eq!(ids(&ranges), [("a", Cue::Out), ("a", Cue::In)]);
        ranges.forget_before(601, 1_200_000_000);
        assert_eq!(ids(&ranges), []);
    }

    #[test]
    fn the_end_of_a_break_agrees_with_its_beginning() {
        let mut ranges = Ranges::default();
        ranges.push(5, &cue("a", Cue::Out, 100, Some(30)));
        ranges.push(9, &cue("a", Cue::In, 125, None));
        let end = ranges.of(9).next().unwrap();
        assert_eq!(
            (end.start_us, end.duration_ms, end.planned_ms),
            (100_000_000, Some(25_000), None)
        );
    }

    #[test]
    fn a_cue_that_is_repeated_counts_once() {
        let mut ranges = Ranges::default();
        for msn in [5, 5, 6] {
            ranges.push(msn, &cue("a", Cue::Out, 100, Some(30)));
        }
        assert_eq!((ranges.of(5).count(), ranges.of(6).count()), (1, 0));
    }

    #[test]
    fn breaks_without_end_do_not_pile_up() {
        let mut ranges = Ranges::default();
        for msn in 0..1000 {
            ranges.push(msn, &cue(&msn.to_string(), Cue::Out, msn, None));
        }
        assert_eq!(ids(&ranges).len(), RANGES_MAX);
        assert_eq!(ids(&ranges)[0].0, "936");
    }
}
