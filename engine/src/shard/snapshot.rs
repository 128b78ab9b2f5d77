//! What the API shows of one core.

use hdrhistogram::Histogram;

use super::Shard;
use crate::channel::ChannelSnapshot;
use crate::channel::input::InputSnapshot;
use crate::hub::hls::SessionSnapshot;
use crate::hub::{StreamKey, StreamSnapshot, ViewersSnapshot};
use crate::net;

/// How much of what a core holds is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Every connection: a system call and a few strings for each.
    pub clients: bool,
    /// The tables and PIDs of every transport stream: some KiB for each input and output.
    pub tables: bool,
}

/// Everything the control thread may ask of a core.
#[derive(Clone, Debug)]
pub struct ShardSnapshot {
    /// The core.
    pub core: u16,
    /// The streams it owns.
    pub streams: Vec<StreamSnapshot>,
    /// The viewers it serves, by stream.
    pub viewers: Vec<ViewersSnapshot>,
    /// Its channels.
    pub channels: Vec<ChannelSnapshot>,
    /// The transport streams that are published over its connections.
    pub published: Vec<(StreamKey, InputSnapshot)>,
    /// Its connections.
    pub clients: Vec<ClientSnapshot>,
    /// Relay latencies in microseconds: last byte of a unit received to end of the flush that sent it.
    pub latency_us: Histogram<u64>,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ClientSnapshot {
    /// Its id, as in the log.
    pub id: String,
    /// Address and port.
    pub peer: String,
    /// Protocol.
    pub protocol: &'static str,
    /// `publish`, `play` or empty.
    pub role: &'static str,
    /// `app/name`, empty while it does nothing.
    pub stream: String,
    /// What it calls itself.
    pub agent: String,
    /// The URL it connected to.
    pub url: String,
    /// Milliseconds since it was accepted.
    pub alive_ms: u64,
    /// Bytes it has acknowledged.
    pub send_bytes: u64,
    /// Bytes received from it.
    pub recv_bytes: u64,
    /// Smoothed round trip time in microseconds.
    pub rtt_us: u32,
    /// Its socket is full.
    pub blocked: bool,
}

impl Shard {
    /// What the core holds now.
    pub(super) fn snapshot(&mut self, look: Look) -> ShardSnapshot {
        let Look { clients, tables } = look;
        let now = self.clock.now();
        let published = self.connections.iter_mut().filter_map(|(_, connection)| {
            let (peer, protocol) = (connection.peer, connection.driver.protocol());
            let intake = connection.driver.intake()?;
            let url = format!("{protocol}://{peer}");
            Some((intake.key().clone(), intake.snapshot(url, tables, now)))
        });
        let published = published.collect();
        let client = |(_, connection): (usize, &super::Connection)| {
            let activity = connection.driver.activity();
            // The kernel counts for us: nothing is counted per viewer on the hot path.
            let tcp = net::tcp_info(connection.fd()).unwrap_or_default();
            ClientSnapshot {
                id: connection.id.to_string(),
                peer: connection.peer.to_string(),
                protocol: connection.driver.protocol(),
                role: activity.role,
                stream: activity.stream,
                agent: activity.agent,
                url: activity.url,
                alive_ms: now.millis_since(connection.since),
                send_bytes: tcp.bytes_acked,
                recv_bytes: tcp.bytes_received,
                rtt_us: tcp.rtt_us,
                blocked: connection.blocked.is_some(),
            }
        };
        let mut all: Vec<ClientSnapshot> = Vec::new();
        if clients {
            all.extend(self.connections.iter().map(client));
            all.extend(self.hub.hls_sessions(now).map(session));
        }
        ShardSnapshot {
            core: self.core.0,
            streams: self.hub.stream_snapshots(now),
            viewers: self.hub.viewer_snapshots(),
            channels: self.channels.snapshots(tables, now),
            published,
            clients: all,
            latency_us: self.hub.latency_us().clone(),
        }
    }
}

/// A viewer of HLS, who is no connection.
fn session((key, session): (&StreamKey, SessionSnapshot)) -> ClientSnapshot {
    ClientSnapshot {
        id: format!("hls-{:016x}", session.id),
        peer: session.peer,
        protocol: "hls",
        role: "play",
        stream: key.to_string(),
        agent: session.agent,
        url: String::new(),
        alive_ms: session.alive_ms,
        send_bytes: session.bytes,
        recv_bytes: 0,
        rtt_us: 0,
        blocked: false,
    }
}
