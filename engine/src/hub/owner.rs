//! What the owner of a stream does: decides who publishes, and feeds the cores with viewers.

use std::sync::Arc;

use super::Hub;
use super::key::StreamKey;
use super::message::{
    ConnectionId, Control, EndReason, Media, Notice, PublisherId, PublisherInfo, Refusal, StreamUid,
};
use super::stream::{Stream, Takeover};
use super::unit::Unit;
use crate::channel::is_relay;
use crate::clock::Micros;
use crate::mesh::CoreIndex;

impl Hub {
    pub(super) fn own_publish(
        &mut self,
        key: StreamKey,
        publisher: PublisherId,
        info: Box<PublisherInfo>,
    ) {
        let answer = self.decide_publish(key, publisher, info);
        let message = match answer {
            Ok(stream) => {
                let watched = self.streams[stream.slot as usize].is_watched();
                Control::PublishAccepted { publisher, stream, watched }
            }
            Err(why) => Control::PublishRefused { publisher, why },
        };
        self.tell(publisher.core, message);
    }

    fn decide_publish(
        &mut self,
        key: StreamKey,
        publisher: PublisherId,
        info: Box<PublisherInfo>,
    ) -> Result<StreamUid, Refusal> {
        if self.stopping {
            return Err(Refusal::Stopping);
        }
        let slot = self.stream_slot(key).ok_or(Refusal::TooMany)?;
        let stream = &mut self.streams[slot];
        let uid = stream.uid;
        let takeover = stream.publish(publisher, info);
        match takeover {
            Takeover::Refused => return Err(Refusal::NameTaken),
            Takeover::Free => {}
            Takeover::Replaced(old) => {
                let why = EndReason::TakenOver;
                self.tell(old.core, Control::PublishEnded { publisher: old, why });
            }
        }
        // Viewers that wait must know that there is something to wait for.
        for position in 0..self.streams[slot].cores().len() {
            let core = self.streams[slot].cores()[position].core;
            self.tell(core, Control::Live { stream: uid });
        }
        self.announce_packagings(slot);
        Ok(uid)
    }

    pub(super) fn own_unpublish(
        &mut self,
        key: &StreamKey,
        publisher: PublisherId,
        units: u64,
        now: Micros,
    ) {
        let Some(&slot) = self.stream_slots.get(key) else { return };
        self.streams[slot].unpublish(publisher, units);
        self.let_publisher_go(slot, now);
    }

    fn let_publisher_go(&mut self, slot: usize, now: Micros) {
        if self.streams[slot].leave_if_complete(now) {
            self.finish_packagings(slot, now);
            self.end_if_over(slot, now);
        }
    }

    /// Sends viewers home if the publisher's time to return is over.
    pub(super) fn end_if_over(&mut self, slot: usize, now: Micros) {
        if self.streams[slot].grace_is_over(now) {
            self.end_stream(slot, EndReason::PublisherLeft, now);
        }
        self.drop_if_unused(slot);
    }

    pub(super) fn end_stream(&mut self, slot: usize, why: EndReason, now: Micros) {
        for position in 0..self.streams[slot].cores().len() {
            let core = self.streams[slot].cores()[position].core;
            if core == self.core {
                self.end_replica(self.streams[slot].uid, why, now);
            } else {
                self.streams[slot].cores()[position].owes_end = Some(why);
            }
        }
        self.send_ends(slot);
        self.end_packagings(slot, now);
    }

    /// Tells the cores that have not been told of a stream's end. It goes behind the last unit; where
    /// there is no room it is tried again later.
    pub(super) fn send_ends(&mut self, slot: usize) {
        let Self { streams, mesh, .. } = self;
        let stream = &mut streams[slot];
        let uid = stream.uid;
        for interested in stream.cores() {
            let Some(why) = interested.owes_end else { continue };
            if mesh.send_media(interested.core, Media::End { stream: uid, why }).is_ok() {
                interested.owes_end = None;
            }
        }
    }

    pub(super) fn own_subscribe(&mut self, from: CoreIndex, key: StreamKey) {
        let Some(slot) = self.stream_slot(key) else { return };
        let stream = &mut self.streams[slot];
        let was_watched = stream.is_watched();
        stream.subscribe(from);
        if is_relay(&stream.key) && !stream.is_live() {
            let wanted = Notice::Wanted(stream.key.clone());
            self.notices.push((ConnectionId::channels(self.core), wanted));
        }
        let message = Control::Snapshot {
            key: stream.key.clone(),
            stream: stream.uid,
            live: stream.is_live(),
            snapshot: stream.feed.snapshot(),
        };
        self.tell(from, message);
        self.tell_if_watched(slot, was_watched);
    }

