//! The way in: publications on the accepting core, and streams on the owner.

use std::sync::Arc;

use super::Hub;
use super::key::StreamKey;
use super::message::{
    ConnectionId, Control, EndReason, Media, Notice, PublisherId, PublisherInfo, Refusal, StreamUid,
};
use super::stream::{Stream, Takeover};
use super::unit::Unit;
use crate::clock::Micros;
use crate::mesh::CoreIndex;
use corelay_codecs::AccessUnit;

/// A publication of one of this core's connections.
#[derive(Debug)]
pub(super) struct Publication {
    serial: u32,
    connection: ConnectionId,
    tag: u32,
    key: StreamKey,
    owner: CoreIndex,
    /// What the owner calls the stream, once it has accepted.
    stream: Option<StreamUid>,
    /// The way to the owner was full: nothing is sent before the next random-access point.
    lost: bool,
}

impl Hub {
    /// Asks for a stream on behalf of a connection. The answer comes as a notice with `tag`.
    pub fn publish(
        &mut self,
        connection: ConnectionId,
        tag: u32,
        key: StreamKey,
        info: PublisherInfo,
        now: Micros,
    ) -> PublisherId {
        let owner = key.owner(self.mesh.cores());
        let serial = self.next_serial();
        let slot = self.publications.insert(Publication {
            serial,
            connection,
            tag,
            key: key.clone(),
            owner,
            stream: None,
            lost: false,
        });
        self.stats.publishers.add(1);
        let publisher = PublisherId { core: self.core, slot: slot as u32, serial };
        self.tell(owner, Control::Publish { key, publisher, info: Box::new(info) });
        self.settle(now);
        publisher
    }

    /// Ends a publication for its connection.
    pub fn unpublish(&mut self, publisher: PublisherId, now: Micros) {
        let Some(publication) = self.remove_publication(publisher) else { return };
        let Publication { key, owner, .. } = publication;
        self.tell(owner, Control::Unpublish { key, publisher });
        self.settle(now);
    }

    /// Takes a unit of an accepted publication.
    ///
    /// # Cost
    /// One allocation, which all cores share.
    pub fn ingest(&mut self, publisher: PublisherId, unit: AccessUnit, now: Micros) {
        let slot = publisher.slot as usize;
        let Some(publication) = self.publications.get_mut(slot) else { return };
        let Some(stream) = publication.stream.filter(|_| publication.serial == publisher.serial)
        else {
            return;
        };
        self.stats.units_in.add(1);
        if publication.lost && !(unit.is_video_random_access() || unit.is_sticky()) {
            self.stats.ring_drops.add(1);
            return;
        }
        let unit = Arc::new(Unit::new(unit, now));
        if publication.owner == self.core {
            self.own_ingest(stream, publisher, unit, now);
            return;
        }
        let sent = self
            .mesh
            .send_media(publication.owner, Media::Ingest { stream, publisher, unit })
            .is_ok();
        publication.lost = !sent;
        self.stats.ring_drops.add(u64::from(!sent));
    }

    pub(super) fn accepted(&mut self, publisher: PublisherId, stream: StreamUid) {
        if let Some(publication) = self.publication(publisher) {
            publication.stream = Some(stream);
            let notice = (publication.connection, Notice::PublishAccepted(publication.tag));
            self.notices.push(notice);
        }
    }

    pub(super) fn refused(&mut self, publisher: PublisherId, why: Refusal) {
        if let Some(publication) = self.remove_publication(publisher) {
            let notice = Notice::PublishRefused(publication.tag, why);
            self.notices.push((publication.connection, notice));
        }
    }

    pub(super) fn publication_ended(&mut self, publisher: PublisherId, why: EndReason) {
        if let Some(publication) = self.remove_publication(publisher) {
            let notice = Notice::PublishEnded(publication.tag, why);
            self.notices.push((publication.connection, notice));
        }
    }

    pub(super) fn own_publish(
        &mut self,
        key: StreamKey,
        publisher: PublisherId,
        info: Box<PublisherInfo>,
    ) {
        let answer = self.decide_publish(key, publisher, info);
        let message = match answer {
            Ok(stream) => Control::PublishAccepted { publisher, stream },
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
        self.announce(slot);
        Ok(uid)
    }

    /// Tells the cores with viewers that the stream is live.
    fn announce(&mut self, slot: usize) {
        let stream = &mut self.streams[slot];
        let cores: Vec<CoreIndex> =
            stream.cores().iter().map(|interested| interested.core).collect();
        for core in cores {
            let message = self.snapshot_message(slot, false);
            self.tell(core, message);
        }
    }

    pub(super) fn snapshot_message(&self, slot: usize, with_gop: bool) -> Control {
        let stream = &self.streams[slot];
        let (prologue, gop) = stream.snapshot();
        Control::Snapshot {
            key: stream.key.clone(),
            stream: stream.uid,
            live: stream.is_live(),
            prologue,
            gop: if with_gop { gop } else { Vec::new() },
        }
    }

    pub(super) fn own_unpublish(&mut self, key: &StreamKey, publisher: PublisherId, now: Micros) {
        let Some(&slot) = self.stream_slots.get(key) else { return };
        if self.streams[slot].unpublish(publisher, now) {
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
        let stream = self.streams[slot].uid;
        let cores = self.streams[slot].cores().clone();
        for interested in cores {
            if interested.core == self.core {
                self.end_replica(stream, why, now);
            } else if self.mesh.send_media(interested.core, Media::End { stream, why }).is_err() {
                // The lane is full, so its tail is lost anyway; the other lane is never full.
                let message = self.snapshot_message(slot, false);
                self.tell(interested.core, message);
            }
        }
    }

    pub(super) fn own_subscribe(&mut self, from: CoreIndex, key: StreamKey) {
        let Some(slot) = self.stream_slot(key) else { return };
        self.streams[slot].subscribe(from);
        let message = self.snapshot_message(slot, true);
        self.tell(from, message);
    }

    pub(super) fn own_unsubscribe(&mut self, from: CoreIndex, key: &StreamKey) {
        let Some(&slot) = self.stream_slots.get(key) else { return };
        self.streams[slot].unsubscribe(from);
        self.drop_if_unused(slot);
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
        }
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
            if interested.lost {
                if !unit.entry_point {
                    self.stats.ring_drops.add(1);
                    continue;
                }
                let message = self.snapshot_message(slot, false);
                self.tell(interested.core, message);
            }
            let message = Media::Unit { stream, unit: Arc::clone(unit) };
            let lost = self.mesh.send_media(interested.core, message).is_err();
            self.stats.ring_drops.add(u64::from(lost));
            self.streams[slot].cores()[position].lost = lost;
        }
    }

    fn stream_slot(&mut self, key: StreamKey) -> Option<usize> {
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

    fn drop_if_unused(&mut self, slot: usize) {
        if self.streams[slot].is_unused() {
            let stream = self.streams.remove(slot);
            self.stream_slots.remove(&stream.key);
            self.stats.streams.set(self.streams.len() as u64);
        }
    }

    fn publication(&mut self, id: PublisherId) -> Option<&mut Publication> {
        self.publications.get_mut(id.slot as usize).filter(|found| found.serial == id.serial)
    }

    fn remove_publication(&mut self, id: PublisherId) -> Option<Publication> {
        self.publication(id)?;
        self.stats.publishers.sub(1);
        Some(self.publications.remove(id.slot as usize))
    }
}
