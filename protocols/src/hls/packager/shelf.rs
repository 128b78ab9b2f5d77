//! The open segment of every rendition, and what is told of it.
//!
//! All renditions are cut together: their segments of one number begin and end at the same time. Those of
//! subtitles are told later.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::container::mpegts::psi::Program;
use corelay_codecs::{Chunk, TsBlock};

use super::settings::{Settings, Stats};
use super::subtitles::{self, Ended, Subtitles};
use super::wall::Wall;
use crate::hls::segment::{
    DateRange, Description, Event, Form, Init, Opening, Part, Rendition, Segment,
};

/// Numbers parts and segments and makes their events.
#[derive(Debug)]
pub(super) struct Shelf {
    events: VecDeque<Event>,
    rows: Vec<Row>,
    open: Option<Open>,
    next_msn: u64,
    discontinuities: u64,
    /// Number of the newest initialisation segments.
    inits: u32,
    /// The next segment does not continue the one before.
    is_broken: bool,
    pub(super) wall: Wall,
    /// From decoding to presentation of the open segment's first picture.
    pub(super) ahead: i64,
    /// `None` for a stream without.
    subtitles: Option<Box<Subtitles>>,
    part_max: i64,
    /// Of the first segment, which fixes the target duration.
    first_duration: Option<i64>,
    pub(super) stats: Stats,
}

/// What all renditions have in common of the open segment.
#[derive(Debug)]
struct Open {
    msn: u64,
    begin: i64,
    started_us: u64,
    is_discontinuity: bool,
    part_begin: i64,
    is_part_independent: bool,
    bytes: usize,
    date_ranges: Vec<DateRange>,
}

/// One rendition.
#[derive(Debug)]
struct Row {
    rendition: Rendition,
    /// Those of the open segment.
    parts: Vec<Arc<Part>>,
    init: Option<u32>,
    description: Option<Arc<Description>>,
}

impl Shelf {
    pub(super) fn new(settings: &Settings, first_msn: u64) -> Self {
        Self {
            events: VecDeque::new(),
            rows: Vec::new(),
            open: None,
            next_msn: first_msn,
            discontinuities: 0,
            // Their URLs must not mean others when the stream is packaged again.
            inits: first_msn as u32,
            is_broken: false,
            wall: Wall::default(),
            ahead: 0,
            subtitles: None,
            part_max: i64::from(settings.part_ms.max(1)) * 90,
            first_duration: None,
            stats: Stats::default(),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Media sequence number of the open segment, or of the next one.
    pub(super) fn msn(&self) -> u64 {
        self.open.as_ref().map_or(self.next_msn, |open| open.msn)
    }

    /// Duration of the first segment, in ticks; `None` before it has ended.
    pub(super) fn first_duration(&self) -> Option<i64> {
        self.first_duration
    }

    /// Bytes of the open segment's parts.
    pub(super) fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }

    /// Tells what a rendition carries, if that is new.
    pub(super) fn describe(&mut self, rendition: Rendition, description: Description) {
        let row = self.row(rendition);
        if row.description.as_deref() == Some(&description) {
            return;
        }
        let description = Arc::new(description);
        row.description = Some(description.clone());
        self.events.push_back(Event::Described(rendition, description));
    }

    /// Initialisation segments follow, at most one for each rendition. They have the same number: a
    /// rendition that comes back must not use one again that it had before.
    pub(super) fn next_inits(&mut self) {
        self.inits = self.inits.wrapping_add(1);
    }

    /// The samples that follow need `bytes`.
    pub(super) fn init(&mut self, rendition: Rendition, bytes: Bytes) {
        let number = self.inits;
        self.row(rendition).init = Some(number);
        self.events.push_back(Event::Init(rendition, Arc::new(Init { number, bytes })));
    }

    /// Renditions that are not in `kept` end with the segment that has ended.
    pub(super) fn retain(&mut self, kept: &[Rendition]) {
        self.rows.retain(|row| kept.contains(&row.rendition));
    }

    /// The next segment does not continue what was before it.
    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
        if let Some(subtitles) = &mut self.subtitles {
            subtitles.break_off(&mut self.events);
        }
    }

    /// Reads the subtitles of a program out of its packets. `place` puts their times onto the timeline of
    /// the segments.
    pub(super) fn read_subtitles(
        &mut self,
        form: Form,
        block: &TsBlock,
        program: &Program,
        place: impl Fn(u64) -> Option<i64>,
    ) {
        if self.subtitles.is_none() && !subtitles::are_in(program) {
            return;
        }
        let new = || Box::new(Subtitles::new(form, self.part_max));
        let subtitles = self.subtitles.get_or_insert_with(new);
        subtitles.push(block, program, place, &mut self.events);
    }

