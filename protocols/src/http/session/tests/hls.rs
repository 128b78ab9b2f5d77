//! Requests for playlists and media, and responses of a known length.

use super::*;
use crate::hls::{Form, Rendition};
use crate::http::{ByteRange, Coding, Directives, HlsRequest, Prepared, Representation, Resource};

const TS: Rendition = Rendition::main(Form::Ts);
const SEGMENT: &str = "GET /live/news.hls/ts/7.ts HTTP/1.1\r\nHost: h\r\n\r\n";
const PLAYLIST: &str = "GET /live/news.hls/ts/index.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n";
const MEDIA: Representation<'_> = Representation {
    media_type: "video/mp2t",
    length: 1_000,
    cache_control: "max-age=60",
    etag: "a7",
    coding: Coding::Fixed,
};
const TEXT: Representation<'_> = Representation {
    media_type: "application/vnd.apple.mpegurl",
    length: 8,
    cache_control: "no-cache",
    etag: "p1",
    coding: Coding::Gzip,
};

/// The request that the session asks about next.
fn hls(session: &mut Session) -> HlsRequest {
    match session.poll_event() {
        Some(Event::Hls(request)) => request,
        other => panic!("{other:?} instead of a request for HLS"),
    }
}

/// A session whose `request` waits for its answer.
fn asked(request: &str) -> (Session, HlsRequest) {
    let mut session = session();
    send(&mut session, request).expect(request);
    let hls = hls(&mut session);
    (session, hls)
}

/// `request` with further fields.
fn with(request: &str, fields: &str) -> String {
    request.replace("Host: h\r\n", &format!("Host: h\r\n{fields}"))
}

/// The head of what is given to `request`, and the bytes of the body that follow.
fn responded(request: &str, representation: &Representation<'_>) -> (String, Option<[u64; 2]>) {
    let (mut session, request) = asked(request);
    let body = session.respond(&request, representation);
    assert_eq!(session.is_responding(), body.is_some());
    (output(&mut session), body.map(|body| [body.start, body.end]))
}

fn prepared(coding: Coding) -> Prepared {
    Prepared::new(&Representation { coding, ..TEXT }, b"#EXTM3U\n", &Settings::default())
}

#[test]
fn a_request_says_what_is_wanted_and_by_whom() {
    let (session, request) = asked(
        "GET /a/b/news.hls/ts/index.m3u8?token=t&session=x-1&_HLS_msn=7&_HLS_part=2&low_latency \
         HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: p/1\r\nOrigin: http://o\r\n\
         X-Forwarded-For: 1.2.3.4\r\nAccept-Encoding: gzip, br\r\nRange: bytes=5-\r\n\r\n",
    );
    assert_eq!((request.app(), request.name()), ("a/b", "news"));
    assert_eq!(request.resource, Resource::Playlist(TS));
    let directives =
        Directives { low_latency: true, msn: Some(7), part: Some(2), ..Directives::default() };
    assert_eq!(request.directives, directives);
    assert_eq!((request.session(), request.passed_on().as_str()), (Some("x-1"), "token=t"));
    let query = "token=t&session=x-1&_HLS_msn=7&_HLS_part=2&low_latency";
    assert_eq!((request.query(), request.host()), (query, "h:8080"));
    assert_eq!((request.user_agent(), request.origin()), ("p/1", "http://o"));
    assert_eq!(request.forwarded_for(), Some("1.2.3.4"));
    assert!(request.accepts_gzip && !request.head_only);
    assert_eq!(request.range, Some(ByteRange::From { first: 5, last: u64::MAX }));
    assert_eq!(session.poll_timeout(), None, "the driver decides how long a request waits");
}

#[test]
fn what_is_not_said_is_empty() {
    let (_, request) = asked(SEGMENT);
    assert_eq!((request.query(), request.user_agent(), request.origin()), ("", "", ""));
    assert_eq!((request.forwarded_for(), request.session(), request.range), (None, None, None));
    assert_eq!((request.passed_on().as_str(), request.accepts_gzip), ("", false));
    assert!(!request.is_current("a7"));
}

