//! The way out: viewers of this core, and what their connections ask of the hub.

use std::os::fd::RawFd;
use std::sync::Arc;

use corelay_config::{Channel, Config, Opening, Start};

use super::egress::{Egress, Form, MuxSettings};
use super::key::StreamKey;
use super::log::Gather;
use super::message::{ConnectionId, Control, EndReason, Notice, StreamUid};
use super::outlet::Outlet;
use super::replica::{Delivered, Replica};
use super::subscriber::{Delivery, State, Subscriber, SubscriberId};
use super::unit::{Prologue, Snapshot, Unit};
use super::{Hub, Place};
use crate::channel::is_relay;
use crate::clock::Micros;

/// How a connection wants to watch.
#[derive(Clone, Copy, Debug)]
pub struct PlayOptions {
    /// What it is fed.
    pub egress: Egress,
    /// Its socket, which must stay open until the play is stopped.
    pub fd: RawFd,
    /// How it gets the log's bytes. Where they are copied its connection calls [`Hub::read`].
    pub delivery: Delivery,
    /// How long it waits for a publisher, in milliseconds; 0: not at all.
    pub wait_ms: u64,
}

impl Hub {
    /// Attaches a viewer. `None` when the application is not served.
    pub fn play(
        &mut self,
        connection: ConnectionId,
        key: StreamKey,
        options: PlayOptions,
        now: Micros,
    ) -> Option<SubscriberId> {
        // A relay begins with its first viewer.
        let least_wait_ms = if is_relay(&key) { RELAY_OPENING_MS } else { 0 };
        let wait_ms = options.wait_ms.max(least_wait_ms);
        let replica = self.replica_slot(key, now)?;
        let place = self.place_in(replica, options.egress, now);
        let serial = self.next_serial();
        let id = SubscriberId { slot: self.places.insert(place) as u32, serial };
        let outlet = self.replicas[replica].outlet(place.outlet);
        let edge = outlet.log().edge();
        let index = outlet.attach(Subscriber {
            id,
            connection,
            fd: options.fd,
            at: edge,
            chunk_end: edge,
            state: State::Waiting,
            started: false,
            wait_until: now.after_millis(wait_ms),
            delivery: options.delivery,
            held: false,
            skips: 0,
            skips_since: now,
        });
        self.places[id.slot as usize].index = index;
        self.replicas[replica].count_viewer(1);
        self.replicas[replica].leave_at = None;
        self.stats.viewers.add(1);
        self.start_viewer(replica, place.outlet, index);
        self.mark_unflushed(replica);
        if wait_ms == 0 {
            self.end_waiting(replica, now);
        }
        Some(id)
    }

    /// Detaches a viewer. It may get a last notice: the rest of the message it was in the middle of.
    pub fn stop(&mut self, id: SubscriberId, now: Micros) {
        let place = self.places.remove(id.slot as usize);
        let replica = &mut self.replicas[place.replica];
        let outlet = replica.outlet(place.outlet);
        outlet.detach(place.index, now, &mut self.notices);
        if let Some(moved) = outlet.subscribers().get(place.index) {
            self.places[moved.id.slot as usize].index = place.index;
        }
        replica.count_viewer(-1);
        self.stats.viewers.sub(1);
        if replica.viewers() == 0 {
            // Whoever comes after a silent owner's stream was given up asks it anew. A channel that is
            // open on demand lingers itself.
            let lingers = replica.stream.is_some() && !is_on_demand(&self.config, &replica.key);
            let linger_ms = if lingers { replica.policy.linger_ms } else { 0 };
            replica.leave_at = Some(now.after_millis(linger_ms));
        }
    }

    /// Changes the tracks that a viewer gets; it goes on at the newest entry point. The handle stays.
    pub fn select(&mut self, id: SubscriberId, egress: Egress, now: Micros) {
        let old = self.places[id.slot as usize];
        if self.outlet(old).muxer().egress == egress {
            return;
        }
        let new = self.place_in(old.replica, egress, now);
        let replica = &mut self.replicas[old.replica];
        let outlet = replica.outlet(old.outlet);
        let mut subscriber = outlet.detach(old.index, now, &mut self.notices);
        if let Some(moved) = outlet.subscribers().get(old.index) {
            self.places[moved.id.slot as usize].index = old.index;
        }
        let is_paused = subscriber.state == State::Paused;
        subscriber.wait_anywhere();
        if is_paused {
            subscriber.state = State::Paused;
        }
        let index = replica.outlet(new.outlet).attach(subscriber);
        self.places[id.slot as usize] = Place { index, ..new };
        self.start_viewer(old.replica, new.outlet, index);
        self.mark_unflushed(old.replica);
    }

    /// Stops feeding a viewer until [`Self::resume`].
    pub fn pause(&mut self, id: SubscriberId) {
        let place = self.places[id.slot as usize];
        self.replicas[place.replica].outlet(place.outlet).pause(place.index, &mut self.notices);
    }

