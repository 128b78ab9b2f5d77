//! The client's side: asks for one body, which may be long or without end, and takes its framing off.
//!
//! Specs: RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 3986 (URLs).
//!
//! Invariants
//! - One session is one request: `GET`, answered once, and then the connection is done with.
//! - Held: one response head (`header_bytes_max`); of the body, only what no event has taken yet.
//! - Whatever does not begin as HTTP is refused at its first wrong byte, so that a peer of another
//!   protocol is not waited for.

mod body;
mod error;
mod event;
mod head;
mod settings;
mod url;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;

pub use error::Error;
pub use event::ClientEvent;
pub use settings::ClientSettings;
pub use url::Url;

use self::body::Body;
use self::head::Head;
use self::url::Authority;
use super::request::head_end;
use crate::session::{Millis, Session};

/// A client session.
///
/// Calls as in [`Session`], and [`input_ended`](Self::input_ended) when the peer has closed. The
/// request is in the first output; events are as [`ClientEvent`] says. After
/// [`ClientEvent::End`], [`ClientEvent::Redirect`] or an error all further input is dropped.
#[derive(Debug)]
pub struct ClientSession {
    settings: Arc<ClientSettings>,
    url: Url,
    state: State,
    output: Option<Bytes>,
    events: VecDeque<ClientEvent>,
    opened: Millis,
    received: Millis,
    /// Bytes received so far.
    at: u64,
}

#[derive(Debug)]
enum State {
    /// The response head, as far as it has come, and how many interim ones came before.
    Head {
        bytes: Vec<u8>,
        interims: usize,
    },
    /// The body, which begins at byte `from`.
    Body {
        body: Body,
        from: u64,
    },
    Ended,
}

impl ClientSession {
    /// A session that asks for `url` over a connection that is being made at `now`.
    #[must_use]
    pub fn new(settings: Arc<ClientSettings>, url: Url, now: Millis) -> Self {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            url.path(),
            Authority(&url),
            settings.user_agent,
        );
        Self {
            settings,
            url,
            state: State::Head { bytes: Vec::new(), interims: 0 },
            output: Some(request.into()),
            events: VecDeque::new(),
            opened: now,
            received: now,
            at: 0,
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Takes the end of the connection, which may be that of the body.
    ///
    /// # Errors
    /// [`Error::CutOff`]: it is not.
    pub fn input_ended(&mut self) -> Result<(), Error> {
        let within = match mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Ok(()),
            State::Body { body, .. } if body.ends_with_connection() => {
                self.events.push_back(ClientEvent::End);
                return Ok(());
            }
            State::Body { .. } => "body",
            State::Head { .. } => "response head",
        };
        Err(Error::CutOff { at: self.at, within })
    }

    fn take(&mut self, mut input: &[u8]) -> Result<(), Error> {
        while !input.is_empty() {
            match &self.state {
                State::Head { .. } => self.take_head(&mut input)?,
                State::Body { .. } => {
                    self.take_body(Bytes::copy_from_slice(mem::take(&mut input)))?
                }
                State::Ended => break,
            }
        }
        Ok(())
    }

    fn take_head(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let State::Head { bytes, interims } = &mut self.state else { return Ok(()) };
        let had = bytes.len();
        let start = self.at - had as u64;
        let room = self.settings.header_bytes_max.saturating_add(1).saturating_sub(had);
        bytes.extend_from_slice(input.get(..room).unwrap_or(input));
        check_start(bytes, start)?;
        let end = head_end(bytes, had.saturating_sub(2));
        let length = end.unwrap_or(bytes.len());
        if length > self.settings.header_bytes_max {
            let limit = self.settings.header_bytes_max as u64;
            return Err(Error::LimitExceeded {
                setting: "header_bytes_max",
                value: limit + 1,
                limit,
            });
        }
        *input = input.get(length.saturating_sub(had)..).unwrap_or_default();
        self.at = start + length as u64;
        if end.is_none() {
            return Ok(());
        }
        let interims = *interims + 1;
        let head = bytes.get(..length).unwrap_or_default();
        match Head::parse(head, start, &self.url, &self.settings)? {
            Head::Interim if interims > INTERIMS_MAX => {
                return Err(Error::Unsupported("more than 8 interim responses"));
            }
            Head::Interim => self.state = State::Head { bytes: Vec::new(), interims },
            Head::Found { content_type, body } => {
                self.events.push_back(ClientEvent::Head { status: 200, content_type });
                self.state = State::Body { body, from: self.at };
                self.end_if_complete();
            }
            Head::Elsewhere(url) => {
                self.events.push_back(ClientEvent::Redirect(url));
                self.state = State::Ended;
            }
        }
        Ok(())
    }

    fn take_body(&mut self, piece: Bytes) -> Result<(), Error> {
        let Self { state: State::Body { body, from }, events, at, .. } = self else {
            return Ok(());
        };
        let from = *from;
        let taken = body.push(piece, |data| events.push_back(ClientEvent::Body(data)));
        *at = from + body.taken();
        taken.map_err(|error| match error {
            Error::Malformed { at, what } => Error::Malformed { at: from + at, what },
            other => other,
        })?;
        self.end_if_complete();
        Ok(())
    }

    fn end_if_complete(&mut self) {
        if matches!(&self.state, State::Body { body, .. } if body.is_complete()) {
            self.events.push_back(ClientEvent::End);
            self.state = State::Ended;
        }
    }

    /// The deadline at hand with what is waited for, the setting and its value.
    fn timeout(&self) -> Option<(Millis, &'static str, &'static str, u64)> {
        match self.state {
            State::Head { .. } => {
                let limit_ms = self.settings.head_timeout_ms;
                Some((self.opened + limit_ms, "response", "head_timeout_ms", limit_ms))
            }
            State::Body { .. } => {
                let limit_ms = self.settings.silence_timeout_ms;
                let deadline = self.received + limit_ms;
                (limit_ms > 0).then_some((
                    deadline,
                    "more of the body",
                    "silence_timeout_ms",
                    limit_ms,
                ))
            }
            State::Ended => None,
        }
    }
}

impl Session for ClientSession {
    type Event = ClientEvent;
    type Error = Error;

    fn handle_input(&mut self, now: Millis, input: &[u8]) -> Result<(), Error> {
        self.received = now;
        self.take(input).inspect_err(|_| self.state = State::Ended)
    }

    fn handle_timeout(&mut self, now: Millis) -> Result<(), Error> {
        match self.timeout() {
            Some((deadline, what, setting, limit_ms)) if deadline <= now => {
                self.state = State::Ended;
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

/// Refuses what does not begin as a response.
fn check_start(head: &[u8], start: u64) -> Result<(), Error> {
    match head.iter().zip(b"HTTP/1.").position(|(byte, expected)| byte != expected) {
        None => Ok(()),
        Some(at) => Err(Error::Malformed { at: start + at as u64, what: "status line" }),
    }
}

/// Redirects that are followed in a row before a caller gives up.
pub const REDIRECTS_MAX: usize = 5;

/// Nothing that was asked for has any.
const INTERIMS_MAX: usize = 8;

#[cfg(test)]
mod tests;
