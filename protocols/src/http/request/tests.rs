use super::*;

fn parse(head: &str) -> Result<Request<'_>, Refusal> {
    Request::parse(head.as_bytes(), &Settings::default())
}

/// A request with these field lines.
fn with(fields: &str) -> String {
    format!("GET /a/b.flv HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn status(head: &str) -> u16 {
    parse(head).expect_err(head).status
}

#[test]
fn every_field_that_matters_is_read() {
    let head = "HEAD /a/b.flv?q HTTP/1.1\r\nhost: [::1]:8080\r\nUSER-AGENT: p/1\r\n\
                Origin: http://o\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-For: 9\r\n\
                Content-Length: 12\r\n\r\n";
    let request = parse(head).expect("a good request");
    assert_eq!(request.method, Method::Head);
    assert_eq!(request.origin_form, "/a/b.flv?q");
    assert_eq!(request.host, "[::1]:8080");
    assert_eq!(request.user_agent, b"p/1");
    assert_eq!(request.origin, b"http://o");
    assert_eq!(request.forwarded_for, Some(&b"1.2.3.4, 5.6.7.8"[..]));
    assert_eq!(request.content, Content::Length(12));
    assert_eq!(request.upgrade, None);
    assert!(request.keep_alive);
}

#[test]
fn an_absolute_target_overrides_the_host() {
    let request =
        parse("GET http://real:80/a/b.flv HTTP/1.1\r\nHost: other\r\n\r\n").expect("good");
    assert_eq!((request.host, request.origin_form), ("real:80", "/a/b.flv"));
}

#[test]
fn keep_alive_follows_the_version_and_the_connection_field() {
    let keep_alive = |version: &str, connection: &str| {
        let head = format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n");
        parse(&head).expect("good").keep_alive
    };
    assert!(keep_alive("1.1", ""));
    assert!(keep_alive("1.1", "Connection: Keep-Alive\r\n"));
    assert!(!keep_alive("1.1", "Connection: close\r\n"));
    assert!(!keep_alive("1.1", "Connection: TE , CLOSE\r\n"));
    assert!(!keep_alive("1.1", "Connection: TE\r\nConnection: close\r\n"));
    assert!(!keep_alive("1.0", ""));
    assert!(keep_alive("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keep_alive("1.0", "Connection: keep-alive, close\r\n"));
    assert!(!keep_alive("1.1", "Expect: 100-continue\r\nContent-Length: 3\r\n"));
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let content = parse(&with("Content-Length: 65536\r\n")).map(|r| r.content);
    assert_eq!(content, Ok(Content::Length(65_536)));
    for (fields, expected) in [
        ("Content-Length: 3\r\nContent-Length: 3\r\n", 400),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        ("Content-Length: 3, 3\r\n", 400),
        ("Content-Length: +3\r\n", 400),
        ("Content-Length: -3\r\n", 400),
        ("Content-Length: 0x3\r\n", 400),
        ("Content-Length: 3 3\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
        ("Content-Length : 3\r\n", 400),
        (" Content-Length: 3\r\n", 400),
        ("A: b\r\n Content-Length: 3\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Transfer-Encoding: Chunked\r\n", 411),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Content-Length: 65537\r\n", 413),
    ] {
        assert_eq!(status(&with(fields)), expected, "{fields}");
    }
    assert_eq!(status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

#[test]
fn content_that_is_published_may_be_long_or_chunked() {
    let content = |method: &str, fields: &str| {
        parse(&format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
            .map(|request| (request.content, request.is_persistent, request.keep_alive))
            .map_err(|refusal| refusal.status)
    };
    for method in ["POST", "PUT"] {
        for (fields, expected) in [
            ("", Ok((Content::None, true, true))),
            ("Content-Length: 3\r\n", Ok((Content::Length(3), true, true))),
            ("Content-Length: 65537\r\n", Ok((Content::Length(65_537), true, false))),
            ("Transfer-Encoding: CHUNKED\r\n", Ok((Content::Chunked, true, false))),
            ("Expect: 100-Continue\r\n", Ok((Content::None, true, false))),
            ("Connection: close\r\n", Ok((Content::None, false, false))),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(501)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", Err(400)),
            ("Content-Length: 99999999999999999999\r\n", Err(400)),
        ] {
            assert_eq!(content(method, fields), expected, "{method} {fields}");
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "post"] {
        assert_eq!(content(method, "Transfer-Encoding: chunked\r\n"), Err(411), "{method}");
        assert_eq!(content(method, "Content-Length: 65537\r\n"), Err(413), "{method}");
    }
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(parse(old).map(|r| r.expects_continue), Ok(false), "nobody there waits for it");
}

#[test]
fn the_host_must_be_there_once_and_look_like_one() {
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status(&with("Host: h\r\n")), 400);
    for host in ["a b", "a/b", "a\"b", "a<b>", "a@b", "é"] {
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 400, "{host}");
    }
    assert_eq!(status("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(parse("GET / HTTP/1.0\r\n\r\n").map(|r| r.host), Ok(""));
    assert_eq!(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n").map(|r| r.host), Ok(""));
}

#[test]
fn bytes_that_are_not_http_are_refused_and_their_position_is_told() {
    for (head, at, what) in [
        ("GET / HTTP/1.1\r\nHo st: h\r\n\r\n", 18, "header field name"),
        ("GET / HTTP/1.1\r\nHost: h\x01\r\n\r\n", 23, "header field value"),
        ("GET / HTTP/1.1x\r\nHost: h\r\n\r\n", 14, "end of line"),
        ("GET / FTP/1.1\r\nHost: h\r\n\r\n", 6, "request line"),
        ("GET /\r\n\r\n", 5, "request line"),
        ("GET  / HTTP/1.1\r\n\r\n", 4, "request line"),
        ("GET /\x7f HTTP/1.1\r\n\r\n", 5, "request line"),
        ("GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", 21, "header field value"),
    ] {
        assert_eq!(parse(head).map(|_| ()), Err(Refusal::malformed(at, what)), "{head:?}");
    }
}

#[test]
fn other_versions_are_told_apart_from_other_protocols() {
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3"] {
        assert_eq!(status(&format!("GET / {version}\r\nHost: h\r\n\r\n")), 505, "{version}");
    }
    assert_eq!(status("PRI * HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(status("GET / RTSP/1.0\r\n\r\n"), 400);
}

#[test]
fn the_number_of_fields_and_the_length_of_the_target_are_bounded_inclusively() {
    let settings = Settings { headers_max: 2, uri_bytes_max: 4, ..Settings::default() };
    let parse = |head: &str| Request::parse(head.as_bytes(), &settings).map(|_| ());
    assert_eq!(parse("GET /aaa HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"), Ok(()));
    let fields = parse("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n");
    assert_eq!(fields, Err(Refusal::limit(431, "headers_max", 3, 2)));
    let target = parse("GET /aaaa HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(target, Err(Refusal::limit(414, "uri_bytes_max", 5, 4)));
}

#[test]
fn a_head_ends_at_its_first_empty_line() {
    assert_eq!(head_end(b"a\r\n\r\nb\r\n\r\n", 0), Some(5));
    assert_eq!(head_end(b"a\n\nb", 0), Some(3));
    assert_eq!(head_end(b"a\r\n\n", 0), Some(4));
    assert_eq!(head_end(b"a\r\nb: c\r\n", 0), None);
    assert_eq!(head_end(b"a\r\n\r", 0), None);
    assert_eq!(head_end(b"", 7), None);
}

#[test]
fn the_first_bytes_tell_what_is_no_request() {
    let check = |head: &[u8]| check_head(head, &Settings::default()).map_err(|r| r.status);
    assert_eq!(check(b"G"), Ok(()));
    assert_eq!(check(b"M-SEARCH *"), Ok(()));
    assert_eq!(check(b"UPDATEREDIRECTREF /"), Ok(()));
    assert_eq!(check(&[0x16, 0x03, 0x01]), Err(400));
    assert_eq!(check(&[0x03; 100]), Err(400));
    assert_eq!(check(b" GET / HTTP/1.1"), Err(400));
    assert_eq!(check(&[b'A'; 24]), Err(400));
    assert_eq!(check(&[b'A'; 23]), Ok(()));
}

#[test]
fn an_upgrade_is_only_seen_for_websocket_and_only_in_http_1_1() {
    let upgrade = "Upgrade: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\n\
                   Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n";
    let expected = Upgrade { connection: true, key: Some(b"k"), version: Some(b"13") };
    assert_eq!(parse(&with(upgrade)).map(|r| r.upgrade), Ok(Some(expected)));
    assert_eq!(
        parse(&with("Upgrade: h2c\r\nConnection: upgrade\r\n")).map(|r| r.upgrade),
        Ok(None)
    );
    let old = format!("GET / HTTP/1.0\r\n{upgrade}\r\n");
    assert_eq!(parse(&old).map(|r| r.upgrade), Ok(None));
    let twice = format!("{upgrade}Sec-WebSocket-Key: l\r\n");
    assert_eq!(status(&with(&twice)), 400);
}
