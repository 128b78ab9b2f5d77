//! The first frames of a stream, until it is known which tracks there are.

use corelay_codecs::container::fmp4;
use corelay_codecs::{AccessUnit, FlvBody, TrackKind};

use crate::hls::packager::settings::Settings;
use crate::hls::packager::tracks::{Track, Tracks};

/// Frames from the first entry point on.
#[derive(Debug)]
pub(super) struct Gather {
    frames: Vec<Gathered>,
    bytes: usize,
    bytes_max: usize,
    ticks_max: i64,
}

/// A frame, and what came with it.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) unit: AccessUnit,
    pub(super) is_entry: bool,
    pub(super) received_us: u64,
}

impl Gather {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            frames: Vec::new(),
            bytes: 0,
            bytes_max: settings.segment_bytes_max,
            ticks_max: i64::from(settings.segment_ms.min(WAIT_MS_MAX)) * 90,
        }
    }

    /// Takes a frame; returns how many are left out because of it. Pictures at which decoding can
    /// start begin again: sound in front of them is not played.
    pub(super) fn push(&mut self, unit: &AccessUnit, is_entry: bool, received_us: u64) -> u64 {
        let kind = unit.track.kind;
        let leads = |first: &Gathered| kind < first.unit.track.kind;
        let is_first = is_entry && self.frames.first().is_none_or(leads);
        if self.frames.is_empty() && !is_first {
            return 1;
        }
        let mut left_out = 0;
        if is_first {
            left_out = self.frames.len() as u64;
            self.frames.clear();
            self.bytes = 0;
        }
        self.bytes += unit.payload.len();
        let unit = AccessUnit { flv: FlvBody::Build, ..unit.clone() };
        self.frames.push(Gathered { unit, is_entry, received_us });
        left_out
    }

    /// True when every track has sent a frame and there are pictures and sound, or it is no use to
    /// wait longer.
    pub(super) fn is_complete(&self, tracks: &Tracks) -> bool {
        let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) else {
            return false;
        };
        let waited = last.unit.dts.0.saturating_sub(first.unit.dts.0);
        if waited >= self.ticks_max || self.bytes > self.bytes_max {
            return true;
        }
        let fitting = || tracks.iter().filter(|track| fmp4::fits(track.codec));
        let is_there = |kind| fitting().any(|track| track.id.kind == kind);
        let is_known = |track: &Track| !track.frame.is_empty();
        is_there(TrackKind::Video) && is_there(TrackKind::Audio) && fitting().all(is_known)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_frames(self) -> Vec<Gathered> {
        self.frames
    }
}

/// Sound that belongs to pictures comes sooner than this.
const WAIT_MS_MAX: u32 = 1_000;
