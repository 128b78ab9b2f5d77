//! `/api/v1/streams`: the fields of SRS under their names, and ours beside them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::channels::Failover;
use super::history::{History, Rates};
use super::inputs::Input;
use super::outputs::{Link, Output};
use super::sources::{self, Sources};
use super::{place, tracks};
use crate::hub::{BridgeSnapshot, StreamKey, StreamSnapshot, TrackSnapshot, ViewersSnapshot};
use crate::shard::ShardSnapshot;

/// One stream. Fields up to `audio` are those of SRS.
#[derive(Debug, Serialize)]
pub(super) struct Stream<'a> {
    id: String,
    name: &'a str,
    vhost: &'static str,
    app: &'a str,
    #[serde(rename = "tcUrl")]
    tc_url: Cow<'a, str>,
    url: String,
    /// Stream time of the newest unit, in milliseconds.
    live_ms: i64,
    /// Publisher and viewers.
    clients: usize,
    frames: u64,
    send_bytes: u64,
    recv_bytes: u64,
    kbps: Rates,
    publish: Publish<'a>,
    video: Option<Video>,
    audio: Option<Audio>,

    /// `elementary`: access units, or `transport`: packets, carried whole.
    essence: &'static str,
    owner_core: u16,
    publisher: Option<Publisher<'a>>,
    /// Where it is watched, by core.
    viewers: Vec<Viewers>,
    /// All tracks, the two above included. Of a transport stream that nobody had to open yet: those
    /// that its PMT names, by their coding alone.
    tracks: Cow<'a, [TrackSnapshot]>,
    /// What viewers who cannot take packets do not get of a transport stream.
    not_carried: Vec<NotCarried<'a>>,
    /// What brings a transport stream.
    inputs: Vec<Input<'a>>,
    /// Where its channel sends it in datagrams.
    outputs: Vec<Output<'a>>,
    /// The connections of its channel.
    links: Vec<Link<'a>>,
    /// Of a channel.
    failover: Option<Failover<'a>>,
    units: u64,
    /// Memory of its logs on all cores.
    log_bytes: u64,
    /// Media held by the longest of its logs, in milliseconds.
    log_ms: u64,
    /// Jumps of its publisher's timestamps that were smoothed out.
    timestamp_jumps: u64,
}

#[derive(Debug, Serialize)]
struct Publish<'a> {
    active: bool,
    /// Id of the publisher's connection.
    cid: &'a str,
}

#[derive(Debug, Serialize)]
struct Publisher<'a> {
    /// Address and port.
    peer: &'a str,
    protocol: &'static str,
    agent: &'a str,
    /// Milliseconds since it began.
    since_ms: u64,
}

#[derive(Debug, Serialize)]
struct Video {
    codec: &'static str,
    profile: String,
    level: String,
    width: u32,
    height: u32,
    fps: f64,
}

#[derive(Debug, Serialize)]
struct Audio {
    codec: &'static str,
    sample_rate: u32,
    channel: u8,
    profile: String,
}

/// A part of a transport stream that is not taken out of it.
#[derive(Debug, Serialize)]
struct NotCarried<'a> {
    pid: u16,
    /// How it is coded.
    format: &'static str,
    reason: &'a str,
}

/// The viewers of one stream on one core.
#[derive(Debug, Serialize)]
struct Viewers {
    core: u16,
    total: usize,
    by_form: BTreeMap<&'static str, usize>,
}

/// All streams, in the order of their names.
pub(super) fn sorted(shards: &[ShardSnapshot]) -> Vec<&StreamSnapshot> {
    let mut streams: Vec<_> = shards.iter().flat_map(|shard| &shard.streams).collect();
    streams.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    streams
}

/// The API's view of some streams; `is_full`: with everything that is measured of transport
/// streams.
pub(super) fn describe<'a>(
    streams: &[&'a StreamSnapshot],
    shards: &'a [ShardSnapshot],
    history: &History,
    is_full: bool,
) -> Vec<Stream<'a>> {
    let mut watched: HashMap<&StreamKey, Vec<(u16, &ViewersSnapshot)>> = HashMap::new();
    for shard in shards {
        for viewers in &shard.viewers {
            watched.entry(&viewers.key).or_default().push((shard.core, viewers));
        }
    }
    let mut sources = sources::by_stream(shards);
    let mut one = |stream: &'a StreamSnapshot| {
        let watched = watched.get(&stream.key).map(Vec::as_slice).unwrap_or_default();
        let sources = sources.remove(&stream.key).unwrap_or_default();
        one(stream, watched, &sources, history, is_full)
    };
    streams.iter().map(|stream| one(stream)).collect()
}

