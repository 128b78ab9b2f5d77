//! An HTTP connection whose client sends anything.
//!
//! Byte 0: bit 0 accepts or rejects what is asked, bit 1 chooses tight limits, bit 2 ends the input at
//! last, bit 3 answers players with a prepared response. Byte 1: the size of the pieces in which the rest arrives, 0 for one piece.

use std::net::IpAddr;

use corelay_protocols::http::{
    Coding, Container, Error, Event, HlsRequest, PlayRequest, Prepared, PublishRequest,
    RelayRequest, Representation, Session, Settings,
};
use corelay_protocols::{Millis, Session as _};

/// The outcome must not depend on how the input is cut; what is asked for is safe to name; what is
/// answered is HTTP and bounded.
pub fn run(data: &[u8]) {
    let [mode, piece_bytes, input @ ..] = data else { return };
    let settings = settings(*mode);
    let header_bytes_max = settings.header_bytes_max;
    let whole = exchange(*mode, settings.clone(), input, input.len());
    let pieces = exchange(*mode, settings, input, usize::from(*piece_bytes));
    // Input behind a play is held up to a limit, so how much of it comes before the answer matters.
    let asked = whole.plays + whole.relays + whole.statuses + whole.hls;
    if asked == 0 || input.len() <= header_bytes_max {
        assert_eq!(whole, pieces);
    }
    assert!(whole.output.is_empty() || whole.output.starts_with(b"HTTP/1.1 "));
    assert!(whole.output.len() < 64 << 10, "{} bytes of output", whole.output.len());
}

/// All that a connection leads to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    output: Vec<u8>,
    plays: usize,
    relays: usize,
    statuses: usize,
    hls: usize,
    publishes: usize,
    body: Vec<u8>,
    closed: bool,
    streaming: bool,
    publishing: bool,
    discarded_bytes: u64,
    error: Option<Error>,
}

fn exchange(mode: u8, settings: Settings, input: &[u8], piece_bytes: usize) -> Outcome {
    let mut session = Session::new(settings, NOW);
    let mut outcome = Outcome::default();
    for piece in input.chunks(piece_bytes.max(1)) {
        outcome.error = session.handle_input(NOW, piece).err();
        drain(&mut session, mode, &mut outcome);
        if outcome.error.is_some() {
            break;
        }
    }
    if mode & 4 != 0 && outcome.error.is_none() {
        outcome.error = session.input_ended().err();
        drain(&mut session, mode, &mut outcome);
    }
    outcome.output.extend_from_slice(&session.poll_output().unwrap_or_default());
    outcome.streaming = session.is_streaming();
    outcome.publishing = session.is_publishing();
    outcome.discarded_bytes = session.discarded_bytes();
    if outcome.error.is_some() || outcome.closed {
        assert!(!outcome.streaming && !outcome.publishing && session.poll_timeout().is_none());
        assert_eq!((session.poll_event(), session.poll_output()), (None, None));
    }
    outcome
}

/// Takes every event, and answers those that ask.
fn drain(session: &mut Session, mode: u8, outcome: &mut Outcome) {
    let accepts = mode & 1 == 0;
    while let Some(event) = session.poll_event() {
        match event {
            Event::Closed => outcome.closed = true,
            Event::Play(play) => {
                check_play(&play);
                outcome.plays += 1;
                answer_play(session, accepts);
            }
            Event::Relay(relay) => {
                check_relay(&relay);
                outcome.relays += 1;
                answer_play(session, accepts);
            }
            Event::Status { .. } => {
                outcome.statuses += 1;
                session.answer(200, "text/plain", "nothing is relayed");
            }
            Event::Hls(request) => {
                check_hls(&request);
                outcome.hls += 1;
                if accepts {
                    answer_hls(session, &request, mode & 8 != 0, &mut outcome.output);
                } else {
                    session.reject_hls(404, Some(1), "it is gone");
                }
            }
            Event::Publish(publish) => {
                check_publish(&publish);
                outcome.publishes += 1;
                assert!(!session.wants_input());
                if accepts {
                    session.accept_publish();
                } else {
                    session.reject_publish(403, "not here");
                }
            }
            Event::Body(bytes) => {
                assert!(!bytes.is_empty());
                outcome.body.extend_from_slice(&bytes);
            }
            Event::BodyEnd => session.finish_publish(),
        }
        if let Err(error) = session.handle_timeout(NOW) {
            outcome.error = Some(error);
        }
    }
}

