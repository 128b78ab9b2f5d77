//! Message types, the bodies of control messages, and aggregates (Adobe RTMP 1.0, 5.4, 6.2 and 7.1).

use bytes::Bytes;

use super::error::Error;
use super::event::MessageStreamId;

/// Message type ids.
pub mod type_id {
    /// Set Chunk Size (5.4.1).
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message (5.4.2).
    pub const ABORT: u8 = 2;
    /// Acknowledgement (5.4.3).
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control (6.2).
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size (5.4.4).
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth (5.4.5).
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio (7.1.4).
    pub const AUDIO: u8 = 8;
    /// Video (7.1.5).
    pub const VIDEO: u8 = 9;
    /// Data in AMF3 (7.1.2).
    pub const DATA_AMF3: u8 = 15;
    /// Shared object in AMF3 (7.1.3).
    pub const SHARED_OBJECT_AMF3: u8 = 16;
    /// Command in AMF3 (7.1.1).
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0 (7.1.2).
    pub const DATA_AMF0: u8 = 18;
    /// Shared object in AMF0 (7.1.3).
    pub const SHARED_OBJECT_AMF0: u8 = 19;
    /// Command in AMF0 (7.1.1).
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate (7.1.6).
    pub const AGGREGATE: u8 = 22;
}

/// Chunk streams that the sessions write on. [`write_media`](super::chunk::write_media) has 4 to 6 for
/// itself, so that the two writers of one connection never share one.
pub mod chunk_stream {
    /// Protocol and user control messages (5.4 demands 2).
    pub const CONTROL: u32 = 2;
    /// Commands of the connection.
    pub const COMMAND: u32 = 3;
    /// Commands and statuses of a message stream.
    pub const STATUS: u32 = 8;
}

/// How firm the limit of Set Peer Bandwidth is (5.4.5): the other side may adapt it.
pub const PEER_BANDWIDTH_DYNAMIC: u8 = 2;

/// A user control message (6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserControl {
    /// Media of this message stream follow.
    StreamBegin(MessageStreamId),
    /// Media of this message stream have ended.
    StreamEof(MessageStreamId),
    /// There are no media on this message stream for now.
    StreamDry(MessageStreamId),
    /// The client's buffer for this message stream.
    SetBufferLength {
        /// The message stream.
        stream: MessageStreamId,
        /// Length in milliseconds of media.
        length_ms: u32,
    },
    /// What this message stream plays is recorded.
    StreamIsRecorded(MessageStreamId),
    /// Asks for a [`Self::PingResponse`] with the same number, a time of the sender's in milliseconds.
    PingRequest(u32),
    /// Answers a [`Self::PingRequest`].
    PingResponse(u32),
    /// An event this specification does not name (Flash servers send 26, 31, 32 and others).
    Other(u16),
}

impl UserControl {
    /// Reads the body of a user control message; trailing bytes are ignored.
    ///
    /// # Errors
    /// The body is shorter than its event demands; `at` is for the error.
    pub fn parse(payload: &[u8], at: u64) -> Result<Self, Error> {
        let malformed = || Error::Malformed { at, what: "user control message" };
        let (kind, rest) = payload.split_first_chunk::<2>().ok_or_else(malformed)?;
        let number = |skip: usize| {
            let field = rest.get(skip..).and_then(|field| field.first_chunk::<4>());
            field.map(|field| u32::from_be_bytes(*field)).ok_or_else(malformed)
        };
        Ok(match u16::from_be_bytes(*kind) {
            0 => Self::StreamBegin(MessageStreamId(number(0)?)),
            1 => Self::StreamEof(MessageStreamId(number(0)?)),
            2 => Self::StreamDry(MessageStreamId(number(0)?)),
            3 => {
                Self::SetBufferLength { stream: MessageStreamId(number(0)?), length_ms: number(4)? }
            }
            4 => Self::StreamIsRecorded(MessageStreamId(number(0)?)),
            6 => Self::PingRequest(number(0)?),
            7 => Self::PingResponse(number(0)?),
            other => Self::Other(other),
        })
    }

    /// The body of this message.
    #[must_use]
    pub fn body(self) -> Vec<u8> {
        let (kind, number): (u16, u32) = match self {
            Self::StreamBegin(stream) => (0, stream.0),
            Self::StreamEof(stream) => (1, stream.0),
            Self::StreamDry(stream) => (2, stream.0),
            Self::SetBufferLength { stream, .. } => (3, stream.0),
            Self::StreamIsRecorded(stream) => (4, stream.0),
            Self::PingRequest(time) => (6, time),
            Self::PingResponse(time) => (7, time),
            Self::Other(kind) => (kind, 0),
        };
        let mut body = kind.to_be_bytes().to_vec();
        body.extend(number.to_be_bytes());
        if let Self::SetBufferLength { length_ms, .. } = self {
            body.extend(length_ms.to_be_bytes());
        }
        body
    }
}

/// Reads the 32-bit number that control messages 1, 2, 3, 5 and 6 begin with.
///
/// # Errors
/// The body is too short; `at` is for the error.
pub fn parse_u32(payload: &[u8], at: u64) -> Result<u32, Error> {
    let malformed = Error::Malformed { at, what: "protocol control message" };
    payload.first_chunk::<4>().map(|field| u32::from_be_bytes(*field)).ok_or(malformed)
}

