//! A stream on a core with viewers: what the owner sends, muxed once for each egress in use.

use std::sync::Arc;

use corelay_codecs::container::mpegts::demux;
use corelay_codecs::{Timestamp, TrackKind};
use corelay_config::{Policy, Start};
use smallvec::SmallVec;

use super::bridge::Bridge;
use super::egress::{Egress, MuxSettings, Muxer};
use super::key::StreamKey;
use super::memory::SegmentPool;
use super::message::StreamUid;
use super::outlet::{Notices, Outlet, Seen};
use super::unit::{Change, Essence, Gop, Prologue, Snapshot, Unit};
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
    /// What the stream is: packets, or access units.
    is_transport: bool,
    native: Side,
    bridged: Side,
    /// Takes access units out of packets, while outlets need them.
    bridge: Option<Box<Bridge>>,
    /// Sequence number of the unit that comes next.
    next: u64,
    /// The latest stream time in the logs.
    latest: Timestamp,
    viewers: usize,
}

/// What joiners need: of the stream as it is, or of what a bridge makes of it.
#[derive(Debug, Default)]
pub struct Side {
    /// What stands in front of the first frame.
    pub prologue: Prologue,
    /// The units since the newest entry point.
    pub gop: Gop,
    /// What there is to watch and to hear.
    pub seen: Seen,
}

impl Side {
    /// Keeps what joiners need of a unit.
    fn keep(&mut self, unit: &Arc<Unit>, bytes_max: usize) {
        self.see(unit);
        self.gop.push(unit, bytes_max);
    }

    fn see(&mut self, unit: &Unit) {
        match &unit.essence {
            Essence::Transport(_) => self.seen = Seen { video: true, audio: true },
            Essence::Elementary(unit) => match unit.track.kind {
                TrackKind::Video => self.seen.video = true,
                TrackKind::Audio => self.seen.audio = true,
                TrackKind::Data => {}
            },
        }
    }

    fn clear(&mut self) {
        self.prologue.clear();
        self.gop.clear();
        self.seen = Seen::default();
    }
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
            is_transport: false,
            native: Side::default(),
            bridged: Side::default(),
            bridge: None,
            next: 0,
            latest: Timestamp::default(),
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

    /// One of them, with what its joiners need and the policy.
    pub fn parts(&mut self, index: usize) -> (&mut Outlet, &Side, &Policy) {
        let outlet = &mut self.outlets[index];
        let side = if outlet.is_bridged() { &self.bridged } else { &self.native };
        (outlet, side, &self.policy)
    }

    /// What takes access units out of a transport stream, if anything does.
    pub fn bridge(&self) -> Option<&Bridge> {
        self.bridge.as_deref()
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
        settings: &MuxSettings,
        bridging: &demux::Settings,
        pool: &SegmentPool,
        now: Micros,
    ) -> usize {
        if let Some(found) = self.outlets.iter().position(|o| o.muxer().egress == egress) {
            return found;
        }
        let muxer = Muxer::new(egress, &self.key.name, settings);
        let mut outlet = Outlet::new(muxer, pool.clone());
        outlet.set_bridged(self.is_transport && !egress.takes_packets());
        if !egress.takes_packets() && self.bridge.is_none() {
            self.build_bridge(bridging, pool);
        }
        let side = if outlet.is_bridged() { &self.bridged } else { &self.native };
        outlet.learn(&side.prologue);
        for unit in side.gop.units() {
            outlet.append(unit, now);
        }
        self.outlets.push(outlet);
        self.outlets.len() - 1
    }

    /// Makes the bridge, which opens the present group of packets at once.
    fn build_bridge(&mut self, bridging: &demux::Settings, pool: &SegmentPool) {
        let (policy, budget) = (Arc::clone(&self.policy), Arc::clone(pool.budget()));
        // The group that it opens is the past: its time is that of its own packets.
        let group = self.native.gop.units().next().filter(|_| self.is_transport);
        let at = group.map_or(self.latest, |unit| unit.time());
        let mut bridge = Box::new(Bridge::new(bridging.clone(), policy, budget, at));
        self.bridged.clear();
        if self.is_transport {
            for unit in self.native.gop.units().flat_map(|unit| bridge.take(unit)) {
                self.bridged.prologue.observe(&unit);
                self.bridged.keep(&unit, self.policy.log_bytes_max);
            }
        }
        self.bridge = Some(bridge);
    }