fn answer_play(session: &mut Session, accepts: bool) {
    if accepts {
        session.accept_play(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00");
    } else {
        session.reject_play(404, "no such stream");
    }
}

/// Answers with [`BODY`], or the part of it that is wanted.
fn answer_hls(session: &mut Session, request: &HlsRequest, is_prepared: bool, out: &mut Vec<u8>) {
    let coding = if request.accepts_gzip { Coding::Gzip } else { Coding::Identity };
    if is_prepared {
        let representation = Representation { coding, ..MEDIA };
        let prepared = Prepared::new(&representation, BODY, &Settings::default());
        return session.respond_prepared(request, &prepared);
    }
    if let Some(range) = session.respond(request, &MEDIA) {
        assert!(session.is_responding() && range.start < range.end && !request.head_only);
        assert!(!request.is_current(MEDIA.etag));
        out.extend_from_slice(&session.poll_output().expect("a head"));
        out.extend_from_slice(&BODY[range.start as usize..range.end as usize]);
        session.finish_response();
    }
    assert!(!session.is_responding());
}

fn settings(mode: u8) -> Settings {
    let defaults = Settings::default();
    if mode & 2 == 0 {
        return defaults;
    }
    Settings {
        header_bytes_max: 96,
        headers_max: 3,
        uri_bytes_max: 24,
        name_bytes_max: 4,
        websocket_message_bytes_max: 8,
        ..defaults
    }
}

fn check_play(play: &PlayRequest) {
    check_names(&play.app, &play.name);
}

fn check_publish(publish: &PublishRequest) {
    assert_eq!(publish.container, Container::Ts);
    check_names(&publish.app, &publish.name);
}

fn check_relay(relay: &RelayRequest) {
    assert!(relay.address.port() > 0 && relay.sources.len() <= 8, "{relay:?}");
    let ip = relay.address.ip();
    let fits = |source: &IpAddr| source.is_ipv4() == ip.is_ipv4() && !source.is_multicast();
    assert!(relay.sources.iter().all(fits), "{relay:?}");
}

fn check_hls(request: &HlsRequest) {
    check_names(request.app(), request.name());
    let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '{' | '}');
    assert!(request.passed_on().chars().all(is_safe), "{request:?}");
    let is_id = |id: &str| id.len() <= 64 && id.chars().all(|c| c.is_ascii_graphic() && c != '"');
    assert!(request.session().is_none_or(is_id), "{request:?}");
    assert!(request.directives.part.is_none() || request.directives.msn.is_some());
    assert!(!(request.head_only && request.range.is_some()));
}

fn check_names(app: &str, name: &str) {
    let full = format!("{app}/{name}");
    assert!(!name.contains('/') && !full.contains(char::is_control), "{full:?}");
    assert!(full.split('/').all(|part| !matches!(part, "" | "." | "..")), "{full:?}");
    assert!(!matches!(app.split('/').next(), Some("udp" | "rtp")), "{full:?}");
}

const NOW: Millis = Millis(1);
const BODY: &[u8] = b"#EXTM3U\n#EXT-X-VERSION:3\n";
const MEDIA: Representation<'static> = Representation {
    media_type: "video/mp2t",
    length: BODY.len() as u64,
    cache_control: "max-age=60",
    etag: "a7",
    coding: Coding::Fixed,
};
