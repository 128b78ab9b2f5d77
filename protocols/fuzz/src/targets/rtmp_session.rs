//! RTMP sessions, server and client, against any peer that has done its handshake.
//!
//! Byte 0: the size of the pieces in which the rest arrives, 0 for one piece. Byte 1: bit 0 the server
//! or the client; bits 1 and 2 how the server's questions are answered, or whether the client plays.

use std::sync::Arc;

use bytes::Bytes;
use corelay_protocols::rtmp::chunk::{ChunkReader, Message, ReaderLimits};
use corelay_protocols::rtmp::event::PlayStart;
use corelay_protocols::rtmp::handshake::Style;
use corelay_protocols::rtmp::message::type_id;
use corelay_protocols::rtmp::url::StreamUrl;
use corelay_protocols::rtmp::{
    ClientRole, ClientSession, ClientSettings, PlayRefusal, PublishKind, PublishRefusal,
    ServerEvent, ServerSession, ServerSettings,
};
use corelay_protocols::{Millis, Session};

/// What a session does must not depend on how its input is cut, and its output must be readable.
pub fn run(data: &[u8]) {
    let [piece_bytes, selector, input @ ..] = data else { return };
    let piece_bytes = usize::from(*piece_bytes).max(1);
    let answers = selector >> 1 & 3;
    let life = match selector & 1 {
        0 => serve,
        _ => visit,
    };
    compare(life(input, usize::MAX, answers), life(input, piece_bytes, answers));
}

/// A session that fails may have done less when its input came at once: chunks that cannot be read end
/// it, whatever waits behind an open question.
fn compare(at_once: Life, in_pieces: Life) {
    if at_once.2.is_none() {
        assert_eq!(at_once, in_pieces);
    } else {
        assert!(in_pieces.0.starts_with(&at_once.0));
        assert!(in_pieces.1.starts_with(&at_once.1));
    }
}

/// Events in words, messages sent, and the error at the end.
type Life = (Vec<String>, Vec<Message>, Option<String>);

fn serve(input: &[u8], piece_bytes: usize, answers: u8) -> Life {
    let mut session = ServerSession::new(Arc::new(server_settings()), [0; 8], Millis(0));
    session.handle_input(Millis(0), &HELLO).unwrap();
    let hello = session.poll_output().unwrap();
    assert_eq!(hello.len(), HELLO.len());
    live(&mut session, input, piece_bytes, |session, event| answer(session, event, answers))
}

fn visit(input: &[u8], piece_bytes: usize, role: u8) -> Life {
    let url = StreamUrl::parse("rtmp://h/live/a").unwrap();
    let role = match role & 1 {
        0 => ClientRole::Publish(PublishKind::Live),
        _ => ClientRole::Play(PlayStart::Live),
    };
    let mut settings = ClientSettings::new(url, role);
    settings.style = Style::Plain;
    settings.message_bytes_max = MESSAGE_BYTES_MAX;
    let mut session = ClientSession::new(Arc::new(settings), [0; 8], Millis(0));
    session.handle_input(Millis(0), &HELLO).unwrap();
    // C0, C1 and C2; the command behind them stays for `live`, which needs it from a known place.
    let mut hello = session.poll_output().unwrap();
    let first = hello.split_off(HELLO.len());
    let mut life = live(&mut session, input, piece_bytes, |_, _| ());
    let mut messages = readable(&first);
    messages.append(&mut life.1);
    life.1 = messages;
    life
}

/// Drives a session as [`Session`] asks for.
fn live<S: Session>(
    session: &mut S,
    input: &[u8],
    piece_bytes: usize,
    mut react: impl FnMut(&mut S, &S::Event),
) -> Life
where
    S::Event: std::fmt::Debug,
{
    let (mut events, mut output) = (Vec::new(), Vec::new());
    let mut error = None;
    for piece in input.chunks(piece_bytes) {
        let mut result = session.handle_input(Millis(0), piece);
        while let Some(event) = session.poll_event() {
            react(session, &event);
            events.push(format!("{event:?}"));
        }
        if result.is_ok() && session.poll_timeout().is_some_and(|deadline| deadline <= Millis(0)) {
            result = session.handle_timeout(Millis(0));
        }
        output.extend(std::iter::from_fn(|| session.poll_output()).flatten());
        if let Err(reason) = result {
            error = Some(reason.to_string());
            break;
        }
    }
    (events, readable(&Bytes::from(output)), error)
}

fn answer(session: &mut ServerSession, event: &ServerEvent, answers: u8) {
    match (event, answers) {
        (_, 3) => {}
        (ServerEvent::Connect(_), 2) => session.reject_connect("no"),
        (ServerEvent::Connect(_), _) => session.accept_connect(),
        (ServerEvent::Publish(id, _), 0) => session.accept_publish(*id),
        (ServerEvent::Publish(id, _), _) => {
            session.reject_publish(*id, PublishRefusal::BadName, "no");
        }
        (ServerEvent::Play(id, _), 0) => session.accept_play(*id),
        (ServerEvent::Play(id, _), _) => session.reject_play(*id, PlayRefusal::Failed, "no"),
        _ => {}
    }
}

/// Reads what a session has written, which must be whole messages on no chunk stream of media. How
/// many acknowledgements there are does depend on how the input was cut.
fn readable(output: &Bytes) -> Vec<Message> {
    let mut reader = ChunkReader::new(ReaderLimits {
        chunk_size_max: 1 << 20,
        message_bytes_max: 1 << 20,
        chunk_streams_max: 64,
    });
    let mut rest = &output[..];
    let messages: Vec<_> = std::iter::from_fn(|| reader.push(&mut rest).unwrap()).collect();
    assert!(messages.iter().all(|message| !(4..=6).contains(&message.chunk_stream_id)));
    messages.into_iter().filter(|message| message.type_id != type_id::ACKNOWLEDGEMENT).collect()
}

fn server_settings() -> ServerSettings {
    ServerSettings {
        chunk_size_out: 128,
        message_bytes_max: MESSAGE_BYTES_MAX,
        message_streams_max: 3,
        ..ServerSettings::default()
    }
}

/// Far above the inputs, so that no limit depends on how they are cut.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;

/// Version 3, then C1 and C2, or S1 and S2, of zeros: the plain handshake.
const HELLO: [u8; 1 + 2 * 1536] = {
    let mut bytes = [0; 1 + 2 * 1536];
    bytes[0] = 3;
    bytes
};
