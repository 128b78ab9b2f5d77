//! A presentation, fed with anything.
//!
//! Byte 0: bit 0 chooses the form, bit 1 adds a sound, bit 2 chooses events without sense, bit 3
//! encryption, bit 4 that of samples. Then one byte per step, see `Step`; without sense, four.

use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::Chunk;
use corelay_protocols::hls::encrypt::Method;
use corelay_protocols::hls::presentation::{KeyTag, Settings};
use corelay_protocols::hls::{
    Ask, Cue, DateRange, Event, Form, Init, Opening, Part, PartState, Presentation, Reload,
    Rendition, Segment,
};

#[path = "../../../tests/support/hls_rules.rs"]
mod hls_rules;
#[path = "../../../tests/support/hls_source.rs"]
mod hls_source;

use hls_rules::{Checker, Playlist};
use hls_source::Source;

/// What a packager may say breaks no rule; what it may not say breaks at least no parser.
pub fn run(data: &[u8]) {
    let [mode, steps @ ..] = data else { return };
    let form = if mode & 1 == 0 { Form::Ts } else { Form::Fmp4 };
    let method = match mode & 16 {
        0 => Method::Aes128,
        _ => Method::SampleAes { vector: [*mode; 16] },
    };
    let key = (mode & 8 != 0).then(|| KeyTag { method, uri: "key1".to_owned() });
    let settings = Settings { form, segment_ms: 2000, part_ms: 500, window: 3, spare: 3, key };
    let presentation = Presentation::new(Arc::new(settings));
    let steps = steps.get(..STEPS_MAX).unwrap_or(steps);
    if mode & 4 == 0 {
        run_source(form, mode >> 1 & 1, presentation, steps);
    } else {
        run_nonsense(form, presentation, steps);
    }
}

/// A step of a source that keeps its word.
enum Step {
    /// A segment of so many ticks: a quarter of a second to two and a half.
    Segment(i64),
    /// Another source, after so many milliseconds.
    Discontinuity(u64),
    Cue(Cue),
    End,
}

impl Step {
    fn new(byte: u8) -> Self {
        let value = byte & 0x1F;
        match byte >> 5 {
            5 => Self::Discontinuity(u64::from(value) * 700),
            6 => Self::Cue([Cue::Out, Cue::In, Cue::Command][usize::from(value) % 3]),
            7 => Self::End,
            high => Self::Segment(22_500 + (i64::from(high) * 32 + i64::from(value)) * 1270),
        }
    }
}

fn run_source(form: Form, sounds: u8, mut presentation: Presentation, steps: &[u8]) {
    let mut events = Vec::new();
    let mut source = Source::new(form, sounds, 500, 5, &mut events);
    let mut checkers = [(); 3].map(|()| Checker::default());
    for (number, byte) in steps.iter().enumerate() {
        match Step::new(*byte) {
            Step::Segment(ticks) => source.segment(ticks, &mut events),
            Step::Discontinuity(pause_ms) => source.discontinuity(pause_ms * 1000, &mut events),
            Step::Cue(cue) => {
                let planned_ms = (cue == Cue::Out).then_some(u64::from(*byte) * 100);
                source.cue(&format!("{}", number / 2), cue, 100, planned_ms);
            }
            Step::End => {
                presentation.end();
                load(&mut presentation, &mut checkers);
                checkers.iter_mut().for_each(Checker::reopen);
            }
        }
        for (place, event) in events.drain(..).enumerate() {
            presentation.apply(&event);
            if place % 5 == number % 5 {
                load(&mut presentation, &mut checkers);
            }
        }
    }
}

/// Loads the three kinds of playlist of the main rendition, and what they name.
fn load(presentation: &mut Presentation, checkers: &mut [Checker; 3]) {
    let main = Rendition::main(presentation.settings().form);
    for (checker, (low_latency, skip)) in checkers.iter_mut().zip(ASKS) {
        let Some(rendered) = presentation.playlist(main, Ask { low_latency, skip }) else {
            continue;
        };
        let text = std::str::from_utf8(rendered.text()).expect("a playlist is UTF-8");
        assert_eq!(checker.take(0, text), [], "{text}");
        let playlist = checker.playlist().expect("it was taken");
        for segment in &playlist.segments {
            assert!(presentation.segment(main, segment.msn).is_some(), "{}", segment.uri);
            assert_eq!(presentation.reload(main, segment.msn, None), Reload::Ready);
        }
        for hint in &playlist.hints {
            let mut numbers = hint["URI"].split('.').map_while(|number| number.parse::<u64>().ok());
            let (msn, index) = numbers.next().zip(numbers.next()).expect("two numbers");
            let state = presentation.part(main, msn, index as u32);
            assert_eq!(state, PartState::Awaited, "{hint:?}");
        }
    }
}

