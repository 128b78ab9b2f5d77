//! The client's side of a connection: publishes or plays one stream.
//!
//! Invariants
//! - Every output is a run of whole messages.
//! - An error of the server about the connection or the stream ends the session with
//!   [`Error::Refused`]; errors about courtesies (`releaseStream`, `FCPublish`) do not.

mod commands;
mod settings;

pub use settings::{ClientRole, ClientSettings};

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::amf::{Limits, Value, amf0};

use self::commands::transaction;
use super::chunk::{ChunkReader, Message, ReaderLimits, write_media};
use super::command::without_format_byte;
use super::error::Error;
use super::event::{MediaKind, MediaMessage, MessageStreamId};
use super::handshake::ClientHandshake;
use super::media::{self, carries_media};
use super::message::{UserControl, type_id};
use super::output::{CONNECTION, Output};
use super::window::Window;
use crate::session::{Millis, Session};

/// What a client session tells its driver.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The server has accepted the connection.
    Connected,
    /// The server has accepted the publication: media may be sent.
    Publishing,
    /// The server has accepted the play: media may come.
    Playing,
    /// One audio, video or data message.
    Media(MediaMessage),
    /// A status that the server sent, the expected ones included.
    Status {
        /// `status`, `warning` or `error`.
        level: String,
        /// For example `NetStream.Play.Start`.
        code: String,
        /// Text for people; may be empty.
        description: String,
    },
    /// The server has ended the play or the publication. A server may begin a play again later.
    Ended,
}

/// A client session. Calls as in [`Session`]; the first output is there at once.
#[derive(Debug)]
pub struct ClientSession {
    settings: Arc<ClientSettings>,
    phase: Phase,
    step: Step,
    stream: MessageStreamId,
    window: Window,
    output: Output,
    events: VecDeque<ClientEvent>,
    opened: Millis,
    received: Millis,
    at: u64,
}

#[derive(Debug)]
enum Phase {
    Handshake(ClientHandshake),
    Chunks(Box<ChunkReader>),
    Ended,
}

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    Creating,
    Asking,
    Running,
    Stopped,
}

impl ClientSession {
    /// Makes a session for a connection made at `now`. `seed` feeds the random bytes of the handshake,
    /// which hide nothing.
    #[must_use]
    pub fn new(settings: Arc<ClientSettings>, seed: [u8; 8], now: Millis) -> Self {
        let mut handshake = ClientHandshake::new(seed, settings.style);
        let mut output = Output::default();
        handshake.start(&mut output.buffer);
        Self {
            window: Window::new(settings.window_ack_size),
            settings,
            phase: Phase::Handshake(handshake),
            step: Step::Connecting,
            stream: CONNECTION,
            output,
            events: VecDeque::new(),
            opened: now,
            received: now,
            at: 0,
        }
    }

    /// The message stream that the server gave; 0 before it did. Media of a publication go there.
    #[must_use]
    pub fn message_stream_id(&self) -> MessageStreamId {
        self.stream
    }

    /// Queues one media message; `false`, and nothing is sent, unless the publication runs. The body
    /// is as in [`MediaMessage`]; metadata are sent with `@setDataFrame`.
    pub fn send_media(&mut self, kind: MediaKind, timestamp_ms: u32, payload: &[u8]) -> bool {
        let publishes = matches!(self.settings.role, ClientRole::Publish(_));
        let open = matches!(self.phase, Phase::Chunks(_)) && self.step == Step::Running;
        if !publishes || !open {
            return false;
        }
        let mut header = Vec::new();
        if kind == MediaKind::Data && payload.starts_with(ON_META_DATA) {
            amf0::encode_str("@setDataFrame", &mut header);
        }
        let (stream, chunk_size) = (self.stream, self.settings.chunk_size_out);
        let out = &mut self.output.buffer;
        write_media(kind, timestamp_ms, stream, &header, payload, chunk_size, out);
        true
    }

