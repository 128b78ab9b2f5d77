//! Everything that is known of an input, for the API.

use std::net::SocketAddr;

use corelay_codecs::container::mpegts::analysis;
use corelay_codecs::container::mpegts::psi::{EsFormat, Pat, Program, Service};
use corelay_codecs::container::rtp::ReorderCounters;

use super::{DatagramCounters, Input, Watch};
use crate::channel::select::Health;
use crate::clock::Micros;
use crate::net::udp::InputCounters;

/// What an input is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputState {
    /// It is not wanted now.
    Closed,
    /// It cannot be opened, or was lost; it is tried again.
    Lost,
    /// Open, and nothing comes.
    Silent,
    /// Packets come.
    Receiving,
}

impl InputState {
    /// The word in the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Receiving => "receiving",
        }
    }
}

/// One input; its tables and PIDs only if they were asked for.
#[derive(Clone, Debug)]
pub struct InputSnapshot {
    /// As it was configured, without its query.
    pub url: String,
    /// What it is doing.
    pub state: InputState,
    /// Why it is lost.
    pub why: Option<String>,
    /// Its socket; `None` for connections.
    pub socket: Option<SocketSnapshot>,
    /// Of RTP, if there ever was any.
    pub rtp: Option<ReorderCounters>,
    /// What the selector is told.
    pub health: Health,
    /// How the streams of the program that viewers get are coded, in the order of its PMT.
    pub formats: Vec<EsFormat>,
    /// Everything that is measured; in a summary, without the PIDs.
    pub analysis: analysis::Snapshot,
    /// The PAT, if it was seen. Not in a summary, and neither is what follows.
    pub pat: Option<Pat>,
    /// The programs whose PMT was read, in the order of the PAT.
    pub programs: Vec<Program>,
    /// The services of the SDT.
    pub services: Vec<Service>,
}

/// The socket of an input.
#[derive(Clone, Debug)]
pub struct SocketSnapshot {
    /// The interface, where there is a particular one.
    pub interface: Option<String>,
    /// Where it is bound, while it is open.
    pub local: Option<SocketAddr>,
    /// Bytes that may wait, as the kernel counts; 0 while it is closed.
    pub receive_buffer_bytes: usize,
    /// Times that it was opened.
    pub openings: u64,
    /// Of all openings.
    pub counters: InputCounters,
    /// What the datagrams were.
    pub datagrams: DatagramCounters,
}

impl Input {
    /// Everything that is known now.
    ///
    /// Cost: copies of all tables and PIDs; for the API, not for every turn.
    pub fn snapshot(&mut self, now: Micros) -> InputSnapshot {
        let summary = self.summary(now);
        summary.with_tables(&self.watch)
    }

    /// What is known now, without tables and PIDs.
    ///
    /// Cost: a handful of allocations.
    pub fn summary(&mut self, now: Micros) -> InputSnapshot {
        let health = self.health(now);
        let port = self.port.as_ref();
        let open = port.and_then(|port| port.opened());
        let why = port.and_then(|port| port.why()).map(str::to_owned);
        let quiet_since = health.last_packet.filter(|&last| now.millis_since(last) < SILENT_MS);
        let state = match (self.is_open, &why, quiet_since) {
            (false, ..) => InputState::Closed,
            (_, Some(_), _) => InputState::Lost,
            (_, _, None) => InputState::Silent,
            _ => InputState::Receiving,
        };
        InputSnapshot {
            url: self.url.clone(),
            state,
            why,
            socket: port.map(|port| SocketSnapshot {
                interface: open.and_then(|(one, _)| one.link()).map(|link| link.name.clone()),
                local: open.map(|(socket, _)| socket.local_address()),
                receive_buffer_bytes: open.map_or(0, |(one, _)| one.receive_buffer_bytes()),
                openings: port.openings,
                counters: port.counters(),
                datagrams: self.unwrapper.counters(),
            }),
            rtp: self.unwrapper.rtp_counters(),
            health,
            ..InputSnapshot::of_watch(&self.watch)
        }
    }
}

impl InputSnapshot {
    /// What a watch knows of an input without a name and without a socket; a summary.
    pub fn of_watch(watch: &Watch) -> Self {
        let streams = watch.program().map(|program| program.streams.as_slice());
        Self {
            url: String::new(),
            state: InputState::Receiving,
            why: None,
            socket: None,
            rtp: None,
            health: Health::default(),
            formats: streams.unwrap_or_default().iter().map(|stream| stream.format).collect(),
            analysis: watch.analyser().summary(),
            pat: None,
            programs: Vec::new(),
            services: Vec::new(),
        }
    }

    /// The same with all tables and PIDs.
    pub fn with_tables(self, watch: &Watch) -> Self {
        let (analyser, tables) = (watch.analyser(), watch.analyser().tables());
        Self {
            analysis: analyser.snapshot(),
            pat: tables.pat().cloned(),
            programs: tables.programs().cloned().collect(),
            services: tables.services().to_vec(),
            ..self
        }
    }
}

/// A pause that is shown as silence.
const SILENT_MS: u64 = 1_000;
