//! The way in, on the core that accepted a publisher.

use std::sync::Arc;

use super::Hub;
use super::key::StreamKey;
use super::message::{
    ConnectionId, Control, EndReason, Media, Notice, PublisherId, PublisherInfo, Refusal, StreamUid,
};
use super::unit::{Packets, Prologue, Unit};
use crate::clock::Micros;
use crate::mesh::CoreIndex;
use bytes::Bytes;
use corelay_codecs::{AccessUnit, FlvBody, TrackKind, TsBlock, UnitKind};

/// A publication of one of this core's connections.
#[derive(Debug)]
pub(super) struct Publication {
    serial: u32,
    connection: ConnectionId,
    key: StreamKey,
    owner: CoreIndex,
    /// What the owner calls the stream, once it has accepted.
    stream: Option<StreamUid>,
    /// Units sent to the owner.
    units: u64,
    has_video: bool,
    /// What comes next is from another source than what came before.
    is_discontinuity: bool,
    /// The way to the owner was full: nothing is sent before the next random-access point.
    lost: bool,
    /// Metadata and configurations that were lost on the way: they go in front of that point.
    owed: Prologue,
}

impl Publication {
    /// True when decoding can start at `unit`, and its bytes are its own.
    fn resumes_at(&self, unit: &Unit) -> bool {
        let Some(unit) = unit.access_unit() else { return unit.entry_point };
        let is_frame = matches!(unit.kind, UnitKind::Frame { .. });
        let is_sound = unit.track.kind == TrackKind::Audio && is_frame && !self.has_video;
        unit.flv != FlvBody::Covered && (unit.is_video_random_access() || is_sound)
    }
}

