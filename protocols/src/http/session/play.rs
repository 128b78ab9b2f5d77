//! A request for a stream: the question to the driver, its answer, and the end of the stream.

use std::mem;

use super::{Asked, Session, State};
use crate::http::error::Refusal;
use crate::http::event::{PlayRequest, Transport};
use crate::http::request::{Method, Request};
use crate::http::response;
use crate::http::target::StreamTarget;
use crate::http::websocket::{FrameReader, close_code, frame_header};

impl Session {
    /// Lets the viewer in: the reply's head, then `body_prefix` (for FLV its header), framed as the
    /// transport wants. To a HEAD request only the head; nothing is streaming then.
    ///
    /// Does nothing when no [`Event::Play`](crate::http::Event::Play) waits for its answer.
    pub fn accept_play(&mut self, body_prefix: &[u8]) {
        let Some(asked) = self.take_asked() else { return };
        if asked.head_only {
            let keep_alive = self.may_go_on(asked.keep_alive);
            let (settings, output) = (&self.settings, &mut self.output);
            response::write_stream_head(asked.container, keep_alive, settings, output);
            return self.after_reply(keep_alive);
        }
        if let Some(key) = asked.accept_key {
            response::write_upgrade(&key, &self.settings, &mut self.output);
            if !body_prefix.is_empty() {
                self.output.extend_from_slice(&frame_header(body_prefix.len()));
            }
            let reader = FrameReader::new(self.settings.websocket_message_bytes_max);
            self.state = State::WebSocket(Box::new(reader));
        } else {
            let (settings, output) = (&self.settings, &mut self.output);
            response::write_stream_head(asked.container, false, settings, output);
            self.discarded_bytes += mem::take(&mut self.pending).len() as u64;
            self.state = State::Streaming;
        }
        self.output.extend_from_slice(body_prefix);
        self.timer = None;
    }

    /// Turns the viewer away with `status` (400 to 599; anything else becomes 500) and a line of
    /// text. The connection goes on if the request allows it.
    ///
    /// Does nothing when no [`Event::Play`](crate::http::Event::Play) waits for its answer.
    pub fn reject_play(&mut self, status: u16, description: &str) {
        let Some(asked) = self.take_asked() else { return };
        let status = if matches!(status, 400..=599) { status } else { 500 };
        self.reply_text(status, description, asked.head_only, asked.keep_alive);
    }

    /// True from `accept_play` until either side ends the stream: while media may be sent.
    pub fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming | State::WebSocket(_))
    }

    /// Ends a running stream. A WebSocket gets a close frame (1000), and
    /// [`Event::Closed`](crate::http::Event::Closed) follows when the viewer has answered or
    /// [`CLOSE_TIMEOUT_MS`](super::CLOSE_TIMEOUT_MS) has passed. An HTTP response can only end with
    /// its connection: [`Event::Closed`](crate::http::Event::Closed) follows at once. Does nothing
    /// when nothing is streaming.
    pub fn end_stream(&mut self) {
        if self.is_streaming() {
            self.close(close_code::NORMAL);
        }
    }

    /// Ends the session because the server stops: a stream as [`end_stream`](Self::end_stream)
    /// does, with code 1001; a waiting play by 503; then
    /// [`Event::Closed`](crate::http::Event::Closed).
    pub fn shut_down(&mut self) {
        self.last_reply = true;
        match self.state {
            State::Asked(_) => self.reject_play(503, "the server is shutting down"),
            State::Ended | State::Closing(_) => {}
            _ => self.close(close_code::GOING_AWAY),
        }
    }

    /// Puts the question to the driver.
    pub(super) fn ask(
        &mut self,
        request: &Request<'_>,
        target: StreamTarget,
    ) -> Result<(), Refusal> {
        let head_only = request.method == Method::Head;
        let upgrade = request.upgrade.filter(|_| !head_only);
        let accept_key = upgrade.map(|upgrade| upgrade.accept()).transpose()?;
        if accept_key.is_some() && !self.settings.allows_origin(request.origin, request.host) {
            self.reply_text(403, "this origin may not read the streams", false, request.keep_alive);
            return Ok(());
        }
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let container = target.container;
        self.play = Some(Box::new(PlayRequest {
            app: target.app,
            name: target.name,
            query: target.query,
            container,
            transport: if accept_key.is_some() { Transport::WebSocket } else { Transport::Http },
            tracks: target.tracks,
            head_only,
            host: request.host.to_owned(),
            user_agent: text(request.user_agent),
            origin: text(request.origin),
            forwarded_for: request.forwarded_for.map(text),
        }));
        let keep_alive = request.keep_alive;
        self.state = State::Asked(Asked { container, head_only, keep_alive, accept_key });
        self.timer = None;
        Ok(())
    }

    fn take_asked(&mut self) -> Option<Asked> {
        match mem::replace(&mut self.state, State::Request) {
            State::Asked(asked) => Some(asked),
            other => {
                self.state = other;
                None
            }
        }
    }
}