    pub(super) fn own_unsubscribe(&mut self, from: CoreIndex, key: &StreamKey) {
        let Some(&slot) = self.stream_slots.get(key) else { return };
        let was_watched = self.streams[slot].is_watched();
        self.streams[slot].unsubscribe(from);
        self.tell_if_watched(slot, was_watched);
        self.drop_if_unused(slot);
    }

    /// Tells the publisher when the first viewers have come or the last ones have gone.
    pub(super) fn tell_if_watched(&mut self, slot: usize, was_watched: bool) {
        let stream = &self.streams[slot];
        let watched = stream.is_watched();
        if let Some((publisher, _)) = stream.publisher().filter(|_| watched != was_watched) {
            self.tell(publisher.core, Control::Watched { publisher, watched });
        }
    }

    pub(super) fn own_ingest(
        &mut self,
        uid: StreamUid,
        publisher: PublisherId,
        unit: Arc<Unit>,
        now: Micros,
    ) {
        let slot = uid.slot as usize;
        let Some(stream) = self.streams.get_mut(slot).filter(|stream| stream.uid == uid) else {
            return;
        };
        for unit in stream.ingest(publisher, unit) {
            self.fan_out(slot, &unit, now);
            self.package(slot, &unit);
        }
        self.let_publisher_go(slot, now);
    }

    /// Sends a unit to every core with viewers, this one included.
    fn fan_out(&mut self, slot: usize, unit: &Arc<Unit>, now: Micros) {
        let stream = self.streams[slot].uid;
        for position in 0..self.streams[slot].cores().len() {
            let interested = self.streams[slot].cores()[position];
            if interested.core == self.core {
                self.deliver(stream, unit, now);
                continue;
            }
            let is_held_back = interested.lost && !unit.entry_point;
            let lost = is_held_back
                || (interested.lost && !self.send_resume(slot, interested.core, unit.sequence))
                || !self.send_unit_to_viewers(interested.core, stream, unit);
            self.stats.ring_drops.add(u64::from(lost));
            self.streams[slot].cores()[position].lost = lost;
        }
    }

    fn send_unit_to_viewers(
        &mut self,
        core: CoreIndex,
        stream: StreamUid,
        unit: &Arc<Unit>,
    ) -> bool {
        self.mesh.send_media(core, Media::Unit { stream, unit: Arc::clone(unit) }).is_ok()
    }

    /// In front of the entry point at which a core goes on: in the lane of the units, so that it comes
    /// behind those from before the gap.
    fn send_resume(&mut self, slot: usize, core: CoreIndex, next: u64) -> bool {
        let stream = &self.streams[slot];
        let prologue = Box::new(stream.feed.prologue().clone());
        let message = Media::Resume { stream: stream.uid, prologue, next };
        self.mesh.send_media(core, message).is_ok()
    }

    pub(super) fn stream_slot(&mut self, key: StreamKey) -> Option<usize> {
        if let Some(&slot) = self.stream_slots.get(&key) {
            return Some(slot);
        }
        // The limit is the server's; names hash evenly, so each owner gets its share and a little more.
        let share = self.config.limits.streams_max.div_ceil(self.mesh.cores());
        if self.streams.len() >= share + share / 4 {
            return None;
        }
        let policy = self.policy(&key.app)?;
        let serial = self.next_serial();
        let entry = self.streams.vacant_entry();
        let slot = entry.key();
        let uid = StreamUid { core: self.core, slot: slot as u32, serial };
        let budget = Arc::clone(self.pool.budget());
        entry.insert(Stream::new(key.clone(), uid, policy, budget));
        self.stream_slots.insert(key, slot);
        self.stats.streams.set(self.streams.len() as u64);
        Some(slot)
    }

    pub(super) fn drop_if_unused(&mut self, slot: usize) {
        if self.streams[slot].is_unused() {
            let stream = self.streams.remove(slot);
            self.stream_slots.remove(&stream.key);
            self.stats.streams.set(self.streams.len() as u64);
        }
    }
}
