//! Datagrams into packets: RTP or raw, 188 or 204 bytes, told datagram by datagram.

use corelay_codecs::container::mpegts::packet::{PACKET_SIZE, PACKET_WITH_PARITY_SIZE, SYNC_BYTE};
use corelay_codecs::container::rtp::{Framing, Reorder, ReorderCounters, ReorderSettings};

use crate::clock::Micros;
use crate::net::udp::Run;

/// Takes whole packets of 188 bytes, in order.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8]);

/// Counts since the input was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounters {
    /// Datagrams of packets alone.
    pub raw: u64,
    /// Datagrams with an RTP header.
    pub rtp: u64,
    /// Datagrams, or payloads of RTP, that are no transport stream packets.
    pub foreign: u64,
    /// Datagrams with packets of 204 bytes.
    pub with_parity: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Unwrapper {
    reorder: Reorder,
    out: Out,
}

/// What is behind the reordering.
#[derive(Debug)]
struct Out {
    /// Packets of a datagram without their parity.
    cut: Vec<u8>,
    counters: DatagramCounters,
}

impl Unwrapper {
    pub(super) fn new(settings: ReorderSettings) -> Self {
        let out = Out { cut: Vec::new(), counters: DatagramCounters::default() };
        Self { reorder: Reorder::new(settings), out }
    }

    /// Takes datagrams of one sender. A run of raw ones is handed over as one slice.
    pub(super) fn run(&mut self, run: Run<'_>, now: Micros, take: Take<'_>) {
        if is_raw(&run) {
            self.release(take);
            self.out.counters.raw += run.count() as u64;
            return take(run.bytes);
        }
        for datagram in run.datagrams() {
            self.datagram(datagram.payload, now, take);
        }
    }

    fn datagram(&mut self, payload: &[u8], now: Micros, take: Take<'_>) {
        match Framing::of(payload) {
            Framing::Raw(bytes) => {
                self.release(take);
                self.out.counters.raw += 1;
                self.out.packets(bytes, take);
            }
            Framing::Rtp(packet) => {
                self.out.counters.rtp += 1;
                self.reorder.push_packet(&packet, now.0, |payload| self.out.packets(payload, take));
            }
            Framing::Other(_) => self.out.counters.foreign += 1,
        }
    }

    /// When a packet has waited long enough for the ones before it.
    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        self.reorder.poll_timeout().map(Micros)
    }

    pub(super) fn handle_timeout(&mut self, now: Micros, take: Take<'_>) {
        self.reorder.handle_timeout(now.0, |payload| self.out.packets(payload, take));
    }

    /// The sender has gone over from RTP to raw: what waits comes before that.
    fn release(&mut self, take: Take<'_>) {
        if self.reorder.held() > 0 {
            self.reorder.flush(|payload| self.out.packets(payload, take));
        }
    }

    pub(super) fn counters(&self) -> DatagramCounters {
        self.out.counters
    }

    /// Of RTP, if there ever was any.
    pub(super) fn rtp_counters(&self) -> Option<ReorderCounters> {
        (self.out.counters.rtp > 0).then(|| self.reorder.counters())
    }
}

impl Out {
    fn packets(&mut self, bytes: &[u8], take: Take<'_>) {
        if bytes.first() != Some(&SYNC_BYTE) {
            self.counters.foreign += 1;
        } else if bytes.len().is_multiple_of(PACKET_SIZE) {
            take(bytes);
        } else if bytes.len().is_multiple_of(PACKET_WITH_PARITY_SIZE) {
            self.counters.with_parity += 1;
            self.cut.clear();
            for packet in bytes.as_chunks::<PACKET_WITH_PARITY_SIZE>().0 {
                self.cut.extend_from_slice(packet.get(..PACKET_SIZE).unwrap_or_default());
            }
            take(&self.cut);
        } else {
            self.counters.foreign += 1;
        }
    }
}

/// Every datagram of the run is packets of 188 bytes alone.
fn is_raw(run: &Run<'_>) -> bool {
    run.datagram_bytes.is_multiple_of(PACKET_SIZE)
        && run.bytes.len().is_multiple_of(PACKET_SIZE)
        && run.datagrams().all(|datagram| datagram.payload.first() == Some(&SYNC_BYTE))
}
