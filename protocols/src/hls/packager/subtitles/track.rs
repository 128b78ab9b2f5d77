//! One rendition: what is shown, and since when.

use std::collections::VecDeque;

use corelay_codecs::container::mpegts::Pid;
use corelay_codecs::teletext::{Page, Text};
use corelay_codecs::webvtt::{self, Cue};

/// The texts of a page.
#[derive(Debug)]
pub(super) struct Track {
    number: u8,
    language: String,
    is_for_hard_of_hearing: bool,
    pid: Pid,
    page: u16,
    /// At the end of the last segment.
    shown: Change,
    /// What has come since, with times that increase.
    changes: VecDeque<Change>,
}

/// What is shown from a time on.
#[derive(Clone, Debug, Default)]
struct Change {
    at: i64,
    /// No lines for nothing.
    text: Text,
    /// When it was sent last.
    seen: i64,
}

impl Track {
    pub(super) fn new(
        number: u8,
        language: &str,
        is_for_hard_of_hearing: bool,
        pid: Pid,
        page: u16,
    ) -> Self {
        Self {
            number,
            language: language.to_owned(),
            is_for_hard_of_hearing,
            pid,
            page,
            shown: Change::default(),
            changes: VecDeque::new(),
        }
    }

    /// The same rendition, on another page.
    pub(super) fn moved_to(mut self, pid: Pid, page: u16) -> Self {
        if !self.is_at(pid, page) {
            (self.pid, self.page) = (pid, page);
            self.clear();
        }
        self
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn page(&self) -> Page {
        Page { number: self.page, language: self.language.clone() }
    }

    pub(super) fn is_at(&self, pid: Pid, page: u16) -> bool {
        (self.pid, self.page) == (pid, page)
    }

    pub(super) fn is_of(&self, language: &str, is_for_hard_of_hearing: bool) -> bool {
        (self.language.as_str(), self.is_for_hard_of_hearing) == (language, is_for_hard_of_hearing)
    }

    /// Nothing is shown any more.
    pub(super) fn clear(&mut self) {
        self.shown = Change::default();
        self.changes.clear();
    }

    /// The page shows a text from `time` on. It may be told again, with more of it, for the same time.
    pub(super) fn show(&mut self, time: i64, text: Text) {
        let last = self.changes.back_mut();
        if let Some(last) = last.filter(|last| last.at >= time) {
            last.text = text;
            return self.join_last();
        }
        let last = self.changes.back_mut().unwrap_or(&mut self.shown);
        if last.text == text {
            last.seen = time;
            return;
        }
        if self.changes.len() == CHANGES_MAX
            && let Some(oldest) = self.changes.pop_front()
        {
            self.shown = oldest;
        }
        self.changes.push_back(Change { at: time, text, seen: time });
    }

    /// A page that is sent again is erased and written: nothing has changed then.
    fn join_last(&mut self) {
        let Some(last) = self.changes.pop_back() else { return };
        let before = self.changes.back_mut().unwrap_or(&mut self.shown);
        match before.text == last.text {
            true => before.seen = last.at,
            false => self.changes.push_back(last),
        }
    }

    /// The segment from `begin` to `end`. What was shown before `end` is known now.
    pub(super) fn segment(&mut self, begin: i64, end: i64) -> String {
        let is_inside = |change: &&Change| change.at < end;
        let count = self.changes.iter().take_while(is_inside).count();
        let rows: Vec<Change> = std::iter::once(std::mem::take(&mut self.shown))
            .chain(self.changes.drain(..count))
            .collect();
        let ends = rows.iter().skip(1).map(|next| next.at).chain([end]);
        let cue = |(row, until): (_, i64)| cue(row, until, begin, end);
        let cues: Vec<Cue<'_>> = rows.iter().zip(ends).filter_map(cue).collect();
        let written = webvtt::segment(begin, &cues);
        self.shown = rows.into_iter().next_back().unwrap_or_default();
        written
    }
}

/// What of a text is shown in a segment.
fn cue(row: &Change, until: i64, begin: i64, end: i64) -> Option<Cue<'_>> {
    let until = until.min(row.seen.saturating_add(FORGOTTEN_TICKS)).min(end);
    let start = row.at.max(begin).saturating_sub(begin);
    let stop = until.saturating_sub(begin);
    let is_shown = !row.text.lines.is_empty() && stop.saturating_sub(start) >= CUE_TICKS_MIN;
    is_shown.then_some(Cue { start, end: stop, text: &row.text })
}