    /// Ends the publication or play; the driver closes the connection when the output is sent.
    pub fn close(&mut self) {
        if !matches!(self.phase, Phase::Chunks(_)) || self.stream == CONNECTION {
            return;
        }
        if matches!(self.settings.role, ClientRole::Publish(_)) {
            let name = Value::from(self.settings.url.stream.as_str());
            self.call("FCUnpublish", transaction::FC_UNPUBLISH, vec![name]);
        }
        self.call("deleteStream", 0.0, vec![Value::from(self.stream.0)]);
        self.phase = Phase::Ended;
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
                chunk_streams_max: CHUNK_STREAMS_MAX,
            })));
            self.connect();
        }
        while let Phase::Chunks(reader) = &mut self.phase {
            let Some(message) = reader.push(&mut input)? else { break };
            self.at = reader.bytes_read();
            self.handle_message(message)?;
        }
        if let Phase::Chunks(reader) = &self.phase {
            self.window.acknowledge(reader.bytes_read(), &mut self.output);
        }
        Ok(())
    }

    fn handle_message(&mut self, message: Message) -> Result<(), Error> {
        if carries_media(&message) {
            return self.handle_media(message);
        }
        match message.type_id {
            type_id::COMMAND_AMF0 => self.handle_command(&message.payload),
            type_id::COMMAND_AMF3 => self.handle_command(&without_format_byte(message.payload)),
            type_id::USER_CONTROL => {
                if let UserControl::PingRequest(time) =
                    UserControl::parse(&message.payload, self.at)?
                {
                    self.output.user(UserControl::PingResponse(time));
                }
                Ok(())
            }
            type_id::ACKNOWLEDGEMENT | type_id::WINDOW_ACK_SIZE | type_id::SET_PEER_BANDWIDTH => {
                self.window.handle(message.type_id, &message.payload, self.at, &mut self.output)
            }
            _ => Ok(()),
        }
    }

    /// Passes on media, except data that are about the connection and not about the stream.
    fn handle_media(&mut self, message: Message) -> Result<(), Error> {
        let mut internal = Vec::new();
        let (limits, events) = (self.amf_limits(), &mut self.events);
        media::unpack(message, &limits, self.at, |media| {
            let named = |name: &&[u8]| media.payload.starts_with(name);
            if media.kind == MediaKind::Data && INTERNAL_DATA.iter().any(named) {
                internal.push(media.payload);
            } else {
                events.push_back(ClientEvent::Media(media));
            }
        })?;
        internal.iter().for_each(|payload| self.handle_internal_data(payload));
        Ok(())
    }

    fn amf_limits(&self) -> Limits {
        Limits { bytes_max: self.settings.message_bytes_max as usize, ..Limits::default() }
    }

    /// The deadline at hand with what is waited for, the setting and its value.
    fn timeout(&self) -> Option<(Millis, &'static str, &'static str, u64)> {
        let settings = &self.settings;
        match self.step {
            _ if matches!(self.phase, Phase::Ended) => None,
            Step::Connecting | Step::Creating | Step::Asking => {
                let limit_ms = settings.start_timeout_ms;
                let setting = "start_timeout_ms";
                Some((self.opened + limit_ms, "consent of the server", setting, limit_ms))
            }
            Step::Running | Step::Stopped => {
                let limit_ms = settings.idle_timeout_ms;
                let plays = matches!(settings.role, ClientRole::Play(_));
                let deadline = self.received + limit_ms;
                (plays && limit_ms > 0).then_some((
                    deadline,
                    "media from the server",
                    "idle_timeout_ms",
                    limit_ms,
                ))
            }
        }
    }
}

impl Session for ClientSession {
    type Event = ClientEvent;
    type Error = Error;

    fn handle_input(&mut self, now: Millis, input: &[u8]) -> Result<(), Error> {
        self.received = now;
        self.take_input(input).inspect_err(|_| self.phase = Phase::Ended)
    }

    fn handle_timeout(&mut self, now: Millis) -> Result<(), Error> {
        match self.timeout() {
            Some((deadline, what, setting, limit_ms)) if deadline <= now => {
                self.phase = Phase::Ended;
                Err(Error::TimedOut { what, setting, limit_ms })
            }
            _ => Ok(()),
        }
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.output.take()
    }

    fn poll_timeout(&self) -> Option<Millis> {
        self.timeout().map(|(deadline, ..)| deadline)
    }
}

/// AMF0 of the name `onMetaData`.
const ON_META_DATA: &[u8] = b"\x02\x00\x0aonMetaData";

/// AMF0 of the names of data that servers send about the connection.
const INTERNAL_DATA: [&[u8]; 3] =
    [b"\x02\x00\x11|RtmpSampleAccess", b"\x02\x00\x08onStatus", b"\x02\x00\x0conPlayStatus"];

/// More than any server uses.
const CHUNK_STREAMS_MAX: usize = 64;
