//! Cores made up for the tests.

pub(in crate::control) mod transport;

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::hub::{PublisherSnapshot, StreamKey, StreamSnapshot, TrackSnapshot, ViewersSnapshot};
use crate::net::tls::Refusal;
use crate::shard::{ClientSnapshot, ShardSnapshot};
use crate::stats::{CoreStats, Failure, SkipReason};

/// A core that holds nothing.
pub(in crate::control) fn shard(core: u16) -> ShardSnapshot {
    ShardSnapshot {
        core,
        streams: vec![],
        viewers: vec![],
        channels: vec![],
        published: vec![],
        clients: vec![],
        latency_us: Histogram::new_with_bounds(1, 60_000_000, 2).unwrap(),
    }
}

/// A stream of 10 s with both tracks, published over connection 0-1.
pub(in crate::control) fn stream(id: u64, app: &str, name: &str) -> StreamSnapshot {
    let video = TrackSnapshot {
        kind: "video",
        index: 0,
        codec: "H264",
        profile: "High".to_owned(),
        level: "3.1".to_owned(),
        width: 1_280,
        height: 720,
        frame_rate: 25.0,
        sample_rate: 0,
        channels: 0,
    };
    let audio = TrackSnapshot {
        kind: "audio",
        index: 0,
        codec: "AAC",
        profile: "LC".to_owned(),
        level: String::new(),
        width: 0,
        height: 0,
        frame_rate: 0.0,
        sample_rate: 48_000,
        channels: 2,
    };
    StreamSnapshot {
        key: StreamKey::new(app, name),
        id,
        owner: 0,
        live_ms: 9_500,
        publisher: Some(PublisherSnapshot {
            client: "0-1".to_owned(),
            peer: "192.0.2.1:5000".to_owned(),
            protocol: "rtmp",
            agent: "FMLE/3.0".to_owned(),
            url: "rtmp://host/live".to_owned(),
            active_ms: 10_000,
        }),
        is_transport: false,
        tracks: vec![video, audio],
        units: 720,
        frames: 250,
        bytes: 2_000_000,
        jumps: 1,
    }
}

/// An RTMP connection of 10 s.
pub(in crate::control) fn client(id: &str, role: &'static str, stream: &str) -> ClientSnapshot {
    ClientSnapshot {
        id: id.to_owned(),
        peer: "192.0.2.1:5000".to_owned(),
        protocol: "rtmp",
        role,
        stream: stream.to_owned(),
        agent: "FMLE/3.0".to_owned(),
        url: "rtmp://host/live".to_owned(),
        alive_ms: 10_000,
        send_bytes: 350_000,
        recv_bytes: 3_000,
        rtt_us: 400,
        blocked: false,
    }
}

/// Two cores: `live/test` published on core 0 and watched on both.
pub(in crate::control) fn relay() -> Vec<ShardSnapshot> {
    let viewers = |by_form: Vec<(&'static str, usize)>, log_bytes, log_ms| ViewersSnapshot {
        key: StreamKey::new("live", "test"),
        by_form,
        log_bytes,
        log_ms,
        bridge: None,
        hls: Vec::new(),
    };
    let (mut first, mut second) = (shard(0), shard(1));
    first.streams.push(stream(7, "live", "test"));
    first.clients.push(client("0-2", "play", "live/test"));
    first.clients.push(client("0-1", "publish", "live/test"));
    first.viewers.push(viewers(vec![("rtmp", 1)], 65_536, 9_000));
    first.latency_us.saturating_record_n(90, 90);
    second.clients.push(ClientSnapshot { protocol: "http", ..client("1-1", "play", "live/test") });
    // Two egresses of one form: with both tracks, and with one.
    let forms = vec![("http_flv", 1), ("rtmp", 1), ("http_flv", 1)];
    second.viewers.push(viewers(forms, 131_072, 8_000));
    second.latency_us.saturating_record_n(20_000, 10);
    vec![first, second]
}

/// The counters of those two cores.
pub(in crate::control) fn stats() -> Vec<Arc<CoreStats>> {
    let (first, second) = (CoreStats::default(), CoreStats::default());
    first.connections.set(2);
    first.publishers.set(1);
    first.viewers.set(1);
    first.streams.set(1);
    first.bytes_in.set(2_000_000);
    first.bytes_out.set(350_000);
    first.log_bytes.set(65_536);
    first.count_failure(Failure::Protocol);
    second.accepted.set(4);
    second.connections.set(1);
    second.viewers.set(3);
    second.bytes_in.set(1_000);
    second.bytes_out.set(350_000);
    second.sends.set(900);
    second.blocked.set(5);
    second.ring_drops.set(6);
    second.control_delayed.set(7);
    second.malformed_tags.set(8);
    second.log_lines_lost.set(9);
    second.busy_permille.set(250);
    second.flush_interval_us.set(12_500);
    second.log_bytes.set(131_072);
    second.heartbeat.set(2_000);
    (0..3).for_each(|_| second.count_skip(SkipReason::BehindTime));
    second.count_failure(Failure::Protocol);
    second.count_failure(Failure::Socket);
    second.tls_connections.set(3);
    second.tls_handshakes.set(40);
    second.tls_resumed.set(10);
    second.count_refusal(Refusal::NotTls);
    vec![Arc::new(first), Arc::new(second)]
}