#[test]
fn a_playlist_asked_for_again_in_the_same_words_is_the_same_request() {
    let agent = with(PLAYLIST, "User-Agent: p/1\r\nIf-None-Match: \"p1\"\r\n");
    let longer = agent.replace("\r\n\r\n", "\r\nRange: bytes=5-\r\n\r\n");
    let last = with(&agent, "Connection: close\r\n");
    let head = agent.replace("GET", "HEAD");
    let other = agent.replace("p/1", "p/2");
    let reload = agent.replace("m3u8", "m3u8?_HLS_msn=7");
    let prepared = prepared(Coding::Gzip);
    // What each of them gets does not depend on what came before it on the connection.
    let mut session = session();
    let all = [&agent, &agent, &longer, &agent, &head, &head, &reload, &reload, &other, &last];
    for words in all {
        let (mut fresh, expected) = asked(words);
        send(&mut session, words).expect(words);
        let request = hls(&mut session);
        assert_eq!(request, expected, "{words}");
        fresh.respond_prepared(&request, &prepared);
        session.respond_prepared(&request, &prepared);
        assert_eq!(output(&mut session), output(&mut fresh), "{words}");
        assert_eq!(session.poll_event(), fresh.poll_event(), "{words}");
    }
}

#[test]
fn a_playlist_asked_for_again_may_come_in_pieces_and_with_others_behind_it() {
    let mut session = session();
    let prepared = prepared(Coding::Gzip);
    let mut ask = |words: &str| {
        send(&mut session, words).expect(words);
        let mut answers = 0;
        while let Some(Event::Hls(request)) = session.poll_event() {
            assert_eq!(request.resource, Resource::Playlist(TS));
            session.respond_prepared(&request, &prepared);
            session.handle_timeout(T0).expect("nothing is wrong");
            answers += 1;
        }
        output(&mut session);
        answers
    };
    assert_eq!(ask(PLAYLIST), 1);
    assert_eq!(ask(&format!("\r\n{PLAYLIST}{PLAYLIST}{PLAYLIST}")), 3);
    for cut in 1..PLAYLIST.len() {
        let (front, back) = PLAYLIST.split_at(cut);
        assert_eq!((ask(front), ask(back)), (0, 1), "{cut}");
    }
    // Content that is told behind it is skipped each time.
    let content = with(PLAYLIST, "Content-Length: 2\r\n") + "xx";
    assert_eq!([ask(&content), ask(&content), ask(PLAYLIST)], [1; 3]);
}

#[test]
fn a_segment_gets_its_head_and_then_its_body_and_the_connection_goes_on() {
    let (mut session, request) = asked(SEGMENT);
    assert_eq!(session.respond(&request, &MEDIA), Some(0..1_000));
    let expected = "HTTP/1.1 200 OK\r\nServer: corelay\r\nAccess-Control-Allow-Origin: *\r\n\
                    Access-Control-Expose-Headers: Age, Content-Length, Content-Range, Date, \
                    ETag\r\nCache-Control: max-age=60\r\nETag: \"a7\"\r\nAccept-Ranges: bytes\r\n\
                    Content-Type: video/mp2t\r\nContent-Length: 1000\r\n\
                    Connection: keep-alive\r\n\r\n";
    assert_eq!(output(&mut session), expected);
    assert!(session.is_responding());
    assert_eq!((session.poll_timeout(), session.poll_event()), (None, None));
    session.finish_response();
    assert!(!session.is_responding());
    session.handle_timeout(T0 + 5).expect("nothing is wrong");
    assert_eq!(session.poll_timeout(), Some(T0 + 30_005), "the keep-alive time runs");
    send(&mut session, SEGMENT).expect("a second request");
    assert_eq!(hls(&mut session).resource, Resource::Segment(TS, 7));
}

