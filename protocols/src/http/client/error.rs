//! Why a client session ended before its body did, sorted by who is at fault.

/// The one error of the client session and of its URLs.
///
/// "Need more bytes" is never an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server's bytes cannot be parsed.
    #[error("malformed {what} at byte {at} of the response")]
    Malformed {
        /// Bytes since the start of the connection.
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
        /// What the server sent; at least this much when it was not read to its end.
        value: u64,
        /// The limit, inclusive, in the setting's unit.
        limit: u64,
    },
    /// The server was silent, or slow, for too long.
    #[error("no {what} within {limit_ms} ms; the setting `{setting}` raises it")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// The setting that holds the time.
        setting: &'static str,
        /// The time allowed, in milliseconds.
        limit_ms: u64,
    },
    /// The server does not serve what was asked for.
    #[error("the server answered {status} {reason}")]
    Refused {
        /// The status code, other than 200 and a redirect that can be followed.
        status: u16,
        /// The server's text for it; may be empty.
        reason: String,
    },
    /// The server names another place, and that one cannot be asked.
    #[error("the server redirects to {location}: {why}")]
    Redirect {
        /// The place as the server wrote it, cut to a readable length.
        location: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The server closed the connection too early.
    #[error("the connection ended within the {within} at byte {at}")]
    CutOff {
        /// Bytes received on this connection.
        at: u64,
        /// What was not complete.
        within: &'static str,
    },
}
