//! What can be wrong with transport-stream input.

/// Why transport-stream bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow the grammar, usually because they end too early.
    #[error("malformed transport stream at byte {at}: {what}")]
    Malformed {
        /// Offset of the first byte that is missing or wrong, in the packet, section or PES packet
        /// that is named by `what`.
        at: u64,
        /// The structure and field that was being read.
        what: &'static str,
    },
    /// The bytes can be read but break a rule of the specification.
    #[error("transport stream violation: {0}")]
    Violation(&'static str),
    /// Legal, and more than is accepted here.
    #[error("{what} of {value} exceeds {setting} = {limit}")]
    LimitExceeded {
        /// What is too large.
        what: &'static str,
        /// The setting that raises the limit.
        setting: &'static str,
        /// What was met.
        value: u64,
        /// What is accepted.
        limit: u64,
    },
}
