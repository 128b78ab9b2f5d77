//! The server side of one HTTP connection.
//!
//! ```text
//!            head complete            accept_play
//! Request ------------------> Asked ------------> Streaming | WebSocket --> Ended
//!    ^  \                      |  |                              |            ^
//!    |   `-- reply ---.        |  | accept_publish               v            |
//!    +----------------+--------'  |                           Closing --------'
//!    |    reject_*, answer, HEAD  v        content complete
//!    |    respond_prepared    Publishing ------------------> Published
//!    `---------------------------- finish_publish ---------------'
//!
//!          finish_response               respond
//! Request <--------------- Responding <----------- Asked
//! ```

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::content::ContentReader;
use super::error::{Error, Refusal};
use super::event::Event;
use super::output::Output;
use super::response::{self, Reply};
use super::settings::Settings;
use super::websocket::FrameReader;
use crate::session::{Millis, Session as Contract};

mod again;
mod frames;
mod head;
mod hls;
mod play;
mod publish;
mod route;

use again::Again;
use play::Question;

/// One HTTP connection, as the server.
///
/// Order of calls: [`new`](Self::new); then as [`crate::session`] says, and
/// [`input_ended`](Self::input_ended) when the peer has closed its side. Each event that asks is
/// answered once, at any later time.
///
/// - [`Event::Play`] and [`Event::Relay`] by [`accept_play`](Self::accept_play) or
///   [`reject_play`](Self::reject_play). Once [`is_streaming`](Self::is_streaming) the driver sends
///   what `poll_output` gives and then media: bytes of the container for
///   [`Transport::Http`](super::Transport::Http); for
///   [`Transport::WebSocket`](super::Transport::WebSocket) each run of them behind a
///   [`frame_header`](super::websocket::frame_header).
/// - [`Event::Hls`] by [`respond`](Self::respond), whose body the driver sends up to
///   [`finish_response`](Self::finish_response); by [`respond_prepared`](Self::respond_prepared);
///   or by [`reject_hls`](Self::reject_hls). The session has no opinion on how long either lasts.
/// - [`Event::Status`] by [`answer`](Self::answer).
/// - [`Event::Publish`] by [`accept_publish`](Self::accept_publish) or
///   [`reject_publish`](Self::reject_publish). Then [`Event::Body`] comes any number of times, and
///   [`Event::BodyEnd`], which is answered by [`finish_publish`](Self::finish_publish). The session
///   has no opinion on how long a publisher may be silent.
///
/// After [`Event::Closed`] or an error all further input is dropped.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    state: State,
    timer: Option<Timer>,
    /// The request head, as far as it has come.
    head: Vec<u8>,
    /// The newest request for a playlist, to know it when it comes again.
    again: Option<Box<Again>>,
    /// Input behind a request that waits for its answer.
    pending: Vec<u8>,
    /// The peer sends nothing more.
    has_input_ended: bool,
    /// Content of the last request that is still to be skipped, in bytes.
    body_left: u64,
    /// What the driver is to be asked.
    asks: Option<Box<Event>>,
    /// What was published and not fetched yet.
    body: Vec<u8>,
    body_ended: bool,
    closed: bool,
    output: Output,
    /// Replies in `output`.
    replies_queued: usize,
    /// The next reply is the last.
    last_reply: bool,
    discarded_bytes: u64,
}

#[derive(Debug)]
enum State {
    /// Between requests, or within a head.
    Request,
    /// A request waits for the driver's answer.
    Asked(Asked),
    /// The body of a response is being sent. The connection goes on after it, or not.
    Responding {
        keep_alive: bool,
    },
    /// What is published comes in.
    Publishing(Publishing),
    /// What was published is complete, and the driver's answer is awaited. The connection goes on
    /// after it, or not.
    Published {
        is_persistent: bool,
    },
    /// An HTTP viewer is being served.
    Streaming,
    /// A WebSocket viewer is being served.
    WebSocket(Box<FrameReader>),
    /// Our close frame is out, the viewer's is awaited.
    Closing(Box<FrameReader>),
    Ended,
}

/// What the answer to a request depends on.
#[derive(Debug)]
struct Asked {
    question: Question,
    head_only: bool,
    /// The connection goes on after an answer that is not a stream.
    keep_alive: bool,
}

/// A publication that is let in.
#[derive(Debug)]
struct Publishing {
    content: ContentReader,
    is_persistent: bool,
}