#[test]
fn one_range_gets_206_and_a_lie_416() {
    let range = |field: &str| responded(&with(SEGMENT, &format!("Range: {field}\r\n")), &MEDIA);
    for (field, body, told) in [
        ("bytes=0-99", [0, 100], "bytes 0-99/1000"),
        ("bytes=900-", [900, 1_000], "bytes 900-999/1000"),
        ("bytes=-1", [999, 1_000], "bytes 999-999/1000"),
        ("bytes=0-99999999999999999999", [0, 1_000], "bytes 0-999/1000"),
    ] {
        let (head, wanted) = range(field);
        assert_eq!(wanted, Some(body), "{field}");
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Range: {told}\r\n")), "{head}");
        let length = body[1] - body[0];
        assert!(head.contains(&format!("Content-Length: {length}\r\n")), "{head}");
    }
    for field in ["bytes=1000-", "bytes=-0"] {
        let (reply, wanted) = range(field);
        assert_eq!((statuses(&reply), wanted), (vec![416], None), "{field}");
        assert!(reply.contains("Content-Range: bytes */1000\r\n"), "{reply}");
        assert!(reply.contains("Connection: keep-alive\r\n"), "{reply}");
    }
    for field in ["bytes=0-1,5-6", "bytes=5-1", "lines=0-1", "nonsense"] {
        let (head, wanted) = range(field);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(wanted, Some([0, 1_000]), "{field}");
    }
}

#[test]
fn a_range_of_something_else_gets_everything() {
    let range = |fields: &str, representation| {
        responded(&with(SEGMENT, &format!("Range: bytes=1-2\r\n{fields}")), representation).1
    };
    assert_eq!(range("If-Range: \"a7\"\r\n", &MEDIA), Some([1, 3]));
    assert_eq!(range("If-Range: \"a8\"\r\n", &MEDIA), Some([0, 1_000]));
    assert_eq!(range("If-Range: W/\"a7\"\r\n", &MEDIA), Some([0, 1_000]));
    let no_tag = Representation { etag: "", ..MEDIA };
    assert_eq!(range("If-Range: \"\"\r\n", &no_tag), Some([0, 1_000]));
    assert_eq!(range("", &no_tag), Some([1, 3]));
    // The bytes that gzip makes are not always the same.
    assert_eq!(range("", &TEXT), Some([0, 8]));
}

#[test]
fn a_good_copy_is_not_sent_again() {
    for (fields, representation, tag) in [
        ("If-None-Match: \"a7\"\r\n", MEDIA, "ETag: \"a7\"\r\n"),
        ("If-None-Match: \"x\", W/\"a7\"\r\nRange: bytes=0-1\r\n", MEDIA, "ETag: \"a7\"\r\n"),
        ("If-None-Match: W/\"p1\"\r\n", TEXT, "ETag: W/\"p1\"\r\nVary: Accept-Encoding\r\n"),
        ("If-None-Match: *\r\n", MEDIA, "Cache-Control: max-age=60\r\n"),
    ] {
        let (reply, body) = responded(&with(SEGMENT, fields), &representation);
        assert_eq!((statuses(&reply), body), (vec![304], None), "{fields}");
        assert!(reply.contains(tag), "{reply}");
        assert!(!reply.contains("Content-") || reply.contains("Expose-Headers"), "{reply}");
        assert!(!reply.contains("Content-Type") && !reply.contains("Content-Length: "), "{reply}");
    }
    let (reply, body) = responded(&with(SEGMENT, "If-None-Match: \"a6\"\r\n"), &MEDIA);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && body.is_some());
}

#[test]
fn head_gets_what_get_would_and_no_body() {
    let head = SEGMENT.replace("GET", "HEAD");
    let (reply, body) = responded(&with(&head, "Range: bytes=0-1\r\n"), &MEDIA);
    assert_eq!(body, None);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains("Content-Length: 1000\r\n") && reply.ends_with("\r\n\r\n"), "{reply}");
    let head = PLAYLIST.replace("GET", "HEAD");
    for last in ["", "Connection: close\r\n"] {
        let (mut session, request) = asked(&with(&head, last));
        session.respond_prepared(&request, &prepared(Coding::Identity));
        let reply = output(&mut session);
        assert!(reply.contains("Content-Length: 8\r\n") && reply.ends_with("\r\n\r\n"), "{reply}");
        assert_eq!(session.poll_event(), (!last.is_empty()).then_some(Event::Closed));
    }
}

