//! An encoder that uses every header format, as peers do and [`super::ChunkWriter`] does not.

use std::collections::HashMap;

use crate::rtmp::chunk::Message;

/// How an encoder may write its headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) chunk_size: usize,
    /// Type 3 chunks repeat an extended timestamp.
    pub(super) repeats_extended: bool,
}

/// The last message of a chunk stream.
struct Last {
    timestamp_ms: u32,
    time_field: u32,
    message_bytes: usize,
    type_id: u8,
    message_stream_id: u32,
}

pub(super) struct Encoder {
    habits: Habits,
    last: HashMap<u32, Last>,
}

impl Encoder {
    pub(super) fn new(habits: Habits) -> Self {
        Self { habits, last: HashMap::new() }
    }

    /// The chunks of a message; its header is of the highest format that is legal and not above
    /// `format_max`.
    pub(super) fn chunks(&mut self, message: &Message, format_max: u8) -> Vec<Vec<u8>> {
        let format = self.legal_format(message).min(format_max);
        let delta = match self.last.get(&message.chunk_stream_id) {
            Some(last) if format > 0 => message.timestamp_ms.wrapping_sub(last.timestamp_ms),
            _ => message.timestamp_ms,
        };
        self.last.insert(message.chunk_stream_id, remember(message, delta));

        let extended = if delta >= 0xFF_FFFF { delta.to_be_bytes().to_vec() } else { vec![] };
        let repeated = if self.habits.repeats_extended { extended.clone() } else { vec![] };
        let mut parts = message.payload.chunks(self.habits.chunk_size);
        let first = parts.next().unwrap_or_default();
        let tail = if format < 3 { &extended } else { &repeated };
        let mut chunks = vec![[&header(message, format, delta), tail, first].concat()];
        chunks.extend(parts.map(|part| [&basic(message, 3), &repeated, part].concat()));
        chunks
    }

    fn legal_format(&self, message: &Message) -> u8 {
        let Some(last) = self.last.get(&message.chunk_stream_id) else { return 0 };
        let delta = message.timestamp_ms.wrapping_sub(last.timestamp_ms);
        let same_stream = last.message_stream_id == message.message_stream_id.0;
        let same_shape =
            last.message_bytes == message.payload.len() && last.type_id == message.type_id;
        match (same_stream, same_shape, last.time_field == delta) {
            (false, ..) => 0,
            (true, false, _) => 1,
            (true, true, false) => 2,
            (true, true, true) => 3,
        }
    }
}

fn remember(message: &Message, time_field: u32) -> Last {
    Last {
        timestamp_ms: message.timestamp_ms,
        time_field,
        message_bytes: message.payload.len(),
        type_id: message.type_id,
        message_stream_id: message.message_stream_id.0,
    }
}

fn header(message: &Message, format: u8, delta: u32) -> Vec<u8> {
    let mut header = basic(message, format);
    if format < 3 {
        header.extend(&delta.min(0xFF_FFFF).to_be_bytes()[1..]);
    }
    if format < 2 {
        header.extend(&(message.payload.len() as u32).to_be_bytes()[1..]);
        header.push(message.type_id);
    }
    if format < 1 {
        header.extend(message.message_stream_id.0.to_le_bytes());
    }
    header
}

fn basic(message: &Message, format: u8) -> Vec<u8> {
    let format = format << 6;
    match message.chunk_stream_id {
        id @ ..=63 => vec![format | id as u8],
        id @ ..=319 => vec![format, (id - 64) as u8],
        id => vec![format | 1, (id - 64) as u8, ((id - 64) >> 8) as u8],
    }
}
