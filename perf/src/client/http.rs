//! A GET and its answer (RFC 9112).

use std::collections::VecDeque;

use bytes::Bytes;
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::Demuxer;
use corelay_protocols::rtmp::{MediaKind, MediaMessage};

use super::Received;
use super::chunked::Chunked;
use super::websocket::Frames;
use crate::target::HttpTarget;

/// One request, and then its body to the end of the connection.
#[derive(Debug)]
pub struct HttpClient {
    output: VecDeque<Bytes>,
    websocket: bool,
    head: Vec<u8>,
    framing: Option<Framing>,
    body: Body,
}

/// What surrounds the body's bytes.
#[derive(Debug)]
enum Framing {
    Plain,
    Chunked(Chunked),
    WebSocket(Frames),
}

/// What the body is.
#[derive(Debug)]
enum Body {
    Flv(Demuxer),
    Counted,
}

impl HttpClient {
    pub(super) fn new(request: Bytes, websocket: bool, flv: bool) -> Self {
        Self {
            output: VecDeque::from([request]),
            websocket,
            head: Vec::new(),
            framing: None,
            body: if flv { Body::Flv(Demuxer::new(TAG_BYTES_MAX)) } else { Body::Counted },
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
        received: &mut impl FnMut(Received),
    ) -> Result<(), String> {
        if self.framing.is_some() {
            return self.take_body(input, received);
        }
        let before = self.head.len();
        self.head.extend_from_slice(input);
        let from = before.saturating_sub(HEAD_END.len());
        let end = self.head.get(from..).and_then(|new| find(new, HEAD_END));
        let Some(end) = end.map(|at| from + at + HEAD_END.len()) else {
            let fits = self.head.len() <= HEAD_BYTES_MAX;
            return if fits { Ok(()) } else { Err("the answer's head is too long".to_owned()) };
        };
        let body = self.head.split_off(end);
        let head = String::from_utf8_lossy(&std::mem::take(&mut self.head)).into_owned();
        self.framing = Some(framing(&head, self.websocket)?);
        self.take_body(&body, received)
    }

    fn take_body(
        &mut self,
        input: &[u8],
        received: &mut impl FnMut(Received),
    ) -> Result<(), String> {
        let body = &mut self.body;
        match &mut self.framing {
            None => Ok(()),
            Some(Framing::Plain) => body.take(input, received),
            Some(Framing::Chunked(chunked)) => {
                chunked.take(input, |bytes| body.take(bytes, received))
            }
            Some(Framing::WebSocket(frames)) => {
                let output = &mut self.output;
                frames.take(
                    input,
                    |pong| output.push_back(pong),
                    |bytes| body.take(bytes, received),
                )
            }
        }
    }
}

impl Body {
    fn take(&mut self, bytes: &[u8], received: &mut impl FnMut(Received)) -> Result<(), String> {
        let Self::Flv(demuxer) = self else {
            if !bytes.is_empty() {
                received(Received::Body(bytes.len()));
            }
            return Ok(());
        };
        demuxer.push(bytes);
        while let Some(tag) = demuxer.next_tag().map_err(|error| error.to_string())? {
            let kind = match tag.tag_type {
                TagType::Audio => MediaKind::Audio,
                TagType::Video => MediaKind::Video,
                TagType::Script => MediaKind::Data,
            };
            let (timestamp_ms, payload) = (tag.timestamp_ms, tag.body);
            received(Received::Media(MediaMessage { kind, timestamp_ms, payload }));
        }
        Ok(())
    }
}

/// What the head of an answer says of its body.
fn framing(head: &str, websocket: bool) -> Result<Framing, String> {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).unwrap_or_default();
    let expected = if websocket { "101" } else { "200" };
    if !status_line.starts_with("HTTP/1.") || status != expected {
        return Err(format!("the server answered `{status_line}`"));
    }
    let header = |wanted: &str| {
        lines.clone().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    Ok(match header("Transfer-Encoding") {
        _ if websocket => Framing::WebSocket(Frames::default()),
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => {
            Framing::Chunked(Chunked::default())
        }
        _ => Framing::Plain,
    })
}

pub(super) fn request(target: &HttpTarget) -> Bytes {
    let HttpTarget { path, authority, .. } = target;
    let lines = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\r\n"
    );
    lines.into()
}

