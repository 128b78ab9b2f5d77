//! The WebSocket side, against tungstenite and against bytes that it would never send.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Message, WebSocket};

use super::*;
use crate::http::websocket::frame_header;

const UPGRADE: &str = "GET /live/test.flv HTTP/1.1\r\nHost: h\r\nConnection: x, Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A server session at the far end of a wire without a network. What the client writes is taken by
/// the session at once, `cut` bytes at a time.
struct Server {
    session: Session,
    to_client: Vec<u8>,
    events: Vec<Event>,
    result: Result<(), Error>,
    cut: usize,
}

#[derive(Clone)]
struct Wire(Rc<RefCell<Server>>);

impl Wire {
    fn new(cut: usize) -> Self {
        let (to_client, events, result) = (Vec::new(), Vec::new(), Ok(()));
        Self(Rc::new(RefCell::new(Server { session: session(), to_client, events, result, cut })))
    }

    /// A client whose play was accepted with the FLV header.
    fn connect(&self) -> WebSocket<Self> {
        let url = "ws://tv:8080/live/test.flv?onlyVideo=1";
        let (client, response) = tungstenite::client(url, self.clone()).expect("a handshake");
        assert_eq!(response.headers()["server"], "corelay");
        client
    }

    /// What the driver does beside the session: writes media to the same transport.
    fn send_media(&self, media: &[u8]) {
        let mut server = self.0.borrow_mut();
        server.drain();
        server.to_client.extend_from_slice(&frame_header(media.len()));
        server.to_client.extend_from_slice(media);
    }
}

