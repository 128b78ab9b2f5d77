//! One request head: found, parsed and checked (RFC 9112 2 to 7).
//!
//! Cost: a head that has come whole is read where it lies, in one pass, without an allocation.
//!
//! Invariants
//! - How long the request is, is never guessed: what RFC 9112 6.3 leaves open to two readings
//!   (several lengths, a length beside a transfer coding) is refused, so no proxy in front can be
//!   misled.

use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Header};

use super::error::{Error, Refusal};
use super::settings::Settings;
use super::target::split_authority;
use super::websocket::handshake::Upgrade;

mod fields;

use fields::{Fields, checked_host};

/// The methods that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Options,
    /// POST or PUT, which mean the same here.
    Post,
    /// Answered by 405.
    Other,
}

/// A request whose head is complete, borrowed from it.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Path and query, or `*`.
    pub(super) origin_form: &'a str,
    /// `Host`, or the authority of an absolute target. Empty if HTTP/1.0 sent none.
    pub(super) host: &'a str,
    /// The client lets the connection go on after the reply.
    pub(super) is_persistent: bool,
    /// The connection may go on after a reply that leaves the content unread.
    pub(super) keep_alive: bool,
    /// What follows the head.
    pub(super) content: Content,
    /// The client waits for `100 Continue` before it sends the content.
    pub(super) expects_continue: bool,
    /// The request asks for a WebSocket.
    pub(super) upgrade: Option<Upgrade<'a>>,
    pub(super) user_agent: &'a [u8],
    pub(super) origin: &'a [u8],
    pub(super) forwarded_for: Option<&'a [u8]>,
    /// Empty if none; the first of several, as for the fields below.
    pub(super) accept_encoding: &'a [u8],
    pub(super) if_none_match: &'a [u8],
    pub(super) if_range: &'a [u8],
    pub(super) range: Option<&'a [u8]>,
}

/// The content of a request, as its head announces it (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Neither a length nor a transfer coding.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks. Only with [`Method::Post`].
    Chunked,
}

impl Content {
    /// How many bytes are to be skipped when nobody wants the content; `None` when that is not
    /// worth while.
    pub(super) fn skippable_bytes(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(bytes) => Some(bytes).filter(|bytes| *bytes <= BODY_BYTES_MAX),
            Self::Chunked => None,
        }
    }
}

impl<'a> Request<'a> {
    /// Parses a whole head, which ends with its empty line.
    ///
    /// # Errors
    /// 400, 411, 413, 414, 431, 501 or 505 with what is wrong. All of them end the connection,
    /// because where the next request starts is not certain any more.
    pub(super) fn parse(head: &'a [u8], settings: &Settings) -> Result<Self, Refusal> {
        let mut places = Places::new();
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, places.of(settings)) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Refusal::malformed(head.len(), "end of the request head")),
            Err(error) => return Err(explain(error, head, settings)),
        }
        Self::check(&parsed, settings)
    }

    /// Parses the head at the front of `bytes`, if a good one is there, and says how long it is.
    pub(super) fn parse_first(bytes: &'a [u8], settings: &Settings) -> Option<(Self, usize)> {
        let mut places = Places::new();
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed.parse_with_uninit_headers(bytes, places.of(settings)).ok()?;
        let httparse::Status::Complete(length) = status else { return None };
        check_head(bytes.get(..length)?, settings).ok()?;
        Self::check(&parsed, settings).ok().map(|request| (request, length))
    }

    fn check(parsed: &httparse::Request<'_, 'a>, settings: &Settings) -> Result<Self, Refusal> {
        let target = parsed.path.unwrap_or_default();
        if target.len() > settings.uri_bytes_max {
            return Err(uri_too_long(settings));
        }
        let fields = Fields::collect(parsed.headers, parsed.version == Some(0))?;
        let (authority, origin_form) = split_authority(target);
        let method = method(parsed.method.unwrap_or_default());
        let content = fields.content(method)?;
        let is_persistent = fields.is_persistent();
        let expects_continue = fields.expects_continue && !fields.http_1_0;
        Ok(Self {
            method,
            origin_form,
            host: authority.map_or_else(|| fields.host(), |text| checked_host(text.as_bytes()))?,
            is_persistent,
            // A client that waits for `100 Continue` and gets another answer may send its content
            // or not, so the connection cannot go on (RFC 9110 10.1.1).
            keep_alive: is_persistent && !expects_continue && content.skippable_bytes().is_some(),
            content,
            expects_continue,
            upgrade: fields.upgrade(),
            user_agent: fields.user_agent,
            origin: fields.origin,
            forwarded_for: fields.forwarded_for,
            accept_encoding: fields.accept_encoding.unwrap_or_default(),
            if_none_match: fields.if_none_match.unwrap_or_default(),
            if_range: fields.if_range.unwrap_or_default(),
            range: fields.range,
        })
    }
}

/// Where the parser puts the fields. Clearing the places first would cost as much as parsing.
struct Places<'a> {
    few: [MaybeUninit<Header<'a>>; 64],
    many: Vec<MaybeUninit<Header<'a>>>,
}

