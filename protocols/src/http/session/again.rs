//! A request for a playlist that comes again: players ask for the same one as long as they play, and a
//! head of the same bytes says the same.

use super::play::Question;
use super::{Asked, Session, State};
use crate::http::event::Event;
use crate::http::hls_request::{HlsRequest, Resource};

/// A request that was understood, and the bytes that it came in.
#[derive(Debug)]
pub(super) struct Again {
    /// The whole head, with its empty line: no other head begins with it.
    head: Box<[u8]>,
    request: HlsRequest,
}

impl Session {
    /// Asks the driver what it was asked before, if the head in front of `input` is the same. Gives the
    /// length of the head.
    pub(super) fn ask_again(&mut self, input: &[u8]) -> Option<usize> {
        let Again { head, request } = self.again.as_deref()?;
        if !input.starts_with(head) {
            return None;
        }
        let (length, request) = (head.len(), request.clone());
        let head_only = request.head_only;
        self.put(
            Asked { question: Question::Hls, head_only, keep_alive: true },
            Event::Hls(request),
        );
        Some(length)
    }

    /// Keeps what the driver is asked now, if it is worth it. It came in `head`, and nothing follows it
    /// that belongs to it.
    pub(super) fn remember(&mut self, head: &[u8]) {
        // Behind an answer that is the last one nothing comes.
        let State::Asked(Asked { keep_alive: true, .. }) = self.state else { return };
        let Some(Event::Hls(request)) = self.asks.as_deref() else { return };
        // Whoever waits for a segment asks for the next one then.
        let comes_again =
            matches!(request.resource, Resource::Playlist(_)) && request.directives.msn.is_none();
        if comes_again && self.body_left == 0 && head.len() <= HEAD_BYTES_MAX {
            let request = request.clone();
            self.again = Some(Box::new(Again { head: head.into(), request }));
        }
    }
}

/// Twice what browsers send: a longer head would cost each connection more memory than its parsing is
/// worth.
const HEAD_BYTES_MAX: usize = 2 << 10;
