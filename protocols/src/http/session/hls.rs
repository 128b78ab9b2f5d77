//! A request for HTTP Live Streaming: the question to the driver, and its answers.

use std::ops::Range;

use super::play::{Question, error_status};
use super::{Asked, Session, State};
use crate::http::coding::{Coding, accepts_gzip};
use crate::http::event::Event;
use crate::http::hls_request::{HlsRequest, Texts};
use crate::http::hls_target::HlsTarget;
use crate::http::range::{ByteRange, Selection};
use crate::http::representation::{Answer, Prepared, Representation};
use crate::http::request::{Method, Request};
use crate::http::response;

impl Session {
    /// Answers with what there is: by 304 when the client's copy of it is good, by the part that it
    /// asks for, by 416 when there is no such part, and else by all of it. `request` is that of the
    /// event.
    ///
    /// Writes the head, and returns which bytes of the body the driver sends behind what
    /// `poll_output` gives; [`finish_response`](Self::finish_response) follows then. `None`: the
    /// response is complete.
    ///
    /// Does nothing, and returns `None`, when no [`Event::Hls`] waits for its answer.
    pub fn respond(
        &mut self,
        request: &HlsRequest,
        representation: &Representation<'_>,
    ) -> Option<Range<u64>> {
        let asked = self.take_asked(is_hls)?;
        let Representation { etag, length, .. } = *representation;
        if request.is_current(etag) {
            let keep_alive = self.may_go_on(asked.keep_alive);
            let out = self.output.buffer();
            representation.write_not_modified(keep_alive, &self.settings, out);
            self.after_reply(keep_alive);
            return None;
        }
        let is_divisible = representation.coding == Coding::Fixed;
        let selection = if is_divisible { request.select(etag, length) } else { Selection::Whole };
        let part = match selection {
            Selection::Whole => None,
            Selection::Part(part) => Some(part),
            Selection::None => {
                self.reply_unsatisfiable(length, &asked);
                return None;
            }
        };
        let keep_alive = self.may_go_on(asked.keep_alive);
        let out = self.output.buffer();
        representation.write_head(part.as_ref(), keep_alive, &self.settings, out);
        let body = part.unwrap_or(0..length);
        if asked.head_only || body.is_empty() {
            self.after_reply(keep_alive);
            return None;
        }
        self.state = State::Responding { keep_alive };
        Some(body)
    }

    /// Answers with what was prepared for everybody, or by 304 when the client's copy of it is
    /// good. The body comes from `poll_output` too: nothing is left to be done.
    ///
    /// Does nothing when no [`Event::Hls`] waits for its answer.
    pub fn respond_prepared(&mut self, request: &HlsRequest, prepared: &Prepared) {
        let Some(asked) = self.take_asked(is_hls) else { return };
        let answer = if request.is_current(prepared.etag()) {
            Answer::NotModified
        } else if asked.head_only {
            Answer::Head
        } else {
            Answer::Whole
        };
        let keep_alive = self.may_go_on(asked.keep_alive);
        prepared.write(answer, keep_alive, &mut self.output);
        self.after_reply(keep_alive);
    }

    /// Turns the request down with `status` (400 to 599; anything else becomes 500), when it is
    /// worth while to try again, in seconds, and a line of text. The connection goes on if the
    /// request allows it.
    ///
    /// Does nothing when no [`Event::Hls`] waits for its answer.
    pub fn reject_hls(&mut self, status: u16, retry_after_s: Option<u32>, description: &str) {
        let Some(asked) = self.take_asked(is_hls) else { return };
        let status = error_status(status);
        let retry = retry_after_s.map(|s| format!("Retry-After: {s}\r\n")).unwrap_or_default();
        let fields = [response::fields_of(status), &retry].concat();
        self.reply_text_with(status, &fields, description, asked.head_only, asked.keep_alive);
    }

    /// The body that [`respond`](Self::respond) asked for is with the transport: the connection
    /// goes on, or [`Event::Closed`] follows. Does nothing when no body is being sent.
    pub fn finish_response(&mut self) {
        if let State::Responding { keep_alive } = self.state {
            self.state = State::Request;
            self.after_reply(keep_alive && !self.last_reply);
        }
    }

    /// True from a [`respond`](Self::respond) that wants a body to `finish_response`.
    pub fn is_responding(&self) -> bool {
        matches!(self.state, State::Responding { .. })
    }

    /// Puts the question to the driver.
    pub(super) fn ask_hls(&mut self, request: &Request<'_>, target: HlsTarget<'_>) {
        let head_only = request.method == Method::Head;
        let directives = match target.directives {
            Ok(directives) => directives,
            Err(what) => return self.reply_text(400, what, head_only, request.keep_alive),
        };
        let texts = Texts::new([
            target.app.as_bytes(),
            target.name.as_bytes(),
            target.query.as_bytes(),
            request.host.as_bytes(),
            request.user_agent,
            request.origin,
            request.forwarded_for.unwrap_or_default(),
            request.if_none_match,
            request.if_range,
        ]);
        let hls = HlsRequest {
            resource: target.resource,
            directives,
            head_only,
            accepts_gzip: accepts_gzip(request.accept_encoding),
            // Ranges are defined for GET alone (RFC 9110 14.2).
            range: request.range.filter(|_| !head_only).and_then(ByteRange::parse),
            texts,
        };
        self.ask(request, Question::Hls, Event::Hls(hls));
    }

    fn reply_unsatisfiable(&mut self, length: u64, asked: &Asked) {
        let Asked { head_only, keep_alive, .. } = *asked;
        let fields = format!("Content-Range: bytes */{length}\r\n");
        let text = "there is no such part";
        self.reply_text_with(416, &fields, text, head_only, keep_alive);
    }
}

pub(super) fn is_hls(question: &Question) -> bool {
    matches!(question, Question::Hls)
}
