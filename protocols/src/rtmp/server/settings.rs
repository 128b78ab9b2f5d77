//! What an operator decides about RTMP servers.

/// Limits and intervals of server sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Milliseconds from the first byte that could be sent to the command `connect`.
    pub handshake_timeout_ms: u64,
    /// Milliseconds that a connection which neither publishes nor plays may send no command. 0: for ever.
    pub idle_timeout_ms: u64,
    /// Milliseconds of silence after which the peer is pinged. 0: never.
    pub ping_interval_ms: u64,
    /// Milliseconds within which a pinged peer must send something.
    pub ping_timeout_ms: u64,
    /// Largest chunk size a peer may set, in bytes.
    pub chunk_size_in_max: u32,
    /// Chunk size of everything sent, media of the egress included, in bytes, 1 to 2^31 - 1.
    pub chunk_size_out: u32,
    /// Largest message a peer may send, in bytes.
    pub message_bytes_max: u32,
    /// Most chunk streams a peer may use.
    pub chunk_streams_max: usize,
    /// Most message streams a peer may have at a time.
    pub message_streams_max: usize,
    /// Window Acknowledgement Size sent to the peer, and used until the peer sends its own, in bytes.
    pub window_ack_size: u32,
    /// Set Peer Bandwidth sent to the peer, in bytes.
    pub peer_bandwidth: u32,
    /// Nesting of AMF values in a command.
    pub amf_depth_max: usize,
    /// AMF values in a command.
    pub amf_values_max: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            handshake_timeout_ms: 10_000,
            idle_timeout_ms: 30_000,
            ping_interval_ms: 30_000,
            ping_timeout_ms: 30_000,
            chunk_size_in_max: 16 << 20,
            chunk_size_out: 4096,
            message_bytes_max: 8 << 20,
            chunk_streams_max: 64,
            message_streams_max: 16,
            window_ack_size: 2_500_000,
            peer_bandwidth: 2_500_000,
            amf_depth_max: 32,
            amf_values_max: 10_000,
        }
    }
}