    /// Puts a viewer at the newest entry point: after a pause, or for a seek on live.
    pub fn resume(&mut self, id: SubscriberId) {
        let place = self.places[id.slot as usize];
        let (outlet, side, _) = self.replicas[place.replica].parts(place.outlet);
        outlet.resume(place.index, side, &mut self.notices);
        self.mark_unflushed(place.replica);
    }

    /// What a viewer must send before anything else, in bytes: the rest of a message.
    pub fn gather_rest<'a>(&'a self, id: SubscriberId, out: &mut Gather<'a>) -> usize {
        let place = self.places[id.slot as usize];
        self.outlet(place).gather_rest(place.index, out)
    }

    /// What a viewer may send after its private bytes.
    pub fn gather_log<'a>(&'a self, id: SubscriberId, out: &mut Gather<'a>) {
        let place = self.places[id.slot as usize];
        self.outlet(place).gather_log(place.index, out);
    }

    /// A viewer's socket took `bytes` of what was gathered for it.
    pub fn advance(&mut self, id: SubscriberId, bytes: usize) {
        let place = self.places[id.slot as usize];
        self.replicas[place.replica].outlet(place.outlet).advance(place.index, bytes);
    }

    /// Whole chunks for a viewer that copies them; empty when it is up to date.
    pub fn read(&mut self, id: SubscriberId, bytes_max: u64) -> Vec<u8> {
        let place = self.places[id.slot as usize];
        self.replicas[place.replica].outlet(place.outlet).read(place.index, bytes_max)
    }

    /// A viewer that copies has taken its private bytes.
    pub fn release(&mut self, id: SubscriberId) {
        self.subscriber(id).held = false;
    }

    /// The connection's socket is full, or (`false`) has taken everything.
    pub fn set_blocked(&mut self, id: SubscriberId, blocked: bool) {
        let subscriber = self.subscriber(id);
        subscriber.held = blocked;
        match (blocked, subscriber.state) {
            (true, State::Running) => subscriber.state = State::Blocked,
            (false, State::Blocked) => subscriber.state = State::Running,
            _ => {}
        }
    }

    pub(super) fn deliver(&mut self, stream: StreamUid, unit: &Arc<Unit>, now: Micros) {
        let Some(&replica) = self.replica_of.get(&stream) else { return };
        let delivered = self.replicas[replica].deliver(unit, now, &mut self.notices);
        self.mark_unflushed(replica);
        let asked_again = &mut self.replicas[replica].asked_again;
        if delivered == Delivered::Gap && !std::mem::replace(asked_again, true) {
            let key = self.replicas[replica].key.clone();
            self.tell(stream.core, Control::Subscribe { key });
        }
    }

    /// Somebody publishes a stream of which this core has viewers.
    pub(super) fn announced(&mut self, stream: StreamUid) {
        if let Some(&slot) = self.replica_of.get(&stream) {
            self.replicas[slot].live = true;
        }
        self.announce_shelves(stream);
    }

    /// Goes on behind units that were lost between the cores.
    pub(super) fn resume_replica(
        &mut self,
        stream: StreamUid,
        prologue: Prologue,
        next: u64,
        now: Micros,
    ) {
        if let Some(&slot) = self.replica_of.get(&stream) {
            self.replicas[slot].resume(prologue, next, now);
            self.mark_unflushed(slot);
        }
    }

    pub(super) fn restore(
        &mut self,
        key: &StreamKey,
        stream: StreamUid,
        live: bool,
        snapshot: Snapshot,
        now: Micros,
    ) {
        let Some(&slot) = self.replica_slots.get(key) else { return };
        let replica = &mut self.replicas[slot];
        if let Some(old) = replica.stream.replace(stream) {
            self.replica_of.remove(&old);
        }
        self.replica_of.insert(stream, slot);
        replica.live = live;
        replica.restore(snapshot, now, &mut self.notices);
        self.mark_unflushed(slot);
        self.start_at_edge(slot);
        self.end_waiting(slot, now);
    }

    pub(super) fn end_replica(&mut self, stream: StreamUid, why: EndReason, now: Micros) {
        let Some(&slot) = self.replica_of.get(&stream) else { return };
        // What was received before the end goes out before the end is told.
        self.flush_replica(slot, now, Micros(u64::MAX));
        self.replicas[slot].end(now, &mut self.notices);
        self.end_viewers(slot, why, |_| true);
    }

    /// Sends home the viewers that waited long enough for a publisher.
    pub(super) fn end_waiting(&mut self, slot: usize, now: Micros) {
        let replica = &self.replicas[slot];
        if !replica.live {
            // An owner that has no room for the stream does not answer.
            let patience_ms = if replica.stream.is_some() { 0 } else { ANSWER_MS };
            let over = |viewer: &Subscriber| {
                !viewer.started && viewer.wait_until.after_millis(patience_ms) <= now
            };
            self.end_viewers(slot, EndReason::NoPublisher, over);
        }
    }

    /// Tells viewers that their play is over; their connections stop it.
    pub(super) fn end_viewers(
        &mut self,
        slot: usize,
        why: EndReason,
        which: impl Fn(&Subscriber) -> bool,
    ) {
        for outlet in self.replicas[slot].outlets() {
            for subscriber in outlet.subscribers() {
                if which(subscriber) {
                    let notice = Notice::PlayEnded(subscriber.id, why);
                    self.notices.push((subscriber.connection, notice));
                }
            }
        }
    }

    /// Gives up a replica whose last viewer left long enough ago.
    pub(super) fn leave_if_due(&mut self, slot: usize, now: Micros) -> bool {
        let replica = &self.replicas[slot];
        if replica.viewers() > 0 || replica.leave_at.is_none_or(|at| at > now) {
            return false;
        }
        let replica = self.replicas.remove(slot);
        self.replica_slots.remove(&replica.key);
        if let Some(stream) = replica.stream {
            self.replica_of.remove(&stream);
        }
        self.unflushed.retain(|&unflushed| unflushed != slot);
        self.deferred.retain(|&(_, deferred)| deferred != slot);
        let owner = replica.key.owner(self.mesh.cores());
        self.tell(owner, Control::Unsubscribe { key: replica.key });
        true
    }

    fn replica_slot(&mut self, key: StreamKey, now: Micros) -> Option<usize> {
        if let Some(&slot) = self.replica_slots.get(&key) {
            return Some(slot);
        }
        let policy = self.policy(&key.app)?;
        let slot = self.replicas.insert(Replica::new(key.clone(), policy));
        self.replica_slots.insert(key.clone(), slot);
        let owner = key.owner(self.mesh.cores());
        self.tell(owner, Control::Subscribe { key });
        self.settle(now);
        Some(slot)
    }

    fn place_in(&mut self, replica: usize, egress: Egress, now: Micros) -> Place {
        let settings = MuxSettings::from_config(&self.config);
        let bridging = self.bridging(&self.replicas[replica].key);
        let outlet =
            self.replicas[replica].outlet_for(egress, &settings, &bridging, &self.pool, now);
        Place { replica, outlet, index: 0 }
    }

    /// Starts a viewer if the stream allows it now.
    fn start_viewer(&mut self, replica: usize, outlet: usize, index: usize) {
        let live = self.replicas[replica].live;
        let (outlet, side, policy) = self.replicas[replica].parts(outlet);
        // Nothing is known of a stream before its first units: then even they wait for its beginning.
        let at_edge = live && policy.start == Start::LiveEdge && side.seen.any();
        if at_edge && outlet.subscribers()[index].waits_for_entry() {
            outlet.start_at_edge(index, side, &mut self.notices);
        } else {
            outlet.start_waiting(side, &mut self.notices);
        }
    }

    /// Starts waiting viewers of applications that start at the live edge.
    fn start_at_edge(&mut self, slot: usize) {
        if self.replicas[slot].policy.start != Start::LiveEdge {
            return;
        }
        for outlet in 0..self.replicas[slot].outlets().len() {
            for index in 0..self.replicas[slot].outlets()[outlet].subscribers().len() {
                let subscriber = &self.replicas[slot].outlets()[outlet].subscribers()[index];
                if subscriber.state == State::Waiting {
                    self.start_viewer(slot, outlet, index);
                }
            }
        }
    }

    pub(super) fn mark_unflushed(&mut self, replica: usize) {
        if !self.replicas[replica].unflushed {
            self.replicas[replica].unflushed = true;
            self.unflushed.push_back(replica);
        }
    }

    fn outlet(&self, place: Place) -> &Outlet {
        &self.replicas[place.replica].outlets()[place.outlet]
    }

    fn subscriber(&mut self, id: SubscriberId) -> &mut Subscriber {
        let place = self.places[id.slot as usize];
        self.replicas[place.replica].outlet(place.outlet).subscriber(place.index)
    }
}

/// True for a stream whose source is opened by its first viewer and closed after its last.
fn is_on_demand(config: &Config, key: &StreamKey) -> bool {
    let is_it = |channel: &&Channel| channel.app == *key.app && channel.name == *key.name;
    let channel = config.channels.iter().find(is_it);
    is_relay(key) || channel.is_some_and(|channel| channel.opening == Opening::Demand)
}

/// Viewers of one form, for the API.
pub(super) fn count_by_form(replica: &Replica) -> impl Iterator<Item = (Form, usize)> {
    replica.outlets().iter().map(|outlet| (outlet.muxer().egress.form, outlet.subscribers().len()))
}

/// How long a stream's owner may take to answer before its viewers hear that there is no publisher: far
/// longer than a busy core lets others wait.
const ANSWER_MS: u64 = 1_000;
/// How long a relay may take to have a publisher: the channel that opens its group.
const RELAY_OPENING_MS: u64 = 1_000;
