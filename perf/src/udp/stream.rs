//! A made-up transport stream of constant bit rate, datagram by datagram.
//!
//! What a headend's encoder sends: H.264 at 25 frames a second with a random-access point each
//! second, a PCR every 20 ms, PAT and PMT every 100 ms, right continuity counters, and packets whose
//! PCRs say exactly when they would leave at the bit rate. Every seventh packet is a
//! [stamp], so a datagram of seven packets ends with one.
//!
//! ```text
//!  | PAT? | PMT? | start of a frame or a PCR? | noise .. | stamp |      7 x 188 bytes
//! ```

use std::sync::Arc;

use corelay_codecs::container::mpegts::packet::{PACKET_SIZE, Pcr, Pid, SYNC_BYTE};

use super::stamp::{self, Digest, Stamp};
use crate::publish::{PPS, SPS, noise};
use crate::sys::udp::DATAGRAM_BYTES;

/// One channel's stream at a point in time.
#[derive(Clone, Debug)]
pub struct Stream {
    channel: u32,
    bit_rate: u64,
    sequence: u64,
    noise: Arc<[u8]>,
    /// Counters of PAT, PMT, video and stamps: what the next packet has.
    counters: [u8; 4],
    /// The last frame, PCR and table that were begun, by number; `None` before the first.
    begun: [Option<u64>; 3],
}

/// What begins with a datagram.
#[derive(Clone, Copy, Debug)]
struct Due {
    tables: bool,
    clock: bool,
    frame: Option<u64>,
}

impl Stream {
    /// A stream at its beginning, of so many bits a second: [`BIT_RATE_MIN`] at the least.
    pub fn new(channel: u32, bit_rate: u64) -> Self {
        Self {
            channel,
            bit_rate: bit_rate.max(BIT_RATE_MIN),
            sequence: 0,
            noise: noise(NOISE_BYTES).into(),
            counters: [0; 4],
            begun: [None; 3],
        }
    }

    /// When the next datagram is due, in nanoseconds from the beginning.
    pub fn due_ns(&self) -> u64 {
        self.at(self.sequence * PACKETS, 1_000_000_000)
    }

    /// How many datagrams were written.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Writes the next datagram.
    pub fn write_next(&mut self, sent_ns: u64, out: &mut [u8; DATAGRAM_BYTES]) {
        let due = self.due();
        let (packets, _) = out.as_chunks_mut::<PACKET_SIZE>();
        let Some((last, packets)) = packets.split_last_mut() else { return };
        let mut digest = Digest::new();
        let mut heads = [due.tables.then_some(Head::Pat), due.tables.then_some(Head::Pmt), {
            let starts = due.frame.is_some() || due.clock;
            starts.then_some(Head::Video(due.frame))
        }]
        .into_iter()
        .flatten();
        for (number, packet) in packets.iter_mut().enumerate() {
            let place = self.sequence * PACKETS + number as u64;
            match heads.next() {
                Some(Head::Pat) => self.table(0, Pid::PAT, &pat(), packet),
                Some(Head::Pmt) => self.table(1, PMT_PID, &pmt(), packet),
                Some(Head::Video(frame)) => self.clocked(place, frame, packet),
                None => {
                    let counter = self.count(2);
                    packet[..4].copy_from_slice(&header(VIDEO_PID, false, PAYLOAD, counter));
                    self.put_noise(place, &mut packet[4..]);
                }
            }
            digest.add(packet);
        }
        last[..4].copy_from_slice(&header(STAMP_PID, true, PAYLOAD, self.count(3)));
        stamp::write(Stamp { channel: self.channel, sequence: self.sequence, sent_ns }, last);
        digest.seal(last);
        self.sequence += 1;
    }

    fn due(&mut self) -> Due {
        let at_ns = self.due_ns();
        let mut begins = |which: usize, interval_ns: u64| {
            let number = at_ns / interval_ns;
            let before = self.begun.get_mut(which)?;
            (before.replace(number) != Some(number)).then_some(number)
        };
        Due {
            frame: begins(0, FRAME_NS),
            clock: begins(1, CLOCK_NS).is_some(),
            tables: begins(2, TABLES_NS).is_some(),
        }
    }

