//! The limits of a client session, and what it says of itself.

/// What a session accepts, and for how long it waits.
///
/// One `Arc<ClientSettings>` serves all sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Bytes of a whole response head, status line included. Inclusive.
    pub header_bytes_max: usize,
    /// Header fields of one response. Inclusive.
    pub headers_max: usize,
    /// From the start of the session to a whole response head, in milliseconds: the time to connect
    /// counts too.
    pub head_timeout_ms: u64,
    /// How long the body may bring nothing, in milliseconds. 0: for ever.
    pub silence_timeout_ms: u64,
    /// Value of the `User-Agent` field; visible ASCII and spaces.
    pub user_agent: String,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            header_bytes_max: 16 << 10,
            headers_max: 100,
            head_timeout_ms: 10_000,
            silence_timeout_ms: 10_000,
            user_agent: concat!("corelay/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
