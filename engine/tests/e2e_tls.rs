//! TLS with foreign clients: RTMPS with ffmpeg, GStreamer and rtmpdump, HTTPS with curl, WSS.

mod support;

use std::io::{Read, Write};

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::peer::{self, Peer};
use support::secured::{Secured, assert_whole};
use support::tls::{self, Client};
use support::{LIMIT, await_bytes, ffmpeg, http, wait_until};

#[test]
fn ffmpeg_publishes_and_plays_by_rtmps_frame_for_frame() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let relay = &secured.relay;
    let url = relay.rtmps_url("live", "test");
    let file = relay.scratch().file("played.flv");
    let player = ffmpeg::record(relay.scratch(), &url, &file);
    wait_until("the player waits", LIMIT, || relay.connections() == 1);
    let publisher = ffmpeg::publish(relay.scratch(), Media::AudioVideo, &url);
    assert!(publisher.wait(LIMIT).succeeded());
    assert!(player.wait(LIMIT).status.is_some(), "the player was not told the end");
    let bytes = std::fs::read(file).unwrap();
    let (sent, received) = (Media::AudioVideo.tags(), flv::read(&bytes));
    let video = flv::assert_run(VIDEO, &sent, &received);
    assert_eq!(video.first + video.count, flv::frames(&sent, VIDEO).len(), "to the last picture");
    flv::assert_run(AUDIO, &sent, &received);
    assert_eq!(relay.metric("corelay_tls_handshakes_total", ""), Some(2.0));
    assert_eq!(relay.metric("corelay_tls_failures_total", ""), Some(0.0));
    relay.await_no_clients();
    assert_eq!(relay.metric("corelay_tls_connections", ""), Some(0.0));
}

#[test]
fn gstreamer_publishes_and_plays_by_rtmps() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let relay = &secured.relay;
    let launch = |pipeline: &str| {
        let mut args = vec!["-q"];
        args.extend(pipeline.split_whitespace());
        Peer::spawn(relay.scratch(), "gst-launch-1.0", &args)
    };
    let url = relay.rtmps_url("live", "gst");
    let (copy, file) = (relay.scratch().file("sent.flv"), relay.scratch().file("received.flv"));
    let player = launch(&format!(
        "rtmp2src location={url} tls-validation-flags=0 ! filesink location={}",
        file.display()
    ));
    wait_until("rtmp2src waits", LIMIT, || relay.connections() == 1);
    let publisher = launch(&format!(
        "flvmux name=mux streamable=true ! tee name=out \
         out. ! queue ! rtmp2sink location={url} tls-validation-flags=0 \
         out. ! queue ! filesink location={} \
         videotestsrc is-live=true num-buffers=100 pattern=ball ! \
         video/x-raw,width=320,height=180,framerate=25/1 ! \
         x264enc tune=zerolatency key-int-max=25 bitrate=300 ! h264parse ! queue ! mux.",
        copy.display()
    ));
    let published = publisher.wait(LIMIT);
    assert!(published.succeeded(), "publisher: {}", published.output());
    assert!(player.wait(LIMIT).status.is_some(), "rtmp2src was not told the end");
    let sent = flv::read(&std::fs::read(copy).unwrap());
    let received = flv::read(&std::fs::read(file).unwrap());
    let run = flv::assert_run(VIDEO, &sent, &received);
    // rtmp2src drops what it has not handed on when it is told the end, which follows at once.
    assert!(run.first == 0 && run.count + 1 >= flv::frames(&sent, VIDEO).len(), "{run:?}");
}

#[test]
fn rtmpdump_plays_by_rtmps() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let relay = &secured.relay;
    let publisher = secured.publish();
    let file = relay.scratch().file("dump.flv");
    let url = relay.rtmps_url("live", "test");
    let args = ["--live", "-r", &url, "-o", file.to_str().unwrap()];
    let player = Peer::spawn(relay.scratch(), "rtmpdump", &args);
    await_bytes(&file, 60_000);
    publisher.stop();
    assert!(player.wait(LIMIT).status.is_some(), "rtmpdump was not told the end");
    assert_whole(&std::fs::read(&file).unwrap());
}

#[test]
fn curl_plays_by_https_checks_the_certificate_and_resumes_its_session() {
    let secured = Secured::start("");
    let (relay, ca) = (&secured.relay, &secured.ca);
    let publisher = secured.publish();
    let file = relay.scratch().file("curl.flv");
    let url = format!("https://localhost:{}/live/test.flv", relay.https_port());
    let args = ["-sSv", "--cacert", ca, "-D", "-", "-o", file.to_str().unwrap(), &url];
    let player = Peer::spawn(relay.scratch(), "curl", &args);
    await_bytes(&file, 60_000);
    publisher.stop();
    let played = player.wait(LIMIT);
    assert!(played.succeeded(), "curl: {}", played.output());
    assert!(played.stdout.starts_with("HTTP/2 200"), "{}", played.stdout);
    assert!(played.stderr.contains("server accepted h2"), "{}", played.stderr);
    assert!(played.stderr.contains("TLSv1.3"), "{}", played.stderr);
    assert_whole(&std::fs::read(&file).unwrap());

    // curl keeps sessions within one run: two connections, because the first one is not kept.
    let missing = format!("https://localhost:{}/live/none.flv", relay.https_port());
    let close = ["--http1.1", "-H", "Connection: close"];
    let args = [&["-sS", "--cacert", ca][..], &close, &[&missing, &missing]].concat();
    let resumed = || relay.metric("corelay_tls_handshakes_total", "resumed").unwrap_or(0.0);
    let before = resumed();
    peer::run(relay.scratch(), "curl", &args, LIMIT);
    assert_eq!(resumed(), before + 1.0);
}