/// The key is the example of RFC 6455 1.3: it only has to be 16 bytes in Base64.
pub(super) fn websocket_request(target: &HttpTarget) -> Bytes {
    let HttpTarget { path, authority, .. } = target;
    let lines = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {USER_AGENT}\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    lines.into()
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

const USER_AGENT: &str = concat!("corelay-perf/", env!("CARGO_PKG_VERSION"));
const HEAD_END: &[u8] = b"\r\n\r\n";
/// More than any server's answer, so that a wrong port is noticed soon.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The largest FLV tag there can be.
const TAG_BYTES_MAX: usize = 0xFF_FFFF;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::container::flv::header::{file_header, tag_header};

    fn flv() -> Vec<u8> {
        let mut flv = file_header(false, true).to_vec();
        for (time, body) in [(0, &b"\x17\x01one"[..]), (40, b"\x27\x01two")] {
            flv.extend(tag_header(TagType::Video, time, body.len()).unwrap());
            flv.extend(body);
            flv.extend((body.len() as u32 + 11).to_be_bytes());
        }
        flv
    }

    fn chunked(body: &[u8]) -> Vec<u8> {
        let mut out = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(17) {
            out.extend(format!("{:X};x=y\r\n", chunk.len()).into_bytes());
            out.extend(chunk);
            out.extend(b"\r\n");
        }
        out
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut out = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
        out.extend([0x82, 126]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    /// Feeds an answer in two parts and returns the bodies of the tags.
    fn play(answer: &[u8], websocket: bool, split: usize) -> Result<Vec<Vec<u8>>, String> {
        let mut client = HttpClient::new(Bytes::new(), websocket, true);
        let mut bodies = Vec::new();
        let mut receive = |received| match received {
            Received::Media(media) => bodies.push(media.payload.to_vec()),
            Received::Body(_) => panic!("parsed bodies are not counted"),
        };
        let (first, second) = answer.split_at(split);
        client.handle_input(first, &mut receive)?;
        client.handle_input(second, &mut receive)?;
        Ok(bodies)
    }

    #[test]
    fn tags_arrive_whatever_the_framing_and_the_split() {
        let plain = [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &flv()].concat();
        for (answer, websocket) in
            [(plain, false), (chunked(&flv()), false), (framed(&flv()), true)]
        {
            for split in 0..=answer.len() {
                let bodies = play(&answer, websocket, split).unwrap();
                assert_eq!(bodies, [b"\x17\x01one", b"\x27\x01two"], "{websocket} {split}");
            }
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_status_line() {
        let error = play(b"HTTP/1.1 404 Not Found\r\n\r\n", false, 5).unwrap_err();
        assert!(error.contains("404 Not Found"), "{error}");
        assert!(play(b"HTTP/1.1 200 OK\r\n\r\n", true, 5).is_err(), "no WebSocket");
        assert!(play(&[b'x'; HEAD_BYTES_MAX + 2], false, 3).is_err(), "no HTTP at all");
        assert!(play(b"HTTP/1.1 200 OK\r\n\r\nno FLV", false, 3).is_err());
    }

    #[test]
    fn a_body_of_another_kind_is_counted() {
        let mut client = HttpClient::new(Bytes::new(), false, false);
        let mut count = 0;
        let mut receive = |received| match received {
            Received::Body(bytes) => count += bytes,
            Received::Media(media) => panic!("{media:?}"),
        };
        client.handle_input(b"HTTP/1.1 200 OK\r\n\r\nabc", &mut receive).unwrap();
        client.handle_input(b"defg", &mut receive).unwrap();
        assert_eq!(count, 7);
    }
}
