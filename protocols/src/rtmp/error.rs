//! Why an RTMP session ended, sorted by who is at fault.

/// The one error of handshake, chunk stream, server and client sessions.
///
/// "Need more bytes" is never an error: parsers say so with `None`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer's bytes cannot be parsed.
    #[error("malformed {what} at byte {at}")]
    Malformed {
        /// Bytes received on this connection after the handshake when it was noticed; within the
        /// handshake, bytes since its start.
        at: u64,
        /// The grammar element that could not be read.
        what: &'static str,
    },
    /// Parsed, but against the rules of the specification.
    #[error("protocol violation: {0}")]
    Violation(&'static str),
    /// Legal, and not done here.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
    /// Legal, and more than is accepted here.
    #[error("{value} is over the limit {limit}; the setting `{setting}` raises it")]
    LimitExceeded {
        /// The setting that raises the limit.
        setting: &'static str,
        /// What the peer asked for; 0 if it is not known exactly.
        value: u64,
        /// The limit, inclusive, in the setting's unit.
        limit: u64,
    },
    /// The peer was silent for too long.
    #[error("no {what} within {limit_ms} ms; the setting `{setting}` raises it")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The setting that holds the time.
        setting: &'static str,
        /// The time allowed, in milliseconds.
        limit_ms: u64,
    },
    /// The server refused the connection, the publication or the play (client sessions only).
    #[error("refused by the server: {code}: {description}")]
    Refused {
        /// `code` of the information object, for example `NetStream.Publish.BadName`.
        code: String,
        /// `description` of the information object, or what was asked when it has none.
        description: String,
    },
}
