//! Units of all tracks in the order of their decoding times.
//!
//! A multiplexer sends pictures earlier than the sounds that belong to them, because a decoder has a
//! larger buffer for pictures: up to a second (ISO/IEC 13818-1 2.4.2.7). [`Demuxer`](super::Demuxer)
//! hands units out as they are sent. Who plays them as they come, as RTMP's players do, has the sound
//! late by that much; this stage holds the earlier ones back.
//!
//! ```text
//! sent:   V3 V4 A1 V5 A2 V6 A3      (numbers: decoding times)
//! out:    A1 A2 V3 A3 V4 ...
//! ```
//!
//! A unit leaves as soon as no track can bring an earlier one. The latency that this adds is the
//! distance of the tracks in the multiplex, and at most [`InterleaverSettings::wait_ms`].
//!
//! Invariants
//! - Every unit comes out once, those of a track in the order in which they went in.
//! - Decoding times go back from one unit to the next only where a unit came later than the wait
//!   allows, or behind a jump of its track's times.
//! - Events pass at once; those that end tracks come behind all units that were held.

use std::collections::VecDeque;

use super::{Event, Output};
use crate::access_unit::{AccessUnit, TrackId};

/// How long to wait, and how much to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterleaverSettings {
    /// Longest time that a unit is held, in ms, both of the caller's clock and of the units' own
    /// times: 0 to 5,000; default 500. 0: nothing is held.
    pub wait_ms: u32,
    /// Units held at most: default 4,096. Beyond it the earliest leave before their time.
    pub units_max: usize,
    /// Bytes of their payloads held at most: default 16 MiB. Beyond it the earliest leave before
    /// their time.
    pub bytes_max: usize,
}

impl Default for InterleaverSettings {
    fn default() -> Self {
        Self { wait_ms: 500, units_max: 4_096, bytes_max: 16 << 20 }
    }
}

/// What was met so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterleaverCounters {
    /// Units that came when a later one of another track had left already.
    pub late: u64,
    /// Units that left because the wait was over, or because too much was held.
    pub released: u64,
    /// Jumps of a track's times, at which everything left.
    pub resets: u64,
}

/// Brings what a demultiplexer hands out into the order of decoding times.
///
/// [`push`](Self::push) its outputs; [`handle_timeout`](Self::handle_timeout) at
/// [`poll_timeout`](Self::poll_timeout); [`flush`](Self::flush) at the end, behind
/// [`Demuxer::finish`](super::Demuxer::finish).
#[derive(Debug)]
pub struct Interleaver {
    settings: InterleaverSettings,
    tracks: Vec<Track>,
    units: usize,
    bytes: usize,
    /// Latest decoding time that came in, of any track.
    newest: Option<i64>,
    /// Latest decoding time that went out.
    last_out: Option<i64>,
    counters: InterleaverCounters,
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    held: VecDeque<Held>,
    /// Decoding time of its last unit; of the first unit of another track while it has none.
    last: Option<i64>,
    has_units: bool,
}

#[derive(Debug)]
struct Held {
    unit: AccessUnit,
    since_us: u64,
}

impl Interleaver {
    /// Nothing held, no track known.
    pub fn new(settings: InterleaverSettings) -> Self {
        let wait_ms = settings.wait_ms.min(WAIT_MS_MAX);
        Self {
            settings: InterleaverSettings { wait_ms, ..settings },
            tracks: Vec::new(),
            units: 0,
            bytes: 0,
            newest: None,
            last_out: None,
            counters: InterleaverCounters::default(),
        }
    }

    /// Takes what a demultiplexer handed out at `now_us` (any monotonic clock), and appends to `out`
    /// what is due.
    ///
    /// Cost: a look at every track for each unit; no allocation in steady state.
    pub fn push(
        &mut self,
        outputs: impl IntoIterator<Item = Output>,
        now_us: u64,
        out: &mut Vec<Output>,
    ) {
        for output in outputs {
            match output {
                Output::Unit(unit) => self.push_unit(unit, now_us, out),
                Output::Event(event) => self.pass(event, out),
            }
        }
        self.handle_timeout(now_us, out);
    }

    /// When the next unit has been held for long enough, on the clock of `now_us`; `None` while
    /// nothing is held.
    pub fn poll_timeout(&self) -> Option<u64> {
        let fronts = self.tracks.iter().filter_map(|track| track.held.front());
        fronts.map(|held| held.since_us.saturating_add(self.wait_us())).min()
    }

    /// Time has passed: appends to `out` what was held for long enough.
    pub fn handle_timeout(&mut self, now_us: u64, out: &mut Vec<Output>) {
        while self.poll_timeout().is_some_and(|at| at <= now_us) {
            self.counters.released += 1;
            self.release_first(out);
        }
    }

    /// Appends all that is held to `out`.
    pub fn flush(&mut self, out: &mut Vec<Output>) {
        while self.units > 0 {
            self.release_first(out);
        }
    }

    /// Units held.
    pub fn len(&self) -> usize {
        self.units
    }

    /// True when no unit is held.
    pub fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// What was met so far.
    pub fn counters(&self) -> InterleaverCounters {
        self.counters
    }

