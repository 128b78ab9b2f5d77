//! What travels from the owner of a stream to the cores with viewers.

use std::collections::VecDeque;
use std::sync::Arc;

use corelay_codecs::{AccessUnit, FlvBody, UnitKind};
use smallvec::SmallVec;

use crate::clock::Micros;

/// An access unit on its stream's timeline.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The unit; its times are stream time once the owner has seen it.
    pub access_unit: AccessUnit,
    /// When its last byte was received.
    pub received: Micros,
    /// Counts the units of the stream, without a gap: given by the owner.
    pub sequence: u64,
    /// The first unit of a publisher: what was known of the tracks before is void.
    pub starts_epoch: bool,
    /// Only for those who join later: viewers that watch already have received the original.
    pub late_joiners_only: bool,
    /// Viewers may start here: a video frame at which decoding can start, or any audio frame of a stream
    /// without video.
    pub entry_point: bool,
}

impl Unit {
    /// A unit as it comes from a publisher.
    pub fn new(access_unit: AccessUnit, received: Micros) -> Self {
        Self {
            access_unit,
            received,
            sequence: 0,
            starts_epoch: false,
            late_joiners_only: false,
            entry_point: false,
        }
    }

    /// Bytes of payload this unit keeps alive.
    pub fn bytes(&self) -> usize {
        match &self.access_unit.flv {
            FlvBody::Verbatim(body) => body.len(),
            FlvBody::Build | FlvBody::Covered => self.access_unit.payload.len(),
        }
    }

    /// The unit without the others of its message: what travels in another unit's body gets one of its
    /// own.
    fn standalone(self: &Arc<Self>) -> Arc<Self> {
        if self.access_unit.flv != FlvBody::Covered {
            return Arc::clone(self);
        }
        let mut unit = Self::clone(self);
        unit.access_unit.flv = FlvBody::Build;
        Arc::new(unit)
    }
}

/// What a unit changes for decoders that start later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing, or nothing that a decoder needs.
    None,
    /// The first configuration of its track.
    Added,
    /// A configuration that differs from the one before: frames before and after need different ones.
    Replaced,
}

/// What a decoder must be told before its first frame: metadata and configuration records, newest of
/// each kind and track, in the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct Prologue {
    units: SmallVec<[Arc<Unit>; 4]>,
}

impl Prologue {
    /// Keeps `unit` if it is one of them.
    pub fn observe(&mut self, unit: &Arc<Unit>) -> Change {
        let new = &unit.access_unit;
        if !new.is_sticky() {
            return Change::None;
        }
        let same = |old: &&mut Arc<Unit>| {
            old.access_unit.track == new.track && old.access_unit.kind == new.kind
        };
        let is_config = new.kind == UnitKind::Config;
        match self.units.iter_mut().find(same) {
            Some(old) => {
                let (before, after) = (&old.access_unit, &unit.access_unit);
                let changed = before.payload != after.payload || before.codec != after.codec;
                *old = unit.standalone();
                if changed && is_config { Change::Replaced } else { Change::None }
            }
            None => {
                self.units.push(unit.standalone());
                if is_config { Change::Added } else { Change::None }
            }
        }
    }

    /// True when decoders that were told this prologue need not be told `unit`.
    pub fn says(&self, unit: &Unit) -> bool {
        let new = &unit.access_unit;
        let same = |old: &AccessUnit| {
            old.track == new.track
                && old.kind == new.kind
                && old.codec == new.codec
                && old.payload == new.payload
        };
        self.units.iter().any(|old| same(&old.access_unit))
    }

    /// Forgets everything: another publisher starts.
    pub fn clear(&mut self) {
        self.units.clear();
    }

    /// The units, in sending order.
    pub fn units(&self) -> &[Arc<Unit>] {
        &self.units
    }

    /// Bytes of payload held.
    pub fn bytes(&self) -> usize {
        self.units.iter().map(|unit| unit.bytes()).sum()
    }
}

/// The units since the newest entry point, so that an egress that comes into use starts at once.
#[derive(Debug, Default)]
pub struct Gop {
    units: VecDeque<Arc<Unit>>,
    bytes: usize,
}

