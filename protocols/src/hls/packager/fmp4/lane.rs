//! One track on its way into fragments.

use bytes::Bytes;
use corelay_codecs::container::fmp4::Sample;
use corelay_codecs::{AccessUnit, CodecId, Timestamp, TrackId, TrackKind};

use super::sound::{Clock, Line, Place};
use crate::hls::encrypt::{FragmentCipher, SampleKey};
use crate::hls::packager::lead::bounded;
use crate::hls::packager::tracks::Track;
use crate::hls::segment::Rendition;

/// The samples of the open part, and what their times are reckoned from.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: TrackId,
    pub(super) rendition: Rendition,
    /// track_ID in its rendition.
    pub(super) track_id: u32,
    codec: CodecId,
    config: Bytes,
    /// What comes now needs another configuration than the initialisation segment has.
    is_stale: bool,
    /// Encrypts the samples.
    cipher: Option<FragmentCipher>,
    clock: Clock,
    line: Line,
    samples: Vec<Sample>,
    bytes: usize,
    /// Decoding time of the newest sample.
    last: Option<i64>,
    /// How long the sample before it was.
    last_duration: i64,
    /// The newest sample's duration is known when the next one comes.
    is_open: bool,
}

impl Lane {
    /// A lane for a track that can be encrypted if there is a key.
    pub(super) fn new(
        track: &Track,
        rendition: Rendition,
        track_id: u32,
        key: Option<&SampleKey>,
    ) -> Self {
        let clock = match track.id.kind {
            TrackKind::Audio => Clock::new(track.codec, &track.config),
            _ => Clock::Unknown,
        };
        Self {
            id: track.id,
            rendition,
            track_id,
            codec: track.codec,
            config: track.config.clone(),
            is_stale: false,
            cipher: key.and_then(|key| FragmentCipher::new(key, track.codec, &track.config)),
            clock,
            line: Line::default(),
            samples: Vec::new(),
            bytes: 0,
            last: None,
            last_duration: 0,
            is_open: false,
        }
    }

    /// True when the track is what the lane was made for.
    pub(super) fn carries(&self, track: &Track) -> bool {
        self.id == track.id && self.codec == track.codec && self.config == track.config
    }

    /// Compares the lane with what the track is now.
    pub(super) fn refresh(&mut self, track: &Track) {
        self.is_stale = !self.carries(track);
    }

    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Bytes of the samples.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where a frame is to be; its duration is 0 when only the next frame tells it.
    pub(super) fn place(&mut self, unit: &AccessUnit) -> Place {
        let dts = bounded(unit.dts.0);
        match self.clock.length(&unit.payload) {
            Some(length) => {
                let place = self.line.pass(dts, length);
                Place { time: self.not_before(place.time), ..place }
            }
            None => Place { time: self.not_before(dts), duration: 0 },
        }
    }

    /// Appends a frame at its place, behind the sample before it; false when it cannot be encrypted.
    pub(super) fn push(&mut self, unit: &AccessUnit, place: Place) -> bool {
        let mut sample = Sample::of(unit, duration(place.duration));
        if let Some(cipher) = &mut self.cipher {
            let Some((payload, runs)) = cipher.encrypt(&unit.payload) else { return false };
            (sample.payload, sample.protected) = (payload, Some(runs));
        }
        self.end_sample(place.time);
        self.bytes += sample.payload.len();
        self.samples.push(Sample { dts: Timestamp(place.time), ..sample });
        self.last = Some(place.time);
        self.is_open = place.duration == 0;
        if place.duration > 0 {
            self.last_duration = place.duration;
        }
        true
    }

    /// The newest sample lasts up to `end`, where the next one begins.
    pub(super) fn end_sample(&mut self, end: i64) {
        if let Some(sample) = self.samples.last_mut() {
            let ticks = end.saturating_sub(sample.dts.0).max(1);
            sample.duration = duration(ticks);
            self.last_duration = ticks;
        }
        self.is_open = false;
    }

    /// No sample follows: the newest one lasts as long as the one before.
    pub(super) fn close(&mut self) {
        if self.is_open
            && let Some(sample) = self.samples.last_mut()
        {
            sample.duration = duration(self.last_duration.max(1));
        }
        self.is_open = false;
    }

    /// Takes the samples whose durations are known.
    pub(super) fn take(&mut self) -> Vec<Sample> {
        let known = self.samples.len() - usize::from(self.is_open && !self.samples.is_empty());
        let held = self.samples.split_off(known);
        self.bytes = held.iter().map(|sample| sample.payload.len()).sum();
        std::mem::replace(&mut self.samples, held)
    }

    /// What follows does not continue what was.
    pub(super) fn reset(&mut self) {
        self.line.reset();
        self.samples.clear();
        (self.bytes, self.last, self.is_open) = (0, None, false);
    }

    /// Decoding times increase.
    fn not_before(&self, time: i64) -> i64 {
        self.last.map_or(time, |last| time.max(last + 1))
    }
}

fn duration(ticks: i64) -> u32 {
    ticks.clamp(0, i64::from(u32::MAX)) as u32
}
