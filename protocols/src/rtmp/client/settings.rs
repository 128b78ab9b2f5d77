//! What a client session is to do.

use crate::rtmp::event::{PlayStart, PublishKind};
use crate::rtmp::handshake::Style;
use crate::rtmp::url::StreamUrl;

/// What a client session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRole {
    /// Sends a stream.
    Publish(PublishKind),
    /// Receives a stream.
    Play(PlayStart),
}

/// Target, role and limits of a client session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Where to; the driver connects to its host and port.
    pub url: StreamUrl,
    /// What for.
    pub role: ClientRole,
    /// How to introduce oneself.
    pub style: Style,
    /// `flashVer` of the command `connect`: some servers look for a known one.
    pub flash_ver: String,
    /// Milliseconds from the start to the server's consent.
    pub start_timeout_ms: u64,
    /// Milliseconds that a player may receive nothing. 0: for ever.
    pub idle_timeout_ms: u64,
    /// Buffer that a player announces, in milliseconds of media.
    pub buffer_length_ms: u32,
    /// Chunk size of what is sent, in bytes, 1 to 2^31 - 1.
    pub chunk_size_out: u32,
    /// Largest chunk size the server may set, in bytes.
    pub chunk_size_in_max: u32,
    /// Largest message the server may send, in bytes.
    pub message_bytes_max: u32,
    /// Window Acknowledgement Size sent to the server, in bytes.
    pub window_ack_size: u32,
}

impl ClientSettings {
    /// Makes settings with the usual limits.
    #[must_use]
    pub fn new(url: StreamUrl, role: ClientRole) -> Self {
        let flash_ver = match role {
            ClientRole::Publish(_) => "FMLE/3.0 (compatible; corelay)",
            ClientRole::Play(_) => "LNX 9,0,124,2",
        };
        Self {
            url,
            role,
            style: Style::default(),
            flash_ver: flash_ver.to_owned(),
            start_timeout_ms: 10_000,
            idle_timeout_ms: 30_000,
            buffer_length_ms: 3000,
            chunk_size_out: 4096,
            chunk_size_in_max: 16 << 20,
            message_bytes_max: 16 << 20,
            window_ack_size: 2_500_000,
        }
    }
}
