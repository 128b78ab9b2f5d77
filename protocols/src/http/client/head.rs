//! One response head: parsed and checked (RFC 9112 4 to 6).

use httparse::{EMPTY_HEADER, Header};
use smallvec::{SmallVec, smallvec};

use super::body::Body;
use super::error::Error;
use super::settings::ClientSettings;
use super::url::Url;

/// What a head means.
#[derive(Debug)]
pub(super) enum Head {
    /// 1xx: the real one follows (RFC 9110 15.2).
    Interim,
    /// 200.
    Found { content_type: String, body: Body },
    /// 301, 302, 303, 307 or 308 with a place that can be asked.
    Elsewhere(Url),
}

impl Head {
    /// Parses a whole head, which ends with its empty line. `at` is the position of its first byte,
    /// `asked` what was asked for.
    pub(super) fn parse(
        head: &[u8],
        at: u64,
        asked: &Url,
        settings: &ClientSettings,
    ) -> Result<Self, Error> {
        let mut headers: SmallVec<[Header<'_>; 64]> = smallvec![EMPTY_HEADER; settings.headers_max];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Error::Malformed { at, what: "response head" }),
            Err(error) => return Err(explain(error, at, settings)),
        }
        let (status, reason) = (parsed.code.unwrap_or(0), parsed.reason.unwrap_or_default());
        let fields = Fields::collect(parsed.headers, parsed.version == Some(0))?;
        match status {
            101 => Err(Error::Violation("the server switched to a protocol nobody asked for")),
            100..=199 => Ok(Self::Interim),
            200 => Ok(Self::Found { content_type: fields.content_type(), body: fields.body()? }),
            301 | 302 | 303 | 307 | 308 if let Some(location) = fields.location => {
                Ok(Self::Elsewhere(asked.resolve(location)?))
            }
            _ => Err(Error::Refused { status, reason: readable(reason) }),
        }
    }
}

/// The fields that matter here, as they stand in the head.
#[derive(Default)]
struct Fields<'a> {
    http_1_0: bool,
    content_type: &'a [u8],
    content_length: Option<u64>,
    /// The codings in all lines of `Transfer-Encoding`, and whether any but chunked is among them.
    chunked: usize,
    other_coding: bool,
    is_encoded: bool,
    location: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[Header<'a>], http_1_0: bool) -> Result<Self, Error> {
        let mut fields = Self { http_1_0, ..Self::default() };
        for header in headers {
            fields.take(header.name, header.value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, value: &'a [u8]) -> Result<(), Error> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("content-type") {
            self.content_type = value;
        } else if is("content-length") {
            items(value).try_for_each(|item| self.take_length(item))?;
        } else if is("transfer-encoding") {
            for coding in items(value) {
                match coding.eq_ignore_ascii_case(b"chunked") {
                    true => self.chunked += 1,
                    false => self.other_coding |= !is_identity(coding),
                }
            }
        } else if is("content-encoding") {
            self.is_encoded |= items(value).any(|coding| !is_identity(coding));
        } else if is("location") {
            self.location = self.location.or(Some(value));
        }
        Ok(())
    }

    /// Digits only; the same number more than once is one (RFC 9110 8.6).
    fn take_length(&mut self, item: &[u8]) -> Result<(), Error> {
        let length = str::from_utf8(item)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(Error::Violation("a Content-Length that is not a number"))?;
        match self.content_length.replace(length) {
            Some(other) if other != length => {
                Err(Error::Violation("Content-Length twice, and not the same"))
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 6.3: chunks before a length, a length before the end of the connection.
    fn body(&self) -> Result<Body, Error> {
        if self.is_encoded {
            return Err(Error::Unsupported("a compressed body, which was not asked for"));
        }
        match (self.chunked, self.content_length) {
            _ if self.other_coding => {
                Err(Error::Unsupported("a transfer coding other than chunked"))
            }
            (1.., _) if self.http_1_0 => Err(Error::Violation("Transfer-Encoding in HTTP/1.0")),
            (2.., _) => Err(Error::Violation("chunked twice")),
            (1, _) => Ok(Body::chunked()),
            (0, Some(length)) => Ok(Body::of_length(length)),
            (0, None) => Ok(Body::until_close()),
        }
    }

    fn content_type(&self) -> String {
        let media_type = self.content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        readable(&String::from_utf8_lossy(media_type.trim_ascii()).to_ascii_lowercase())
    }
}

fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn is_identity(coding: &[u8]) -> bool {
    coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
}

fn explain(error: httparse::Error, at: u64, settings: &ClientSettings) -> Error {
    let what = match error {
        httparse::Error::TooManyHeaders => {
            let limit = settings.headers_max as u64;
            return Error::LimitExceeded { setting: "headers_max", value: limit + 1, limit };
        }
        httparse::Error::Version => return Error::Unsupported("an HTTP version other than 1.x"),
        httparse::Error::HeaderName => "header field name",
        httparse::Error::HeaderValue => "header field value",
        httparse::Error::NewLine => "end of line",
        _ => "status line",
    };
    Error::Malformed { at, what }
}

/// A server's text for a log line.
fn readable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

const TEXT_CHARS_MAX: usize = 100;
