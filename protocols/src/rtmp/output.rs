//! What a session writes: control messages, commands and statuses, each a whole message.

use bytes::{Bytes, BytesMut};
use corelay_codecs::amf::{Object, Value, amf0};

use super::chunk::ChunkWriter;
use super::command::Command;
use super::event::MessageStreamId;
use super::message::{UserControl, chunk_stream, type_id};

/// The output of a session: what was written and not yet polled.
#[derive(Debug, Default)]
pub(super) struct Output {
    writer: ChunkWriter,
    /// The handshake writes here directly.
    pub(super) buffer: BytesMut,
}

impl Output {
    /// Returns what was written since the last call.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        if self.buffer.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.buffer).freeze())
    }

    /// Writes a control message (5.4).
    pub(super) fn control(&mut self, type_id: u8, body: &[u8]) {
        self.put(chunk_stream::CONTROL, type_id, CONNECTION, body);
    }

    /// Announces the size of all further chunks, media included, and applies it.
    pub(super) fn set_chunk_size(&mut self, chunk_size: u32) {
        self.control(type_id::SET_CHUNK_SIZE, &chunk_size.to_be_bytes());
        self.writer.set_chunk_size(chunk_size);
    }

    /// Writes a user control message (6.2).
    pub(super) fn user(&mut self, event: UserControl) {
        self.control(type_id::USER_CONTROL, &event.body());
    }

    /// Writes a command.
    pub(super) fn command(&mut self, stream: MessageStreamId, command: &Command) {
        let chunk_stream_id = match stream {
            CONNECTION => chunk_stream::COMMAND,
            _ => chunk_stream::STATUS,
        };
        self.put(chunk_stream_id, type_id::COMMAND_AMF0, stream, &command.body());
    }

    /// Writes `_result` for a transaction, unless the peer asked for no answer (transaction 0).
    pub(super) fn result(&mut self, transaction_id: f64, object: Value, value: Value) {
        self.answer("_result", transaction_id, object, value);
    }

    /// Writes `_error` for a transaction, unless the peer asked for no answer (transaction 0).
    pub(super) fn error(&mut self, transaction_id: f64, information: Object) {
        self.answer("_error", transaction_id, Value::Null, information.into());
    }

    fn answer(&mut self, name: &str, transaction_id: f64, object: Value, value: Value) {
        if transaction_id != 0.0 {
            let command = Command::new(name, transaction_id, object, vec![value]);
            self.command(CONNECTION, &command);
        }
    }

    /// Writes `onStatus` with an information object.
    pub(super) fn status(&mut self, stream: MessageStreamId, information: Object) {
        self.event(stream, "onStatus", information);
    }

    /// Writes a command that asks for no answer and carries an information object.
    pub(super) fn event(&mut self, stream: MessageStreamId, name: &str, information: Object) {
        let command = Command::new(name, 0.0, Value::Null, vec![information.into()]);
        self.command(stream, &command);
    }

    /// Writes a data message.
    pub(super) fn data(&mut self, stream: MessageStreamId, values: &[Value]) {
        let mut body = Vec::with_capacity(64);
        values.iter().for_each(|value| amf0::encode(value, &mut body));
        self.put(chunk_stream::STATUS, type_id::DATA_AMF0, stream, &body);
    }

    fn put(&mut self, chunk_stream_id: u32, type_id: u8, stream: MessageStreamId, body: &[u8]) {
        self.writer.write(chunk_stream_id, 0, type_id, stream, body, &mut self.buffer);
    }
}

/// The message stream of the connection itself.
pub(super) const CONNECTION: MessageStreamId = MessageStreamId(0);
