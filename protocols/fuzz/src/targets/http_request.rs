//! An HTTP connection whose client sends anything.
//!
//! Byte 0: bit 0 accepts or rejects plays, bit 1 chooses tight limits. Byte 1: the size of the
//! pieces in which the rest arrives, 0 for one piece.

use corelay_protocols::http::{Error, Event, PlayRequest, Session, Settings};
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
    if whole.plays.is_empty() || input.len() <= header_bytes_max {
        assert_eq!(whole, pieces);
    }
    assert!(whole.output.is_empty() || whole.output.starts_with(b"HTTP/1.1 "));
    assert!(whole.output.len() < 64 << 10, "{} bytes of output", whole.output.len());
    for play in &whole.plays {
        check_names(play);
    }
}

/// All that a connection leads to.
#[derive(Debug, PartialEq)]
struct Outcome {
    output: Vec<u8>,
    plays: Vec<PlayRequest>,
    closed: bool,
    streaming: bool,
    discarded_bytes: u64,
    error: Option<Error>,
}

fn exchange(mode: u8, settings: Settings, input: &[u8], piece_bytes: usize) -> Outcome {
    let mut session = Session::new(settings, NOW);
    let (mut plays, mut closed, mut error) = (Vec::new(), false, None);
    for piece in input.chunks(piece_bytes.max(1)) {
        error = session.handle_input(NOW, piece).err();
        while let Some(event) = session.poll_event() {
            match event {
                Event::Closed => closed = true,
                Event::Play(play) => {
                    plays.push(play);
                    answer(&mut session, mode);
                    error = session.handle_timeout(NOW).err();
                }
            }
        }
        if error.is_some() {
            break;
        }
    }
    let output = session.poll_output().unwrap_or_default().to_vec();
    let (streaming, discarded_bytes) = (session.is_streaming(), session.discarded_bytes());
    if error.is_some() || closed {
        assert!(!streaming && session.poll_timeout().is_none());
        assert_eq!((session.poll_event(), session.poll_output()), (None, None));
    }
    Outcome { output, plays, closed, streaming, discarded_bytes, error }
}

fn answer(session: &mut Session, mode: u8) {
    if mode & 1 == 0 {
        session.accept_play(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00");
    } else {
        session.reject_play(404, "no such stream");
    }
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

fn check_names(play: &PlayRequest) {
    let full = format!("{}/{}", play.app, play.name);
    assert!(!play.name.contains('/') && !full.contains(char::is_control), "{full:?}");
    assert!(full.split('/').all(|part| !matches!(part, "" | "." | "..")), "{full:?}");
}

const NOW: Millis = Millis(1);
