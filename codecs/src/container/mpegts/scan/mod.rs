//! Where a viewer may start, and what is given to it first, without opening the stream.
//!
//! An *entry* is the first packet of a PES packet of the first program's first video PID at which
//! decoding can start:
//! - random_access_indicator is set (ISO/IEC 13818-1 2.4.3.5), or
//! - H.264: a sequence parameter set or an IDR slice comes before any other slice, or
//! - H.265: a video or sequence parameter set or an IRAP slice does, or
//! - MPEG-1 and MPEG-2 video: a sequence header comes before the first picture.
//!
//! Of other codings and of scrambled pictures only the indicator is read. A program without video
//! may be entered at every PES packet of its first audio PID, but not more often than every 500 ms
//! of its PTS, or of its clock where it has no PTS.
//!
//! An entry by its picture may be known only packets later; it counts when its first packet is in
//! the same call, because only then the caller can split there. A picture whose PES packet starts
//! in the last packets of a call, with so much in front of its parameter sets that they come in the
//! next call, is passed over: the next one will do. random_access_indicator is in the first packet
//! and is never missed.
//!
//! The first program is the first of the PAT; where its PMT does not come, the first whose PMT
//! comes. It is kept as long as the PAT has it.
//!
//! Cost: one look into a flat table for each packet; the front of each picture is searched for
//! start codes. Nothing is allocated in steady state.
//!
//! Invariants
//! - Offsets of one call are reported in increasing order, none twice.
//! - No entry is reported before the PMT is known.
//! - Memory: two flat tables of 24 KiB together, the tables' own, and 64 packets.

mod picture;
mod prologue;

use std::cell::OnceCell;

use bytes::Bytes;

use super::choice::ProgramChoice;
use super::packet::{PACKET_SIZE, Packet, Pid, SYNC_BYTE};
use super::psi::{Change, Program, Tables};
use super::{pes, timestamp};
use crate::access_unit::TrackKind;
use picture::{Coding, Search};
use prologue::Prologue;

/// Finds entries and keeps the tables of one stream.
///
/// [`packets`](Self::packets) for every block, in order; the other calls at any time.
#[derive(Debug)]
pub struct Scanner {
    /// By PID: what its packets are read for.
    uses: Box<[u8; Pid::COUNT]>,
    tables: Tables,
    prologue: Prologue,
    /// What [`tables`](Self::tables) hands out, until a table packet comes.
    prologue_bytes: OnceCell<Bytes>,
    /// The program that is entered, and its PMT PID.
    program: Option<(u16, Pid)>,
    has_video: bool,
    coding: Coding,
    /// Newest PCR of a program without video, in 90 kHz.
    clock: Option<u64>,
    /// Time of the last entry of a program without video.
    entered_at: Option<u64>,
    packets: u64,
    choice: ProgramChoice,
}

/// A PES packet that may turn out to be an entry.
struct Candidate {
    offset: usize,
    search: Search,
}

impl Scanner {
    /// A scanner that has seen nothing.
    pub fn new() -> Self {
        let mut scanner = Self {
            uses: Box::new([0; Pid::COUNT]),
            tables: Tables::default(),
            prologue: Prologue::default(),
            prologue_bytes: OnceCell::new(),
            program: None,
            has_video: false,
            coding: Coding::default(),
            clock: None,
            entered_at: None,
            packets: 0,
            choice: ProgramChoice::new(None),
        };
        scanner.set_uses();
        scanner
    }

    /// Forgets everything: another stream follows.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Takes whole packets and calls `on_entry` with the offset in `packets`, in bytes, of every
    /// packet at which a viewer may start. Bytes behind the last whole packet are not looked at.
    pub fn packets(&mut self, packets: &[u8], mut on_entry: impl FnMut(usize)) {
        self.scan(packets, |_, offset| on_entry(offset));
    }

    /// As [`packets`](Self::packets), and hands out with each offset what a viewer that starts there
    /// gets first: [`tables`](Self::tables) as they were at that point of the stream, however many
    /// follow in the same call. Where the entry is proved by a later packet, at that packet.
    pub fn packets_and_tables(&mut self, packets: &[u8], mut on_entry: impl FnMut(usize, Bytes)) {
        self.scan(packets, |scanner, offset| on_entry(offset, scanner.tables()));
    }

    #[inline]
    fn scan(&mut self, packets: &[u8], mut on_entry: impl FnMut(&Self, usize)) {
        let packets = packets.as_chunks::<PACKET_SIZE>().0;
        let mut candidate = None;
        for (index, packet) in packets.iter().enumerate() {
            let pid = usize::from(packet[1] & 0x1F) << 8 | usize::from(packet[2]);
            let uses = self.uses[pid];
            let is_passed =
                uses == 0 || uses == USE_VIDEO && packet[1] & 0x40 == 0 && candidate.is_none();
            if is_passed || packet[0] != SYNC_BYTE || packet[1] & 0x80 != 0 {
                continue;
            }
            let packet = Packet::new(packet);
            let offset = index * PACKET_SIZE;
            if uses & USE_VIDEO != 0 {
                if let Some(offset) = self.video_packet(packet, offset, &mut candidate) {
                    on_entry(self, offset);
                }
            } else if self.other_packet(packet, uses) {
                on_entry(self, offset);
            }
        }
        self.packets += packets.len() as u64;
        self.choose_late_program();
    }

