//! The client's side of a player's connection, without a socket: bytes in, media and bytes out.
//!
//! ```text
//!  RTMP        ClientSession of corelay-protocols
//!  HTTP        head | chunks if the server sends them | FLV tags, or bytes that are only counted
//!  WebSocket   head | frames                          | FLV tags
//! ```
//!
//! Invariants
//! - Input may be split anywhere.
//! - After an error the connection is finished.

mod chunked;
mod http;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use corelay_protocols::rtmp::event::PlayStart;
use corelay_protocols::rtmp::{
    ClientEvent, ClientRole, ClientSession, ClientSettings, MediaMessage,
};
use corelay_protocols::session::{Millis, Session};

use crate::target::Target;
use http::HttpClient;

/// What a connection brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// One audio, video or data message, or FLV tag.
    Media(MediaMessage),
    /// Bytes of a body that is not parsed.
    Body(usize),
}

/// How players of one target connect; shared by all of them.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// By RTMP.
    Rtmp(Arc<ClientSettings>),
    /// By HTTP or WebSocket: the request, and what the answer is.
    Http {
        /// The whole request.
        request: Bytes,
        /// A WebSocket is asked for.
        websocket: bool,
        /// The body is FLV.
        flv: bool,
    },
}

impl Recipe {
    /// For players of `target`, whether by TLS or not.
    pub fn new(target: &Target) -> Self {
        match target.plain().0 {
            Target::Rtmp(url) => {
                let role = ClientRole::Play(PlayStart::LiveOrRecorded);
                Self::Rtmp(Arc::new(ClientSettings::new(url.clone(), role)))
            }
            Target::Http(target) => {
                Self::Http { request: http::request(target), websocket: false, flv: target.is_flv }
            }
            Target::WebSocket(target) => Self::Http {
                request: http::websocket_request(target),
                websocket: true,
                flv: target.is_flv,
            },
            // A target by TLS holds a plain one.
            Target::Secure(target) => Self::new(target),
        }
    }
}

/// The protocol side of one player.
#[derive(Debug)]
pub enum Client {
    /// Plays by RTMP.
    Rtmp(Box<ClientSession>),
    /// Plays by HTTP or WebSocket.
    Http(Box<HttpClient>),
}

impl Client {
    /// A player that begins at `now_us`. Its first output is there at once.
    pub fn new(recipe: &Recipe, seed: u64, now_us: u64) -> Self {
        match recipe {
            Recipe::Rtmp(settings) => {
                let settings = Arc::clone(settings);
                let session = ClientSession::new(settings, seed.to_ne_bytes(), millis(now_us));
                Self::Rtmp(Box::new(session))
            }
            Recipe::Http { request, websocket, flv } => {
                Self::Http(Box::new(HttpClient::new(request.clone(), *websocket, *flv)))
            }
        }
    }

    /// Takes bytes from the server and passes on what they brought.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub fn handle_input(
        &mut self,
        now_us: u64,
        input: &[u8],
        mut received: impl FnMut(Received),
    ) -> Result<(), String> {
        match self {
            Self::Rtmp(session) => {
                let result = session.handle_input(millis(now_us), input);
                while let Some(event) = session.poll_event() {
                    match event {
                        ClientEvent::Media(media) => received(Received::Media(media)),
                        ClientEvent::Ended => return Err("the server ended the play".to_owned()),
                        _ => {}
                    }
                }
                result.map_err(|error| error.to_string())
            }
            Self::Http(client) => client.handle_input(input, &mut received),
        }
    }

    /// The next bytes for the server.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        match self {
            Self::Rtmp(session) => session.poll_output(),
            Self::Http(client) => client.poll_output(),
        }
    }
}

/// RTMP's Acknowledgement (Adobe RTMP 1.0, 5.4.3) on chunk stream 2: what a player that does not
/// parse sends now and then, so that the server sees it alive.
pub fn acknowledgement(bytes_received: u64) -> [u8; 16] {
    let mut message = [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0];
    // The count wraps at 32 bits by definition.
    message[12..].copy_from_slice(&(bytes_received as u32).to_be_bytes());
    message
}

fn millis(now_us: u64) -> Millis {
    Millis(now_us / 1_000)
}
