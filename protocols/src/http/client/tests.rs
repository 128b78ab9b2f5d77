use super::*;

const T0: Millis = Millis(1_000);
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: Video/MP2T; x=1\r\n";

fn session() -> ClientSession {
    let url = Url::parse("http://h:8080/a/b.ts?t=1").expect("a URL");
    ClientSession::new(Arc::default(), url, T0)
}

/// All that a response leads to; `closed` tells whether the connection ends behind it.
#[derive(Debug, PartialEq)]
struct Outcome {
    head: Option<String>,
    body: Vec<u8>,
    end: bool,
    redirect: Option<String>,
    error: Option<Error>,
}

impl Outcome {
    fn of(response: &[u8], piece_bytes: usize, closed: bool) -> Self {
        let mut session = session();
        let mut outcome =
            Self { head: None, body: Vec::new(), end: false, redirect: None, error: None };
        for piece in response.chunks(piece_bytes.max(1)) {
            outcome.error = session.handle_input(T0, piece).err();
            outcome.drain(&mut session);
            if outcome.error.is_some() {
                break;
            }
        }
        if closed && outcome.error.is_none() {
            outcome.error = session.input_ended().err();
            outcome.drain(&mut session);
        }
        outcome
    }

    fn drain(&mut self, session: &mut ClientSession) {
        while let Some(event) = session.poll_event() {
            assert!(!self.end && self.redirect.is_none(), "{event:?} behind the end");
            match event {
                ClientEvent::Head { status, content_type } => {
                    assert_eq!((status, self.head.replace(content_type)), (200, None));
                }
                ClientEvent::Body(bytes) => {
                    assert!(self.head.is_some() && !bytes.is_empty());
                    self.body.extend_from_slice(&bytes);
                }
                ClientEvent::End => self.end = true,
                ClientEvent::Redirect(url) => self.redirect = Some(url.to_string()),
            }
        }
    }
}

/// What a response leads to, the same however it is cut.
fn outcome(response: &[u8], closed: bool) -> Outcome {
    let whole = Outcome::of(response, response.len(), closed);
    for piece_bytes in 1..response.len() {
        assert_eq!(Outcome::of(response, piece_bytes, closed), whole, "pieces of {piece_bytes}");
    }
    whole
}

fn error(response: &str) -> Error {
    let outcome = outcome(response.as_bytes(), false);
    assert!(!outcome.end);
    outcome.error.unwrap_or_else(|| panic!("no error for {response:?}"))
}

fn body(fields: &str, body: &str, closed: bool) -> Outcome {
    outcome(format!("{HEAD}{fields}\r\n{body}").as_bytes(), closed)
}

