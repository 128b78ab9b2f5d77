//! The side branch that opens a transport stream: access units for viewers that cannot take packets.
//!
//! A core has one for each transport stream of which it has such viewers, and drops it with the last one.

use std::sync::Arc;

use corelay_codecs::Timestamp;
use corelay_codecs::container::mpegts::demux::{Demuxer, Output, Settings};
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
    /// What came of the last packets, kept for its memory.
    outputs: Vec<Output>,
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
        Self { settings, demuxer, outputs: Vec::new(), feed }
    }

    /// Takes packets. Gives the units that are complete.
    pub fn take(&mut self, unit: &Unit) -> Units {
        if let Essence::Transport(packets) = &unit.essence {
            self.demuxer.push(&packets.block, &mut self.outputs);
        }
        self.units(unit.received)
    }

    /// The packets end, or others follow. Gives what was still incomplete.
    pub fn finish(&mut self, now: Micros) -> Units {
        self.demuxer.finish(&mut self.outputs);
        let units = self.units(now);
        self.demuxer = Demuxer::new(self.settings.clone());
        self.feed.restart();
        units
    }

    /// Packets follow on access units, which went up to stream time `at`.
    pub fn begin_at(&mut self, at: Timestamp) {
        self.feed.begin_at(at);
    }

    /// The tracks that it takes out.
    pub fn tracks(&self) -> &[Track] {
        self.feed.tracks()
    }

    fn units(&mut self, received: Micros) -> Units {
        let mut units = Units::new();
        for output in self.outputs.drain(..) {
            if let Output::Unit(access_unit) = output {
                units.extend(self.feed.take(Arc::new(Unit::new(access_unit, received))));
            }
        }
        units
    }
}
