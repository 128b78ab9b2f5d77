//! The server's side of a connection: handshake, commands, control; media in, status out.
//!
//! Media never leave through the session. After `accept_play` the driver writes the muxed bytes of
//! [`write_media`](super::chunk::write_media) to the same socket, with the message stream id of the play
//! and `chunk_size_out`.
//!
//! Invariants
//! - A question (`Connect`, `Publish`, `Play`) is the last event until it is answered: messages behind
//!   it are held unread, so the peer's commands take effect in their order.
//! - Every output is a run of whole messages with full headers, on chunk streams that media do not use;
//!   media may stand between any two outputs of the session.
//! - From `accept_connect` on, chunks go out in `chunk_size_out`; nothing before it is longer than the
//!   initial chunk size needs.
//! - A command that is unknown, or makes no sense where it comes, is answered with an error or ignored;
//!   it never ends the connection.

mod answers;
mod commands;
mod media;
mod settings;
mod streams;
mod timers;

pub use answers::{PlayEnd, PlayRefusal, PublishEnd, PublishRefusal};
pub use settings::ServerSettings;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::amf::Limits;

use self::streams::Streams;
use self::timers::Timers;
use super::chunk::{ChunkReader, Message, ReaderLimits};
use super::command::{Command, without_format_byte};
use super::error::Error;
use super::event::{MessageStreamId, ServerEvent};
use super::handshake::ServerHandshake;
use super::media::carries_media;
use super::message::{UserControl, type_id};
use super::output::Output;
use super::window::Window;
use crate::session::{Millis, Session};

/// A server session.
///
/// Calls as in [`Session`]; the answers `accept_*` and `reject_*` are given when their event is polled
/// or at any later time, and do nothing when their question is not the open one.
#[derive(Debug)]
pub struct ServerSession {
    settings: Arc<ServerSettings>,
    phase: Phase,
    connected: bool,
    instance: String,
    question: Option<Question>,
    streams: Streams,
    timers: Timers,
    window: Window,
    counters: Counters,
    output: Output,
    events: VecDeque<ServerEvent>,
    held: VecDeque<Message>,
    held_bytes: usize,
    /// Position of the last message in the chunk stream, in bytes, for errors.
    at: u64,
    /// An error in a held message, to be returned by the next call that can.
    failure: Option<Error>,
}

/// Things that were let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands nobody here knows.
    pub commands_unknown: u64,
    /// Messages without use: shared objects, unknown types, media that belong to no publication.
    pub messages_ignored: u64,
}

#[derive(Debug)]
enum Phase {
    Handshake(ServerHandshake),
    Chunks(Box<ChunkReader>),
    Ended,
}

/// What the driver was asked, with what the answer will need.
#[derive(Debug)]
enum Question {
    Connect { transaction_id: f64, object_encoding: u8, enhanced: bool },
    Publish { stream: MessageStreamId, name: String },
    Play { stream: MessageStreamId, name: String, reset: bool },
}

impl ServerSession {
    /// Makes a session for a connection accepted at `now`. `seed` feeds the random bytes of the
    /// handshake, which hide nothing.
    #[must_use]
    pub fn new(settings: Arc<ServerSettings>, seed: [u8; 8], now: Millis) -> Self {
        let window = Window::new(settings.window_ack_size);
        Self {
            settings,
            phase: Phase::Handshake(ServerHandshake::new(seed)),
            connected: false,
            instance: String::new(),
            question: None,
            streams: Streams::default(),
            timers: Timers::new(now),
            window,
            counters: Counters::default(),
            output: Output::default(),
            events: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            at: 0,
            failure: None,
        }
    }

    /// Returns what was let pass so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of bytes the peer says it has received; wraps at 32 bits.
    #[must_use]
    pub fn peer_acknowledged(&self) -> u32 {
        self.window.peer_acknowledged()
    }

