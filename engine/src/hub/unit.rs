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