#[test]
fn the_request_asks_for_the_path_of_the_host() {
    let mut session = session();
    let request = session.poll_output().expect("a request");
    let expected = format!(
        "GET /a/b.ts?t=1 HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: corelay/{}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(request, expected);
    assert_eq!(session.poll_output(), None);
    let url = Url::parse("http://[::1]/").expect("a URL");
    let request = ClientSession::new(Arc::default(), url, T0).poll_output().expect("a request");
    assert!(request.starts_with(b"GET / HTTP/1.1\r\nHost: [::1]\r\n"), "port 80 is left out");
}

#[test]
fn a_body_of_known_length_ends_with_its_last_byte() {
    let outcome = body("Content-Length: 5\r\n", "abcdefgh", true);
    assert_eq!(outcome.head.as_deref(), Some("video/mp2t"));
    assert_eq!((&outcome.body[..], outcome.end, outcome.error), (&b"abcde"[..], true, None));
    let outcome = body("Content-Length: 0\r\n", "", false);
    assert!(outcome.body.is_empty() && outcome.end);
    // The same length twice is one (RFC 9110 8.6).
    assert!(body("Content-Length: 1, 1\r\nContent-Length: 1\r\n", "a", false).end);
}

#[test]
fn chunks_are_taken_off_and_outrank_a_length() {
    for fields in ["", "Content-Length: 2\r\n"] {
        let fields = format!("{fields}Transfer-Encoding: Chunked\r\n");
        let outcome = body(&fields, "3\r\nabc\r\n2;x\r\nde\r\n0\r\nA: b\r\n\r\nmore", false);
        assert_eq!((&outcome.body[..], outcome.end, outcome.error), (&b"abcde"[..], true, None));
    }
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let open = body("", "abc", false);
    assert_eq!((&open.body[..], open.end), (&b"abc"[..], false));
    let closed = body("", "abc", true);
    assert_eq!((&closed.body[..], closed.end, closed.error), (&b"abc"[..], true, None));
    // What HTTP/1.0 servers of old encoders send.
    let old = outcome(b"HTTP/1.0 200 OK\n\nabc", true);
    assert_eq!((old.head.as_deref(), &old.body[..], old.end), (Some(""), &b"abc"[..], true));
}

#[test]
fn a_connection_that_ends_too_early_is_an_error() {
    let text = |outcome: Outcome| outcome.error.expect("cut off").to_string();
    let cut = body("Content-Length: 5\r\n", "abc", true);
    assert_eq!(cut.body, b"abc", "what came is given out");
    assert_eq!(text(cut), "the connection ended within the body at byte 72");
    let cut = body("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", true);
    assert_eq!(cut.body, b"abc");
    assert!(text(cut).contains("within the body"));
    assert!(text(outcome(b"HTTP/1.1 200 OK\r\n", true)).contains("within the response head"));
    assert!(text(outcome(b"", true)).contains("within the response head at byte 0"));
}

#[test]
fn interim_responses_are_passed_over_up_to_a_limit() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let response = format!("{}{HEAD}Content-Length: 2\r\n\r\nab", interim.repeat(2));
    let outcome = outcome(response.as_bytes(), false);
    assert_eq!((&outcome.body[..], outcome.end), (&b"ab"[..], true));
    assert!(matches!(error(&interim.repeat(INTERIMS_MAX + 1)), Error::Unsupported(_)));
    let switched = error("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n");
    assert!(matches!(switched, Error::Violation(_)));
}

#[test]
fn redirects_name_the_next_place_and_end_the_session() {
    for (status, location, expected) in [
        (301, "http://other/x.ts", "http://other/x.ts"),
        (302, "/x.ts", "http://h:8080/x.ts"),
        (303, "x.ts?u=2", "http://h:8080/a/x.ts?u=2"),
        (307, "//other:81/x", "http://other:81/x"),
        (308, "../y", "http://h:8080/y"),
    ] {
        let response = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n\r\nignored");
        let outcome = outcome(response.as_bytes(), true);
        assert_eq!(outcome.redirect.as_deref(), Some(expected));
        assert_eq!((outcome.head, outcome.end, outcome.error), (None, false, None));
    }
    let tls = error("HTTP/1.1 301 Moved\r\nLocation: https://h/x\r\n\r\n");
    assert_eq!(tls.to_string(), "the server redirects to https://h/x: TLS is not spoken here");
    let nowhere = error("HTTP/1.1 302 Found\r\n\r\n");
    assert_eq!(nowhere, Error::Refused { status: 302, reason: "Found".to_owned() });
}

#[test]
fn any_other_status_is_refused_with_its_reason() {
    for (line, status, reason) in [
        ("HTTP/1.1 404 Not Found", 404, "Not Found"),
        ("HTTP/1.1 503", 503, ""),
        ("HTTP/1.1 204 No Content", 204, "No Content"),
        ("HTTP/1.1 206 Partial Content", 206, "Partial Content"),
        ("HTTP/1.1 304 Not Modified", 304, "Not Modified"),
    ] {
        let expected = Error::Refused { status, reason: reason.to_owned() };
        assert_eq!(error(&format!("{line}\r\nContent-Length: 0\r\n\r\n")), expected);
    }
}

