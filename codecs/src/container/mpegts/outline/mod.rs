//! What a packager must know of a transport stream that it passes on untouched: where pictures
//! begin and when, cues, jumps of the times, and what the tracks are.
//!
//! One program is followed, and of it one track: its first video PID, or its first audio PID when it
//! has no pictures. The program is the one that is asked for; otherwise the first of the PAT, as
//! [`scan`](super::scan) chooses it.
//!
//! Times are the stream's own, of 90 kHz, unwrapped onto 64 bits: each is the one nearest to the
//! time before. The line goes back only at an [`Event::Jump`], or by less than half a second in a
//! stream whose decoding times do (ISO/IEC 13818-1 2.4.3.7 lets them be left out).
//!
//! What the tracks are is found by a [`Demuxer`](super::demux::Demuxer) that runs beside, from the
//! start and after every change of the tracks, until each track has told its configuration.
//!
//! Cost: one look into a flat table for each packet, and the PES header of the track that is
//! followed. Measured with `examples/ts_outline.rs` in release on an AMD EPYC, H.264 of 8 Mbit/s in
//! blocks of seven packets: 2 ns a packet in the cache, 6 ns out of it; 45 ns while the demultiplexer
//! runs beside.
//!
//! Invariants
//! - Nothing is said before the PMT is known, and nothing of scrambled packets.
//! - Memory: a flat table of 8 KiB, the tables' own, 4 KiB for each of at most 8 PIDs with cues,
//!   and what a demultiplexer holds while one runs.

mod line;
mod tracks;

use bytes::Bytes;

use super::choice::ProgramChoice;
use super::packet::{Packet, Pid, SYNC_BYTE};
use super::pes;
use super::psi::{Change, EsFormat, Program, SectionAssembler, Tables};
use crate::access_unit::TrackKind;
use crate::scte35;
use crate::ts_block::TsBlock;
use line::Line;
use tracks::Probe;

pub use tracks::{Description, Track};

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// program_number to follow; `None` (default) for the first one of the PAT.
    pub program_number: Option<u16>,
    /// A step of the decoding times by more than this is a jump, in ms: default 10,000, which is the
    /// longest that ISO/IEC 13818-1 2.7.4 and 2.7.5 let anything wait.
    pub time_jump_ms: u32,
    /// Packets in which the tracks must have told what they are: default 100,000, which is 25 s at
    /// 6 Mbit/s. What is not known by then stays unknown until the tracks change.
    pub probe_packets_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { program_number: None, time_jump_ms: 10_000, probe_packets_max: 100_000 }
    }
}

/// What is met in a stream, in the order of the packets.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A PES packet of the track that is followed starts. One without times, or whose header is
    /// not whole in its first packet, is passed over.
    Start {
        /// Index of its first packet in the block.
        packet: usize,
        /// Decoding time, in ticks of 90 kHz.
        dts: i64,
        /// Presentation time, in ticks of 90 kHz.
        pts: i64,
    },
    /// The times do not go on from those before: a decoding time is too far from the last one, or
    /// the clock jumped at a discontinuity_indicator (ISO/IEC 13818-1 2.4.3.5).
    Jump,
    /// The pictures or the sound of the program are on other PIDs, or coded otherwise, from now on;
    /// or another program is followed. A description follows when the new tracks are known.
    TracksChanged,
    /// A splice_info_section, whole and with a right CRC: for
    /// [`scte35::SpliceInfo::parse`](crate::scte35::SpliceInfo::parse). Repetitions are not left out.
    Cue {
        /// The section from its table_id on.
        section: Bytes,
        /// Presentation time of the track that is followed where the section ended; `None` before
        /// its first one.
        pts: Option<i64>,
    },
    /// What the tracks are. Comes again when more is known, and after every
    /// [`TracksChanged`](Self::TracksChanged); always behind everything else in its block.
    Described(Description),
}

/// Follows one transport stream: [`push`](Self::push) its blocks in order.
#[derive(Debug)]
pub struct Outline {
    settings: Settings,
    /// By PID: what its packets are read for.
    uses: Box<[u8; Pid::COUNT]>,
    tables: Tables,
    /// The program that is followed.
    program_number: Option<u16>,
    main: Option<Main>,
    /// What [`Event::TracksChanged`] compares; `None` before the first PMT.
    signature: Option<Vec<Signature>>,
    line: Line,
    cues: Vec<(Pid, SectionAssembler)>,
    probe: Option<Box<Probe>>,
    packets: u64,
    choice: ProgramChoice,
}

