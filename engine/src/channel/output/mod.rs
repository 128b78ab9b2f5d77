//! One output of a channel: packets out, in datagrams, UDP or RTP.
//!
//! - `forward`: packets leave at once, as many a datagram as fit. Nothing waits for more: the last
//!   datagram of a call may be shorter.
//! - `paced`: packets go through a jitter buffer, and leave when their place between two PCRs says.
//!
//! Live streams do not wait: what the kernel does not take is dropped and counted; a paced datagram that
//! finds the interface's queue full is tried once more.
//!
//! Invariants
//! - Nothing blocks, and nothing is allocated per datagram once it runs.
//! - Packets leave in the order in which they came, unchanged.
//! - A datagram that is dropped has used up its RTP sequence number, so that its receiver knows.

mod events;
mod paced;
mod port;
mod snapshot;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use corelay_codecs::container::mpegts::analysis;
use corelay_codecs::container::mpegts::{PACKET_SIZE, pace};
use corelay_codecs::container::rtp::{Header, Packetizer};
use corelay_config::{Endpoint, Iptv, MediaUrl, Pace};

use crate::clock::Micros;
use crate::net::Backoff;
use crate::net::udp::{Outgoing, UdpTarget};
use events::Events;
use paced::{HeaderBytes, Paced};
use port::Port;
use watch::Watch;

pub use events::OutputEvent;
pub use paced::EARLY_US;
pub use port::OutputDrops;
pub use snapshot::{OutputSnapshot, OutputState};

/// What the outputs of a channel have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSettings {
    /// How packets leave if the URL does not say.
    pub pace: Pace,
    /// The jitter buffer of paced outputs; the URL's depth takes the place of its depth.
    pub pacer: pace::Settings,
    /// Packets of a datagram, 1 to 348; 7 fit an Ethernet frame.
    pub packets_per_datagram: usize,
    /// How packets are measured that leave; `None`: they are not.
    pub analysis: Option<analysis::Settings>,
    /// The shortest wait before a socket that failed is opened again.
    pub retry_min_ms: u64,
    /// The longest such wait.
    pub retry_max_ms: u64,
}

impl OutputSettings {
    /// What the configuration says. Inputs that are datagrams have a clock of their own, and are
    /// forwarded; others are paced.
    pub fn new(iptv: &Iptv, has_clock: bool) -> Self {
        let depth_us = u64::from(iptv.pace_depth_ms) * 1_000;
        Self {
            pace: if has_clock { Pace::Forward } else { Pace::Paced },
            pacer: pace::Settings { depth_us, ..pace::Settings::default() },
            packets_per_datagram: 7,
            analysis: Some(analysis::Settings::default()),
            retry_min_ms: iptv.retry_min_ms,
            retry_max_ms: iptv.retry_max_ms,
        }
    }
}

/// See the module.
///
/// [`open`](Self::open), [`send`](Self::send), [`handle_timeout`](Self::handle_timeout) at
/// [`next_due`](Self::next_due); [`poll_event`](Self::poll_event) until it is `None` after each of them.
/// Its descriptor need not be watched.
#[derive(Debug)]
pub struct Output {
    url: String,
    port: Port,
    numbering: Numbering,
    datagram_bytes: usize,
    /// `None`: packets are forwarded.
    paced: Option<Paced>,
    watch: Option<Box<Watch>>,
    events: Events,
    is_open: bool,
    tick_at: Micros,
}

impl Output {
    /// An output that is closed; `None` for a URL that is not of datagrams. `seed` makes outputs differ
    /// that do the same things at the same times.
    pub fn new(url: &MediaUrl, settings: &OutputSettings, seed: u64) -> Option<Self> {
        let (place, is_rtp) = match &url.endpoint {
            Endpoint::Udp(place) => (place, false),
            Endpoint::Rtp(place) => (place, true),
            _ => return None,
        };
        let OutputSettings { retry_min_ms, retry_max_ms, packets_per_datagram, .. } = *settings;
        let depth_us = url.options.depth_ms.map(|ms| u64::from(ms) * 1_000);
        let pacer = pace::Settings {
            depth_us: depth_us.unwrap_or(settings.pacer.depth_us),
            packets_per_datagram,
            ..settings.pacer
        };
        let is_paced = url.options.pace.unwrap_or(settings.pace) == Pace::Paced;
        let backoff = Backoff::new(retry_min_ms, retry_max_ms, seed);
        Some(Self {
            url: url.shown().to_string(),
            port: Port::new(UdpTarget::new(place, &url.options), backoff),
            numbering: Numbering::new(is_rtp),
            datagram_bytes: packets_per_datagram.clamp(1, PACKETS_MAX) * PACKET_SIZE,
            paced: is_paced.then(|| Paced::new(pacer)),
            watch: settings.analysis.map(|settings| Box::new(Watch::new(settings))),
            events: Events::default(),
            is_open: false,
            tick_at: Micros(u64::MAX),
        })
    }

