//! The chunk stream: messages cut into chunks and interleaved (Adobe RTMP 1.0, 5.3).
//!
//! ```text
//!  chunk := basic header  message header  [extended timestamp]  data
//!           1-3 bytes     11, 7, 3 or 0   4                     up to the chunk size
//! ```
//!
//! Reading is stateful ([`ChunkReader`]): headers refer to the headers before them. Writing is not:
//! every message leaves with a full (type 0) header and type 3 continuations, so the same bytes
//! serve every viewer, and two writers can share one connection at message boundaries.
//!
//! Invariants
//! - The reader consumes its whole input, split anywhere by the transport, and never holds more
//!   than a partial header ([`header::HEADER_BYTES_MAX`] bytes) beside the messages under way.
//! - A message's bytes are copied once, from the input into the buffer that becomes its payload
//!   (again only while a message above [`reader::RESERVE_BYTES_MAX`] grows).
//! - Set Chunk Size and Abort take effect on the very next chunk: the reader applies them itself.
//! - What [`write_media`] and [`ChunkWriter`] write never depends on what was written before.

pub mod header;
pub mod reader;
pub mod writer;

pub use reader::{ChunkReader, Message, ReaderLimits};
pub use writer::{ChunkWriter, framed_bytes, write_media};

/// The chunk size both directions start with (Adobe RTMP 1.0, 5.4.1).
pub const CHUNK_SIZE_INITIAL: u32 = 128;

/// The largest chunk size the wire can say: the top bit of the field is zero.
pub const CHUNK_SIZE_WIRE_MAX: u32 = 0x7FFF_FFFF;

/// The largest message the 24-bit length field can say, in bytes.
pub const MESSAGE_BYTES_WIRE_MAX: usize = 0xFF_FFFF;

/// The 24-bit timestamp value that announces an extended timestamp (Adobe RTMP 1.0, 5.3.1.3).
const TIMESTAMP_EXTENDED: u32 = 0xFF_FFFF;

/// Message type ids of the chunk stream itself (Adobe RTMP 1.0, 5.4).
mod type_id {
    pub(super) const SET_CHUNK_SIZE: u8 = 1;
    pub(super) const ABORT: u8 = 2;
    pub(super) const AUDIO: u8 = 8;
    pub(super) const VIDEO: u8 = 9;
    pub(super) const DATA_AMF0: u8 = 18;
}

#[cfg(test)]
mod tests;
