//! What a case is: a load, and who bears it.

use std::time::Duration;

use super::measure;
use super::server::Contender;
use crate::hls::Manner;
use crate::publish::Shape;

/// How players play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP.
    Rtmp,
    /// HTTP-FLV.
    HttpFlv,
    /// WebSocket-FLV.
    WsFlv,
    /// A transport stream over HTTP, which is counted and not parsed.
    HttpTs,
    /// Datagrams: every stream is sent on to one receiver.
    Udp,
    /// HTTP-FLV by TLS.
    HttpsFlv,
    /// RTMP by TLS.
    Rtmps,
    /// HLS: playlists and segments. Without players, memory is weighed against what is held.
    Hls,
    /// HLS, media playlists only.
    HlsPlaylist,
    /// Low-Latency HLS: playlists and parts.
    HlsLowLatency,
}

impl Protocol {
    /// What HLS players do.
    pub fn hls(self) -> Option<Manner> {
        match self {
            Self::Hls => Some(Manner::Watch),
            Self::HlsPlaylist => Some(Manner::Poll),
            Self::HlsLowLatency => Some(Manner::LowLatency),
            _ => None,
        }
    }
}

/// Where streams come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// RTMP publishers.
    Publishers,
    /// Transport streams of constant bit rate by UDP, a channel each.
    Datagrams {
        /// Bit rate of each in kbit/s.
        kbit_s: u64,
        /// Outputs by UDP keep to the streams' clocks, instead of sending what comes at once.
        is_paced: bool,
    },
}

/// The name of the case that lasts as long as the user asks.
pub const SOAK: &str = "soak";

/// One load, put on several servers.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in reports and on the command line.
    pub name: &'static str,
    /// What it is about, for the report.
    pub about: &'static str,
    /// The load.
    pub load: Load,
    /// Who bears it.
    pub contenders: Vec<Contender>,
    /// Rounds; in each, every contender runs once.
    pub rounds: usize,
}

impl Case {
    /// About how long it takes with windows of this length.
    pub fn estimate(&self, window: Duration) -> Duration {
        let round = self.contenders.iter();
        let round: Duration =
            round.map(|contender| measure::estimate(&self.load, contender, window)).sum();
        round * self.rounds as u32
    }
}

/// Publishers and players.
#[derive(Clone, Debug)]
pub struct Load {
    /// How players play.
    pub protocol: Protocol,
    /// Where the streams come from.
    pub feed: Feed,
    /// Streams, each with a publisher or a sender of its own.
    pub streams: usize,
    /// Players, spread over the streams.
    pub players: usize,
    /// What each publisher sends.
    pub shape: Shape,
    /// How long publishers publish before players come.
    pub warm_up: Duration,
    /// Clients that connect by TLS and leave, per second.
    pub handshakes_per_s: f64,
    /// Additional slow players: how many, and their kbit/s.
    pub slow: Vec<(usize, u64)>,
    /// Players that begin per second.
    pub ramp_per_s: f64,
    /// Players that leave and come back per second.
    pub churn_per_s: f64,
    /// Players that parse.
    pub sample: usize,
    /// The load may use every CPU.
    pub unpinned: bool,
}

impl Load {
    /// Players of one stream of 2.15 Mbit/s.
    pub fn players(protocol: Protocol, players: usize) -> Self {
        Self {
            protocol,
            feed: Feed::Publishers,
            streams: 1,
            players,
            shape: Shape::default(),
            // Enough for the log of a relay to hold a keyframe, and its memory to be what it is.
            warm_up: Duration::from_millis(500),
            handshakes_per_s: 0.0,
            slow: Vec::new(),
            ramp_per_s: 1_000.0,
            churn_per_s: 0.0,
            sample: players.min(20),
            unpinned: false,
        }
    }

    /// Players of one stream by HLS, who begin within a target duration: their requests stay spread.
    pub fn hls(protocol: Protocol, players: usize) -> Self {
        Self {
            // Three segments, from which players begin.
            warm_up: Duration::from_secs(8),
            ramp_per_s: (players as f64 / 2.0).max(1.0),
            ..Self::players(protocol, players)
        }
    }

    /// So many channels by UDP, each with one player.
    pub fn channels(protocol: Protocol, channels: usize, kbit_s: u64, is_paced: bool) -> Self {
        Self {
            feed: Feed::Datagrams { kbit_s, is_paced },
            streams: channels,
            ..Self::players(protocol, channels)
        }
    }

    /// Players, slow ones included.
    pub fn everybody(&self) -> usize {
        self.players + self.slow.iter().map(|(players, _)| players).sum::<usize>()
    }

    /// Makes it smaller, where it has more players than this.
    pub fn limit_players(&mut self, players_max: usize) {
        if self.players > players_max {
            self.players = players_max;
            // Some are left that only count: those are the ones that come and go.
            self.sample = self.sample.min(players_max.div_ceil(2));
            if matches!(self.feed, Feed::Datagrams { .. }) {
                self.streams = self.players;
            }
        }
        for (players, _) in &mut self.slow {
            *players = (*players).min(players_max);
        }
    }
}
