//! The packets of a transport stream into segments, untouched.
//!
//! A part is a list of the stream's own blocks, cut where a picture's first packet is; PAT and PMT
//! stand in front of each segment, as they were last but for the order of the rows: some players take
//! the first one for the program. What other PIDs carry lies where it lay: a
//! packet of sound may begin in one segment and end in the next.
//!
//! Times are the stream's own. Where they jump, at the next entry point behind other tracks, and
//! where a discontinuity is announced, a discontinuity follows.

use bytes::Bytes;
use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::outline::{self, Outline};
use corelay_codecs::container::mpegts::psi::programs_first;
use corelay_codecs::scte35::SpliceInfo;
use corelay_codecs::{Chunk, TsBlock};

use super::cues::Breaks;
use super::cut::{Cut, Cutter};
use super::describe;
use super::settings::Settings;
use super::shelf::Shelf;
use crate::hls::segment::{Form, Rendition};

/// Packs the packets of one stream.
#[derive(Debug)]
pub(super) struct TransportPacker {
    outline: Outline,
    /// Of one block; kept for its memory.
    events: Vec<outline::Event>,
    cutter: Cutter,
    breaks: Breaks,
    /// The open part.
    part: Chunk,
    /// PAT and PMT packets of the newest entry point.
    tables: Bytes,
    /// Newest decoding time of the main track.
    last_dts: Option<i64>,
    /// A jump of the clock was announced: that of the decoding times follows.
    is_jump_near: bool,
    /// The tracks are others than those of the open segment.
    has_other_tracks: bool,
    bytes_max: usize,
}

/// The packets at hand.
struct Input<'a> {
    block: &'a TsBlock,
    is_entry: bool,
    received_us: u64,
    /// The packets in front of this one, in bytes, are dealt with.
    at: usize,
}

impl TransportPacker {
    pub(super) fn new(settings: &Settings, first_duration: Option<i64>) -> Self {
        Self {
            outline: Outline::default(),
            events: Vec::new(),
            cutter: Cutter::new(settings, first_duration),
            breaks: Breaks::default(),
            part: Chunk::default(),
            tables: Bytes::new(),
            last_dts: None,
            is_jump_near: false,
            has_other_tracks: false,
            bytes_max: settings.segment_bytes_max,
        }
    }

    pub(super) fn push(
        &mut self,
        block: &TsBlock,
        tables: &Bytes,
        is_entry: bool,
        received_us: u64,
        shelf: &mut Shelf,
    ) {
        if !tables.is_empty() {
            self.tables = programs_first(tables).map_or_else(|| tables.clone(), Bytes::from);
        }
        if is_entry && self.outline.program().is_none() {
            // The tables in front of the first entry point may be the only ones for a while.
            let tables = TsBlock::new(tables.clone()).unwrap_or_default();
            self.outline.push(&tables, |_| {});
        }
        let mut events = std::mem::take(&mut self.events);
        self.outline.push(block, |event| events.push(event));
        let mut input = Input { block, is_entry, received_us, at: 0 };
        for event in events.drain(..) {
            self.event(event, &mut input, shelf);
        }
        self.events = events;
        if self.cutter.is_open() {
            self.part.push(block.bytes().slice(input.at..));
            if shelf.open_bytes() + self.part.len() > self.bytes_max {
                shelf.stats.oversized += 1;
                self.break_off(self.cutter.end(), shelf);
            }
        }
        if let Some(program) = self.outline.program() {
            shelf.read_subtitles(MAIN.form, block, program, |time| self.outline.unwrap(time));
        }
    }

    /// Ends the open segment and forgets the stream.
    pub(super) fn finish(&mut self, shelf: &mut Shelf) {
        self.close(self.cutter.end(), shelf);
        self.outline.reset();
        self.breaks.forget();
        self.tables = Bytes::new();
        self.last_dts = None;
        (self.is_jump_near, self.has_other_tracks) = (false, false);
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.part.len()
    }

    fn event(&mut self, event: outline::Event, input: &mut Input<'_>, shelf: &mut Shelf) {
        match event {
            outline::Event::Start { packet, dts, pts } => {
                self.unit_start(packet, dts, pts, input, shelf);
            }
            outline::Event::Jump => self.is_jump_near = true,
            outline::Event::TracksChanged => self.has_other_tracks = self.cutter.is_open(),
            outline::Event::Cue { section, pts } => self.cue(&section, pts, shelf),
            outline::Event::Described(description) => {
                shelf.describe(MAIN, describe::of_transport(&description));
            }
        }
    }

