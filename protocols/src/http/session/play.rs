//! A request for media or for the status: the question to the driver, its answer, and the end of
//! the stream.

use std::mem;

use super::publish::Candidate;
use super::{Asked, Session, State};
use crate::http::error::Refusal;
use crate::http::event::{Container, Event, PlayRequest, RelayRequest, Transport};
use crate::http::relay::RelayTarget;
use crate::http::request::{Method, Request};
use crate::http::response::{self, Reply};
use crate::http::target::StreamTarget;
use crate::http::websocket::{FrameReader, close_code, frame_header};

/// What the driver is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// May this viewer have media? By [`Event::Play`] or [`Event::Relay`].
    Play {
        container: Container,
        /// `Sec-WebSocket-Accept`, when a WebSocket was asked for.
        accept_key: Option<Box<str>>,
    },
    /// What is being relayed?
    Status,
    /// What does this player get?
    Hls,
    /// May this client publish?
    Publish(Box<Candidate>),
}

impl Session {
    /// Lets the viewer in: the reply's head, then `body_prefix` (for FLV its header), framed as the
    /// transport wants. To a HEAD request only the head; nothing is streaming then.
    ///
    /// Does nothing when neither [`Event::Play`] nor [`Event::Relay`] waits for its answer.
    pub fn accept_play(&mut self, body_prefix: &[u8]) {
        let Some(asked) = self.take_asked(is_play) else { return };
        let Question::Play { container, accept_key } = asked.question else { return };
        if asked.head_only {
            let keep_alive = self.may_go_on(asked.keep_alive);
            let (settings, output) = (&self.settings, self.output.buffer());
            response::write_stream_head(container, keep_alive, settings, output);
            return self.after_reply(keep_alive);
        }
        if let Some(key) = accept_key {
            let output = self.output.buffer();
            response::write_upgrade(&key, &self.settings, output);
            if !body_prefix.is_empty() {
                output.extend_from_slice(&frame_header(body_prefix.len()));
            }
            let reader = FrameReader::new(self.settings.websocket_message_bytes_max);
            self.state = State::WebSocket(Box::new(reader));
        } else {
            let (settings, output) = (&self.settings, self.output.buffer());
            response::write_stream_head(container, false, settings, output);
            self.discarded_bytes += mem::take(&mut self.pending).len() as u64;
            self.state = State::Streaming;
        }
        self.output.buffer().extend_from_slice(body_prefix);
        self.timer = None;
    }

    /// Turns the viewer away with `status` (400 to 599; anything else becomes 500) and a line of
    /// text. The connection goes on if the request allows it.
    ///
    /// Does nothing when neither [`Event::Play`] nor [`Event::Relay`] waits for its answer.
    pub fn reject_play(&mut self, status: u16, description: &str) {
        let Some(asked) = self.take_asked(is_play) else { return };
        let status = error_status(status);
        self.reply_text(status, description, asked.head_only, asked.keep_alive);
    }

    /// Answers with `status` (200 to 599; anything else becomes 500) and a page of `content_type`,
    /// which is one line of visible ASCII and spaces. The connection goes on if the request allows
    /// it.
    ///
    /// Does nothing when no [`Event::Status`] waits for its answer.
    pub fn answer(&mut self, status: u16, content_type: &str, body: &str) {
        let is_status = |question: &Question| matches!(question, Question::Status);
        let Some(Asked { head_only, keep_alive, .. }) = self.take_asked(is_status) else { return };
        let status = if matches!(status, 200..=599) { status } else { 500 };
        let fields = response::fields_of(status);
        let media_type = content_type;
        self.reply(Reply { status, media_type, body, fields, head_only, keep_alive });
    }

