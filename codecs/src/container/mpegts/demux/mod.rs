//! Transport-stream packets into access units.
//!
//! [`Demuxer`] follows the tables, chooses one program of the stream, and makes access units of
//! those of its elementary streams that have a form in [`AccessUnit`]; of all others it says why
//! not ([`Demuxer::not_carried`]). Units come in the order of the multiplex; [`Interleaver`] brings
//! them into the order of their times, for those who play them as they come.
//!
//! Invariants
//! - Decoding times of a track only go forward, whatever the stream's clock does; sound and
//!   pictures keep the distance that they had ([`Event::TimeJump`]).
//! - A unit with bytes missing is never handed out.
//! - Memory: per track at most one access unit ([`Settings::access_unit_bytes_max`]), beside the
//!   tables ([`psi::Limits`]) and what an [`Interleaver`] holds ([`InterleaverSettings`]).

mod audio;
mod demuxer;
mod interleave;
mod packet_unit;
mod parameter_sets;
mod stream;
mod timeline;
mod track;
mod video;

use super::{Pid, pes, psi};
use crate::access_unit::{AccessUnit, TrackId};
use crate::codec::CodecId;
use psi::EsFormat;

pub use demuxer::{Counters, Demuxer};
pub use interleave::{Interleaver, InterleaverCounters, InterleaverSettings};

/// What to take out of a transport stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// program_number to take; `None` (default) for the first one of the PAT.
    pub program_number: Option<u16>,
    /// PIDs to take; empty (default) for all of the program.
    pub pids: Vec<Pid>,
    /// ISO 639 codes ("deu") of the audio tracks to come first, the most wanted one first; the
    /// others follow in the order of the PMT. Empty by default.
    pub audio_languages: Vec<String>,
    /// Sound that FLV and RTMP can carry comes before sound that they cannot, whatever the languages
    /// say, and within a language what every player knows (AAC) before what needs Enhanced RTMP:
    /// default false. MPEG audio counts as layer II, which FLV has no number for. For a bridge, of
    /// which most players take the first track only.
    pub flv_audio_first: bool,
    /// Longest access unit, in bytes: default 4 MiB. A longer one is left out.
    pub access_unit_bytes_max: usize,
    /// Tracks of each kind: default 16. Further ones are not carried.
    pub tracks_max: u8,
    /// Times that differ by more than this belong to another clock, in ms: default 10,000, which is
    /// the longest that ISO/IEC 13818-1 2.7.4 and 2.7.5 let anything wait.
    pub time_jump_ms: u32,
    /// A track without packets for so long on the stream's own clock is reported, in ms: default
    /// 5,000 (ETSI TR 101 290 1.6).
    pub pid_timeout_ms: u32,
    /// What the tables may hold.
    pub tables: psi::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            program_number: None,
            pids: Vec::new(),
            audio_languages: Vec::new(),
            flv_audio_first: false,
            access_unit_bytes_max: 4 << 20,
            tracks_max: 16,
            time_jump_ms: 10_000,
            pid_timeout_ms: 5_000,
            tables: psi::Limits::default(),
        }
    }
}

/// What comes out of a [`Demuxer`], in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A unit of a track.
    Unit(AccessUnit),
    /// Something happened.
    Event(Event),
}

