//! What can be wrong with FLV input.

/// Why FLV bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow the grammar, usually because they end too early.
    #[error("malformed FLV at byte {at}: {what}")]
    Malformed {
        /// Offset of the first byte that is missing or wrong: in the tag body for
        /// [`parse_tag`](super::demux::parse_tag), in the stream for
        /// [`Demuxer`](super::demux::Demuxer).
        at: u64,
        /// The field that was being read.
        what: &'static str,
    },
    /// The bytes can be read but break a rule of the specification.
    #[error("FLV violation: {0}")]
    Violation(&'static str),
    /// Legal, and more than is accepted here.
    #[error("FLV tag of {bytes} bytes exceeds {setting} = {limit}")]
    LimitExceeded {
        /// The setting that raises the limit.
        setting: &'static str,
        /// What the peer announced, in bytes.
        bytes: u64,
        /// What is accepted, in bytes.
        limit: u64,
    },
}
