//! A stream as a packager tells of it, without media: segments, parts, discontinuities, cues.
#![allow(dead_code, reason = "every test crate uses another part of this file")]

use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::Chunk;
use corelay_protocols::hls::{
    Cue, DateRange, Description, Event, Form, Init, Opening, Part, Rendition, Segment,
};

/// Makes the events of all renditions of a stream.
#[derive(Debug)]
pub struct Source {
    pub form: Form,
    /// The main rendition, and this many sounds by themselves.
    pub sounds: u8,
    /// In ticks of 1/90,000 s.
    pub part_ticks: i64,
    /// The number of the next segment.
    pub msn: u64,
    /// When it begins, in microseconds since 1970.
    pub now_us: u64,
    /// Its cues.
    pub cues: Vec<DateRange>,
    init: u32,
    discontinuities: u64,
    is_discontinuity: bool,
}

impl Source {
    /// A stream whose first segment has this number. The events that introduce it are `events`.
    pub fn new(form: Form, sounds: u8, part_ms: u32, msn: u64, events: &mut Vec<Event>) -> Self {
        let mut source = Self {
            form,
            sounds,
            part_ticks: i64::from(part_ms) * 90,
            msn,
            now_us: 1_795_363_083_000_000,
            cues: Vec::new(),
            init: 0,
            discontinuities: 0,
            is_discontinuity: false,
        };
        source.describe(events);
        source
    }

    pub fn renditions(&self) -> impl Iterator<Item = Rendition> + use<> {
        let form = self.form;
        (0..=self.sounds).map(move |audio| Rendition::audio(form, audio))
    }

    /// Another source, after a pause; its segments need another initialisation.
    pub fn discontinuity(&mut self, pause_us: u64, events: &mut Vec<Event>) {
        self.now_us += pause_us;
        self.discontinuities += u64::from(!self.is_discontinuity);
        self.is_discontinuity = true;
        self.describe(events);
    }

    /// A cue that stands `after_ms` behind the beginning of the next segment.
    pub fn cue(&mut self, id: &str, cue: Cue, after_ms: u64, planned_ms: Option<u64>) {
        self.cues.push(DateRange {
            id: id.to_owned(),
            start_us: self.now_us + after_ms * 1000,
            duration_ms: None,
            planned_ms,
            cue,
            section: Bytes::from_static(&[0xFC, 0x30, 0x0A]),
        });
    }

    /// A segment of all renditions, cut into parts.
    pub fn segment(&mut self, duration: i64, events: &mut Vec<Event>) {
        let opening = self.opening();
        let opened = self.renditions().map(|rendition| Event::Opened(rendition, opening));
        events.extend(opened);
        let count = ((duration + self.part_ticks - 1) / self.part_ticks).max(1);
        let mut parts: Vec<Arc<Part>> = Vec::new();
        for index in 0..count {
            let left = duration - index * self.part_ticks;
            let part = Arc::new(Part {
                msn: self.msn,
                index: index as u32,
                is_independent: index == 0,
                duration: left.min(self.part_ticks),
                chunk: Chunk::from(vec![index as u8; 10]),
            });
            events.extend(self.renditions().map(|rendition| Event::Part(rendition, part.clone())));
            parts.push(part);
        }
        let Opening { msn, started_us, is_discontinuity, discontinuities, init } = opening;
        let date_ranges = std::mem::take(&mut self.cues);
        for rendition in self.renditions() {
            let date_ranges = if rendition.is_main() { date_ranges.clone() } else { Vec::new() };
            let segment = Segment {
                msn,
                duration,
                started_us,
                is_discontinuity,
                discontinuities,
                init,
                parts: parts.clone(),
                date_ranges,
            };
            events.push(Event::Segment(rendition, Arc::new(segment)));
        }
        self.msn += 1;
        self.now_us += duration as u64 * 100 / 9;
        self.is_discontinuity = false;
    }

    fn opening(&self) -> Opening {
        Opening {
            msn: self.msn,
            started_us: self.now_us,
            is_discontinuity: self.is_discontinuity,
            discontinuities: self.discontinuities,
            init: (self.form == Form::Fmp4).then_some(self.init),
        }
    }

    fn describe(&mut self, events: &mut Vec<Event>) {
        self.init += 1;
        for rendition in self.renditions() {
            let description = Description {
                codecs: vec![
                    ["avc1.64001f", "mp4a.40.2"][usize::from(!rendition.is_main())].into(),
                ],
                ..Description::default()
            };
            events.push(Event::Described(rendition, Arc::new(description)));
            if self.form == Form::Fmp4 {
                let init = Init { number: self.init, bytes: Bytes::from_static(b"ftypmoov") };
                events.push(Event::Init(rendition, Arc::new(init)));
            }
        }
    }
}
