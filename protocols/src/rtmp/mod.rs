//! RTMP 1.0 with Enhanced RTMP v1 and v2: handshake, chunk stream, messages, server and client sessions.
//!
//! Specs: Adobe RTMP 1.0 (2012); AMF0; AMF3; Veovera Enhanced RTMP v2.

pub mod chunk;
pub mod client;
pub mod command;
pub mod error;
pub mod event;
pub mod handshake;
mod media;
pub mod message;
mod output;
pub mod server;
pub mod url;
mod window;

pub use client::{ClientEvent, ClientRole, ClientSession, ClientSettings};
pub use error::Error;
pub use event::{
    MediaKind, MediaMessage, MessageStreamId, PlayRequest, PublishKind, PublishRequest, ServerEvent,
};
pub use server::{PlayEnd, PlayRefusal, PublishEnd, PublishRefusal, ServerSession, ServerSettings};
