//! `[rtmp]`: what an RTMP connection may do and how long it may take.

use serde::Serialize;

use crate::bytes;
use crate::listener::Listener;
use crate::section::Section;

/// Settings of every RTMP connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rtmp {
    /// Where RTMP is accepted; empty: nowhere.
    pub listen: Vec<Listener>,
    /// From accept to the end of the handshake. Milliseconds, 100 to 600000.
    pub handshake_timeout_ms: u64,
    /// A connection that neither publishes nor plays is closed this long after its last message.
    /// Milliseconds, 1000 to 86400000.
    pub idle_timeout_ms: u64,
    /// A connection whose socket takes no byte for this long, while bytes wait for it, is closed.
    /// Milliseconds, 100 to 600000.
    pub write_timeout_ms: u64,
    /// Between two ping requests of the server. Milliseconds, 0 (no pings) to 3600000.
    pub ping_interval_ms: u64,
    /// A peer that sends nothing for this long after a ping request is closed. Milliseconds, 100
    /// to 600000, at most `idle_timeout_ms`, and at most `ping_interval_ms` unless that is 0.
    pub ping_timeout_ms: u64,
    /// Largest chunk size that a peer may set. Bytes, 128 B to 16777215 B.
    #[serde(serialize_with = "bytes::serialize")]
    pub chunk_size_in_max: u32,
    /// Chunk size of everything that is sent. Bytes, 128 B to 64 KiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub chunk_size_out: u32,
    /// Largest message that a peer may send. Bytes, 64 KiB to 16777215 B (the 24-bit length).
    #[serde(serialize_with = "bytes::serialize")]
    pub message_bytes_max: u32,
    /// Chunk streams that a peer may use at once. 8 to 65597 (all there are).
    pub chunk_streams_max: usize,
    /// Message streams that a peer may create at once. 1 to 1024.
    pub message_streams_max: usize,
    /// The window after which the peer is to acknowledge, and the bandwidth announced to it.
    /// Bytes, 4 KiB to 1 GiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub window_ack_size_bytes: u32,
    /// Nesting of AMF values. 4 to 128.
    pub amf_depth_max: usize,
    /// AMF values in one message. 64 to 1000000.
    pub amf_values_max: usize,
}

/// The largest value of the 24-bit message length field, and so of a chunk.
const MESSAGE_BYTES: u64 = 0xff_ffff;

impl Rtmp {
    pub(crate) fn read(section: &mut Section<'_>) -> Rtmp {
        Rtmp {
            listen: Listener::read_list(section),
            handshake_timeout_ms: section.integer("handshake_timeout_ms", 100..=600_000),
            idle_timeout_ms: section.integer("idle_timeout_ms", 1_000..=86_400_000),
            write_timeout_ms: section.integer("write_timeout_ms", 100..=600_000),
            ping_interval_ms: section.integer("ping_interval_ms", 0..=3_600_000),
            ping_timeout_ms: section.integer("ping_timeout_ms", 100..=600_000),
            chunk_size_in_max: section.bytes("chunk_size_in_max", 128..=MESSAGE_BYTES),
            chunk_size_out: section.bytes("chunk_size_out", 128..=65_536),
            message_bytes_max: section.bytes("message_bytes_max", 64 << 10..=MESSAGE_BYTES),
            chunk_streams_max: section.integer("chunk_streams_max", 8..=65_597),
            message_streams_max: section.integer("message_streams_max", 1..=1_024),
            window_ack_size_bytes: section.bytes("window_ack_size_bytes", 4 << 10..=1 << 30),
            amf_depth_max: section.integer("amf_depth_max", 4..=128),
            amf_values_max: section.integer("amf_values_max", 64..=1_000_000),
        }
    }
}
