//! One request head: found, parsed and checked (RFC 9112 2 to 7).
//!
//! Invariants
//! - How long the request is, is never guessed: what RFC 9112 6.3 leaves open to two readings
//!   (several lengths, a length beside a transfer coding) is refused, so no proxy in front can be
//!   misled.

use httparse::{EMPTY_HEADER, Header};
use smallvec::{SmallVec, smallvec};

use super::error::{Error, Refusal};
use super::settings::Settings;
use super::target::split_authority;
use super::websocket::handshake::Upgrade;

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
        let mut headers: SmallVec<[Header<'a>; 64]> = smallvec![EMPTY_HEADER; settings.headers_max];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Refusal::malformed(head.len(), "end of the request head")),
            Err(error) => return Err(explain(error, head, settings)),
        }
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
        })
    }
}

/// The fields that matter here, as they stand in the head.
#[derive(Default)]
struct Fields<'a> {
    http_1_0: bool,
    hosts: usize,
    host: &'a [u8],
    connection_close: bool,
    connection_keep_alive: bool,
    connection_upgrade: bool,
    upgrade_websocket: bool,
    websocket_key: Option<&'a [u8]>,
    websocket_version: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    expects_continue: bool,
    user_agent: &'a [u8],
    origin: &'a [u8],
    forwarded_for: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[Header<'a>], http_1_0: bool) -> Result<Self, Refusal> {
        let mut fields = Self { http_1_0, ..Self::default() };
        for header in headers {
            fields.take(header.name, header.value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            self.hosts += 1;
            self.host = value;
        } else if is("connection") {
            self.connection_close |= has_token(value, "close");
            self.connection_keep_alive |= has_token(value, "keep-alive");
            self.connection_upgrade |= has_token(value, "upgrade");
        } else if is("upgrade") {
            self.upgrade_websocket |= has_token(value, "websocket");
        } else if is("sec-websocket-key") {
            once(&mut self.websocket_key, value, "Sec-WebSocket-Key twice")?;
        } else if is("sec-websocket-version") {
            once(&mut self.websocket_version, value, "Sec-WebSocket-Version twice")?;
        } else if is("content-length") {
            once(&mut self.content_length, value, "Content-Length twice")?;
        } else if is("transfer-encoding") {
            once(&mut self.transfer_encoding, value, "Transfer-Encoding twice")?;
        } else if is("expect") {
            self.expects_continue |= has_token(value, "100-continue");
        } else if is("user-agent") {
            self.user_agent = value;
        } else if is("origin") {
            self.origin = value;
        } else if is("x-forwarded-for") {
            self.forwarded_for = self.forwarded_for.or(Some(value));
        }
        Ok(())
    }

    /// The one host that HTTP/1.1 asks for (RFC 9112 3.2).
    fn host(&self) -> Result<&'a str, Refusal> {
        match self.hosts {
            0 if self.http_1_0 => Ok(""),
            0 => Err(Refusal::violation(400, "an HTTP/1.1 request without Host")),
            1 => checked_host(self.host),
            _ => Err(Refusal::violation(400, "Host twice")),
        }
    }

    /// RFC 9112 9.3.
    fn is_persistent(&self) -> bool {
        let wanted = if self.http_1_0 { self.connection_keep_alive } else { true };
        wanted && !self.connection_close
    }

    /// RFC 9112 6.3. Content that is only skipped has to be short and tell its length.
    fn content(&self, method: Method) -> Result<Content, Refusal> {
        let is_skipped = method != Method::Post;
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Content::None),
            (None, Some(length)) => {
                let content = Content::Length(content_length(length)?);
                if is_skipped && content.skippable_bytes().is_none() {
                    return Err(Refusal::unsupported(413, "a request with content over 64 KiB"));
                }
                Ok(content)
            }
            (Some(_), Some(_)) => {
                Err(Refusal::violation(400, "Content-Length beside Transfer-Encoding"))
            }
            (Some(_), None) if self.http_1_0 => {
                Err(Refusal::violation(400, "Transfer-Encoding in HTTP/1.0"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") && is_skipped => {
                Err(Refusal::unsupported(411, "a chunked request; a Content-Length is needed"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Content::Chunked),
            (Some(_), None) => {
                Err(Refusal::unsupported(501, "a transfer coding other than chunked"))
            }
        }
    }

    /// HTTP/1.0 cannot be upgraded (RFC 9110 7.8).
    fn upgrade(&self) -> Option<Upgrade<'a>> {
        (self.upgrade_websocket && !self.http_1_0).then_some(Upgrade {
            connection: self.connection_upgrade,
            key: self.websocket_key,
            version: self.websocket_version,
        })
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

fn once<'a>(
    field: &mut Option<&'a [u8]>,
    value: &'a [u8],
    rule: &'static str,
) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::violation(400, rule)),
    }
}

/// Digits only: no sign, no list, no space (RFC 9110 8.6).
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::violation(400, "a Content-Length that is not a number"))
}

/// The characters of RFC 3986 3.2.2 and 3.2.3; it stands in replies and log lines.
fn checked_host(host: &[u8]) -> Result<&str, Refusal> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    std::str::from_utf8(host)
        .ok()
        .filter(|host| host.as_bytes().iter().all(allowed))
        .ok_or(Refusal::violation(400, "a Host with characters that no host has"))
}

/// True when a comma-separated list holds `token` (RFC 9110 5.6.1).
fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
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