#[test]
fn curl_plays_a_transport_stream_by_tls_1_2() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let (relay, ca) = (&secured.relay, &secured.ca);
    let publisher = secured.publish();
    let file = relay.scratch().file("curl.ts");
    let url = format!("https://localhost:{}/live/test.ts", relay.https_port());
    let tls = ["--tls-max", "1.2", "--cacert", ca];
    let args = [&["-sv"][..], &tls, &["-o", file.to_str().unwrap(), &url]].concat();
    let player = Peer::spawn(relay.scratch(), "curl", &args);
    await_bytes(&file, 200_000);
    publisher.stop();
    let played = player.wait(LIMIT);
    assert!(played.succeeded(), "{}", played.output());
    assert!(played.stderr.contains("using TLSv1.2"), "{}", played.stderr);
    let tracks = ffmpeg::probe(relay.scratch(), file.to_str().unwrap());
    assert_eq!(tracks.len(), 2, "{tracks:?}");
    let decoded = ffmpeg::decode(relay.scratch(), file.to_str().unwrap(), 1);
    assert!((23..=27).contains(&decoded), "{decoded} pictures in 1 s");
}

#[test]
fn curl_refuses_a_certificate_that_it_does_not_trust_or_that_names_somebody_else() {
    let secured = Secured::start("");
    let (relay, ca) = (&secured.relay, &secured.ca);
    let port = relay.https_port();
    let get = |args: &[&str]| {
        let args = [&["-sS"][..], args].concat();
        let status = Peer::spawn(relay.scratch(), "curl", &args).wait(LIMIT).status;
        status.and_then(|status| status.code())
    };
    let url = format!("https://localhost:{port}/");
    assert_eq!(get(&[&url]), Some(60), "CURLE_PEER_FAILED_VERIFICATION");
    let elsewhere = format!("https://elsewhere.example:{port}/");
    let resolve = format!("elsewhere.example:{port}:127.0.0.1");
    assert_eq!(get(&["--cacert", ca, "--resolve", &resolve, &elsewhere]), Some(60));
    let line = relay.await_log(&["closed for tls", "unknown_ca"]);
    assert!(line.contains("does not trust"), "{line}");
    assert_eq!(get(&["--cacert", ca, &url]), Some(0));
    let refused = "reason=\"refused_by_peer\"";
    assert_eq!(relay.metric("corelay_tls_failures_total", refused), Some(1.0));
}

#[test]
fn a_websocket_viewer_is_served_through_tls() {
    let secured = Secured::start("applications.default.publisher_grace_ms = 0");
    let (relay, authority) = (&secured.relay, &secured.authority);
    let publisher = secured.publish();
    let config = Client::trusting(authority).config();
    let stream = tls::connect(&config, relay.listening("https"), "localhost").unwrap();
    let url = "wss://localhost/live/test.flv";
    let (mut socket, _) = tungstenite::client(url, stream).expect("the upgrade");
    let bytes = http::read_websocket(&mut socket, 100_000);
    assert_whole(&bytes);
    // It is the only viewer.
    assert!(relay.metric("corelay_relay_latency_seconds_count", "").unwrap() > 0.0);
    publisher.stop();
    let is_told = http::ends_with_close_frame(&mut socket);
    assert!(is_told, "no close frame at the end of the stream");
}

#[test]
fn a_transport_stream_is_published_over_tls() {
    let secured = Secured::start("ts.stream = \"live/ts\"");
    let (relay, authority) = (&secured.relay, &secured.authority);
    let file = relay.scratch().file("input.ts");
    let media = Media::AudioVideo.path();
    let args = ["-v", "error", "-i", media.to_str().unwrap(), "-c", "copy", "-f", "mpegts"];
    let args = [&args[..], &[file.to_str().unwrap()]].concat();
    peer::run(relay.scratch(), "ffmpeg", &args, LIMIT);
    let config = Client::trusting(authority).config();
    let mut stream = tls::connect(&config, relay.listening("ts-tls"), "localhost").unwrap();
    let bytes = std::fs::read(file).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.flush().unwrap();
    wait_until("the stream is there", LIMIT, || {
        let answer = relay.api("/api/v1/streams");
        answer["streams"].as_array().is_some_and(|all| {
            all.iter().any(|stream| {
                stream["publish"]["active"] == true
                    && stream["recv_bytes"].as_u64() >= Some(bytes.len() as u64 * 9 / 10)
            })
        })
    });
    // The end is said, and answered: no reset on either side.
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end, and no truncation");
    relay.await_no_clients();
}
