use corelay_codecs::TrackFilter;

use super::*;
use crate::http::event::{Container, PlayRequest, Transport};

mod golden;
mod hls;
mod publish;
mod relay;
mod websocket;

const T0: Millis = Millis(1_000);
const FLV: &[u8] = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00";
const GET: &str = "GET /live/test.flv HTTP/1.1\r\nHost: h\r\n\r\n";
const ROOT: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn session() -> Session {
    Session::new(Settings::default(), T0)
}

fn output(session: &mut Session) -> String {
    let bytes = session.poll_output().unwrap_or_default();
    String::from_utf8(bytes.to_vec()).expect("text output")
}

fn send(session: &mut Session, input: &str) -> Result<(), Error> {
    session.handle_input(T0, input.as_bytes())
}

/// The play that the session asks for next.
fn play(session: &mut Session) -> PlayRequest {
    match session.poll_event() {
        Some(Event::Play(play)) => play,
        other => panic!("{other:?} instead of a play"),
    }
}

/// A session whose play of `request` waits for its answer.
fn asked(request: &str) -> (Session, PlayRequest) {
    let mut session = session();
    send(&mut session, request).expect(request);
    let play = play(&mut session);
    (session, play)
}

/// Sends a request that ends the session and returns error and reply.
fn refused(input: &[u8], settings: Settings) -> (Error, String) {
    let mut session = Session::new(settings, T0);
    let error = session.handle_input(T0, input).expect_err("the request is wrong");
    let reply = output(&mut session);
    assert_eq!(session.poll_event(), None);
    assert_eq!(session.poll_timeout(), None);
    assert_eq!(session.handle_input(T0, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Ok(()));
    assert_eq!(session.poll_output(), None, "a finished session answers nothing");
    (error, reply)
}

/// The status codes of all replies in `output`, which must be complete.
fn statuses(mut output: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !output.is_empty() {
        let (head, rest) = output.split_once("\r\n\r\n").expect("a whole head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        output = rest.get(length..).expect("a whole body");
        statuses.push(status);
    }
    statuses
}

#[test]
fn a_get_becomes_a_play_and_then_a_stream() {
    let (mut session, play) = asked(
        "GET /a/b/test.flv?onlyAudio=1&token=t HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: p/1\r\n\
         Origin: http://o\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    );
    let expected = PlayRequest {
        app: "a/b".to_owned(),
        name: "test".to_owned(),
        query: "onlyAudio=1&token=t".to_owned(),
        container: Container::Flv,
        transport: Transport::Http,
        tracks: TrackFilter { video: false, audio: true },
        head_only: false,
        host: "h:8080".to_owned(),
        user_agent: "p/1".to_owned(),
        origin: "http://o".to_owned(),
        forwarded_for: Some("1.2.3.4".to_owned()),
    };
    assert_eq!(play, expected);
    assert_eq!(session.poll_output(), None, "nothing is said before the answer");
    assert_eq!(session.poll_timeout(), None, "the driver decides how long a play waits");
    assert!(!session.is_streaming());
    session.accept_play(FLV);
    assert!(session.is_streaming());
    let reply = session.poll_output().expect("a reply");
    let expected = "HTTP/1.1 200 OK\r\nServer: corelay\r\nAccess-Control-Allow-Origin: *\r\n\
                    Cache-Control: no-cache, no-store\r\nX-Accel-Buffering: no\r\n\
                    Connection: close\r\nContent-Type: video/x-flv\r\n\r\n";
    assert_eq!(reply, [expected.as_bytes(), FLV].concat());
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn what_comes_behind_a_running_stream_is_dropped_and_counted() {
    let (mut session, _) = asked(&format!("{GET}{ROOT}"));
    session.accept_play(FLV);
    assert!(session.poll_output().is_some());
    send(&mut session, ROOT).expect("dropped");
    assert_eq!(session.handle_timeout(T0 + 1_000_000), Ok(()));
    assert_eq!((session.poll_output(), session.poll_event()), (None, None));
    assert_eq!(session.discarded_bytes(), 2 * ROOT.len() as u64);
}

#[test]
fn a_rejected_play_leaves_the_connection_open_for_the_next() {
    let (mut session, _) = asked(GET);
    session.reject_play(404, "no stream live/test");
    let expected = "HTTP/1.1 404 Not Found\r\nServer: corelay\r\n\
                    Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\n\
                    Connection: keep-alive\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Length: 35\r\n\r\n404 Not Found: no stream live/test\n";
    assert_eq!(output(&mut session), expected);
    assert_eq!(session.poll_event(), None);
    send(&mut session, GET).expect("a second request");
    assert_eq!(play(&mut session).name, "test");
    session.accept_play(b"");
    assert!(session.is_streaming());
}

#[test]
fn an_answer_that_nobody_waits_for_does_nothing() {
    let mut session = session();
    session.accept_play(FLV);
    session.reject_play(404, "x");
    session.end_stream();
    assert_eq!((session.poll_output(), session.poll_event()), (None, None));
    assert!(!session.is_streaming());
}

#[test]
fn a_rejection_with_a_status_that_is_none_becomes_500() {
    let (mut session, _) = asked(GET);
    session.reject_play(200, "x");
    assert_eq!(statuses(&output(&mut session)), [500]);
}

#[test]
fn head_gets_the_head_of_a_stream_and_the_connection_goes_on() {
    let (mut session, play) = asked("HEAD /live/test.flv HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(play.head_only);
    session.accept_play(FLV);
    assert!(!session.is_streaming());
    let reply = output(&mut session);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains("Content-Type: video/x-flv\r\n"), "{reply}");
    assert!(
        reply.ends_with("Connection: keep-alive\r\nContent-Type: video/x-flv\r\n\r\n"),
        "{reply}"
    );
    send(&mut session, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n").expect("a second request");
    let reply = output(&mut session);
    assert!(reply.contains("404 Not Found\r\n") && reply.ends_with("\r\n\r\n"), "{reply}");
    assert_eq!(session.poll_event(), None);
}

#[test]
fn a_last_reply_is_followed_by_closed() {
    for head in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ] {
        let mut session = session();
        send(&mut session, head).expect(head);
        assert!(output(&mut session).contains("Connection: close\r\n"), "{head}");
        assert_eq!(session.poll_event(), Some(Event::Closed), "{head}");
        assert_eq!(session.poll_event(), None);
        assert_eq!(session.poll_timeout(), None);
    }
    let (mut session, _) = asked("GET /a/b.flv HTTP/1.0\r\n\r\n");
    session.reject_play(404, "x");
    assert_eq!(session.poll_event(), Some(Event::Closed));
}

#[test]
fn pages_of_the_server_itself_are_answered_here() {
    let mut session = session();
    send(&mut session, "GET / HTTP/1.1\r\nHost: tv:8080\r\n\r\n").expect("root");
    let page = output(&mut session);
    assert!(page.contains("http://tv:8080/APP/NAME.flv\nws://tv:8080/APP/NAME.flv\n"), "{page}");
    send(&mut session, "GET /crossdomain.xml HTTP/1.1\r\nHost: h\r\n\r\n").expect("policy");
    let policy = output(&mut session);
    assert!(policy.contains("Content-Type: application/xml\r\n"), "{policy}");
    assert!(policy.contains("<allow-access-from domain=\"*\" secure=\"false\"/>"), "{policy}");
    send(&mut session, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").expect("options");
    let options = output(&mut session);
    assert!(options.starts_with("HTTP/1.1 204 No Content\r\n"), "{options}");
    assert!(options.contains("Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"), "{options}");
    assert!(!options.contains("Content-Length") && options.ends_with("\r\n\r\n"), "{options}");
}

#[test]
fn without_an_origin_no_reply_names_one() {
    let settings = Settings { allow_origin: String::new(), ..Settings::default() };
    let mut session = Session::new(settings, T0);
    for path in ["/", "/crossdomain.xml", "/live/x"] {
        send(&mut session, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).expect(path);
    }
    send(&mut session, "OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n").expect("options");
    send(&mut session, GET).expect("play");
    session.accept_play(b"");
    let output = output(&mut session);
    assert!(!output.contains("Access-Control") && !output.contains("cross-domain"), "{output}");
    assert_eq!(statuses(&output), [200, 404, 404, 204, 200]);
}

#[test]
fn one_configured_origin_is_named_in_replies_and_in_the_policy() {
    let allow_origin = "https://tv.example:444".to_owned();
    let mut session = Session::new(Settings { allow_origin, ..Settings::default() }, T0);
    send(&mut session, "GET /crossdomain.xml HTTP/1.1\r\nHost: h\r\n\r\n").expect("policy");
    let policy = output(&mut session);
    assert!(policy.contains("Access-Control-Allow-Origin: https://tv.example:444\r\n"), "{policy}");
    assert!(policy.contains("domain=\"tv.example\""), "{policy}");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_wait_for_a_play() {
    let mut session = session();
    let missing = "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n";
    send(&mut session, &format!("\r\n\r\n{missing}{ROOT}{GET}{missing}{GET}")).expect("pipeline");
    assert_eq!(statuses(&output(&mut session)), [404, 200]);
    assert_eq!(play(&mut session).name, "test");
    assert_eq!(session.poll_event(), None, "the second play waits for the first");
    send(&mut session, ROOT).expect("held");
    session.reject_play(404, "first");
    assert_eq!(statuses(&output(&mut session)), [404]);
    assert_eq!(session.poll_timeout(), Some(Millis(0)), "input waits");
    session.handle_timeout(T0 + 5).expect("the rest");
    assert_eq!(statuses(&output(&mut session)), [404]);
    assert_eq!(play(&mut session).name, "test");
    session.reject_play(503, "second");
    session.handle_timeout(T0 + 6).expect("the rest");
    assert_eq!(statuses(&output(&mut session)), [503, 200]);
    assert_eq!(session.poll_event(), None);
    assert_eq!(session.discarded_bytes(), 0);
}

#[test]
fn more_than_a_head_behind_an_open_play_ends_the_connection_with_its_answer() {
    let (mut session, _) = asked(GET);
    let limit = Settings::default().header_bytes_max;
    session.handle_input(T0, &vec![b'x'; limit]).expect("held");
    assert_eq!(session.discarded_bytes(), 0);
    session.handle_input(T0, b"y").expect("dropped");
    assert_eq!((session.discarded_bytes(), session.pending.capacity()), (limit as u64 + 1, 0));
    session.handle_input(T0, ROOT.as_bytes()).expect("dropped");
    assert_eq!(session.pending.capacity(), 0, "nothing is held any more");
    assert_eq!(session.discarded_bytes(), (limit + 1 + ROOT.len()) as u64);
    session.reject_play(404, "x");
    assert!(output(&mut session).contains("Connection: close\r\n"));
    assert_eq!(session.poll_event(), Some(Event::Closed));
}

#[test]
fn replies_that_nobody_fetches_are_bounded() {
    let mut session = session();
    send(&mut session, &ROOT.repeat(1_000)).expect("a flood of requests");
    let output = output(&mut session);
    assert_eq!(statuses(&output), [200; REPLIES_QUEUED_MAX]);
    assert_eq!(output.matches("Connection: close").count(), 1);
    assert_eq!(session.poll_event(), Some(Event::Closed));
}

#[test]
fn content_is_skipped_before_the_next_request() {
    let body = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n";
    let length = body.len();
    for method in ["GET", "OPTIONS", "POST"] {
        let input = format!(
            "{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}{ROOT}"
        );
        for at in 0..input.len() {
            let mut session = session();
            send(&mut session, &input[..at]).expect("first part");
            send(&mut session, &input[at..]).expect("second part");
            let statuses = statuses(&output(&mut session));
            assert!(statuses.len() == 2 && !statuses.contains(&404), "{method} {at}: {statuses:?}");
        }
    }
    let head = format!("GET /a/b.flv HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    let (mut session, _) = asked(&format!("{head}{body}{ROOT}"));
    session.reject_play(404, "x");
    session.handle_timeout(T0).expect("the rest");
    assert_eq!(statuses(&output(&mut session)), [404, 200]);
}

#[test]
fn other_methods_get_405_with_what_is_allowed_and_may_go_on() {
    let mut session = session();
    for method in ["POST", "PUT", "DELETE", "CONNECT", "TRACE", "get", "M-SEARCH"] {
        send(&mut session, &format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n")).expect(method);
        let reply = output(&mut session);
        assert!(reply.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{method}: {reply}");
        assert!(reply.contains("Allow: GET, HEAD, OPTIONS\r\n"), "{reply}");
        assert!(reply.contains("Connection: keep-alive\r\n"), "{reply}");
    }
}

#[test]
fn a_wrong_request_gets_a_complete_reply_and_ends_the_session() {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n";
    for (input, status) in [
        ("GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET /live/../x.flv HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\u{3}\u{0}\u{0}".to_owned(), 400),
        ("G*T / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 411),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n".to_owned(), 413),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(2048)), 414),
        (format!("GET /{}", "a".repeat(2100)), 414),
        (format!("GET /{}/b.flv HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(256)), 414),
        (format!("GET /a/b.flv HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n"), 426),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(64)), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "b".repeat(8192)), 431),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), 501),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
    ] {
        let (error, reply) = refused(input.as_bytes(), Settings::default());
        assert_eq!(statuses(&reply), [status], "{input:?}: {error}");
        assert!(reply.contains("Connection: close\r\n"), "{reply}");
        assert!(reply.ends_with(&format!(": {error}\n")), "{reply}");
    }
    let (_, reply) = refused(
        format!("GET /a/b.flv HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n").as_bytes(),
        Settings::default(),
    );
    assert!(reply.contains("Sec-WebSocket-Version: 13\r\n"), "{reply}");
}

#[test]
fn limits_are_inclusive_and_named() {
    let head = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    let exact = Settings { header_bytes_max: head.len(), uri_bytes_max: 2, ..Settings::default() };
    let mut session = Session::new(exact.clone(), T0);
    send(&mut session, head).expect("just fits");
    let (error, _) = refused(b"GET /a HTTP/1.1\r\nHost: hh\r\n\r\n", exact.clone());
    let (value, limit) = (head.len() as u64 + 1, head.len() as u64);
    assert_eq!(error, Error::LimitExceeded { setting: "header_bytes_max", value, limit });
    let (error, _) =
        refused(b"GET /ab HTTP/1.1\r\nHost: h\r\n\r\n", Settings { header_bytes_max: 99, ..exact });
    assert_eq!(error, Error::LimitExceeded { setting: "uri_bytes_max", value: 3, limit: 2 });
}

#[test]
fn half_a_request_and_silence_gets_408() {
    let mut session = session();
    assert_eq!(session.poll_timeout(), Some(T0 + 10_000));
    session.handle_input(T0 + 9_000, b"GET / HTTP/1.1\r\n").expect("half");
    assert_eq!(session.poll_timeout(), Some(T0 + 10_000), "bytes do not move the deadline");
    assert_eq!(session.handle_timeout(T0 + 9_999), Ok(()));
    let error = session.handle_timeout(T0 + 10_000).expect_err("too slow");
    let timed_out =
        "no complete request within 10000 ms; the setting `request_timeout_ms` raises it";
    assert_eq!(error.to_string(), timed_out);
    assert_eq!(statuses(&output(&mut session)), [408]);
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_connection_that_says_nothing_ends_without_a_reply() {
    let mut session = session();
    session.handle_input(T0 + 5_000, b"\r\n").expect("an empty line is no request");
    assert!(matches!(session.handle_timeout(T0 + 10_000), Err(Error::TimedOut { .. })));
    assert_eq!((session.poll_output(), session.poll_event()), (None, None));
}

#[test]
fn between_requests_the_keep_alive_time_holds_and_then_the_request_time() {
    let mut session = session();
    session.handle_input(T0 + 100, ROOT.as_bytes()).expect("root");
    assert_eq!(session.poll_timeout(), Some(T0 + 30_100));
    session.handle_input(T0 + 20_000, b"\r\nG").expect("the next begins");
    assert_eq!(session.poll_timeout(), Some(T0 + 30_000));
    session.handle_input(T0 + 20_001, &ROOT.as_bytes()[1..]).expect("and ends");
    assert_eq!(session.poll_timeout(), Some(T0 + 50_001));
    let _ = session.poll_output();
    assert_eq!(session.handle_timeout(T0 + 50_001), Ok(()));
    assert_eq!((session.poll_output(), session.poll_event()), (None, Some(Event::Closed)));
}

#[test]
fn an_answer_without_a_time_gets_its_deadline_from_the_next_call() {
    let (mut session, _) = asked(GET);
    session.reject_play(404, "x");
    assert_eq!(session.poll_timeout(), Some(Millis(0)));
    session.handle_timeout(T0 + 70_000).expect("not over yet");
    assert_eq!(session.poll_timeout(), Some(T0 + 100_000));
    assert_eq!(session.poll_event(), None);
}

#[test]
fn the_same_input_split_at_every_byte_gives_the_same_output() {
    let missing = "HEAD /nothing HTTP/1.1\r\nHost: h\r\n\r\n";
    let input =
        format!("\r\n{missing}{ROOT}PUT / HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc{GET}");
    let mut whole = session();
    send(&mut whole, &input).expect("whole");
    let expected = (output(&mut whole), play(&mut whole));
    assert_eq!(expected.0.matches("HTTP/1.1 ").count(), 3);
    for at in 0..input.len() {
        let mut session = session();
        send(&mut session, &input[..at]).expect("first part");
        send(&mut session, &input[at..]).expect("second part");
        assert_eq!((output(&mut session), play(&mut session)), expected, "split at {at}");
    }
    let mut session = session();
    for byte in input.as_bytes() {
        session.handle_input(T0, &[*byte]).expect("one byte");
    }
    assert_eq!((output(&mut session), play(&mut session)), expected);
}

#[test]
fn a_server_that_stops_ends_every_state() {
    let mut idle = session();
    idle.shut_down();
    assert_eq!(idle.poll_event(), Some(Event::Closed));
    let mut unasked = session();
    send(&mut unasked, GET).expect("a request");
    unasked.shut_down();
    assert_eq!(unasked.poll_event(), Some(Event::Closed), "the play is not asked any more");
    let (mut waiting, _) = asked(GET);
    waiting.shut_down();
    assert_eq!(statuses(&output(&mut waiting)), [503]);
    assert_eq!(waiting.poll_event(), Some(Event::Closed));
    let (mut streaming, _) = asked(GET);
    streaming.accept_play(b"");
    streaming.end_stream();
    assert!(!streaming.is_streaming());
    assert_eq!(streaming.poll_event(), Some(Event::Closed));
    streaming.shut_down();
    assert_eq!(streaming.poll_event(), None);
}

#[test]
fn a_session_holds_no_buffer_while_it_streams_or_rests() {
    let (mut session, _) = asked(&format!("{ROOT}{GET}{ROOT}"));
    session.accept_play(FLV);
    let _ = session.poll_output();
    let held = [&session.head, &session.pending, session.output.buffer()].map(Vec::capacity);
    assert_eq!(held, [0; 3]);
    assert!(size_of::<Session>() <= 256, "{} bytes", size_of::<Session>());
}
