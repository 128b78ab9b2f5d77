//! rtmpdump, the reference player of librtmp, plays to the end and is interrupted.

mod support;

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::peer::Peer;
use support::relay::Relay;
use support::witness::Publisher;
use support::{LIMIT, await_bytes, ffmpeg, wait_until};

/// Plays with rtmpdump from the middle of a stream until it ends.
fn dump(options: &[&str]) {
    let sent = Media::AudioVideo.tags();
    let relay = Relay::start("applications.default.publisher_grace_ms = 0");
    let url = relay.rtmp_url("live", "test");
    let file = relay.scratch().file("dump.flv");
    let args = [&["-r", &url, "-o", file.to_str().unwrap()][..], options].concat();
    let publisher = Publisher::start(relay.rtmp(), "live", "test", sent.clone());
    publisher.await_ms(1_500);
    let player = Peer::spawn(relay.scratch(), "rtmpdump", &args);
    await_bytes(&file, 100_000);
    let last = publisher.stop();
    let played = player.wait(LIMIT);
    assert!(played.status.is_some(), "rtmpdump was not told the end: {}", played.output());

    let received = flv::read(&std::fs::read(&file).expect("rtmpdump wrote a file"));
    let video = flv::assert_run(VIDEO, &sent, &received);
    flv::assert_run(AUDIO, &sent, &received);
    assert_eq!(video.first % 25, 0, "it starts at a keyframe");
    let newest = received.iter().rfind(|tag| tag.is_media()).expect("frames");
    assert_eq!((newest.kind, &newest.body), (last.kind, &last.body), "to the last frame");
}

#[test]
fn rtmpdump_plays_a_running_stream_to_its_end() {
    dump(&[]);
}

#[test]
fn rtmpdump_plays_live() {
    dump(&["--live"]);
}

#[test]
fn the_relay_notices_when_rtmpdump_is_interrupted() {
    let relay = Relay::start("");
    let url = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &url);
    relay.await_publisher("live", "test");
    let file = relay.scratch().file("dump.flv");
    let args = ["--live", "-r", &url, "-o", file.to_str().unwrap()];
    let player = Peer::spawn(relay.scratch(), "rtmpdump", &args);
    await_bytes(&file, 50_000);
    let played = player.stop();
    assert!(played.status.is_some(), "{}", played.output());
    flv::assert_run(VIDEO, &Media::AudioVideo.tags(), &flv::read(&std::fs::read(&file).unwrap()));
    wait_until("only the publisher is left", LIMIT, || relay.connections() == 1);
}
