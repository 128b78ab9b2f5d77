//! What the tracks of a program are: a demultiplexer that runs until each has told.

use bytes::Bytes;

use super::Main;
use crate::access_unit::{AccessUnit, TrackInfo, TrackKind, UnitKind};
use crate::codec::{CodecId, track_info};
use crate::container::mpegts::Pid;
use crate::container::mpegts::demux::{self, Demuxer, Output};
use crate::container::mpegts::psi::{EsFormat, EsInfo, Program};
use crate::ts_block::TsBlock;

/// The pictures and the sound of a program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Which one.
    pub program_number: u16,
    /// In the order of the PMT.
    pub tracks: Vec<Track>,
}

/// One elementary stream with pictures or sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Where it is.
    pub pid: Pid,
    /// Pictures or sound.
    pub kind: TrackKind,
    /// How it is coded, as the PMT says.
    pub format: EsFormat,
    /// What its configuration and its frames say; of [`CodecId::Unknown`]
    /// for what no demultiplexer reads here (MPEG-2 video), and the codec alone for a track that
    /// did not tell in time.
    pub info: TrackInfo,
    /// The decoder configuration record, as in [`UnitKind::Config`]; empty until it is known, and
    /// for codecs without one.
    pub config: Bytes,
    /// ISO 639 code; empty when not said.
    pub language: String,
}

/// Runs a demultiplexer over the packets.
#[derive(Debug)]
pub(super) struct Probe {
    demuxer: Demuxer,
    out: Vec<Output>,
    found: Vec<Found>,
    packets: u64,
    /// Time on the line when the probe was asked first.
    since: Option<i64>,
    described: Option<Description>,
}

#[derive(Debug, Default)]
struct Found {
    pid: Pid,
    info: TrackInfo,
    config: Bytes,
}

impl Found {
    fn take(&mut self, unit: &AccessUnit) {
        if unit.kind == UnitKind::Config {
            self.config = unit.payload.clone();
        }
        if let Some(info) = track_info(unit) {
            self.info.update(info);
        }
    }

    fn is_complete(&self) -> bool {
        let codec = self.info.codec;
        codec != CodecId::Unknown && (codec.row().from_config.is_none() || !self.config.is_empty())
    }
}

impl Probe {
    pub(super) fn new(program_number: Option<u16>) -> Self {
        let settings = demux::Settings { program_number, ..demux::Settings::default() };
        Self {
            demuxer: Demuxer::new(settings),
            out: Vec::new(),
            found: Vec::new(),
            packets: 0,
            since: None,
            described: None,
        }
    }

    /// Packets so far.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) fn push(&mut self, block: &TsBlock) {
        self.packets += block.packet_count() as u64;
        self.demuxer.push(block, &mut self.out);
        for output in std::mem::take(&mut self.out) {
            if let Output::Unit(unit) = output {
                self.take(&unit);
            }
        }
    }

    fn take(&mut self, unit: &AccessUnit) {
        let pid = self.demuxer.tracks().find(|(track, _)| *track == unit.track);
        let Some((_, pid)) = pid else { return };
        let index = self.found.iter().position(|found| found.pid == pid).unwrap_or_else(|| {
            self.found.push(Found { pid, ..Found::default() });
            self.found.len() - 1
        });
        if let Some(found) = self.found.get_mut(index)
            && (unit.kind == UnitKind::Config || !found.is_complete())
        {
            found.take(unit);
        }
    }

    /// What is known, when that is worth saying and was not said yet; and whether everything is.
    pub(super) fn describe(
        &mut self,
        program: &Program,
        main: Option<Main>,
        time: Option<i64>,
        is_over: bool,
    ) -> (Option<Description>, bool) {
        // The demultiplexer may see a change of the tables later than its owner did.
        if self.demuxer.program() != Some(program) && !is_over {
            return (None, false);
        }
        self.since = self.since.or(time);
        let is_late = self.since.zip(time).is_some_and(|(since, time)| time - since > PATIENCE);
        let is_known = |pid: Pid| {
            let is_read = self.demuxer.tracks().any(|(_, track)| track == pid);
            let found = self.found.iter().find(|found| found.pid == pid);
            !is_read || found.is_some_and(Found::is_complete)
        };
        let media = || program.streams.iter().filter(|s| s.format.kind() != TrackKind::Data);
        let is_complete = media().all(|stream| is_known(stream.pid));
        let is_main_known = main.is_none_or(|main| is_known(main.pid));
        if !(is_complete || is_over || is_late && is_main_known) {
            return (None, false);
        }
        let track = |stream: &EsInfo| {
            let found = self.found.iter().find(|found| found.pid == stream.pid);
            let unknown = || TrackInfo { codec: stream.format.codec(), ..TrackInfo::default() };
            Track {
                pid: stream.pid,
                kind: stream.format.kind(),
                format: stream.format,
                info: found.map_or_else(unknown, |found| found.info.clone()),
                config: found.map(|found| found.config.clone()).unwrap_or_default(),
                language: stream.language.clone(),
            }
        };
        let tracks = media().map(track).collect();
        let description = Description { program_number: program.program_number, tracks };
        let is_new = self.described.as_ref() != Some(&description);
        if is_new {
            self.described = Some(description.clone());
        }
        (is_new.then_some(description), is_complete)
    }
}

/// One second: a track that has told nothing by then may never do so (a second language that is not
/// on the air), and the others are not kept back for it.
const PATIENCE: i64 = 90_000;
