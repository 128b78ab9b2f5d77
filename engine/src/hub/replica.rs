//! A stream on a core with viewers: what the owner sends, muxed once for each egress in use.

use std::sync::Arc;

use corelay_codecs::{TrackKind, UnitKind};
use corelay_config::Policy;
use smallvec::SmallVec;

use super::egress::{Egress, Muxer};
use super::key::StreamKey;
use super::memory::SegmentPool;
use super::message::StreamUid;
use super::outlet::{Notices, Outlet, Seen};
use super::unit::{Gop, Prologue, Unit};
use crate::clock::Micros;

/// See the module.
#[derive(Debug)]
pub struct Replica {
    /// Application and name.
    pub key: StreamKey,
    /// The policy of its application.
    pub policy: Arc<Policy>,
    /// What its units are marked with; `None` until the owner has answered.
    pub stream: Option<StreamUid>,
    /// Somebody publishes, or is expected back.
    pub live: bool,
    /// Without viewers: when the owner is told to send no more.
    pub leave_at: Option<Micros>,
    /// It is in the hub's list of replicas to flush.
    pub unflushed: bool,
    outlets: SmallVec<[Outlet; 1]>,
    prologue: Prologue,
    gop: Gop,
    seen: Seen,
    viewers: usize,
}

impl Replica {
    /// A replica of a stream of which nothing is known yet.
    pub fn new(key: StreamKey, policy: Arc<Policy>) -> Self {
        Self {
            key,
            policy,
            stream: None,
            live: false,
            leave_at: None,
            unflushed: false,
            outlets: SmallVec::new(),
            prologue: Prologue::default(),
            gop: Gop::default(),
            seen: Seen::default(),
            viewers: 0,
        }
    }

    /// The egress forms in use.
    pub fn outlets(&self) -> &[Outlet] {
        &self.outlets
    }

    /// One of them.
    pub fn outlet(&mut self, index: usize) -> &mut Outlet {
        &mut self.outlets[index]
    }

    /// All of them, with what their policies need.
    pub fn parts(&mut self) -> (&mut [Outlet], &Prologue, Seen, &Policy) {
        (&mut self.outlets, &self.prologue, self.seen, &self.policy)
    }

    /// Viewers attached.
    pub fn viewers(&self) -> usize {
        self.viewers
    }

    /// Counts a viewer in or out.
    pub fn count_viewer(&mut self, change: isize) {
        self.viewers = self.viewers.saturating_add_signed(change);
    }

    /// The outlet of an egress; made, and filled with the present group of pictures, if there is none.
    pub fn outlet_for(
        &mut self,
        egress: Egress,
        chunk_size: u32,
        pool: &SegmentPool,
        now: Micros,
    ) -> usize {
        if let Some(found) = self.outlets.iter().position(|o| o.muxer().egress == egress) {
            return found;
        }
        let mut outlet = Outlet::new(Muxer { egress, chunk_size }, pool.clone());
        for unit in self.gop.units() {
            outlet.append(unit, now);
        }
        self.outlets.push(outlet);
        self.outlets.len() - 1
    }

    /// Takes a unit from the owner.
    pub fn deliver(&mut self, unit: &Arc<Unit>, now: Micros, notices: &mut Notices) {
        if unit.starts_epoch {
            self.start_epoch();
        }
        let reconfigured = self.prologue.observe(unit);
        if unit.late_joiners_only {
            return;
        }
        if reconfigured {
            self.gop.clear();
        }
        self.see(unit);
        self.gop.push(unit, self.policy.log_bytes_max);
        for outlet in &mut self.outlets {
            if reconfigured {
                outlet.forget_entry();
            }
            if outlet.append(unit, now) {
                outlet.start_waiting(&self.prologue, self.seen, notices);
            }
        }
    }

    /// Takes the owner's snapshot: at the start, or after units were lost on the way. Configurations that
    /// viewers have not been told of go into the logs.
    pub fn restore(
        &mut self,
        prologue: Prologue,
        gop: Vec<Arc<Unit>>,
        now: Micros,
        notices: &mut Notices,
    ) {
        self.gop.clear();
        for outlet in &mut self.outlets {
            outlet.forget_entry();
        }
        for unit in prologue.units() {
            let mut known = self.prologue.clone();
            if unit.access_unit.kind == UnitKind::Config && known.observe(unit) {
                self.deliver(unit, now, notices);
            }
            self.see(unit);
        }
        self.prologue = prologue;
        for unit in &gop {
            self.deliver(unit, now, notices);
        }
    }

    fn start_epoch(&mut self) {
        self.prologue.clear();
        self.gop.clear();
        self.seen = Seen::default();
        for outlet in &mut self.outlets {
            outlet.start_epoch();
        }
    }

    fn see(&mut self, unit: &Unit) {
        match unit.access_unit.track.kind {
            TrackKind::Video => self.seen.video = true,
            TrackKind::Audio => self.seen.audio = true,
            TrackKind::Data => {}
        }
    }
}