    fn pass(&mut self, event: Event, out: &mut Vec<Output>) {
        match event {
            Event::Track { track, .. } => {
                self.track(track);
            }
            Event::TrackEnded { track, .. } => {
                self.flush(out);
                self.tracks.retain(|known| known.id != track);
            }
            Event::ProgramLost { .. } => self.reset(out),
            _ => {}
        }
        out.push(Output::Event(event));
    }

    fn push_unit(&mut self, unit: AccessUnit, now_us: u64, out: &mut Vec<Output>) {
        if self.settings.wait_ms == 0 {
            return out.push(Output::Unit(unit));
        }
        let dts = unit.dts.0;
        let index = self.track(unit.track);
        if self.tracks.get(index).is_some_and(|track| track.is_jump(dts)) {
            self.counters.resets += 1;
            self.reset(out);
        }
        // The tracks that were announced with it are waited for from here.
        for track in &mut self.tracks {
            track.last.get_or_insert(dts);
        }
        self.newest = Some(self.newest.map_or(dts, |newest| newest.max(dts)));
        if let Some(track) = self.tracks.get_mut(index) {
            (track.last, track.has_units) = (Some(dts), true);
            self.units += 1;
            self.bytes += unit.payload.len();
            track.held.push_back(Held { unit, since_us: now_us });
        }
        self.release(out);
    }

    /// Hands out what no track can be earlier than, and what is too much.
    fn release(&mut self, out: &mut Vec<Output>) {
        while let Some((index, dts)) = self.first() {
            if !self.is_settled(index, dts) {
                let is_full = self.units > self.settings.units_max
                    || self.bytes > self.settings.bytes_max
                    || self.is_past_wait(dts);
                if !is_full {
                    return;
                }
                self.counters.released += 1;
            }
            self.release_first(out);
        }
    }

    /// No other track can bring an earlier unit any more.
    fn is_settled(&self, index: usize, dts: i64) -> bool {
        let mut others = self.tracks.iter().enumerate().filter(|(other, _)| *other != index);
        others.all(|(_, track)| {
            !track.held.is_empty()
                || track.last.is_some_and(|last| track.has_units && last >= dts)
                || self.is_silent(track)
        })
    }

    fn is_past_wait(&self, dts: i64) -> bool {
        self.newest.is_some_and(|newest| newest.saturating_sub(dts) >= self.wait_ticks())
    }

    /// The track has been left behind for so long that nobody waits for it.
    fn is_silent(&self, track: &Track) -> bool {
        let (Some(newest), Some(last)) = (self.newest, track.last) else {
            return false;
        };
        newest.saturating_sub(last) > self.wait_ticks() + SILENCE_TICKS
    }

    /// The earliest unit: of which track, and its time. Of equal times the one that came first.
    fn first(&self) -> Option<(usize, i64)> {
        let fronts = self.tracks.iter().enumerate();
        let fronts = fronts.filter_map(|(index, track)| Some((index, track.held.front()?)));
        let first = fronts.min_by_key(|(_, held)| (held.unit.dts, held.since_us));
        first.map(|(index, held)| (index, held.unit.dts.0))
    }

    fn release_first(&mut self, out: &mut Vec<Output>) {
        let Some((index, dts)) = self.first() else { return };
        let held = self.tracks.get_mut(index).and_then(|track| track.held.pop_front());
        if let Some(Held { unit, .. }) = held {
            self.units -= 1;
            self.bytes -= unit.payload.len();
            self.counters.late += u64::from(self.last_out.is_some_and(|last| dts < last));
            self.last_out = Some(self.last_out.map_or(dts, |last| last.max(dts)));
            out.push(Output::Unit(unit));
        }
    }

    /// Other times follow.
    fn reset(&mut self, out: &mut Vec<Output>) {
        self.flush(out);
        (self.newest, self.last_out) = (None, None);
        for track in &mut self.tracks {
            (track.last, track.has_units) = (None, false);
        }
    }

    /// Index of the track.
    fn track(&mut self, id: TrackId) -> usize {
        if let Some(index) = self.tracks.iter().position(|track| track.id == id) {
            return index;
        }
        let last = self.newest;
        self.tracks.push(Track { id, held: VecDeque::new(), last, has_units: false });
        self.tracks.len() - 1
    }

    fn wait_us(&self) -> u64 {
        u64::from(self.settings.wait_ms) * 1_000
    }

    fn wait_ticks(&self) -> i64 {
        i64::from(self.settings.wait_ms) * 90
    }
}

impl Default for Interleaver {
    fn default() -> Self {
        Self::new(InterleaverSettings::default())
    }
}

impl Track {
    /// Not the time of the next unit: it goes back, or on by more than any pause of a track that is
    /// waited for.
    fn is_jump(&self, dts: i64) -> bool {
        let step = self.last.filter(|_| self.has_units).map_or(0, |last| dts.saturating_sub(last));
        !(0..=JUMP_TICKS).contains(&step)
    }
}

const WAIT_MS_MAX: u32 = 5_000;
/// A track that is further behind than this and the wait together is not waited for: PES packets of
/// sound start at most 700 ms apart (ISO/IEC 13818-1 2.7.4).
const SILENCE_TICKS: i64 = 90_000;
/// The largest step of a track that goes on: what the demultiplexer takes for the same clock.
const JUMP_TICKS: i64 = 10 * 90_000;

#[cfg(test)]
mod tests;