    /// A packet of video with a PCR, with which a frame may begin.
    fn clocked(&mut self, place: u64, frame: Option<u64>, packet: &mut [u8; PACKET_SIZE]) {
        let pcr = Pcr::new(self.at(place, Pcr::HZ) + u64::from(self.channel) * Pcr::HZ);
        let is_key = frame.is_some_and(|frame| frame.is_multiple_of(GOP_FRAMES));
        let counter = self.count(2);
        packet[..4].copy_from_slice(&header(VIDEO_PID, frame.is_some(), BOTH, counter));
        packet[4] = ADAPTATION_BYTES;
        packet[5] = HAS_PCR | if is_key { RANDOM_ACCESS } else { 0 };
        packet[6..12].copy_from_slice(&pcr.to_bytes());
        let mut at = 12;
        let mut put = |bytes: &[u8]| {
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if frame.is_some() {
            put(&pes_header(pcr.base() + DECODING_DELAY));
            put(&ACCESS_UNIT_DELIMITER);
            if is_key {
                [&START_CODE, SPS, &START_CODE, PPS].into_iter().for_each(&mut put);
            }
            put(&START_CODE);
            put(&[if is_key { NAL_IDR } else { NAL_SLICE }]);
        }
        self.put_noise(place, &mut packet[at..]);
    }

    fn table(&mut self, which: usize, pid: Pid, section: &[u8], packet: &mut [u8; PACKET_SIZE]) {
        packet[..4].copy_from_slice(&header(pid, true, PAYLOAD, self.count(which)));
        let (pointer, end) = (4, 5 + section.len());
        packet[pointer] = 0;
        packet[pointer + 1..end].copy_from_slice(section);
        packet[end..].fill(0xFF);
    }

    /// The counter of a PID, which counts on.
    fn count(&mut self, which: usize) -> u8 {
        let Some(counter) = self.counters.get_mut(which) else { return 0 };
        std::mem::replace(counter, (*counter + 1) & 0xF)
    }

    fn put_noise(&self, place: u64, out: &mut [u8]) {
        let at = (place * 97) as usize % (NOISE_BYTES - PACKET_SIZE);
        out.copy_from_slice(self.noise.get(at..at + out.len()).unwrap_or_default());
    }

    /// When the packet at this place in the stream is due, in ticks of a clock.
    fn at(&self, packet: u64, clock_hz: u64) -> u64 {
        let bits = u128::from(packet) * PACKET_BITS;
        (bits * u128::from(clock_hz) / u128::from(self.bit_rate)) as u64
    }
}

/// What a packet of a datagram begins with.
#[derive(Clone, Copy, Debug)]
enum Head {
    Pat,
    Pmt,
    Video(Option<u64>),
}

fn header(pid: Pid, starts_unit: bool, control: u8, counter: u8) -> [u8; 4] {
    let [high, low] = pid.value().to_be_bytes();
    [SYNC_BYTE, high | if starts_unit { 0x40 } else { 0 }, low, control | counter]
}

/// Of unbounded length, with a presentation time of 33 bits in 90 kHz (2.4.3.7).
fn pes_header(pts: u64) -> [u8; 14] {
    let part = |shift: u32, bits: u32| (pts >> shift & ((1 << bits) - 1)) << 1 | 1;
    let [.., b1, b2] = part(15, 15).to_be_bytes();
    let [.., b3, b4] = part(0, 15).to_be_bytes();
    let b0 = 0x20 | part(30, 3) as u8;
    [0, 0, 1, 0xE0, 0, 0, 0x84, 0x80, 5, b0, b1, b2, b3, b4]
}

/// Transport stream 1 with program 1 (2.4.4.3).
fn pat() -> [u8; 16] {
    let [high, low] = PMT_PID.value().to_be_bytes();
    let mut section = [0, 0xB0, 13, 0, 1, 0xC1, 0, 0, 0, 1, 0xE0 | high, low, 0, 0, 0, 0];
    put_crc(&mut section);
    section
}

/// Program 1: H.264 with the clock, and private data (2.4.4.8).
fn pmt() -> [u8; 26] {
    let [[video, video_low], [stamp, stamp_low]] =
        [VIDEO_PID, STAMP_PID].map(|pid| pid.value().to_be_bytes());
    let mut section = [
        2,
        0xB0,
        23,
        0,
        1,
        0xC1,
        0,
        0,
        0xE0 | video,
        video_low,
        0xF0,
        0, // PCR PID
        0x1B,
        0xE0 | video,
        video_low,
        0xF0,
        0, // H.264
        0x06,
        0xE0 | stamp,
        stamp_low,
        0xF0,
        0, // private PES
        0,
        0,
        0,
        0,
    ];
    put_crc(&mut section);
    section
}

/// The CRC of a section at its end (ISO/IEC 13818-1 Annex A).
fn put_crc(section: &mut [u8]) {
    let Some((before, crc)) = section.split_last_chunk_mut::<4>() else { return };
    let crc_of = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            (crc << 1) ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    };
    *crc = before.iter().fold(u32::MAX, crc_of).to_be_bytes();
}

/// Bits per second below which a PCR every 20 ms would need datagrams of its own.
pub const BIT_RATE_MIN: u64 = 1_000_000;

