//! Which track is cut at.

use corelay_codecs::{TrackId, TrackKind};

use super::cut::{Cut, Cutter};
use super::settings::Settings;

/// The main track of a stream and its cuts.
#[derive(Debug)]
pub(super) struct Lead {
    cutter: Cutter,
    main: Option<TrackId>,
}

impl Lead {
    pub(super) fn new(settings: &Settings, first_duration: Option<i64>) -> Self {
        Self { cutter: Cutter::new(settings, first_duration), main: None }
    }

    /// A frame of any track. Pictures at which decoding can start take over from sound; sound takes
    /// over from pictures that have stopped, for as long as a segment may be.
    pub(super) fn frame(&mut self, track: TrackId, time: i64, is_entry: bool) -> Cut {
        let time = bounded(time);
        let takes_over = is_entry && self.takes_over(track);
        let is_due = takes_over && self.main.is_some();
        if takes_over {
            self.main = Some(track);
        }
        if self.main == Some(track) {
            let is_entry = is_entry || track.kind == TrackKind::Audio;
            return self.cutter.frame(self.after_last(time), is_entry, is_due);
        }
        if !self.cutter.is_open() {
            return Cut::LeftOut;
        }
        if !self.cutter.is_silent_at(time) {
            return Cut::None;
        }
        if track.kind == TrackKind::Audio {
            self.main = Some(track);
        }
        Cut::Gap(self.cutter.end())
    }

    /// True when a segment may begin with this frame. Every frame of sound is as good as the next
    /// one, where sound leads.
    pub(super) fn may_begin(&self, track: TrackId, is_entry: bool) -> bool {
        let is_main = self.main == Some(track);
        is_entry && (is_main || self.takes_over(track)) || is_main && track.kind == TrackKind::Audio
    }

    /// Where the open segment ends when a frame at `time` is not to be in it.
    pub(super) fn end_before(&self, time: i64) -> i64 {
        let time = bounded(time);
        match self.cutter.is_silent_at(time) {
            true => self.cutter.end(),
            false => self.cutter.limit(self.after_last(time)),
        }
    }

    pub(super) fn is_main(&self, track: TrackId) -> bool {
        self.main == Some(track)
    }

    pub(super) fn is_open(&self) -> bool {
        self.cutter.is_open()
    }

    /// No track has led since another source was announced.
    pub(super) fn is_free(&self) -> bool {
        self.main.is_none()
    }

    /// Time of the newest frame of the main track, where the cut in front of it is.
    pub(super) fn last(&self) -> i64 {
        self.cutter.last()
    }

    /// The time up to which that frame lasts.
    pub(super) fn end(&self) -> i64 {
        self.cutter.end()
    }

    /// The open segment ends; the next one begins with an entry point.
    pub(super) fn close(&mut self, end: i64) {
        self.cutter.close(end);
    }

    /// Another source follows; no segment is open.
    pub(super) fn forget(&mut self) {
        self.main = None;
    }

    fn takes_over(&self, track: TrackId) -> bool {
        self.main.is_none_or(|main| track.kind < main.kind)
    }

    /// Times of cuts increase.
    fn after_last(&self, time: i64) -> i64 {
        match self.cutter.is_open() {
            true => time.max(self.cutter.last().saturating_add(1)),
            false => time,
        }
    }
}

/// A time with which can be reckoned without an overflow: three million years.
pub(super) fn bounded(time: i64) -> i64 {
    time.clamp(-(i64::MAX / 4), i64::MAX / 4)
}
