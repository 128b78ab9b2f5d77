//! The same chunks read and written by an independent implementation (crate rml_rtmp).

use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use super::*;

/// Message types and sizes that make the oracle use every header format.
fn conversation() -> Vec<Message> {
    let mut messages = Vec::new();
    for at in 0..40_u32 {
        let type_id = if at % 3 == 0 { 8 } else { 9 };
        let bytes = if at % 4 < 2 { 160 } else { 20 + 37 * at as usize };
        let mut message = message(0, 20 * at, type_id, &body(bytes));
        message.message_stream_id = MessageStreamId(1);
        messages.push(message);
    }
    messages
}

fn to_oracle(message: &Message) -> MessagePayload {
    MessagePayload {
        timestamp: RtmpTimestamp::new(message.timestamp_ms),
        type_id: message.type_id,
        message_stream_id: message.message_stream_id.0,
        data: message.payload.clone(),
    }
}

/// Chunk stream ids are the sender's choice, and the oracle does not tell them.
fn from_oracle(payload: MessagePayload) -> Message {
    let mut message = message(0, payload.timestamp.value, payload.type_id, &payload.data);
    message.message_stream_id = MessageStreamId(payload.message_stream_id);
    message
}

#[test]
fn what_the_oracle_writes_is_read_as_it_was() {
    let mut serializer = ChunkSerializer::new();
    let mut wire = Vec::new();
    let messages = conversation();
    for (at, message) in messages.iter().enumerate() {
        if at == 20 {
            let time = RtmpTimestamp::new(400);
            wire.extend(serializer.set_max_chunk_size(1000, time).unwrap().bytes);
        }
        wire.extend(serializer.serialize(&to_oracle(message), false, false).unwrap().bytes);
    }
    let seen = read(&wire).unwrap();
    let seen: Vec<_> = seen
        .into_iter()
        .filter(|message| message.type_id != 1)
        .map(|message| Message { chunk_stream_id: 0, ..message })
        .collect();
    assert_eq!(seen, messages);
}

#[test]
fn what_is_written_here_is_read_by_the_oracle() {
    let mut deserializer = ChunkDeserializer::new();
    deserializer.set_max_chunk_size(500).unwrap();
    let mut wire = Vec::new();
    let messages = conversation();
    for Message { timestamp_ms, type_id, message_stream_id, payload, .. } in &messages {
        let kind = if *type_id == 8 { MediaKind::Audio } else { MediaKind::Video };
        let (header, rest) = payload.split_at(5);
        write_media(kind, *timestamp_ms, *message_stream_id, header, rest, 500, &mut wire);
    }
    let mut seen = Vec::new();
    let mut input = &wire[..];
    while let Some(payload) = deserializer.get_next_message(input).unwrap() {
        seen.push(from_oracle(payload));
        input = &[];
    }
    assert_eq!(seen, messages);
}
