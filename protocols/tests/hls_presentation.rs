//! Presentations through an hour of virtual time: every playlist of every state keeps the rules,
//! and what it names can be fetched.

#[path = "support/hls_rules.rs"]
mod hls_rules;
#[path = "support/hls_source.rs"]
mod hls_source;

use std::collections::BTreeMap;
use std::sync::Arc;

use corelay_protocols::hls::presentation::Settings;
use corelay_protocols::hls::{
    Ask, Cue, Event, Form, Links, PartState, Presentation, Reload, Rendition, Variant, multivariant,
};
use hls_rules::{Checker, Violation, check_multivariant, compare};
use hls_source::Source;

/// Loads the playlists of a presentation as players do, and checks them.
struct Players {
    presentation: Presentation,
    /// One for each playlist that somebody watches: complete ones, and updates of what is known.
    checkers: BTreeMap<(Rendition, bool, bool), Checker>,
    violations: Vec<Violation>,
    loads: usize,
}

impl Players {
    fn new(settings: Settings) -> Self {
        let presentation = Presentation::new(Arc::new(settings));
        Self { presentation, checkers: BTreeMap::new(), violations: Vec::new(), loads: 0 }
    }

    fn load(&mut self, at_us: u64) {
        let at_ms = at_us / 1000;
        for rendition in self.presentation.renditions().collect::<Vec<_>>() {
            for (low_latency, skip) in [(false, false), (true, false), (true, true)] {
                let ask = Ask { low_latency, skip };
                let rendered = self.presentation.playlist(rendition, ask).unwrap();
                let text = std::str::from_utf8(rendered.text()).unwrap();
                let checker = self.checkers.entry((rendition, low_latency, skip)).or_default();
                checker.short_parts = true;
                self.violations.extend(checker.take(at_ms, text));
                self.loads += 1;
                assert!(self.violations.is_empty(), "{:#?}\n{text}", self.violations);
            }
            self.fetch_all(rendition);
            self.compare_with_main(at_ms, rendition);
        }
    }

    /// What the playlist names is there, and its bytes are those of the parts.
    fn fetch_all(&self, rendition: Rendition) {
        let playlist = self.checkers[&(rendition, true, false)].playlist().unwrap();
        for listed in &playlist.segments {
            let segment = self.presentation.segment(rendition, listed.msn).unwrap();
            assert_eq!(listed.uri, format!("{}.{}", segment.msn, rendition.extension()));
            let init = segment.init.map(|number| {
                assert!(self.presentation.init(rendition, number).is_some());
                format!("init{number}.mp4")
            });
            assert_eq!(listed.map, init);
        }
        for part in playlist.parts() {
            let (msn, index) = numbers(&part.uri);
            assert!(matches!(
                self.presentation.part(rendition, msn, index),
                PartState::Ready(part) if (part.msn, part.index) == (msn, index)
            ));
            assert_eq!(self.presentation.reload(rendition, msn, Some(index)), Reload::Ready);
        }
        for hint in &playlist.hints {
            let (msn, index) = numbers(&hint["URI"]);
            assert_eq!(self.presentation.part(rendition, msn, index), PartState::Awaited);
            assert_eq!(
                self.presentation.reload(rendition, msn, Some(index)),
                Reload::Awaited,
                "{}",
                hint["URI"],
            );
        }
    }

    fn compare_with_main(&mut self, at_ms: u64, rendition: Rendition) {
        let playlist = |rendition| self.checkers[&(rendition, true, false)].playlist().unwrap();
        let main = playlist(Rendition::main(rendition.form));
        let found = compare(at_ms, main, playlist(rendition));
        self.violations.extend(found.into_iter().filter(|_| !rendition.is_main()));
    }
}

/// `5.2.m4s` is part 2 of segment 5.
fn numbers(uri: &str) -> (u64, u32) {
    let mut numbers = uri.split('.');
    let mut next = || numbers.next().unwrap().parse::<u64>().unwrap();
    (next(), next() as u32)
}

fn settings(form: Form, part_ms: u32) -> Settings {
    Settings { form, segment_ms: 4000, part_ms, window: 6, spare: 8, key: None }
}

