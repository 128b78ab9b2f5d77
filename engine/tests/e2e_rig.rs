//! The rig itself, against nginx instead of the relay: what a failing test says is then the relay's.

mod support;

use support::flv::{self, AUDIO, VIDEO};
use support::media::{Media, PICTURES};
use support::nginx::Nginx;
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, Scratch, ffmpeg};

#[test]
fn the_rigs_client_plays_from_nginx_what_ffmpeg_publishes() {
    let scratch = Scratch::new("rig");
    let nginx = Nginx::start(&scratch, "127.0.0.1:1/none");
    let mut player = Rtmp::play(nginx.address(), "in", "test").unwrap();
    let publisher = ffmpeg::publish(&scratch, Media::AudioVideo, &nginx.url("test"));
    let received = player.collect(300);
    let sent = Media::AudioVideo.tags();
    assert_eq!(flv::assert_run(VIDEO, &sent, &received).first, 0);
    assert_eq!(flv::assert_run(AUDIO, &sent, &received).first, 0);
    assert!(publisher.wait(LIMIT).succeeded());
}

#[test]
fn ffmpeg_plays_from_nginx_what_the_rigs_client_publishes() {
    let scratch = Scratch::new("rig");
    let nginx = Nginx::start(&scratch, "127.0.0.1:1/none");
    let sent = Media::AudioVideo.tags();
    let file = scratch.file("played.flv");
    let player = ffmpeg::record(&scratch, &nginx.url("test"), &file);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let publisher = Publisher::start(nginx.address(), "in", "test", sent.clone());
    support::await_bytes(&file, 100_000);
    player.stop();
    publisher.stop();
    let received = flv::read(&std::fs::read(&file).unwrap());
    assert!(flv::assert_run(VIDEO, &sent, &received).count > 50);
    flv::assert_run(AUDIO, &sent, &received);
}

#[test]
fn the_test_media_is_what_it_claims_to_be() {
    for media in [Media::AudioVideo, Media::VideoOnly, Media::Hevc] {
        let tags = media.tags();
        let pictures = flv::frames(&tags, VIDEO);
        assert_eq!(pictures.len(), PICTURES, "{media:?}");
        let keys = pictures.iter().filter(|tag| tag.is_keyframe()).count();
        assert_eq!(keys, PICTURES / 25, "{media:?}");
        assert_eq!(tags.iter().filter(|tag| tag.kind == VIDEO && tag.is_config()).count(), 1);
    }
    // B-frames: composition times differ.
    let tags = Media::VideoOnly.tags();
    let offsets: std::collections::BTreeSet<&[u8]> =
        flv::frames(&tags, VIDEO).iter().map(|tag| &tag.body[2..5]).collect();
    assert!(offsets.len() >= 3, "{offsets:?}");
    assert!(flv::frames(&Media::AudioOnly.tags(), AUDIO).len() > 200);
}

#[test]
#[should_panic(expected = "the first 10 are those sent from 0 on")]
fn a_frame_that_is_missing_is_found() {
    let sent = Media::VideoOnly.tags();
    let mut received: Vec<_> = flv::frames(&sent, VIDEO).into_iter().cloned().collect();
    received.remove(10);
    flv::assert_run(VIDEO, &sent, &received);
}

#[test]
#[should_panic(expected = "the first 10 are those sent from 0 on")]
fn a_byte_that_differs_is_found() {
    let sent = Media::VideoOnly.tags();
    let mut received: Vec<_> = flv::frames(&sent, VIDEO).into_iter().cloned().collect();
    received[10].body[20] ^= 1;
    flv::assert_run(VIDEO, &sent, &received);
}

#[test]
#[should_panic(expected = "came out as")]
fn a_time_that_differs_is_found() {
    let sent = Media::VideoOnly.tags();
    let mut received: Vec<_> = flv::frames(&sent, VIDEO).into_iter().cloned().collect();
    received[10].timestamp_ms += 5;
    flv::assert_run(VIDEO, &sent, &received);
}
