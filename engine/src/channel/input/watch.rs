//! Looks at the packets of an input, wherever they come from: the analyser, always on, and what the
//! selector asks for.
//!
//! Invariants
//! - Nothing is allocated once the stream's PIDs are known.

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::analysis::{self, Analyser, Indicator};
use corelay_codecs::container::mpegts::psi::Program;

use super::presence::Presence;
use crate::channel::select::Health;
use crate::clock::Micros;

/// [`packets`](Self::packets) for what comes, [`tick`](Self::tick) about four times a second,
/// [`health`](Self::health) at any time.
#[derive(Debug)]
pub struct Watch {
    analyser: Analyser,
    presence: Presence,
    silence_ms: u64,
    last_packet: Option<Micros>,
    heard_since: Option<Micros>,
    is_in_sync: bool,
    rate: Rate,
    errors: LastSecond,
    counter_errors: u64,
}

impl Watch {
    /// Watches a program, or the first one of the PAT. After `silence_ms` without packets what follows
    /// is a new beginning.
    pub fn new(analysis: analysis::Settings, program_number: Option<u16>, silence_ms: u64) -> Self {
        Self {
            analyser: Analyser::new(analysis),
            presence: Presence::new(program_number),
            silence_ms,
            last_packet: None,
            heard_since: None,
            is_in_sync: false,
            rate: Rate::default(),
            errors: LastSecond::default(),
            counter_errors: 0,
        }
    }

    /// Takes whole packets of 188 bytes.
    ///
    /// Cost: the analyser's, and a nanosecond per packet.
    pub fn packets(&mut self, packets: &[u8], now: Micros) {
        let (whole, _) = packets.as_chunks::<PACKET_SIZE>();
        if whole.is_empty() {
            return;
        }
        let is_anew = self.last_packet.is_none_or(|last| now.millis_since(last) >= self.silence_ms);
        if is_anew {
            self.heard_since = Some(now);
            self.rate = Rate { begin: now, ..Rate::default() };
        }
        self.last_packet = Some(now);
        self.rate.add(packets.len() as u64, now);
        self.analyser.packets(packets, now.0);
        let wrong = self.presence.packets(whole, now);
        self.is_in_sync = 2 * wrong < whole.len();
        let counter_errors = self.analyser.errors(Indicator::ContinuityCountError);
        if counter_errors != self.counter_errors {
            self.errors.add(counter_errors - self.counter_errors, now);
            self.counter_errors = counter_errors;
        }
        if !self.presence.is_complete() {
            self.presence.refresh(self.analyser.tables(), now);
        }
    }

    /// Time has passed: notices what is missing, and tables that changed.
    pub fn tick(&mut self, now: Micros) {
        if self.last_packet.is_some() {
            self.rate.add(0, now);
            self.analyser.tick(now.0);
            self.presence.refresh(self.analyser.tables(), now);
        }
    }

    /// The aligner in front has lost synchronisation: its packets have all sync bytes.
    pub fn report_sync_loss(&mut self, now: Micros) {
        self.analyser.report_sync_loss(now.0);
    }

    /// The next alarm that was raised or cleared.
    pub fn poll_alarm(&mut self) -> Option<analysis::Event> {
        self.analyser.poll_event()
    }

    /// What the selector wants to know.
    pub fn health(&mut self, now: Micros) -> Health {
        let within_second = |at: Micros| now.millis_since(at) < 1_000;
        if self.last_packet.is_some() {
            self.rate.add(0, now);
        }
        Health {
            last_packet: self.last_packet,
            heard_since: self.heard_since,
            is_in_sync: self.is_in_sync,
            last_pat: self.presence.last_pat(),
            last_pmt: self.presence.last_pmt(),
            last_tracks: self.presence.last_tracks(),
            continuity_errors: self.errors.sum(now),
            is_scrambled: self.presence.last_scrambled().is_some_and(within_second),
            bitrate_kbps: self.rate.kbps,
        }
    }

    /// The program that is watched, once its PMT was read.
    pub fn program(&self) -> Option<&Program> {
        self.presence.program(self.analyser.tables())
    }

    /// Time of the last packet.
    pub fn last_packet(&self) -> Option<Micros> {
        self.last_packet
    }

    /// Measurement and tables.
    pub fn analyser(&self) -> &Analyser {
        &self.analyser
    }
}

/// Bit rate over whole seconds.
#[derive(Debug, Default)]
struct Rate {
    begin: Micros,
    bytes: u64,
    kbps: Option<u64>,
}

impl Rate {
    fn add(&mut self, bytes: u64, now: Micros) {
        let elapsed_us = now.since(self.begin);
        if elapsed_us >= 1_000_000 {
            let kbps = self.bytes.saturating_mul(8_000) / elapsed_us;
            *self = Self { begin: now, bytes: 0, kbps: Some(kbps) };
        }
        self.bytes += bytes;
    }
}

/// A count of the last second, in tenths of it.
#[derive(Debug, Default)]
struct LastSecond {
    tenths: [u64; 10],
    /// The newest one, by its number since time began.
    newest: u64,
}

impl LastSecond {
    fn add(&mut self, count: u64, now: Micros) {
        self.advance(now);
        if let Some(tenth) = self.tenths.get_mut((self.newest % 10) as usize) {
            *tenth += count;
        }
    }

    fn sum(&mut self, now: Micros) -> u64 {
        self.advance(now);
        self.tenths.iter().sum()
    }

    fn advance(&mut self, now: Micros) {
        let number = now.0 / 100_000;
        let first = self.newest.max(number.saturating_sub(10));
        for passed in first..number {
            if let Some(tenth) = self.tenths.get_mut(((passed + 1) % 10) as usize) {
                *tenth = 0;
            }
        }
        self.newest = self.newest.max(number);
    }
}
