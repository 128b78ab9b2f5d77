//! The limits and texts of an HTTP session.

/// What a session accepts, for how long it waits, and what it says of itself.
///
/// One `Arc<Settings>` serves all sessions of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a whole request head, request line included. Inclusive.
    pub header_bytes_max: usize,
    /// Header fields of one request. Inclusive.
    pub headers_max: usize,
    /// Bytes of a request target, query included. Inclusive.
    pub uri_bytes_max: usize,
    /// Bytes of an application name and of a stream name, each, after percent-decoding. Inclusive.
    pub name_bytes_max: usize,
    /// A whole request head must arrive within this time, in milliseconds: from the start of the
    /// connection for the first, from its first byte for later ones.
    pub request_timeout_ms: u64,
    /// How long a connection may stay open between two requests, in milliseconds.
    pub keep_alive_timeout_ms: u64,
    /// Payload bytes of one message, all fragments together, that a WebSocket viewer may send.
    /// Inclusive.
    pub websocket_message_bytes_max: u64,
    /// Which web origin may read the streams: `*` for any, `https://example.com` for one, empty for
    /// none but the server's own.
    pub allow_origin: String,
    /// Value of the `Server` field; empty sends none.
    pub server_name: String,
    /// The connection is one of TLS: URLs of this server begin with `https` and `wss`.
    pub is_secure: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header_bytes_max: 8 << 10,
            headers_max: 64,
            uri_bytes_max: 2 << 10,
            name_bytes_max: 255,
            request_timeout_ms: 10_000,
            keep_alive_timeout_ms: 30_000,
            websocket_message_bytes_max: 64 << 10,
            allow_origin: "*".to_owned(),
            server_name: "corelay".to_owned(),
            is_secure: false,
        }
    }
}

impl Settings {
    /// True when a page of this web origin may read streams of this host (RFC 6455 10.2).
    ///
    /// CORS does not hold for WebSockets: a browser opens one to anywhere and only says where it
    /// comes from, so the server has to look. Peers that are no browsers send no origin.
    pub(super) fn allows_origin(&self, origin: &[u8], host: &str) -> bool {
        if origin.is_empty() || self.allow_origin == "*" {
            return true;
        }
        self.trusts_origin(origin, host)
    }

    /// True when a page of this web origin may publish: of this host, or of the one that is named.
    ///
    /// A browser sends a POST to anywhere without asking first (Fetch 4.1), so what any page may
    /// read, not any page may send.
    pub(super) fn lets_publish(&self, origin: &[u8], host: &str) -> bool {
        origin.is_empty() || self.trusts_origin(origin, host)
    }

    fn trusts_origin(&self, origin: &[u8], host: &str) -> bool {
        let authority = origin.split(|b| *b == b'/').nth(2).unwrap_or_default();
        authority.eq_ignore_ascii_case(host.as_bytes())
            || origin.eq_ignore_ascii_case(self.allow_origin.as_bytes())
    }
}