#[test]
fn something_empty_has_no_body_to_wait_for() {
    let (reply, body) = responded(SEGMENT, &Representation { length: 0, ..MEDIA });
    assert_eq!((statuses(&reply), body), (vec![200], None));
}

#[test]
fn a_prepared_playlist_is_sent_whole_and_by_reference() {
    let (mut session, request) = asked(PLAYLIST);
    let prepared = prepared(Coding::Gzip);
    session.respond_prepared(&request, &prepared);
    let reply = session.poll_output().expect("a response");
    let expected = "HTTP/1.1 200 OK\r\nServer: corelay\r\nAccess-Control-Allow-Origin: *\r\n\
                    Access-Control-Expose-Headers: Age, Content-Length, Content-Range, Date, \
                    ETag\r\nCache-Control: no-cache\r\nETag: W/\"p1\"\r\nVary: Accept-Encoding\r\n\
                    Content-Encoding: gzip\r\nContent-Type: application/vnd.apple.mpegurl\r\n\
                    Content-Length: 8\r\nConnection: keep-alive\r\n\r\n#EXTM3U\n";
    assert_eq!(reply, expected.as_bytes());
    assert!(reply.as_ptr_range().contains(&prepared.body().as_ptr()), "it was copied");
    assert!(!session.is_responding());
    send(&mut session, PLAYLIST).expect("a second request");
    assert_eq!(hls(&mut session).resource, Resource::Playlist(TS));
}

#[test]
fn a_prepared_playlist_that_the_client_has_is_not_sent_again() {
    let prepared = prepared(Coding::Identity);
    assert_eq!((prepared.etag(), &prepared.body()[..]), ("p1", &b"#EXTM3U\n"[..]));
    for (fields, connection) in [("", "keep-alive"), ("Connection: close\r\n", "close")] {
        let fields = format!("If-None-Match: W/\"p1\"\r\n{fields}");
        let (mut session, request) = asked(&with(PLAYLIST, &fields));
        session.respond_prepared(&request, &prepared);
        let reply = output(&mut session);
        assert_eq!(statuses(&reply), [304]);
        assert!(reply.ends_with(&format!("\r\nConnection: {connection}\r\n\r\n")), "{reply}");
    }
}

#[test]
fn the_last_response_says_so_and_is_followed_by_closed() {
    for request in
        [with(PLAYLIST, "Connection: close\r\n"), PLAYLIST.replace("HTTP/1.1", "HTTP/1.0")]
    {
        let (mut session, hls) = asked(&request);
        session.respond_prepared(&hls, &prepared(Coding::Identity));
        let reply = output(&mut session);
        assert!(reply.ends_with("\r\nConnection: close\r\n\r\n#EXTM3U\n"), "{reply}");
        assert_eq!(session.poll_event(), Some(Event::Closed));

        let (mut session, hls) = asked(&request);
        assert_eq!(session.respond(&hls, &MEDIA), Some(0..1_000));
        assert!(output(&mut session).ends_with("\r\nConnection: close\r\n\r\n"));
        assert_eq!(session.poll_event(), None, "the body is still to come");
        session.finish_response();
        assert_eq!(session.poll_event(), Some(Event::Closed));
    }
}

