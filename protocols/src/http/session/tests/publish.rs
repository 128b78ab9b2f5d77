//! Streams that clients send.

use proptest::prelude::*;

use super::*;
use crate::http::event::PublishRequest;

const HEAD: &str = "POST /live/test.ts HTTP/1.1\r\nHost: h\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
const CHUNKS: &str = "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nA: b\r\n\r\n";

/// Publications of real clients with whether each waits for `100 Continue`, and for the end of the
/// connection; golden/README.md says how they were recorded.
const CLIENTS: [(&str, &[u8], bool, bool); 4] = [
    ("ffmpeg", include_bytes!("../../golden/publish_ffmpeg.bin"), false, false),
    ("ffmpeg PUT", include_bytes!("../../golden/publish_ffmpeg_put.bin"), false, true),
    ("curl -T", include_bytes!("../../golden/publish_curl_file.bin"), true, false),
    ("curl -T -", include_bytes!("../../golden/publish_curl_pipe.bin"), true, false),
];

/// What came of an input: the data, and whether they are complete.
fn body(session: &mut Session) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    loop {
        match session.poll_event() {
            Some(Event::Body(bytes)) => {
                assert!(!bytes.is_empty());
                data.extend_from_slice(&bytes);
            }
            Some(Event::BodyEnd) => return (data, true),
            None => return (data, false),
            other => panic!("{other:?} within a body"),
        }
    }
}

fn publish(session: &mut Session) -> PublishRequest {
    match session.poll_event() {
        Some(Event::Publish(publish)) => publish,
        other => panic!("{other:?} instead of a publication"),
    }
}

/// A session whose publication by `head` and what follows it waits for its answer.
fn asked(request: &str) -> Session {
    let mut session = session();
    send(&mut session, request).expect(request);
    publish(&mut session);
    session
}

/// The same, accepted.
fn accepted(request: &str) -> Session {
    let mut session = asked(request);
    session.accept_publish();
    session.handle_timeout(T0).expect("what came already");
    session
}

#[test]
fn every_real_publisher_is_let_in_and_its_packets_come_out_however_they_are_split() {
    for (client, request, waits, is_until_close) in CLIENTS {
        for piece_bytes in [1, 7, 188, request.len()] {
            let mut session = session();
            let (mut data, mut ended) = (Vec::new(), false);
            for piece in request.chunks(piece_bytes) {
                session.handle_input(T0, piece).expect(client);
                while let Some(event) = session.poll_event() {
                    match event {
                        Event::Publish(publish) => {
                            assert_eq!(
                                (publish.app.as_str(), publish.name.as_str()),
                                ("live", "test")
                            );
                            assert_eq!(publish.query, "token=t");
                            session.accept_publish();
                            let answer = session.poll_output();
                            assert_eq!(answer.is_some(), waits, "{client}");
                        }
                        Event::Body(bytes) => data.extend_from_slice(&bytes),
                        Event::BodyEnd => ended = true,
                        other => panic!("{client}: {other:?}"),
                    }
                    session.handle_timeout(T0).expect(client);
                }
            }
            assert_eq!(ended, !is_until_close, "{client}");
            session.input_ended().expect(client);
            assert_eq!(body(&mut session), (vec![], is_until_close), "{client}");
            session.finish_publish();
            assert_eq!(statuses(&output(&mut session)), [200], "{client}");
            assert!(data.chunks(188).all(|packet| packet[0] == 0x47), "{client}");
            assert_eq!(data.len(), 9 * 188, "{client}");
        }
    }
}

