//! A stream at its owner: the one place that decides its publisher, its timeline and who is fed.
//!
//! Invariants
//! - At most one publisher at a time; units of any other are ignored.
//! - A core that lost a unit gets nothing before the next entry point, and then a snapshot first.

use std::sync::Arc;

use corelay_codecs::{TrackInfo, TrackKind, UnitKind, codec};
use corelay_config::Policy;
use smallvec::SmallVec;

use super::key::StreamKey;
use super::memory::{Budget, Charge};
use super::message::{PublisherId, PublisherInfo, StreamUid};
use super::metadata;
use super::timeline::Timeline;
use super::unit::{Gop, Prologue, Unit};
use crate::clock::Micros;
use crate::mesh::CoreIndex;

/// See the module.
#[derive(Debug)]
pub struct Stream {
    /// Application and name.
    pub key: StreamKey,
    /// What its units are marked with between cores.
    pub uid: StreamUid,
    /// The policy of its application.
    pub policy: Arc<Policy>,
    publisher: Option<(PublisherId, Box<PublisherInfo>)>,
    /// Without a publisher: when viewers stop waiting for it to come back.
    grace_until: Option<Micros>,
    timeline: Timeline,
    prologue: Prologue,
    gop: Gop,
    gop_charge: Charge,
    tracks: Vec<Track>,
    starts_epoch: bool,
    has_video: bool,
    cores: SmallVec<[InterestedCore; 4]>,
    /// Totals since the stream was created.
    pub totals: Totals,
}

/// One track, for the API.
#[derive(Clone, Debug)]
pub struct Track {
    /// Number within its kind.
    pub index: u8,
    /// Video, audio or data.
    pub kind: TrackKind,
    /// What is known of it.
    pub info: TrackInfo,
}

/// Counters of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Units received from publishers.
    pub units: u64,
    /// Bytes of payload received from publishers.
    pub bytes: u64,
    /// Video frames received from publishers.
    pub frames: u64,
}

/// A core with viewers.
#[derive(Clone, Copy, Debug)]
pub struct InterestedCore {
    /// The core.
    pub core: CoreIndex,
    /// Units were lost on the way to it.
    pub lost: bool,
}

/// What [`Stream::publish`] decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Takeover {
    /// The stream had no publisher.
    Free,
    /// It had one, which must be told that it is over.
    Replaced(PublisherId),
    /// It has one, and the first one wins.
    Refused,
}

impl Stream {
    /// A stream without publisher and viewers.
    pub fn new(key: StreamKey, uid: StreamUid, policy: Arc<Policy>, budget: Arc<Budget>) -> Self {
        Self {
            key,
            uid,
            timeline: Timeline::new(policy.jump_ms),
            policy,
            publisher: None,
            grace_until: None,
            prologue: Prologue::default(),
            gop: Gop::default(),
            gop_charge: Charge::new(budget),
            tracks: Vec::new(),
            starts_epoch: false,
            has_video: false,
            cores: SmallVec::new(),
            totals: Totals::default(),
        }
    }

    /// Gives the stream to a publisher, as its policy has it.
    pub fn publish(&mut self, id: PublisherId, info: Box<PublisherInfo>) -> Takeover {
        let takeover = match &self.publisher {
            None => Takeover::Free,
            Some(_) if self.policy.takeover == corelay_config::Takeover::FirstWins => {
                return Takeover::Refused;
            }
            Some((old, _)) => Takeover::Replaced(*old),
        };
        self.publisher = Some((id, info));
        self.grace_until = None;
        self.timeline.restart();
        self.forget_media();
        self.starts_epoch = true;
        takeover
    }

    /// The publisher leaves. False when `id` is not the stream's publisher.
    pub fn unpublish(&mut self, id: PublisherId, now: Micros) -> bool {
        if self.publisher.as_ref().is_none_or(|(current, _)| *current != id) {
            return false;
        }
        self.publisher = None;
        self.grace_until = Some(now.after_millis(self.policy.publisher_grace_ms));
        true
    }

    /// True once when the time in which the publisher may return is over.
    pub fn grace_is_over(&mut self, now: Micros) -> bool {
        let over = self.grace_until.is_some_and(|until| until <= now);
        if over {
            self.grace_until = None;
            self.forget_media();
        }
        over
    }

    /// When the time in which the publisher may return ends.
    pub fn grace_until(&self) -> Option<Micros> {
        self.grace_until
    }

    /// Somebody publishes, or is expected back.
    pub fn is_live(&self) -> bool {
        self.publisher.is_some() || self.grace_until.is_some()
    }

    /// Nobody publishes, nobody is expected back, nobody watches.
    pub fn is_unused(&self) -> bool {
        !self.is_live() && self.cores.is_empty()
    }

    /// Who publishes.
    pub fn publisher(&self) -> Option<(PublisherId, &PublisherInfo)> {
        self.publisher.as_ref().map(|(id, info)| (*id, &**info))
    }

