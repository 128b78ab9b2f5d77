//! The demultiplexer: which packets belong to which track.

use super::timeline::Timeline;
use super::track::{Context, Track};
use super::{Event, NotCarried, Output, Reason, Settings, TrackState};
use crate::access_unit::{TrackId, TrackKind};
use crate::container::mpegts::choice::ProgramChoice;
use crate::container::mpegts::packet::Pcr;
use crate::container::mpegts::psi::{self, Change, EsInfo, Program, Tables};
use crate::container::mpegts::{Packet, Pid};
use crate::ts_block::TsBlock;

/// What was met so far. Packets of other programs are not looked at and not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets of any PID.
    pub packets: u64,
    /// Frames handed out.
    pub units: u64,
    /// Places where packets of a track were lost.
    pub continuity_errors: u64,
    /// Packets of a track that were marked as damaged, or contradict themselves.
    pub transport_errors: u64,
    /// Packets of a track that were scrambled.
    pub scrambled_packets: u64,
    /// Units left out, for missing bytes or for what they say.
    pub units_damaged: u64,
    /// Sections of tables with a wrong CRC.
    pub crc_errors: u64,
    /// Jumps of a clock.
    pub time_jumps: u64,
    /// Decoding times that would have gone back, and were put one tick behind the one before.
    pub times_corrected: u64,
}

/// Makes access units of transport-stream packets: [`push`](Self::push) blocks in order, and
/// [`finish`](Self::finish) when no more come.
///
/// The last picture of a stream comes out with the first packet of the next one, because only that
/// tells its end.
#[derive(Debug)]
pub struct Demuxer {
    settings: Settings,
    tables: Tables,
    /// By PID: 0 for packets that are passed over, otherwise [`Use`].
    uses: Box<[u8]>,
    program_number: Option<u16>,
    pcr_pid: Pid,
    tracks: Vec<Track>,
    /// At most as many as a PMT section has room for, about 200.
    not_carried: Vec<NotCarried>,
    timeline: Timeline,
    counters: Counters,
    /// The stream's clock since its first PCR, in ticks of 27 MHz; jumps do not count.
    clock: Option<u64>,
    last_pcr: Option<Pcr>,
    choice: ProgramChoice,
    said_no_program: bool,
}

/// What is done with the packets of a PID: bits of an entry of `uses`, above them the index of the
/// track plus 1.
mod pid_use {
    pub(super) const TABLE: u8 = 1;
    pub(super) const CLOCK: u8 = 2;
    pub(super) const TRACK_SHIFT: u8 = 2;
}

impl Demuxer {
    /// No program yet.
    pub fn new(settings: Settings) -> Self {
        let jump_max = i64::from(settings.time_jump_ms) * 90;
        let mut demuxer = Self {
            tables: Tables::new(settings.tables),
            uses: vec![0; Pid::COUNT].into_boxed_slice(),
            program_number: None,
            pcr_pid: Pid::NULL,
            tracks: Vec::new(),
            not_carried: Vec::new(),
            timeline: Timeline::new(jump_max),
            counters: Counters::default(),
            clock: None,
            last_pcr: None,
            choice: ProgramChoice::new(settings.program_number),
            said_no_program: false,
            settings,
        };
        demuxer.set_uses();
        demuxer
    }

    /// Takes the next packets; what comes of them is appended to `out`.
    pub fn push(&mut self, block: &TsBlock, out: &mut Vec<Output>) {
        for packet in block.packets() {
            self.push_packet(packet, out);
        }
    }

    /// Takes the next packet; what comes of it is appended to `out`.
    ///
    /// Cost: for a packet that is not of the program, one look into a flat array.
    pub fn push_packet(&mut self, packet: Packet<'_>, out: &mut Vec<Output>) {
        self.counters.packets += 1;
        let entry = self.uses.get(packet.pid().index()).copied().unwrap_or(0);
        if entry == 0 || !packet.has_sync() {
            if self.program_number.is_none() {
                self.wait_for_program(out);
            }
            return;
        }
        if entry & pid_use::CLOCK != 0 && !packet.has_transport_error() {
            self.read_clock(packet, out);
        }
        if let Some(index) = usize::from(entry >> pid_use::TRACK_SHIFT).checked_sub(1)
            && let Some(track) = self.tracks.get_mut(index)
        {
            let mut context = Context {
                timeline: &mut self.timeline,
                counters: &mut self.counters,
                out,
                clock: self.clock,
            };
            track.push(packet, &mut context);
        }
        if entry & pid_use::TABLE != 0 {
            self.read_table(packet, out);
        }
    }

    /// The stream ended: the last pictures are complete. Packets may follow nevertheless.
    pub fn finish(&mut self, out: &mut Vec<Output>) {
        for track in &mut self.tracks {
            track.finish(&mut Context {
                timeline: &mut self.timeline,
                counters: &mut self.counters,
                out,
                clock: self.clock,
            });
        }
    }

