//! What the API shows of a core's streams.

use corelay_codecs::TrackKind;
use serde::Serialize;

use super::hls::HlsSnapshot;
use super::play::count_by_form;
use super::{Hub, StreamKey};
use crate::clock::Micros;

/// A stream as its owner sees it.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    /// Application and name.
    pub key: StreamKey,
    /// A number that names it within this run of the server.
    pub id: u64,
    /// The core that owns it.
    pub owner: u16,
    /// Stream time of the newest unit, in milliseconds.
    pub live_ms: i64,
    /// Who publishes; `None` while it is expected back or not there yet.
    pub publisher: Option<PublisherSnapshot>,
    /// It is a transport stream; otherwise access units.
    pub is_transport: bool,
    /// Its tracks; of a transport stream none: see its analysis.
    pub tracks: Vec<TrackSnapshot>,
    /// Units received.
    pub units: u64,
    /// Video frames received.
    pub frames: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Timestamp jumps smoothed out.
    pub jumps: u64,
}

/// Who publishes.
#[derive(Clone, Debug)]
pub struct PublisherSnapshot {
    /// Connection id, as in the log.
    pub client: String,
    /// Address and port.
    pub peer: String,
    /// Protocol.
    pub protocol: &'static str,
    /// What it calls itself.
    pub agent: String,
    /// The URL it connected to.
    pub url: String,
    /// Milliseconds since it started.
    pub active_ms: u64,
}

/// A track.
#[derive(Clone, Debug, Serialize)]
pub struct TrackSnapshot {
    /// `video` or `audio`.
    pub kind: &'static str,
    /// Number within its kind.
    pub index: u8,
    /// Codec, as SRS writes it.
    pub codec: &'static str,
    /// Profile.
    pub profile: String,
    /// Level.
    pub level: String,
    /// Pixels; 0 for audio.
    pub width: u32,
    /// Pixels; 0 for audio.
    pub height: u32,
    /// Frames per second; 0 when unknown.
    pub frame_rate: f64,
    /// Samples per second; 0 for video.
    pub sample_rate: u32,
    /// Channels; 0 for video.
    pub channels: u8,
}

/// The viewers of a stream on one core.
#[derive(Clone, Debug)]
pub struct ViewersSnapshot {
    /// Application and name.
    pub key: StreamKey,
    /// Viewers of each form.
    pub by_form: Vec<(&'static str, usize)>,
    /// Memory of its logs on this core.
    pub log_bytes: u64,
    /// Media held in its logs, in milliseconds.
    pub log_ms: u64,
    /// What this core takes out of a transport stream for viewers that cannot take packets.
    pub bridge: Option<BridgeSnapshot>,
    /// What this core serves of it by HLS, by form.
    pub hls: Vec<HlsSnapshot>,
}

/// What a core takes out of a transport stream.
#[derive(Clone, Debug)]
pub struct BridgeSnapshot {
    /// The tracks.
    pub tracks: Vec<TrackSnapshot>,
    /// What it leaves out: PID, coding by name, and why.
    pub not_carried: Vec<(u16, &'static str, String)>,
}

impl Hub {
    /// The streams that this core owns.
    pub fn stream_snapshots(&self, now: Micros) -> Vec<StreamSnapshot> {
        let snapshot = |(_, stream): (usize, &super::Stream)| StreamSnapshot {
            key: stream.key.clone(),
            id: u64::from(stream.uid.core.0) << 32 | u64::from(stream.uid.serial),
            owner: self.core.0,
            live_ms: stream.feed.live_ms(),
            publisher: stream.publisher().map(|(_, info)| PublisherSnapshot {
                client: info.connection.to_string(),
                peer: info.peer.to_string(),
                protocol: info.protocol,
                agent: info.agent.clone(),
                url: info.url.clone(),
                active_ms: now.millis_since(info.since),
            }),
            is_transport: stream.feed.is_transport(),
            tracks: stream.feed.tracks().iter().map(track).collect(),
            units: stream.feed.totals.units,
            frames: stream.feed.totals.frames,
            bytes: stream.feed.totals.bytes,
            jumps: stream.feed.jumps(),
        };
        self.streams.iter().map(snapshot).collect()
    }

    /// The viewers of this core, by stream.
    pub fn viewer_snapshots(&self) -> Vec<ViewersSnapshot> {
        let snapshot = |(_, replica): (usize, &super::Replica)| ViewersSnapshot {
            key: replica.key.clone(),
            by_form: count_by_form(replica).map(|(form, count)| (form.name(), count)).collect(),
            log_bytes: replica.outlets().iter().map(|outlet| outlet.log().memory_bytes()).sum(),
            log_ms: replica.outlets().iter().map(|o| o.log().span_ms()).max().unwrap_or(0),
            bridge: replica.bridge().map(|bridge| BridgeSnapshot {
                tracks: bridge.tracks().iter().map(track).collect(),
                not_carried: bridge.not_carried(),
            }),
            hls: Vec::new(),
        };
        let mut all: Vec<ViewersSnapshot> = self.replicas.iter().map(snapshot).collect();
        for (key, hls) in self.shelves.snapshots() {
            match all.iter_mut().find(|one| one.key == *key) {
                Some(found) => found.hls.push(hls),
                None => all.push(ViewersSnapshot {
                    key: key.clone(),
                    by_form: Vec::new(),
                    log_bytes: 0,
                    log_ms: 0,
                    bridge: None,
                    hls: vec![hls],
                }),
            }
        }
        all
    }

    /// Relay latencies of this core so far, in microseconds: from the last byte of a unit received to
    /// the end of the flush that sent it, to all viewers that read the log themselves, or to all that
    /// their connections serve.
    pub fn latency_us(&self) -> &hdrhistogram::Histogram<u64> {
        &self.latency_us
    }
}

fn track(track: &super::feed::Track) -> TrackSnapshot {
    let info = &track.info;
    let kind = match track.kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Data => "data",
    };
    TrackSnapshot {
        kind,
        index: track.index,
        codec: info.codec.row().api_name,
        profile: info.profile.clone(),
        level: info.level.clone(),
        width: info.width,
        height: info.height,
        frame_rate: info.frame_rate,
        sample_rate: info.sample_rate_hz,
        channels: info.channels,
    }
}
