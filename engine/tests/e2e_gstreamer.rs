//! GStreamer as publisher (rtmp2sink) and as player (rtmp2src, souphttpsrc is left to curl).

mod support;

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::peer::{self, Peer};
use support::relay::Relay;
use support::{LIMIT, ffmpeg, wait_until};

/// Encodes test media live and publishes it; a copy of what is sent goes to `copy`.
fn publish(relay: &Relay, name: &str, copy: &str) -> Peer {
    let pipeline = format!(
        "flvmux name=mux streamable=true ! tee name=out \
         out. ! queue ! rtmp2sink location={} \
         out. ! queue ! filesink location={copy} \
         videotestsrc is-live=true num-buffers=125 pattern=ball ! \
         video/x-raw,width=320,height=180,framerate=25/1 ! \
         x264enc tune=zerolatency key-int-max=25 bitrate=300 ! h264parse ! queue ! mux. \
         audiotestsrc is-live=true num-buffers=215 samplesperbuffer=1024 ! \
         audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse ! queue ! mux.",
        relay.rtmp_url("live", name)
    );
    launch(relay, &pipeline)
}

fn launch(relay: &Relay, pipeline: &str) -> Peer {
    let mut args = vec!["-q"];
    args.extend(pipeline.split_whitespace());
    Peer::spawn(relay.scratch(), "gst-launch-1.0", &args)
}

#[test]
fn what_rtmp2sink_publishes_reaches_rtmp2src_frame_for_frame() {
    let relay = Relay::start("applications.default.publisher_grace_ms = 0");
    let copy = relay.scratch().file("sent.flv");
    let file = relay.scratch().file("received.flv");
    let url = relay.rtmp_url("live", "gst");
    let player =
        launch(&relay, &format!("rtmp2src location={url} ! filesink location={}", file.display()));
    wait_until("rtmp2src waits", LIMIT, || relay.connections() == 1);
    let published = publish(&relay, "gst", copy.to_str().unwrap()).wait(LIMIT);
    assert!(published.succeeded(), "publisher: {}", published.output());
    let played = player.wait(LIMIT);
    assert!(played.status.is_some(), "rtmp2src was not told the end: {}", played.output());

    let sent = flv::read(&std::fs::read(copy).unwrap());
    let received = flv::read(&std::fs::read(file).unwrap());
    for kind in [VIDEO, AUDIO] {
        let run = flv::assert_run(kind, &sent, &received);
        let all = flv::frames(&sent, kind).len();
        // rtmp2src drops what it has not handed on when it is told the end, which follows at once.
        assert!(run.first + run.count + 1 >= all, "kind {kind}, {all} were sent: {run:?}");
        assert_eq!(run.first, 0, "kind {kind}, from the first frame: {run:?}");
    }
}

#[test]
fn what_rtmp2sink_publishes_is_decoded_by_ffmpeg() {
    let relay = Relay::start("");
    let copy = relay.scratch().file("sent.flv");
    let publisher = publish(&relay, "gst", copy.to_str().unwrap());
    relay.await_publisher("live", "gst");
    for url in [relay.rtmp_url("live", "gst"), relay.flv_url("live", "gst")] {
        let pictures = ffmpeg::decode(relay.scratch(), &url, 1);
        assert!((23..=27).contains(&pictures), "{pictures} pictures in 1 s of {url}");
    }
    drop(publisher);
}

#[test]
fn gstreamer_decodes_what_ffmpeg_publishes() {
    let relay = Relay::start("");
    let url = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &url);
    relay.await_publisher("live", "test");
    // The pipeline ends when both sinks have had enough decoded pictures and sounds.
    let pipeline = format!(
        "rtmp2src location={url} ! flvdemux name=demux demux.video ! queue ! h264parse ! \
         avdec_h264 ! fakesink num-buffers=50 demux.audio ! queue ! aacparse ! avdec_aac ! \
         fakesink num-buffers=80"
    );
    let mut args = vec!["-q"];
    args.extend(pipeline.split_whitespace());
    peer::run(relay.scratch(), "gst-launch-1.0", &args, LIMIT);
}
