//! HTTP-FLV and WebSocket-FLV: curl, plain requests, tungstenite.

mod support;

use std::io::Write;

use support::flv::{self, AUDIO, SCRIPT, VIDEO};
use support::media::Media;
use support::peer::{self, Peer};
use support::relay::Relay;
use support::witness::Publisher;
use support::{LIMIT, await_bytes, http, wait_until};

/// A relay on which `live/test` is published.
fn published() -> (Relay, Publisher) {
    let relay = Relay::start("applications.default.publisher_grace_ms = 0");
    let publisher = Publisher::start(relay.rtmp(), "live", "test", Media::AudioVideo.tags());
    relay.await_publisher("live", "test");
    (relay, publisher)
}

#[test]
fn curl_gets_every_frame_until_the_publisher_ends() {
    let (relay, publisher) = published();
    let file = relay.scratch().file("curl.flv");
    let url = relay.flv_url("live", "test");
    let args = ["-sS", "-D", "-", "-o", file.to_str().unwrap(), &url];
    let player = Peer::spawn(relay.scratch(), "curl", &args);
    await_bytes(&file, 60_000);
    publisher.stop();
    let played = player.wait(LIMIT);
    assert!(played.succeeded(), "curl: {}", played.output());
    let head = played.stdout.to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: video/x-flv"), "{head}");
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    let received = flv::read(&std::fs::read(&file).unwrap());
    let sent = Media::AudioVideo.tags();
    assert_eq!(flv::assert_run(VIDEO, &sent, &received).first % 25, 0);
    flv::assert_run(AUDIO, &sent, &received);
    flv::assert_monotonic(&received, VIDEO);
    flv::assert_monotonic(&received, AUDIO);
}

#[test]
fn a_websocket_viewer_gets_the_same_flv() {
    let (relay, publisher) = published();
    let mut socket = http::websocket(relay.http(), "/live/test.flv");
    socket.send(tungstenite::Message::Ping(b"corelay"[..].into())).unwrap();
    let bytes = http::read_websocket(&mut socket, 100_000);
    let received = flv::read(&bytes);
    let sent = Media::AudioVideo.tags();
    assert_eq!(flv::assert_run(VIDEO, &sent, &received).first % 25, 0);
    flv::assert_run(AUDIO, &sent, &received);
    // The publisher leaves: the viewer is told by a close frame, not by a cut connection.
    publisher.stop();
    let is_told = http::ends_with_close_frame(&mut socket);
    assert!(is_told, "no close frame at the end of the stream");
}

#[test]
fn one_kind_of_track_can_be_asked_for() {
    let (relay, _publisher) = published();
    for (query, wanted, unwanted) in [("onlyAudio", AUDIO, VIDEO), ("onlyVideo", VIDEO, AUDIO)] {
        for value in ["", "=1", "=true"] {
            let path = format!("/live/test.flv?{query}{value}");
            let mut viewer = http::Viewer::open(relay.http(), &path);
            assert!(viewer.read_to(10_000), "{path} ended early");
            let received = flv::read(&viewer.bytes);
            assert!(received.iter().any(|tag| tag.kind == wanted), "{path}");
            assert!(received.iter().all(|tag| tag.kind != unwanted), "{path}");
            flv::assert_run(wanted, &Media::AudioVideo.tags(), &received);
        }
    }
}

