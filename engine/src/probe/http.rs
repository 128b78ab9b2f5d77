//! A transport stream over HTTP/1.1: one GET, redirects followed, chunks taken off.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use corelay_config::{Endpoint, Host, MediaUrl, Side};

use super::source::{SourceError, connect, is_timeout};

/// Why a response is no stream.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection failed while the response was awaited.
    #[error("{0} did not answer: {1}")]
    NoAnswer(String, io::Error),
    /// What came is no response.
    #[error("{0} does not speak HTTP; check the port, or probe tcp://{0}")]
    NotHttp(String),
    /// Not found, forbidden, or anything else but 200.
    #[error("{place} answered {status}; check the path")]
    Status {
        /// Who answered.
        place: String,
        /// Status code and reason.
        status: String,
    },
    /// A redirect that cannot be followed.
    #[error("{0} redirects to {1}, which cannot be followed; probe that URL's server by http://")]
    Redirect(String, String),
}

/// Asks for `path`, and returns the body and the place that it comes from in the end.
pub(super) fn open(
    host: &Host,
    port: u16,
    path: &str,
) -> Result<(Box<dyn Read>, String), SourceError> {
    let (mut host, mut port, mut path) = (host.clone(), port, path.to_owned());
    for _ in 0..=REDIRECTS_MAX {
        let place = format!("{host}:{port}");
        let (mut stream, _) = connect(&host, port)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: corelay/{}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        );
        let no_answer = |error| HttpError::NoAnswer(place.clone(), error);
        stream.write_all(request.as_bytes()).map_err(no_answer)?;
        let (head, rest) = read_head(&mut stream).map_err(no_answer)?;
        let head = Head::parse(&head).ok_or_else(|| HttpError::NotHttp(place.clone()))?;
        match (head.status, head.location) {
            (200, _) => {
                let body = io::Cursor::new(rest).chain(stream);
                let reader: Box<dyn Read> = match head.is_chunked {
                    true => Box::new(Chunked { inner: body, left: 0, state: ChunkState::Size(0) }),
                    false => Box::new(body),
                };
                return Ok((reader, place));
            }
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                let Some(next) = follow(&location, &host, port) else {
                    return Err(HttpError::Redirect(place, location).into());
                };
                (host, port, path) = next;
            }
            _ => return Err(HttpError::Status { place, status: head.status_line }.into()),
        }
    }
    Err(HttpError::Redirect(format!("{host}:{port}"), "one page after the other".to_owned()).into())
}

fn follow(location: &str, host: &Host, port: u16) -> Option<(Host, u16, String)> {
    if location.starts_with('/') {
        return Some((host.clone(), port, location.to_owned()));
    }
    let place = location.split('#').next()?;
    match MediaUrl::parse(place, Side::Probe).ok()?.endpoint {
        Endpoint::Http { host, port, path } => Some((host, port, path)),
        _ => None,
    }
}

/// The head, and what has come behind it.
fn read_head(stream: &mut impl Read) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let deadline = Instant::now() + HEAD_TIMEOUT;
    let mut head = Vec::new();
    let mut piece = [0; 2_048];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok((head, Vec::new())),
            Ok(count) => head.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if is_timeout(&error) && Instant::now() < deadline => continue,
            Err(error) => return Err(error),
        }
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Ok((head, rest));
        }
        // Something that is not HTTP, and does not end.
        let is_http = head.iter().zip(b"HTTP").all(|(byte, wanted)| byte == wanted);
        if head.len() > HEAD_BYTES_MAX || !is_http {
            return Ok((head, Vec::new()));
        }
    }
}

struct Head {
    status: u16,
    /// `404 Not Found`.
    status_line: String,
    location: Option<String>,
    is_chunked: bool,
}

impl Head {
    fn parse(head: &[u8]) -> Option<Self> {
        let head = str::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let first = lines.next()?.strip_prefix("HTTP/1.")?;
        let status_line = first.split_once(' ')?.1.trim().to_owned();
        let status = status_line.get(..3)?.parse().ok()?;
        let mut parsed = Self { status, status_line, location: None, is_chunked: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "location" => parsed.location = Some(value.trim().to_owned()),
                "transfer-encoding" => {
                    parsed.is_chunked = value.to_ascii_lowercase().contains("chunked");
                }
                _ => {}
            }
        }
        Some(parsed)
    }
}

/// A body in chunks: RFC 9112 7.1.
struct Chunked<R> {
    inner: R,
    /// Bytes of the chunk that have not come.
    left: u64,
    state: ChunkState,
}

/// What comes next. Kept between reads, which may time out anywhere.
#[derive(Clone, Copy)]
enum ChunkState {
    /// The size, of which so much has come.
    Size(u64),
    /// The rest of the line with this size.
    SizeEnd(u64),
    Data,
    /// The line break behind the data.
    DataEnd,
    End,
}

impl<R: Read> Read for Chunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                ChunkState::End => return Ok(0),
                ChunkState::Data => {
                    let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
                    let count = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
                    self.left -= count as u64;
                    match (self.left, count) {
                        (0, _) => self.state = ChunkState::DataEnd,
                        (_, 0) => self.state = ChunkState::End,
                        _ => {}
                    }
                    return Ok(count);
                }
                _ => {
                    let mut byte = [0];
                    if self.inner.read(&mut byte)? == 0 {
                        return Ok(0);
                    }
                    self.framing(byte[0])?;
                }
            }
        }
    }
}

impl<R> Chunked<R> {
    /// One byte between the data of two chunks.
    fn framing(&mut self, byte: u8) -> io::Result<()> {
        self.state = match (self.state, byte) {
            (ChunkState::DataEnd, b'\n') => ChunkState::Size(0),
            (ChunkState::Size(0) | ChunkState::SizeEnd(0), b'\n') => ChunkState::End,
            (ChunkState::Size(size) | ChunkState::SizeEnd(size), b'\n') => {
                self.left = size;
                ChunkState::Data
            }
            (ChunkState::Size(size), digit) if digit.is_ascii_hexdigit() => {
                let value = u64::from(char::from(digit).to_digit(16).unwrap_or(0));
                let size = size.checked_mul(16).and_then(|size| size.checked_add(value));
                ChunkState::Size(size.ok_or(io::ErrorKind::InvalidData)?)
            }
            (ChunkState::Size(size), b'\r' | b';' | b' ') => ChunkState::SizeEnd(size),
            (ChunkState::Size(_), _) => return Err(io::ErrorKind::InvalidData.into()),
            (state, _) => state,
        };
        Ok(())
    }
}

const REDIRECTS_MAX: usize = 5;
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
