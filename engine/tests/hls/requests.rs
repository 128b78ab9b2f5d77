//! Requests, good and bad, one by one.

use std::io::{Read, Write};

use super::publish;
use super::support::hls::{Viewer, media_path, resolve, watch_until};
use super::support::http::{self, Response};
use super::support::relay::Relay;
use super::support::{LIMIT, wait_for, wait_until};
use super::{last, violations};

/// A request with further header lines.
fn ask(relay: &Relay, method: &str, path: &str, lines: &str) -> Response {
    let address = relay.http();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    http::request(address, &format!("{head}{lines}\r\n"))
}

/// A relay with a stream, the path of its media playlist, and name and bytes of a segment.
fn served(form: &str) -> (Relay, super::Publisher, String, (String, Vec<u8>)) {
    let (relay, publisher) = publish("");
    let path = media_path(relay.http(), &format!("/live/test.m3u8?form={form}"));
    let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 2);
    let segment = watched.segments.values().last().unwrap().clone();
    (relay, publisher, path, segment)
}

#[test]
fn responses_say_what_caches_and_players_need() {
    let (relay, _publisher) = publish("");
    for (form, media_type) in [("ts", "video/mp2t"), ("fmp4", "video/mp4")] {
        let list = ask(&relay, "GET", &format!("/live/test.m3u8?form={form}"), "");
        assert_eq!(list.header("cache-control"), Some("no-cache"), "it names a session");
        let path = media_path(relay.http(), &format!("/live/test.m3u8?form={form}"));
        let playlist = ask(&relay, "GET", &path, "Origin: http://elsewhere.example\r\n");
        assert_eq!(playlist.header("content-type"), Some("application/vnd.apple.mpegurl"));
        assert_eq!(playlist.header("cache-control"), Some("max-age=1"), "half a segment");
        assert_eq!(playlist.header("vary"), Some("Accept-Encoding"));
        let text = playlist.text();
        let name = text.lines().find(|line| !line.starts_with('#')).expect("a segment");
        let segment = ask(&relay, "GET", &resolve(&path, name), "");
        assert_eq!(segment.header("content-type"), Some(media_type));
        assert_eq!(segment.header("cache-control"), Some("max-age=3600"));
        assert_eq!(segment.header("accept-ranges"), Some("bytes"));
        let missing = ask(&relay, "GET", &resolve(&path, "7.ts"), "");
        assert_eq!(missing.status, 404);
        for response in [&list, &playlist, &segment, &missing] {
            assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        }
    }
}

#[test]
fn a_playlist_is_sent_once_as_long_as_it_is_the_same() {
    let (relay, publisher) = publish("applications.default.publisher_grace_ms = 0\n");
    let path = media_path(relay.http(), "/live/test.m3u8");
    publisher.stop();
    watch_until(relay.http(), &path, |watched| watched.last().contains("#EXT-X-ENDLIST"));
    let etag = ask(&relay, "GET", &path, "").header("etag").expect("an ETag").to_owned();
    let same = ask(&relay, "GET", &path, &format!("If-None-Match: \"x\", {etag}\r\n"));
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), Some(&*etag));
    let other = ask(&relay, "GET", &path, "If-None-Match: W/\"0123\"\r\n");
    assert_eq!(other.status, 200);
    let packed = ask(&relay, "GET", &path, "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.body[..2], [0x1F, 0x8B]);
    let refused = ask(&relay, "GET", &path, "Accept-Encoding: gzip;q=0, br\r\n");
    assert_eq!(refused.header("content-encoding"), None);
}

#[test]
fn ranges_and_heads_of_a_segment() {
    let (relay, _publisher, path, (name, bytes)) = served("fmp4");
    let path = resolve(&path, &name);
    let length = bytes.len();
    let all = ask(&relay, "HEAD", &path, "");
    assert_eq!((all.status, all.body.len()), (200, 0));
    assert_eq!(all.header("content-length"), Some(&*length.to_string()));
    for (range, expected) in [
        ("0-0", 0..1),
        ("100-1099", 100..1_100),
        ("-500", length - 500..length),
        ("1000-", 1_000..length),
        (&*format!("10-{}", length * 9), 10..length),
    ] {
        let part = ask(&relay, "GET", &path, &format!("Range: bytes={range}\r\n"));
        assert_eq!(part.status, 206, "{range}");
        let (start, end) = (expected.start, expected.end - 1);
        let content = format!("bytes {start}-{end}/{length}");
        assert_eq!(part.header("content-range"), Some(&*content), "{range}");
        assert!(part.body == bytes[expected], "{range}");
    }
    for range in [format!("{length}-"), "-0".to_owned(), "99999999999-".to_owned()] {
        let none = ask(&relay, "GET", &path, &format!("Range: bytes={range}\r\n"));
        assert_eq!(none.status, 416, "{range}");
        assert_eq!(none.header("content-range"), Some(&*format!("bytes */{length}")));
    }
    for range in ["bytes=5-1", "bytes=0-1,7-9", "bytes=x", "lines=1-2", "bytes=--1"] {
        let whole = ask(&relay, "GET", &path, &format!("Range: {range}\r\n"));
        assert!(whole.status == 200 && whole.body == bytes, "{range}: {}", whole.status);
    }
}

