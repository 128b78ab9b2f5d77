//! Chunk headers: what they look like on the wire (Adobe RTMP 1.0, 5.3.1).
//!
//! ```text
//!  basic header                      message header
//!  0 1 2 3 4 5 6 7                   type 0   timestamp(3) length(3) type(1) message stream(4, LE)
//! +---+-----------+                  type 1   delta(3)     length(3) type(1)
//! |fmt|   csid    |  csid 2..=63     type 2   delta(3)
//! |fmt|     0     |  +1 byte:  64 + b0                  64..=319
//! |fmt|     1     |  +2 bytes: 64 + b0 + 256 * b1       64..=65599
//! +---+-----------+                  type 3   nothing
//! ```

use super::TIMESTAMP_EXTENDED;

/// The longest header: 3-byte basic header, 11-byte message header, extended timestamp.
pub const HEADER_BYTES_MAX: usize = 3 + 11 + 4;

/// A chunk header as it stands on the wire, before it is applied to its chunk stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Which chunk stream, 2..=65599.
    pub(super) chunk_stream_id: u32,
    /// What the message header said.
    pub(super) fields: Fields,
    /// Bytes of the header.
    pub(super) bytes: usize,
}

/// The message header by format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    /// Type 0: everything, and an absolute timestamp.
    Full { time: Time, shape: Shape, message_stream_id: u32 },
    /// Type 1: a new length and type, and a delta.
    Shape { time: Time, shape: Shape },
    /// Type 2: a delta.
    Delta { time: Time },
    /// Type 3: as before.
    Same,
}

/// Length and type of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Message length in bytes, 24 bits.
    pub(super) message_bytes: u32,
    pub(super) type_id: u8,
}

/// A timestamp or a delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Time {
    /// Milliseconds, 32 bits.
    pub(super) ms: u32,
    /// It stood in the extended field; type 3 chunks then repeat the field.
    pub(super) extended: bool,
}

/// Parses the header at the start of `bytes`; `None`: more bytes are needed.
///
/// `repeated` gives, for a chunk stream whose last header had an extended timestamp, the two values
/// that a type 3 chunk may repeat (see [`repeated_timestamp`]).
pub(super) fn parse(
    bytes: &[u8],
    repeated: impl FnOnce(u32) -> Option<[u32; 2]>,
) -> Option<Header> {
    let (format, chunk_stream_id, basic_bytes) = parse_basic(bytes)?;
    let rest = bytes.get(basic_bytes..)?;
    let (fields, message_bytes) = match format {
        0 => {
            let (time, shape) = (read_u24(rest, 0)?, read_shape(rest)?);
            let id = rest.get(7..11)?;
            let message_stream_id = u32::from_le_bytes(id.try_into().ok()?);
            let (time, extended_bytes) = read_time(time, rest.get(11..)?)?;
            (Fields::Full { time, shape, message_stream_id }, 11 + extended_bytes)
        }
        1 => {
            let (time, shape) = (read_u24(rest, 0)?, read_shape(rest)?);
            let (time, extended_bytes) = read_time(time, rest.get(7..)?)?;
            (Fields::Shape { time, shape }, 7 + extended_bytes)
        }
        2 => {
            let (time, extended_bytes) = read_time(read_u24(rest, 0)?, rest.get(3..)?)?;
            (Fields::Delta { time }, 3 + extended_bytes)
        }
        _ => match repeated(chunk_stream_id) {
            None => (Fields::Same, 0),
            Some(values) => (Fields::Same, repeated_timestamp(rest, values)?),
        },
    };
    Some(Header { chunk_stream_id, fields, bytes: basic_bytes + message_bytes })
}

/// Parses the basic header: format, chunk stream id, bytes.
fn parse_basic(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *bytes.first()?;
    let format = first >> 6;
    match first & 0x3F {
        0 => Some((format, 64 + u32::from(*bytes.get(1)?), 2)),
        1 => {
            let (low, high) = (*bytes.get(1)?, *bytes.get(2)?);
            Some((format, 64 + u32::from(low) + 256 * u32::from(high), 3))
        }
        id => Some((format, u32::from(id), 1)),
    }
}

