//! HLS: what players, caches and checkers get of streams by RTMP, by transport stream and of channels.

#[allow(dead_code, unreachable_pub)]
#[path = "support/feed.rs"]
mod feed;
#[allow(dead_code, unreachable_pub)]
#[path = "support/headend.rs"]
mod headend;
#[path = "../../protocols/tests/support/hls_rules.rs"]
mod hls_rules;
#[path = "support/line.rs"]
mod line;
#[allow(dead_code, unreachable_pub)]
#[path = "support/packets.rs"]
mod packets;
mod support;

#[path = "hls/channels.rs"]
mod channels;
#[path = "hls/encrypted.rs"]
mod encrypted;
#[path = "hls/players.rs"]
mod players;
#[path = "hls/playlists.rs"]
mod playlists;
#[path = "hls/publishers.rs"]
mod publishers;
#[path = "hls/requests.rs"]
mod requests;
#[path = "hls/segments.rs"]
mod segments;
#[path = "hls/subtitles.rs"]
mod subtitles;
#[path = "hls/viewers.rs"]
mod viewers;

use std::path::{Path, PathBuf};

use hls_rules::{Checker, Playlist, Violation};
use support::flv::{AUDIO, Tag};
use support::hls::Watched;
use support::media::Media;
use support::peer;
use support::relay::Relay;
use support::witness::Publisher;
use support::{LIMIT, Scratch};

/// Short segments, so that there are some soon.
const SHORT: &str = "hls.segment_ms = 1000\n";

/// A relay with short segments, and a stream of pictures and sound, `live/test`, without end.
fn publish(settings: &str) -> (Relay, Publisher) {
    let relay = Relay::start(&format!("{SHORT}{settings}"));
    let publisher = Publisher::start(relay.rtmp(), "live", "test", endless_tags());
    relay.await_publisher("live", "test");
    (relay, publisher)
}

/// Pictures and sound that can be repeated without a gap between the pictures.
fn endless_tags() -> Vec<Tag> {
    let mut tags = Media::AudioVideo.tags();
    let end_ms = tags.iter().filter(|tag| tag.kind != AUDIO).map(|tag| tag.timestamp_ms).max();
    tags.retain(|tag| Some(tag.timestamp_ms) <= end_ms);
    tags
}

/// What is wrong with a row of playlists.
fn violations(watched: &Watched) -> Vec<Violation> {
    // Frames of 40 ms do not fit into every part.
    let mut checker = Checker::default();
    let texts = watched.playlists.iter();
    texts.flat_map(|(at_ms, text)| checker.take(*at_ms, text)).collect()
}

/// The newest playlist, taken apart.
fn last(watched: &Watched) -> Playlist {
    Playlist::parse(watched.last()).expect("a playlist")
}

/// Writes bytes into a file of the test.
fn save(scratch: &Scratch, name: &str, bytes: &[u8]) -> PathBuf {
    let file = scratch.file(name);
    std::fs::write(&file, bytes).expect("scratch is writable");
    file
}

/// A frame in a container, as ffprobe sees it.
#[derive(Clone, Debug)]
struct Frame {
    is_video: bool,
    is_key: bool,
    dts_s: f64,
}

/// The frames of pictures and sound in a file, in its order.
fn frames(scratch: &Scratch, file: &Path) -> Vec<Frame> {
    let entries = "packet=codec_type,dts_time,flags";
    let args = ["-v", "error", "-show_entries", entries, "-of", "json", file.to_str().unwrap()];
    let probed = peer::run(scratch, "ffprobe", &args, LIMIT);
    assert_eq!(probed.stderr.trim(), "", "{}", file.display());
    let probed: serde_json::Value = serde_json::from_str(&probed.stdout).expect("JSON");
    let packets = probed["packets"].as_array().expect("packets").iter();
    let known = packets.filter(|packet| packet["codec_type"] != "data");
    let frame = |packet: &serde_json::Value| Frame {
        is_video: packet["codec_type"] == "video",
        is_key: packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K')),
        dts_s: packet["dts_time"].as_str().and_then(|time| time.parse().ok()).expect("a time"),
    };
    known.map(frame).collect()
}
