//! `[http]`: HTTP-FLV and WebSocket-FLV.

use serde::Serialize;

use crate::bytes;
use crate::listener::Listener;
use crate::section::Section;

/// Settings of every HTTP media connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Http {
    /// Where HTTP media is served; empty: nowhere.
    pub listen: Vec<Listener>,
    /// From the first byte a connection may send to the end of the request's head. Milliseconds,
    /// 100 to 600000.
    pub request_timeout_ms: u64,
    /// How long a connection waits for its next request. Milliseconds, 100 to 3600000.
    pub keep_alive_timeout_ms: u64,
    /// A connection whose socket takes no byte for this long, while bytes wait for it, is closed.
    /// Milliseconds, 100 to 600000.
    pub write_timeout_ms: u64,
    /// Request line and headers together. Bytes, 1 KiB to 1 MiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub header_bytes_max: usize,
    /// Header lines of a request. 8 to 1000.
    pub headers_max: usize,
    /// Path and query of a request. Bytes, 128 B to 64 KiB, at most `header_bytes_max`.
    #[serde(serialize_with = "bytes::serialize")]
    pub uri_bytes_max: usize,
    /// Largest message that a WebSocket client may send. Bytes, 125 B to 16 MiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub websocket_message_bytes_max: usize,
    /// HTTP/2 is offered to those who come by TLS.
    pub http2: bool,
    /// Requests that an HTTP/2 connection may have open at once. 1 to 1000.
    pub http2_streams_max: u32,
    /// Value of `Access-Control-Allow-Origin`; empty: the header is not sent.
    pub allow_origin: String,
    /// How long a GET waits for a stream that nobody publishes, before its 404. Milliseconds, 0
    /// (404 at once) to 600000.
    pub play_wait_ms: u64,
}

impl Http {
    pub(crate) fn read(section: &mut Section<'_>) -> Http {
        Http {
            listen: Listener::read_list(section),
            request_timeout_ms: section.integer("request_timeout_ms", 100..=600_000),
            keep_alive_timeout_ms: section.integer("keep_alive_timeout_ms", 100..=3_600_000),
            write_timeout_ms: section.integer("write_timeout_ms", 100..=600_000),
            header_bytes_max: section.bytes("header_bytes_max", 1 << 10..=1 << 20),
            headers_max: section.integer("headers_max", 8..=1_000),
            uri_bytes_max: section.bytes("uri_bytes_max", 128..=64 << 10),
            websocket_message_bytes_max: section
                .bytes("websocket_message_bytes_max", 125..=16 << 20),
            http2: section.boolean("http2"),
            http2_streams_max: section.integer("http2_streams_max", 1..=1_000),
            allow_origin: allow_origin(section),
            play_wait_ms: section.integer("play_wait_ms", 0..=600_000),
        }
    }
}

/// Reads a value that goes into a response header as it is: one line of visible ASCII.
fn allow_origin(section: &mut Section<'_>) -> String {
    const REMEDY: &str = "use \"*\", \"\" or one origin, as in \"https://tv.example.net\"";
    let Some(value) = section.value("allow_origin") else { return String::new() };
    let Some(text) = value.text(REMEDY) else { return String::new() };
    let origin = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ',' | '*');
    let is_origin = origin.is_some_and(|o| !o.is_empty() && o.chars().all(host));
    if !(text.is_empty() || text == "*" || is_origin) {
        value.reject(format!("{} is not an origin", crate::document::quoted(text)), REMEDY);
    }
    text.to_owned()
}