/// A deadline. `at` is unknown between a call that has no `now` and the next one that has.
#[derive(Clone, Copy, Debug)]
struct Timer {
    wait: Wait,
    at: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For a whole request head.
    Request,
    /// For the first byte of another request.
    KeepAlive,
    /// For the viewer's close frame.
    Close,
}

impl Contract for Session {
    type Event = Event;
    type Error = Error;

    fn handle_input(&mut self, now: Millis, input: &[u8]) -> Result<(), Error> {
        self.catch_up(now)?;
        self.consume(now, input)?;
        self.set_deadline(now);
        Ok(())
    }

    fn handle_timeout(&mut self, now: Millis) -> Result<(), Error> {
        self.catch_up(now)?;
        let Some(timer) = self.timer.filter(|timer| timer.at.is_some_and(|at| at <= now)) else {
            return Ok(());
        };
        if timer.wait == Wait::Request {
            return Err(self.time_out());
        }
        self.finish();
        Ok(())
    }

    fn poll_event(&mut self) -> Option<Event> {
        if let Some(asks) = self.asks.take() {
            return Some(*asks);
        }
        if !self.body.is_empty() {
            return Some(Event::Body(mem::take(&mut self.body).into()));
        }
        if mem::take(&mut self.body_ended) {
            return Some(Event::BodyEnd);
        }
        mem::take(&mut self.closed).then_some(Event::Closed)
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        self.replies_queued = 0;
        self.output.take()
    }

    /// `Millis(0)` means at once: an answer without a time has left work behind.
    fn poll_timeout(&self) -> Option<Millis> {
        if self.has_backlog() {
            return Some(Millis(0));
        }
        self.timer.map(|timer| timer.at.unwrap_or_default())
    }
}

impl Session {
    /// A session for a connection that was accepted at `now`. Sessions of one listener share their
    /// settings by passing the same `Arc`.
    pub fn new(settings: impl Into<Arc<Settings>>, now: Millis) -> Self {
        let settings = settings.into();
        let at = now + settings.request_timeout_ms;
        Self {
            settings,
            state: State::Request,
            timer: Some(Timer { wait: Wait::Request, at: Some(at) }),
            head: Vec::new(),
            again: None,
            pending: Vec::new(),
            has_input_ended: false,
            body_left: 0,
            asks: None,
            body: Vec::new(),
            body_ended: false,
            closed: false,
            output: Output::default(),
            replies_queued: 0,
            last_reply: false,
            discarded_bytes: 0,
        }
    }

    /// Bytes of input that were dropped: sent behind a request for a stream, or after the end.
    pub fn discarded_bytes(&self) -> u64 {
        self.discarded_bytes
    }

    /// Does what calls without a time have left: sets the deadline, reads the input that waited.
    fn catch_up(&mut self, now: Millis) -> Result<(), Error> {
        self.set_deadline(now);
        if self.has_backlog() {
            let pending = mem::take(&mut self.pending);
            self.consume(now, &pending)?;
            self.end_content()?;
            self.set_deadline(now);
        }
        Ok(())
    }

    fn set_deadline(&mut self, now: Millis) {
        if let Some(timer) = &mut self.timer {
            let limit_ms = timer.wait.limit_ms(&self.settings);
            timer.at.get_or_insert(now + limit_ms);
        }
    }

    fn has_backlog(&self) -> bool {
        match self.state {
            State::Asked(_) | State::Responding { .. } | State::Published { .. } => false,
            State::Publishing(_) => self.has_input_ended || !self.pending.is_empty(),
            _ => !self.pending.is_empty(),
        }
    }

    fn consume(&mut self, now: Millis, mut input: &[u8]) -> Result<(), Error> {
        while !input.is_empty() {
            self.skip_body(&mut input);
            match &self.state {
                State::Request => self.read_head(now, &mut input)?,
                State::Asked(Asked { question: Question::Publish(_), .. })
                | State::Published { .. } => self.hold_content(mem::take(&mut input))?,
                State::Asked(_) | State::Responding { .. } => self.hold(mem::take(&mut input)),
                State::Publishing(_) => self.read_content(&mut input)?,
                State::WebSocket(_) | State::Closing(_) => self.read_frames(&mut input)?,
                State::Streaming | State::Ended => self.discard(mem::take(&mut input)),
            }
        }
        Ok(())
    }