impl Hub {
    /// Asks for a stream on behalf of a connection. The answer comes as a notice with the id given.
    pub fn publish(
        &mut self,
        connection: ConnectionId,
        key: StreamKey,
        info: PublisherInfo,
        now: Micros,
    ) -> PublisherId {
        let owner = key.owner(self.mesh.cores());
        let serial = self.next_serial();
        let slot = self.publications.insert(Publication {
            serial,
            connection,
            key: key.clone(),
            owner,
            stream: None,
            units: 0,
            has_video: false,
            is_discontinuity: false,
            lost: false,
            owed: Prologue::default(),
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
        let Publication { key, owner, units, .. } = publication;
        self.tell(owner, Control::Unpublish { key, publisher, units });
        self.settle(now);
    }

    /// The source of a publication has closed: what follows, some time, has nothing to do with what
    /// came, and joiners must not get that. For publishers on the core that owns the stream.
    pub fn restart(&mut self, publisher: PublisherId) {
        let Some(stream) = self.publication(publisher).and_then(|one| one.stream) else { return };
        let stream = self.streams.get_mut(stream.slot as usize).filter(|it| it.uid == stream);
        if let Some(stream) = stream {
            stream.feed.restart();
        }
    }

    /// What comes next of a publication is from another source than what came before.
    pub fn mark_discontinuity(&mut self, publisher: PublisherId) {
        if let Some(publication) = self.publication(publisher) {
            publication.is_discontinuity = true;
        }
    }

    /// Takes a unit of an accepted publication.
    ///
    /// # Cost
    /// One allocation, which all cores share.
    pub fn ingest(&mut self, publisher: PublisherId, unit: AccessUnit, now: Micros) {
        self.ingest_unit(publisher, Unit::new(unit, now), now);
    }

    /// Takes packets of an accepted publication; viewers may start at the first one if it is an entry
    /// point, and `tables` then holds the newest PAT and PMT packets in front of it.
    ///
    /// # Cost
    /// One allocation, which all cores share.
    pub fn ingest_packets(
        &mut self,
        publisher: PublisherId,
        block: TsBlock,
        tables: Option<Bytes>,
        now: Micros,
    ) {
        let Some(publication) = self.publication(publisher) else { return };
        let is_discontinuity = std::mem::take(&mut publication.is_discontinuity);
        let (entry_point, tables) = (tables.is_some(), tables.unwrap_or_default());
        let packets = Packets { block, tables, is_discontinuity, ..Packets::default() };
        self.ingest_unit(publisher, Unit::packets(packets, entry_point, now), now);
    }

    fn ingest_unit(&mut self, publisher: PublisherId, unit: Unit, now: Micros) {
        let core = self.core;
        let Some(publication) = self.publication(publisher) else { return };
        let Some(stream) = publication.stream else { return };
        let track = unit.access_unit().map(|access_unit| access_unit.track.kind);
        publication.has_video |= track == Some(TrackKind::Video);
        let is_own = publication.owner == core;
        let is_held_back = publication.lost && !publication.resumes_at(&unit);
        publication.units += u64::from(is_own);
        let unit = Arc::new(unit);
        self.stats.units_in.add(1);
        if is_own {
            return self.own_ingest(stream, publisher, unit, now);
        }
        let owed = unit.is_sticky().then(|| Arc::clone(&unit));
        if is_held_back || !self.send_unit(stream, publisher, unit) {
            self.stats.ring_drops.add(1);
            if let Some(publication) = self.publication(publisher) {
                publication.lost = true;
                owed.iter().for_each(|unit| {
                    publication.owed.observe(unit);
                });
            }
        }
    }

    /// Sends a unit to the owner on another core, and what was lost of its configurations before it.
    /// False when there was no room.
    fn send_unit(&mut self, stream: StreamUid, publisher: PublisherId, unit: Arc<Unit>) -> bool {
        let Self { publications, mesh, .. } = self;
        let Some(publication) = publications.get_mut(publisher.slot as usize) else { return false };
        let owner = publication.owner;
        let owed = publication.owed.units().iter().map(Arc::clone);
        for unit in owed.chain([unit]) {
            if mesh.send_media(owner, Media::Ingest { stream, publisher, unit }).is_err() {
                return false;
            }
            publication.units += 1;
        }
        publication.owed.clear();
        publication.lost = false;
        true
    }

    pub(super) fn accepted(&mut self, publisher: PublisherId, stream: StreamUid, watched: bool) {
        if let Some(publication) = self.publication(publisher) {
            publication.stream = Some(stream);
            let connection = publication.connection;
            self.notices.push((connection, Notice::PublishAccepted(publisher)));
            self.notices.push((connection, Notice::Watched(publisher, watched)));
        }
    }

    pub(super) fn watched(&mut self, publisher: PublisherId, watched: bool) {
        if let Some(publication) = self.publication(publisher) {
            let notice = (publication.connection, Notice::Watched(publisher, watched));
            self.notices.push(notice);
        }
    }

    pub(super) fn refused(&mut self, publisher: PublisherId, why: Refusal) {
        if let Some(publication) = self.remove_publication(publisher) {
            let notice = Notice::PublishRefused(publisher, why);
            self.notices.push((publication.connection, notice));
        }
    }

    pub(super) fn publication_ended(&mut self, publisher: PublisherId, why: EndReason) {
        if let Some(publication) = self.remove_publication(publisher) {
            let notice = Notice::PublishEnded(publisher, why);
            self.notices.push((publication.connection, notice));
        }
    }

    /// Ends all publications of this core's connections.
    pub(super) fn end_publications(&mut self, why: EndReason) {
        let core = self.core;
        let id = |(slot, publication): (usize, &Publication)| {
            let publisher = PublisherId { core, slot: slot as u32, serial: publication.serial };
            (publisher, publication.key.clone(), publication.owner, publication.units)
        };
        let all: Vec<_> = self.publications.iter().map(id).collect();
        for (publisher, key, owner, units) in all {
            self.publication_ended(publisher, why);
            self.tell(owner, Control::Unpublish { key, publisher, units });
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
