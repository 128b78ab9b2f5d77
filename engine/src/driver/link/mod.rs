//! Connections that we open: what channels pull, and what they push.
//!
//! A channel asks for a [`LinkKind`]; the shard keeps a [`Dialer`] for it, which says when to connect and
//! where, makes the [`Driver`] of each connection, and hands its [`LinkEvent`]s to the channel.
//!
//! Invariants
//! - Of one link there is at most one connection. Its last event is [`LinkEvent::Ended`], told by the
//!   shard when the connection is closed, for whatever reason.
//! - A driver never sends before [`Driver::connected`].

mod dial;

use std::sync::Arc;

use corelay_codecs::TsBlock;
use corelay_config::{Config, Endpoint, Host, MediaUrl};
use corelay_protocols::http::client::{self as http, Url};
use corelay_protocols::rtmp::url::StreamUrl;

pub use dial::{Dial, Dialer};

use super::Driver;
use super::pull::PullDriver;
use super::push::{RtmpPushDriver, TsPushDriver};
use crate::clock::Micros;
use crate::hub::StreamKey;
use crate::shard::Ending;

/// Names a link on its core, for as long as whoever opened it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What a link tells the channel it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The other side is there.
    Connected,
    /// The other side agrees: packets come, or go.
    Accepted,
    /// The next packets of a pull.
    Packets(TsBlock),
    /// What is pulled is served elsewhere.
    Redirected(Url),
    /// The connection is over.
    Ended(LinkEnd),
}

/// Why a link's connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEnd {
    /// Nothing went wrong: what was pulled or pushed came to its end.
    pub is_orderly: bool,
    /// In words, for the log and the API.
    pub why: String,
}

impl LinkEnd {
    /// The end of a connection, as the shard has it.
    pub fn of(ending: &Ending) -> Self {
        let (is_orderly, why) = match ending {
            Ending::Peer => (true, "the other side closed the connection"),
            Ending::Done(why) => (true, why.as_str()),
            Ending::Fault(_, why) => (false, why.as_str()),
        };
        Self { is_orderly, why: why.to_owned() }
    }
}

/// What links have told, oldest first; the shard hands it over in every turn.
pub type LinkEvents = Vec<(LinkId, LinkEvent)>;

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A transport stream in a response.
    HttpPull(Url),
    /// A transport stream as bytes of a connection.
    TcpPull {
        /// Name or address of the other side, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A stream's packets as bytes of a connection.
    TcpPush {
        /// Name or address of the other side, without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// What is pushed.
        key: StreamKey,
    },
    /// A stream published on another server.
    RtmpPush {
        /// Where.
        url: StreamUrl,
        /// What is pushed.
        key: StreamKey,
    },
}

/// Settings of all links.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// From the first attempt at an address to its connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a pull may bring nothing, in milliseconds; 0: for ever.
    pub silence_timeout_ms: u64,
    /// Bytes without a packet among them that a pull passes over before it is given up.
    pub unsynced_bytes_max: u64,
    /// How long a push waits for its stream to be published, in milliseconds.
    pub play_wait_ms: u64,
    /// Of the responses to pulls.
    pub http: Arc<http::ClientSettings>,
    /// What an RTMP server may take for its consent, counted from the end of `connect_timeout_ms`, in
    /// milliseconds.
    pub rtmp_start_timeout_ms: u64,
    /// Chunk size of all RTMP that is sent: the one that the hub's logs are written with.
    pub rtmp_chunk_size: u32,
    /// Largest message that an RTMP server may send, in bytes.
    pub rtmp_message_bytes_max: u32,
}

impl LinkSettings {
    /// What the configuration says.
    pub fn from_config(config: &Config) -> Self {
        let Config { http, rtmp, ts, iptv, .. } = config;
        let http = http::ClientSettings {
            header_bytes_max: http.header_bytes_max,
            headers_max: http.headers_max,
            // The session begins with the connection's first attempt.
            head_timeout_ms: iptv.connect_timeout_ms + iptv.answer_timeout_ms,
            silence_timeout_ms: iptv.silence_timeout_ms,
            ..http::ClientSettings::default()
        };
        Self {
            connect_timeout_ms: iptv.connect_timeout_ms,
            silence_timeout_ms: iptv.silence_timeout_ms,
            unsynced_bytes_max: ts.unsynced_bytes_max as u64,
            play_wait_ms: PLAY_WAIT_MS,
            http: Arc::new(http),
            rtmp_start_timeout_ms: iptv.answer_timeout_ms,
            rtmp_chunk_size: rtmp.chunk_size_out,
            rtmp_message_bytes_max: rtmp.message_bytes_max,
        }
    }
}

impl LinkKind {
    /// What an input of a channel is pulled by. `None`: it is no connection.
    pub fn of_input(url: &MediaUrl) -> Option<Self> {
        match &url.endpoint {
            Endpoint::Tcp { host, port } => Some(Self::TcpPull { host: plain(host), port: *port }),
            // The configuration's grammar is the stricter one: what it lets through can be asked for.
            Endpoint::Http { .. } => Url::parse(&url.endpoint.to_string()).ok().map(Self::HttpPull),
            _ => None,
        }
    }

