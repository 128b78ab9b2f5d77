//! Writing messages as chunks.

use bytes::BytesMut;
use corelay_codecs::ByteSink;

use super::header::{HeaderBytes, Shape};
use super::{CHUNK_SIZE_INITIAL, CHUNK_SIZE_WIRE_MAX, MESSAGE_BYTES_WIRE_MAX, type_id};
use crate::rtmp::event::{MediaKind, MessageStreamId};

/// The session's own output: control messages, commands and statuses.
///
/// Invariants
/// - Every message has a full header, so it may stand between any two messages of another writer.
/// - Media have chunk streams 4 to 6 to themselves ([`write_media`]); a session uses others.
#[derive(Clone, Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
}

impl ChunkWriter {
    /// A writer with the initial chunk size of 128 bytes.
    pub fn new() -> Self {
        Self { chunk_size: CHUNK_SIZE_INITIAL }
    }

    /// The size of the chunks being written, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Sets the chunk size of the messages from here on, 1..=0x7FFF_FFFF bytes (a value outside is
    /// brought into the range). The caller has just written the Set Chunk Size message that says
    /// so.
    pub fn set_chunk_size(&mut self, chunk_size: u32) {
        self.chunk_size = chunk_size.clamp(1, CHUNK_SIZE_WIRE_MAX);
    }

    /// Writes one message on `chunk_stream_id` (2..=65599).
    ///
    /// A payload above [`MESSAGE_BYTES_WIRE_MAX`] cannot be framed: nothing is written.
    pub fn write(
        &mut self,
        chunk_stream_id: u32,
        timestamp_ms: u32,
        type_id: u8,
        message_stream_id: MessageStreamId,
        payload: &[u8],
        out: &mut BytesMut,
    ) {
        let frame = Frame { chunk_stream_id, timestamp_ms, type_id, message_stream_id };
        out.reserve(framed_bytes(payload.len(), timestamp_ms, self.chunk_size));
        write_message(&frame, [payload, &[]], self.chunk_size, out);
    }
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes one media message whose body is `header` followed by `payload`: the shared egress form.
///
/// Audio goes on chunk stream 4, data on 5, video on 6, each with a full header and type 3
/// continuations of `chunk_size` bytes (0 is taken as 1). A body above [`MESSAGE_BYTES_WIRE_MAX`]
/// cannot be framed: nothing is written.
///
/// Cost: one `put` per chunk header and one or two per chunk of data; no allocation of its own.
pub fn write_media(
    kind: MediaKind,
    timestamp_ms: u32,
    message_stream_id: MessageStreamId,
    header: &[u8],
    payload: &[u8],
    chunk_size: u32,
    out: &mut impl ByteSink,
) {
    let (chunk_stream_id, type_id) = match kind {
        MediaKind::Audio => (4, type_id::AUDIO),
        MediaKind::Data => (5, type_id::DATA_AMF0),
        MediaKind::Video => (6, type_id::VIDEO),
    };
    let frame = Frame { chunk_stream_id, timestamp_ms, type_id, message_stream_id };
    write_message(&frame, [header, payload], chunk_size, out);
}

/// Bytes that [`write_media`] writes for a body of `body_bytes`, to reserve space beforehand.
/// [`ChunkWriter::write`] writes as much on chunk streams up to 63.
pub fn framed_bytes(body_bytes: usize, timestamp_ms: u32, chunk_size: u32) -> usize {
    let extended_bytes = if timestamp_ms >= super::TIMESTAMP_EXTENDED { 4 } else { 0 };
    let chunks = body_bytes.div_ceil(chunk_size.max(1) as usize).max(1);
    12 + extended_bytes + (chunks - 1) * (1 + extended_bytes) + body_bytes
}

/// What the full header says beside the length.
struct Frame {
    chunk_stream_id: u32,
    timestamp_ms: u32,
    type_id: u8,
    message_stream_id: MessageStreamId,
}

/// Writes the body `parts[0] ++ parts[1]` as chunks.
fn write_message(frame: &Frame, parts: [&[u8]; 2], chunk_size: u32, out: &mut impl ByteSink) {
    let body_bytes = parts[0].len() + parts[1].len();
    debug_assert!(body_bytes <= MESSAGE_BYTES_WIRE_MAX, "a message of {body_bytes} bytes");
    if body_bytes > MESSAGE_BYTES_WIRE_MAX {
        return;
    }
    let shape = Shape { message_bytes: body_bytes as u32, type_id: frame.type_id };
    let Frame { chunk_stream_id, timestamp_ms, message_stream_id, .. } = *frame;
    let first = HeaderBytes::full(chunk_stream_id, timestamp_ms, shape, message_stream_id.0);
    let next = HeaderBytes::continuation(chunk_stream_id, timestamp_ms);

    out.put(first.as_slice());
    let mut room = chunk_size.max(1) as usize;
    for mut part in parts {
        while !part.is_empty() {
            if room == 0 {
                out.put(next.as_slice());
                room = chunk_size.max(1) as usize;
            }
            let (now, later) = part.split_at(room.min(part.len()));
            out.put(now);
            room -= now.len();
            part = later;
        }
    }
}
