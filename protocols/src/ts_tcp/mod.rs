//! A transport stream over TCP, to us: what `ffmpeg -f mpegts tcp://host:9999` sends.
//!
//! The peer sends packets (ISO/IEC 13818-1) and nothing else. A line in front of them may name the
//! stream, `corelay APP/NAME?QUERY`, ended by LF or CR LF; without it the setting `stream` does.
//! Nothing is ever sent to the peer: all it can be told is the end of the connection.
//!
//! Invariants
//! - [`Event::Publish`] comes first, with the first packets, so that who has none takes nobody's place;
//!   it asks for an answer, and blocks wait behind it.
//! - Held: at most one line ([`LINE_BYTES_MAX`]), what the aligner needs, and the blocks of one
//!   input.

mod error;
mod line;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::align::{self, Aligner};

use crate::session::Millis;
pub use error::Error;
pub use line::{LINE_BYTES_MAX, StreamName};

/// Settings of every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The stream of a peer that names none.
    pub stream: StreamName,
    /// From accept to the first packet, in milliseconds.
    pub opening_timeout_ms: u64,
    /// Bytes without a packet among them that are passed over before the connection is closed.
    pub unsynced_bytes_max: u64,
}

/// What the session tells its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer publishes this stream.
    Publish(StreamName),
    /// The next packets.
    Block(TsBlock),
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    /// The start of the first line; `None` once it is over.
    line: Option<Vec<u8>>,
    /// What the first packets will publish.
    stream: Option<StreamName>,
    /// The deadline of the first packet, until it has come.
    opening_by: Option<Millis>,
    aligner: Aligner,
    events: VecDeque<Event>,
    /// Bytes passed over when the last packet came.
    skipped_before: u64,
}

impl Session {
    /// The session of a connection accepted at `now`.
    pub fn new(settings: Arc<Settings>, now: Millis) -> Self {
        Self {
            line: Some(Vec::new()),
            stream: None,
            opening_by: Some(now + settings.opening_timeout_ms),
            settings,
            aligner: Aligner::default(),
            events: VecDeque::new(),
            skipped_before: 0,
        }
    }

    /// What the search for packets has met.
    pub fn counters(&self) -> align::Counters {
        self.aligner.counters()
    }

    fn take_packets(&mut self, piece: Bytes) -> Result<(), Error> {
        let Self { events, stream, .. } = self;
        let before = self.aligner.counters().packets;
        self.aligner.push(piece, |block| {
            events.extend(stream.take().map(Event::Publish));
            events.push_back(Event::Block(block));
        });
        let align::Counters { packets, skipped_bytes, .. } = self.aligner.counters();
        if packets > before {
            self.opening_by = None;
            self.skipped_before = skipped_bytes;
        }
        let unsynced = skipped_bytes - self.skipped_before;
        if unsynced > self.settings.unsynced_bytes_max {
            let limit = self.settings.unsynced_bytes_max;
            return Err(Error::NoPackets { bytes: unsynced, limit });
        }
        Ok(())
    }
}

impl crate::Session for Session {
    type Event = Event;
    type Error = Error;

    fn handle_input(&mut self, _now: Millis, input: &[u8]) -> Result<(), Error> {
        let Some(line) = &mut self.line else {
            return self.take_packets(Bytes::copy_from_slice(input));
        };
        line.extend_from_slice(input);
        let (stream, packets_at) = match line::parse(line)? {
            line::Start::Unclear => return Ok(()),
            line::Start::Packets => (self.settings.stream.clone(), 0),
            line::Start::Named { stream, line_bytes } => (stream, line_bytes),
        };
        let rest = Bytes::from(std::mem::take(line)).slice(packets_at..);
        self.line = None;
        self.stream = Some(stream);
        self.take_packets(rest)
    }

    fn handle_timeout(&mut self, now: Millis) -> Result<(), Error> {
        match self.opening_by {
            Some(by) if by <= now => {
                Err(Error::TimedOut { limit_ms: self.settings.opening_timeout_ms })
            }
            _ => Ok(()),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_output(&mut self) -> Option<Bytes> {
        None
    }

    fn poll_timeout(&self) -> Option<Millis> {
        self.opening_by
    }
}

#[cfg(test)]
mod tests;
