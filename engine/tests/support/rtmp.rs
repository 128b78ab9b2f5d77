//! An RTMP client of the rig's own, for what ready-made clients cannot do: exact media, many quick
//! joins, and wrong bytes. Adobe RTMP 1.0; blocking; one thread per connection.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::LIMIT;
use super::amf::{Amf, command};
use super::flv::{AUDIO, SCRIPT, Tag, VIDEO};

/// One complete message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message type id (7.1).
    pub kind: u8,
    /// Absolute time in milliseconds.
    pub timestamp_ms: u32,
    /// Message stream id.
    pub stream: u32,
    /// Message body.
    pub body: Vec<u8>,
}

impl Message {
    /// The message as an FLV tag, if it is audio, video or script data.
    pub fn tag(&self) -> Option<Tag> {
        let known = matches!(self.kind, AUDIO | VIDEO | SCRIPT);
        known.then(|| Tag {
            kind: self.kind,
            timestamp_ms: self.timestamp_ms,
            body: self.body.clone(),
        })
    }

    /// The `code` of an onStatus, _result or _error, else empty.
    pub fn code(&self) -> String {
        let Some(at) = self.body.windows(7).position(|bytes| bytes == b"\x00\x04code\x02") else {
            return String::new();
        };
        let rest = &self.body[at + 7..];
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        String::from_utf8_lossy(&rest[2..2 + length]).into_owned()
    }

    /// The name of a command, else empty.
    pub fn command(&self) -> String {
        if self.kind != 20 || self.body.first() != Some(&2) {
            return String::new();
        }
        let length = usize::from(u16::from_be_bytes([self.body[1], self.body[2]]));
        String::from_utf8_lossy(&self.body[3..3 + length]).into_owned()
    }
}

/// What is known of one incoming chunk stream.
#[derive(Clone, Debug, Default)]
struct ChunkStream {
    timestamp_ms: u32,
    delta_ms: u32,
    length: usize,
    kind: u8,
    stream: u32,
    extended: bool,
    body: Vec<u8>,
}

/// One RTMP connection.
pub struct Rtmp {
    socket: TcpStream,
    reader: BufReader<TcpStream>,
    chunk_streams: HashMap<u32, ChunkStream>,
    chunk_in: usize,
    chunk_out: usize,
    received: u64,
    acknowledged: u64,
    window: u64,
    seen: Vec<Message>,
}

impl Rtmp {
    /// Opens a TCP connection and does nothing on it.
    pub fn tcp(address: SocketAddr) -> Self {
        let socket = super::http::open(address);
        socket.set_nodelay(true).expect("a socket option");
        let reader = BufReader::new(socket.try_clone().expect("a second handle"));
        Self {
            socket,
            reader,
            chunk_streams: HashMap::new(),
            chunk_in: 128,
            chunk_out: 128,
            received: 0,
            acknowledged: 0,
            window: u64::MAX,
            seen: Vec::new(),
        }
    }

