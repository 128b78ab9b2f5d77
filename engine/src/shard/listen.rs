//! What is listened on, and which driver a connection gets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use corelay_config::Config;
use corelay_protocols::http::Settings as HttpSessionSettings;
use corelay_protocols::rtmp::ServerSettings as RtmpSettings;
use corelay_protocols::ts_tcp::{self, StreamName};

use crate::clock::Micros;
use crate::driver::{
    Driver, HlsSettings, Http2Driver, Http2Settings, HttpDriver, HttpSettings, RtmpDriver, TsDriver,
};
use crate::net::tls::{Entrance, Spoken};

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP.
    Rtmp,
    /// HTTP media and WebSocket.
    Http,
    /// Transport streams over TCP.
    Ts,
}

impl Protocol {
    /// The name in log lines and on standard output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Http => "http",
            Self::Ts => "ts",
        }
    }

    /// The same with TLS.
    pub fn secure_name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmps",
            Self::Http => "https",
            Self::Ts => "ts-tls",
        }
    }

    /// What connections of TLS say that they speak.
    pub fn spoken(self) -> Spoken {
        match self {
            Self::Http => Spoken::Media,
            Self::Rtmp | Self::Ts => Spoken::Unnamed,
        }
    }
}

/// A listening socket of one core.
#[derive(Debug)]
pub struct ListenerSpec {
    /// What is spoken there.
    pub protocol: Protocol,
    /// The socket.
    pub socket: OwnedFd,
    /// What its handshakes need; `None` for connections without TLS.
    pub tls: Option<Entrance>,
    /// Connections taken from the queue before others get their turn.
    pub accept_burst: usize,
}

/// What protocols need of the configuration; shared by all cores.
pub struct Protocols {
    rtmp: Arc<RtmpSettings>,
    rtmp_write_timeout_ms: u64,
    http: Arc<HttpSessionSettings>,
    http_write_timeout_ms: u64,
    http_driver: HttpSettings,
    http2: Http2Settings,
    ts: Arc<ts_tcp::Settings>,
    seeds: RandomState,
    connections: AtomicU64,
}

impl Protocols {
    /// Takes what they need from the configuration. `hls_key` encrypts HLS segments.
    pub fn new(config: &Config, hls_key: Option<[u8; 16]>) -> Self {
        let Config { rtmp, http, ts, .. } = config;
        Self {
            rtmp: Arc::new(RtmpSettings {
                handshake_timeout_ms: rtmp.handshake_timeout_ms,
                idle_timeout_ms: rtmp.idle_timeout_ms,
                ping_interval_ms: rtmp.ping_interval_ms,
                ping_timeout_ms: rtmp.ping_timeout_ms,
                chunk_size_in_max: rtmp.chunk_size_in_max,
                chunk_size_out: rtmp.chunk_size_out,
                message_bytes_max: rtmp.message_bytes_max,
                chunk_streams_max: rtmp.chunk_streams_max,
                message_streams_max: rtmp.message_streams_max,
                window_ack_size: rtmp.window_ack_size_bytes,
                peer_bandwidth: rtmp.window_ack_size_bytes,
                amf_depth_max: rtmp.amf_depth_max,
                amf_values_max: rtmp.amf_values_max,
            }),
            rtmp_write_timeout_ms: rtmp.write_timeout_ms,
            http: Arc::new(HttpSessionSettings {
                header_bytes_max: http.header_bytes_max,
                headers_max: http.headers_max,
                uri_bytes_max: http.uri_bytes_max,
                request_timeout_ms: http.request_timeout_ms,
                keep_alive_timeout_ms: http.keep_alive_timeout_ms,
                websocket_message_bytes_max: http.websocket_message_bytes_max as u64,
                allow_origin: http.allow_origin.clone(),
                ..HttpSessionSettings::default()
            }),
            http_write_timeout_ms: http.write_timeout_ms,
            http_driver: HttpSettings {
                play_wait_ms: http.play_wait_ms,
                unsynced_bytes_max: ts.unsynced_bytes_max as u64,
                hls: HlsSettings {
                    is_enabled: config.hls.enabled,
                    low_latency: config.hls.low_latency,
                    segment_ms: config.hls.segment_ms,
                    key: hls_key,
                },
            },
            http2: Http2Settings {
                streams_max: http.http2_streams_max,
                write_timeout_ms: http.write_timeout_ms,
            },
            ts: Arc::new(ts_tcp::Settings {
                stream: StreamName::parse(&ts.stream).unwrap_or_default(),
                opening_timeout_ms: ts.opening_timeout_ms,
                unsynced_bytes_max: ts.unsynced_bytes_max as u64,
            }),
            seeds: RandomState::new(),
            connections: AtomicU64::new(0),
        }
    }

    /// The key of encrypted HLS segments.
    pub fn hls_key(&self) -> Option<[u8; 16]> {
        self.http_driver.hls.key
    }

    /// A driver for a connection accepted at `now`.
    pub fn driver(&self, protocol: Protocol, now: Micros) -> Driver {
        match protocol {
            Protocol::Rtmp => {
                Driver::Rtmp(Box::new(RtmpDriver::new(Arc::clone(&self.rtmp), self.seed(), now)))
            }
            Protocol::Http => {
                let settings = Arc::clone(&self.http);
                let seed = u64::from_ne_bytes(self.seed());
                Driver::Http(Box::new(HttpDriver::new(settings, self.http_driver, seed, now)))
            }
            Protocol::Ts => Driver::Ts(Box::new(TsDriver::new(Arc::clone(&self.ts), now))),
        }
    }

    /// A driver for a connection of HTTP whose peer has chosen HTTP/2, at `now`.
    pub fn http2_driver(&self, now: Micros) -> Driver {
        let (session, seed) = (Arc::clone(&self.http), u64::from_ne_bytes(self.seed()));
        let driver = Http2Driver::new(session, self.http2, self.http_driver, seed, now);
        Driver::Http2(Box::new(driver))
    }

    /// How long a peer's socket may take nothing, in milliseconds.
    pub fn write_timeout_ms(&self, protocol: Protocol) -> u64 {
        match protocol {
            Protocol::Rtmp => self.rtmp_write_timeout_ms,
            // Nothing is ever written to a publisher of a transport stream.
            Protocol::Http | Protocol::Ts => self.http_write_timeout_ms,
        }
    }

    /// Eight bytes that differ for every connection and cannot be foreseen.
    fn seed(&self) -> [u8; 8] {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        self.seeds.hash_one(number).to_ne_bytes()
    }
}
