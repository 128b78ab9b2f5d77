//! Subtitles of a transport stream, as segments of WebVTT (RFC 8216 3.5).
//!
//! Each page of teletext that the PMT announces as subtitles is a rendition. Its segments have the
//! numbers, durations and dates of the others, and the timeline of the media segments that were cut
//! with them.
//!
//! - Pictures are sent up to a second before they are shown, and subtitles when they are shown
//!   (EN 300 472 5): a segment is told when the stream's clock has passed its end, or two more have
//!   ended.
//! - A text that is shown across the end of a segment is a cue of both, which end and begin there: how
//!   long it will be shown is not known yet.
//!
//! Invariants
//! - Nothing is decoded, and nothing held, of a stream without such pages.
//! - Cues of a segment do not overlap, and lie inside of it.

mod reader;
mod track;

use std::collections::VecDeque;
use std::sync::Arc;

use corelay_codecs::container::mpegts::Pid;
use corelay_codecs::container::mpegts::psi::{EsFormat, Program, TeletextPage};
use corelay_codecs::{Chunk, TsBlock, teletext};

use self::reader::Reader;
use self::track::Track;
use crate::hls::segment::{Description, Event, Form, Opening, Part, Rendition, Segment};

/// The subtitles of one stream.
#[derive(Debug)]
pub(super) struct Subtitles {
    form: Form,
    part_max: i64,
    /// What of the program was read for `reader` and `tracks`.
    version: Option<(u16, Pid, u8)>,
    reader: Reader,
    tracks: Vec<Track>,
    /// Segments of which something may still come.
    waiting: VecDeque<Ended>,
}

/// A segment that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// What was told when it began.
    pub(super) opening: Opening,
    pub(super) duration: i64,
    /// When its first picture is shown.
    pub(super) begin: i64,
    /// When that of the next one is.
    pub(super) end: i64,
}

/// True when a program has subtitles that can be read.
pub(super) fn are_in(program: &Program) -> bool {
    pages(program).next().is_some()
}

/// The pages of subtitles, and where they are.
fn pages(program: &Program) -> impl Iterator<Item = (Pid, &TeletextPage)> {
    let streams = program.streams.iter().filter(|stream| stream.format == EsFormat::Teletext);
    let all = streams.flat_map(|stream| stream.teletext.iter().map(|page| (stream.pid, page)));
    all.filter(|(_, page)| matches!(page.teletext_type, SUBTITLES | FOR_HARD_OF_HEARING))
        .filter(|(_, page)| teletext::is_written(&page.language))
}

impl Subtitles {
    pub(super) fn new(form: Form, part_max: i64) -> Self {
        Self {
            form,
            part_max,
            version: None,
            reader: Reader::default(),
            tracks: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes the next packets. `place` puts a time of 33 bits onto the timeline of the segments.
    pub(super) fn push(
        &mut self,
        block: &TsBlock,
        program: &Program,
        place: impl Fn(u64) -> Option<i64>,
        events: &mut VecDeque<Event>,
    ) {
        let version = (program.program_number, program.pmt_pid, program.version);
        if self.version.replace(version) != Some(version) {
            self.follow(program, events);
        }
        let tracks = &mut self.tracks;
        self.reader.push(block, place, |pid, page, time, text| {
            let track = tracks.iter_mut().find(|track| track.is_at(pid, page));
            if let Some(track) = track {
                track.show(time, text);
            }
        });
        self.settle(events);
    }

    /// A segment of the other renditions has ended.
    pub(super) fn end_segment(&mut self, ended: Ended, events: &mut VecDeque<Event>) {
        self.waiting.push_back(ended);
        self.settle(events);
    }

    /// What follows does not continue what was.
    pub(super) fn break_off(&mut self, events: &mut VecDeque<Event>) {
        while let Some(ended) = self.waiting.pop_front() {
            self.tell(&ended, events);
        }
        self.tracks.iter_mut().for_each(Track::clear);
        self.reader.lose_clock();
    }

    /// Takes over what the PMT says now. A rendition goes on when there still are subtitles of its
    /// language and kind.
    fn follow(&mut self, program: &Program, events: &mut VecDeque<Event>) {
        let mut before = std::mem::take(&mut self.tracks);
        for (pid, page) in pages(program) {
            if self.tracks.len() == TRACKS_MAX || self.is_read(pid, page.number) {
                continue;
            }
            let language = page.language.as_str();
            let is_for_hard_of_hearing = page.teletext_type == FOR_HARD_OF_HEARING;
            let is_same = |track: &Track| track.is_of(language, is_for_hard_of_hearing);
            let track = match before.iter().position(is_same) {
                Some(at) => before.remove(at).moved_to(pid, page.number),
                None => {
                    let number = self.free_number(&before);
                    let rendition = Rendition::subtitles(self.form, number);
                    let description = Description {
                        language: language.to_owned(),
                        is_for_hard_of_hearing,
                        ..Description::default()
                    };
                    events.push_back(Event::Described(rendition, Arc::new(description)));
                    Track::new(number, language, is_for_hard_of_hearing, pid, page.number)
                }
            };
            self.tracks.push(track);
        }
        let wanted = self.tracks.iter().map(|track| (track.pid(), track.page()));
        self.reader.follow(program.pcr_pid, wanted);
    }

    fn is_read(&self, pid: Pid, page: u16) -> bool {
        self.tracks.iter().any(|track| track.is_at(pid, page))
    }

    /// The first number that no rendition has, nor one of `others`.
    fn free_number(&self, others: &[Track]) -> u8 {
        let all = || self.tracks.iter().chain(others);
        let is_free = |number: &u8| all().all(|track| track.number() != *number);
        (1..=u8::MAX).find(is_free).unwrap_or(u8::MAX)
    }

    /// Tells the segments that are complete.
    fn settle(&mut self, events: &mut VecDeque<Event>) {
        while let Some(first) = self.waiting.front().copied() {
            let is_over = self.reader.clock().is_some_and(|clock| clock >= first.end);
            if !is_over && self.waiting.len() <= WAITING_MAX {
                return;
            }
            self.waiting.pop_front();
            self.tell(&first, events);
        }
    }

    fn tell(&mut self, ended: &Ended, events: &mut VecDeque<Event>) {
        let Opening { msn, started_us, is_discontinuity, discontinuities, .. } = ended.opening;
        for track in &mut self.tracks {
            let rendition = Rendition::subtitles(self.form, track.number());
            let text = track.segment(ended.begin, ended.end);
            let part = Arc::new(Part {
                msn,
                index: 0,
                is_independent: true,
                duration: ended.duration.min(self.part_max),
                chunk: Chunk::from(text.into_bytes()),
            });
            let segment = Arc::new(Segment {
                msn,
                duration: ended.duration,
                started_us,
                is_discontinuity,
                discontinuities,
                init: None,
                parts: vec![part.clone()],
                date_ranges: Vec::new(),
            });
            events.push_back(Event::Opened(rendition, ended.opening));
            events.push_back(Event::Part(rendition, part));
            events.push_back(Event::Segment(rendition, segment));
        }
    }
}

/// teletext_type (ETSI EN 300 468 table 100).
const SUBTITLES: u8 = 2;
const FOR_HARD_OF_HEARING: u8 = 5;
/// Segments that may wait for the clock: renditions further behind count as gone.
const WAITING_MAX: usize = 2;
/// More than any program has: a descriptor has room for 51 pages, and a PMT for several of those.
const TRACKS_MAX: usize = 16;
