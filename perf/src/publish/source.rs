//! Media with times, whatever they come from.

use corelay_protocols::rtmp::MediaKind;

use super::file::Loop;
use super::generated::Generated;
use crate::stamp::Stamp;

/// A stream's media, in the order of their times.
pub(super) enum Source {
    Generated(Generated),
    File(Loop),
}

/// What [`Source::write_next`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) kind: MediaKind,
    pub(super) timestamp_ms: u32,
}

impl Source {
    /// What stands in front of the media: metadata and configurations.
    pub(super) fn preamble(&self) -> Vec<(MediaKind, Vec<u8>)> {
        match self {
            Self::Generated(generated) => generated.preamble(),
            Self::File(file) => file.preamble(),
        }
    }

    /// When the next frame is due, in microseconds from the beginning.
    pub(super) fn due_us(&self) -> u64 {
        match self {
            Self::Generated(generated) => generated.due_us(),
            Self::File(file) => file.due_us(),
        }
    }

    /// Writes the body of the next frame to `out`, which is empty, with the stamp if it is a video
    /// frame that can carry one.
    pub(super) fn write_next(&mut self, sent_us: Option<u64>, out: &mut Vec<u8>) -> Written {
        match self {
            Self::Generated(generated) => generated.write_next(sent_us, out),
            Self::File(file) => file.write_next(sent_us, out),
        }
    }
}

/// Numbers the stamps of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamper {
    sequence: u32,
}

impl Stamper {
    /// The next stamp.
    pub(super) fn next(&mut self, sent_us: u64) -> Stamp {
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        Stamp { sent_us, sequence }
    }
}
