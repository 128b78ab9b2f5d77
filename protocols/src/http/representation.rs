//! Responses with a body of a known length: playlists, segments (RFC 9110 8).

use std::ops::Range;

use bytes::Bytes;

use super::coding::Coding;
use super::output::Output;
use super::response::{put, write_start};
use super::settings::Settings;

/// What a response says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representation<'a> {
    /// `Content-Type`.
    pub media_type: &'a str,
    /// Bytes of the whole body, coded as it is.
    pub length: u64,
    /// `Cache-Control`: `max-age=60`, `no-cache`.
    pub cache_control: &'a str,
    /// The entity tag without its quotes: visible ASCII, the same for the same bytes. Empty: none.
    /// It is sent as a weak one where gzip is negotiated, as one tag stands for both codings then.
    pub etag: &'a str,
    /// How the body is coded.
    pub coding: Coding,
}

/// A response that is the same for every client, whole: made once, sent any number of times.
///
/// Cost of sending it: none but the reference, while the connection goes on.
#[derive(Clone, Debug)]
pub struct Prepared {
    etag: Box<str>,
    found: Message,
    /// 304, for clients that have it already.
    not_modified: Message,
}

/// Head and body, for a connection that goes on.
#[derive(Clone, Debug)]
struct Message {
    bytes: Bytes,
    head_bytes: usize,
}

impl Representation<'_> {
    /// Appends the head of a response with the body: 200 for all of it, 206 for `part`.
    pub(super) fn write_head(
        &self,
        part: Option<&Range<u64>>,
        keep_alive: bool,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) {
        out.reserve(HEAD_BYTES);
        write_start(if part.is_some() { 206 } else { 200 }, settings, out);
        self.write_validators(settings, out);
        match self.coding {
            Coding::Fixed => put(out, &["Accept-Ranges: bytes\r\n"]),
            Coding::Identity => {}
            Coding::Gzip => put(out, &["Content-Encoding: gzip\r\n"]),
        }
        if let Some(part) = part {
            let last = part.end.saturating_sub(1);
            let range = format!("Content-Range: bytes {}-{last}/{}\r\n", part.start, self.length);
            put(out, &[&range]);
        }
        let length = part.map_or(self.length, |part| part.end.saturating_sub(part.start));
        put(out, &["Content-Type: ", self.media_type, "\r\nContent-Length: ", &length.to_string()]);
        put(out, &["\r\n", head_end(keep_alive)]);
    }

    /// Appends a response that tells the client to use its copy: 304 (RFC 9110 15.4.5).
    pub(super) fn write_not_modified(
        &self,
        keep_alive: bool,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) {
        write_start(304, settings, out);
        self.write_validators(settings, out);
        put(out, &[head_end(keep_alive)]);
    }

    fn write_validators(&self, settings: &Settings, out: &mut Vec<u8>) {
        if !settings.allow_origin.is_empty() {
            put(out, &[EXPOSED]);
        }
        put(out, &["Cache-Control: ", self.cache_control, "\r\n"]);
        let is_negotiated = self.coding != Coding::Fixed;
        if !self.etag.is_empty() {
            let start = if is_negotiated { "ETag: W/\"" } else { "ETag: \"" };
            put(out, &[start, self.etag, "\"\r\n"]);
        }
        if is_negotiated {
            put(out, &["Vary: Accept-Encoding\r\n"]);
        }
    }
}

impl Prepared {
    /// The response with `body`, which says what `representation` says but for the length.
    pub fn new(representation: &Representation<'_>, body: &[u8], settings: &Settings) -> Self {
        let representation = Representation { length: body.len() as u64, ..*representation };
        let mut found = Vec::with_capacity(HEAD_BYTES + body.len());
        representation.write_head(None, true, settings, &mut found);
        let head_bytes = found.len();
        found.extend_from_slice(body);
        let mut not_modified = Vec::with_capacity(HEAD_BYTES);
        representation.write_not_modified(true, settings, &mut not_modified);
        Self {
            etag: representation.etag.into(),
            found: Message { bytes: found.into(), head_bytes },
            not_modified: Message { head_bytes: not_modified.len(), bytes: not_modified.into() },
        }
    }

    /// The entity tag without its quotes.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The body.
    pub fn body(&self) -> Bytes {
        self.found.bytes.slice(self.found.head_bytes..)
    }

    /// The answer for a client that has the body, or has not.
    pub(super) fn write(&self, answer: Answer, keep_alive: bool, out: &mut Output) {
        let message = if answer == Answer::NotModified { &self.not_modified } else { &self.found };
        let head_only = answer == Answer::Head;
        if keep_alive {
            out.share(message.shared(head_only));
        } else {
            message.write_last(head_only, out.buffer());
        }
    }
}

impl Message {
    fn shared(&self, head_only: bool) -> Bytes {
        if head_only { self.bytes.slice(..self.head_bytes) } else { self.bytes.clone() }
    }

    /// Appends it as the last one of a connection.
    fn write_last(&self, head_only: bool, out: &mut Vec<u8>) {
        let (head, body) = self.bytes.split_at(self.head_bytes);
        out.extend_from_slice(head.strip_suffix(head_end(true).as_bytes()).unwrap_or(head));
        put(out, &[head_end(false)]);
        if !head_only {
            out.extend_from_slice(body);
        }
    }
}

/// What of a [`Prepared`] is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Whole,
    /// To a HEAD request.
    Head,
    NotModified,
}

/// How every head here ends; nothing else in it depends on the connection.
fn head_end(keep_alive: bool) -> &'static str {
    if keep_alive { "Connection: keep-alive\r\n\r\n" } else { "Connection: close\r\n\r\n" }
}

/// What a page of another origin may read (Fetch 3.2.3). By name, as televisions have browsers that
/// do not know the wildcard; `Age` and `Date` are those of a cache in front, from which a player
/// learns how old its playlist is.
const EXPOSED: &str =
    "Access-Control-Expose-Headers: Age, Content-Length, Content-Range, Date, ETag\r\n";
/// Heads are a little shorter.
const HEAD_BYTES: usize = 512;