    /// Removes one egress that nobody has used for the policy's `linger_ms`. Gives the index that the
    /// last egress has now.
    pub fn drop_idle_outlet(&mut self, now: Micros) -> Option<usize> {
        let linger_ms = self.policy.linger_ms;
        let idle = self.outlets.iter().position(|outlet| outlet.is_idle(now, linger_ms))?;
        self.outlets.swap_remove(idle);
        if self.outlets.iter().all(|outlet| outlet.muxer().egress.takes_packets()) {
            self.bridge = None;
            self.bridged.clear();
        }
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
        self.become_essence(snapshot.is_transport, now);
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
        self.native.gop.clear();
        self.native.seen = Seen::default();
        self.restart_bridge(now);
        for outlet in &mut self.outlets {
            outlet.start_epoch(now);
            if !outlet.is_bridged() {
                outlet.learn(&prologue);
            }
        }
        let known = std::mem::replace(&mut self.native.prologue, prologue.clone());
        for unit in prologue.units() {
            if unit.is_config() && !known.says(unit) {
                let mut told = Unit::clone(unit);
                if let Essence::Elementary(told) = &mut told.essence {
                    told.dts = told.dts.max(self.latest);
                }
                self.append(&told, false, now);
            }
            self.native.see(unit);
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
        self.become_essence(unit.is_transport(), now);
        let change = self.native.prologue.observe(unit);
        if unit.late_joiners_only {
            return;
        }
        self.heed(change, false);
        if self.keep(unit, now) {
            self.start_waiting(notices);
        }
    }

    /// After a changed configuration nobody may start before the next entry point.
    fn heed(&mut self, change: Change, is_bridged: bool) {
        if change == Change::Replaced {
            let side = if is_bridged { &mut self.bridged } else { &mut self.native };
            side.gop.clear();
            self.outlets_of(is_bridged).for_each(Outlet::forget_entry);
        }
    }

    /// Puts a unit into the logs. True when viewers may start at it.
    fn keep(&mut self, unit: &Arc<Unit>, now: Micros) -> bool {
        self.latest = self.latest.max(unit.time());
        self.native.keep(unit, self.policy.log_bytes_max);
        let mut entry = self.append(unit, false, now);
        if unit.is_transport() {
            let units = self.bridge.as_mut().map(|bridge| bridge.take(unit)).unwrap_or_default();
            for unit in units {
                entry |= self.keep_bridged(&unit, now);
            }
        }
        entry
    }

    fn keep_bridged(&mut self, unit: &Arc<Unit>, now: Micros) -> bool {
        let change = self.bridged.prologue.observe(unit);
        if unit.late_joiners_only {
            return false;
        }
        self.heed(change, true);
        self.bridged.keep(unit, self.policy.log_bytes_max);
        self.append(unit, true, now)
    }

    fn append(&mut self, unit: &Unit, is_bridged: bool, now: Micros) -> bool {
        self.outlets_of(is_bridged).fold(false, |entry, outlet| outlet.append(unit, now) | entry)
    }

    fn outlets_of(&mut self, is_bridged: bool) -> impl Iterator<Item = &mut Outlet> {
        self.outlets.iter_mut().filter(move |outlet| outlet.is_bridged() == is_bridged)
    }

    fn start_waiting(&mut self, notices: &mut Notices) {
        for index in 0..self.outlets.len() {
            let (outlet, side, _) = self.parts(index);
            outlet.start_waiting(side, notices);
        }
    }

    fn start_epoch(&mut self, now: Micros) {
        self.restart_bridge(now);
        self.native.clear();
        self.outlets.iter_mut().for_each(|outlet| outlet.start_epoch(now));
    }

    /// Units of the bridge that have waited for others long enough go on. True when there were any.
    pub fn settle_bridge(&mut self, now: Micros, notices: &mut Notices) -> bool {
        let Some(bridge) = self.bridge.as_mut() else { return false };
        let units = bridge.handle_timeout(now);
        let has_entry =
            units.iter().fold(false, |entry, unit| self.keep_bridged(unit, now) | entry);
        if has_entry {
            self.start_waiting(notices);
        }
        !units.is_empty()
    }

    /// What the bridge has half of goes out; what comes next has nothing to do with it.
    fn restart_bridge(&mut self, now: Micros) {
        let units = self.bridge.as_mut().map(|bridge| bridge.finish(now)).unwrap_or_default();
        for unit in units {
            self.keep_bridged(&unit, now);
        }
        self.bridged.clear();
    }

    /// Packets follow on access units, or the other way round: another publisher has the stream.
    fn become_essence(&mut self, is_transport: bool, now: Micros) {
        if self.is_transport == is_transport {
            return;
        }
        self.is_transport = is_transport;
        self.start_epoch(now);
        if let Some(bridge) = self.bridge.as_mut().filter(|_| is_transport) {
            bridge.begin_at(self.latest);
        }
        for outlet in &mut self.outlets {
            let is_bridged = is_transport && !outlet.muxer().egress.takes_packets();
            outlet.set_bridged(is_bridged);
        }
    }
}