#[test]
fn a_rejection_can_say_when_to_come_again() {
    let (mut session, _) = asked(SEGMENT);
    session.reject_hls(503, Some(2), "nothing is ready yet");
    let reply = output(&mut session);
    assert_eq!(statuses(&reply), [503]);
    assert!(reply.contains("Retry-After: 2\r\n"), "{reply}");
    assert!(reply.contains("Cache-Control: no-store\r\nConnection: keep-alive\r\n"), "{reply}");
    send(&mut session, SEGMENT).expect("a second request");
    let _ = hls(&mut session);
    session.reject_hls(404, None, "it is gone");
    let reply = output(&mut session);
    assert!(reply.ends_with("404 Not Found: it is gone\n"), "{reply}");
    assert!(!reply.contains("Retry-After"), "{reply}");
    let (mut session, _) = asked(SEGMENT);
    session.reject_hls(200, None, "x");
    assert_eq!(statuses(&output(&mut session)), [500]);
}

#[test]
fn wrong_directives_and_wrong_files_are_answered_here_and_the_connection_goes_on() {
    let mut session = session();
    for (path, status) in [
        ("/live/news.hls/ts/index.m3u8?_HLS_msn=x", 400),
        ("/live/news.hls/ts/index.m3u8?_HLS_part=1", 400),
        ("/live/news.hls/ts/01.ts", 404),
        ("/live/news.hls/ts/18446744073709551616.ts", 404),
        ("/live/news.hls/fmp4/1.ts", 404),
        ("/live/news.hls/ts", 404),
    ] {
        send(&mut session, &SEGMENT.replace("/live/news.hls/ts/7.ts", path)).expect(path);
        let reply = output(&mut session);
        assert_eq!(statuses(&reply), [status], "{path}");
        assert!(reply.contains("Connection: keep-alive\r\n"), "{reply}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        send(&mut session, &SEGMENT.replace("GET", method)).expect(method);
        assert_eq!(statuses(&output(&mut session)), [405], "{method}");
    }
    assert_eq!(session.poll_event(), None);
}

#[test]
fn an_upgrade_of_what_is_no_stream_is_ignored() {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n";
    let (head, body) = responded(&with(SEGMENT, upgrade), &MEDIA);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_some());
}

#[test]
fn the_answers_of_one_kind_of_request_do_nothing_to_another() {
    let (mut session, request) = asked(SEGMENT);
    session.accept_play(FLV);
    session.reject_play(404, "x");
    session.answer(200, "text/plain", "x");
    session.reject_publish(403, "x");
    session.finish_publish();
    session.finish_response();
    assert_eq!((session.poll_output(), session.poll_event()), (None, None));
    assert_eq!(session.respond(&request, &MEDIA), Some(0..1_000));
    assert_eq!(session.respond(&request, &MEDIA), None);
    session.reject_hls(404, None, "x");
    session.respond_prepared(&request, &prepared(Coding::Identity));
    assert_eq!(output(&mut session).matches("HTTP/1.1 ").count(), 1);
    let (mut play, _) = super::asked(GET);
    assert_eq!(play.respond(&request, &MEDIA), None);
    play.respond_prepared(&request, &prepared(Coding::Identity));
    play.reject_hls(404, None, "x");
    assert_eq!(play.poll_output(), None);
}

#[test]
fn pipelined_requests_wait_for_the_response_and_its_body() {
    let mut session = session();
    send(&mut session, &format!("{ROOT}{SEGMENT}")).expect("a page and a segment");
    assert_eq!(statuses(&output(&mut session)), [200]);
    let request = hls(&mut session);
    assert!(session.wants_input(), "a player that goes away is noticed");
    send(&mut session, &format!("{PLAYLIST}{ROOT}")).expect("held");
    assert!(!session.wants_input());
    assert_eq!(session.respond(&request, &MEDIA), Some(0..1_000));
    assert!(output(&mut session).contains("Connection: keep-alive\r\n"));
    assert!(!session.wants_input());
    session.handle_timeout(T0 + 1_000_000).expect("nobody is too slow");
    assert_eq!((session.poll_event(), session.poll_timeout()), (None, None), "the body first");
    session.finish_response();
    assert!(session.wants_input());
    assert_eq!(session.poll_timeout(), Some(Millis(0)), "input waits");
    session.handle_timeout(T0 + 5).expect("the rest");
    let request = hls(&mut session);
    assert_eq!((request.resource, session.poll_output()), (Resource::Playlist(TS), None));
    session.respond_prepared(&request, &prepared(Coding::Identity));
    session.handle_timeout(T0 + 6).expect("the rest");
    let output = output(&mut session);
    assert_eq!(statuses(&output), [200, 200]);
    assert!(output.find("#EXTM3U").expect("the playlist") < output.find("live media").expect("/"));
    assert_eq!(session.discarded_bytes(), 0);
}

