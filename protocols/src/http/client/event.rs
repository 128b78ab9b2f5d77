//! What a client session tells its driver.

use bytes::Bytes;

use super::url::Url;

/// What the response brings. The order is `Head`, any number of `Body`, `End`; or `Redirect` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server serves what was asked for: the body follows.
    Head {
        /// 200.
        status: u16,
        /// `Content-Type`, without its parameters, in lower case. Empty if there is none.
        content_type: String,
    },
    /// The next bytes of the body, without the framing of chunks. Never empty.
    Body(Bytes),
    /// The body is complete: close the connection.
    End,
    /// It is served elsewhere (RFC 9110 15.4): close the connection and ask there. The caller counts
    /// how often it follows; [`REDIRECTS_MAX`](super::REDIRECTS_MAX) is what is usual.
    Redirect(Url),
}
