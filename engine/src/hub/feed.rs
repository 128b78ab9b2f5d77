//! A publisher's units on one timeline, and what those need who join later.
//!
//! The owner of a stream has one for what the publisher sends; a bridge has one for what it takes out of a
//! transport stream.
//!
//! Invariants
//! - Every unit given out has the sequence number after that of the one before.
//! - What is kept for joiners is charged to the memory budget.

use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::{
    AccessUnit, FlvBody, Timestamp, TrackId, TrackInfo, TrackKind, UnitKind, codec,
};
use corelay_config::Policy;
use smallvec::SmallVec;

use super::memory::{Budget, Charge};
use super::metadata;
use super::timeline::Timeline;
use super::unit::{Change, Essence, Gop, Prologue, Snapshot, Unit};
use crate::clock::Micros;

/// See the module.
#[derive(Debug)]
pub struct Feed {
    policy: Arc<Policy>,
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
    /// Pictures are known to come, and sound of before this time is no place to start.
    pictures_by: Option<Timestamp>,
    is_transport: bool,
    next_sequence: u64,
    starts_epoch: bool,
    /// Totals since the feed was made.
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

/// Counters of one feed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Units received from publishers.
    pub units: u64,
    /// Bytes of payload received from publishers.
    pub bytes: u64,
    /// Video frames received from publishers.
    pub frames: u64,
}

impl Feed {
    /// A feed without units.
    pub fn new(policy: Arc<Policy>, budget: Arc<Budget>) -> Self {
        Self {
            timeline: Timeline::new(policy.jump_ms),
            policy,
            prologue: Prologue::default(),
            gop: Gop::default(),
            charge: Charge::new(budget),
            said: None,
            tracks: Vec::new(),
            track_ids: SmallVec::new(),
            pictures_until: None,
            pictures_by: None,
            is_transport: false,
            next_sequence: 0,
            starts_epoch: false,
            totals: Totals::default(),
        }
    }

    /// Another publisher starts: its first unit continues the timeline.
    pub fn restart(&mut self) {
        self.timeline.restart();
        self.forget();
        self.starts_epoch = true;
    }

    /// The first unit has the time `at` or a later one.
    pub fn begin_at(&mut self, at: Timestamp) {
        self.timeline.begin_at(at);
    }

    /// Forgets what is kept for joiners.
    pub fn forget(&mut self) {
        self.prologue.clear();
        self.gop.clear();
        self.charge.set(0);
        self.said = None;
        self.tracks.clear();
        self.track_ids.clear();
        self.pictures_until = None;
        self.pictures_by = None;
    }

    /// There is a track of pictures, although none has come yet: sound that comes first waits for them.
    pub fn expect_pictures(&mut self) {
        let by = self.timeline.latest() + PICTURES_WAIT_MS * Timestamp::TICKS_PER_MS;
        self.pictures_by.get_or_insert(by);
    }

    /// Puts a unit on the timeline, and keeps what joiners need. Gives what is to be delivered, in order.
    pub fn take(&mut self, mut unit: Arc<Unit>) -> SmallVec<[Arc<Unit>; 2]> {
        let mut out = SmallVec::new();
        let track = unit.access_unit().map(|access_unit| access_unit.track);
        if track.is_some_and(|track| !self.admits(track)) {
            return out;
        }
        self.count(&unit);
        // The mesh hands the unit over with its only reference; a copy is made only if it does not.
        let own = Arc::make_mut(&mut unit);
        own.sequence = self.next_sequence();
        own.starts_epoch = std::mem::take(&mut self.starts_epoch);
        self.is_transport = own.is_transport();
        match &mut own.essence {
            Essence::Transport(packets) => {
                // Its own clocks are not looked at: it is timed by its arrival.
                let arrival = own.received.0 as i64 * Timestamp::TICKS_PER_MS / 1_000;
                packets.time = self.timeline.map(TrackId::DATA, Timestamp(arrival));
            }
            Essence::Elementary(access_unit) => {
                access_unit.dts = self.timeline.map(access_unit.track, access_unit.dts);
                if is_picture(access_unit) {
                    self.pictures_until = Some(access_unit.dts);
                }
                own.entry_point = self.is_entry_point(access_unit);
            }
        }
        if self.prologue.observe(&unit) == Change::Replaced {
            self.gop.clear();
        }
        self.gop.push(&unit, self.charge.allowance(self.policy.log_bytes_max));
        out.push(Arc::clone(&unit));
        out.extend(unit.access_unit().and_then(|access_unit| self.comment(access_unit, &unit)));
        self.charge.set(self.gop.bytes() + self.prologue.bytes());
        out
    }

    /// What a core needs to start: metadata, configurations and the units since the entry point.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            prologue: self.prologue.clone(),
            gop: self.gop.units().cloned().collect(),
            next: self.next_sequence,
            is_transport: self.is_transport,
        }
    }

    /// The prologue alone, for a core that goes on at an entry point.
    pub fn prologue(&self) -> &Prologue {
        &self.prologue
    }

    /// The tracks seen since the publisher started.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Its newest unit was one of a transport stream.
    pub fn is_transport(&self) -> bool {
        self.is_transport
    }

    /// Stream time of the newest unit, in milliseconds.
    pub fn live_ms(&self) -> i64 {
        self.timeline.latest().as_millis()
    }

    /// Stream time of the newest unit.
    pub fn latest(&self) -> Timestamp {
        self.timeline.latest()
    }

    /// Where a time of the publisher's clock is that no unit has; see [`Timeline::place`].
    pub fn place(&self, source: Timestamp) -> Option<Timestamp> {
        self.timeline.place(source)
    }

    /// Timestamp jumps smoothed out.
    pub fn jumps(&self) -> u64 {
        self.timeline.jumps()
    }

    /// The metadata that is due behind a unit: the unit is the publisher's own, or says something new.
    fn comment(&mut self, access_unit: &AccessUnit, unit: &Unit) -> Option<Arc<Unit>> {
        let is_metadata = access_unit.kind == UnitKind::Metadata;
        if is_metadata {
            self.said = Some(access_unit.payload.clone());
        }
        let learned = self.learn(access_unit);
        if is_metadata || learned { self.enrich(access_unit.dts, unit.received) } else { None }
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
                let awaits_pictures = self.pictures_until.is_none()
                    && self.pictures_by.is_some_and(|by| unit.dts < by);
                !has_pictures && !awaits_pictures && matches!(unit.kind, UnitKind::Frame { .. })
            }
            TrackKind::Data => false,
        }
    }

    fn count(&mut self, unit: &Unit) {
        self.totals.units += 1;
        self.totals.bytes += unit.bytes() as u64;
        self.totals.frames += u64::from(unit.access_unit().is_some_and(is_picture));
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
    fn enrich(&mut self, dts: Timestamp, received: Micros) -> Option<Arc<Unit>> {
        let payload = metadata::enrich(self.said.as_deref(), &self.tracks, &self.policy)?;
        let mut access_unit = metadata::unit(payload);
        access_unit.dts = dts;
        let mut unit = Unit::new(access_unit, received);
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

/// How long sound waits for pictures that are known to come; a group of pictures is seldom longer.
const PICTURES_WAIT_MS: i64 = 3_000;