/// More than can be read in three of the longest segments.
const CHANGES_MAX: usize = 256;
/// One millisecond, the smallest step of WebVTT.
const CUE_TICKS_MIN: i64 = 90;
/// 30 s: a text that was not sent again for so long has lost its erasure, like one of which a packet was
/// lost. Nobody needs longer to read two lines.
const FORGOTTEN_TICKS: i64 = 30 * 90_000;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::teletext::{Colour, Span};

    const SECOND: i64 = 90_000;

    fn text(line: &str) -> Text {
        let span = Span { colour: Colour::White, text: line.to_owned() };
        let lines = if line.is_empty() { Vec::new() } else { vec![vec![span]] };
        Text { lines, is_at_top: false }
    }

    fn track() -> Track {
        Track::new(1, "deu", false, Pid::new(0x200), 0x150)
    }

    /// Cues as `start-end text`, in seconds.
    fn cues(track: &mut Track, begin_s: i64, end_s: i64) -> Vec<String> {
        let written = track.segment(begin_s * SECOND, end_s * SECOND);
        let cues = written.split("\n\n").skip(1).map(|cue| {
            let (times, text) = cue.trim_end().split_once('\n').expect("two lines");
            format!("{} {text}", times.replace("00:00:", "").replace(" --> ", "-"))
        });
        cues.collect()
    }

    #[test]
    fn a_text_across_a_boundary_is_in_both_segments() {
        let mut track = track();
        track.show(101 * SECOND, text("one"));
        assert_eq!(cues(&mut track, 100, 102), ["01.000-02.000 one"]);
        track.show(103 * SECOND, text("two"));
        track.show(105 * SECOND, text(""));
        assert_eq!(cues(&mut track, 102, 104), ["00.000-01.000 one", "01.000-02.000 two"]);
        assert_eq!(cues(&mut track, 104, 106), ["00.000-01.000 two"]);
        assert_eq!(cues(&mut track, 106, 108), [""; 0]);
    }

    #[test]
    fn a_page_that_is_told_again_replaces_what_was_told() {
        let mut track = track();
        track.show(100 * SECOND, text(""));
        track.show(100 * SECOND, text("half"));
        track.show(100 * SECOND, text("half and half"));
        track.show(101 * SECOND, text("half and half"));
        assert_eq!(cues(&mut track, 100, 102), ["00.000-02.000 half and half"]);
        // What comes after its segment was told is in the next one.
        track.show(101 * SECOND, text("late"));
        assert_eq!(cues(&mut track, 102, 104), ["00.000-02.000 late"]);
    }

    #[test]
    fn a_text_that_is_not_sent_again_is_forgotten() {
        let mut track = track();
        track.show(0, text("stuck"));
        track.show(10 * SECOND, text("stuck"));
        assert_eq!(cues(&mut track, 0, 30), ["00.000-30.000 stuck"]);
        track.show(20 * SECOND, text(""));
        track.show(20 * SECOND, text("stuck"));
        assert_eq!(cues(&mut track, 30, 60), ["00.000-20.000 stuck"]);
        assert_eq!(cues(&mut track, 60, 90), [""; 0]);
    }

    #[test]
    fn what_is_held_is_bounded_and_times_do_not_overflow() {
        let mut track = track();
        for n in 0..1_000 {
            track.show(n * 90, text(&n.to_string()));
        }
        assert_eq!(track.changes.len(), CHANGES_MAX);
        for time in [i64::MAX, i64::MIN, 0] {
            track.show(time, text("x"));
            track.segment(i64::MIN, i64::MAX);
            track.segment(i64::MAX, i64::MIN);
        }
    }
}