    /// True from `accept_play` until either side ends the stream: while media may be sent.
    pub fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming | State::WebSocket(_))
    }

    /// Ends a running stream. A WebSocket gets a close frame (1000), and
    /// [`Event::Closed`] follows when the viewer has answered or
    /// [`CLOSE_TIMEOUT_MS`](super::CLOSE_TIMEOUT_MS) has passed. An HTTP response can only end with
    /// its connection: [`Event::Closed`] follows at once. Does nothing
    /// when nothing is streaming.
    pub fn end_stream(&mut self) {
        if self.is_streaming() {
            self.close(close_code::NORMAL);
        }
    }

    /// Ends the session because the server stops: a stream as [`end_stream`](Self::end_stream)
    /// does, with code 1001; a request that waits for its answer, or publishes, by 503; a response
    /// when its body is sent; then [`Event::Closed`].
    pub fn shut_down(&mut self) {
        const WHY: &str = "the server is shutting down";
        self.last_reply = true;
        match &self.state {
            State::Asked(Asked { question: Question::Play { .. }, .. }) => {
                self.reject_play(503, WHY);
            }
            State::Asked(Asked { question: Question::Status, .. }) => {
                self.answer(503, super::TEXT, WHY);
            }
            State::Asked(Asked { question: Question::Hls, .. }) => {
                self.reject_hls(503, None, WHY);
            }
            State::Asked(_) | State::Publishing(_) | State::Published { .. } => {
                self.reject_publish(503, WHY);
            }
            State::Responding { .. } | State::Ended | State::Closing(_) => {}
            _ => self.close(close_code::GOING_AWAY),
        }
    }

    /// Puts the question to the driver.
    pub(super) fn ask_play(
        &mut self,
        request: &Request<'_>,
        target: StreamTarget,
    ) -> Result<(), Refusal> {
        let Some((transport, accept_key)) = self.transport(request)? else { return Ok(()) };
        let container = target.container;
        let play = PlayRequest {
            app: target.app,
            name: target.name,
            query: target.query,
            container,
            transport,
            tracks: target.tracks,
            head_only: request.method == Method::Head,
            host: request.host.to_owned(),
            user_agent: text(request.user_agent),
            origin: text(request.origin),
            forwarded_for: request.forwarded_for.map(text),
        };
        self.ask(request, Question::Play { container, accept_key }, Event::Play(play));
        Ok(())
    }

    /// Puts the question to the driver.
    pub(super) fn ask_relay(
        &mut self,
        request: &Request<'_>,
        target: RelayTarget,
    ) -> Result<(), Refusal> {
        let Some((transport, accept_key)) = self.transport(request)? else { return Ok(()) };
        let relay = RelayRequest {
            scheme: target.scheme,
            address: target.address,
            sources: target.sources,
            query: target.query,
            transport,
            head_only: request.method == Method::Head,
            host: request.host.to_owned(),
            user_agent: text(request.user_agent),
            origin: text(request.origin),
            forwarded_for: request.forwarded_for.map(text),
        };
        let question = Question::Play { container: Container::Ts, accept_key };
        self.ask(request, question, Event::Relay(relay));
        Ok(())
    }

    /// Puts the question to the driver.
    pub(super) fn ask_status(&mut self, request: &Request<'_>) {
        let head_only = request.method == Method::Head;
        self.ask(request, Question::Status, Event::Status { head_only });
    }

    pub(super) fn ask(&mut self, request: &Request<'_>, question: Question, event: Event) {
        let (head_only, keep_alive) = (request.method == Method::Head, request.keep_alive);
        self.put(Asked { question, head_only, keep_alive }, event);
    }

    pub(super) fn put(&mut self, asked: Asked, event: Event) {
        self.asks = Some(Box::new(event));
        self.state = State::Asked(asked);
        self.timer = None;
    }

    /// What is to carry the media, and the key of a WebSocket; `None` when the request was
    /// answered.
    fn transport(&mut self, request: &Request<'_>) -> Result<Option<Carrier>, Refusal> {
        let upgrade = request.upgrade.filter(|_| request.method != Method::Head);
        let Some(upgrade) = upgrade else { return Ok(Some((Transport::Http, None))) };
        let key = upgrade.accept()?;
        if !self.settings.allows_origin(request.origin, request.host) {
            self.reply_text(403, "this origin may not read the streams", false, request.keep_alive);
            return Ok(None);
        }
        Ok(Some((Transport::WebSocket, Some(key.into()))))
    }

    /// The request that waits for its answer, if it is one of these.
    pub(super) fn take_asked(&mut self, fits: impl Fn(&Question) -> bool) -> Option<Asked> {
        match mem::replace(&mut self.state, State::Request) {
            State::Asked(asked) if fits(&asked.question) => Some(asked),
            other => {
                self.state = other;
                None
            }
        }
    }
}

/// What carries the media, with `Sec-WebSocket-Accept` for a WebSocket.
type Carrier = (Transport, Option<Box<str>>);

fn is_play(question: &Question) -> bool {
    matches!(question, Question::Play { .. })
}

/// A status that tells of an error.
pub(super) fn error_status(status: u16) -> u16 {
    if matches!(status, 400..=599) { status } else { 500 }
}

/// A field as text for the driver.
pub(super) fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}
