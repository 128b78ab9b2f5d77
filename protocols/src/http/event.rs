//! What an HTTP session tells its driver.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use corelay_codecs::TrackFilter;

use super::hls_request::HlsRequest;

/// What the driver of a session must know or decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A viewer asks for a stream. Answer with `accept_play` or `reject_play`.
    Play(PlayRequest),
    /// A viewer asks for what is sent to a group. Answer with `accept_play` or `reject_play`.
    Relay(RelayRequest),
    /// A player asks for a playlist, or for what one names. Answer with `respond`,
    /// `respond_prepared` or `reject_hls`.
    Hls(HlsRequest),
    /// A client asks what is being relayed. Answer with `answer`.
    Status {
        /// A HEAD request: the body of the answer is left out.
        head_only: bool,
    },
    /// A client wants to send a stream. Answer with `accept_publish` or `reject_publish`; pass no
    /// input before, as `wants_input` says.
    Publish(PublishRequest),
    /// The next bytes of what is published, never none. They begin and end anywhere.
    Body(Bytes),
    /// What was published is complete. Answer with `finish_publish` or `reject_publish`.
    BodyEnd,
    /// The session is over without fault: the viewer closed its WebSocket, a reply was the last
    /// one, or no further request came. Send what `poll_output` still gives, then close the
    /// transport.
    Closed,
}

/// A request for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayRequest {
    /// Application: the path before the last segment, without outer slashes: `live`, `region/live`.
    pub app: String,
    /// Stream name: the last segment of the path without its extension.
    pub name: String,
    /// The query as sent, without `?` (tokens live here). Empty if none.
    pub query: String,
    /// The container, from the extension.
    pub container: Container,
    /// What carries the container.
    pub transport: Transport,
    /// `?onlyAudio`, `?onlyVideo`; both together mean everything.
    pub tracks: TrackFilter,
    /// A HEAD request: nothing is to be streamed after `accept_play`.
    pub head_only: bool,
    /// `Host` as sent, or the authority of an absolute target.
    pub host: String,
    /// `User-Agent` as sent. Empty if none.
    pub user_agent: String,
    /// `Origin` as sent. Empty if none.
    pub origin: String,
    /// `X-Forwarded-For` as sent. Anybody can send it: it is true only behind a proxy that sets it.
    pub forwarded_for: Option<String>,
}

/// A request for what is sent to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRequest {
    /// How the path begins.
    pub scheme: Scheme,
    /// The group, or an address of this machine, and the port: 1234 when the path names none.
    pub address: SocketAddr,
    /// The only senders that are to be heard (source-specific multicast), at most 8; empty: all.
    pub sources: Vec<IpAddr>,
    /// The query as sent, without `?`. Empty if none.
    pub query: String,
    /// What carries the transport stream.
    pub transport: Transport,
    /// A HEAD request: nothing is to be streamed after `accept_play`.
    pub head_only: bool,
    /// As in [`PlayRequest`].
    pub host: String,
    /// As in [`PlayRequest`].
    pub user_agent: String,
    /// As in [`PlayRequest`].
    pub origin: String,
    /// As in [`PlayRequest`].
    pub forwarded_for: Option<String>,
}

/// A request to send a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// As in [`PlayRequest`].
    pub app: String,
    /// As in [`PlayRequest`].
    pub name: String,
    /// As in [`PlayRequest`].
    pub query: String,
    /// What is sent: [`Container::Ts`], as nothing else is taken.
    pub container: Container,
    /// As in [`PlayRequest`].
    pub host: String,
    /// As in [`PlayRequest`].
    pub user_agent: String,
    /// As in [`PlayRequest`].
    pub forwarded_for: Option<String>,
}

/// How the datagrams of a group are named. Whether they have RTP headers shows in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `/udp/`: packets of a transport stream in datagrams.
    Udp,
    /// `/rtp/`: the same in RTP (RFC 2250 2).
    Rtp,
}

/// The container that a viewer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// FLV: one header, then tags without end.
    Flv,
    /// A transport stream (ISO/IEC 13818-1): whole packets of 188 bytes without end.
    Ts,
}

impl Container {
    /// Every container that can be asked for.
    pub const ALL: [Self; 2] = [Self::Flv, Self::Ts];

    /// The extension in the path, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Ts => "ts",
        }
    }

    /// The media type (`Content-Type`).
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Ts => "video/mp2t",
        }
    }

    /// The container of an extension, which is matched exactly.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|container| container.extension() == extension)
    }
}

/// What carries the container to the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The body of an HTTP response that ends with the connection.
    Http,
    /// Binary messages of a WebSocket (RFC 6455 5.6).
    WebSocket,
}