const PMT_PID: Pid = Pid::new(0x1000);
const VIDEO_PID: Pid = Pid::new(0x100);
const STAMP_PID: Pid = Pid::new(0x1F0);
const PACKETS: u64 = (DATAGRAM_BYTES / PACKET_SIZE) as u64;
const PACKET_BITS: u128 = PACKET_SIZE as u128 * 8;
const FRAME_NS: u64 = 40_000_000;
const GOP_FRAMES: u64 = 25;
const CLOCK_NS: u64 = 20_000_000;
const TABLES_NS: u64 = 100_000_000;
/// From a frame's first packet to its decoding, in 90 kHz: 300 ms, as long as its buffer is filled.
const DECODING_DELAY: u64 = 27_000;
/// adaptation_field_control: a payload alone, and both.
const PAYLOAD: u8 = 0x10;
const BOTH: u8 = 0x30;
/// Flags and PCR.
const ADAPTATION_BYTES: u8 = 7;
const HAS_PCR: u8 = 0x10;
const RANDOM_ACCESS: u8 = 0x40;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
const ACCESS_UNIT_DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xF0];
const NAL_IDR: u8 = 0x65;
const NAL_SLICE: u8 = 0x41;
const NOISE_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::TsBlock;
    use corelay_codecs::container::mpegts::analysis::{self, Analyser};
    use corelay_codecs::container::mpegts::demux::{self, Demuxer, Output};
    use corelay_codecs::container::mpegts::packet::Packet;

    const BIT_RATE: u64 = 8_000_000;

    fn datagrams(seconds: u64) -> Vec<(u64, [u8; DATAGRAM_BYTES])> {
        let mut stream = Stream::new(3, BIT_RATE);
        let mut all = Vec::new();
        while stream.due_ns() < seconds * 1_000_000_000 {
            let (due_ns, mut datagram) = (stream.due_ns(), [0; DATAGRAM_BYTES]);
            stream.write_next(due_ns, &mut datagram);
            all.push((due_ns, datagram));
        }
        all
    }

    #[test]
    fn the_analysis_finds_nothing_to_complain_of() {
        let mut analyser = Analyser::new(analysis::Settings::default());
        let mut events = Vec::new();
        for (due_ns, datagram) in datagrams(10) {
            analyser.packets(&datagram, 1_000_000 + due_ns / 1_000);
            events.extend(std::iter::from_fn(|| analyser.poll_event()));
        }
        assert!(events.is_empty(), "{events:?}");
        let snapshot = analyser.snapshot();
        assert_eq!(snapshot.totals.counter_errors, 0, "{snapshot:?}");
        let rate = snapshot.bitrate_bps.abs_diff(BIT_RATE);
        assert!(rate < BIT_RATE / 100, "{} bit/s", snapshot.bitrate_bps);
    }

    #[test]
    fn every_pcr_is_the_time_of_its_packet_at_the_bit_rate() {
        let (mut clocks, mut place) = (Vec::new(), 0_u64);
        for (_, datagram) in datagrams(2) {
            for packet in datagram.as_chunks().0 {
                clocks.extend(Packet::new(packet).pcr().map(|pcr| (place, pcr)));
                place += 1;
            }
        }
        assert_eq!(clocks.len(), 100);
        for (place, pcr) in &clocks {
            let ticks = place * 188 * 8 * 27 / 8 + 3 * Pcr::HZ;
            assert!(pcr.ticks().abs_diff(ticks) <= 1, "{place}");
        }
        let apart = clocks.windows(2).map(|pair| pair[1].1.since(pair[0].1)).max().unwrap();
        assert!(apart < 22 * 27_000, "{apart} ticks");
    }

    #[test]
    fn frames_come_out_of_the_demultiplexer_at_25_a_second_with_a_key_each_second() {
        let (mut demuxer, mut outputs) = (Demuxer::new(demux::Settings::default()), Vec::new());
        for (_, datagram) in datagrams(3) {
            let block = TsBlock::new(datagram.to_vec().into()).unwrap();
            demuxer.push(&block, &mut outputs);
        }
        let units: Vec<_> = outputs
            .iter()
            .filter_map(|output| if let Output::Unit(unit) = output { Some(unit) } else { None })
            .collect();
        assert!((70..=75).contains(&units.len()), "{} frames", units.len());
        assert_eq!(units.iter().filter(|unit| unit.is_video_random_access()).count(), 3);
    }

    #[test]
    fn each_datagram_ends_with_a_stamp_that_seals_it() {
        for (sequence, (due_ns, datagram)) in datagrams(1).into_iter().enumerate() {
            let (last, before) = datagram.as_chunks().0.split_last().unwrap();
            let expected = Stamp { channel: 3, sequence: sequence as u64, sent_ns: due_ns };
            assert_eq!(stamp::read(last), Some(expected));
            let mut digest = Digest::new();
            before.iter().for_each(|packet| digest.add(packet));
            assert!(digest.is_sealed_by(last), "{sequence}");
            assert!(before.iter().all(|packet| stamp::read(packet).is_none()));
        }
    }
}