impl<'a> Places<'a> {
    fn new() -> Self {
        Self { few: [const { MaybeUninit::uninit() }; 64], many: Vec::new() }
    }

    /// As many as are accepted.
    fn of(&mut self, settings: &Settings) -> &mut [MaybeUninit<Header<'a>>] {
        if let Some(places) = self.few.get_mut(..settings.headers_max) {
            return places;
        }
        self.many.resize_with(settings.headers_max, MaybeUninit::uninit);
        &mut self.many
    }
}

/// Where a head ends in `bytes`: behind the first empty line; looked for from `from`.
pub(super) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Refuses a head, complete or not, as soon as its first bytes tell that it is not a good one.
///
/// # Errors
/// 400 when it does not start with a method, 414 or 431 when a part is over its limit.
pub(super) fn check_head(head: &[u8], settings: &Settings) -> Result<(), Refusal> {
    check_method(head)?;
    let line_bytes = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
    if line_bytes > settings.uri_bytes_max.saturating_add(REQUEST_LINE_BYTES_MAX) {
        return Err(uri_too_long(settings));
    }
    if head.len() > settings.header_bytes_max {
        let status = if line_bytes < head.len() { 431 } else { 414 };
        return Err(over(status, "header_bytes_max", settings.header_bytes_max));
    }
    Ok(())
}

fn check_method(head: &[u8]) -> Result<(), Refusal> {
    let start = head.get(..METHOD_BYTES_MAX).unwrap_or(head);
    let is_method = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    match start.iter().enumerate().find(|(_, byte)| !is_method(byte)) {
        None if start.len() < METHOD_BYTES_MAX => Ok(()),
        None => Err(Refusal::malformed(METHOD_BYTES_MAX, "method")),
        Some((0, &TLS_HANDSHAKE)) => Err(Refusal::unsupported(400, "TLS on the plain HTTP port")),
        Some((1.., b' ')) => Ok(()),
        Some((at, _)) => Err(Refusal::malformed(at, "method")),
    }
}

/// Says what a parse error means to the peer, and where it is.
fn explain(error: httparse::Error, head: &[u8], settings: &Settings) -> Refusal {
    let what = match error {
        httparse::Error::TooManyHeaders => {
            return over(431, "headers_max", settings.headers_max);
        }
        httparse::Error::Version if names_another_version(head) => {
            return Refusal::unsupported(505, "an HTTP version other than 1.0 and 1.1");
        }
        httparse::Error::HeaderName => "header field name",
        httparse::Error::HeaderValue => "header field value",
        httparse::Error::NewLine => "end of line",
        _ => "request line",
    };
    Refusal::malformed(error_position(head, settings.headers_max), what)
}

/// The length of the shortest prefix of `head` that is wrong already. A prefix of a wrong one is
/// wrong from some length on, so halving finds it; this is off the good path.
fn error_position(head: &[u8], headers_max: usize) -> usize {
    let is_wrong = |length: usize| {
        let mut headers = vec![EMPTY_HEADER; headers_max];
        httparse::Request::new(&mut headers).parse(head.get(..length).unwrap_or(head)).is_err()
    };
    let (mut right, mut wrong) = (0, head.len());
    while right + 1 < wrong {
        let middle = right + (wrong - right) / 2;
        if is_wrong(middle) { wrong = middle } else { right = middle }
    }
    wrong.saturating_sub(1)
}

fn names_another_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let version = line.split(|byte| *byte == b' ').nth(2).unwrap_or_default();
    version
        .strip_prefix(b"HTTP/")
        .is_some_and(|number| number.first().is_some_and(u8::is_ascii_digit))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        "POST" | "PUT" => Method::Post,
        _ => Method::Other,
    }
}

fn uri_too_long(settings: &Settings) -> Refusal {
    over(414, "uri_bytes_max", settings.uri_bytes_max)
}

/// More than `limit`; how much more is not read.
fn over(status: u16, setting: &'static str, limit: usize) -> Refusal {
    Refusal::limit(status, setting, limit.saturating_add(1), limit)
}

impl Refusal {
    /// 408: the head did not come in time.
    pub(super) fn too_slow(settings: &Settings) -> Self {
        let (setting, limit_ms) = ("request_timeout_ms", settings.request_timeout_ms);
        Self { status: 408, error: Error::TimedOut { what: "complete request", setting, limit_ms } }
    }
}

/// Content that is skipped to keep a connection; nobody sends more to where none is taken.
const BODY_BYTES_MAX: u64 = 64 << 10;
/// The longest registered methods (`UPDATEREDIRECTREF`) and a space fit.
const METHOD_BYTES_MAX: usize = 24;
/// What a request line holds beside its target: a method, two spaces, a version, a carriage return.
const REQUEST_LINE_BYTES_MAX: usize = METHOD_BYTES_MAX + 11;
/// The first byte of a TLS ClientHello's record (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

#[cfg(test)]
mod tests;