    /// Puts a unit of publisher `id` on the timeline, and keeps what joiners need. Gives what is to be
    /// delivered, in order; nothing when `id` is not the publisher.
    pub fn ingest(&mut self, id: PublisherId, unit: Arc<Unit>) -> SmallVec<[Arc<Unit>; 2]> {
        let mut out = SmallVec::new();
        if self.publisher.as_ref().is_none_or(|(current, _)| *current != id) {
            return out;
        }
        // The mesh hands the unit over with its only reference; a copy is made only if it does not.
        let mut unit = Arc::unwrap_or_clone(unit);
        self.count(&unit);
        let access_unit = &mut unit.access_unit;
        access_unit.dts = self.timeline.map(access_unit.track, access_unit.dts);
        self.has_video |= access_unit.track.kind == TrackKind::Video;
        unit.entry_point = self.is_entry_point(&unit);
        unit.starts_epoch = std::mem::take(&mut self.starts_epoch);
        let unit = Arc::new(unit);
        let is_metadata = unit.access_unit.kind == UnitKind::Metadata;
        if self.prologue.observe(&unit) {
            self.gop.clear();
        }
        self.gop.push(&unit, self.policy.log_bytes_max);
        self.gop_charge.set(self.gop.bytes());
        let learned = self.learn(&unit);
        out.push(Arc::clone(&unit));
        if is_metadata || learned {
            out.extend(self.enrich(&unit));
        }
        out
    }

    /// What a core needs to start: metadata, configurations and the units since the entry point.
    pub fn snapshot(&self) -> (Prologue, Vec<Arc<Unit>>) {
        (self.prologue.clone(), self.gop.units().cloned().collect())
    }

    /// The prologue alone, for a core that goes on at an entry point.
    pub fn prologue(&self) -> &Prologue {
        &self.prologue
    }

    /// A core has viewers.
    pub fn subscribe(&mut self, core: CoreIndex) {
        if self.cores.iter().all(|interested| interested.core != core) {
            self.cores.push(InterestedCore { core, lost: false });
        }
    }

    /// A core has no viewers any more.
    pub fn unsubscribe(&mut self, core: CoreIndex) {
        self.cores.retain(|interested| interested.core != core);
    }

    /// The cores with viewers.
    pub fn cores(&mut self) -> &mut SmallVec<[InterestedCore; 4]> {
        &mut self.cores
    }

    /// The tracks seen since the publisher started.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Stream time of the newest unit, in milliseconds.
    pub fn live_ms(&self) -> i64 {
        self.timeline.latest().as_millis()
    }

    /// Timestamp jumps smoothed out.
    pub fn jumps(&self) -> u64 {
        self.timeline.jumps()
    }

    fn forget_media(&mut self) {
        self.prologue.clear();
        self.gop.clear();
        self.gop_charge.set(0);
        self.tracks.clear();
        self.has_video = false;
    }

    fn is_entry_point(&self, unit: &Unit) -> bool {
        let access_unit = &unit.access_unit;
        match access_unit.track.kind {
            TrackKind::Video => access_unit.is_video_random_access(),
            TrackKind::Audio => {
                !self.has_video && matches!(access_unit.kind, UnitKind::Frame { .. })
            }
            TrackKind::Data => false,
        }
    }

    fn count(&mut self, unit: &Unit) {
        self.totals.units += 1;
        self.totals.bytes += unit.bytes() as u64;
        let access_unit = &unit.access_unit;
        let is_picture = access_unit.track.kind == TrackKind::Video
            && matches!(access_unit.kind, UnitKind::Frame { .. });
        self.totals.frames += u64::from(is_picture);
    }

    /// Takes note of a track; true when something became known that metadata should say.
    fn learn(&mut self, unit: &Unit) -> bool {
        let access_unit = &unit.access_unit;
        let id = access_unit.track;
        if id.kind == TrackKind::Data {
            return false;
        }
        let known = self.tracks.iter().position(|t| t.index == id.index && t.kind == id.kind);
        if known.is_some() && access_unit.kind != UnitKind::Config {
            return false;
        }
        let Some(info) = codec::track_info(access_unit) else { return false };
        match known {
            Some(at) if self.tracks[at].info == info => return false,
            Some(at) => self.tracks[at].info = info,
            None if self.tracks.len() < self.policy.tracks_max => {
                self.tracks.push(Track { index: id.index, kind: id.kind, info });
            }
            None => return false,
        }
        true
    }

    /// The metadata that later viewers get: what the publisher said, and what its media says.
    fn enrich(&mut self, after: &Unit) -> Option<Arc<Unit>> {
        let is_metadata = |unit: &&Arc<Unit>| unit.access_unit.kind == UnitKind::Metadata;
        let said = self.prologue.units().iter().find(is_metadata);
        let said = said.map(|unit| unit.access_unit.payload.clone());
        let payload = metadata::enrich(said.as_deref(), &self.tracks, &self.policy)?;
        let mut access_unit = metadata::unit(payload);
        access_unit.dts = after.access_unit.dts;
        let mut unit = Unit::new(access_unit, after.received);
        unit.late_joiners_only = true;
        let unit = Arc::new(unit);
        self.prologue.observe(&unit);
        Some(unit)
    }
}
