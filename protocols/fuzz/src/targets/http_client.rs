//! An HTTP client whose server sends anything.
//!
//! Byte 0: bit 0 chooses tight limits, bit 1 ends the connection behind the input. Byte 1: the size
//! of the pieces in which the rest arrives, 0 for one piece.

use std::sync::Arc;

use corelay_protocols::http::client::{ClientEvent, ClientSession, ClientSettings, Error, Url};
use corelay_protocols::{Millis, Session as _};

/// The outcome must not depend on how the input is cut, nothing comes that was not sent, and a
/// redirect leads to where a request can go.
pub fn run(data: &[u8]) {
    let [mode, piece_bytes, input @ ..] = data else { return };
    let whole = exchange(*mode, input, input.len());
    assert_eq!(whole, exchange(*mode, input, usize::from(*piece_bytes)));
    assert!(whole.body.len() <= input.len());
    if let Some(url) = &whole.redirect {
        let text = url.to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        assert_eq!(Url::parse(&text).as_ref(), Ok(url));
    }
}

/// All that a response leads to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    content_type: Option<String>,
    body: Vec<u8>,
    ended: bool,
    redirect: Option<Url>,
    error: Option<Error>,
}

fn exchange(mode: u8, input: &[u8], piece_bytes: usize) -> Outcome {
    let url = Url::parse("http://h:8080/a/b.ts?t=1").expect("a URL");
    let mut session = ClientSession::new(settings(mode), url, NOW);
    let mut outcome = Outcome::default();
    for piece in input.chunks(piece_bytes.max(1)) {
        outcome.error = session.handle_input(NOW, piece).err();
        collect(&mut session, &mut outcome);
        if outcome.error.is_some() {
            break;
        }
    }
    if mode & 2 != 0 && outcome.error.is_none() {
        outcome.error = session.input_ended().err();
        collect(&mut session, &mut outcome);
        assert_eq!(session.poll_timeout(), None);
    }
    outcome
}

fn collect(session: &mut ClientSession, outcome: &mut Outcome) {
    while let Some(event) = session.poll_event() {
        assert!(!outcome.ended && outcome.redirect.is_none(), "{event:?} behind the end");
        match event {
            ClientEvent::Head { content_type, .. } => {
                assert_eq!(outcome.content_type.replace(content_type), None, "a second head");
            }
            ClientEvent::Body(bytes) => {
                assert!(outcome.content_type.is_some() && !bytes.is_empty());
                outcome.body.extend_from_slice(&bytes);
            }
            ClientEvent::End => outcome.ended = true,
            ClientEvent::Redirect(url) => outcome.redirect = Some(url),
        }
    }
}

fn settings(mode: u8) -> Arc<ClientSettings> {
    let defaults = ClientSettings::default();
    Arc::new(match mode & 1 {
        0 => defaults,
        _ => ClientSettings { header_bytes_max: 64, headers_max: 2, ..defaults },
    })
}

const NOW: Millis = Millis(1);
