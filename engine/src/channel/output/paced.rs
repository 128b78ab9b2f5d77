//! Datagrams that leave when their place in the stream says.

use corelay_codecs::container::mpegts::pace::{Counters, Pacer, Settings};
use corelay_codecs::container::rtp::Header;

use super::Numbering;
use super::events::Events;
use super::port::{Cause, Port};
use super::watch::Watch;
use crate::clock::Micros;
use crate::net::udp::Outgoing;

/// The jitter buffer, and the datagram that the interface had no room for.
#[derive(Debug)]
pub(super) struct Paced {
    pacer: Pacer,
    settings: Settings,
    held: Held,
}

/// One datagram that is tried once more.
#[derive(Debug, Default)]
struct Held {
    header: Vec<u8>,
    packets: Vec<u8>,
    /// `None`: nothing is held.
    retry_at: Option<Micros>,
}

impl Paced {
    pub(super) fn new(settings: Settings) -> Self {
        Self { pacer: Pacer::new(settings), settings, held: Held::default() }
    }

    pub(super) fn push(&mut self, packets: &[u8], now: Micros) {
        self.pacer.push(packets, now.0);
    }

    /// Forgets what is in the buffer.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.settings);
    }

    /// When the next datagram leaves.
    pub(super) fn next_due(&self) -> Option<Micros> {
        // Behind one that is held the others wait.
        self.held.retry_at.or_else(|| self.pacer.next_departure().map(Micros))
    }

    pub(super) fn counters(&self) -> Counters {
        self.pacer.counters()
    }

    /// As if the interface had had no room for these.
    #[cfg(test)]
    pub(super) fn hold_for_test(&mut self, packets: &[u8], now: Micros) {
        self.held.hold(&[], packets, now);
    }

    /// Sends what is due.
    pub(super) fn depart(
        &mut self,
        numbering: &mut Numbering,
        port: &mut Port,
        watch: &mut Option<Box<Watch>>,
        events: &mut Events,
        now: Micros,
    ) {
        let Self { pacer, held, .. } = self;
        if held.retry_at.is_some_and(|at| now < at) {
            return;
        }
        held.retry(port, events, now);
        pacer.take(now.0.saturating_add(EARLY_US), |packets, at_us| {
            let header = numbering.header(at_us);
            let header = header.as_ref().map_or(&[][..], |header| header);
            if let Some(watch) = watch {
                watch.packets(packets, now);
            }
            if held.retry_at.is_some() {
                return port.drop_datagrams(1, Cause::NoBuffers);
            }
            let (_, cause) = port.send(&[Outgoing { header, payload: packets }], now, events);
            match cause {
                None => {}
                Some(Cause::NoBuffers) => held.hold(header, packets, now),
                Some(cause) => port.drop_datagrams(1, cause),
            }
        });
    }
}

impl Held {
    fn hold(&mut self, header: &[u8], packets: &[u8], now: Micros) {
        self.header.clear();
        self.header.extend_from_slice(header);
        self.packets.clear();
        self.packets.extend_from_slice(packets);
        self.retry_at = Some(Micros(now.0.saturating_add(RETRY_US)));
    }

    fn retry(&mut self, port: &mut Port, events: &mut Events, now: Micros) {
        if self.retry_at.take().is_none() {
            return;
        }
        let datagram = Outgoing { header: &self.header, payload: &self.packets };
        if let (_, Some(cause)) = port.send(&[datagram], now, events) {
            port.drop_datagrams(1, cause);
        }
    }
}

/// What is due so soon leaves now: a core that is awake need not be woken for it again. A fifth of the
/// millisecond that receivers may expect.
pub const EARLY_US: u64 = 200;

/// An RTP header.
pub(super) type HeaderBytes = [u8; Header::SIZE];

/// The kernel does not tell when an interface's queue has room again; at 1 Gbit/s 85 datagrams leave in
/// a millisecond.
const RETRY_US: u64 = 1_000;