    /// What was met so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The program whose units are handed out; `None` until there is one.
    pub fn program(&self) -> Option<&Program> {
        self.tables.program(self.program_number?)
    }

    /// Puts a time of the stream, of 33 bits, onto the timeline of the units: for what is not handed out,
    /// and is to be shown with them. `None` before the first time of the program.
    pub fn place(&self, time: u64) -> Option<i64> {
        self.timeline.place(time)
    }

    /// All tables of the stream.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The tracks that are handed out, and where they are.
    pub fn tracks(&self) -> impl Iterator<Item = (TrackId, Pid)> {
        self.tracks.iter().map(|track| (track.id, track.pid))
    }

    /// The same with what is known of each.
    pub fn track_states(&self) -> impl Iterator<Item = TrackState<'_>> {
        let streams = self.program().map(|program| &program.streams[..]).unwrap_or_default();
        self.tracks.iter().map(|track| {
            let stream = streams.iter().find(|stream| stream.pid == track.pid);
            track.state(stream.map_or("", |stream| &stream.language))
        })
    }

    /// The other streams of the program, in the order of the PMT.
    pub fn not_carried(&self) -> &[NotCarried] {
        &self.not_carried
    }

    fn read_clock(&mut self, packet: Packet<'_>, out: &mut Vec<Output>) {
        let Some(pcr) = packet.pcr() else {
            return;
        };
        let step = self.last_pcr.replace(pcr).map_or(0, |last| pcr.since(last));
        let step_max = i64::from(self.settings.time_jump_ms) * 27_000;
        let step = if (0..=step_max).contains(&step) { step as u64 } else { 0 };
        let clock = self.clock.unwrap_or(0) + step;
        self.clock = Some(clock);
        if let Some(jump) = self.timeline.pcr(pcr, packet.is_discontinuity()) {
            self.counters.time_jumps += 1;
            let event = Event::TimeJump { pid: self.pcr_pid, ticks: jump.ticks };
            out.push(Output::Event(event));
        }
        let timeout = u64::from(self.settings.pid_timeout_ms) * 27_000;
        for track in &mut self.tracks {
            let (timeline, counters) = (&mut self.timeline, &mut self.counters);
            track.watch(timeout, &mut Context { timeline, counters, out, clock: self.clock });
        }
    }

    fn read_table(&mut self, packet: Packet<'_>, out: &mut Vec<Output>) {
        let first = out.len();
        self.tables.push(packet, &mut |change| out.push(Output::Event(Event::Table(change))));
        if out.len() == first {
            return;
        }
        let mut is_program_changed = false;
        let mut is_program_lost = false;
        for output in out.get(first..).unwrap_or_default() {
            let Output::Event(Event::Table(change)) = output else {
                continue;
            };
            match change {
                Change::Program { program_number } => {
                    is_program_changed |= Some(*program_number) == self.program_number;
                }
                Change::ProgramRemoved { program_number } => {
                    is_program_lost |= Some(*program_number) == self.program_number;
                }
                Change::Fault { fault: psi::Fault::Section(psi::SectionFault::Crc), .. } => {
                    self.counters.crc_errors += 1;
                }
                _ => {}
            }
        }
        self.choice.tables_changed(&self.tables, self.counters.packets);
        if is_program_lost {
            self.drop_program(out);
        }
        if self.program_number.is_none() {
            self.choose_program(out);
        } else if is_program_changed {
            self.set_tracks(out);
        }
        self.set_uses();
    }

    /// Says once that nothing is to be had, and stops waiting for a first program without PMT.
    fn wait_for_program(&mut self, out: &mut Vec<Output>) {
        let packets = self.counters.packets;
        if self.choice.is_late(packets) {
            self.choose_program(out);
            self.set_uses();
            self.choice.wait_again(packets);
        }
        let is_late = packets >= NO_PROGRAM_PACKETS && self.program_number.is_none();
        if is_late && !self.said_no_program {
            self.said_no_program = true;
            out.push(Output::Event(Event::NoProgram { packets }));
        }
    }

    fn choose_program(&mut self, out: &mut Vec<Output>) {
        if let Some(program) = self.choice.choose(&self.tables, self.counters.packets) {
            self.program_number = Some(program.program_number);
            self.said_no_program = false;
            self.set_tracks(out);
        }
    }

    fn drop_program(&mut self, out: &mut Vec<Output>) {
        self.finish(out);
        self.tracks.clear();
        self.not_carried.clear();
        self.pcr_pid = Pid::NULL;
        if let Some(program_number) = self.program_number.take() {
            out.push(Output::Event(Event::ProgramLost { program_number }));
        }
    }

    /// Brings the tracks in line with the PMT. A track whose PID and coding stay goes on.
    fn set_tracks(&mut self, out: &mut Vec<Output>) {
        let number = self.program_number;
        let Some(program) = number.and_then(|number| self.tables.program(number)) else {
            return;
        };
        let (pcr_pid, streams) = (program.pcr_pid, program.streams.clone());
        if self.pcr_pid != pcr_pid {
            (self.pcr_pid, self.last_pcr) = (pcr_pid, None);
        }
        let program_number = program.program_number;
        out.push(Output::Event(Event::Program { program_number }));
        self.end_tracks(&streams, out);
        self.not_carried.clear();
        let mut counts = [0_u8; 2];
        let mut carried = Vec::new();
        for stream in in_order(&streams, &self.settings) {
            let (pid, format) = (stream.pid, stream.format);
            let event = match self.take_track(stream, &mut counts) {
                Ok(track) => {
                    carried.push(pid);
                    Event::Track { track, pid, format }
                }
                Err(reason) => {
                    let language = stream.language.clone();
                    self.not_carried.push(NotCarried { pid, format, language, reason });
                    Event::NotCarried { pid, format, reason }
                }
            };
            out.push(Output::Event(event));
        }
        self.tracks.retain(|track| carried.contains(&track.pid));
    }

    /// Ends the tracks that are no longer there.
    fn end_tracks(&mut self, streams: &[EsInfo], out: &mut Vec<Output>) {
        let stays = |track: &Track| {
            streams.iter().any(|stream| {
                (stream.pid, stream.format) == (track.pid, track.format)
                    && stream.opus_channel_config == track.opus_channel_config
            })
        };
        for mut track in std::mem::take(&mut self.tracks) {
            if stays(&track) {
                self.tracks.push(track);
                continue;
            }
            track.finish(&mut Context {
                timeline: &mut self.timeline,
                counters: &mut self.counters,
                out,
                clock: self.clock,
            });
            out.push(Output::Event(Event::TrackEnded { track: track.id, pid: track.pid }));
        }
    }

    /// The track of a stream, made or renamed.
    fn take_track(&mut self, stream: &EsInfo, counts: &mut [u8; 2]) -> Result<TrackId, Reason> {
        if !self.settings.pids.is_empty() && !self.settings.pids.contains(&stream.pid) {
            return Err(Reason::NotChosen);
        }
        let kind = stream.format.kind();
        if kind == TrackKind::Data {
            return Err(Reason::NotAudioVideo);
        }
        let [videos, audios] = counts;
        let count = if kind == TrackKind::Video { videos } else { audios };
        let id = TrackId { kind, index: *count };
        if *count >= self.settings.tracks_max.min(TRACKS_MAX) {
            return Err(Reason::TooMany);
        }
        match self.tracks.iter_mut().find(|track| track.pid == stream.pid) {
            Some(track) => track.id = id,
            None => self.tracks.push(Track::new(id, stream, &self.settings)?),
        }
        *count += 1;
        Ok(id)
    }

    fn set_uses(&mut self) {
        self.uses.fill(0);
        for pid in self.tables.table_pids() {
            if let Some(entry) = self.uses.get_mut(pid.index()) {
                *entry = pid_use::TABLE;
            }
        }
        let clock = self.program_number.map(|_| self.pcr_pid).filter(|&pid| pid != Pid::NULL);
        if let Some(entry) = clock.and_then(|pid| self.uses.get_mut(pid.index())) {
            *entry |= pid_use::CLOCK;
        }
        for (track, number) in self.tracks.iter().zip(1_u8..) {
            if let Some(entry) = self.uses.get_mut(track.pid.index()) {
                *entry |= number << pid_use::TRACK_SHIFT;
            }
        }
    }
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

/// The streams in the order in which they get their numbers.
fn in_order<'a>(streams: &'a [EsInfo], settings: &Settings) -> Vec<&'a EsInfo> {
    let languages = &settings.audio_languages;
    let rank = |stream: &&EsInfo| {
        if stream.format.kind() != TrackKind::Audio {
            return (0, 0, 0);
        }
        let wanted = languages.iter().position(|language| *language == stream.language);
        let language = wanted.unwrap_or(languages.len());
        let codec = stream.format.codec();
        match settings.flv_audio_first {
            true if !codec.fits_flv() => (1, language, 0),
            true => (0, language, u8::from(codec.row().flv_ids.is_empty())),
            false => (0, language, 0),
        }
    };
    let mut streams: Vec<_> = streams.iter().collect();
    streams.sort_by_key(rank);
    streams
}

/// About half a second of a stream of 60 Mbit/s, and 5 s at 6 Mbit/s.
const NO_PROGRAM_PACKETS: u64 = 20_000;
/// An entry of `uses` has room for 63 tracks of two kinds.
const TRACKS_MAX: u8 = 31;
