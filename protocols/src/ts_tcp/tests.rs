use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::Session as _;

const NOW: Millis = Millis(1_000);

fn session() -> Session {
    let stream = StreamName::parse("live/ts").unwrap();
    let settings = Settings { stream, opening_timeout_ms: 5_000, unsynced_bytes_max: 10_000 };
    Session::new(Arc::new(settings), NOW)
}

fn packets(count: usize) -> Vec<u8> {
    let packet = |n: usize| {
        let mut packet = vec![0x47, 0x01, 0x00, 0x10 | (n % 16) as u8];
        packet.resize(188, n as u8 & 0x3F);
        packet
    };
    (0..count).flat_map(packet).collect()
}

/// The stream's name, and the bytes of all packets.
fn drain(session: &mut Session) -> (Option<StreamName>, Vec<u8>) {
    let (mut stream, mut bytes) = (None, Vec::new());
    while let Some(event) = session.poll_event() {
        match event {
            Event::Publish(name) => {
                assert!(bytes.is_empty(), "the name comes first");
                stream = Some(name);
            }
            Event::Block(block) => bytes.extend_from_slice(block.bytes()),
        }
    }
    (stream, bytes)
}

fn named(text: &str) -> Option<StreamName> {
    StreamName::parse(text)
}

#[test]
fn packets_alone_are_the_configured_stream() {
    let mut session = session();
    session.handle_input(NOW, &packets(20)).unwrap();
    assert_eq!(drain(&mut session), (named("live/ts"), packets(20)));
    assert_eq!(session.poll_timeout(), None, "it has begun");
}

#[test]
fn a_line_names_the_stream_wherever_the_transport_splits_it() {
    for line in ["corelay iptv/news?token=x\n", "corelay iptv/news?token=x\r\n"] {
        let sent = [line.as_bytes(), &packets(12)].concat();
        for at in 0..sent.len() {
            let mut session = session();
            session.handle_input(NOW, &sent[..at]).unwrap();
            session.handle_input(NOW, &sent[at..]).unwrap();
            let expected = (named("iptv/news?token=x"), packets(12));
            assert_eq!(drain(&mut session), expected, "split at {at}");
        }
    }
}

#[test]
fn bytes_that_only_begin_like_a_line_are_passed_over() {
    let mut session = session();
    session.handle_input(NOW, &[b"core".as_slice(), &packets(12)].concat()).unwrap();
    assert_eq!(drain(&mut session), (named("live/ts"), packets(12)));
    assert_eq!(session.counters().skipped_bytes, 4);
}

#[test]
fn nothing_is_published_before_the_first_packets() {
    let mut session = session();
    session.handle_input(NOW, b"corelay live/x\n").unwrap();
    session.handle_input(NOW, &[0; 5_000]).unwrap();
    assert_eq!(session.poll_event(), None);
    session.handle_input(NOW, &packets(8)).unwrap();
    assert_eq!(drain(&mut session), (named("live/x"), packets(8)));
}

#[test]
fn a_line_that_names_nothing_is_refused_in_words() {
    for line in ["corelay \n", "corelay news\n", "corelay /news\n", "corelay live/\n"] {
        let error = session().handle_input(NOW, line.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("no application or no stream name"), "{line}: {error}");
    }
    let error = session().handle_input(NOW, b"corelay \xFF/\xFF\n").unwrap_err();
    assert_eq!(error, Error::Malformed { what: "not UTF-8" });
    let long = [b"corelay ".as_slice(), &[b'a'; LINE_BYTES_MAX]].concat();
    session().handle_input(NOW, &long[..LINE_BYTES_MAX - 1]).unwrap();
    session().handle_input(NOW, &long).unwrap_err();
}

#[test]
fn bytes_without_packets_are_passed_over_up_to_the_limit() {
    let mut session = session();
    session.handle_input(NOW, &[0; 9_000]).unwrap();
    session.handle_input(NOW, &packets(10)).unwrap();
    session.handle_input(NOW, &[0; 9_000]).unwrap();
    let error = session.handle_input(NOW, &[0; 9_000]).unwrap_err();
    assert!(matches!(error, Error::NoPackets { bytes: 10_001.., limit: 10_000 }), "{error}");
}

#[test]
fn a_peer_without_packets_is_given_up_at_its_deadline() {
    let mut session = session();
    session.handle_input(NOW, b"corelay live/x\n").unwrap();
    assert_eq!(session.poll_timeout(), Some(Millis(6_000)));
    session.handle_timeout(Millis(5_999)).unwrap();
    let error = session.handle_timeout(Millis(6_000)).unwrap_err();
    assert_eq!(error, Error::TimedOut { limit_ms: 5_000 });
}

proptest! {
    #[test]
    fn junk_is_refused_or_passed_over(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..20)) {
        let mut session = session();
        for piece in pieces {
            if session.handle_input(NOW, &piece).is_err() {
                break;
            }
            drain(&mut session);
        }
    }
}
