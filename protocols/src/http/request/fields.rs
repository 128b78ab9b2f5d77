//! The fields of a request head (RFC 9112 5), and what they say together.

use httparse::Header;

use super::{Content, Method};
use crate::http::error::Refusal;
use crate::http::websocket::handshake::Upgrade;

/// The fields that matter here, as they stand in the head.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) http_1_0: bool,
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
    pub(super) expects_continue: bool,
    pub(super) user_agent: &'a [u8],
    pub(super) origin: &'a [u8],
    pub(super) forwarded_for: Option<&'a [u8]>,
    pub(super) accept_encoding: Option<&'a [u8]>,
    pub(super) if_none_match: Option<&'a [u8]>,
    pub(super) if_range: Option<&'a [u8]>,
    pub(super) range: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    pub(super) fn collect(headers: &[Header<'a>], http_1_0: bool) -> Result<Self, Refusal> {
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
        } else if is("accept-encoding") {
            self.accept_encoding = self.accept_encoding.or(Some(value));
        } else if is("if-none-match") {
            self.if_none_match = self.if_none_match.or(Some(value));
        } else if is("if-range") {
            self.if_range = self.if_range.or(Some(value));
        } else if is("range") {
            self.range = self.range.or(Some(value));
        }
        Ok(())
    }

    /// The one host that HTTP/1.1 asks for (RFC 9112 3.2).
    pub(super) fn host(&self) -> Result<&'a str, Refusal> {
        match self.hosts {
            0 if self.http_1_0 => Ok(""),
            0 => Err(Refusal::violation(400, "an HTTP/1.1 request without Host")),
            1 => checked_host(self.host),
            _ => Err(Refusal::violation(400, "Host twice")),
        }
    }

    /// RFC 9112 9.3.
    pub(super) fn is_persistent(&self) -> bool {
        let wanted = if self.http_1_0 { self.connection_keep_alive } else { true };
        wanted && !self.connection_close
    }

    /// RFC 9112 6.3. Content that is only skipped has to be short and tell its length.
    pub(super) fn content(&self, method: Method) -> Result<Content, Refusal> {
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
    pub(super) fn upgrade(&self) -> Option<Upgrade<'a>> {
        (self.upgrade_websocket && !self.http_1_0).then_some(Upgrade {
            connection: self.connection_upgrade,
            key: self.websocket_key,
            version: self.websocket_version,
        })
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
pub(super) fn checked_host(host: &[u8]) -> Result<&str, Refusal> {
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