/// Takes an aggregate message (7.1.6) apart.
///
/// ```text
///  part := type(1) length(3) timestamp(3) timestamp bits 31-24(1) stream id(3) body back pointer(4)
/// ```
/// The parts are FLV tags. Their timestamps keep their distances and begin at the aggregate's.
#[derive(Clone, Debug)]
pub struct Aggregate {
    rest: Bytes,
    timestamp_ms: u32,
    first_ms: Option<u32>,
}

/// One message out of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatePart {
    /// Message type.
    pub type_id: u8,
    /// Timestamp in milliseconds on the time line of the connection; wraps at 32 bits.
    pub timestamp_ms: u32,
    /// The body, a slice of the aggregate.
    pub payload: Bytes,
}

impl Aggregate {
    /// Starts on the body of an aggregate with this timestamp, in milliseconds.
    #[must_use]
    pub fn new(payload: Bytes, timestamp_ms: u32) -> Self {
        Self { rest: payload, timestamp_ms, first_ms: None }
    }

    /// Takes the next part; `None` at the end.
    ///
    /// # Errors
    /// A part is cut; `at` is for the error. A missing last back pointer is accepted.
    pub fn next_part(&mut self, at: u64) -> Result<Option<AggregatePart>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let malformed = || Error::Malformed { at, what: "aggregate message" };
        let header = self.rest.first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
        let [type_id, l2, l1, l0, t2, t1, t0, t3, _, _, _] = *header;
        let end = HEADER_BYTES + u32::from_be_bytes([0, l2, l1, l0]) as usize;
        if self.rest.len() < end {
            return Err(malformed());
        }
        let own_ms = u32::from_be_bytes([t3, t2, t1, t0]);
        let first_ms = *self.first_ms.get_or_insert(own_ms);
        let timestamp_ms = self.timestamp_ms.wrapping_add(own_ms.wrapping_sub(first_ms));
        let payload = self.rest.slice(HEADER_BYTES..end);
        let behind = self.rest.len().min(end + BACK_POINTER_BYTES);
        self.rest = self.rest.slice(behind..);
        Ok(Some(AggregatePart { type_id, timestamp_ms, payload }))
    }
}

const HEADER_BYTES: usize = 11;
const BACK_POINTER_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_control_bodies_read_back_as_they_were() {
        let id = MessageStreamId(0x0102_0304);
        for event in [
            UserControl::StreamBegin(id),
            UserControl::StreamEof(id),
            UserControl::StreamDry(id),
            UserControl::SetBufferLength { stream: id, length_ms: 3000 },
            UserControl::StreamIsRecorded(id),
            UserControl::PingRequest(7),
            UserControl::PingResponse(8),
            UserControl::Other(31),
        ] {
            let body = event.body();
            assert_eq!(UserControl::parse(&body, 0), Ok(event));
            let needed = if matches!(event, UserControl::Other(_)) { 2 } else { body.len() };
            for length in 0..needed {
                let cut = body.get(..length).unwrap_or_default();
                assert!(UserControl::parse(cut, 9).is_err(), "{event:?} cut at {length}");
            }
        }
    }

    /// Two tags laid out by hand: audio at 1000 with 2 bytes, video at 1040 with 1 byte.
    const TWO_TAGS: [u8; 33] = [
        8, 0, 0, 2, 0, 3, 0xe8, 0, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13, //
        9, 0, 0, 1, 0, 4, 0x10, 0, 0, 0, 0, 0x17, 0, 0, 0, 12,
    ];

    #[test]
    fn aggregate_parts_keep_their_distances_and_begin_at_the_aggregate() {
        let mut aggregate = Aggregate::new(Bytes::from_static(&TWO_TAGS), u32::MAX - 9);
        let audio = aggregate.next_part(0).unwrap().unwrap();
        assert_eq!((audio.type_id, audio.timestamp_ms), (type_id::AUDIO, u32::MAX - 9));
        assert_eq!(audio.payload, [0xaf, 1][..]);
        let video = aggregate.next_part(0).unwrap().unwrap();
        assert_eq!((video.type_id, video.timestamp_ms), (type_id::VIDEO, 30), "time wraps");
        assert_eq!(video.payload, [0x17][..]);
        assert_eq!(aggregate.next_part(0), Ok(None));
    }

    #[test]
    fn aggregate_cut_anywhere_is_refused_except_in_its_last_back_pointer() {
        for length in 0..TWO_TAGS.len() {
            let cut = TWO_TAGS.get(..length).unwrap_or_default();
            let mut aggregate = Aggregate::new(Bytes::copy_from_slice(cut), 0);
            let mut result = Ok(None);
            for _ in 0..3 {
                result = aggregate.next_part(0);
                if !matches!(result, Ok(Some(_))) {
                    break;
                }
            }
            let whole = length == 0 || (13..=17).contains(&length) || length >= 29;
            assert_eq!(result.is_ok(), whole, "cut at {length}");
        }
    }
}