    /// Another source follows; no segment is open.
    pub(super) fn forget_subtitles(&mut self) {
        self.subtitles = None;
    }

    /// A segment of all renditions begins. Further renditions were described before; the main one
    /// may be described later.
    pub(super) fn begin(
        &mut self,
        main: Rendition,
        time: i64,
        received_us: u64,
        is_independent: bool,
    ) {
        self.row(main);
        let is_discontinuity = std::mem::take(&mut self.is_broken);
        if is_discontinuity {
            self.discontinuities += 1;
            self.stats.discontinuities += 1;
            self.wall.reset();
        }
        let (msn, started_us) = (self.next_msn, self.wall.segment(time, received_us));
        for row in &self.rows {
            let opening = Opening {
                msn,
                started_us,
                is_discontinuity,
                discontinuities: self.discontinuities,
                init: row.init,
            };
            self.events.push_back(Event::Opened(row.rendition, opening));
        }
        self.open = Some(Open {
            msn,
            begin: time,
            started_us,
            is_discontinuity,
            part_begin: time,
            is_part_independent: is_independent,
            bytes: 0,
            date_ranges: Vec::new(),
        });
        self.next_msn += 1;
    }

    /// The open part ends: its bytes, by rendition. One without bytes has no part there.
    pub(super) fn end_part(
        &mut self,
        end: i64,
        is_next_independent: bool,
        chunks: impl IntoIterator<Item = (Rendition, Chunk)>,
    ) {
        let Some(mut open) = self.open.take() else { return };
        // What a gap in the stream adds to a part is said by the segment's duration only: no part
        // may be longer than the playlist's PART-TARGET.
        let duration = end.saturating_sub(open.part_begin).clamp(0, self.part_max);
        for (rendition, mut chunk) in chunks {
            if chunk.is_empty() {
                continue;
            }
            chunk.shrink();
            open.bytes += chunk.len();
            let row = self.row(rendition);
            let part = Arc::new(Part {
                msn: open.msn,
                index: row.parts.len() as u32,
                is_independent: open.is_part_independent || !rendition.is_main(),
                duration,
                chunk,
            });
            row.parts.push(part.clone());
            self.events.push_back(Event::Part(rendition, part));
        }
        (open.part_begin, open.is_part_independent) = (end, is_next_independent);
        self.open = Some(open);
    }

    /// The open segment ends; its last part has ended.
    pub(super) fn end_segment(&mut self, end: i64) {
        let Some(open) = self.open.take() else { return };
        self.stats.segments += 1;
        let duration = end.saturating_sub(open.begin).max(0);
        self.first_duration.get_or_insert(duration);
        self.end_subtitles(&open, duration, end);
        for row in &mut self.rows {
            let segment = Segment {
                msn: open.msn,
                duration,
                started_us: open.started_us,
                is_discontinuity: open.is_discontinuity,
                discontinuities: self.discontinuities,
                init: row.init,
                parts: std::mem::take(&mut row.parts),
                date_ranges: open.date_ranges.clone(),
            };
            self.events.push_back(Event::Segment(row.rendition, Arc::new(segment)));
        }
    }

    /// An event of the programme, which belongs to the open segment.
    pub(super) fn date_range(&mut self, date_range: DateRange) {
        if let Some(open) = &mut self.open {
            open.date_ranges.push(date_range);
        }
    }

    fn end_subtitles(&mut self, open: &Open, duration: i64, end: i64) {
        let Some(subtitles) = &mut self.subtitles else { return };
        let Open { msn, begin, started_us, is_discontinuity, .. } = *open;
        let discontinuities = self.discontinuities;
        let ended = Ended {
            opening: Opening { msn, started_us, is_discontinuity, discontinuities, init: None },
            duration,
            begin: begin.saturating_add(self.ahead),
            end: end.saturating_add(self.ahead),
        };
        subtitles.end_segment(ended, &mut self.events);
    }

    fn row(&mut self, rendition: Rendition) -> &mut Row {
        let at = match self.rows.iter().position(|row| row.rendition == rendition) {
            Some(at) => at,
            None => {
                let new = Row { rendition, parts: Vec::new(), init: None, description: None };
                self.rows.push(new);
                self.rows.len() - 1
            }
        };
        // `at` is an index that was just found or made.
        &mut self.rows[at]
    }
}