impl Server {
    fn drain(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if matches!(event, Event::Play(_)) {
                self.session.accept_play(FLV);
            }
            self.events.push(event);
        }
        while let Some(output) = self.session.poll_output() {
            self.to_client.extend_from_slice(&output);
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut server = self.0.borrow_mut();
        for part in bytes.chunks(server.cut) {
            server.result = server.session.handle_input(T0, part);
            server.drain();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut server = self.0.borrow_mut();
        server.drain();
        let length = bytes.len().min(server.to_client.len());
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        bytes[..length].copy_from_slice(&server.to_client[..length]);
        server.to_client.drain(..length);
        Ok(length)
    }
}

#[test]
fn a_client_gets_the_header_and_every_length_of_media_as_binary_messages() {
    for cut in [1, 7, 1 << 20] {
        let wire = Wire::new(cut);
        let mut client = wire.connect();
        assert_eq!(client.read().expect("the FLV header"), Message::binary(FLV));
        for length in [1, 125, 126, 65_535, 65_536] {
            let media = vec![0x5A; length];
            wire.send_media(&media);
            assert_eq!(client.read().expect("media"), Message::binary(media), "{length}");
        }
        let server = wire.0.borrow();
        let Some(Event::Play(play)) = server.events.first() else { panic!("{:?}", server.events) };
        assert_eq!((play.transport, play.host.as_str()), (Transport::WebSocket, "tv:8080"));
        assert_eq!(play.tracks, TrackFilter { video: true, audio: false });
        assert_eq!(server.result, Ok(()));
    }
}

#[test]
fn a_ping_is_answered_between_media_messages() {
    let wire = Wire::new(3);
    let mut client = wire.connect();
    client.read().expect("the FLV header");
    client.send(Message::Text("hello".into())).expect("passed over");
    client.send(Message::Ping("there?".into())).expect("a ping");
    wire.send_media(b"media");
    assert_eq!(client.read().expect("a pong"), Message::Pong("there?".into()));
    assert_eq!(client.read().expect("media"), Message::binary(&b"media"[..]));
}

#[test]
fn a_client_that_closes_gets_its_code_back_and_the_session_is_over() {
    let wire = Wire::new(1);
    let mut client = wire.connect();
    client.read().expect("the FLV header");
    client.close(Some(CloseFrame { code: CloseCode::Away, reason: "bye".into() })).expect("close");
    let answer = CloseFrame { code: CloseCode::Away, reason: "".into() };
    assert_eq!(client.read().expect("the answer"), Message::Close(Some(answer)));
    let server = wire.0.borrow();
    assert_eq!(server.events.last(), Some(&Event::Closed));
    assert!(!server.session.is_streaming());
    assert_eq!(server.result, Ok(()));
}

#[test]
fn a_stream_that_ends_closes_and_waits_for_the_answer() {
    type End = fn(&mut Session);
    let ends: [(End, CloseCode); 2] =
        [(Session::end_stream, CloseCode::Normal), (Session::shut_down, CloseCode::Away)];
    for (end, code) in ends {
        let wire = Wire::new(1 << 20);
        let mut client = wire.connect();
        client.read().expect("the FLV header");
        end(&mut wire.0.borrow_mut().session);
        assert!(!wire.0.borrow().session.is_streaming());
        let close = CloseFrame { code, reason: "".into() };
        assert_eq!(client.read().expect("a close frame"), Message::Close(Some(close)));
        assert_eq!(wire.0.borrow().events.len(), 1, "not closed before the answer");
        client.flush().expect("the answer");
        assert_eq!(wire.0.borrow().events.last(), Some(&Event::Closed));
        assert!(wire.0.borrow().to_client.is_empty(), "an answer is not answered");
    }
}

/// A session that streams to a WebSocket whose client is played by the test.
fn streaming() -> Session {
    let (mut session, _) = asked(UPGRADE);
    session.accept_play(b"");
    let reply = output(&mut session);
    assert!(reply.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{reply}");
    assert!(reply.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n\r\n"), "no empty frame behind the head: {reply}");
    session
}

#[test]
fn frames_that_came_with_the_request_are_read_after_the_answer() {
    let ping = [0x89, 0x81, 0, 0, 0, 0, b'x'];
    let mut session = session();
    session.handle_input(T0, &[UPGRADE.as_bytes(), &ping].concat()).expect("request and frame");
    play(&mut session);
    session.accept_play(b"");
    assert_eq!(session.poll_timeout(), Some(Millis(0)));
    let _ = session.poll_output();
    session.handle_timeout(T0).expect("the frame");
    assert_eq!(session.poll_output().as_deref(), Some(&[0x8A, 1, b'x'][..]));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_broken_frame_is_answered_by_1002_and_a_long_message_by_1009() {
    let long = [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    for (frame, code) in [(&[0x81, 0x05][..], 1002_u16), (&long, 1009)] {
        let mut session = streaming();
        let error = session.handle_input(T0, frame).expect_err("refused");
        assert!(matches!(error, Error::Violation(_) | Error::LimitExceeded { .. }), "{error}");
        let close = [&[0x88, 2][..], &code.to_be_bytes()].concat();
        assert_eq!(session.poll_output().as_deref(), Some(&close[..]));
        assert_eq!((session.poll_event(), session.poll_timeout()), (None, None));
        assert!(!session.is_streaming());
    }
}

#[test]
fn a_close_frame_without_a_code_gets_one_without_a_code() {
    let mut session = streaming();
    session
        .handle_input(T0, &[0x88, 0x80, 1, 2, 3, 4, 0x89, 0x80, 0, 0, 0, 0])
        .expect("close, ping");
    assert_eq!(
        session.poll_output().as_deref(),
        Some(&[0x88, 0][..]),
        "nothing behind a close frame"
    );
    assert_eq!(session.poll_event(), Some(Event::Closed));
}

#[test]
fn a_viewer_that_does_not_answer_the_close_frame_is_let_go() {
    let mut session = streaming();
    session.end_stream();
    assert_eq!(session.poll_output().as_deref(), Some(&[0x88, 2, 0x03, 0xE8][..]));
    assert_eq!(session.poll_timeout(), Some(Millis(0)));
    session.handle_timeout(T0).expect("the deadline is set");
    assert_eq!(session.poll_timeout(), Some(T0 + CLOSE_TIMEOUT_MS));
    session.handle_input(T0, &[0x89, 0x80, 0, 0, 0, 0]).expect("a late ping");
    session.end_stream();
    assert_eq!(session.poll_output(), None, "nothing is sent behind a close frame");
    session.handle_timeout(T0 + CLOSE_TIMEOUT_MS).expect("over");
    assert_eq!(session.poll_event(), Some(Event::Closed));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn pongs_that_nobody_fetches_are_bounded() {
    let mut session = streaming();
    session.handle_input(T0, &[0x89, 0x80, 0, 0, 0, 0].repeat(10_000)).expect("a flood of pings");
    let pongs = session.poll_output().expect("pongs");
    assert_eq!(pongs, [0x8A, 0].repeat(REPLIES_QUEUED_MAX));
    session.handle_input(T0, &[0x89, 0x80, 0, 0, 0, 0]).expect("one more");
    assert_eq!(session.poll_output().as_deref(), Some(&[0x8A, 0][..]));
}

#[test]
fn a_rejected_upgrade_stays_http() {
    let (mut session, _) = asked(UPGRADE);
    session.reject_play(404, "no such stream");
    assert_eq!(statuses(&output(&mut session)), [404]);
    send(&mut session, ROOT).expect("the connection goes on");
    assert_eq!(statuses(&output(&mut session)), [200]);
}

#[test]
fn a_page_of_another_origin_is_refused_where_one_is_configured() {
    let status = |allow_origin: &str, origin: &str| {
        let allow_origin = allow_origin.to_owned();
        let mut session = Session::new(Settings { allow_origin, ..Settings::default() }, T0);
        let request = UPGRADE.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
        send(&mut session, &request).expect("a request");
        session.accept_play(b"");
        statuses(&output(&mut session))
    };
    assert_eq!(status("*", "http://any"), [101]);
    assert_eq!(status("https://tv.example", "https://tv.example"), [101]);
    assert_eq!(status("https://tv.example", "http://tv.example"), [403]);
    assert_eq!(status("https://tv.example", "http://h"), [101], "the server's own origin");
    assert_eq!(status("", "http://h"), [101]);
    assert_eq!(status("", "http://other"), [403]);
    assert_eq!(status("", "null"), [403]);
}

#[test]
fn head_is_not_upgraded() {
    let (mut session, play) = asked(&UPGRADE.replacen("GET", "HEAD", 1));
    assert_eq!((play.transport, play.head_only), (Transport::Http, true));
    session.accept_play(FLV);
    assert_eq!(statuses(&output(&mut session)), [200]);
}