    /// Opens the socket, and from then on keeps it open.
    pub fn open(&mut self, now: Micros) {
        if !self.is_open {
            (self.is_open, self.tick_at) = (true, now.after_millis(TICK_MS));
            self.port.open(now, &mut self.events);
        }
    }

    /// Closes the socket. What was to leave later does not leave.
    pub fn close(&mut self) {
        self.is_open = false;
        self.port.close();
        if let Some(watch) = &mut self.watch {
            watch.close();
        }
        if let Some(paced) = &mut self.paced {
            paced.clear();
        }
    }

    /// It was opened, and not closed since; the socket may be lost all the same.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes whole packets of 188 bytes: all that there are at this moment, because nothing waits for
    /// more of them.
    ///
    /// Cost: forwarded, a system call for each 64 datagrams; paced, a copy.
    pub fn send(&mut self, packets: &[u8], now: Micros) {
        if !self.is_open {
            return;
        }
        match &mut self.paced {
            Some(paced) => paced.push(packets, now),
            None => self.forward(packets, now),
        }
        self.depart(now);
    }

    /// The packets that follow do not continue the clock of the ones before: RTP says so.
    pub fn mark_discontinuity(&mut self) {
        if let Some(packetizer) = &mut self.numbering.0 {
            packetizer.mark_discontinuity();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while it is closed.
    pub fn next_due(&self) -> Option<Micros> {
        if !self.is_open {
            return None;
        }
        let tick = self.watch.is_some().then_some(self.tick_at);
        let departure = self.paced.as_ref().and_then(Paced::next_due);
        [tick, departure, self.port.retry_at()].into_iter().flatten().min()
    }

    /// Does what is due: sends paced datagrams, opens a socket that was lost.
    pub fn handle_timeout(&mut self, now: Micros) {
        if !self.is_open {
            return;
        }
        self.port.retry_if_due(now, &mut self.events);
        self.depart(now);
        if self.tick_at <= now {
            self.tick_at = now.after_millis(TICK_MS);
            if let Some(watch) = &mut self.watch {
                watch.tick(now);
            }
        }
    }

    /// What happened, in order; alarms behind the rest.
    pub fn poll_event(&mut self) -> Option<OutputEvent> {
        let alarm = || self.watch.as_mut()?.poll_alarm().map(OutputEvent::Alarm);
        self.events.pop().or_else(alarm)
    }

    /// The URL as it was configured, without its query.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn depart(&mut self, now: Micros) {
        let Self { paced, numbering, port, watch, events, .. } = self;
        if let Some(paced) = paced {
            paced.depart(numbering, port, watch, events, now);
        }
    }

    fn forward(&mut self, packets: &[u8], now: Micros) {
        if let Some(watch) = &mut self.watch {
            watch.packets(packets, now);
        }
        let mut headers = [[0; Header::SIZE]; BATCH];
        for batch in packets.chunks(BATCH * self.datagram_bytes) {
            let count = batch.len().div_ceil(self.datagram_bytes);
            let mut datagrams = [Outgoing { header: &[], payload: &[] }; BATCH];
            let header_bytes = self.numbering.headers(&mut headers, count, now);
            let payloads = batch.chunks(self.datagram_bytes);
            for ((datagram, header), payload) in datagrams.iter_mut().zip(&headers).zip(payloads) {
                let header = header.get(..header_bytes).unwrap_or_default();
                *datagram = Outgoing { header, payload };
            }
            let datagrams = datagrams.get(..count).unwrap_or_default();
            if let (sent, Some(cause)) = self.port.send(datagrams, now, &mut self.events) {
                self.port.drop_datagrams(count - sent, cause);
            }
        }
    }
}

/// RTP headers, or none.
#[derive(Debug)]
struct Numbering(Option<Packetizer>);

impl Numbering {
    fn new(is_rtp: bool) -> Self {
        // Each one has keys of its own: SSRC, sequence and time begin at random.
        let random = |what: u8| RandomState::new().hash_one(what);
        Self(is_rtp.then(|| Packetizer::new(random(0) as u32, random(1) as u16, random(2) as u32)))
    }

    /// The header of a datagram that leaves at that time, in us.
    fn header(&mut self, at_us: u64) -> Option<HeaderBytes> {
        self.0.as_mut().map(|packetizer| packetizer.header(at_us))
    }

    /// Writes `count` headers; the bytes of each.
    fn headers(&mut self, headers: &mut [HeaderBytes], count: usize, now: Micros) -> usize {
        let Some(packetizer) = &mut self.0 else { return 0 };
        headers.iter_mut().take(count).for_each(|header| *header = packetizer.header(now.0));
        Header::SIZE
    }
}

/// Datagrams of one system call.
const BATCH: usize = 64;
/// 65,424 bytes: the largest that UDP can carry.
const PACKETS_MAX: usize = 348;
/// How often the analyser is told the time when nothing is sent.
const TICK_MS: u64 = 1_000;