#[test]
fn what_is_not_there_is_not_found_and_the_connection_goes_on() {
    let relay = Relay::start("");
    let mut socket = http::open(relay.http());
    let mut bytes = Vec::new();
    for path in ["/live/none.flv", "/nothing", "/live/none.flv"] {
        write!(socket, "GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n").unwrap();
        let reply = http::read_response(&mut socket, &mut bytes, false).expect("kept alive");
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
}

#[test]
fn a_get_may_wait_for_its_stream() {
    let relay = Relay::start("http.play_wait_ms = 30000");
    let file = relay.scratch().file("curl.flv");
    let args = ["-sS", "-o", file.to_str().unwrap(), &relay.flv_url("live", "late")];
    let player = Peer::spawn(relay.scratch(), "curl", &args);
    wait_until("curl waits", LIMIT, || relay.connections() == 1);
    let tags = Media::AudioVideo.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", "late", tags.clone());
    await_bytes(&file, 40_000);
    drop(player);
    let received = flv::read(&std::fs::read(&file).unwrap());
    assert_eq!(flv::assert_run(VIDEO, &tags, &received).first, 0, "it saw the first picture");
}

#[test]
fn a_wait_that_is_over_ends_with_not_found() {
    let relay = Relay::start("http.play_wait_ms = 500");
    assert_eq!(http::get(relay.http(), "/live/never.flv").status, 404);
}

#[test]
fn wrong_requests_get_the_status_that_says_what_is_wrong() {
    let relay = Relay::start("");
    let long = "x".repeat(9000);
    let many = "A: b\r\n".repeat(200);
    let wide = format!("A: {}\r\n", "b".repeat(20_000));
    let get = "GET /live/test.flv HTTP/1.1\r\nHost: relay\r\n";
    for (status, request) in [
        (400, "GARBAGE\r\n\r\n".to_owned()),
        (400, "GET /../etc/passwd HTTP/1.1\r\nHost: relay\r\n\r\n".to_owned()),
        (400, format!("{get}Content-Length: 1\r\nContent-Length: 2\r\n\r\n")),
        (405, "DELETE /live/test.flv HTTP/1.1\r\nHost: relay\r\n\r\n".to_owned()),
        (414, format!("GET /{long} HTTP/1.1\r\nHost: relay\r\n\r\n")),
        (431, format!("{get}{many}\r\n")),
        (431, format!("{get}{wide}\r\n")),
        (505, "GET / HTTP/3.7\r\nHost: relay\r\n\r\n".to_owned()),
        (426, format!("{get}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")),
    ] {
        let reply = http::request(relay.http(), &request);
        let shown: String = request.chars().take(60).collect();
        assert_eq!(reply.status, status, "{shown:?}: {}", reply.text());
        assert!(!reply.body.is_empty(), "{shown:?}: the reply says nothing");
        if status == 405 {
            assert!(reply.header("allow").is_some_and(|methods| methods.contains("GET")));
        }
    }
}

#[test]
fn head_and_preflight_and_the_flash_policy_are_answered() {
    let (relay, _publisher) = published();
    let head = "HEAD /live/test.flv HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n";
    let reply = http::request(relay.http(), head);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("video/x-flv"));
    let preflight = "OPTIONS /live/test.flv HTTP/1.1\r\nHost: relay\r\nOrigin: http://page\r\n\
                     Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n";
    let reply = http::request(relay.http(), preflight);
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let policy = http::get(relay.http(), "/crossdomain.xml");
    assert_eq!(policy.status, 200);
    assert!(policy.text().contains("cross-domain-policy"), "{}", policy.text());
    assert!(http::get(relay.http(), "/").text().contains(".flv"));
}

#[test]
fn curl_over_http_1_0_gets_the_stream() {
    let (relay, _publisher) = published();
    let file = relay.scratch().file("curl.flv");
    let url = relay.flv_url("live", "test");
    let args = ["-sS", "-0", "-o", file.to_str().unwrap(), &url];
    let mut player = Peer::spawn(relay.scratch(), "curl", &args);
    await_bytes(&file, 100_000);
    assert!(player.is_running(), "curl: {}", player.wait(LIMIT).output());
    drop(player);
    let received = flv::read(&std::fs::read(&file).unwrap());
    assert!(received.iter().any(|tag| tag.kind == SCRIPT), "metadata");
    flv::assert_run(VIDEO, &Media::AudioVideo.tags(), &received);
}

#[test]
fn names_with_spaces_and_letters_of_all_kinds_are_one_stream_on_both_protocols() {
    let relay = Relay::start("");
    let name = "Ō channel 1";
    let tags = Media::AudioVideo.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", name, tags.clone());
    let url = format!("http://{}/live/%C5%8C%20channel%201.flv", relay.http());
    let file = relay.scratch().file("curl.flv");
    let args = ["-sS", "-o", file.to_str().unwrap(), &url];
    let player = Peer::spawn(relay.scratch(), "curl", &args);
    await_bytes(&file, 60_000);
    drop(player);
    flv::assert_run(VIDEO, &tags, &flv::read(&std::fs::read(&file).unwrap()));
    let answer = peer::run(
        relay.scratch(),
        "curl",
        &["-sS", &format!("http://{}/api/v1/streams", relay.admin())],
        LIMIT,
    );
    assert!(answer.stdout.contains("channel 1"), "{}", answer.stdout);
}
