//! What travels from the owner of a stream to the cores with viewers.

use std::collections::VecDeque;
use std::sync::Arc;

use corelay_codecs::{AccessUnit, TrackKind, UnitKind};
use smallvec::SmallVec;

use crate::clock::Micros;

/// An access unit on its stream's timeline.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The unit; its times are stream time once the owner has seen it.
    pub access_unit: AccessUnit,
    /// When its last byte was received.
    pub received: Micros,
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
            starts_epoch: false,
            late_joiners_only: false,
            entry_point: false,
        }
    }

    /// Bytes of payload this unit keeps alive.
    pub fn bytes(&self) -> usize {
        use corelay_codecs::FlvBody;
        match &self.access_unit.flv {
            FlvBody::Verbatim(body) => body.len(),
            FlvBody::Build | FlvBody::Covered => self.access_unit.payload.len(),
        }
    }
}

/// What a decoder must be told before its first frame: metadata and configuration records, newest of
/// each kind and track, in the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct Prologue {
    units: SmallVec<[Arc<Unit>; 4]>,
}

impl Prologue {
    /// Keeps `unit` if it is one of them. True when that changes what a decoder needs: a new
    /// configuration or one that differs from the one before.
    pub fn observe(&mut self, unit: &Arc<Unit>) -> bool {
        let new = &unit.access_unit;
        if !new.is_sticky() {
            return false;
        }
        let same = |old: &Arc<Unit>| {
            old.access_unit.track == new.track && old.access_unit.kind == new.kind
        };
        let is_config = new.kind == UnitKind::Config;
        match self.units.iter_mut().find(|old| same(old)) {
            Some(old) => {
                let changed = old.access_unit.payload != new.payload;
                *old = Arc::clone(unit);
                changed && is_config
            }
            None => {
                self.units.push(Arc::clone(unit));
                is_config
            }
        }
    }

    /// Forgets everything: another publisher starts.
    pub fn clear(&mut self) {
        self.units.clear();
    }

    /// The units, in sending order.
    pub fn units(&self) -> &[Arc<Unit>] {
        &self.units
    }

    /// True when there is a configuration or metadata of a track of this kind.
    pub fn has(&self, kind: TrackKind) -> bool {
        self.units.iter().any(|unit| unit.access_unit.track.kind == kind)
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
