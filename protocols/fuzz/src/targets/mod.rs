//! One module per target; each has `pub fn run(data: &[u8])`, which panics when a rule is broken.

pub mod chunk_reader;
pub mod handshake;
pub mod hls_packager;
pub mod hls_presentation;
pub mod http_client;
pub mod http_request;
pub mod rtmp_session;
pub mod websocket;

/// A target: its name, which is also the name of its corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the replay test runs them all.
pub const ALL: &[Target] = &[
    ("chunk_reader", chunk_reader::run), //
    ("handshake", handshake::run),
    ("hls_packager", hls_packager::run),
    ("hls_presentation", hls_presentation::run),
    ("http_client", http_client::run),
    ("http_request", http_request::run),
    ("rtmp_session", rtmp_session::run),
    ("websocket", websocket::run),
];