    /// What an output of the channel `key` is pushed by. `None`: it is no connection.
    pub fn of_output(url: &MediaUrl, key: &StreamKey) -> Option<Self> {
        let key = key.clone();
        match &url.endpoint {
            Endpoint::Tcp { host, port } => {
                Some(Self::TcpPush { host: plain(host), port: *port, key })
            }
            Endpoint::Rtmp { host, port, application, stream } => {
                let authority = match port {
                    1935 => host.to_string(),
                    port => format!("{host}:{port}"),
                };
                let url = StreamUrl {
                    host: plain(host),
                    port: *port,
                    app: application.clone(),
                    tc_url: format!("rtmp://{authority}/{application}"),
                    stream: stream.clone(),
                };
                Some(Self::RtmpPush { url, key })
            }
            _ => None,
        }
    }

    /// Name or address, and port, of the other side.
    pub fn place(&self) -> (&str, u16) {
        match self {
            Self::HttpPull(url) => (url.host(), url.port()),
            Self::TcpPull { host, port } | Self::TcpPush { host, port, .. } => (host, *port),
            Self::RtmpPush { url, .. } => (&url.host, url.port),
        }
    }

    /// The other side in words, for the log and the API: without its query, where secrets are.
    pub fn url(&self) -> String {
        let url = match self {
            Self::HttpPull(url) => url.to_string(),
            Self::TcpPull { host, port } | Self::TcpPush { host, port, .. } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("tcp://{host}:{port}")
            }
            Self::RtmpPush { url, .. } => format!("{}/{}", url.tc_url, url.stream),
        };
        match url.split_once('?') {
            Some((place, _)) => format!("{place}?..."),
            None => url,
        }
    }

    /// A driver for a connection that is being made at `now`. `seed` makes RTMP's random bytes.
    pub fn driver(
        &self,
        id: LinkId,
        settings: &LinkSettings,
        seed: [u8; 8],
        now: Micros,
    ) -> Driver {
        match self {
            Self::HttpPull(_) | Self::TcpPull { .. } => {
                Driver::Pull(Box::new(PullDriver::new(id, self, settings, now)))
            }
            Self::TcpPush { key, .. } => {
                let driver = TsPushDriver::new(id, self.url(), key.clone(), settings, now);
                Driver::TsPush(Box::new(driver))
            }
            Self::RtmpPush { url, key } => {
                let driver = RtmpPushDriver::new(id, url.clone(), key.clone(), settings, seed, now);
                Driver::RtmpPush(Box::new(driver))
            }
        }
    }
}

/// Without brackets.
fn plain(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    }
}

/// A push whose stream does not come gives its connection back.
const PLAY_WAIT_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_config::Side;

    #[test]
    fn what_a_channel_names_is_what_is_connected_to() {
        let key = StreamKey::new("iptv", "news");
        for (url, host, port) in [
            ("tcp://10.0.0.5:9999", "10.0.0.5", 9999),
            ("tcp://[2001:db8::1]:9999", "2001:db8::1", 9999),
            ("rtmp://origin:1936/live/a/news?...", "origin", 1936),
            ("rtmp://[::1]:1936/live/news", "::1", 1936),
        ] {
            let parsed = MediaUrl::parse(url, Side::Output).expect(url);
            let kind = LinkKind::of_output(&parsed, &key).expect(url);
            assert_eq!((kind.place(), kind.url().as_str()), ((host, port), url));
        }
        for (url, host, port) in
            [("tcp://source:9999", "source", 9999), ("http://[::1]:8080/a.ts?...", "::1", 8080)]
        {
            let parsed = MediaUrl::parse(url, Side::Input).expect(url);
            let kind = LinkKind::of_input(&parsed).expect(url);
            assert_eq!((kind.place(), kind.url().as_str()), ((host, port), url));
        }
        let group = MediaUrl::parse("udp://239.1.1.1:1234", Side::Input).expect("a group");
        assert_eq!(LinkKind::of_input(&group), None);
        assert_eq!(LinkKind::of_output(&group, &key), None);
    }

    #[test]
    fn the_times_are_those_of_the_configuration() {
        let mut config = Config::shipped();
        (config.iptv.connect_timeout_ms, config.iptv.answer_timeout_ms) = (100, 2_000);
        config.iptv.silence_timeout_ms = 0;
        let settings = LinkSettings::from_config(&config);
        assert_eq!((settings.connect_timeout_ms, settings.rtmp_start_timeout_ms), (100, 2_000));
        assert_eq!(settings.http.head_timeout_ms, 2_100, "from the first attempt on");
        assert_eq!((settings.silence_timeout_ms, settings.http.silence_timeout_ms), (0, 0));
    }

    #[test]
    fn the_usual_port_is_left_out_of_the_url_that_a_server_is_told() {
        let parsed = MediaUrl::parse("rtmp://h/live/a/news?t=1", Side::Output).expect("a URL");
        let kind = LinkKind::of_output(&parsed, &StreamKey::new("a", "b"));
        let Some(LinkKind::RtmpPush { url, .. }) = kind else { panic!("{kind:?}") };
        assert_eq!((url.tc_url.as_str(), url.app.as_str()), ("rtmp://h/live/a", "live/a"));
        assert_eq!((url.stream.as_str(), url.port), ("news?t=1", 1935));
    }
}