/// An hour: segments of 2 to 4 s, sometimes less; every seven minutes another source after a pause;
/// breaks. Playlists are loaded after every `every`th event.
fn an_hour(form: Form, sounds: u8, every: usize) -> Players {
    let mut players = Players::new(settings(form, 500));
    let mut events = Vec::new();
    let mut source = Source::new(form, sounds, 500, 7, &mut events);
    let begin_us = source.now_us;
    let (mut count, mut breaks) = (0, 0);
    while source.now_us < begin_us + 3_600_000_000 {
        let number = source.msn as i64;
        if number % 150 == 149 {
            source.discontinuity(20_000_000, &mut events);
        }
        match number % 40 {
            10 => source.cue(&format!("break{breaks}"), Cue::Out, 500, Some(30_000)),
            19 => source.cue(&format!("break{breaks}"), Cue::In, 100, None),
            20 => breaks += 1,
            _ => {}
        }
        let at_us = source.now_us;
        let ticks = if number % 17 == 3 { 100_000 } else { 180_000 + number * 7919 % 180_000 };
        source.segment(ticks, &mut events);
        for event in events.drain(..) {
            players.presentation.apply(&event);
            count += 1;
            if count % every == 0 {
                players.load(at_us);
            }
        }
    }
    assert_eq!(players.violations, []);
    assert!(players.loads > 3000, "{} loads", players.loads);
    players
}

#[test]
fn an_hour_of_transport_stream_breaks_no_rule() {
    an_hour(Form::Ts, 0, 5);
}

#[test]
fn an_hour_of_fragments_with_two_sounds_breaks_no_rule() {
    let players = an_hour(Form::Fmp4, 1, 13);
    assert_eq!(players.presentation.renditions().count(), 2);
    let summary = players.presentation.summary();
    let variants = [Variant { name: "news", summary: &summary }];
    let text = multivariant(&variants, &Links::default());
    assert_eq!(check_multivariant(&text), Vec::<String>::new(), "{text}");
}

#[test]
fn a_source_that_leaves_ends_the_playlist_and_one_that_returns_reopens_it() {
    let mut players = Players::new(settings(Form::Fmp4, 500));
    let mut events = Vec::new();
    let mut source = Source::new(Form::Fmp4, 0, 500, 0, &mut events);
    for _ in 0..3 {
        for _ in 0..5 {
            source.segment(180_000, &mut events);
            events.drain(..).for_each(|event| players.presentation.apply(&event));
            players.load(source.now_us);
        }
        players.presentation.end();
        players.load(source.now_us);
        let main = Rendition::main(Form::Fmp4);
        assert_eq!(players.presentation.reload(main, 1000, None), Reload::Ready);
        players.checkers.values_mut().for_each(Checker::reopen);
        source.discontinuity(60_000_000, &mut events);
    }
    assert_eq!(players.violations, []);
}

#[test]
fn a_core_that_joins_serves_the_same() {
    let mut owner = Presentation::new(Arc::new(settings(Form::Fmp4, 500)));
    let mut events = Vec::new();
    let mut source = Source::new(Form::Fmp4, 2, 500, 0, &mut events);
    for _ in 0..20 {
        source.segment(200_000, &mut events);
    }
    let (before, after) = events.split_at(events.len() / 2);
    before.iter().for_each(|event| owner.apply(event));
    let mut joined = owner.clone();
    for event in after {
        owner.apply(event);
        joined.apply(event);
        for rendition in source.renditions() {
            for (low_latency, skip) in [(false, false), (true, false), (true, true)] {
                let ask = Ask { low_latency, skip };
                let [one, other] = [&mut owner, &mut joined]
                    .map(|presentation| presentation.playlist(rendition, ask).unwrap());
                assert_eq!((one.text(), one.etag()), (other.text(), other.etag()));
            }
        }
    }
}

#[test]
fn events_without_openings_make_valid_playlists_too() {
    let mut players = Players::new(settings(Form::Ts, 500));
    let mut events = Vec::new();
    let mut source = Source::new(Form::Ts, 0, 500, 0, &mut events);
    for _ in 0..20 {
        source.segment(180_000, &mut events);
    }
    for event in events.iter().filter(|event| !matches!(event, Event::Opened(..))) {
        players.presentation.apply(event);
        players.load(0);
    }
    assert_eq!(players.violations, []);
}
