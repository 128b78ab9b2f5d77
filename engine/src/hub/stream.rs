//! A stream at its owner: the one place that decides its publisher, its timeline and who is fed.
//!
//! Invariants
//! - At most one publisher at a time; units of any other are ignored.
//! - A publisher that leaves has left when its last unit is in: the lane of units is slower than the lane
//!   on which it says so.
//! - Every unit sent to cores has the sequence number after that of the one before.
//! - A core that lost a unit gets nothing before the next entry point, and then a snapshot first.

use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::{
    AccessUnit, FlvBody, Timestamp, TrackId, TrackInfo, TrackKind, UnitKind, codec,
};
use corelay_config::Policy;
use smallvec::SmallVec;

use super::key::StreamKey;
use super::memory::{Budget, Charge};
use super::message::{EndReason, PublisherId, PublisherInfo, StreamUid};
use super::metadata;
use super::timeline::Timeline;
use super::unit::{Change, Gop, Prologue, Snapshot, Unit};
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
    publisher: Option<Current>,
    /// Without a publisher: when viewers stop waiting for it to come back.
    grace_until: Option<Micros>,
    timeline: Timeline,
    prologue: Prologue,
    gop: Gop,
    charge: Charge,
    /// The publisher's own metadata, as it came.
    said: Option<Bytes>,
    tracks: Vec<Track>,
    /// Tracks with units since the publisher started, known codec or not.
    track_ids: SmallVec<[TrackId; 4]>,
    /// Stream time of the newest picture since the publisher started.
    pictures_until: Option<Timestamp>,
    next_sequence: u64,
    starts_epoch: bool,
    cores: SmallVec<[InterestedCore; 4]>,
    /// Totals since the stream was created.
    pub totals: Totals,
}

