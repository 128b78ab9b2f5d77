//! nginx's RTMP module pushes a stream into the relay: an independent relay as publisher.

mod support;

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::nginx::Nginx;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::{LIMIT, ffmpeg, wait_until};

#[test]
fn what_nginx_pushes_comes_through_frame_for_frame() {
    let relay = Relay::start("applications.default.publisher_grace_ms = 0");
    let nginx = Nginx::start(relay.scratch(), &format!("{}/live", relay.rtmp()));
    let mut player = Rtmp::play(relay.rtmp(), "live", "pushed").expect("it may wait");
    let publisher = ffmpeg::publish(relay.scratch(), Media::AudioVideo, &nginx.url("pushed"));
    relay.await_publisher("live", "pushed");

    let received = player.collect_to_end();
    assert!(publisher.wait(LIMIT).succeeded());
    let sent = Media::AudioVideo.tags();
    let video = flv::assert_run(VIDEO, &sent, &received);
    let audio = flv::assert_run(AUDIO, &sent, &received);
    // nginx may join its push to what is published a moment late, but loses nothing after that.
    assert_eq!(video.first + video.count, flv::frames(&sent, VIDEO).len(), "to the last picture");
    assert_eq!(audio.first + audio.count, flv::frames(&sent, AUDIO).len(), "to the last sound");
    assert!(video.count > 50, "{video:?}");
    wait_until("the pushed stream is gone", LIMIT, || {
        relay.stream("live", "pushed").is_none_or(|stream| stream["publish"]["active"] == false)
    });
}