#[test]
fn what_was_never_there_or_is_gone_is_404_and_what_is_far_off_400() {
    let (relay, _publisher) = publish("hls.window_segments = 3\nhls.spare_segments = 0\n");
    let path = media_path(relay.http(), "/live/test.m3u8?low_latency");
    let seen = watch_until(relay.http(), &path, |watched| {
        let first = watched.segments.keys().next().copied().unwrap_or_default();
        watched.playlists.last().is_some() && last(watched).media_sequence > first + 1
    });
    let folder = resolve(&path, "");
    let (oldest, newest) =
        (seen.segments.keys().next().unwrap(), seen.segments.keys().last().unwrap());
    let far = newest + 1_000;
    for (uri, status) in [
        (format!("{oldest}.ts"), 404),
        (format!("{far}.ts"), 404),
        (format!("{far}.0.ts"), 404),
        (format!("{newest}.99.ts"), 404),
        (format!("{newest}.m4s"), 404),
        ("18446744073709551615.ts".to_owned(), 404),
        ("99999999999999999999999.ts".to_owned(), 404),
        ("init1.mp4".to_owned(), 404),
        ("key1".to_owned(), 404),
        ("x.ts".to_owned(), 404),
        ("../../../live/../etc/passwd".to_owned(), 404),
        ("..%2f..%2f..%2fetc%2fpasswd".to_owned(), 404),
        (String::new(), 404),
        (format!("index.m3u8?low_latency&_HLS_msn={far}"), 400),
        (format!("index.m3u8?low_latency&_HLS_msn={newest}&_HLS_part=9999999"), 200),
        ("index.m3u8?low_latency&_HLS_part=1".to_owned(), 400),
        ("index.m3u8?low_latency&_HLS_msn=x".to_owned(), 400),
        ("index.m3u8?low_latency&_HLS_msn=-1".to_owned(), 400),
        ("index.m3u8?low_latency&_HLS_msn=1&_HLS_part=0".to_owned(), 200),
    ] {
        let response = http::get(relay.http(), &format!("{folder}{uri}"));
        assert_eq!(response.status, status, "{uri}: {}", response.text());
    }
    for path in ["/live/nobody.hls/ts/index.m3u8", "/live/nobody.hls/ts/1.ts"] {
        assert_eq!(http::get(relay.http(), path).status, 404, "{path}");
    }
}

#[test]
fn bad_requests_end_their_own_connection_and_no_other() {
    let (relay, _publisher, path, (name, bytes)) = served("ts");
    let viewer = Viewer::follow(relay.http(), &format!("{path}&low_latency"));
    let segment = resolve(&path, &name);
    let address = relay.http();
    let get = format!("GET {segment} HTTP/1.1\r\nHost: x\r\n\r\n");

    // One connection: a segment, its twin behind it in the same packet, nonsense behind that.
    let mut socket = http::open(address);
    let nonsense = "\u{1}\u{2} nonsense\r\n\r\n";
    socket.write_all(format!("{get}{get}{nonsense}{get}").as_bytes()).unwrap();
    let mut rest = Vec::new();
    for _ in 0..2 {
        let response = http::read_response(&mut socket, &mut rest, false).expect("a reply");
        assert!(response.status == 200 && response.body == bytes);
    }
    let refusal = http::read_response(&mut socket, &mut rest, false).expect("a reply");
    assert_eq!(refusal.status, 400, "{}", refusal.text());
    let mut after = Vec::new();
    let _ = socket.read_to_end(&mut after);
    assert!(after.is_empty(), "nothing behind nonsense is answered");

    // Another one goes on after what is merely not there.
    let mut socket = http::open(address);
    let missing = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", resolve(&path, "1.ts"));
    socket.write_all(format!("{missing}{get}").as_bytes()).unwrap();
    let mut rest = Vec::new();
    for status in [404, 200] {
        let response = http::read_response(&mut socket, &mut rest, false).expect("a reply");
        assert_eq!(response.status, status);
    }

    // 100 KB of headers.
    let mut socket = http::open(address);
    let large = format!("GET {segment} HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let _ = socket.write_all(large.as_bytes());
    let refused = http::read_response(&mut socket, &mut Vec::new(), false);
    assert!(refused.is_none_or(|refused| refused.status == 431));

    // Leaves in the midst of a segment, and while it waits for a part.
    for path in [&segment, &format!("{path}&low_latency&_HLS_msn={}", next_msn(&relay, &path))] {
        let mut socket = http::open(address);
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        drop(socket);
    }
    let goes_on = next_msn(&relay, &path) + 2;
    wait_until("the stream goes on", LIMIT, || next_msn(&relay, &path) >= goes_on);
    let watched = viewer.stop();
    assert_eq!(violations(&watched), [], "{}", watched.last());
    assert!(watched.segments.len() >= 2, "the others go on");
}

/// The segment that is being made.
fn next_msn(relay: &Relay, path: &str) -> u64 {
    wait_for("a playlist", LIMIT, || {
        let text = http::get(relay.http(), path).text();
        let playlist = super::Playlist::parse(&text).ok()?;
        Some(playlist.segments.last()?.msn + 1)
    })
}