    /// The newest PAT packets and behind them the newest PMT packets of every program, those of the
    /// first program first; as received, so that the counters of the next ones in the stream go on
    /// from them. At most 64 packets; empty before the first PAT.
    ///
    /// They are those at the end of the last call of [`packets`](Self::packets). A viewer that starts
    /// at an entry in front of that end meets tables behind the entry twice: with one of each the
    /// counters are equal, which is legal, with several they go back. Where calls are that long, use
    /// [`packets_and_tables`](Self::packets_and_tables).
    ///
    /// Cost: a copy after each packet of a table, otherwise a reference count.
    pub fn tables(&self) -> Bytes {
        let wanted = self.program.map(|(_, pmt_pid)| pmt_pid);
        self.prologue_bytes.get_or_init(|| self.prologue.bytes(wanted)).clone()
    }

    /// True when PAT and the first program's PMT were seen.
    pub fn is_ready(&self) -> bool {
        self.program.is_some()
    }

    /// True when the first program has video: its entries are pictures.
    pub fn has_video(&self) -> bool {
        self.has_video
    }

    /// Returns the offset of an entry that the packet proves.
    fn video_packet(
        &self,
        packet: Packet<'_>,
        offset: usize,
        candidate: &mut Option<Candidate>,
    ) -> Option<usize> {
        if packet.starts_unit() {
            *candidate = None;
            if packet.is_random_access() {
                return Some(offset);
            }
            *candidate = Some(Candidate { offset, search: Search::new(self.coding) });
        }
        let found = match candidate {
            Some(_) if packet.is_scrambled() => false,
            Some(candidate) => candidate.search.push(packet.payload())?,
            None => return None,
        };
        candidate.take().filter(|_| found).map(|candidate| candidate.offset)
    }

    /// A packet of anything but video; true when it is an entry.
    fn other_packet(&mut self, packet: Packet<'_>, uses: u8) -> bool {
        if uses & USE_TABLE != 0 {
            self.table_packet(packet);
        }
        if uses & USE_CLOCK != 0
            && let Some(pcr) = packet.pcr()
        {
            self.clock = Some(pcr.base());
        }
        uses & USE_AUDIO != 0 && packet.starts_unit() && self.is_audio_entry(packet)
    }

    fn is_audio_entry(&mut self, packet: Packet<'_>) -> bool {
        let header = match packet.is_scrambled() {
            true => None,
            false => pes::Header::parse(packet.payload()).ok().flatten(),
        };
        let time = header.and_then(|(header, _)| header.pts).or(self.clock);
        let passed = time.zip(self.entered_at).map(|(time, at)| timestamp::difference(time, at));
        let is_entry = passed.is_none_or(|passed| !(0..AUDIO_ENTRY_TICKS).contains(&passed));
        if is_entry {
            self.entered_at = time;
        }
        is_entry
    }

    fn table_packet(&mut self, packet: Packet<'_>) {
        let mut has_changed = false;
        self.tables.push(packet, &mut |change| {
            has_changed |= !matches!(change, Change::Fault { .. });
        });
        if has_changed {
            self.tables_changed();
        }
        self.prologue.push(packet, self.program.map(|(_, pmt_pid)| pmt_pid));
        let _ = self.prologue_bytes.take();
    }

    #[cold]
    fn tables_changed(&mut self) {
        self.choice.tables_changed(&self.tables, self.packets);
        let is_there = |&(number, _): &(u16, Pid)| self.tables.program(number).is_some();
        self.program = self.program.filter(is_there);
        if self.program.is_none() {
            self.choose_program();
        }
        self.set_uses();
    }

    fn choose_late_program(&mut self) {
        if self.program.is_none() && self.choice.is_late(self.packets) {
            self.choose_program();
            self.set_uses();
            self.choice.wait_again(self.packets);
        }
    }

    fn choose_program(&mut self) {
        let chosen = self.choice.choose(&self.tables, self.packets);
        self.program = chosen.map(|program| (program.program_number, program.pmt_pid));
        (self.clock, self.entered_at) = (None, None);
    }

    /// Brings what is read of each PID in line with the tables.
    fn set_uses(&mut self) {
        self.uses.fill(0);
        // A table stays one, whatever a PMT says.
        let mut set = |pid: Pid, uses: u8| match &mut self.uses[pid.index()] {
            &mut USE_TABLE => {}
            set => *set |= uses,
        };
        set(Pid::PAT, USE_TABLE);
        let entries = self.tables.pat().map(|pat| pat.entries.as_slice()).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.program_number != 0) {
            set(entry.pid, USE_TABLE);
        }
        let program = self.program.and_then(|(number, _)| self.tables.program(number));
        let stream = |kind| first_stream(program?, kind);
        let (video, audio) = (stream(TrackKind::Video), stream(TrackKind::Audio));
        self.has_video = video.is_some();
        self.coding = Coding::default();
        match (program, video, audio) {
            (_, Some((pid, coding)), _) => {
                set(pid, USE_VIDEO);
                self.coding = coding;
            }
            (Some(program), None, Some((pid, _))) => {
                set(pid, USE_AUDIO);
                if program.pcr_pid != Pid::NULL {
                    set(program.pcr_pid, USE_CLOCK);
                }
            }
            _ => {}
        }
        let uses = &self.uses;
        self.prologue.retain(|pid| uses[pid.index()] & USE_TABLE != 0);
        let _ = self.prologue_bytes.take();
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

/// The first stream of a kind, in the order of the PMT, and how its entries are found.
fn first_stream(program: &Program, kind: TrackKind) -> Option<(Pid, Coding)> {
    let stream = program.streams.iter().find(|stream| stream.format.kind() == kind)?;
    Some((stream.pid, Coding::of(stream.format)))
}

/// PAT or PMT.
const USE_TABLE: u8 = 1;
const USE_VIDEO: u8 = 2;
const USE_AUDIO: u8 = 4;
const USE_CLOCK: u8 = 8;

/// 500 ms: fine enough to join sound at the live edge, coarse enough for an index of entries.
const AUDIO_ENTRY_TICKS: i64 = 45_000;

#[cfg(test)]
mod tests;
