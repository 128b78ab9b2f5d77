//! What players get, as publishers send it: metadata behind `@setDataFrame`, and everything on the
//! message stream that the server gave.
//!
//! Servers of the Flash family keep what comes behind that name for those who join later, and only pass
//! on what comes without it.

use corelay_protocols::rtmp::{MediaKind, MessageStreamId, chunk};

/// Rewrites whole messages as `chunk::write_media` writes them: a type 0 header, and type 3 headers
/// every `chunk_size` bytes (Adobe RTMP 1.0, 5.3.1).
pub(super) fn as_published(bytes: &[u8], stream: MessageStreamId, chunk_size: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + SET_DATA_FRAME.len());
    let mut rest = bytes;
    while let Some(message) = Message::at(rest, chunk_size as usize) {
        let (own, behind) = rest.split_at(message.framed_bytes.min(rest.len()));
        rest = behind;
        match message.metadata(own, chunk_size as usize) {
            Some(body) => {
                let (kind, time) = (MediaKind::Data, message.time);
                chunk::write_media(kind, time, stream, SET_DATA_FRAME, &body, chunk_size, &mut out);
            }
            None => {
                let from = out.len();
                out.extend_from_slice(own);
                if let Some(id) = out.get_mut(from + STREAM_ID_AT..from + HEADER_BYTES) {
                    id.copy_from_slice(&stream.0.to_le_bytes());
                }
            }
        }
    }
    out
}

/// One framed message.
struct Message {
    type_id: u8,
    time: u32,
    body_bytes: usize,
    /// 4 when the time has more than 24 bits, in front of the body and behind each type 3 header.
    extended_bytes: usize,
    framed_bytes: usize,
}

impl Message {
    fn at(bytes: &[u8], chunk_size: usize) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let short_time = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let body_bytes = u32::from_be_bytes([0, header[4], header[5], header[6]]) as usize;
        let (extended_bytes, time) = match short_time {
            EXTENDED => {
                let time = bytes.get(HEADER_BYTES..HEADER_BYTES + 4)?;
                (4, u32::from_be_bytes(time.try_into().ok()?))
            }
            time => (0, time),
        };
        let continuations = body_bytes.saturating_sub(1) / chunk_size;
        let framed_bytes =
            HEADER_BYTES + extended_bytes + body_bytes + continuations * (1 + extended_bytes);
        Some(Self { type_id: header[7], time, body_bytes, extended_bytes, framed_bytes })
    }

    /// The body, if the message is metadata.
    fn metadata(&self, framed: &[u8], chunk_size: usize) -> Option<Vec<u8>> {
        let mut rest = framed.get(HEADER_BYTES + self.extended_bytes..)?;
        if self.type_id != TYPE_DATA_AMF0 || !rest.starts_with(ON_META_DATA) {
            return None;
        }
        let mut body = Vec::with_capacity(self.body_bytes);
        while body.len() < self.body_bytes {
            let count = chunk_size.min(self.body_bytes - body.len());
            body.extend_from_slice(rest.get(..count)?);
            rest = rest.get(count + 1 + self.extended_bytes..).unwrap_or_default();
        }
        Some(body)
    }
}

/// One byte of basic header and eleven of message header.
const HEADER_BYTES: usize = 12;
const STREAM_ID_AT: usize = 8;
const EXTENDED: u32 = 0xff_ffff;
const TYPE_DATA_AMF0: u8 = 18;
/// AMF0 of the names. They stand in the first chunk: its size is 128 bytes or more.
const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: MessageStreamId = MessageStreamId(1);

    fn metadata(bytes: usize) -> Vec<u8> {
        let mut body = ON_META_DATA.to_vec();
        body.resize(bytes.max(body.len()), 5);
        body
    }

    /// Messages around metadata; `header` stands in front of the metadata.
    fn messages(stream: MessageStreamId, header: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (time, length) in [(0, 0), (5, 20), (70, 128), (0x00ff_ffff, 300), (0xffff_ffff, 1_000)]
        {
            let (body, data) = (vec![0x17; length], metadata(length));
            let mut write = |kind, header: &[u8], body: &[u8]| {
                chunk::write_media(kind, time, stream, header, body, 128, &mut out);
            };
            write(MediaKind::Data, header, &data);
            write(MediaKind::Video, &[9], &body);
            write(MediaKind::Data, b"\x02\x00\x06onText", &body);
            write(MediaKind::Audio, &[], &body);
        }
        out
    }

    #[test]
    fn metadata_gets_its_name_in_front_and_nothing_else_changes() {
        let published = as_published(&messages(KEPT, &[]), KEPT, 128);
        assert_eq!(published, messages(KEPT, SET_DATA_FRAME));
    }

    #[test]
    fn messages_go_to_the_stream_that_the_server_gave() {
        let stream = MessageStreamId(0x0102_0304);
        let published = as_published(&messages(KEPT, &[]), stream, 128);
        assert_eq!(published, messages(stream, SET_DATA_FRAME));
    }

    #[test]
    fn media_of_other_types_that_look_like_metadata_stay_as_they_are() {
        let mut bytes = Vec::new();
        chunk::write_media(MediaKind::Video, 0, KEPT, &[], ON_META_DATA, 128, &mut bytes);
        assert_eq!(as_published(&bytes, KEPT, 128), bytes);
        assert!(as_published(&[], KEPT, 128).is_empty());
    }
}