    /// Opens a connection and shakes hands (5.2), the plain way.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let mut peer = Self::tcp(address);
        let mut hello = vec![3; 1537];
        hello[1..9].fill(0);
        peer.raw(&hello)?;
        let mut answer = vec![0; 1537];
        peer.reader.read_exact(&mut answer)?;
        assert_eq!(answer[0], 3, "S0");
        peer.raw(&answer[1..])?;
        let mut echo = vec![0; 1536];
        peer.reader.read_exact(&mut echo)?;
        Ok(peer)
    }

    /// Shakes hands and connects to an application.
    pub fn connect(address: SocketAddr, app: &str) -> io::Result<Self> {
        let mut peer = Self::open(address)?;
        let url = format!("rtmp://{address}/{app}");
        let object = Amf::Object(vec![
            ("app", Amf::Text(app)),
            ("type", Amf::Text("nonprivate")),
            ("flashVer", Amf::Text("FMLE/3.0 (compatible; rig)")),
            ("tcUrl", Amf::Text(&url)),
            ("objectEncoding", Amf::Number(0.0)),
        ]);
        peer.command(0, "connect", 1.0, &[object])?;
        let code = peer.await_code(&["NetConnection."])?;
        if code != "NetConnection.Connect.Success" {
            return Err(io::Error::other(code));
        }
        Ok(peer)
    }

    /// Connects and asks to publish. The error's text is the status code of the refusal.
    pub fn publish(address: SocketAddr, app: &str, name: &str) -> io::Result<Self> {
        let mut peer = Self::connect(address, app)?;
        peer.create_stream()?;
        let arguments = [Amf::Null, Amf::Text(name), Amf::Text("live")];
        peer.command(1, "publish", 5.0, &arguments)?;
        let code = peer.await_code(&["NetStream.Publish."])?;
        if code != "NetStream.Publish.Start" {
            return Err(io::Error::other(code));
        }
        // A large chunk size, as every encoder sets it.
        peer.set_chunk_size(4096)?;
        Ok(peer)
    }

    /// Connects and asks to play. The error's text is the status code of the refusal.
    pub fn play(address: SocketAddr, app: &str, name: &str) -> io::Result<Self> {
        let mut peer = Self::connect(address, app)?;
        peer.create_stream()?;
        peer.command(1, "play", 5.0, &[Amf::Null, Amf::Text(name), Amf::Number(-2000.0)])?;
        let code = peer.await_code(&["NetStream.Play.Start", "NetStream.Play.Fail", "NotFound"])?;
        if code != "NetStream.Play.Start" {
            return Err(io::Error::other(code));
        }
        Ok(peer)
    }

    /// createStream; a first stream is number 1 with every server.
    pub fn create_stream(&mut self) -> io::Result<()> {
        self.command(0, "createStream", 4.0, &[Amf::Null])?;
        loop {
            let message = self.next()?;
            if message.command() == "_result" {
                return Ok(());
            }
            self.seen.push(message);
        }
    }

    /// Sends a command.
    pub fn command(
        &mut self,
        stream: u32,
        name: &str,
        transaction: f64,
        arguments: &[Amf<'_>],
    ) -> io::Result<()> {
        self.send(20, stream, 0, &command(name, transaction, arguments))
    }

    /// Changes the size of the chunks this side sends (5.4.1).
    pub fn set_chunk_size(&mut self, size: u32) -> io::Result<()> {
        self.send(1, 0, 0, &size.to_be_bytes())?;
        self.chunk_out = size as usize;
        Ok(())
    }

    /// Sends one media tag on message stream 1.
    pub fn send_tag(&mut self, tag: &Tag, timestamp_ms: u32) -> io::Result<()> {
        let kind = tag.kind;
        if kind == SCRIPT {
            let mut body = Vec::new();
            Amf::Text("@setDataFrame").encode(&mut body);
            body.extend_from_slice(&tag.body);
            return self.send(kind, 1, timestamp_ms, &body);
        }
        self.send(kind, 1, timestamp_ms, &tag.body)
    }

    /// Sends one message as a type 0 chunk and as many of type 3 as it takes (5.3.1).
    pub fn send(
        &mut self,
        kind: u8,
        stream: u32,
        timestamp_ms: u32,
        body: &[u8],
    ) -> io::Result<()> {
        let chunk_stream = match kind {
            1..=6 => 2,
            20 => 3,
            AUDIO => 4,
            _ => 6,
        };
        let extended = timestamp_ms >= 0xff_ffff;
        let mut bytes = header(chunk_stream, kind, stream, timestamp_ms, body.len());
        for (index, chunk) in body.chunks(self.chunk_out).enumerate() {
            if index > 0 {
                bytes.push(0xc0 | chunk_stream);
                if extended {
                    bytes.extend_from_slice(&timestamp_ms.to_be_bytes());
                }
            }
            bytes.extend_from_slice(chunk);
        }
        self.raw(&bytes)
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.socket);
        let _ = socket.set_linger(Some(Duration::ZERO));
    }

    /// Reads until a status code contains one of the words; returns the code.
    pub fn await_code(&mut self, words: &[&str]) -> io::Result<String> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let message = self.next()?;
            let code = message.code();
            if message.kind == 20 && words.iter().any(|word| code.contains(word)) {
                return Ok(code);
            }
            self.seen.push(message);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no status {words:?}")))
    }

    /// Messages that were passed over while waiting for a status, oldest first.
    pub fn take_seen(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.seen)
    }

    /// Reads media until there are this many tags, or the stream ends. What was passed over while
    /// waiting for a status counts too.
    pub fn collect(&mut self, count: usize) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.take_seen().iter().filter_map(Message::tag).collect();
        while tags.len() < count {
            match self.next() {
                Ok(message) => tags.extend(message.tag()),
                Err(_) => break,
            }
        }
        tags
    }

    /// Reads media until the player is told that the publisher is gone.
    pub fn collect_to_end(&mut self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.take_seen().iter().filter_map(Message::tag).collect();
        while let Ok(message) = self.next() {
            if message.code() == "NetStream.Play.UnpublishNotify" {
                break;
            }
            tags.extend(message.tag());
        }
        tags
    }

    /// Reads until the first coded picture.
    pub fn await_picture(&mut self) -> io::Result<Tag> {
        loop {
            let tag = self.next()?.tag();
            if let Some(tag) = tag.filter(|tag| tag.kind == VIDEO && tag.is_media()) {
                return Ok(tag);
            }
        }
    }

    /// Waits for the connection's end; false if it is still open after `limit`.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut buffer = [0; 4096];
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let _ = self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            match self.reader.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return true,
                Err(_) => {}
            }
        }
        false
    }

    /// Reads the next message other than the protocol's own control, which is obeyed on the way.
    pub fn next(&mut self) -> io::Result<Message> {
        loop {
            let message = self.next_message()?;
            match message.kind {
                1 => self.chunk_in = number(&message.body, 0) as usize,
                4 if message.body.starts_with(&[0, 6]) => {
                    let mut pong = message.body.clone();
                    pong[1] = 7;
                    self.send(4, 0, 0, &pong)?;
                }
                5 => self.window = u64::from(number(&message.body, 0)),
                2 | 3 | 6 => {}
                _ => return Ok(message),
            }
        }
    }

    fn next_message(&mut self) -> io::Result<Message> {
        loop {
            let (format, id) = self.basic_header()?;
            let mut state = self.chunk_streams.remove(&id).unwrap_or_default();
            self.message_header(format, &mut state)?;
            let count = (state.length - state.body.len()).min(self.chunk_in);
            let from = state.body.len();
            state.body.resize(from + count, 0);
            self.reader.read_exact(&mut state.body[from..])?;
            self.acknowledge(count)?;
            let complete = state.body.len() == state.length;
            let message = complete.then(|| Message {
                kind: state.kind,
                timestamp_ms: state.timestamp_ms,
                stream: state.stream,
                body: std::mem::take(&mut state.body),
            });
            self.chunk_streams.insert(id, state);
            if let Some(message) = message {
                return Ok(message);
            }
        }
    }

    fn basic_header(&mut self) -> io::Result<(u8, u32)> {
        let first = self.bytes::<1>()?[0];
        let id = match first & 0x3f {
            0 => 64 + u32::from(self.bytes::<1>()?[0]),
            1 => {
                let [low, high] = self.bytes::<2>()?;
                64 + u32::from(low) + 256 * u32::from(high)
            }
            id => u32::from(id),
        };
        Ok((first >> 6, id))
    }

    fn message_header(&mut self, format: u8, state: &mut ChunkStream) -> io::Result<()> {
        let starts = state.body.is_empty();
        let mut field = state.delta_ms;
        if format < 3 {
            field = number(&self.bytes::<3>()?, 0);
            state.extended = field == 0xff_ffff;
        }
        if format < 2 {
            let head = self.bytes::<4>()?;
            state.length = number(&head[..3], 0) as usize;
            state.kind = head[3];
        }
        if format == 0 {
            state.stream = u32::from_le_bytes(self.bytes::<4>()?);
        }
        if state.extended {
            field = u32::from_be_bytes(self.bytes::<4>()?);
        }
        if starts && format == 0 {
            state.timestamp_ms = field;
            state.delta_ms = 0;
        } else if starts {
            state.delta_ms = field;
            state.timestamp_ms = state.timestamp_ms.wrapping_add(field);
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.received += N as u64;
        Ok(bytes)
    }

    /// Acknowledgement (5.4.3), as the window of the server asks.
    fn acknowledge(&mut self, count: usize) -> io::Result<()> {
        self.received += count as u64;
        if self.received - self.acknowledged >= self.window {
            self.acknowledged = self.received;
            let total = self.received as u32;
            self.send(3, 0, 0, &total.to_be_bytes())?;
        }
        Ok(())
    }
}

/// A type 0 chunk header on a chunk stream with a one-byte id.
pub fn header(
    chunk_stream: u8,
    kind: u8,
    stream: u32,
    timestamp_ms: u32,
    length: usize,
) -> Vec<u8> {
    let mut bytes = vec![chunk_stream];
    let extended = timestamp_ms >= 0xff_ffff;
    let field = if extended { 0xff_ffff } else { timestamp_ms };
    bytes.extend_from_slice(&field.to_be_bytes()[1..]);
    bytes.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend_from_slice(&stream.to_le_bytes());
    if extended {
        bytes.extend_from_slice(&timestamp_ms.to_be_bytes());
    }
    bytes
}

fn number(bytes: &[u8], start: u32) -> u32 {
    bytes.iter().fold(start, |value, &byte| value << 8 | u32::from(byte))
}
