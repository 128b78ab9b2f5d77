//! `/api/v1/streams`: the fields of SRS under their names, and ours beside them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::history::{History, Rates};
use crate::hub::{StreamKey, StreamSnapshot, TrackSnapshot, ViewersSnapshot};
use crate::shard::ShardSnapshot;

/// One stream. Fields up to `audio` are those of SRS.
#[derive(Debug, Serialize)]
pub(super) struct Stream<'a> {
    id: String,
    name: &'a str,
    vhost: &'static str,
    app: &'a str,
    #[serde(rename = "tcUrl")]
    tc_url: &'a str,
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
    video: Option<Video<'a>>,
    audio: Option<Audio<'a>>,

    owner_core: u16,
    publisher: Option<Publisher<'a>>,
    /// Where it is watched, by core.
    viewers: Vec<Viewers>,
    /// All tracks, the two above included.
    tracks: &'a [TrackSnapshot],
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
struct Video<'a> {
    codec: &'static str,
    profile: &'a str,
    level: &'a str,
    width: u32,
    height: u32,
    fps: f64,
}

#[derive(Debug, Serialize)]
struct Audio<'a> {
    codec: &'static str,
    sample_rate: u32,
    channel: u8,
    profile: &'a str,
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

/// The API's view of some streams.
pub(super) fn describe<'a>(
    streams: &[&'a StreamSnapshot],
    shards: &'a [ShardSnapshot],
    history: &History,
) -> Vec<Stream<'a>> {
    let mut watched: HashMap<&StreamKey, Vec<(u16, &ViewersSnapshot)>> = HashMap::new();
    for shard in shards {
        for viewers in &shard.viewers {
            watched.entry(&viewers.key).or_default().push((shard.core, viewers));
        }
    }
    let viewers_of = |key| watched.get(key).map(Vec::as_slice).unwrap_or_default();
    streams.iter().map(|stream| one(stream, viewers_of(&stream.key), history)).collect()
}

fn one<'a>(
    stream: &'a StreamSnapshot,
    watched: &[(u16, &ViewersSnapshot)],
    history: &History,
) -> Stream<'a> {
    let publisher = stream.publisher.as_ref();
    let viewers: Vec<Viewers> = watched.iter().map(|(core, here)| count(*core, here)).collect();
    let track = |kind| stream.tracks.iter().find(|track| track.kind == kind);
    Stream {
        id: stream.id.to_string(),
        name: &stream.key.name,
        vhost: VHOST,
        app: &stream.key.app,
        tc_url: publisher.map_or("", |publisher| &publisher.url),
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
        owner_core: stream.owner,
        publisher: publisher.map(|publisher| Publisher {
            peer: &publisher.peer,
            protocol: publisher.protocol,
            agent: &publisher.agent,
            since_ms: publisher.active_ms,
        }),
        viewers,
        tracks: &stream.tracks,
        units: stream.units,
        log_bytes: watched.iter().map(|(_, here)| here.log_bytes).sum(),
        log_ms: watched.iter().map(|(_, here)| here.log_ms).max().unwrap_or(0),
        timestamp_jumps: stream.jumps,
    }
}

/// Two egresses of one form, with all tracks and with one, are one form here.
fn count(core: u16, here: &ViewersSnapshot) -> Viewers {
    let mut by_form = BTreeMap::new();
    for (form, viewers) in &here.by_form {
        *by_form.entry(*form).or_default() += viewers;
    }
    Viewers { core, total: by_form.values().sum(), by_form }
}

fn video(track: &TrackSnapshot) -> Video<'_> {
    Video {
        codec: track.codec,
        profile: &track.profile,
        level: &track.level,
        width: track.width,
        height: track.height,
        fps: track.frame_rate,
    }
}

fn audio(track: &TrackSnapshot) -> Audio<'_> {
    Audio {
        codec: track.codec,
        sample_rate: track.sample_rate,
        channel: track.channels,
        profile: &track.profile,
    }
}

/// There are no virtual hosts; clients of SRS expect the name of its default one.
pub(super) const VHOST: &str = "__defaultVhost__";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples;
    use super::*;

    fn shown(shards: &[ShardSnapshot]) -> Vec<Value> {
        let mut history = History::default();
        history.observe(60_000, shards);
        let streams = describe(&sorted(shards), shards, &history);
        streams.iter().map(|stream| serde_json::to_value(stream).unwrap()).collect()
    }

    #[test]
    fn a_stream_is_shown_with_every_field() {
        let shards = samples::relay();
        assert_eq!(
            shown(&shards)[0],
            json!({
                "id": "7", "name": "test", "vhost": "__defaultVhost__", "app": "live",
                "tcUrl": "rtmp://host/live", "url": "/live/test", "live_ms": 9_500, "clients": 5,
                "frames": 250, "send_bytes": 700_000, "recv_bytes": 2_000_000,
                "kbps": {"recv_30s": 1_600, "send_30s": 560},
                "publish": {"active": true, "cid": "0-1"},
                "video": {"codec": "H264", "profile": "High", "level": "3.1", "width": 1280,
                          "height": 720, "fps": 25.0},
                "audio": {"codec": "AAC", "sample_rate": 48_000, "channel": 2, "profile": "LC"},
                "owner_core": 0,
                "publisher": {"peer": "192.0.2.1:5000", "protocol": "rtmp", "agent": "FMLE/3.0",
                              "since_ms": 10_000},
                "viewers": [
                    {"core": 0, "total": 1, "by_form": {"rtmp": 1}},
                    {"core": 1, "total": 3, "by_form": {"http_flv": 2, "rtmp": 1}},
                ],
                "tracks": [
                    {"kind": "video", "index": 0, "codec": "H264", "profile": "High",
                     "level": "3.1", "width": 1280, "height": 720, "frame_rate": 25.0,
                     "sample_rate": 0, "channels": 0},
                    {"kind": "audio", "index": 0, "codec": "AAC", "profile": "LC", "level": "",
                     "width": 0, "height": 0, "frame_rate": 0.0, "sample_rate": 48_000,
                     "channels": 2},
                ],
                "units": 720, "log_bytes": 196_608, "log_ms": 9_000, "timestamp_jumps": 1,
            })
        );
    }

    #[test]
    fn a_stream_that_nobody_publishes_is_shown_as_idle() {
        let mut shard = samples::shard(0);
        let mut stream = samples::stream(7, "live", "late");
        (stream.publisher, stream.tracks) = (None, vec![]);
        shard.streams.push(stream);
        let shown = &shown(&[shard])[0];
        assert_eq!(shown["publish"], json!({"active": false, "cid": ""}));
        assert_eq!((&shown["video"], &shown["audio"]), (&Value::Null, &Value::Null));
        assert_eq!((&shown["publisher"], &shown["tcUrl"]), (&Value::Null, &json!("")));
        assert_eq!((&shown["clients"], &shown["viewers"]), (&json!(0), &json!([])));
    }

    #[test]
    fn streams_come_in_the_order_of_their_names_whatever_their_core() {
        let mut shards = vec![samples::shard(0), samples::shard(1)];
        shards[0].streams.push(samples::stream(1, "live", "b"));
        shards[0].streams.push(samples::stream(2, "film", "z"));
        shards[1].streams.push(samples::stream(3, "live", "a"));
        let urls: Vec<Value> = shown(&shards).into_iter().map(|one| one["url"].clone()).collect();
        assert_eq!(urls, [json!("/film/z"), json!("/live/a"), json!("/live/b")]);
    }
}