#[test]
fn what_ffmpeg_sends_is_asked_for_and_then_handed_out() {
    // The head of golden/publish_ffmpeg.bin.
    let head = "POST /live/test.ts?token=t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
                User-Agent: Lavf/59.27.100\r\nAccept: */*\r\nConnection: close\r\n\
                Host: 127.0.0.1:8080\r\nIcy-MetaData: 1\r\n\r\n";
    let mut session = session();
    send(&mut session, head).expect("a head");
    let expected = PublishRequest {
        app: "live".to_owned(),
        name: "test".to_owned(),
        query: "token=t".to_owned(),
        container: Container::Ts,
        host: "127.0.0.1:8080".to_owned(),
        user_agent: "Lavf/59.27.100".to_owned(),
        forwarded_for: None,
    };
    assert!(!session.wants_input());
    assert_eq!(publish(&mut session), expected);
    assert_eq!((session.poll_output(), session.poll_timeout()), (None, None));
    session.accept_publish();
    assert!(session.is_publishing() && session.wants_input());
    assert_eq!(session.poll_output(), None, "ffmpeg does not wait for 100 Continue");
    send(&mut session, "3\r\nabc\r\n").expect("a chunk");
    assert_eq!(body(&mut session), (b"abc".to_vec(), false));
    assert_eq!(session.poll_timeout(), None, "the driver decides how long a publisher may rest");
    session.handle_timeout(T0 + 10_000_000).expect("no deadline");
    send(&mut session, "2\r\nde\r\n0\r\n\r\n").expect("the rest");
    assert_eq!(body(&mut session), (b"de".to_vec(), true));
    assert!(!session.is_publishing() && !session.wants_input());
    session.finish_publish();
    let reply = output(&mut session);
    assert_eq!(statuses(&reply), [200]);
    assert!(reply.contains("Connection: close\r\n") && reply.contains("Content-Length: 0\r\n"));
    assert_eq!(session.poll_event(), Some(Event::Closed));
}

#[test]
fn who_waits_for_100_gets_it_with_the_answer_and_goes_on() {
    // As in golden/publish_curl_pipe.bin.
    let head = "PUT /live/test.ts HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/7.88.1\r\n\
                Accept: */*\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    let mut session = asked(head);
    assert_eq!(session.poll_output(), None);
    session.accept_publish();
    assert_eq!(output(&mut session), "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut session, CHUNKS).expect("chunks");
    assert_eq!(body(&mut session), (b"abcdefg".to_vec(), true));
    session.finish_publish();
    let reply = output(&mut session);
    assert!(reply.contains("Connection: keep-alive\r\n"), "{reply}");
    send(&mut session, ROOT).expect("another request");
    assert_eq!(statuses(&output(&mut session)), [200]);

    let mut refused = asked(head);
    refused.reject_publish(403, "you may not");
    let reply = output(&mut refused);
    assert!(reply.starts_with("HTTP/1.1 403 ") && reply.contains("Connection: close"), "{reply}");
    assert_eq!(refused.poll_event(), Some(Event::Closed));
}

#[test]
fn content_ends_by_its_length_its_chunks_or_the_connection() {
    for (head, content) in [
        (format!("{HEAD}Content-Length: 7\r\n\r\n"), "abcdefg"),
        (format!("{HEAD}{CHUNKED}"), CHUNKS),
    ] {
        let mut session = accepted(&format!("{head}{content}{ROOT}"));
        assert_eq!(body(&mut session), (b"abcdefg".to_vec(), true), "{head}");
        assert_eq!(session.poll_output(), None, "what follows waits");
        session.finish_publish();
        session.handle_timeout(T0).expect("what follows");
        assert_eq!(statuses(&output(&mut session)), [200, 200]);
        assert_eq!(session.input_ended(), Ok(()));
    }
    for head in [
        "PUT /live/test.ts HTTP/1.0\r\n\r\n".to_owned(),
        format!("{HEAD}Connection: close\r\n\r\n"),
    ] {
        let mut session = accepted(&format!("{head}abcd"));
        send(&mut session, ROOT).expect("more");
        let expected = [b"abcd", ROOT.as_bytes()].concat();
        assert_eq!(body(&mut session), (expected, false), "{head}");
        assert_eq!(session.input_ended(), Ok(()));
        assert_eq!(body(&mut session), (vec![], true));
        session.finish_publish();
        assert!(output(&mut session).contains("Connection: close\r\n"));
        assert_eq!(session.poll_event(), Some(Event::Closed));
    }
    let mut empty = accepted(&format!("{HEAD}Content-Length: 0\r\n\r\n"));
    assert_eq!(body(&mut empty), (vec![], true));
}

#[test]
fn the_connection_may_end_before_the_answer() {
    let head = "PUT /live/test.ts HTTP/1.0\r\n\r\n";
    for (request, expected) in [
        (format!("{head}abcd"), Ok((b"abcd".to_vec(), true))),
        (head.to_owned(), Ok((vec![], true))),
        (format!("{HEAD}{CHUNKED}{CHUNKS}"), Ok((b"abcdefg".to_vec(), true))),
        (format!("{HEAD}{CHUNKED}3\r\nab"), Err(Error::CutOff { bytes: 5 })),
        (format!("{HEAD}{CHUNKED}"), Err(Error::CutOff { bytes: 0 })),
    ] {
        let mut session = asked(&request);
        assert_eq!(session.input_ended(), Ok(()), "nothing is known yet");
        session.accept_publish();
        assert_eq!(session.poll_timeout(), Some(Millis(0)), "{request}");
        let result = session.handle_timeout(T0);
        assert_eq!(result.map(|()| body(&mut session)), expected, "{request}");
    }
}

#[test]
fn content_that_is_cut_off_is_an_error() {
    for (content, bytes) in [(CHUNKED, 0), ("Content-Length: 9\r\n\r\n", 0)] {
        let mut session = accepted(&format!("{HEAD}{content}"));
        assert_eq!(session.input_ended(), Err(Error::CutOff { bytes }));
    }
    for at in 1..CHUNKS.len() {
        let mut session = accepted(&format!("{HEAD}{CHUNKED}{}", &CHUNKS[..at]));
        let (data, is_complete) = body(&mut session);
        assert!(b"abcdefg".starts_with(&data) && !is_complete, "{at}");
        let bytes = at as u64;
        assert_eq!(session.input_ended(), Err(Error::CutOff { bytes }));
        assert_eq!((session.poll_output(), session.poll_timeout()), (None, None));
        assert_eq!(session.input_ended(), Ok(()), "the session is finished");
    }
    let mut idle = session();
    assert_eq!(idle.input_ended(), Ok(()), "an end between requests is none of ours");
}

#[test]
fn framing_that_is_wrong_gets_a_reply_and_ends_the_session() {
    for (content, at) in [("3\r\nabcd", 6), ("x", 0), ("3\nabc", 1), ("3\r\nabc\r\n-1", 8)] {
        let mut session = accepted(&format!("{HEAD}{CHUNKED}"));
        let error = send(&mut session, content).expect_err(content);
        assert!(matches!(error, Error::Malformed { at: found, .. } if found == at), "{error}");
        assert_eq!(statuses(&output(&mut session)), [400]);
        assert!(!body(&mut session).1, "what came before it may be had");
        assert_eq!(session.poll_timeout(), None);
    }
}

#[test]
fn the_same_publication_split_at_every_byte_gives_the_same() {
    let request = format!("{HEAD}{CHUNKED}{CHUNKS}{HEAD}Content-Length: 2\r\n\r\nhi{ROOT}");
    for at in 0..=request.len() {
        let mut session = session();
        let (mut data, mut published) = (Vec::new(), 0);
        for piece in [&request[..at], &request[at..]] {
            send(&mut session, piece).expect("a good request");
            while let Some(event) = session.poll_event() {
                match event {
                    Event::Publish(_) => session.accept_publish(),
                    Event::Body(bytes) => data.extend_from_slice(&bytes),
                    Event::BodyEnd => {
                        published += 1;
                        session.finish_publish();
                    }
                    other => panic!("{other:?} at {at}"),
                }
                session.handle_timeout(T0).expect("what waited");
            }
        }
        assert_eq!((data.as_slice(), published), (&b"abcdefghi"[..], 2), "{at}");
        assert_eq!(statuses(&output(&mut session)), [200, 200, 200], "{at}");
        assert_eq!(session.discarded_bytes(), 0);
    }
}

#[test]
fn a_publisher_may_be_turned_away_before_and_within_its_content() {
    let short = format!("{HEAD}Content-Length: 3\r\n\r\nabc{ROOT}");
    let mut session = asked(&short);
    session.reject_publish(409, "somebody publishes there");
    session.handle_timeout(T0).expect("what follows");
    assert_eq!(statuses(&output(&mut session)), [409, 200], "short content is skipped");
    assert_eq!(session.poll_event(), None);
    for request in
        [format!("{HEAD}{CHUNKED}3\r\nabc"), format!("{HEAD}Content-Length: 65537\r\n\r\nabc")]
    {
        let mut session = asked(&request);
        session.reject_publish(200, "not an error");
        let reply = output(&mut session);
        assert_eq!(statuses(&reply), [500]);
        assert!(reply.contains("Connection: close\r\n"), "{reply}");
        assert_eq!(session.poll_event(), Some(Event::Closed));
    }
    let mut session = accepted(&format!("{HEAD}{CHUNKED}3\r\nabc"));
    session.reject_publish(409, "somebody else publishes there now");
    assert!(output(&mut session).contains("Connection: close\r\n"));
    assert_eq!(session.poll_event(), Some(Event::Closed), "and no more of the content");
    send(&mut session, "rest").expect("dropped");
    assert_eq!(session.discarded_bytes(), 4);
    let mut session = accepted(&format!("{HEAD}{CHUNKED}{CHUNKS}{ROOT}"));
    session.reject_publish(507, "the disk is full");
    session.handle_timeout(T0).expect("what follows");
    assert_eq!(statuses(&output(&mut session)), [507, 200]);
}

#[test]
fn answers_that_nobody_waits_for_do_nothing() {
    let mut session = session();
    session.accept_publish();
    session.finish_publish();
    session.reject_publish(404, "x");
    assert_eq!((session.poll_output(), session.poll_event()), (None, None));
    let mut session = asked(&format!("{HEAD}{CHUNKED}"));
    session.accept_play(FLV);
    session.reject_play(404, "x");
    session.answer(200, "text/plain", "x");
    session.finish_publish();
    session.end_stream();
    assert_eq!(session.poll_output(), None);
    session.accept_publish();
    session.accept_publish();
    session.finish_publish();
    assert_eq!(session.poll_output(), None, "the content is not complete");
    assert!(session.is_publishing());
}

#[test]
fn only_transport_streams_of_a_known_length_are_taken() {
    for (request, status) in [
        ("PUT /live/test.flv HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 415),
        ("POST /live/test.ts HTTP/1.1\r\nHost: h\r\n\r\n", 411),
        ("POST /live/test HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("PUT /status HTTP/1.1\r\nHost: h\r\n\r\n", 405),
    ] {
        let mut session = session();
        send(&mut session, &format!("{request}{ROOT}")).expect(request);
        assert_eq!(statuses(&output(&mut session)), [status, 200], "{request}");
        assert_eq!(session.poll_event(), None);
    }
    let mut chunked = session();
    send(&mut chunked, &format!("POST /live/test HTTP/1.1\r\nHost: h\r\n{CHUNKED}3\r\nabc"))
        .expect("a request");
    assert_eq!(statuses(&output(&mut chunked)), [404]);
    assert_eq!(chunked.poll_event(), Some(Event::Closed), "its content is not worth reading");
}

#[test]
fn pages_of_other_origins_may_read_and_not_publish() {
    let publishes = |settings: Settings, origin: &str| {
        let mut session = Session::new(settings, T0);
        let origin = format!("Origin: {origin}\r\nContent-Length: 0\r\n\r\n");
        send(&mut session, &format!("{HEAD}{origin}")).expect("a request");
        let publishes = matches!(session.poll_event(), Some(Event::Publish(_)));
        assert_eq!(statuses(&output(&mut session)).contains(&403), !publishes);
        publishes
    };
    assert!(!publishes(Settings::default(), "http://evil.example"));
    assert!(!publishes(Settings::default(), "null"));
    assert!(publishes(Settings::default(), "http://h"));
    let named =
        || Settings { allow_origin: "https://tv.example".to_owned(), ..Settings::default() };
    assert!(publishes(named(), "https://tv.example"));
    assert!(!publishes(named(), "https://evil.example"));
}

#[test]
fn what_is_held_in_front_of_an_answer_is_bounded() {
    let mut session = asked(&format!("{HEAD}{CHUNKED}"));
    let chunk = [b"100000\r\n".to_vec(), vec![7; CONTENT_HELD_BYTES_MAX - 8]].concat();
    session.handle_input(T0, &chunk).expect("just fits");
    let error = session.handle_input(T0, b"x").expect_err("one more");
    assert_eq!(error, Error::Unsupported("over 1 MiB of content in front of the answer to it"));
    assert_eq!(statuses(&output(&mut session)), [413]);
    assert_eq!(session.pending.capacity(), 0);
    session.accept_publish();
    assert_eq!((session.poll_event(), session.poll_output()), (None, None));

    let mut session = asked(&format!("{HEAD}{CHUNKED}"));
    session.handle_input(T0, &chunk).expect("just fits");
    session.accept_publish();
    session.handle_timeout(T0).expect("what waited");
    assert_eq!(body(&mut session), (vec![7; CONTENT_HELD_BYTES_MAX - 8], false));
    assert_eq!([session.pending.capacity(), session.body.capacity()], [0, 0]);
}

#[test]
fn a_server_that_stops_tells_its_publishers() {
    for make in [asked, accepted] {
        for content in [CHUNKED.to_owned(), format!("{CHUNKED}{CHUNKS}")] {
            let mut session = make(&format!("{HEAD}{content}"));
            let _ = body(&mut session);
            session.shut_down();
            assert_eq!(statuses(&output(&mut session)), [503]);
            assert_eq!(session.poll_event(), Some(Event::Closed));
        }
    }
}

proptest! {
    #[test]
    fn any_data_in_any_chunks_in_any_pieces_arrive_as_they_were(
        data in prop::collection::vec(any::<u8>(), 0..600),
        chunk_bytes in 1..200_usize,
        piece_bytes in 1..200_usize,
    ) {
        let mut input = format!("{HEAD}{CHUNKED}").into_bytes();
        for chunk in data.chunks(chunk_bytes) {
            input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n\r\n");
        let mut session = session();
        let (mut received, mut ended) = (Vec::new(), false);
        for piece in input.chunks(piece_bytes) {
            session.handle_input(T0, piece).expect("good content");
            while let Some(event) = session.poll_event() {
                match event {
                    Event::Publish(_) => session.accept_publish(),
                    Event::Body(bytes) => received.extend_from_slice(&bytes),
                    Event::BodyEnd => ended = true,
                    other => panic!("{other:?}"),
                }
                session.handle_timeout(T0).expect("what waited");
            }
        }
        prop_assert!(ended);
        prop_assert_eq!(received, data);
    }
}