/// Bytes of the extended timestamp at the start of a type 3 chunk's data: 4 or 0; `None`: cannot be
/// told yet.
///
/// The specification has type 3 chunks repeat the field (5.3.1.3) and Flash Media Server, ffmpeg
/// and librtmp do; some old encoders and servers do not. The field is known beforehand, so it is
/// recognised by its value: the last header's field, or (seen from peers that send deltas but
/// repeat times) the message's absolute timestamp. The first byte that differs decides. So the
/// messages of a peer that does not repeat it are not held back, except one that ends in a chunk of
/// under 4 bytes that look like the field: it comes with the chunk behind it.
fn repeated_timestamp(rest: &[u8], values: [u32; 2]) -> Option<usize> {
    let seen = rest.get(..4).unwrap_or(rest);
    if !values.iter().any(|value| value.to_be_bytes().starts_with(seen)) {
        return Some(0);
    }
    (seen.len() == 4).then_some(4)
}

/// The timestamp behind its 24-bit form, and the bytes of its extended form.
fn read_time(short: u32, rest: &[u8]) -> Option<(Time, usize)> {
    if short != TIMESTAMP_EXTENDED {
        return Some((Time { ms: short, extended: false }, 0));
    }
    let field = rest.get(..4)?;
    Some((Time { ms: u32::from_be_bytes(field.try_into().ok()?), extended: true }, 4))
}

fn read_shape(rest: &[u8]) -> Option<Shape> {
    Some(Shape { message_bytes: read_u24(rest, 3)?, type_id: *rest.get(6)? })
}

fn read_u24(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 3)?;
    field.iter().try_fold(0, |value, byte| Some(value << 8 | u32::from(*byte)))
}

/// A header being written: at most [`HEADER_BYTES_MAX`] bytes on the stack.
pub(super) struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl HeaderBytes {
    /// A type 0 header of a message of `shape`. `chunk_stream_id` outside 2..=65599 is a bug of the
    /// caller; it is brought into the range.
    pub(super) fn full(
        chunk_stream_id: u32,
        timestamp_ms: u32,
        shape: Shape,
        message_stream_id: u32,
    ) -> Self {
        let mut header = Self::basic(0, chunk_stream_id);
        let short = timestamp_ms.min(TIMESTAMP_EXTENDED);
        header.put(&short.to_be_bytes()[1..]);
        header.put(&shape.message_bytes.to_be_bytes()[1..]);
        header.put(&[shape.type_id]);
        header.put(&message_stream_id.to_le_bytes());
        header.put_extended(timestamp_ms);
        header
    }

    /// A type 3 header that continues a message written with [`HeaderBytes::full`].
    pub(super) fn continuation(chunk_stream_id: u32, timestamp_ms: u32) -> Self {
        let mut header = Self::basic(3, chunk_stream_id);
        header.put_extended(timestamp_ms);
        header
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn basic(format: u8, chunk_stream_id: u32) -> Self {
        debug_assert!((2..=65_599).contains(&chunk_stream_id));
        let mut header = Self { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        let format = format << 6;
        match chunk_stream_id.clamp(2, 65_599) {
            id @ ..=63 => header.put(&[format | id as u8]),
            id @ ..=319 => header.put(&[format, (id - 64) as u8]),
            id => {
                let [low, high, ..] = (id - 64).to_le_bytes();
                header.put(&[format | 1, low, high]);
            }
        }
        header
    }

    fn put_extended(&mut self, timestamp_ms: u32) {
        if timestamp_ms >= TIMESTAMP_EXTENDED {
            self.put(&timestamp_ms.to_be_bytes());
        }
    }

    fn put(&mut self, field: &[u8]) {
        let end = self.len + field.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(field);
            self.len = end;
        }
    }
}