    /// A picture, or a packet of sound where there are none, begins.
    fn unit_start(
        &mut self,
        packet: usize,
        dts: i64,
        pts: i64,
        input: &mut Input<'_>,
        shelf: &mut Shelf,
    ) {
        let is_entry = input.is_entry && packet == 0;
        let at = packet * PACKET_SIZE;
        let step = dts - self.last_dts.replace(dts).unwrap_or(dts);
        if self.cutter.is_open() && self.breaks_at(step, is_entry) {
            self.take_packets(at, input);
            self.break_off(self.cutter.end(), shelf);
        }
        let time = match self.cutter.is_open() {
            true => dts.max(self.cutter.last() + 1),
            false => dts,
        };
        let mut cut = self.cutter.frame(time, is_entry, false);
        if let Cut::Gap(end) = cut {
            shelf.stats.gaps += 1;
            self.take_packets(at, input);
            self.break_off(end, shelf);
            cut = self.cutter.frame(dts, is_entry, false);
        }
        match cut {
            Cut::None | Cut::Gap(_) => {}
            Cut::LeftOut => shelf.stats.frames_left_out += 1,
            Cut::Begin => self.begin(dts, pts, at, true, input, shelf),
            Cut::Part => {
                self.take_packets(at, input);
                self.end_part(time, is_entry, shelf);
            }
            Cut::Segment { is_forced } => {
                shelf.stats.forced_cuts += u64::from(is_forced);
                self.take_packets(at, input);
                self.end_part(time, !is_forced, shelf);
                shelf.end_segment(time);
                self.begin(time, pts, at, !is_forced, input, shelf);
            }
        }
    }

    /// True when what follows does not continue the open segment.
    fn breaks_at(&mut self, step: i64, is_entry: bool) -> bool {
        let is_regular = (0..=STEP_MAX).contains(&step);
        step < -STEP_MAX
            || self.is_jump_near && (is_entry || !is_regular)
            || self.has_other_tracks && is_entry
    }

    fn begin(
        &mut self,
        time: i64,
        pts: i64,
        at: usize,
        is_independent: bool,
        input: &mut Input<'_>,
        shelf: &mut Shelf,
    ) {
        (self.is_jump_near, self.has_other_tracks) = (false, false);
        shelf.ahead = pts - time;
        input.at = at;
        self.part.push(self.tables.clone());
        shelf.begin(MAIN, time, input.received_us, is_independent);
    }

    /// Appends the packets up to a position in the block to the open part.
    fn take_packets(&mut self, end: usize, input: &mut Input<'_>) {
        let end = end.min(input.block.bytes().len());
        self.part.push(input.block.bytes().slice(input.at.min(end)..end));
        input.at = end;
    }

    /// What follows does not continue what was.
    fn break_off(&mut self, end: i64, shelf: &mut Shelf) {
        self.close(end, shelf);
        shelf.break_off();
    }

    fn close(&mut self, end: i64, shelf: &mut Shelf) {
        self.end_part(end, false, shelf);
        shelf.end_segment(end);
        self.cutter.close(end);
    }

    fn end_part(&mut self, end: i64, is_next_independent: bool, shelf: &mut Shelf) {
        let part = std::mem::take(&mut self.part);
        shelf.end_part(end, is_next_independent, [(MAIN, part)]);
    }

    fn cue(&mut self, section: &Bytes, pts: Option<i64>, shelf: &mut Shelf) {
        let Ok(message) = SpliceInfo::parse(section) else { return };
        for cue in message.cues() {
            let at = cue.pts.and_then(|time| self.outline.unwrap(time)).or(pts);
            let Some(at) = at.filter(|_| self.cutter.is_open()) else { continue };
            let at_us = shelf.wall.at(at.saturating_sub(shelf.ahead));
            if let Some(date_range) = self.breaks.date_range(&cue, section, at_us) {
                shelf.date_range(date_range);
            }
        }
    }
}

const MAIN: Rendition = Rendition::main(Form::Ts);
/// 500 ms: decoding times further apart, behind an announced jump, or further back, have jumped.
const STEP_MAX: i64 = 45_000;
