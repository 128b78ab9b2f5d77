//! Why a transport stream over TCP ended before its time.

/// The one error of the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line begins as ours does and is none.
    #[error("malformed first line: {what}; it is `corelay APP/NAME`")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Many bytes, and no packets among them.
    #[error(
        "no transport stream: {bytes} bytes without packets are over the limit {limit}; the setting \
         `unsynced_bytes_max` raises it"
    )]
    NoPackets {
        /// Bytes since the last packet.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The peer opened a connection and sent no packets.
    #[error("no packet within {limit_ms} ms; the setting `opening_timeout_ms` raises it")]
    TimedOut {
        /// The time allowed, in milliseconds.
        limit_ms: u64,
    },
}
