//! The chunk reader against any peer.
//!
//! Byte 0: the size of the pieces in which the rest arrives, 0 for one piece. Byte 1: selects
//! limits.

use bytes::BytesMut;
use corelay_protocols::rtmp::Error;
use corelay_protocols::rtmp::chunk::{ChunkReader, ChunkWriter, Message, ReaderLimits};

/// What is read must not depend on how the input is cut, must respect the limits, and must survive
/// being written and read again.
pub fn run(data: &[u8]) {
    let [piece_bytes, limits, input @ ..] = data else { return };
    let limits = limits_for(*limits);
    let whole = read(limits, input, input.len());
    assert_eq!(whole, read(limits, input, usize::from(*piece_bytes)));

    let (messages, _) = whole;
    for message in &messages {
        assert!(message.payload.len() <= limits.message_bytes_max as usize);
        let (again, error) = read(limits, &write(message), usize::MAX);
        assert_eq!((again.as_slice(), error), (std::slice::from_ref(message), None));
    }
}

fn limits_for(selector: u8) -> ReaderLimits {
    match selector & 3 {
        0 => limits(1 << 24, 1 << 20, 16),
        1 => limits(128, 300, 2),
        2 => limits(65_536, 4096, 64),
        _ => limits(0x7FFF_FFFF, 0xFF_FFFF, 4),
    }
}

fn limits(chunk_size_max: u32, message_bytes_max: u32, chunk_streams_max: usize) -> ReaderLimits {
    ReaderLimits { chunk_size_max, message_bytes_max, chunk_streams_max }
}

/// All messages, and the error that ended them.
fn read(limits: ReaderLimits, input: &[u8], piece_bytes: usize) -> (Vec<Message>, Option<Error>) {
    let mut reader = ChunkReader::new(limits);
    let mut messages = Vec::new();
    for mut piece in input.chunks(piece_bytes.max(1)) {
        loop {
            match reader.push(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty(), "the whole piece is consumed");
    }
    assert_eq!(reader.bytes_read(), input.len() as u64);
    (messages, None)
}

fn write(message: &Message) -> BytesMut {
    let Message { chunk_stream_id, timestamp_ms, type_id, message_stream_id, payload } = message;
    let mut out = BytesMut::new();
    let mut writer = ChunkWriter::new();
    writer.write(*chunk_stream_id, *timestamp_ms, *type_id, *message_stream_id, payload, &mut out);
    out
}
