//! A stream on a core with viewers: what the owner sends, muxed once for each egress in use.

use std::sync::Arc;

use corelay_codecs::{Timestamp, TrackKind, UnitKind};
use corelay_config::{Policy, Start};
use smallvec::SmallVec;

use super::egress::{Egress, Muxer};
use super::key::StreamKey;
use super::memory::SegmentPool;
use super::message::StreamUid;
use super::outlet::{Notices, Outlet, Seen};
use super::unit::{Change, Gop, Prologue, Snapshot, Unit};
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
    /// Units were missed, and the owner has been asked for them.
    pub asked_again: bool,
    outlets: SmallVec<[Outlet; 1]>,
    prologue: Prologue,
    gop: Gop,
    /// Sequence number of the unit that comes next.
    next: u64,
    /// The latest stream time in the logs.
    latest: Timestamp,
    seen: Seen,
    viewers: usize,
}

/// What [`Replica::deliver`] made of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is in the logs, or was there already.
    Yes,
    /// Units in front of it are missing: the owner must be asked for a snapshot.
    Gap,
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
            asked_again: false,
            outlets: SmallVec::new(),
            prologue: Prologue::default(),
            gop: Gop::default(),
            next: 0,
            latest: Timestamp::default(),
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
        let muxer = Muxer::new(egress, &self.key.name, chunk_size);
        let mut outlet = Outlet::new(muxer, pool.clone());
        outlet.learn(&self.prologue);
        for unit in self.gop.units() {
            outlet.append(unit, now);
        }
        self.outlets.push(outlet);
        self.outlets.len() - 1
    }

    /// Removes one egress that nobody has used for the policy's `linger_ms`. Gives the index that the
    /// last egress has now.
    pub fn drop_idle_outlet(&mut self, now: Micros) -> Option<usize> {
        let linger_ms = self.policy.linger_ms;
        let idle = self.outlets.iter().position(|outlet| outlet.is_idle(now, linger_ms))?;
        self.outlets.swap_remove(idle);
        Some(idle)
    }

    /// Takes a unit from the owner.
    pub fn deliver(&mut self, unit: &Arc<Unit>, now: Micros, notices: &mut Notices) -> Delivered {
        if unit.sequence > self.next {
            return Delivered::Gap;
        }
        if unit.sequence == self.next {
            self.next += 1;
            self.live = true;
            self.take(unit, now, notices);
        }
        Delivered::Yes
    }

    /// Takes the owner's snapshot: at the start, or for units that were missed. What the logs have
    /// already is left out.
    pub fn restore(&mut self, snapshot: Snapshot, now: Micros, notices: &mut Notices) {
        self.asked_again = false;
        let have = self.next;
        self.resume(snapshot.prologue, snapshot.next, now);
        for unit in snapshot.gop.iter().filter(|unit| unit.sequence >= have) {
            self.keep(unit, now);
        }
        // At the live edge, what is in the snapshot is the past.
        if self.policy.start == Start::RandomAccess {
            self.start_waiting(notices);
        }
    }

    /// Goes on behind a gap: the owner sends `next` next. Configurations that viewers have not been told
    /// of go into the logs.
    pub fn resume(&mut self, prologue: Prologue, next: u64, now: Micros) {
        self.gop.clear();
        self.seen = Seen::default();
        for outlet in &mut self.outlets {
            outlet.start_epoch(now);
            outlet.learn(&prologue);
        }
        let known = std::mem::replace(&mut self.prologue, prologue.clone());
        for unit in prologue.units() {
            if unit.access_unit.kind == UnitKind::Config && !known.says(unit) {
                let mut told = Unit::clone(unit);
                told.access_unit.dts = told.access_unit.dts.max(self.latest);
                self.append(&told, now);
            }
            self.see(unit);
        }
        self.next = next;
    }

    /// The stream is over: its viewers get what they have not got, and whoever comes now waits for the
    /// next publisher.
    pub fn end(&mut self, now: Micros, notices: &mut Notices) {
        self.live = false;
        self.start_epoch(now);
        self.outlets.iter_mut().for_each(|outlet| outlet.hand_out(notices));
    }

    fn take(&mut self, unit: &Arc<Unit>, now: Micros, notices: &mut Notices) {
        if unit.starts_epoch {
            self.start_epoch(now);
        }
        let change = self.prologue.observe(unit);
        if unit.late_joiners_only {
            return;
        }
        if change == Change::Replaced {
            self.gop.clear();
            self.outlets.iter_mut().for_each(Outlet::forget_entry);
        }
        if self.keep(unit, now) {
            self.start_waiting(notices);
        }
    }

    /// Puts a unit into the logs. True when viewers may start at it.
    fn keep(&mut self, unit: &Arc<Unit>, now: Micros) -> bool {
        self.see(unit);
        self.latest = self.latest.max(unit.access_unit.dts);
        self.gop.push(unit, self.policy.log_bytes_max);
        self.append(unit, now)
    }

    fn append(&mut self, unit: &Unit, now: Micros) -> bool {
        self.outlets.iter_mut().fold(false, |entry, outlet| outlet.append(unit, now) | entry)
    }

    fn start_waiting(&mut self, notices: &mut Notices) {
        for outlet in &mut self.outlets {
            outlet.start_waiting(&self.prologue, self.seen, notices);
        }
    }

    fn start_epoch(&mut self, now: Micros) {
        self.prologue.clear();
        self.gop.clear();
        self.seen = Seen::default();
        self.outlets.iter_mut().for_each(|outlet| outlet.start_epoch(now));
    }

    fn see(&mut self, unit: &Unit) {
        match unit.access_unit.track.kind {
            TrackKind::Video => self.seen.video = true,
            TrackKind::Audio => self.seen.audio = true,
            TrackKind::Data => {}
        }
    }
}