    fn skip_body(&mut self, input: &mut &[u8]) {
        let length = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(input.len());
        *input = input.get(length..).unwrap_or_default();
        self.body_left -= length as u64;
    }

    fn discard(&mut self, input: &[u8]) {
        self.discarded_bytes += input.len() as u64;
    }

    /// Keeps what comes behind a request that is not answered yet. More than a head of it is
    /// dropped, and the reply to the request becomes the last one, so that no request is answered
    /// out of its turn.
    fn hold(&mut self, input: &[u8]) {
        let room = self.settings.header_bytes_max.saturating_sub(self.pending.len());
        if self.last_reply || input.len() > room {
            self.last_reply = true;
            self.discarded_bytes += mem::take(&mut self.pending).len() as u64;
            return self.discard(input);
        }
        self.pending.extend_from_slice(input);
    }

    fn reply_text(&mut self, status: u16, text: &str, head_only: bool, keep_alive: bool) {
        let fields = response::fields_of(status);
        self.reply_text_with(status, fields, text, head_only, keep_alive);
    }

    /// A line of text, with `fields` of its own.
    fn reply_text_with(
        &mut self,
        status: u16,
        fields: &str,
        text: &str,
        head_only: bool,
        keep_alive: bool,
    ) {
        let body = format!("{status} {}: {text}\n", response::reason(status));
        let media_type = TEXT;
        self.reply(Reply { status, media_type, body: &body, fields, head_only, keep_alive });
    }

    fn reply(&mut self, reply: Reply<'_>) {
        let keep_alive = self.may_go_on(reply.keep_alive);
        Reply { keep_alive, ..reply }.write(&self.settings, self.output.buffer());
        self.after_reply(keep_alive);
    }

    /// True when the connection may go on after the reply that is about to be written.
    fn may_go_on(&mut self, keep_alive: bool) -> bool {
        self.replies_queued += 1;
        keep_alive && !self.last_reply && self.replies_queued < REPLIES_QUEUED_MAX
    }

    fn after_reply(&mut self, keep_alive: bool) {
        if keep_alive {
            self.timer = Some(Timer { wait: Wait::KeepAlive, at: None });
        } else {
            self.finish();
        }
    }

    /// Ends the session without fault.
    fn finish(&mut self) {
        self.end();
        self.closed = true;
    }

    /// Ends the session by a reply that says why.
    fn fail(&mut self, refusal: Refusal) -> Error {
        let text = refusal.error.to_string();
        let body = format!("{} {}: {text}\n", refusal.status, response::reason(refusal.status));
        let (status, fields) = (refusal.status, response::fields_of(refusal.status));
        let reply = Reply { status, media_type: TEXT, body: &body, fields, ..LAST };
        reply.write(&self.settings, self.output.buffer());
        self.end();
        refusal.error
    }

    /// A peer that has sent nothing gets no reply: it is a connection kept in reserve, or no
    /// client.
    fn time_out(&mut self) -> Error {
        let refusal = Refusal::too_slow(&self.settings);
        if !self.head.is_empty() {
            return self.fail(refusal);
        }
        self.end();
        refusal.error
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.timer = None;
        self.asks = None;
        self.head = Vec::new();
        self.again = None;
        self.discarded_bytes += mem::take(&mut self.pending).len() as u64;
    }
}

impl Wait {
    fn limit_ms(self, settings: &Settings) -> u64 {
        match self {
            Self::Request => settings.request_timeout_ms,
            Self::KeepAlive => settings.keep_alive_timeout_ms,
            Self::Close => CLOSE_TIMEOUT_MS,
        }
    }
}

/// Replies, or pongs, that are held at most before the driver fetches them: a client that sends
/// requests faster than it reads replies is told that the connection ends.
pub const REPLIES_QUEUED_MAX: usize = 32;

/// Bytes that are held behind a publication that waits for its answer, at most: what a driver had
/// read already when it was asked.
pub const CONTENT_HELD_BYTES_MAX: usize = 1 << 20;

/// How long a viewer may take to answer a close frame, in milliseconds. It has nothing to decide.
pub const CLOSE_TIMEOUT_MS: u64 = 2_000;

const TEXT: &str = "text/plain; charset=utf-8";
const LAST: Reply<'_> = Reply {
    status: 500,
    media_type: TEXT,
    body: "",
    fields: "",
    head_only: false,
    keep_alive: false,
};

#[cfg(test)]
mod tests;