/// The track whose times are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Main {
    /// Where it is.
    pub pid: Pid,
    /// Pictures, or sound.
    pub kind: TrackKind,
    /// How it is coded.
    pub format: EsFormat,
}

/// What makes a stream another one for a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    pid: Pid,
    stream_type: u8,
    format: EsFormat,
    opus_channel_config: Option<u8>,
}

impl Outline {
    /// An outline that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let mut outline = Self {
            uses: Box::new([0; Pid::COUNT]),
            tables: Tables::default(),
            program_number: None,
            main: None,
            signature: None,
            line: Line::new(settings.time_jump_ms),
            cues: Vec::new(),
            probe: Some(Box::new(Probe::new(settings.program_number))),
            packets: 0,
            choice: ProgramChoice::new(settings.program_number),
            settings,
        };
        outline.set_uses();
        outline
    }

    /// Forgets everything: another stream follows.
    pub fn reset(&mut self) {
        *self = Self::new(self.settings.clone());
    }

    /// Takes the next packets and tells what is in them.
    pub fn push(&mut self, block: &TsBlock, mut on_event: impl FnMut(Event)) {
        for (index, packet) in block.packets().enumerate() {
            let bytes = packet.bytes();
            let uses = self.uses[packet.pid().index()];
            let is_read = uses & (USE_TABLE | USE_CUE) != 0
                || uses & USE_MAIN != 0 && bytes[1] & 0x40 != 0
                || uses & USE_CLOCK != 0 && bytes[3] & 0x20 != 0;
            if is_read && bytes[0] == SYNC_BYTE && bytes[1] & 0x80 == 0 {
                self.read(index, packet, uses, &mut on_event);
            }
        }
        self.packets += block.packet_count() as u64;
        self.choose_late_program(&mut on_event);
        if self.probe.is_some() {
            self.probe_tracks(block, &mut on_event);
        }
    }

    /// The program that is followed; `None` until its PMT came.
    pub fn program(&self) -> Option<&Program> {
        self.tables.program(self.program_number?)
    }

    /// The track whose times are followed; `None` until the PMT came, and in a program with neither
    /// pictures nor sound.
    pub fn main(&self) -> Option<Main> {
        self.main
    }

    /// Puts a time of 33 bits, as cues have, onto the line: the point nearest to the last decoding
    /// time. `None` before the first one.
    pub fn unwrap(&self, time: u64) -> Option<i64> {
        self.line.unwrap(time)
    }

    fn read(
        &mut self,
        index: usize,
        packet: Packet<'_>,
        uses: u8,
        on_event: &mut impl FnMut(Event),
    ) {
        if uses & USE_CLOCK != 0 && self.line.clock(packet.pcr(), packet.is_discontinuity()) {
            on_event(Event::Jump);
        }
        if uses & USE_MAIN != 0 && packet.starts_unit() && !packet.is_scrambled() {
            self.read_start(index, packet, on_event);
        }
        if uses & USE_CUE != 0 {
            self.read_cue(packet, on_event);
        }
        if uses & USE_TABLE != 0 {
            self.read_table(packet, on_event);
        }
    }

    fn read_start(&mut self, index: usize, packet: Packet<'_>, on_event: &mut impl FnMut(Event)) {
        let Ok(Some((header, _))) = pes::Header::parse(packet.payload()) else { return };
        let Some(pts) = header.pts else { return };
        let (times, has_jumped) = self.line.advance(pts, header.dts.unwrap_or(pts));
        if has_jumped {
            on_event(Event::Jump);
        }
        on_event(Event::Start { packet: index, dts: times.dts, pts: times.pts });
    }

    fn read_cue(&mut self, packet: Packet<'_>, on_event: &mut impl FnMut(Event)) {
        let assembler = self.cues.iter_mut().find(|(pid, _)| *pid == packet.pid());
        let Some((_, assembler)) = assembler else { return };
        let pts = self.line.last().map(|times| times.pts);
        assembler.push(packet, |section| {
            let Ok(section) = section else { return };
            if scte35::is_section(section.bytes()) {
                let section = Bytes::copy_from_slice(section.bytes());
                on_event(Event::Cue { section, pts });
            }
        });
    }

    fn read_table(&mut self, packet: Packet<'_>, on_event: &mut impl FnMut(Event)) {
        let mut has_changed = false;
        self.tables.push(packet, &mut |change| {
            has_changed |= !matches!(change, Change::Fault { .. });
        });
        if !has_changed {
            return;
        }
        self.choice.tables_changed(&self.tables, self.packets);
        self.tables_changed(on_event);
    }

    fn choose_late_program(&mut self, on_event: &mut impl FnMut(Event)) {
        if self.program_number.is_none() && self.choice.is_late(self.packets) {
            self.tables_changed(on_event);
            self.choice.wait_again(self.packets);
        }
    }

    #[cold]
    fn tables_changed(&mut self, on_event: &mut impl FnMut(Event)) {
        let is_there = |&number: &u16| self.tables.program(number).is_some();
        let chosen = || self.choice.choose(&self.tables, self.packets);
        self.program_number = (self.program_number.filter(is_there))
            .or_else(|| chosen().map(|program| program.program_number));
        self.set_uses();
        let Some(program) = self.program() else { return };
        let is_media = |format: EsFormat| format.kind() != TrackKind::Data;
        let streams = program.streams.iter().filter(|stream| is_media(stream.format));
        let signature: Vec<_> = streams
            .map(|stream| Signature {
                pid: stream.pid,
                stream_type: stream.stream_type,
                format: stream.format,
                opus_channel_config: stream.opus_channel_config,
            })
            .collect();
        let before = self.signature.replace(signature);
        if before.is_some() && before != self.signature {
            self.probe = Some(Box::new(Probe::new(self.program_number)));
            on_event(Event::TracksChanged);
        }
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
        let program = self.program_number.and_then(|number| self.tables.program(number));
        self.main = program.and_then(main_track);
        let streams = program.map(|program| program.streams.as_slice()).unwrap_or_default();
        let cues = streams.iter().filter(|stream| stream.format == EsFormat::Scte35);
        let cue_pids: Vec<_> = cues.map(|stream| stream.pid).take(CUE_PIDS_MAX).collect();
        self.cues.retain(|(pid, _)| cue_pids.contains(pid));
        for pid in cue_pids {
            set(pid, USE_CUE);
            if self.cues.iter().all(|(known, _)| *known != pid) {
                self.cues.push((pid, SectionAssembler::default()));
            }
        }
        if let Some(main) = self.main {
            set(main.pid, USE_MAIN);
        }
        let pcr_pid = program.map_or(Pid::NULL, |program| program.pcr_pid);
        if pcr_pid != Pid::NULL {
            set(pcr_pid, USE_CLOCK);
        }
        self.line.set_pcr_pid(pcr_pid);
    }

    fn probe_tracks(&mut self, block: &TsBlock, on_event: &mut impl FnMut(Event)) {
        let Some(mut probe) = self.probe.take() else { return };
        probe.push(block);
        let Some(program) = self.program() else {
            self.probe = Some(probe);
            return;
        };
        let time = self.line.last().map(|times| times.dts);
        let is_over = probe.packets() >= self.settings.probe_packets_max;
        let (description, is_complete) = probe.describe(program, self.main, time, is_over);
        if let Some(description) = description {
            on_event(Event::Described(description));
        }
        if !is_complete && !is_over {
            self.probe = Some(probe);
        }
    }
}

impl Default for Outline {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

/// The first video stream in the order of the PMT, or the first audio stream.
fn main_track(program: &Program) -> Option<Main> {
    let first = |kind| {
        let stream = program.streams.iter().find(|stream| stream.format.kind() == kind)?;
        Some(Main { pid: stream.pid, kind, format: stream.format })
    };
    first(TrackKind::Video).or_else(|| first(TrackKind::Audio))
}

/// PAT or PMT.
const USE_TABLE: u8 = 1;
/// The track that is followed.
const USE_MAIN: u8 = 2;
/// Carries the PCR.
const USE_CLOCK: u8 = 4;
/// SCTE-35 sections.
const USE_CUE: u8 = 8;

/// A program has one in practice, two at most.
const CUE_PIDS_MAX: usize = 8;

#[cfg(test)]
mod tests;
