//! A plain HTTP client of the rig's own, and viewers of HTTP-FLV and WebSocket-FLV.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use tungstenite::{Message, WebSocket};

use super::LIMIT;

/// A whole reply.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, with a chunked transfer coding removed.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header line.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// GETs a path and reads the whole reply.
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends these bytes and reads one whole reply.
pub fn request(address: SocketAddr, request: &str) -> Response {
    let mut socket = open(address);
    socket.write_all(request.as_bytes()).expect("the server reads");
    let mut bytes = Vec::new();
    let head_only = request.starts_with("HEAD");
    read_response(&mut socket, &mut bytes, head_only).expect("a reply")
}

/// Reads a WebSocket to its end. True when that is a close frame and no cut connection.
pub fn ends_with_close_frame<S: Read + Write>(socket: &mut WebSocket<S>) -> bool {
    loop {
        match socket.read() {
            Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Opens a connection whose reads give up after the rig's limit.
pub fn open(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, LIMIT).expect("the relay accepts");
    socket.set_read_timeout(Some(LIMIT)).expect("a socket option");
    socket.set_write_timeout(Some(LIMIT)).expect("a socket option");
    socket
}

/// Reads one reply; bytes that follow it stay in `bytes` for the next. `None`: closed before it.
pub fn read_response(
    socket: &mut TcpStream,
    bytes: &mut Vec<u8>,
    head_only: bool,
) -> Option<Response> {
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if !more(socket, bytes) {
            return None;
        }
    };
    let mut response = head(&bytes[..head_end]);
    bytes.drain(..head_end + 4);
    let bodiless = head_only || matches!(response.status, 100..=199 | 204 | 304);
    let length = response.header("content-length").and_then(|text| text.parse::<usize>().ok());
    if bodiless {
        return Some(response);
    }
    if response.header("transfer-encoding") == Some("chunked") {
        while more(socket, bytes) {}
        response.body = unchunk(&std::mem::take(bytes));
    } else if let Some(length) = length {
        while bytes.len() < length && more(socket, bytes) {}
        assert!(bytes.len() >= length, "the reply is cut at {} of {length} bytes", bytes.len());
        response.body = bytes.drain(..length).collect();
    } else {
        while more(socket, bytes) {}
        response.body = std::mem::take(bytes);
    }
    Some(response)
}

fn more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16 << 10];
    match socket.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            bytes.extend_from_slice(&buffer[..count]);
            true
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) if error.kind() == ErrorKind::Interrupted => more(socket, bytes),
        Err(error) => panic!("no reply within {LIMIT:?}: {error}"),
    }
}

fn head(bytes: &[u8]) -> Response {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    assert!(status_line.starts_with("HTTP/1."), "status line `{status_line}`");
    let status = status_line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Response { status: status.expect("a status code"), headers, body: Vec::new() }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..end]);
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    body
}

/// An HTTP-FLV viewer that collects what it gets.
pub struct Viewer {
    socket: TcpStream,
    /// Status code and header lines of the reply; its body is what follows.
    pub head: Response,
    /// The body received so far.
    pub bytes: Vec<u8>,
}

impl Viewer {
    /// Sends the request and reads the head of the reply.
    pub fn open(address: SocketAddr, path: &str) -> Self {
        let mut socket = open(address);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("the server reads");
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(more(&mut socket, &mut bytes), "closed before a reply to {path}");
        };
        let head = head(&bytes[..head_end]);
        bytes.drain(..head_end + 4);
        Self { socket, head, bytes }
    }

    /// Reads on until there are this many bytes. False: the stream ended before.
    pub fn read_to(&mut self, length: usize) -> bool {
        while self.bytes.len() < length {
            if !more(&mut self.socket, &mut self.bytes) {
                return false;
            }
        }
        true
    }

    /// Reads to the end of the stream.
    pub fn read_to_end(&mut self) {
        while more(&mut self.socket, &mut self.bytes) {}
    }
}

/// Opens a WebSocket to a path.
pub fn websocket(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{address}{path}");
    let (socket, response) = tungstenite::client(url, open(address)).expect("an upgrade");
    assert_eq!(response.status().as_u16(), 101);
    socket
}

/// Reads binary messages until there are this many bytes, or to the close frame; returns their bytes
/// in a row.
pub fn read_websocket<S: Read + Write>(socket: &mut WebSocket<S>, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match socket.read() {
            Ok(Message::Binary(message)) => bytes.extend_from_slice(&message),
            Ok(Message::Close(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    bytes
}
