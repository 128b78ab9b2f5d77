//! From a publisher to the playlists: what the packager really makes keeps the rules of playlists.

mod hls_packager_support;
#[path = "support/hls_rules.rs"]
mod hls_rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use corelay_codecs::AccessUnit;
use corelay_protocols::hls::packager::{Packager, Settings};
use corelay_protocols::hls::{Ask, Form, Presentation, Rendition, presentation};
use hls_packager_support::{MS, NOW_US, Publisher, SOUND_2, aac, avc, sound};
use hls_rules::Checker;

/// A packager, its presentation, and players that load all playlists of it.
struct Live {
    packager: Packager,
    presentation: Presentation,
    checkers: BTreeMap<(Rendition, bool, bool), Checker>,
    events: usize,
    loads: usize,
}

impl Live {
    fn new(form: Form) -> Self {
        let settings = Settings { form, ..Settings::default() };
        let presentation = presentation::Settings {
            form,
            segment_ms: settings.segment_ms,
            part_ms: settings.part_ms,
            window: 6,
            spare: 6,
            key: None,
        };
        Self {
            packager: Packager::new(settings, 100),
            presentation: Presentation::new(Arc::new(presentation)),
            checkers: BTreeMap::new(),
            events: 0,
            loads: 0,
        }
    }

    fn push(&mut self, unit: &AccessUnit, is_entry: bool) {
        let received_us = NOW_US + unit.dts.0.unsigned_abs() * 100 / 9;
        self.packager.push_unit(unit, is_entry, received_us);
        self.take_events();
    }

    fn publish(&mut self, publisher: &Publisher) {
        self.push(&avc(), false);
        self.push(&aac(), false);
        publisher.frames().iter().for_each(|(unit, is_entry)| self.push(unit, *is_entry));
    }

    fn take_events(&mut self) {
        while let Some(event) = self.packager.poll_event() {
            self.presentation.apply(&event);
            self.events += 1;
            // A prime number: players come at other places of every segment.
            if self.events.is_multiple_of(7) {
                self.load();
            }
        }
    }

    fn load(&mut self) {
        for rendition in self.presentation.renditions().collect::<Vec<_>>() {
            for (low_latency, skip) in [(false, false), (true, false), (true, true)] {
                let ask = Ask { low_latency, skip };
                let Some(rendered) = self.presentation.playlist(rendition, ask) else { continue };
                let text = str::from_utf8(rendered.text()).unwrap();
                let checker = self.checkers.entry((rendition, low_latency, skip)).or_default();
                let violations = checker.take(0, text);
                assert!(violations.is_empty(), "{violations:#?}\n{text}");
                self.loads += 1;
            }
        }
    }
}

#[test]
fn a_quarter_of_an_hour_of_both_forms_breaks_no_rule() {
    for form in [Form::Ts, Form::Fmp4] {
        let mut live = Live::new(form);
        live.publish(&Publisher {
            to_ms: 900_000,
            groups: &[50],
            has_b_frames: true,
            sample_rate: 44_100,
            picture_bytes: 20,
            ..Publisher::default()
        });
        assert!(live.loads > 900, "{} loads", live.loads);
    }
}

#[test]
fn uneven_groups_of_pictures_break_no_rule() {
    for form in [Form::Ts, Form::Fmp4] {
        let mut live = Live::new(form);
        let groups = &[25, 50, 13, 100, 60, 25, 175, 300];
        live.publish(&Publisher { to_ms: 300_000, groups, ..Publisher::default() });
        assert!(live.loads > 300, "{} loads", live.loads);
    }
}

#[test]
fn audio_alone_breaks_no_rule() {
    for form in [Form::Ts, Form::Fmp4] {
        let mut live = Live::new(form);
        live.publish(&Publisher { to_ms: 120_000, frame_rate: 0, ..Publisher::default() });
        assert!(live.loads > 100, "{} loads", live.loads);
    }
}

#[test]
fn publishers_that_leave_and_return_break_no_rule() {
    for form in [Form::Ts, Form::Fmp4] {
        let mut live = Live::new(form);
        for number in 0..10 {
            let from_ms = number * 30_000;
            live.publish(&Publisher { from_ms, to_ms: from_ms + 21_300, ..Publisher::default() });
            live.packager.discontinuity();
            live.take_events();
        }
        assert!(live.loads > 300, "{} loads", live.loads);
    }
}

#[test]
fn a_second_sound_is_a_rendition_that_breaks_no_rule() {
    let mut live = Live::new(Form::Fmp4);
    let mut second = aac();
    second.track = SOUND_2;
    live.push(&second, false);
    live.push(&avc(), false);
    live.push(&aac(), false);
    let publisher = Publisher { to_ms: 60_000, ..Publisher::default() };
    let mut frames = publisher.frames();
    let more = (0..60_000 / 21).map(|n| (sound(SOUND_2, n * 1_024_000 / 48_000 * MS, 200), false));
    frames.extend(more);
    frames.sort_by_key(|(unit, _)| (unit.dts, unit.track));
    frames.iter().for_each(|(unit, is_entry)| live.push(unit, *is_entry));
    assert_eq!(live.presentation.renditions().count(), 2);
    assert!(live.loads > 300, "{} loads", live.loads);
}