fn one<'a>(
    stream: &'a StreamSnapshot,
    watched: &[(u16, &'a ViewersSnapshot)],
    sources: &Sources<'a>,
    history: &History,
    is_full: bool,
) -> Stream<'a> {
    let publisher = stream.publisher.as_ref();
    let mut sessions = HashSet::new();
    let count = |(core, here): &(u16, &ViewersSnapshot)| count(*core, here, &mut sessions);
    let viewers: Vec<Viewers> = watched.iter().map(count).collect();
    let bridges = || watched.iter().filter_map(|(_, here)| here.bridge.as_ref());
    let tracks = match stream.is_transport {
        true => tracks::of_transport(bridges(), sources.main()),
        false => Cow::Borrowed(stream.tracks.as_slice()),
    };
    let track = |kind| tracks.iter().find(|track| track.kind == kind);
    let channel = sources.channel;
    let (outputs, links) = channel
        .map(|channel| (channel.outputs.as_slice(), channel.links.as_slice()))
        .unwrap_or_default();
    Stream {
        id: stream.id.to_string(),
        name: &stream.key.name,
        vhost: VHOST,
        app: &stream.key.app,
        tc_url: publisher.map_or(Cow::Borrowed(""), |publisher| place::shown(&publisher.url)),
        url: format!("/{}", stream.key),
        live_ms: stream.live_ms,
        clients: usize::from(publisher.is_some())
            + viewers.iter().map(|here| here.total).sum::<usize>(),
        frames: stream.frames,
        send_bytes: history.stream_sent(stream.id),
        recv_bytes: stream.bytes,
        kbps: history.stream_rates(stream.id),
        publish: Publish {
            active: publisher.is_some(),
            cid: publisher.map_or("", |publisher| &publisher.client),
        },
        video: track("video").map(video),
        audio: track("audio").map(audio),
        essence: if stream.is_transport { "transport" } else { "elementary" },
        owner_core: stream.owner,
        publisher: publisher.map(|publisher| Publisher {
            peer: &publisher.peer,
            protocol: publisher.protocol,
            agent: &publisher.agent,
            since_ms: publisher.active_ms,
        }),
        viewers,
        tracks,
        not_carried: not_carried(bridges()),
        inputs: sources.inputs().iter().map(|source| Input::of(source, is_full)).collect(),
        outputs: (1..).zip(outputs).map(|(n, one)| Output::of(n, one, is_full)).collect(),
        links: (1..).zip(links).map(|(n, one)| Link::of(n, one)).collect(),
        failover: channel.map(Failover::of),
        units: stream.units,
        log_bytes: watched.iter().map(|(_, here)| here.log_bytes).sum(),
        log_ms: watched.iter().map(|(_, here)| here.log_ms).max().unwrap_or(0),
        timestamp_jumps: stream.jumps,
    }
}

/// Of the core that has found most of it.
fn not_carried<'a>(bridges: impl Iterator<Item = &'a BridgeSnapshot>) -> Vec<NotCarried<'a>> {
    let bridge = bridges.max_by_key(|bridge| bridge.not_carried.len());
    let rows = bridge.map(|bridge| bridge.not_carried.as_slice()).unwrap_or_default();
    let row = |(pid, format, reason): &'a (u16, &'static str, String)| NotCarried {
        pid: *pid,
        format,
        reason,
    };
    rows.iter().map(row).collect()
}

/// Two egresses of one form, with all tracks and with one, are one form here. A session of HLS counts on
/// the first core that knows it.
fn count(core: u16, here: &ViewersSnapshot, sessions: &mut HashSet<u64>) -> Viewers {
    let mut by_form = BTreeMap::new();
    for (form, viewers) in &here.by_form {
        *by_form.entry(*form).or_default() += viewers;
    }
    for hls in &here.hls {
        let new = hls.viewers.iter().filter(|session| sessions.insert(**session)).count();
        *by_form.entry(hls.form).or_default() += new;
    }
    Viewers { core, total: by_form.values().sum(), by_form }
}

fn video(track: &TrackSnapshot) -> Video {
    Video {
        codec: track.codec,
        profile: track.profile.clone(),
        level: track.level.clone(),
        width: track.width,
        height: track.height,
        fps: track.frame_rate,
    }
}

fn audio(track: &TrackSnapshot) -> Audio {
    Audio {
        codec: track.codec,
        sample_rate: track.sample_rate,
        channel: track.channels,
        profile: track.profile.clone(),
    }
}

/// There are no virtual hosts; clients of SRS expect the name of its default one.
pub(super) const VHOST: &str = "__defaultVhost__";
