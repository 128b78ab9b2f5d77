//! Streams of any publisher as transport streams over HTTP and WebSocket.

mod support;

use std::collections::HashMap;
use std::path::Path;

use corelay_codecs::container::mpegts::packet::{Packet, Pid};
use support::media::Media;
use support::peer;
use support::relay::Relay;
use support::witness::Publisher;
use support::{LIMIT, Scratch, ffmpeg, http, wait_until};

const PACKET_BYTES: usize = 188;

fn packets(bytes: &[u8]) -> Vec<Packet<'_>> {
    bytes.chunks_exact(PACKET_BYTES).map(|packet| Packet::parse(packet).unwrap()).collect()
}

/// Fails unless every PID counts its packets without a gap. A packet may be sent twice (2.4.3.3).
fn assert_continuous(packets: &[Packet<'_>]) {
    let mut last: HashMap<u16, Packet<'_>> = HashMap::new();
    for (index, packet) in packets.iter().enumerate().filter(|(_, packet)| packet.has_payload()) {
        let pid = packet.pid().value();
        if let Some(before) = last.insert(pid, *packet).filter(|before| before != packet) {
            let next = (before.continuity_counter() + 1) & 0x0F;
            assert_eq!(packet.continuity_counter(), next, "packet {index} of PID {pid}");
        }
    }
}

/// Fails unless a decoder can start at the first packet: tables, then a keyframe.
fn assert_starts_well(packets: &[Packet<'_>]) {
    assert_eq!(packets[0].pid(), Pid::PAT, "PAT first");
    let picture = packets.iter().find(|packet| packet.pid() == VIDEO_PID).expect("pictures");
    assert!(picture.is_random_access(), "the first picture is no keyframe");
}

const VIDEO_PID: Pid = Pid::new(0x100);

#[test]
fn a_late_joiner_gets_tables_and_a_keyframe_and_no_packet_is_missing() {
    let relay = Relay::start("");
    let publisher = Publisher::start(relay.rtmp(), "live", "test", Media::AudioVideo.tags());
    publisher.await_ms(1_500);
    let mut viewer = http::Viewer::open(relay.http(), "/live/test.ts");
    assert_eq!(viewer.head.header("content-type"), Some("video/mp2t"));
    let mut late = http::websocket(relay.http(), "/live/test.ts");
    assert!(viewer.read_to(150_000), "the stream ended early");
    let over_websocket = http::read_websocket(&mut late, 100_000);
    for bytes in [&viewer.bytes, &over_websocket] {
        let packets = packets(bytes);
        assert!(packets.len() > 200, "{} packets", packets.len());
        assert_starts_well(&packets);
        assert_continuous(&packets);
    }
    assert_eq!(over_websocket.len() % PACKET_BYTES, 0, "whole packets in each message");
}

fn packets_of_sound(relay: &Relay, file: &Path) -> usize {
    let args = ["-v", "error", "-select_streams", "a", "-show_entries", "packet=pts", "-of", "csv"];
    let args = [&args[..], &[file.to_str().unwrap()]].concat();
    let finished = peer::run(relay.scratch(), "ffprobe", &args, LIMIT);
    assert_eq!(finished.stderr.trim(), "", "reading {}", file.display());
    finished.stdout.lines().filter(|line| line.starts_with("packet")).count()
}

#[test]
fn a_viewer_that_came_first_gets_every_picture_and_every_sound() {
    let relay = Relay::start(
        "applications.default.publisher_grace_ms = 0
         http.play_wait_ms = 30000",
    );
    let address = relay.http();
    let viewer = std::thread::spawn(move || {
        let mut viewer = http::Viewer::open(address, "/live/test.ts");
        viewer.read_to_end();
        viewer.bytes
    });
    wait_until("the viewer waits", LIMIT, || relay.connections() == 1);
    let url = relay.rtmp_url("live", "test");
    let published = ffmpeg::publish(relay.scratch(), Media::AudioVideo, &url).wait(LIMIT);
    assert!(published.succeeded(), "publisher: {}", published.output());
    let bytes = viewer.join().unwrap();
    assert_continuous(&packets(&bytes));
    let file = relay.scratch().file("got.ts");
    std::fs::write(&file, &bytes).unwrap();
    let (scratch, sent) = (relay.scratch(), Media::AudioVideo.path());
    assert_eq!(ffmpeg::picture_hashes(scratch, &file), ffmpeg::picture_hashes(scratch, &sent));
    assert_eq!(packets_of_sound(&relay, &file), packets_of_sound(&relay, &sent));
}

#[test]
fn ffprobe_and_gstreamer_find_both_tracks() {
    let relay = Relay::start("");
    let rtmp = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &rtmp);
    relay.await_publisher("live", "test");
    let url = relay.ts_url("live", "test");
    let probe = std::thread::spawn({
        let url = url.clone();
        move || {
            let tracks = ffmpeg::probe(&Scratch::new("probe"), &url);
            let codecs: Vec<_> = tracks.iter().map(|track| &track["codec_name"]).collect();
            assert_eq!(codecs, ["h264", "aac"]);
            assert_eq!(tracks[0]["width"], 320);
        }
    });
    let decoded = ffmpeg::decode(relay.scratch(), &url, 2);
    assert!((48..=52).contains(&decoded), "{decoded} pictures in 2 s");

    let file = relay.scratch().file("gst.ts");
    let mut viewer = http::Viewer::open(relay.http(), "/live/test.ts");
    assert!(viewer.read_to(200_000), "the stream ended early");
    std::fs::write(&file, &viewer.bytes).unwrap();
    let pipeline = format!(
        "-q filesrc location={} ! tsdemux name=d \
         d. ! queue ! h264parse ! avdec_h264 ! fakesink \
         d. ! queue ! aacparse ! avdec_aac ! fakesink",
        file.display()
    );
    let args: Vec<&str> = pipeline.split_whitespace().collect();
    let finished = peer::run(relay.scratch(), "gst-launch-1.0", &args, LIMIT);
    assert!(finished.succeeded(), "{}", finished.output());
    assert!(!finished.output().contains("WARN"), "{}", finished.output());
    probe.join().expect("ffprobe finds both");
}

#[test]
fn sound_alone_starts_with_its_tables() {
    let relay = Relay::start("");
    let publisher = Publisher::start(relay.rtmp(), "live", "test", Media::AudioOnly.tags());
    publisher.await_ms(1_500);
    let mut viewer = http::Viewer::open(relay.http(), "/live/test.ts");
    assert!(viewer.read_to(40_000), "the stream ended early");
    let packets = packets(&viewer.bytes);
    assert_eq!(packets[0].pid(), Pid::PAT, "PAT first");
    assert!(packets.iter().all(|packet| packet.pid() != VIDEO_PID));
    assert_continuous(&packets);
}
