//! Replies as bytes (RFC 9112 4, Fetch 3.2).
//!
//! No reply carries `Date`: a session has no clock (RFC 9110 6.6.1).

use super::event::Container;
use super::settings::Settings;

/// A complete reply with a text body, or without one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply<'a> {
    /// 200..=599.
    pub(super) status: u16,
    /// The type of the body.
    pub(super) media_type: &'a str,
    /// The body; its length is told to HEAD as well.
    pub(super) body: &'a str,
    /// Fields of this reply alone, each line with its end.
    pub(super) fields: &'a str,
    /// Leave the body out.
    pub(super) head_only: bool,
    /// The connection goes on after it.
    pub(super) keep_alive: bool,
}

impl Reply<'_> {
    /// Appends the reply to `out`.
    pub(super) fn write(&self, settings: &Settings, out: &mut Vec<u8>) {
        write_start(self.status, settings, out);
        put(
            out,
            &[self.fields, "Cache-Control: no-store\r\nConnection: ", connection(self.keep_alive)],
        );
        if self.status == 204 {
            return put(out, &["\r\n\r\n"]);
        }
        let length = self.body.len().to_string();
        put(
            out,
            &["\r\nContent-Type: ", self.media_type, "\r\nContent-Length: ", &length, "\r\n\r\n"],
        );
        if !self.head_only {
            put(out, &[self.body]);
        }
    }
}

/// Appends the head of a stream's reply. The body has no length: it ends with the connection. To
/// HEAD the connection goes on as asked.
pub(super) fn write_stream_head(
    container: Container,
    keep_alive: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) {
    write_start(200, settings, out);
    // nginx as a proxy collects a response before it passes it on, unless it is told not to.
    put(out, &["Cache-Control: no-cache, no-store\r\nX-Accel-Buffering: no\r\nConnection: "]);
    put(out, &[connection(keep_alive), "\r\nContent-Type: ", container.media_type(), "\r\n\r\n"]);
}

/// Appends the reply that turns the connection into a WebSocket (RFC 6455 4.2.2).
pub(super) fn write_upgrade(accept_key: &str, settings: &Settings, out: &mut Vec<u8>) {
    write_start(101, settings, out);
    put(out, &["Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "]);
    put(out, &[accept_key, "\r\n\r\n"]);
}

/// Appends what a client with `Expect: 100-continue` waits for (RFC 9110 15.2.1).
pub(super) fn write_continue(out: &mut Vec<u8>) {
    put(out, &["HTTP/1.1 100 Continue\r\n\r\n"]);
}

/// The fields of a CORS preflight's reply (Fetch 3.2.3); the allowed methods also serve plain
/// OPTIONS.
pub(super) fn preflight_fields(settings: &Settings) -> &'static str {
    if settings.allow_origin.is_empty() {
        ALLOW
    } else {
        concat!(
            "Allow: GET, HEAD, OPTIONS\r\n",
            "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n",
            // Range by name, too, for televisions with browsers that do not know the wildcard.
            "Access-Control-Allow-Headers: *, Authorization, Range\r\n",
            "Access-Control-Max-Age: 86400\r\n",
        )
    }
}

/// The fields that a status cannot do without (RFC 9110 15.5.6, 15.5.22; RFC 6455 4.4).
pub(super) fn fields_of(status: u16) -> &'static str {
    match status {
        405 => ALLOW,
        426 => "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        _ => "",
    }
}

/// Flash's policy file for the configured origin; `None` when no other origin may read.
pub(super) fn cross_domain_policy(settings: &Settings) -> Option<String> {
    let origin = settings.allow_origin.as_str();
    let host = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    let domain: String =
        host.chars().take_while(|c| c.is_alphanumeric() || "-.*".contains(*c)).collect();
    (!domain.is_empty()).then(|| {
        format!(
            "<?xml version=\"1.0\"?>\n<cross-domain-policy>\n  \
             <allow-access-from domain=\"{domain}\" secure=\"false\"/>\n</cross-domain-policy>\n"
        )
    })
}

/// The page at `/`: what this is and how a stream is asked for; which streams there are is not
/// told.
pub(super) fn root_page(host: &str, settings: &Settings) -> String {
    let host = if host.is_empty() { "HOST:PORT" } else { host };
    let (http, ws) = if settings.is_secure { ("https", "wss") } else { ("http", "ws") };
    let mut page = format!("{} live media over HTTP\n\n", settings.server_name);
    page += &format!("{http}://{host}/APP/NAME.m3u8\n");
    for container in Container::ALL {
        let path = format!("{host}/APP/NAME.{}", container.extension());
        page += &format!("{http}://{path}\n{ws}://{path}\n");
    }
    page += "\n?onlyAudio=1 or ?onlyVideo=1 leaves the other tracks out.\n\n";
    page += &format!("{http}://{host}/udp/[SOURCE@]GROUP[:PORT]\n{http}://{host}/status\n\n");
    page + "POST or PUT to /APP/NAME.ts publishes a transport stream.\n"
}

/// The reason phrase of a status code (RFC 9110 15, RFC 6585).
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ if status < 500 => "Client Error",
        _ => "Server Error",
    }
}

/// The status line and the fields that every reply has.
pub(super) fn write_start(status: u16, settings: &Settings, out: &mut Vec<u8>) {
    put(out, &["HTTP/1.1 ", &status.to_string(), " ", reason(status), "\r\n"]);
    if !settings.server_name.is_empty() {
        put(out, &["Server: ", &settings.server_name, "\r\n"]);
    }
    if !settings.allow_origin.is_empty() {
        put(out, &["Access-Control-Allow-Origin: ", &settings.allow_origin, "\r\n"]);
    }
}

fn connection(keep_alive: bool) -> &'static str {
    if keep_alive { "keep-alive" } else { "close" }
}

pub(super) fn put(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";