#[test]
fn more_than_a_head_behind_a_response_ends_the_connection_after_it() {
    let limit = Settings::default().header_bytes_max;
    let (mut waiting, request) = asked(SEGMENT);
    waiting.handle_input(T0, &vec![b'x'; limit + 1]).expect("dropped");
    assert_eq!((waiting.discarded_bytes(), waiting.pending.capacity()), (limit as u64 + 1, 0));
    assert_eq!(waiting.respond(&request, &MEDIA), Some(0..1_000));
    assert!(output(&mut waiting).contains("Connection: close\r\n"));
    waiting.finish_response();
    assert_eq!(waiting.poll_event(), Some(Event::Closed));

    let (mut sending, request) = asked(SEGMENT);
    assert_eq!(sending.respond(&request, &MEDIA), Some(0..1_000));
    sending.handle_input(T0, &vec![b'x'; limit + 1]).expect("dropped");
    assert!(output(&mut sending).contains("Connection: keep-alive\r\n"), "it was said before");
    assert_eq!(sending.poll_event(), None);
    sending.finish_response();
    assert_eq!(sending.poll_event(), Some(Event::Closed));
    assert_eq!(sending.pending.capacity(), 0);
}

#[test]
fn garbage_behind_a_response_is_refused_when_its_turn_comes() {
    let (mut session, request) = asked(&format!("{SEGMENT}\x01\x02"));
    assert_eq!(session.respond(&request, &MEDIA), Some(0..1_000));
    assert!(output(&mut session).starts_with("HTTP/1.1 200 OK\r\n"));
    session.finish_response();
    assert!(matches!(session.handle_timeout(T0), Err(Error::Malformed { .. })));
    assert_eq!(statuses(&output(&mut session)), [400]);
    assert_eq!((session.poll_event(), session.poll_timeout()), (None, None));
}

#[test]
fn content_of_a_request_is_skipped_before_its_answer() {
    let fields = format!("Content-Length: {}\r\n", ROOT.len());
    let (mut session, request) = asked(&format!("{}{ROOT}{SEGMENT}", with(PLAYLIST, &fields)));
    session.respond_prepared(&request, &prepared(Coding::Identity));
    session.handle_timeout(T0).expect("the rest");
    assert_eq!(statuses(&output(&mut session)), [200]);
    assert_eq!(hls(&mut session).resource, Resource::Segment(TS, 7));
}

#[test]
fn responses_that_nobody_fetches_are_bounded() {
    let mut session = session();
    let prepared = prepared(Coding::Identity);
    send(&mut session, &PLAYLIST.repeat(100)).expect("a flood of requests");
    let mut answered = 0;
    while let Some(Event::Hls(request)) = session.poll_event() {
        session.respond_prepared(&request, &prepared);
        session.handle_timeout(T0).expect("the next");
        answered += 1;
    }
    assert_eq!(answered, REPLIES_QUEUED_MAX);
    let output = output(&mut session);
    assert_eq!(statuses(&output), [200; REPLIES_QUEUED_MAX]);
    assert_eq!(output.matches("Connection: close").count(), 1);
    assert!(output.ends_with("Connection: close\r\n\r\n#EXTM3U\n"), "the last one says it");
}