/// What happened in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program was found, or its PMT says something else now; the tracks follow, one event
    /// each. See [`Demuxer::program`].
    Program {
        /// Which one.
        program_number: u16,
    },
    /// The program is no longer in the PAT: all its tracks ended.
    ProgramLost {
        /// Which one.
        program_number: u16,
    },
    /// A stream of the program is handed out as this track.
    Track {
        /// Its name in every unit.
        track: TrackId,
        /// Where it is.
        pid: Pid,
        /// How it is coded.
        format: EsFormat,
    },
    /// A stream of the program is not handed out; [`Demuxer::not_carried`] has all of them.
    NotCarried {
        /// Where it is.
        pid: Pid,
        /// How it is coded.
        format: EsFormat,
        /// Why not.
        reason: Reason,
    },
    /// A track is no longer in the PMT.
    TrackEnded {
        /// Its name.
        track: TrackId,
        /// Where it was.
        pid: Pid,
    },
    /// Something in the tables changed, of any program, or could not be read.
    Table(psi::Change),
    /// The continuity counter of a track jumped: packets were lost.
    Continuity {
        /// Where.
        pid: Pid,
        /// The counter that should have come, 0 to 15.
        expected: u8,
        /// The one that came.
        found: u8,
    },
    /// A packet of a track was marked as damaged and left out.
    TransportError {
        /// Where.
        pid: Pid,
    },
    /// A track is scrambled now, or no longer. While it is, it has no units.
    Scrambled {
        /// Where.
        pid: Pid,
        /// Which of the two.
        is_scrambled: bool,
    },
    /// A part of a track could not be used.
    Fault {
        /// Where.
        pid: Pid,
        /// What was wrong.
        fault: StreamFault,
    },
    /// The program's clock, or a track's times, jumped; the timeline goes on without.
    TimeJump {
        /// Where it was seen.
        pid: Pid,
        /// From the time before to the new one, in ticks of 90 kHz.
        ticks: i64,
    },
    /// A track had no packets for [`Settings::pid_timeout_ms`].
    Vanished {
        /// Where.
        pid: Pid,
    },
    /// A track that had vanished has packets again.
    Returned {
        /// Where.
        pid: Pid,
    },
    /// So many packets had come, and no program could be chosen: there is no PAT, no PMT, or no
    /// such program. Said once.
    NoProgram {
        /// Packets so far.
        packets: u64,
    },
}

/// Why a stream is not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Neither pictures nor sound: teletext, subtitles, cues, private data.
    NotAudioVideo,
    /// It cannot be handed out; the words are why, for people.
    Unsupported(&'static str),
    /// Left out by [`Settings::pids`].
    NotChosen,
    /// More tracks of its kind than [`Settings::tracks_max`].
    TooMany,
}

impl Reason {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotAudioVideo => "neither pictures nor sound",
            Self::Unsupported(what) => what,
            Self::NotChosen => "not chosen",
            Self::TooMany => "more tracks of its kind than are carried",
        }
    }
}

/// A stream of the program that is not handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCarried {
    /// Where it is.
    pub pid: Pid,
    /// How it is coded; [`EsFormat::name`] for people.
    pub format: EsFormat,
    /// ISO 639 code; empty when not said.
    pub language: String,
    /// Why not; [`Reason::text`] for people.
    pub reason: Reason,
}

/// A stream of the program that is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackState<'a> {
    /// Its name in every unit.
    pub id: TrackId,
    /// Where it is.
    pub pid: Pid,
    /// How it is coded, as the PMT says; [`EsFormat::name`] for people.
    pub format: EsFormat,
    /// The codec, as its frames say; [`CodecId::Unknown`] for MPEG audio before the first frame.
    pub codec: CodecId,
    /// ISO 639 code; empty when not said.
    pub language: &'a str,
    /// There were frames.
    pub has_units: bool,
    /// It is scrambled now: there are no frames.
    pub is_scrambled: bool,
    /// It has no packets any more.
    pub is_vanished: bool,
}

impl TrackState<'_> {
    /// Why RTMP and HTTP-FLV have nothing of the track, for people; `None` when they have it, or
    /// when that is not known yet.
    pub fn not_in_flv(&self) -> Option<&'static str> {
        let is_known = self.codec != CodecId::Unknown;
        (is_known && !self.codec.fits_flv()).then_some("FLV and RTMP have no form for the codec")
    }
}

/// What was wrong with a part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamFault {
    /// A PES packet was cut or could not be read.
    Pes(pes::Fault),
    /// An access unit longer than [`Settings::access_unit_bytes_max`] was left out.
    TooLong,
    /// Bytes in which no frame starts were passed over.
    NoFrame {
        /// How many.
        bytes: usize,
    },
    /// A frame was left out because no configuration (parameter sets) came before it.
    NoConfig,
    /// A frame contradicts itself.
    Malformed(&'static str),
    /// A frame is legal, and of a kind that is not handed out.
    Unsupported(&'static str),
    /// A packet has an adaptation field longer than itself, or neither field nor payload.
    Packet,
}
