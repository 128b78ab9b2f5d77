//! The side branch that opens a transport stream: access units for viewers that cannot take packets.
//!
//! A core has one for each transport stream of which it has such viewers, and drops it with the last one.

use std::sync::Arc;

use corelay_codecs::container::mpegts::demux::{
    Demuxer, Interleaver, InterleaverSettings, Output, Settings,
};
use corelay_codecs::container::mpegts::psi::Program;
use corelay_codecs::{Timestamp, TrackKind};
use corelay_config::Policy;
use smallvec::SmallVec;

use super::feed::{Feed, Track};
use super::memory::Budget;
use super::unit::{Essence, Unit};
use crate::clock::Micros;

/// See the module.
#[derive(Debug)]
pub struct Bridge {
    settings: Settings,
    demuxer: Demuxer,
    /// Brings pictures and the sound that is multiplexed behind them together.
    interleaver: Interleaver,
    /// What came of the last packets, kept for its memory.
    outputs: Vec<Output>,
    /// What of it is in its place, kept for its memory.
    ordered: Vec<Output>,
    feed: Feed,
}

/// Units in the order of their delivery.
pub type Units = SmallVec<[Arc<Unit>; 4]>;

impl Bridge {
    /// A bridge that takes out what `settings` say. Its units begin at stream time `at`.
    pub fn new(
        settings: Settings,
        policy: Arc<Policy>,
        budget: Arc<Budget>,
        at: Timestamp,
    ) -> Self {
        let mut feed = Feed::new(policy, budget);
        feed.begin_at(at);
        let demuxer = Demuxer::new(settings.clone());
        let interleaver = Interleaver::new(InterleaverSettings::default());
        Self { settings, demuxer, interleaver, outputs: Vec::new(), ordered: Vec::new(), feed }
    }

    /// Takes packets. Gives the units that are complete.
    pub fn take(&mut self, unit: &Unit) -> Units {
        if let Essence::Transport(packets) = &unit.essence {
            self.demuxer.push(&packets.block, &mut self.outputs);
        }
        self.interleaver.push(self.outputs.drain(..), unit.received.0, &mut self.ordered);
        self.units(unit.received)
    }

    /// Time has passed without packets. Gives the units that have waited for others long enough.
    pub fn handle_timeout(&mut self, now: Micros) -> Units {
        self.interleaver.handle_timeout(now.0, &mut self.ordered);
        self.units(now)
    }

    /// The packets end, or others follow. Gives what was still incomplete.
    pub fn finish(&mut self, now: Micros) -> Units {
        self.demuxer.finish(&mut self.outputs);
        self.interleaver.push(self.outputs.drain(..), now.0, &mut self.ordered);
        self.interleaver.flush(&mut self.ordered);
        let units = self.units(now);
        self.demuxer = Demuxer::new(self.settings.clone());
        self.feed.restart();
        units
    }

    /// Packets follow on access units, which went up to stream time `at`.
    pub fn begin_at(&mut self, at: Timestamp) {
        self.feed.begin_at(at);
    }

    /// The program whose units it takes out; `None` until there is one.
    pub fn program(&self) -> Option<&Program> {
        self.demuxer.program()
    }

    /// Puts a time of the stream, of 33 bits, onto the timeline of the units; `None` before the first one.
    pub fn place(&self, time: u64) -> Option<i64> {
        let placed = self.feed.place(Timestamp(self.demuxer.place(time)?))?;
        Some(placed.0)
    }

    /// The tracks that it takes out.
    pub fn tracks(&self) -> &[Track] {
        self.feed.tracks()
    }

    /// What the program has and viewers of access units do not get: PID, coding by name, and why.
    pub fn not_carried(&self) -> Vec<(u16, &'static str, String)> {
        let left_out = self.demuxer.not_carried().iter();
        let left_out = left_out.map(|one| (one.pid, one.format, one.reason.text()));
        let tracks = self.demuxer.track_states();
        let tracks =
            tracks.filter_map(|track| Some((track.pid, track.format, track.not_in_flv()?)));
        let all = left_out.chain(tracks);
        all.map(|(pid, format, why)| (pid.value(), format.name(), why.to_owned())).collect()
    }

    fn units(&mut self, received: Micros) -> Units {
        let mut units = Units::new();
        if self.demuxer.tracks().any(|(track, _)| track.kind == TrackKind::Video) {
            self.feed.expect_pictures();
        }
        for output in self.ordered.drain(..) {
            if let Output::Unit(access_unit) = output {
                units.extend(self.feed.take(Arc::new(Unit::new(access_unit, received))));
            }
        }
        units
    }
}