/// The publisher that a stream has.
#[derive(Debug)]
struct Current {
    id: PublisherId,
    info: Box<PublisherInfo>,
    /// Units received from it.
    units: u64,
    /// It has left, after this many units.
    leaves_after: Option<u64>,
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
    /// It has not been told of the end, for which there was no room on the way.
    pub owes_end: Option<EndReason>,
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
            charge: Charge::new(budget),
            said: None,
            tracks: Vec::new(),
            track_ids: SmallVec::new(),
            pictures_until: None,
            next_sequence: 0,
            starts_epoch: false,
            cores: SmallVec::new(),
            totals: Totals::default(),
        }
    }

    /// Gives the stream to a publisher, as its policy has it.
    pub fn publish(&mut self, id: PublisherId, info: Box<PublisherInfo>) -> Takeover {
        let takeover = match &self.publisher {
            None | Some(Current { leaves_after: Some(_), .. }) => Takeover::Free,
            Some(_) if self.policy.takeover == corelay_config::Takeover::FirstWins => {
                return Takeover::Refused;
            }
            Some(old) => Takeover::Replaced(old.id),
        };
        self.publisher = Some(Current { id, info, units: 0, leaves_after: None });
        self.grace_until = None;
        for interested in &mut self.cores {
            interested.owes_end = None;
        }
        self.timeline.restart();
        self.forget_media();
        self.starts_epoch = true;
        takeover
    }

    /// The publisher leaves after its unit number `units`. Nothing happens when `id` is not the stream's
    /// publisher; see [`Self::leave_if_complete`].
    pub fn unpublish(&mut self, id: PublisherId, units: u64) {
        if let Some(current) = self.publisher.as_mut().filter(|current| current.id == id) {
            current.leaves_after = Some(units);
        }
    }

    /// Lets the publisher go if it leaves and its last unit is in. True when it went.
    pub fn leave_if_complete(&mut self, now: Micros) -> bool {
        let Some(current) = &self.publisher else { return false };
        if current.leaves_after.is_none_or(|units| current.units < units) {
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
        self.publisher.as_ref().map(|current| (current.id, &*current.info))
    }

    /// Puts a unit of publisher `id` on the timeline, and keeps what joiners need. Gives what is to be
    /// delivered, in order; nothing when `id` is not the publisher.
    pub fn ingest(&mut self, id: PublisherId, mut unit: Arc<Unit>) -> SmallVec<[Arc<Unit>; 2]> {
        let mut out = SmallVec::new();
        let Some(current) = self.publisher.as_mut().filter(|current| current.id == id) else {
            return out;
        };
        current.units += 1;
        if !self.admits(unit.access_unit.track) {
            return out;
        }
        self.count(&unit);
        // The mesh hands the unit over with its only reference; a copy is made only if it does not.
        let own = Arc::make_mut(&mut unit);
        own.access_unit.dts = self.timeline.map(own.access_unit.track, own.access_unit.dts);
        own.sequence = self.next_sequence();
        if is_picture(&own.access_unit) {
            self.pictures_until = Some(own.access_unit.dts);
        }
        own.entry_point = self.is_entry_point(&own.access_unit);
        own.starts_epoch = std::mem::take(&mut self.starts_epoch);
        let is_metadata = unit.access_unit.kind == UnitKind::Metadata;
        if is_metadata {
            self.said = Some(unit.access_unit.payload.clone());
        }
        if self.prologue.observe(&unit) == Change::Replaced {
            self.gop.clear();
        }
        self.gop.push(&unit, self.charge.allowance(self.policy.log_bytes_max));
        let learned = self.learn(&unit.access_unit);
        out.push(Arc::clone(&unit));
        if is_metadata || learned {
            out.extend(self.enrich(&unit));
        }
        self.charge.set(self.gop.bytes() + self.prologue.bytes());
        out
    }

    /// What a core needs to start: metadata, configurations and the units since the entry point.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            prologue: self.prologue.clone(),
            gop: self.gop.units().cloned().collect(),
            next: self.next_sequence,
        }
    }

    /// The prologue alone, for a core that goes on at an entry point.
    pub fn prologue(&self) -> &Prologue {
        &self.prologue
    }

    /// A core has viewers.
    pub fn subscribe(&mut self, core: CoreIndex) {
        if self.cores.iter().all(|interested| interested.core != core) {
            self.cores.push(InterestedCore { core, lost: false, owes_end: None });
        }
    }

    /// A core has no viewers any more.
    pub fn unsubscribe(&mut self, core: CoreIndex) {
        self.cores.retain(|interested| interested.core != core);
    }

    /// True when any core subscribes.
    pub fn is_watched(&self) -> bool {
        !self.cores.is_empty()
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
        self.charge.set(0);
        self.said = None;
        self.tracks.clear();
        self.track_ids.clear();
        self.pictures_until = None;
    }

    fn next_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    /// True for a track within the policy's limit. A further one is left out.
    fn admits(&mut self, id: TrackId) -> bool {
        if id.kind == TrackKind::Data || self.track_ids.contains(&id) {
            return true;
        }
        let has_room = self.track_ids.len() < self.policy.tracks_max;
        if has_room {
            self.track_ids.push(id);
        }
        has_room
    }

    /// The first video track decides; of several tracks in one message, the one that carries its body.
    /// Where no log holds a picture, yet (sound comes first) or any more (a phone in its pocket sends
    /// sound alone), sound does.
    fn is_entry_point(&self, unit: &AccessUnit) -> bool {
        let first_video = self.track_ids.iter().find(|id| id.kind == TrackKind::Video);
        match unit.track.kind {
            _ if unit.flv == FlvBody::Covered => false,
            TrackKind::Video => unit.is_video_random_access() && first_video == Some(&unit.track),
            TrackKind::Audio => {
                let log_ms_max = i64::try_from(self.policy.log_ms_max).unwrap_or(i64::MAX);
                let in_log = |until| (unit.dts - until) / Timestamp::TICKS_PER_MS <= log_ms_max;
                let has_pictures = self.pictures_until.is_some_and(in_log);
                !has_pictures && matches!(unit.kind, UnitKind::Frame { .. })
            }
            TrackKind::Data => false,
        }
    }

    fn count(&mut self, unit: &Unit) {
        self.totals.units += 1;
        self.totals.bytes += unit.bytes() as u64;
        let access_unit = &unit.access_unit;
        self.totals.frames += u64::from(is_picture(access_unit));
    }

    /// Takes note of a track; true when something became known that metadata should say.
    fn learn(&mut self, unit: &AccessUnit) -> bool {
        let TrackId { kind, index } = unit.track;
        if kind == TrackKind::Data {
            return false;
        }
        let known = self.tracks.iter_mut().find(|track| track.index == index && track.kind == kind);
        if known.as_ref().is_some_and(|track| !track.may_learn(unit)) {
            return false;
        }
        let Some(info) = codec::track_info(unit) else { return false };
        match known {
            Some(track) => track.learn(info),
            None => {
                self.tracks.push(Track { index, kind, info });
                true
            }
        }
    }

    /// The metadata that later viewers get: what the publisher said, and what its media says.
    fn enrich(&mut self, after: &Unit) -> Option<Arc<Unit>> {
        let payload = metadata::enrich(self.said.as_deref(), &self.tracks, &self.policy)?;
        let mut access_unit = metadata::unit(payload);
        access_unit.dts = after.access_unit.dts;
        let mut unit = Unit::new(access_unit, after.received);
        unit.late_joiners_only = true;
        unit.sequence = self.next_sequence();
        let unit = Arc::new(unit);
        self.prologue.observe(&unit);
        Some(unit)
    }
}

impl Track {
    /// True when `unit` may say more than is known: a configuration, another codec, or a frame of a codec
    /// whose frames say what its configuration does not (VP9's picture size).
    fn may_learn(&self, unit: &AccessUnit) -> bool {
        let info = &self.info;
        let is_unknown = match self.kind {
            TrackKind::Video => info.width == 0,
            TrackKind::Audio => info.sample_rate_hz == 0,
            TrackKind::Data => false,
        };
        match unit.kind {
            UnitKind::Config => true,
            UnitKind::Frame { random_access: true } => {
                unit.codec != info.codec || (is_unknown && unit.codec.row().from_frame.is_some())
            }
            _ => false,
        }
    }

    /// Takes over what is new. True when there was anything.
    fn learn(&mut self, info: TrackInfo) -> bool {
        let before = self.info.clone();
        self.info.update(info);
        self.info != before
    }
}

fn is_picture(unit: &AccessUnit) -> bool {
    unit.track.kind == TrackKind::Video && matches!(unit.kind, UnitKind::Frame { .. })
}
