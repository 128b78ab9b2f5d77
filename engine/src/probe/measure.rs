//! Takes what a source brings, and measures it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelay_codecs::container::mpegts::align::Aligner;
use corelay_codecs::container::mpegts::analysis::{Analyser, Settings, Snapshot, TimeSource};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Pid};
use corelay_codecs::container::rtp::{Framing, MP2T_PAYLOAD_TYPE, Meter, Packet};

use super::chosen::Chosen;
use crate::net::udp::Datagram;

/// Everything that is measured.
pub(super) struct Measurement {
    pub(super) analyser: Analyser,
    /// Of what comes, only this is measured; `None`: all of it.
    pub(super) chosen: Option<Chosen>,
    pub(super) aligner: Aligner,
    pub(super) rtp: Meter,
    pub(super) datagrams: DatagramFacts,
    pub(super) worst: Worst,
    /// Bytes of a connection or file.
    pub(super) bytes: u64,
    /// The first bytes that were no transport stream, for the operator to recognise.
    pub(super) foreign: Vec<u8>,
    begun: Instant,
    sync_losses: u64,
    packets: u64,
    packets_noted: u64,
    first_packet: Option<Instant>,
    last_packet: Option<Instant>,
}

/// What is known of datagrams.
#[derive(Debug, Default)]
pub(super) struct DatagramFacts {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Datagrams with RTP, and without.
    pub(super) rtp: u64,
    pub(super) raw: u64,
    /// Datagrams without a transport stream.
    pub(super) foreign: u64,
    /// By payload bytes, RTP headers included.
    pub(super) sizes: BTreeMap<usize, u64>,
    pub(super) senders: BTreeMap<SocketAddr, u64>,
    /// Datagrams of senders beyond those.
    pub(super) other_senders: u64,
    /// By their number of transport stream packets.
    pub(super) packets: BTreeMap<usize, u64>,
    /// Datagrams with packets of 204 bytes.
    pub(super) with_parity: u64,
    /// RTP of other payload types than 33 that carries a transport stream.
    pub(super) other_payload_types: u64,
}

/// The worst of all windows; times in us.
#[derive(Debug, Default)]
pub(super) struct Worst {
    pub(super) pat_us: u64,
    pub(super) pmt_us: u64,
    pub(super) pts_us: u64,
    pub(super) bitrate_min_bps: Option<u64>,
    pub(super) bitrate_max_bps: u64,
    pub(super) clocks: BTreeMap<Pid, WorstClock>,
}

/// The worst of one clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorstClock {
    pub(super) interval_us: u64,
    pub(super) jitter_us: u64,
    pub(super) accuracy_ns: Option<u64>,
}

impl Measurement {
    pub(super) fn new(is_paced_by_its_clock: bool, program_number: Option<u16>) -> Self {
        let time = if is_paced_by_its_clock { TimeSource::Pcr } else { TimeSource::Arrival };
        Self {
            analyser: Analyser::new(Settings { time, ..Settings::default() }),
            chosen: program_number.map(Chosen::new),
            aligner: Aligner::default(),
            rtp: Meter::new(90_000),
            datagrams: DatagramFacts::default(),
            worst: Worst::default(),
            bytes: 0,
            foreign: Vec::new(),
            begun: Instant::now(),
            sync_losses: 0,
            packets: 0,
            packets_noted: 0,
            first_packet: None,
            last_packet: None,
        }
    }

    pub(super) fn datagram(&mut self, datagram: Datagram<'_>) {
        let now_us = self.now_us();
        let facts = &mut self.datagrams;
        facts.count += 1;
        facts.bytes += datagram.payload.len() as u64;
        count_up(&mut facts.sizes, datagram.payload.len());
        let is_counted = count_up(&mut facts.senders, datagram.sender);
        facts.other_senders += u64::from(!is_counted);
        let framing = Framing::of(datagram.payload);
        match framing {
            Framing::Rtp(packet) => {
                facts.rtp += 1;
                facts.other_payload_types += u64::from(is_other_type(&packet));
                self.rtp.packet(&packet.header, now_us);
            }
            Framing::Raw(_) => facts.raw += 1,
            Framing::Other(_) => {}
        }
        match framing.packets() {
            Some(packets) => self.packets_of_datagram(packets, now_us),
            None => {
                self.datagrams.foreign += 1;
                self.note_foreign(datagram.payload);
            }
        }
        self.note_if_due();
    }

    pub(super) fn bytes(&mut self, piece: Bytes) {
        if self.bytes == 0 {
            self.note_foreign(&piece);
        }
        self.bytes += piece.len() as u64;
        let (analyser, chosen, mut packets) = (&mut self.analyser, &mut self.chosen, 0);
        self.aligner.push(piece, |block| {
            packets += block.packet_count() as u64;
            // The stream's own clock tells the time.
            analyse(analyser, chosen, block.bytes(), 0);
        });
        let losses = self.aligner.counters().sync_losses;
        for _ in self.sync_losses..losses {
            self.analyser.report_sync_loss(self.analyser.now_us());
        }
        self.sync_losses = losses;
        self.count_packets(packets);
        self.note_if_due();
    }