#[test]
fn the_same_requests_split_at_every_byte_get_the_same_responses() {
    let fields = "Accept-Encoding: gzip\r\nIf-None-Match: \"x\"\r\nUser-Agent: p\r\n";
    let input = format!(
        "\r\n{}{ROOT}{}",
        with(PLAYLIST, fields).replace("m3u8", "m3u8?session=a&_HLS_msn=7"),
        with(SEGMENT, "Range: bytes=-5\r\n"),
    );
    let exchange = |cuts: &[usize]| {
        let (mut session, mut bytes, mut requests) = (session(), Vec::new(), Vec::new());
        let (mut from, mut body) = (0, None);
        for to in cuts.iter().copied().chain([input.len()]) {
            send(&mut session, &input[from..to]).expect("input");
            while let Some(Event::Hls(request)) = session.poll_event() {
                if request.resource == Resource::Playlist(TS) {
                    session.respond_prepared(&request, &prepared(Coding::Gzip));
                } else {
                    body = session.respond(&request, &MEDIA);
                    session.finish_response();
                }
                requests.push(request);
                session.handle_timeout(T0).expect("the rest");
            }
            bytes.extend_from_slice(&session.poll_output().unwrap_or_default());
            from = to;
        }
        (bytes, requests, body)
    };
    let whole = exchange(&[]);
    assert_eq!((whole.1.len(), &whole.2), (2, &Some(995..1_000)));
    for at in 0..input.len() {
        assert_eq!(exchange(&[at]), whole, "split at {at}");
    }
    let everywhere: Vec<_> = (0..input.len()).collect();
    assert_eq!(exchange(&everywhere), whole);
}

#[test]
fn a_server_that_stops_answers_and_lets_a_body_end() {
    let (mut waiting, _) = asked(SEGMENT);
    waiting.shut_down();
    assert_eq!(statuses(&output(&mut waiting)), [503]);
    assert_eq!(waiting.poll_event(), Some(Event::Closed));
    let (mut sending, request) = asked(&format!("{SEGMENT}{ROOT}"));
    assert_eq!(sending.respond(&request, &MEDIA), Some(0..1_000));
    sending.shut_down();
    assert_eq!(sending.poll_event(), None, "the body is still to come");
    let _ = output(&mut sending);
    sending.finish_response();
    assert_eq!((sending.poll_event(), sending.poll_output()), (Some(Event::Closed), None));
}

#[test]
fn without_an_origin_no_response_names_one() {
    let settings = Settings { allow_origin: String::new(), ..Settings::default() };
    let prepared = Prepared::new(&TEXT, b"", &settings);
    let mut session = Session::new(settings, T0);
    for _ in 0..2 {
        send(&mut session, PLAYLIST).expect("a request");
        let request = hls(&mut session);
        session.respond_prepared(&request, &prepared);
        send(&mut session, SEGMENT).expect("a request");
        let request = hls(&mut session);
        let _ = session.respond(&request, &MEDIA);
        session.finish_response();
    }
    let output = output(&mut session);
    assert!(!output.contains("Access-Control"), "{output}");
}

#[test]
fn pages_of_a_secure_server_name_secure_urls() {
    let settings = Settings { is_secure: true, ..Settings::default() };
    let mut session = Session::new(settings, T0);
    send(&mut session, "GET / HTTP/1.1\r\nHost: tv\r\n\r\n").expect("root");
    let page = output(&mut session);
    assert!(page.contains("https://tv/APP/NAME.m3u8\n"), "{page}");
    assert!(page.contains("https://tv/APP/NAME.flv\nwss://tv/APP/NAME.flv\n"), "{page}");
    assert!(!page.contains("http://") && !page.contains("ws://"), "{page}");
}

#[test]
fn a_page_of_another_origin_may_ask_for_ranges() {
    let mut session = session();
    let path = "/live/news.hls/ts/7.ts";
    send(&mut session, &format!("OPTIONS {path} HTTP/1.1\r\nHost: h\r\n\r\n")).expect("options");
    let reply = output(&mut session);
    assert_eq!(statuses(&reply), [204]);
    assert!(reply.contains("Access-Control-Allow-Headers: *, Authorization, Range\r\n"), "{reply}");
}
