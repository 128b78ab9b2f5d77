//! Why a value could not be decoded.

/// The one error of AMF0 and AMF3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not AMF.
    #[error("malformed AMF: {what} at byte {at}")]
    Malformed {
        /// Offset in the input of the call, in bytes.
        at: usize,
        /// What could not be read.
        what: &'static str,
    },
    /// Legal AMF of a kind whose length only its author knows.
    #[error("unsupported AMF: {0}")]
    Unsupported(&'static str),
    /// More than [`Limits`](super::Limits) allows.
    #[error("AMF value over the limit: {limit} is {max}")]
    LimitExceeded {
        /// The field of [`Limits`](super::Limits) that was exceeded.
        limit: &'static str,
        /// Its value, inclusive.
        max: usize,
    },
}
