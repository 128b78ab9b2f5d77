//! A stream that a client sends: the question to the driver, its answers, and the content.

use super::play::{Question, error_status, text};
use super::{Asked, CONTENT_HELD_BYTES_MAX, Publishing, Session, State, TEXT};
use crate::http::content::ContentReader;
use crate::http::error::{Error, Refusal};
use crate::http::event::{Container, Event, PublishRequest};
use crate::http::request::{Content, Request};
use crate::http::response::{self, Reply};
use crate::http::target::StreamTarget;

/// A publication that waits for the driver's answer.
#[derive(Debug)]
pub(super) struct Candidate {
    content: ContentReader,
    is_persistent: bool,
    expects_continue: bool,
    /// Content that is skipped when the answer is no and the connection goes on.
    skippable_bytes: u64,
}

impl Session {
    /// Lets the publisher in: [`Event::Body`] follows for each piece of what it sends. A client
    /// that waits for it is told to go on.
    ///
    /// Does nothing when no [`Event::Publish`] waits for its answer.
    pub fn accept_publish(&mut self) {
        let Some((candidate, _)) = self.take_candidate() else { return };
        if candidate.expects_continue {
            response::write_continue(self.output.buffer());
        }
        let Candidate { content, is_persistent, .. } = *candidate;
        self.state = State::Publishing(Publishing { content, is_persistent });
        self.end_content_if_complete();
    }

    /// Turns a publisher away, before its content or at any time within it, with `status` (400 to
    /// 599; anything else becomes 500) and a line of text. The connection goes on if the request
    /// allows it and its content is at hand or short; what is sent meanwhile is dropped.
    ///
    /// Does nothing when nothing is being published and no [`Event::Publish`] waits for its answer.
    pub fn reject_publish(&mut self, status: u16, description: &str) {
        let keep_alive = match self.state {
            State::Publishing(_) => false,
            State::Published { is_persistent } => is_persistent,
            _ => {
                let Some((candidate, keep_alive)) = self.take_candidate() else { return };
                self.body_left = candidate.skippable_bytes;
                keep_alive
            }
        };
        self.state = State::Request;
        (self.body, self.body_ended) = (Vec::new(), false);
        self.reply_text(error_status(status), description, false, keep_alive);
    }

    /// Tells the publisher that all of its content was taken: 200. The connection goes on if the
    /// request allows it.
    ///
    /// Does nothing unless what is published is complete ([`Event::BodyEnd`]).
    pub fn finish_publish(&mut self) {
        let State::Published { is_persistent: keep_alive } = self.state else { return };
        self.state = State::Request;
        let (media_type, body, fields, head_only) = (TEXT, "", "", false);
        self.reply(Reply { status: 200, media_type, body, fields, head_only, keep_alive });
    }

    /// True from `accept_publish` to the end of the content.
    pub fn is_publishing(&self) -> bool {
        matches!(self.state, State::Publishing(_))
    }

    /// False while what comes could only be held: read nothing from the peer then. That is while
    /// an answer about a publication is awaited; and while a player waits for its response or is
    /// sent one, once something came behind its request.
    ///
    /// What is passed nevertheless is held. For a publication more than [`CONTENT_HELD_BYTES_MAX`]
    /// ends the session; behind a player's request more than `header_bytes_max` is dropped, and the
    /// response is the last.
    pub fn wants_input(&self) -> bool {
        match &self.state {
            State::Asked(Asked { question: Question::Publish(_), .. })
            | State::Published { .. } => false,
            State::Asked(Asked { question: Question::Hls, .. }) | State::Responding { .. } => {
                self.pending.is_empty()
            }
            _ => true,
        }
    }

    /// Takes the end of the peer's side of the connection. Content that ends with it is complete;
    /// its events are polled as after an input.
    ///
    /// # Errors
    /// [`Error::CutOff`]: the peer was publishing, and its content is not complete. The session is
    /// finished; nobody is there to be told.
    pub fn input_ended(&mut self) -> Result<(), Error> {
        self.has_input_ended = true;
        if self.pending.is_empty() { self.end_content() } else { Ok(()) }
    }

    /// Puts the question to the driver.
    pub(super) fn ask_publish(&mut self, request: &Request<'_>, target: StreamTarget) {
        let keep_alive = request.keep_alive;
        if target.container != Container::Ts {
            let text = "only a transport stream (.ts) can be published here";
            return self.reply_text(415, text, false, keep_alive);
        }
        if !self.settings.lets_publish(request.origin, request.host) {
            return self.reply_text(403, "this origin may not publish", false, keep_alive);
        }
        let content = match request.content {
            Content::Length(bytes) => ContentReader::of_length(bytes),
            Content::Chunked => ContentReader::chunked(),
            // RFC 9112 6.3 takes such content for none. But who sends no second request on the
            // connection can mean nothing else, and proxies in front read nothing else into it.
            Content::None if !request.is_persistent => ContentReader::until_close(),
            Content::None => {
                let text = "content needs a Content-Length, or to be chunked";
                return self.reply_text(411, text, false, keep_alive);
            }
        };
        let publish = PublishRequest {
            app: target.app,
            name: target.name,
            query: target.query,
            container: target.container,
            host: request.host.to_owned(),
            user_agent: text(request.user_agent),
            forwarded_for: request.forwarded_for.map(text),
        };
        let candidate = Candidate {
            content,
            is_persistent: request.is_persistent,
            expects_continue: request.expects_continue,
            skippable_bytes: std::mem::take(&mut self.body_left),
        };
        self.ask(request, Question::Publish(Box::new(candidate)), Event::Publish(publish));
    }

    /// Takes content off the front of `input`.
    pub(super) fn read_content(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let State::Publishing(Publishing { content, .. }) = &mut self.state else { return Ok(()) };
        self.body.reserve_exact(input.len());
        let taken = content.push(input, &mut self.body);
        taken.map_err(|refusal| self.fail(refusal))?;
        self.end_content_if_complete();
        Ok(())
    }

    /// Keeps what comes while an answer about a publication is awaited.
    pub(super) fn hold_content(&mut self, input: &[u8]) -> Result<(), Error> {
        if self.pending.len().saturating_add(input.len()) > CONTENT_HELD_BYTES_MAX {
            let what = "over 1 MiB of content in front of the answer to it";
            return Err(self.fail(Refusal::unsupported(413, what)));
        }
        self.pending.extend_from_slice(input);
        Ok(())
    }

    /// What the end of the input means for content that is being read.
    pub(super) fn end_content(&mut self) -> Result<(), Error> {
        let State::Publishing(Publishing { content, .. }) = &self.state else { return Ok(()) };
        if !self.has_input_ended {
            return Ok(());
        }
        if !content.ends_with_connection() {
            let bytes = content.taken();
            self.end();
            return Err(Error::CutOff { bytes });
        }
        self.state = State::Published { is_persistent: false };
        self.body_ended = true;
        Ok(())
    }

    fn end_content_if_complete(&mut self) {
        if let State::Publishing(Publishing { content, is_persistent }) = &self.state
            && content.is_complete()
        {
            self.state = State::Published { is_persistent: *is_persistent };
            self.body_ended = true;
        }
    }

    /// The publication that waits for its answer, and whether the connection goes on after a no.
    fn take_candidate(&mut self) -> Option<(Box<Candidate>, bool)> {
        let asked = self.take_asked(|question| matches!(question, Question::Publish(_)))?;
        match asked.question {
            Question::Publish(candidate) => Some((candidate, asked.keep_alive)),
            Question::Play { .. } | Question::Status | Question::Hls => None,
        }
    }
}