    /// Nothing came.
    pub(super) fn tick(&mut self) {
        // Nothing is missing before anything was there.
        if self.packets > 0 && self.chosen.as_ref().is_none_or(Chosen::has_passed) {
            self.analyser.tick(self.now_us());
            self.note();
        }
    }

    /// Anything came.
    pub(super) fn has_input(&self) -> bool {
        self.datagrams.count > 0 || self.bytes > 0
    }

    /// Transport stream packets that came.
    pub(super) fn packet_count(&self) -> u64 {
        self.packets
    }

    /// How much of the stream was seen, by its own clock where that tells the time.
    pub(super) fn stream_time(&self) -> Duration {
        match self.analyser.time_source() {
            TimeSource::Pcr => Duration::from_micros(self.analyser.now_us()),
            TimeSource::Arrival => Duration::ZERO,
        }
    }

    /// Time between the first and the last packet, for averages.
    pub(super) fn elapsed(&self) -> Duration {
        match (self.stream_time(), self.first_packet, self.last_packet) {
            (Duration::ZERO, Some(first), Some(last)) => last - first,
            (stream_time, ..) => stream_time,
        }
    }

    /// Ends the measurement.
    pub(super) fn finish(&mut self) -> Snapshot {
        self.note();
        self.analyser.snapshot()
    }

    fn packets_of_datagram(&mut self, packets: &[u8], now_us: u64) {
        let has_parity = !packets.len().is_multiple_of(PACKET_SIZE);
        let count = if has_parity {
            self.datagrams.with_parity += 1;
            for packet in packets.chunks(PACKET_WITH_PARITY_SIZE) {
                let packet = packet.get(..PACKET_SIZE).unwrap_or_default();
                analyse(&mut self.analyser, &mut self.chosen, packet, now_us);
            }
            packets.len() / PACKET_WITH_PARITY_SIZE
        } else {
            analyse(&mut self.analyser, &mut self.chosen, packets, now_us);
            packets.len() / PACKET_SIZE
        };
        count_up(&mut self.datagrams.packets, count);
        self.count_packets(count as u64);
    }

    fn count_packets(&mut self, count: u64) {
        if count > 0 {
            let now = Instant::now();
            self.packets += count;
            self.first_packet.get_or_insert(now);
            self.last_packet = Some(now);
        }
    }

    /// The analyser keeps the maxima of its last window only.
    fn note_if_due(&mut self) {
        if self.packets - self.packets_noted >= PACKETS_PER_NOTE {
            self.packets_noted = self.packets;
            self.note();
        }
    }

    fn note(&mut self) {
        let snapshot = self.analyser.snapshot();
        self.worst.note(&snapshot);
    }

    fn note_foreign(&mut self, bytes: &[u8]) {
        if self.foreign.is_empty() {
            self.foreign = bytes.iter().take(FOREIGN_BYTES).copied().collect();
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Worst {
    fn note(&mut self, snapshot: &Snapshot) {
        if snapshot.window_us == 0 {
            return;
        }
        self.pat_us = self.pat_us.max(snapshot.pat_interval_max_us);
        self.pmt_us = self.pmt_us.max(snapshot.pmt_interval_max_us);
        self.pts_us = self.pts_us.max(snapshot.pts_interval_max_us);
        for (pid, clock) in snapshot.pids.iter().filter_map(|pid| Some((pid.pid, pid.pcr?))) {
            let worst = self.clocks.entry(pid).or_default();
            worst.interval_us = worst.interval_us.max(clock.interval_max_us);
            worst.jitter_us = worst.jitter_us.max(clock.jitter_us);
            worst.accuracy_ns = worst.accuracy_ns.max(clock.accuracy_ns);
        }
        let min = self.bitrate_min_bps.unwrap_or(u64::MAX);
        self.bitrate_min_bps = Some(min.min(snapshot.bitrate_bps));
        self.bitrate_max_bps = self.bitrate_max_bps.max(snapshot.bitrate_bps);
    }
}

fn analyse(analyser: &mut Analyser, chosen: &mut Option<Chosen>, packets: &[u8], now_us: u64) {
    match chosen {
        None => analyser.packets(packets, now_us),
        Some(chosen) => {
            let passed = chosen.pass(packets);
            if !passed.is_empty() {
                analyser.packets(passed, now_us);
            }
        }
    }
}

fn is_other_type(packet: &Packet<'_>) -> bool {
    packet.header.payload_type != MP2T_PAYLOAD_TYPE && Framing::Rtp(*packet).packets().is_some()
}

/// False when the table is full and has no such key.
fn count_up<K: Ord>(table: &mut BTreeMap<K, u64>, key: K) -> bool {
    if table.len() >= TABLE_MAX && !table.contains_key(&key) {
        return false;
    }
    *table.entry(key).or_default() += 1;
    true
}

/// Sizes and senders that are listed; more are nobody's intention.
const TABLE_MAX: usize = 64;
/// Less than a window of any stream.
const PACKETS_PER_NOTE: u64 = 50;
const PACKET_WITH_PARITY_SIZE: usize = 204;
/// Enough to recognise a protocol by.
const FOREIGN_BYTES: usize = 32;
