//! Groups asked for by URL, and the status page.

use super::*;
use crate::http::event::{RelayRequest, Scheme};

fn relay(session: &mut Session) -> RelayRequest {
    match session.poll_event() {
        Some(Event::Relay(relay)) => relay,
        other => panic!("{other:?} instead of a relay"),
    }
}

fn get(session: &mut Session, target: &str) {
    send(session, &format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).expect(target);
}

#[test]
fn a_group_is_asked_for_and_streamed_like_a_stream() {
    let mut session = session();
    let request = "GET /udp/10.0.0.5@232.1.1.1:5000/?a=b HTTP/1.1\r\nHost: h\r\n\
                   User-Agent: p/1\r\nOrigin: http://o\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n";
    send(&mut session, request).expect("a request");
    let expected = RelayRequest {
        scheme: Scheme::Udp,
        address: "232.1.1.1:5000".parse().expect("an address"),
        sources: vec!["10.0.0.5".parse().expect("an address")],
        query: "a=b".to_owned(),
        transport: Transport::Http,
        head_only: false,
        host: "h".to_owned(),
        user_agent: "p/1".to_owned(),
        origin: "http://o".to_owned(),
        forwarded_for: Some("1.2.3.4".to_owned()),
    };
    assert_eq!(relay(&mut session), expected);
    session.answer(200, "text/plain", "not asked");
    session.accept_publish();
    session.reject_publish(404, "not asked");
    assert_eq!((session.poll_output(), session.is_streaming()), (None, false));
    session.accept_play(b"");
    assert!(session.is_streaming());
    let reply = output(&mut session);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.ends_with("Connection: close\r\nContent-Type: video/mp2t\r\n\r\n"), "{reply}");
}

#[test]
fn a_group_that_is_not_allowed_leaves_the_connection_open() {
    let mut session = session();
    get(&mut session, "/rtp/[ff3e::1]:7");
    let asked = relay(&mut session);
    assert_eq!((asked.scheme, asked.address.to_string().as_str()), (Scheme::Rtp, "[ff3e::1]:7"));
    session.reject_play(403, "this group may not be asked for");
    assert_eq!(statuses(&output(&mut session)), [403]);
    send(&mut session, "HEAD /udp/239.1.1.1 HTTP/1.1\r\nHost: h\r\n\r\n").expect("head");
    assert!(relay(&mut session).head_only);
    session.accept_play(b"");
    assert!(!session.is_streaming());
    assert!(output(&mut session).ends_with("keep-alive\r\nContent-Type: video/mp2t\r\n\r\n"));
    get(&mut session, "/udp/239.1.1.1");
    assert_eq!(relay(&mut session).address.to_string(), "239.1.1.1:1234");
}

#[test]
fn what_is_no_group_is_told_so_and_an_application_of_that_name_is_not_served() {
    let mut session = session();
    for target in ["/udp/news.ts", "/rtp/news.flv", "/udp", "/udp/239.1.1.1:0"] {
        get(&mut session, target);
        let reply = output(&mut session);
        assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{target}: {reply}");
        assert!(reply.ends_with("; write /udp/[SOURCE@]GROUP[:PORT]\n"), "{target}: {reply}");
        assert!(reply.contains("Connection: keep-alive\r\n"), "{reply}");
        assert_eq!(session.poll_event(), None, "{target}");
    }
    let body = "POST /udp/239.1.1.1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    send(&mut session, body).expect("a body that is skipped");
    assert_eq!(statuses(&output(&mut session)), [405]);
    assert_eq!(session.poll_event(), None);
}

#[test]
fn a_group_over_websocket_is_asked_for_like_a_stream() {
    let mut session = session();
    let request = "GET /udp/239.1.1.1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    send(&mut session, request).expect("a request");
    assert_eq!(relay(&mut session).transport, Transport::WebSocket);
    session.accept_play(b"");
    assert!(output(&mut session).starts_with("HTTP/1.1 101 "));
    assert!(session.is_streaming());
}

#[test]
fn the_status_is_the_driver_s_page() {
    let mut session = session();
    send(&mut session, &format!("GET /status/ HTTP/1.1\r\nHost: h\r\n\r\n{ROOT}")).expect("two");
    assert_eq!(session.poll_event(), Some(Event::Status { head_only: false }));
    session.accept_play(b"not asked");
    session.reject_play(404, "not asked");
    assert_eq!((session.poll_output(), session.poll_timeout()), (None, None));
    session.answer(200, "text/html; charset=utf-8", "<p>nothing</p>");
    let expected = "HTTP/1.1 200 OK\r\nServer: corelay\r\nAccess-Control-Allow-Origin: *\r\n\
                    Cache-Control: no-store\r\nConnection: keep-alive\r\n\
                    Content-Type: text/html; charset=utf-8\r\nContent-Length: 14\r\n\r\n\
                    <p>nothing</p>";
    assert_eq!(output(&mut session), expected);
    session.handle_timeout(T0).expect("the rest");
    assert_eq!(statuses(&output(&mut session)), [200]);
    send(&mut session, "HEAD /status HTTP/1.1\r\nHost: h\r\n\r\n").expect("head");
    assert_eq!(session.poll_event(), Some(Event::Status { head_only: true }));
    session.answer(99, "text/plain", "four");
    let reply = output(&mut session);
    assert!(reply.starts_with("HTTP/1.1 500 "), "{reply}");
    assert!(reply.ends_with("Content-Length: 4\r\n\r\n"), "{reply}");
    get(&mut session, "/status");
    session.shut_down();
    assert_eq!(session.poll_event(), Some(Event::Closed), "the status is not asked any more");
}
