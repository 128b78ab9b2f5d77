//! What travels from the owner of a stream to the cores with viewers.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::{AccessUnit, FlvBody, Timestamp, TsBlock, UnitKind};
use smallvec::SmallVec;

use crate::clock::Micros;

/// What a stream natively is, one piece of it.
#[derive(Clone, Debug)]
pub enum Essence {
    /// An access unit; its times are stream time once the owner has seen it.
    Elementary(AccessUnit),
    /// Packets of a transport stream, as received.
    Transport(Packets),
}

/// Packets of a transport stream.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    /// The packets.
    pub block: TsBlock,
    /// The newest PAT and PMT packets in front of an entry point, as received; empty elsewhere.
    pub tables: Bytes,
    /// Stream time of their arrival, once the owner has seen them.
    pub time: Timestamp,
    /// They come from another source than those before.
    pub is_discontinuity: bool,
}

/// A piece of a stream, on its timeline.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it carries.
    pub essence: Essence,
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
        Self::of(Essence::Elementary(access_unit), received, false)
    }

    /// Packets as they come from a publisher; viewers may start at the first one if it is an entry point.
    pub fn packets(packets: Packets, entry_point: bool, received: Micros) -> Self {
        Self::of(Essence::Transport(packets), received, entry_point)
    }

    fn of(essence: Essence, received: Micros, entry_point: bool) -> Self {
        Self {
            essence,
            received,
            sequence: 0,
            starts_epoch: false,
            late_joiners_only: false,
            entry_point,
        }
    }

    /// The access unit, if it is one.
    pub fn access_unit(&self) -> Option<&AccessUnit> {
        match &self.essence {
            Essence::Elementary(access_unit) => Some(access_unit),
            Essence::Transport(_) => None,
        }
    }

    /// True for packets of a transport stream.
    pub fn is_transport(&self) -> bool {
        matches!(self.essence, Essence::Transport(_))
    }

    /// Stream time.
    pub fn time(&self) -> Timestamp {
        match &self.essence {
            Essence::Elementary(access_unit) => access_unit.dts,
            Essence::Transport(packets) => packets.time,
        }
    }

    /// Bytes of payload this unit keeps alive.
    pub fn bytes(&self) -> usize {
        match &self.essence {
            Essence::Transport(packets) => packets.block.bytes().len(),
            Essence::Elementary(unit) => match &unit.flv {
                FlvBody::Verbatim(body) => body.len(),
                FlvBody::Build | FlvBody::Covered => unit.payload.len(),
            },
        }
    }

    /// Metadata and configurations: what decoders that start later must be told.
    pub fn is_sticky(&self) -> bool {
        self.access_unit().is_some_and(AccessUnit::is_sticky)
    }

    /// A decoder's configuration.
    pub fn is_config(&self) -> bool {
        self.access_unit().is_some_and(|unit| unit.kind == UnitKind::Config)
    }

    /// The unit without the others of its message: what travels in another unit's body gets one of its
    /// own.
    fn standalone(self: &Arc<Self>) -> Arc<Self> {
        match &self.essence {
            Essence::Elementary(unit) if unit.flv == FlvBody::Covered => {
                let own = AccessUnit { flv: FlvBody::Build, ..unit.clone() };
                Arc::new(Self { essence: Essence::Elementary(own), ..Self::clone(self) })
            }
            _ => Arc::clone(self),
        }
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
/// each kind and track, in the order in which they first came; or the tables of a transport stream.
#[derive(Clone, Debug, Default)]
pub struct Prologue {
    units: SmallVec<[Arc<Unit>; 4]>,
    tables: Bytes,
}

impl Prologue {
    /// Keeps `unit` if it is one of them.
    pub fn observe(&mut self, unit: &Arc<Unit>) -> Change {
        let new = match &unit.essence {
            Essence::Elementary(new) if new.is_sticky() => new,
            Essence::Elementary(_) => return Change::None,
            Essence::Transport(packets) => {
                if unit.entry_point {
                    self.tables = packets.tables.clone();
                }
                return Change::None;
            }
        };
        let same = |old: &AccessUnit| old.track == new.track && old.kind == new.kind;
        let is_config = new.kind == UnitKind::Config;
        match self.units.iter_mut().find(|old| old.access_unit().is_some_and(same)) {
            Some(old) => {
                let changed = old.access_unit().is_none_or(|before| {
                    before.payload != new.payload || before.codec != new.codec
                });
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
        let Some(new) = unit.access_unit() else { return false };
        let same = |old: &AccessUnit| {
            old.track == new.track
                && old.kind == new.kind
                && old.codec == new.codec
                && old.payload == new.payload
        };
        self.access_units().any(same)
    }

    /// Forgets everything: another publisher starts.
    pub fn clear(&mut self) {
        self.units.clear();
        self.tables = Bytes::new();
    }

    /// The units, in sending order.
    pub fn units(&self) -> &[Arc<Unit>] {
        &self.units
    }

    /// What they carry.
    pub fn access_units(&self) -> impl Iterator<Item = &AccessUnit> {
        self.units.iter().filter_map(|unit| unit.access_unit())
    }

    /// The PAT and PMT packets in front of the newest entry point of a transport stream.
    pub fn tables(&self) -> &Bytes {
        &self.tables
    }

    /// Bytes of payload held.
    pub fn bytes(&self) -> usize {
        self.units.iter().map(|unit| unit.bytes()).sum::<usize>() + self.tables.len()
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
    /// The stream is packets of a transport stream.
    pub is_transport: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::{CodecId, TrackId};

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
        let payloads: Vec<_> = prologue.access_units().map(|unit| &unit.payload[..]).collect();
        assert_eq!(payloads, [&b"22"[..], b"m", b"a"]);
        assert_eq!(prologue.bytes(), 4);
    }

    #[test]
    fn another_codec_with_the_same_record_is_a_change() {
        let mut prologue = Prologue::default();
        let same = config(b"1");
        let other = AccessUnit { codec: CodecId::H265, ..same.access_unit().unwrap().clone() };
        prologue.observe(&same);
        let other = Arc::new(Unit::new(other, Micros(0)));
        assert_eq!(prologue.observe(&other), Change::Replaced);
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
