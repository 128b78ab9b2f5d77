//! What a packager makes of difficult streams, told in playlists that keep the rules.

mod hls_packager_support;
#[path = "support/hls_rules.rs"]
mod hls_rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use corelay_codecs::{AccessUnit, CodecId, TrackId};
use corelay_protocols::hls::packager::{self, Packager};
use corelay_protocols::hls::presentation::{Presentation, Settings};
use corelay_protocols::hls::{Ask, Event, Form, Links, Rendition, Variant, multivariant};
use hls_packager_support::*;
use hls_rules::{Checker, check_multivariant};

/// A stream from its publisher to the playlists, which are loaded whenever there is a new part.
struct Channel {
    packager: Packager,
    presentation: Presentation,
    checkers: BTreeMap<(Rendition, bool), Checker>,
    now_us: u64,
    loads: usize,
}

impl Channel {
    fn new(form: Form) -> Self {
        let settings = packager::Settings { form, ..packager::Settings::default() };
        let presentation = Presentation::new(Arc::new(Settings {
            form,
            segment_ms: settings.segment_ms,
            part_ms: settings.part_ms,
            window: 6,
            spare: 6,
            key: None,
        }));
        Self {
            packager: Packager::new(settings, FIRST_MSN),
            presentation,
            checkers: BTreeMap::new(),
            now_us: NOW_US,
            loads: 0,
        }
    }

    fn push_all(&mut self, frames: &[(AccessUnit, bool)]) {
        for (unit, is_entry) in frames {
            self.now_us = NOW_US + unit.dts.0 as u64 * 100 / 9;
            self.packager.push_unit(unit, *is_entry, self.now_us);
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        let mut is_new = false;
        while let Some(event) = self.packager.poll_event() {
            self.presentation.apply(&event);
            is_new |= matches!(event, Event::Part(..) | Event::Segment(..));
        }
        if !is_new || !self.presentation.is_ready(true) {
            return;
        }
        for rendition in self.presentation.renditions().collect::<Vec<_>>() {
            for low_latency in [false, true] {
                let ask = Ask { low_latency, skip: false };
                let rendered = self.presentation.playlist(rendition, ask).unwrap();
                let text = str::from_utf8(rendered.text()).unwrap();
                let checker = self.checkers.entry((rendition, low_latency)).or_default();
                let violations = checker.take(self.now_us / 1_000, text);
                assert!(violations.is_empty(), "{violations:#?}\n{text}");
                self.loads += 1;
            }
        }
        let summary = self.presentation.summary();
        let variants = [Variant { name: "news", summary: &summary }];
        let text = multivariant(&variants, &Links::default());
        assert_eq!(check_multivariant(&text), Vec::<String>::new(), "{text}");
    }
}

/// Frames with a second sound.
fn with_second_sound(publisher: Publisher) -> Vec<(AccessUnit, bool)> {
    let mut frames = publisher.frames();
    let sounds = frames.iter().filter(|(unit, _)| unit.track == TrackId::AUDIO);
    let second =
        |(unit, _): &(AccessUnit, bool)| (AccessUnit { track: SOUND_2, ..unit.clone() }, false);
    let seconds: Vec<_> = sounds.map(second).collect();
    frames.extend(seconds);
    frames.sort_by_key(|(unit, _)| (unit.dts, unit.track));
    frames
}

#[test]
fn playlists_of_a_stream_that_has_everything_keep_the_rules() {
    for form in [Form::Ts, Form::Fmp4] {
        let mut channel = Channel::new(form);
        let configs = [avc(), aac(), config(SOUND_2, CodecId::Aac, AAC_48)];
        let configs: Vec<_> = configs.into_iter().map(|unit| (unit, false)).collect();
        let uneven = Publisher {
            groups: &[60, 25, 50, 13, 100, 200, 30, 7],
            has_b_frames: true,
            picture_bytes: 50,
            ..Publisher::default()
        };
        let span = |from_s: i64, to_s: i64| Publisher {
            from_ms: from_s * 1_000,
            to_ms: to_s * 1_000,
            ..uneven
        };
        channel.push_all(&configs);
        channel.push_all(&with_second_sound(span(0, 120)));
        // The publisher is gone for half a minute.
        channel.packager.discontinuity();
        channel.push_all(&configs);
        channel.push_all(&with_second_sound(span(150, 180)));
        // Its second sound stops, its pictures become larger.
        channel.push_all(&[(config(TrackId::VIDEO, CodecId::H264, AVC_LARGE), false)]);
        channel.push_all(&span(180, 220).frames());
        // The network loses 20 s.
        channel.push_all(&span(240, 270).frames());
        channel.packager.finish();
        channel.take_events();
        let stats = channel.packager.stats();
        assert!(stats.forced_cuts > 0 && stats.gaps == 1, "{stats:?}");
        assert!(stats.discontinuities >= 3, "{stats:?}");
        assert!(channel.loads > 1_000, "{}", channel.loads);
    }
}

#[test]
fn playlists_of_sound_alone_keep_the_rules() {
    for form in [Form::Ts, Form::Fmp4] {
        let mut channel = Channel::new(form);
        let publisher = Publisher { frame_rate: 0, to_ms: 180_000, ..Publisher::default() };
        channel.push_all(&[(aac(), false)]);
        channel.push_all(&publisher.frames());
        assert!(channel.loads > 600, "{}", channel.loads);
    }
}
