//! What can keep tracks and samples out of fragmented MP4.

use crate::codec::CodecId;

/// Why tracks or samples were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The decoder's configuration cannot be made of what the track has.
    #[error("malformed {what} of {}", .codec.name())]
    Malformed {
        /// The track's codec.
        codec: CodecId,
        /// What was being read.
        what: &'static str,
    },
    /// What was asked for breaks a rule of the format.
    #[error("fragmented MP4 violation: {0}")]
    Violation(&'static str),
    /// There is no form of the codec in MP4 that players of HLS take.
    #[error("fragmented MP4 for HLS does not carry {}", .0.name())]
    Unsupported(CodecId),
    /// More than the format can number.
    #[error("{what} of {value} exceeds {limit}, the most that the format has")]
    LimitExceeded {
        /// What is too large.
        what: &'static str,
        /// What was met.
        value: u64,
        /// What the format has.
        limit: u64,
    },
}
