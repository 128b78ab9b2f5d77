//! What viewers got, as tags again.

use corelay_codecs::container::flv::demux::{Demuxer, Tag};
use corelay_codecs::container::flv::{TagType, header::file_header};
use corelay_protocols::http::websocket::frame_header;
use corelay_protocols::rtmp::MessageStreamId;
use corelay_protocols::rtmp::chunk::{ChunkReader, ReaderLimits, framed_bytes};

use crate::hub::Form;

/// The whole messages in `bytes`. Panics if one is broken.
pub fn tags(form: Form, bytes: &[u8], chunk_size: u32) -> Vec<Tag> {
    match form {
        Form::Rtmp => rtmp_tags(bytes, chunk_size),
        Form::HttpFlv => flv_tags(bytes),
        Form::WebSocketFlv => websocket_tags(bytes),
        Form::HttpTs | Form::WebSocketTs => panic!("a transport stream has no tags"),
    }
}

/// Bytes behind the last whole message in `bytes`.
pub fn cut_off(form: Form, bytes: &[u8], chunk_size: u32) -> usize {
    let size = |tag: &Tag| {
        let flv = 11 + tag.body.len() + 4;
        match form {
            Form::Rtmp => framed_bytes(tag.body.len(), tag.timestamp_ms, chunk_size),
            Form::HttpFlv => flv,
            Form::WebSocketFlv => frame_header(flv).len() + flv,
            Form::HttpTs | Form::WebSocketTs => panic!("a transport stream has no tags"),
        }
    };
    let head = if form == Form::HttpFlv { 13.min(bytes.len()) } else { 0 };
    bytes.len() - head - tags(form, bytes, chunk_size).iter().map(size).sum::<usize>()
}

fn rtmp_tags(mut bytes: &[u8], chunk_size: u32) -> Vec<Tag> {
    let limits =
        ReaderLimits { chunk_size_max: 1 << 24, message_bytes_max: 1 << 24, chunk_streams_max: 8 };
    let mut reader = ChunkReader::new(limits);
    reader.set_chunk_size(chunk_size).unwrap();
    let mut tags = Vec::new();
    while let Some(message) = reader.push(&mut bytes).expect("whole messages") {
        assert_eq!(message.message_stream_id, MessageStreamId(1));
        let tag_type = TagType::from_id(message.type_id).expect("media");
        let (timestamp_ms, body) = (message.timestamp_ms, message.payload);
        tags.push(Tag { tag_type, timestamp_ms, body });
    }
    tags
}

fn flv_tags(bytes: &[u8]) -> Vec<Tag> {
    let mut demuxer = Demuxer::new(1 << 24);
    demuxer.push(bytes);
    let mut tags = Vec::new();
    let mut sizes = 13;
    while let Some(tag) = demuxer.next_tag().expect("whole tags") {
        // The demuxer does not look at PreviousTagSize, and players that seek back do.
        sizes += 11 + tag.body.len();
        if let Some(size) = bytes.get(sizes..sizes + 4) {
            assert_eq!(size, (11 + tag.body.len() as u32).to_be_bytes(), "PreviousTagSize");
        }
        sizes += 4;
        tags.push(tag);
    }
    tags
}

/// RFC 6455 5.2: final, binary, unmasked frames, one tag each.
fn websocket_tags(mut bytes: &[u8]) -> Vec<Tag> {
    let mut flv = file_header(true, true).to_vec();
    while let [0x82, length, rest @ ..] = bytes {
        let (length, size) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, 8),
            length => (usize::from(*length), 0),
        };
        let Some(frame) = rest.get(size..size + length) else { break };
        flv.extend_from_slice(frame);
        bytes = &rest[size + length..];
    }
    flv_tags(&flv)
}
