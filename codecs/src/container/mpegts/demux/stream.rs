//! What the parsers of elementary streams have in common.

use bytes::Bytes;

use super::StreamFault;
use super::timeline::Times;
use crate::access_unit::UnitKind;
use crate::codec::CodecId;

/// A unit without its track.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) kind: UnitKind,
    pub(super) codec: CodecId,
    pub(super) times: Times,
    pub(super) payload: Bytes,
}

/// What a parser found.
#[derive(Debug)]
pub(super) enum Found {
    Unit(Unit),
    Fault(StreamFault),
}

impl Found {
    pub(super) fn config(codec: CodecId, time: i64, payload: Bytes) -> Self {
        let times = Times { dts: time, pts: time };
        Self::Unit(Unit { kind: UnitKind::Config, codec, times, payload })
    }

    pub(super) fn audio(codec: CodecId, time: i64, payload: Bytes) -> Self {
        let times = Times { dts: time, pts: time };
        let kind = UnitKind::Frame { random_access: true };
        Self::Unit(Unit { kind, codec, times, payload })
    }
}

/// Where in a buffer a PES packet starts, and its times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: usize,
    pub(super) times: Option<Times>,
    pub(super) is_random_access: bool,
}

/// The starts of PES packets in a buffer whose front moves.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    pub(super) fn add(&mut self, mark: Mark) {
        // Packets without payload do not pile up.
        if self.0.last().is_some_and(|last| last.at == mark.at) {
            self.0.pop();
        }
        self.0.push(mark);
    }

    /// The mark of what starts at `at`, which is the last one not behind it: the times of a PES
    /// packet belong to the first access unit that starts in it (ISO/IEC 13818-1 2.4.3.7).
    pub(super) fn take(&mut self, at: usize) -> Option<Mark> {
        let count = self.0.iter().take_while(|mark| mark.at <= at).count();
        self.0.drain(..count).next_back()
    }

    /// The first `size` bytes left the buffer. A packet that starts in them is still to be taken:
    /// nothing started in it yet.
    pub(super) fn advance(&mut self, size: usize) {
        for mark in &mut self.0 {
            mark.at = mark.at.saturating_sub(size);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
