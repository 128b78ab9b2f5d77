//! What can be wrong with an RTP packet.

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow the grammar, usually because they end too early.
    #[error("malformed RTP packet at byte {at}: {what}")]
    Malformed {
        /// Offset of the first byte that is missing or wrong.
        at: usize,
        /// The field that was being read.
        what: &'static str,
    },
    /// The version is not 2, the only one in use.
    #[error("RTP version {0} is not supported")]
    Version(u8),
}
