//! Why an HTTP session ended before its time, sorted by who is at fault.

/// The one error of the HTTP session and of its WebSocket frames.
///
/// "Need more bytes" is never an error. A reply such as 404 is not one either: the connection goes
/// on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer's bytes cannot be parsed.
    #[error("malformed {what} at byte {at}")]
    Malformed {
        /// Bytes into the request head; for the framing of its content, into that; for a WebSocket
        /// frame, bytes since the upgrade.
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
        /// What the peer sent or announced; at least this much when it was not read to its end.
        value: u64,
        /// The limit, inclusive, in the setting's unit.
        limit: u64,
    },
    /// The peer closed the connection within what it published.
    #[error("the connection ended after {bytes} bytes of content that is not complete")]
    CutOff {
        /// Bytes of content that had come, framing included.
        bytes: u64,
    },
    /// The peer was silent, or slow, for too long.
    #[error("no {what} within {limit_ms} ms; the setting `{setting}` raises it")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The setting that holds the time.
        setting: &'static str,
        /// The time allowed, in milliseconds.
        limit_ms: u64,
    },
}

/// An error together with the status code that the peer is told (RFC 9110 15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// 400..=599.
    pub(super) status: u16,
    /// What the driver is told, and the text of the reply.
    pub(super) error: Error,
}

impl Refusal {
    /// 400 for bytes that are not HTTP.
    pub(super) fn malformed(at: usize, what: &'static str) -> Self {
        Self { status: 400, error: Error::Malformed { at: at as u64, what } }
    }

    /// A request that is against the rules.
    pub(super) fn violation(status: u16, rule: &'static str) -> Self {
        Self { status, error: Error::Violation(rule) }
    }

    /// A request for what is not done here.
    pub(super) fn unsupported(status: u16, what: &'static str) -> Self {
        Self { status, error: Error::Unsupported(what) }
    }

    /// More than a setting allows.
    pub(super) fn limit(status: u16, setting: &'static str, value: usize, limit: usize) -> Self {
        let (value, limit) = (value as u64, limit as u64);
        Self { status, error: Error::LimitExceeded { setting, value, limit } }
    }
}