/// Events of any kind in any order, with small numbers, so that they meet, and very large ones.
fn run_nonsense(form: Form, mut presentation: Presentation, steps: &[u8]) {
    for step in steps.chunks_exact(4) {
        let [kind, msn, value, more] = [0, 1, 2, 3].map(|at| step.get(at).copied().unwrap_or(0));
        presentation.apply(&nonsense(form, kind, msn, value, more));
        let rendition = rendition_of(form, value);
        for (low_latency, skip) in ASKS {
            if let Some(rendered) = presentation.playlist(rendition, Ask { low_latency, skip }) {
                let text = std::str::from_utf8(rendered.text()).expect("a playlist is UTF-8");
                if let Err(what) = Playlist::parse(text) {
                    panic!("{what} in {text}");
                }
            }
        }
        let _ = presentation.reload(rendition, number(more), Some(u32::from(value)));
        let _ = presentation.part(rendition, number(msn), u32::from(more));
        let _ = (presentation.summary(), presentation.media_bytes());
    }
}

/// The main one, a sound, or subtitles.
fn rendition_of(form: Form, value: u8) -> Rendition {
    match value & 3 {
        0 | 2 => Rendition::main(form),
        1 => Rendition::audio(form, 1),
        _ => Rendition::subtitles(form, 1),
    }
}

fn nonsense(form: Form, kind: u8, msn: u8, value: u8, more: u8) -> Event {
    let rendition = rendition_of(form, kind >> 3);
    let part = |index: u8| {
        let chunk = Chunk::from(vec![0; usize::from(more)]);
        let duration = signed(value);
        let index = u32::from(index);
        Arc::new(Part { msn: number(msn), index, is_independent: more & 1 == 0, duration, chunk })
    };
    let init = (form == Form::Fmp4).then_some(u32::from(more));
    let is_discontinuity = value & 2 != 0;
    match kind & 7 {
        0 => {
            let init = Init { number: u32::from(value), bytes: Bytes::new() };
            Event::Init(rendition, Arc::new(init))
        }
        1 => Event::Opened(
            rendition,
            Opening {
                msn: number(msn),
                started_us: number(value),
                is_discontinuity,
                discontinuities: number(more),
                init,
            },
        ),
        2..=4 => Event::Part(rendition, part(kind >> 4)),
        _ => {
            let range = DateRange {
                id: char::from(value).to_string(),
                start_us: number(more),
                duration_ms: (value & 4 != 0).then(|| number(msn)),
                planned_ms: (value & 8 != 0).then(|| number(msn)),
                cue: [Cue::Out, Cue::In, Cue::Command][usize::from(more) % 3],
                section: Bytes::from(vec![value; 2]),
            };
            let segment = Segment {
                msn: number(msn),
                duration: signed(more),
                started_us: number(value),
                is_discontinuity,
                discontinuities: number(value),
                init,
                parts: (0..kind >> 5).map(part).collect(),
                date_ranges: vec![range],
            };
            Event::Segment(rendition, Arc::new(segment))
        }
    }
}

/// Mostly small; at last as large as can be.
fn number(byte: u8) -> u64 {
    if byte < 0xF0 { u64::from(byte) } else { u64::MAX - u64::from(0xFF - byte) }
}

/// Ticks of any kind.
fn signed(byte: u8) -> i64 {
    match byte {
        0xFF => i64::MAX,
        0xFE => i64::MIN,
        byte => (i64::from(byte) - 20) * 2000,
    }
}

/// Low latency or not, whole or without what is known.
const ASKS: [(bool, bool); 3] = [(false, false), (true, false), (true, true)];

/// Enough for every window to be left behind several times.
const STEPS_MAX: usize = 128;