#[test]
fn what_is_not_http_is_refused_at_its_first_wrong_byte() {
    for (input, at) in [("G", 0), ("HTTP/2.0 200", 5), ("HTTX", 3), ("\r\nHTTP/1.1", 0)] {
        let expected = Error::Malformed { at, what: "status line" };
        assert_eq!(error(input), expected, "{input:?}");
    }
    let second = "HTTP/1.1 100 Continue\r\n\r\nG@";
    assert_eq!(error(second), Error::Malformed { at: 25, what: "status line" });
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1 2\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
    ] {
        let error = error(&format!("{HEAD}{fields}\r\n"));
        assert!(matches!(error, Error::Violation(_)), "{fields:?}: {error}");
    }
    for fields in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Content-Encoding: gzip\r\n",
        "Transfer-Encoding: x\r\n",
    ] {
        let error = error(&format!("{HEAD}{fields}\r\n"));
        assert!(matches!(error, Error::Unsupported(_)), "{fields:?}: {error}");
    }
    let old = error("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(matches!(old, Error::Violation(_)));
}

#[test]
fn a_chunk_that_is_none_is_refused_where_it_stands_in_the_response() {
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    let expected = Error::Malformed { at: head.len() as u64 + 8, what: "chunk size" };
    let outcome = outcome(format!("{head}3\r\nabc\r\nx").as_bytes(), false);
    assert_eq!((&outcome.body[..], outcome.error), (&b"abc"[..], Some(expected)));
}

#[test]
fn a_head_is_held_up_to_its_limits() {
    let limits = |header_bytes_max, headers_max| {
        Arc::new(ClientSettings { header_bytes_max, headers_max, ..ClientSettings::default() })
    };
    let head = format!("{HEAD}A: b\r\n\r\n");
    let outcome = |settings, piece_bytes| {
        let url = Url::parse("http://h/").expect("a URL");
        let mut session = ClientSession::new(settings, url, T0);
        let mut pieces = head.as_bytes().chunks(piece_bytes);
        pieces.try_for_each(|piece| session.handle_input(T0, piece))
    };
    for piece_bytes in 1..=head.len() {
        assert_eq!(outcome(limits(head.len(), 2), piece_bytes), Ok(()));
        let limit = head.len() as u64 - 1;
        let too_long =
            Error::LimitExceeded { setting: "header_bytes_max", value: limit + 1, limit };
        assert_eq!(outcome(limits(head.len() - 1, 2), piece_bytes), Err(too_long));
        let too_many = Error::LimitExceeded { setting: "headers_max", value: 2, limit: 1 };
        assert_eq!(outcome(limits(head.len(), 1), piece_bytes), Err(too_many));
    }
}

#[test]
fn the_head_has_its_time_and_the_body_may_not_fall_silent() {
    let mut session = session();
    let ClientSettings { head_timeout_ms, silence_timeout_ms, .. } = *session.settings;
    assert_eq!(session.poll_timeout(), Some(T0 + head_timeout_ms));
    // Bytes that come one by one do not buy more time.
    let late = T0 + (head_timeout_ms - 1);
    session.handle_input(late, b"HTTP/1.1 200 OK\r\n").expect("a beginning");
    assert_eq!(session.handle_timeout(late), Ok(()));
    session.handle_input(late, b"\r\n").expect("a head");
    assert_eq!(session.poll_timeout(), Some(late + silence_timeout_ms));
    session.handle_input(late + 5, b"abc").expect("data");
    let deadline = late + (5 + silence_timeout_ms);
    assert_eq!(session.poll_timeout(), Some(deadline));
    let Err(Error::TimedOut { setting, .. }) = session.handle_timeout(deadline) else {
        panic!("it fell silent");
    };
    assert_eq!(setting, "silence_timeout_ms");
    assert_eq!((session.poll_timeout(), session.input_ended()), (None, Ok(())));
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let mut session = session();
    let Err(Error::TimedOut { setting, .. }) = session.handle_timeout(T0 + 10_000) else {
        panic!("nothing came");
    };
    assert_eq!(setting, "head_timeout_ms");
    session.handle_input(T0, b"G").expect("dropped behind the end");
    assert_eq!(session.poll_event(), None);
}
