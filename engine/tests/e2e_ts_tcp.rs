//! Publishers that send transport streams over TCP.

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use support::media::Media;
use support::peer::{self, Peer};
use support::relay::Relay;
use support::{LIMIT, Scratch, ffmpeg, http, wait_until};

/// Publishes a file with ffmpeg as a transport stream, in real time and over and over.
fn publish_forever(relay: &Relay, media: Media) -> Peer {
    let (path, url) = (media.path(), format!("tcp://{}", relay.ts()));
    let args = ["-v", "warning", "-nostdin", "-re", "-stream_loop", "-1", "-i"];
    let output = ["-c", "copy", "-f", "mpegts", &url];
    let args = [&args[..], &[path.to_str().unwrap()], &output].concat();
    Peer::spawn(relay.scratch(), "ffmpeg", &args)
}

/// The file as a transport stream.
fn transport_stream(relay: &Relay, media: Media) -> PathBuf {
    let (path, file) = (media.path(), relay.scratch().file("media.ts"));
    let args = ["-v", "error", "-nostdin", "-y", "-i", path.to_str().unwrap()];
    let output = ["-c", "copy", "-f", "mpegts", file.to_str().unwrap()];
    let made = peer::run(relay.scratch(), "ffmpeg", &[&args[..], &output].concat(), LIMIT);
    assert!(made.succeeded(), "{}", made.output());
    file
}

#[test]
fn what_ffmpeg_sends_is_on_rtmp_http_flv_and_http_ts() {
    let relay = Relay::start("");
    let _publisher = publish_forever(&relay, Media::AudioVideo);
    relay.await_publisher("live", "ts");
    let urls =
        [relay.rtmp_url("live", "ts"), relay.flv_url("live", "ts"), relay.ts_url("live", "ts")];
    thread::scope(|scope| {
        for url in &urls {
            scope.spawn(move || {
                let tracks = ffmpeg::probe(&Scratch::new("probe"), url);
                let mut codecs: Vec<_> =
                    tracks.iter().filter_map(|track| track["codec_name"].as_str()).collect();
                codecs.sort_unstable();
                assert_eq!(codecs, ["aac", "h264"], "{url}");
            });
            scope.spawn(move || {
                // The sound of a transport stream comes up to half a second behind its pictures.
                let pictures = ffmpeg::decode(&Scratch::new("decode"), url, 2);
                assert!((37..=52).contains(&pictures), "{pictures} pictures in 2 s of {url}");
            });
        }
    });
    let stream = relay.stream("live", "ts").unwrap();
    assert_eq!(stream["publisher"]["protocol"], "ts", "{stream}");
    relay.await_log(&["program 1", "H.264 (PID 256)", "AAC (ADTS) (PID 257"]);
}

#[test]
fn every_picture_reaches_a_viewer_of_flv_that_came_first() {
    let relay = Relay::start(
        "applications.default.publisher_grace_ms = 0
         http.play_wait_ms = 30000",
    );
    let file = transport_stream(&relay, Media::AudioVideo);
    let address = relay.http();
    let viewer = thread::spawn(move || {
        let mut viewer = http::Viewer::open(address, "/iptv/news.flv");
        viewer.read_to_end();
        viewer.bytes
    });
    wait_until("the viewer waits", LIMIT, || relay.connections() == 1);
    let mut socket = http::open(relay.ts());
    socket.write_all(b"corelay iptv/news?token=x\r\n").unwrap();
    for piece in std::fs::read(&file).unwrap().chunks(40_001) {
        socket.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    drop(socket);
    let got = relay.scratch().file("got.flv");
    std::fs::write(&got, viewer.join().unwrap()).unwrap();
    let sent = ffmpeg::picture_hashes(relay.scratch(), &Media::AudioVideo.path());
    assert_eq!(ffmpeg::picture_hashes(relay.scratch(), &got), sent);
    relay.await_log(&["0 sync losses", "0 continuity errors", "0 CRC errors"]);
}

#[test]
fn what_is_no_transport_stream_ends_its_connection_with_a_reason() {
    let relay = Relay::start(
        "ts.unsynced_bytes_max = \"4 KiB\"
         ts.opening_timeout_ms = 500",
    );
    let _publisher = publish_forever(&relay, Media::AudioVideo);
    relay.await_publisher("live", "ts");
    for (junk, reason) in [
        (vec![0; 200_000], "bytes without packets"),
        (b"corelay nothing\n".to_vec(), "no application or no stream name"),
        (b"corelay li".to_vec(), "no packet within 500 ms"),
    ] {
        let mut socket = http::open(relay.ts());
        // The relay may close while we write.
        let _ = socket.write_all(&junk);
        relay.await_log(&["closed for", reason]);
    }
    let pictures = ffmpeg::decode(relay.scratch(), &relay.flv_url("live", "ts"), 1);
    assert!(pictures > 20, "the others go on");
}

#[test]
fn gstreamer_publishes_a_transport_stream() {
    let relay = Relay::start("");
    let address = relay.ts();
    let pipeline = format!(
        "-q mpegtsmux name=mux ! tcpclientsink host={} port={} \
         videotestsrc is-live=true num-buffers=250 ! \
         video/x-raw,width=320,height=180,framerate=25/1 ! \
         x264enc tune=zerolatency key-int-max=25 bitrate=300 ! h264parse ! queue ! mux. \
         audiotestsrc is-live=true num-buffers=430 samplesperbuffer=1024 ! \
         audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse ! queue ! mux.",
        address.ip(),
        address.port()
    );
    let args: Vec<&str> = pipeline.split_whitespace().collect();
    let _publisher = Peer::spawn(relay.scratch(), "gst-launch-1.0", &args);
    relay.await_publisher("live", "ts");
    let pictures = ffmpeg::decode(relay.scratch(), &relay.rtmp_url("live", "ts"), 2);
    assert!((37..=52).contains(&pictures), "{pictures} pictures in 2 s");
}