    fn take_input(&mut self, mut input: &[u8]) -> Result<(), Error> {
        if let Phase::Handshake(handshake) = &mut self.phase {
            let progress = handshake.push(input, &mut self.output.buffer)?;
            input = input.get(progress.consumed..).unwrap_or_default();
            if !progress.done {
                return Ok(());
            }
            self.phase = Phase::Chunks(Box::new(ChunkReader::new(ReaderLimits {
                chunk_size_max: self.settings.chunk_size_in_max,
                message_bytes_max: self.settings.message_bytes_max,
                chunk_streams_max: self.settings.chunk_streams_max,
            })));
        }
        while let Phase::Chunks(reader) = &mut self.phase {
            let Some(message) = reader.push(&mut input)? else { break };
            self.at = reader.bytes_read();
            match self.question {
                Some(_) => self.hold(message)?,
                None => self.handle_message(message)?,
            }
        }
        if let Phase::Chunks(reader) = &self.phase {
            self.window.acknowledge(reader.bytes_read(), &mut self.output);
        }
        Ok(())
    }

    /// Keeps a message until the open question is answered. A driver that stops reading then never
    /// gets near the limit.
    fn hold(&mut self, message: Message) -> Result<(), Error> {
        self.held_bytes += message.payload.len() + size_of::<Message>();
        self.held.push_back(message);
        let limit = HELD_MESSAGES_MAX * u64::from(self.settings.message_bytes_max);
        let value = self.held_bytes as u64;
        if value > limit {
            return Err(Error::LimitExceeded { setting: "message_bytes_max", value, limit });
        }
        Ok(())
    }

    /// Goes on with the messages held behind a question that has been answered.
    fn resume(&mut self) {
        self.timers.resume();
        while self.question.is_none() {
            let Some(message) = self.held.pop_front() else { break };
            self.held_bytes -= message.payload.len() + size_of::<Message>();
            if let Err(error) = self.handle_message(message) {
                self.end();
                self.failure = Some(error);
            }
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.question = None;
        self.held.clear();
        self.held_bytes = 0;
    }

    fn handle_message(&mut self, message: Message) -> Result<(), Error> {
        if carries_media(&message) {
            return self.handle_media(message);
        }
        let stream = message.message_stream_id;
        match message.type_id {
            type_id::COMMAND_AMF0 => self.handle_command(stream, &message.payload)?,
            type_id::COMMAND_AMF3 => {
                self.handle_command(stream, &without_format_byte(message.payload))?;
            }
            type_id::USER_CONTROL => self.handle_user_control(&message.payload)?,
            type_id::ACKNOWLEDGEMENT | type_id::WINDOW_ACK_SIZE | type_id::SET_PEER_BANDWIDTH => {
                self.window.handle(message.type_id, &message.payload, self.at, &mut self.output)?;
            }
            // The chunk reader has applied these.
            type_id::SET_CHUNK_SIZE | type_id::ABORT => {}
            _ => self.counters.messages_ignored += 1,
        }
        Ok(())
    }

    fn handle_command(&mut self, stream: MessageStreamId, payload: &[u8]) -> Result<(), Error> {
        let limits = self.amf_limits();
        let command = Command::parse(payload, &limits, self.at)?;
        self.timers.active();
        self.obey(stream, command);
        Ok(())
    }

    fn handle_user_control(&mut self, payload: &[u8]) -> Result<(), Error> {
        if let UserControl::PingRequest(time) = UserControl::parse(payload, self.at)? {
            self.output.user(UserControl::PingResponse(time));
        }
        Ok(())
    }

    fn amf_limits(&self) -> Limits {
        Limits {
            depth_max: self.settings.amf_depth_max,
            values_max: self.settings.amf_values_max,
            bytes_max: self.settings.message_bytes_max as usize,
        }
    }
}

impl Session for ServerSession {
    type Event = ServerEvent;
    type Error = Error;

    fn handle_input(&mut self, now: Millis, input: &[u8]) -> Result<(), Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.timers.received(now);
        self.take_input(input).inspect_err(|_| self.end())
    }

    fn handle_timeout(&mut self, now: Millis) -> Result<(), Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.check_timers(now).inspect_err(|_| self.end())
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.output.take()
    }

    fn poll_timeout(&self) -> Option<Millis> {
        self.deadline()
    }
}

/// Messages of the largest size that may be held behind an open question.
const HELD_MESSAGES_MAX: u64 = 2;

#[cfg(test)]
mod tests;
