//! HTTP/1.1 for live media: a server session that answers players, over plain HTTP and over
//! WebSocket, and takes what publishers send.
//!
//! Specs: RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 6455 (WebSocket), Fetch (CORS).
//!
//! | request | answer |
//! |---|---|
//! | `GET /APP/NAME.flv`, `.ts` | [`Event::Play`]; then media until either side closes |
//! | the same with `Upgrade: websocket` | [`Event::Play`]; then media in binary WebSocket messages |
//! | `HEAD` of the same | [`Event::Play`] with `head_only`; then the header alone |
//! | `GET /udp/[SOURCE@]GROUP[:PORT]`, `/rtp/...` | [`Event::Relay`], as [`Event::Play`] |
//! | `GET /APP/NAME.m3u8`, `/APP/NAME.hls/...` | [`Event::Hls`]; then a playlist or media of a known length |
//! | `GET /status` | [`Event::Status`]: the driver's page |
//! | `POST`, `PUT` of `/APP/NAME.ts` | [`Event::Publish`]; then [`Event::Body`] up to [`Event::BodyEnd`] |
//! | `OPTIONS` anything | 204 with what is allowed (CORS preflight) |
//! | `GET /`, `GET /crossdomain.xml` | answered here |
//!
//! Everything below `/udp/` and `/rtp/` is a group, so an application of one of these names cannot
//! be had over HTTP; what is no group there is answered with 400. Likewise nothing but playlists and
//! what they name can be had below a folder whose name ends with `.hls`.
//!
//! Invariants
//! - Whatever the peer sends, at most one head (`header_bytes_max`) of input and
//!   [`session::REPLIES_QUEUED_MAX`] replies are held; while an answer about a publication is
//!   awaited, what the driver passes nevertheless, up to [`session::CONTENT_HELD_BYTES_MAX`].
//! - A viewer that is being served holds no buffer: what it sends is dropped, or read in place for
//!   WebSocket's control frames.
//! - Media for viewers does not pass through the session: the driver writes it behind what
//!   `poll_output` gave. A playlist does ([`Prepared`]), by reference.

pub mod client;
mod coding;
mod content;
pub mod error;
mod etag;
pub mod event;
mod hls_request;
mod hls_target;
mod output;
mod range;
mod relay;
mod representation;
mod request;
mod response;
pub mod session;
pub mod settings;
mod target;
pub mod websocket;

pub use coding::Coding;
pub use error::Error;
pub use event::{Container, Event, PlayRequest, PublishRequest, RelayRequest, Scheme, Transport};
pub use hls_request::{Directives, HlsRequest, Resource, Skip};
pub use range::{ByteRange, Selection};
pub use representation::{Prepared, Representation};
pub use session::Session;
pub use settings::Settings;