impl Gop {
    /// Adds a unit. An entry point starts a new group; a group over `bytes_max` is given up until the
    /// next one.
    pub fn push(&mut self, unit: &Arc<Unit>, bytes_max: usize) {
        if unit.entry_point {
            self.clear();
        } else if self.units.is_empty() {
            return;
        }
        self.bytes += unit.bytes();
        self.units.push_back(Arc::clone(unit));
        if self.bytes > bytes_max {
            self.clear();
        }
    }

    /// Forgets the group.
    pub fn clear(&mut self) {
        self.units.clear();
        self.bytes = 0;
    }

    /// The units, oldest first; the first one is an entry point.
    pub fn units(&self) -> impl ExactSizeIterator<Item = &Arc<Unit>> {
        self.units.iter()
    }

    /// Bytes of payload held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a core needs to begin, or to go on after a gap.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Metadata and configurations.
    pub prologue: Prologue,
    /// The units since the newest entry point.
    pub gop: Vec<Arc<Unit>>,
    /// Sequence number of the unit that comes next.
    pub next: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use corelay_codecs::{CodecId, Timestamp, TrackId};

    fn unit(track: TrackId, kind: UnitKind, payload: &[u8], flv: FlvBody) -> Arc<Unit> {
        let payload = Bytes::copy_from_slice(payload);
        let (codec, dts) = (CodecId::H264, Timestamp(0));
        let access_unit = AccessUnit { track, kind, codec, dts, pts_offset: 0, payload, flv };
        Arc::new(Unit::new(access_unit, Micros(0)))
    }

    fn config(payload: &[u8]) -> Arc<Unit> {
        unit(TrackId::VIDEO, UnitKind::Config, payload, FlvBody::Build)
    }

    fn frame(bytes: usize, entry_point: bool) -> Arc<Unit> {
        let kind = UnitKind::Frame { random_access: entry_point };
        let mut unit = unit(TrackId::VIDEO, kind, &vec![0; bytes], FlvBody::Build);
        Arc::get_mut(&mut unit).unwrap().entry_point = entry_point;
        unit
    }

    #[test]
    fn a_prologue_keeps_the_newest_of_each_track_and_kind_and_tells_what_changed() {
        let mut prologue = Prologue::default();
        let metadata = unit(TrackId::DATA, UnitKind::Metadata, b"m", FlvBody::Build);
        let sound = unit(TrackId::AUDIO, UnitKind::Config, b"a", FlvBody::Build);
        assert_eq!(prologue.observe(&config(b"1")), Change::Added);
        assert_eq!(prologue.observe(&metadata), Change::None);
        assert_eq!(prologue.observe(&sound), Change::Added);
        assert_eq!(prologue.observe(&config(b"1")), Change::None);
        assert!(prologue.says(&config(b"1")) && !prologue.says(&config(b"22")));
        assert_eq!(prologue.observe(&config(b"22")), Change::Replaced);
        assert_eq!(prologue.observe(&frame(9, true)), Change::None);
        let payloads: Vec<_> =
            prologue.units().iter().map(|u| &u.access_unit.payload[..]).collect();
        assert_eq!(payloads, [&b"22"[..], b"m", b"a"]);
        assert_eq!(prologue.bytes(), 4);
    }

    #[test]
    fn another_codec_with_the_same_record_is_a_change() {
        let mut prologue = Prologue::default();
        let mut other = Unit::clone(&config(b"1"));
        other.access_unit.codec = CodecId::H265;
        prologue.observe(&config(b"1"));
        assert_eq!(prologue.observe(&Arc::new(other)), Change::Replaced);
    }

    #[test]
    fn a_group_begins_with_its_entry_point_and_is_given_up_when_it_grows_too_large() {
        let mut gop = Gop::default();
        gop.push(&frame(10, false), 100);
        assert_eq!(gop.units().len(), 0, "nothing before the first entry point");
        gop.push(&frame(10, true), 100);
        gop.push(&frame(90, false), 100);
        assert_eq!((gop.units().len(), gop.bytes()), (2, 100));
        gop.push(&frame(1, false), 100);
        gop.push(&frame(1, false), 100);
        assert_eq!((gop.units().len(), gop.bytes()), (0, 0));
        gop.push(&frame(7, true), 100);
        gop.push(&frame(8, true), 100);
        assert_eq!((gop.units().len(), gop.bytes()), (1, 8));
    }
}
