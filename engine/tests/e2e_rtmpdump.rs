//! rtmpdump, the reference player of librtmp, plays what ffmpeg publishes.

mod support;

use std::time::Duration;

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::peer::Peer;
use support::relay::Relay;
use support::{LIMIT, ffmpeg, wait_until};

/// Plays with rtmpdump until the stream ends.
fn dump(options: &[&str]) {
    let relay = Relay::start("applications.default.publisher_grace_ms = 0");
    let url = relay.rtmp_url("live", "test");
    let file = relay.scratch().file("dump.flv");
    let args = [&["-r", &url, "-o", file.to_str().unwrap()][..], options].concat();
    let publisher = ffmpeg::publish(relay.scratch(), Media::AudioVideo, &url);
    relay.await_publisher("live", "test");
    let player = Peer::spawn(relay.scratch(), "rtmpdump", &args);
    wait_until("rtmpdump plays", LIMIT, || relay.connections() == 2);
    assert!(publisher.wait(LIMIT).succeeded());
    let played = player.wait(Duration::from_secs(20));
    assert!(played.status.is_some(), "rtmpdump was not told the end: {}", played.output());

    let sent = Media::AudioVideo.tags();
    let received = flv::read(&std::fs::read(&file).expect("rtmpdump wrote a file"));
    let video = flv::assert_run(VIDEO, &sent, &received);
    let audio = flv::assert_run(AUDIO, &sent, &received);
    assert_eq!(video.first % 25, 0, "it starts at a keyframe");
    assert_eq!(video.first + video.count, flv::frames(&sent, VIDEO).len(), "to the last picture");
    assert_eq!(audio.first + audio.count, flv::frames(&sent, AUDIO).len(), "to the last sound");
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
    wait_until("rtmpdump has received something", LIMIT, || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 50_000)
    });
    let played = player.stop();
    assert!(played.status.is_some(), "{}", played.output());
    flv::assert_run(VIDEO, &Media::AudioVideo.tags(), &flv::read(&std::fs::read(&file).unwrap()));
    wait_until("only the publisher is left", LIMIT, || relay.connections() == 1);
}
