//! An FLV byte stream into tags.

use bytes::{Buf, Bytes, BytesMut};

use super::Error;
use crate::container::flv::TagType;
use crate::container::flv::header::{FILE_HEADER_SIZE, PREVIOUS_TAG_SIZE_SIZE, TAG_HEADER_SIZE};

/// One tag of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub tag_type: TagType,
    /// Its time in ms; wraps after 2^32 ms.
    pub timestamp_ms: u32,
    /// For [`parse_tag`](super::parse_tag).
    pub body: Bytes,
}

/// Cuts an FLV byte stream into tags: [`push`](Self::push) what arrived, then call
/// [`next_tag`](Self::next_tag) until it returns `None`.
///
/// Tags of unknown type and encrypted tags are skipped and counted; PreviousTagSize is not checked,
/// because many writers get it wrong. After an error the demuxer must be dropped: the next tag's
/// position is unknown.
///
/// Invariants
/// - It holds at most one incomplete tag (`tag_bytes_max` plus its header) beyond what was pushed
///   since the last `None`; what is skipped is never held.
#[derive(Debug)]
pub struct Demuxer {
    buffer: BytesMut,
    state: State,
    /// Bytes to drop before the state is looked at.
    skip_bytes: u64,
    /// Bytes of the stream in front of `buffer`, for error positions.
    consumed_bytes: u64,
    tags_skipped: u64,
    tag_bytes_max: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    FileHeader,
    TagHeader,
    Body { tag_type: TagType, timestamp_ms: u32, size: usize },
}

impl Demuxer {
    /// `tag_bytes_max`: longest accepted tag body, in bytes (inclusive).
    pub fn new(tag_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            state: State::FileHeader,
            skip_bytes: 0,
            consumed_bytes: 0,
            tags_skipped: 0,
            tag_bytes_max,
        }
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = self.skip_in_buffer_and(bytes.len());
        self.buffer.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
    }

    /// The next complete tag; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the stream does not start with an FLV header,
    /// [`Error::LimitExceeded`] when a tag is longer than `tag_bytes_max`.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, Error> {
        loop {
            self.skip_in_buffer_and(0);
            if self.skip_bytes > 0 {
                return Ok(None);
            }
            match self.state {
                State::FileHeader => {
                    if !self.read_file_header()? {
                        return Ok(None);
                    }
                }
                State::TagHeader => {
                    if !self.read_tag_header()? {
                        return Ok(None);
                    }
                }
                State::Body { tag_type, timestamp_ms, size } => {
                    if self.buffer.len() < size {
                        self.buffer.reserve(size - self.buffer.len());
                        return Ok(None);
                    }
                    let body = self.buffer.split_to(size).freeze();
                    self.consumed_bytes += size as u64;
                    self.skip_bytes = PREVIOUS_TAG_SIZE_SIZE as u64;
                    self.state = State::TagHeader;
                    return Ok(Some(Tag { tag_type, timestamp_ms, body }));
                }
            }
        }
    }

    /// Bytes held: an incomplete tag, and whole tags not yet asked for.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Tags of unknown type and encrypted tags left out so far.
    pub fn tags_skipped(&self) -> u64 {
        self.tags_skipped
    }

    /// False until the header is complete: enough bytes to see that they are no FLV is an error.
    fn read_file_header(&mut self) -> Result<bool, Error> {
        let seen = self.buffer.len().min(SIGNATURE.len());
        if self.buffer.get(..seen) != SIGNATURE.get(..seen) {
            return Err(self.malformed("FLV signature"));
        }
        let Some(header) = self.buffer.first_chunk::<FILE_HEADER_SIZE>() else {
            return Ok(false);
        };
        let [.., o0, o1, o2, o3] = *header;
        let data_offset = u64::from(u32::from_be_bytes([o0, o1, o2, o3]));
        if data_offset < FILE_HEADER_SIZE as u64 {
            return Err(self.malformed("DataOffset"));
        }
        self.skip_bytes = data_offset + PREVIOUS_TAG_SIZE_SIZE as u64;
        self.state = State::TagHeader;
        Ok(true)
    }

    /// False until the header is complete.
    fn read_tag_header(&mut self) -> Result<bool, Error> {
        let Some(header) = self.buffer.first_chunk::<TAG_HEADER_SIZE>() else {
            return Ok(false);
        };
        let [type_byte, s0, s1, s2, t0, t1, t2, extended, ..] = *header;
        let size = u32::from_be_bytes([0, s0, s1, s2]) as usize;
        let Some(tag_type) = TagType::from_id(type_byte & TAG_TYPE_AND_FILTER) else {
            self.tags_skipped += 1;
            self.skip_bytes = (TAG_HEADER_SIZE + size + PREVIOUS_TAG_SIZE_SIZE) as u64;
            return Ok(true);
        };
        if size > self.tag_bytes_max {
            return Err(Error::LimitExceeded {
                setting: "tag_bytes_max",
                bytes: size as u64,
                limit: self.tag_bytes_max as u64,
            });
        }
        let timestamp_ms = u32::from_be_bytes([extended, t0, t1, t2]);
        self.skip_bytes = TAG_HEADER_SIZE as u64;
        self.state = State::Body { tag_type, timestamp_ms, size };
        Ok(true)
    }

    /// Drops what is to be skipped from the buffer and then from `incoming` further bytes; returns
    /// how many of those are to be left out.
    fn skip_in_buffer_and(&mut self, incoming: usize) -> usize {
        let in_buffer = self.skip_bytes.min(self.buffer.len() as u64) as usize;
        self.buffer.advance(in_buffer);
        self.skip_bytes -= in_buffer as u64;
        let in_incoming = self.skip_bytes.min(incoming as u64) as usize;
        self.skip_bytes -= in_incoming as u64;
        self.consumed_bytes += (in_buffer + in_incoming) as u64;
        in_incoming
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { at: self.consumed_bytes, what }
    }
}

const SIGNATURE: &[u8] = b"FLV";

/// The type byte is 2 reserved bits, the Filter bit (encrypted) and 5 bits of type: a set Filter
/// bit makes the number unknown, so encrypted tags are skipped (Annex E.4.1, Annex F).
const TAG_TYPE_AND_FILTER: u8 = 0x3F;

#[cfg(test)]
mod tests;
