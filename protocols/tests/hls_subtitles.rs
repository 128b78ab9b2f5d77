//! Teletext of a transport stream as renditions of WebVTT, beside its own packets and beside units.

mod hls_packager_support;
#[path = "support/hls_rules.rs"]
mod hls_rules;
#[path = "../../codecs/tests/support/teletext.rs"]
mod teletext;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::demux::{self, Demuxer, Output};
use corelay_codecs::container::mpegts::scan::Scanner;
use corelay_protocols::hls::packager::{Packager, Settings};
use corelay_protocols::hls::presentation::{self, Presentation};
use corelay_protocols::hls::{Ask, Event, Form, Links, Rendition, Segment, Variant, multivariant};
use hls_packager_support::packets::{Stream, VIDEO};
use hls_packager_support::{FIRST_MSN, NOW_US};
use hls_rules::{Checker, check_multivariant, compare};
use teletext::{C4_ERASE, C6_SUBTITLE, boxed, header, pes, row};

/// German subtitles on page 150, and for the hard of hearing on page 777.
const TWO_PAGES: &[u8] = b"deu\x11\x50deu\x2F\x77";
const SECOND: i64 = 90_000;
/// Presentation time of the first picture.
const BEGIN: i64 = 10 * SECOND + 3_600;

/// A headend: pictures of 25 fps in groups of a second, sent 0.8 s before they are shown; teletext is sent
/// when it is shown.
struct Headend {
    stream: Stream,
    scanner: Scanner,
    version: u8,
    /// Number of the next picture, of which each lasts 40 ms.
    picture: i64,
    /// Added to all times.
    offset: i64,
    /// Pages and their texts, by the time at which they are shown.
    texts: Vec<(i64, u16, &'static str)>,
    made: Vec<Channel>,
}

/// What is made of the stream in one form.
struct Channel {
    form: Form,
    packager: Packager,
    demuxer: Demuxer,
    presentation: Presentation,
    checkers: BTreeMap<(Rendition, bool), Checker>,
    segments: BTreeMap<Rendition, Vec<Arc<Segment>>>,
}

impl Channel {
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
            form,
            packager: Packager::new(settings, FIRST_MSN),
            demuxer: Demuxer::new(demux::Settings::default()),
            presentation: Presentation::new(Arc::new(presentation)),
            checkers: BTreeMap::new(),
            segments: BTreeMap::new(),
        }
    }

    fn push(&mut self, block: &TsBlock, tables: &Bytes, is_entry: bool, received_us: u64) {
        if self.form == Form::Ts {
            self.packager.push_packets(block, tables, is_entry, received_us);
        } else {
            let mut out = Vec::new();
            self.demuxer.push(block, &mut out);
            for output in out {
                let Output::Unit(unit) = output else { continue };
                let is_entry = unit.is_video_random_access();
                self.packager.push_unit(&unit, is_entry, received_us);
            }
            if let Some(program) = self.demuxer.program() {
                let place = |time| self.demuxer.place(time);
                self.packager.push_beside(block, program, place);
            }
        }
        self.take_events(received_us / 1_000);
    }

    fn take_events(&mut self, now_ms: u64) {
        let mut is_new = false;
        while let Some(event) = self.packager.poll_event() {
            self.presentation.apply(&event);
            if let Event::Segment(rendition, segment) = event {
                self.segments.entry(rendition).or_default().push(segment);
                is_new = true;
            }
        }
        if is_new && self.presentation.is_ready(true) {
            self.check(now_ms);
        }
    }

    /// Loads every playlist, and looks whether it keeps the rules.
    fn check(&mut self, now_ms: u64) {
        let renditions: Vec<Rendition> = self.presentation.renditions().collect();
        for low_latency in [false, true] {
            for rendition in &renditions {
                let ask = Ask { low_latency, skip: false };
                let Some(rendered) = self.presentation.playlist(*rendition, ask) else { continue };
                let text = std::str::from_utf8(rendered.text()).expect("UTF-8");
                let checker = self.checkers.entry((*rendition, low_latency)).or_default();
                assert_eq!(checker.take(now_ms, text), [], "{rendition}: {text}");
                let playlist = checker.playlist().expect("it was taken").clone();
                let main = &self.checkers[&(Rendition::main(self.form), low_latency)];
                let main = main.playlist().expect("it comes first");
                assert_eq!(compare(now_ms, main, &playlist), [], "{rendition}: {text}");
            }
        }
    }

    fn subtitles(&self, number: u8) -> &[Arc<Segment>] {
        let rendition = Rendition::subtitles(self.form, number);
        self.segments.get(&rendition).map_or(&[], Vec::as_slice)
    }

    /// The cues of a rendition on the timeline, as seconds since the first picture; adjoining ones of the
    /// same text are one.
    fn cues(&self, number: u8) -> Vec<(f64, f64, String)> {
        let mut cues: Vec<(f64, f64, String)> = Vec::new();
        for segment in self.subtitles(number) {
            let text = String::from_utf8(segment.parts[0].chunk.to_vec()).expect("UTF-8");
            for (start, end, line) in cues_of(&text) {
                let seconds = |ticks: i64| (ticks - BEGIN) as f64 / SECOND as f64;
                match cues.last_mut() {
                    Some(last) if last.2 == line && (last.1 - seconds(start)).abs() < 0.002 => {
                        last.1 = seconds(end);
                    }
                    _ => cues.push((seconds(start), seconds(end), line)),
                }
            }
        }
        cues
    }
}

/// The cues of a segment, in ticks on the timeline of its header.
fn cues_of(text: &str) -> Vec<(i64, i64, String)> {
    let map = text.lines().nth(1).expect("a map");
    let time = map.strip_prefix("X-TIMESTAMP-MAP=MPEGTS:").expect("a map");
    let (time, local) = time.split_once(',').expect("two times");
    assert_eq!(local, "LOCAL:00:00:00.000");
    let zero: i64 = time.parse().expect("a number");
    let ticks = |time: &str| {
        let numbers = time.split([':', '.']).map(|part| part.parse::<i64>().expect("a number"));
        let [hours, minutes, seconds, millis] = numbers.collect::<Vec<_>>()[..] else {
            panic!("{time}")
        };
        zero + (((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis) * 90
    };
    let cue = |block: &str| {
        let (times, line) = block.trim_end().split_once('\n').expect("two lines");
        let (start, end) = times.split_once(" --> ").expect("two times");
        (ticks(start), ticks(end), line.to_owned())
    };
    text.split("\n\n").skip(1).map(cue).collect()
}

impl Headend {
    fn new(descriptor: &[u8]) -> Self {
        let mut stream = Stream::default();
        stream.teletext = descriptor.to_vec();
        Self {
            stream,
            scanner: Scanner::new(),
            version: 0,
            picture: 0,
            offset: 0,
            texts: Vec::new(),
            made: vec![Channel::new(Form::Ts), Channel::new(Form::Fmp4)],
        }
    }

    /// A page shows a text from so many milliseconds behind the first picture on; nothing with "".
    fn show(&mut self, ms: i64, page: u16, text: &'static str) {
        self.texts.push((BEGIN + ms * 90, page, text));
    }

    /// Sends up to so many milliseconds behind the first picture.
    fn send_until(&mut self, end_ms: i64) {
        while self.picture * 40 < end_ms {
            if self.picture % 12 == 0 {
                self.stream.tables(self.version, VIDEO);
            }
            let pts = BEGIN + self.picture * 3_600;
            let (dts, clock) = (pts - 3_600, pts - 72_000);
            self.stream.pcr(VIDEO, clock + self.offset);
            for (_, page, text) in self.texts.extract_if(.., |(at, ..)| *at <= clock + 3_600) {
                let time = (clock + 3_600 + self.offset) as u64;
                let header = header(page, C4_ERASE | C6_SUBTITLE);
                let rows = (!text.is_empty()).then(|| row(page, 22, &boxed(text.as_bytes())));
                let packets: Vec<_> = [header].into_iter().chain(rows).collect();
                self.stream.teletext(&pes(time, &packets));
            }
            self.stream.picture(VIDEO, dts + self.offset, self.picture % 25 == 0);
            self.picture += 1;
            self.flush();
        }
    }

    fn flush(&mut self) {
        let block = self.stream.take();
        let mut cuts = vec![(0, Bytes::new())];
        self.scanner.packets_and_tables(block.bytes(), |at, tables| cuts.push((at / 188, tables)));
        let received_us = NOW_US + self.picture as u64 * 40_000;
        for (index, (at, tables)) in cuts.iter().enumerate() {
            let end = cuts.get(index + 1).map_or(block.packet_count(), |cut| cut.0);
            let part = TsBlock::new(block.bytes().slice(at * 188..end * 188)).unwrap();
            for channel in &mut self.made {
                channel.push(&part, tables, index > 0, received_us);
            }
        }
    }

    fn finish(&mut self) {
        for channel in &mut self.made {
            channel.packager.finish();
            channel.demuxer = Demuxer::new(demux::Settings::default());
            channel.take_events(NOW_US / 1_000 + self.picture as u64 * 40);
        }
    }
}

/// What a rendition shows in both forms.
fn assert_shown(headend: &Headend, number: u8, expected: &[(f64, f64, &str)]) {
    for channel in &headend.made {
        let cues = channel.cues(number);
        assert_eq!(cues.len(), expected.len(), "{:?}: {cues:?}", channel.form);
        for ((start, end, line), wanted) in cues.iter().zip(expected) {
            assert_eq!(line, wanted.2, "{:?}: {cues:?}", channel.form);
            let is_near = |a: f64, b: f64| (a - b).abs() < 0.045;
            assert!(is_near(*start, wanted.0) && is_near(*end, wanted.1), "{cues:?}");
        }
    }
}

#[test]
fn texts_are_shown_when_the_stream_shows_them_in_both_forms() {
    let mut headend = Headend::new(TWO_PAGES);
    headend.show(1_000, 0x150, "Guten Abend.");
    headend.show(1_200, 0x777, "(Musik)");
    headend.show(2_800, 0x150, "");
    headend.show(3_500, 0x150, "Es ist {bald} so weit.");
    headend.show(7_600, 0x777, "");
    headend.show(7_900, 0x150, "Jetzt.");
    headend.show(9_000, 0x150, "");
    let mut lags = vec![Vec::new(); headend.made.len()];
    for end_ms in [11_200, 12_200] {
        headend.send_until(end_ms);
        for (channel, lags) in headend.made.iter().zip(&mut lags) {
            let main = channel.segments[&Rendition::main(channel.form)].len();
            lags.push(main - channel.subtitles(1).len());
        }
    }
    assert_shown(
        &headend,
        1,
        &[(1.0, 2.8, "Guten Abend."), (3.5, 7.9, "Es ist ¼bald¾ so weit."), (7.9, 9.0, "Jetzt.")],
    );
    assert_shown(&headend, 2, &[(1.2, 7.6, "(Musik)")]);
    for channel in &headend.made {
        let main = &channel.segments[&Rendition::main(channel.form)];
        let subtitles = channel.subtitles(1);
        for (one, other) in main.iter().zip(subtitles) {
            let said = |segment: &Segment| (segment.msn, segment.duration, segment.started_us);
            assert_eq!(said(one), said(other));
            assert_eq!((other.init, other.is_empty()), (None, false));
        }
    }
    for mut lags in lags {
        lags.sort_unstable();
        assert_eq!(lags, [0, 1], "a segment waits until the clock has passed it");
    }
}

#[test]
fn the_multivariant_playlist_names_languages_and_kinds() {
    let mut headend = Headend::new(TWO_PAGES);
    headend.send_until(8_000);
    for channel in &headend.made {
        let (form, summary) = (channel.form, channel.presentation.summary());
        let variant = Variant { name: "news", summary: &summary };
        let text = multivariant(&[variant], &Links::default());
        assert_eq!(check_multivariant(&text), Vec::<String>::new(), "{text}");
        let form = if form == Form::Ts { "ts" } else { "fmp4" };
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("-MEDIA:")).collect();
        let expected = [
            format!(
                "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles0\",NAME=\"Deutsch\",\
                 LANGUAGE=\"de\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,\
                 URI=\"news.hls/{form}-subtitles1/index.m3u8\""
            ),
            format!(
                "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles0\",NAME=\"Deutsch (CC)\",\
                 LANGUAGE=\"de\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,\
                 CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog,\
                 public.accessibility.describes-music-and-sound\",\
                 URI=\"news.hls/{form}-subtitles2/index.m3u8\""
            ),
        ];
        assert_eq!(rows, expected);
        assert!(text.contains(",SUBTITLES=\"subtitles0\"\n"), "{text}");
    }
}

#[test]
fn a_stream_without_subtitles_has_no_rendition_of_them() {
    // No teletext, its initial page only, and Hebrew.
    for descriptor in [&b""[..], b"deu\x09\x00", b"heb\x10\x88"] {
        let mut headend = Headend::new(descriptor);
        headend.show(1_000, 0x888, "text");
        headend.send_until(6_000);
        for channel in &headend.made {
            let renditions: Vec<_> = channel.presentation.renditions().collect();
            assert_eq!(renditions, [Rendition::main(channel.form)]);
        }
    }
}

#[test]
fn players_are_told_of_subtitles_from_the_beginning() {
    let mut headend = Headend::new(TWO_PAGES);
    let is_ready =
        |headend: &Headend| headend.made.iter().all(|one| one.presentation.is_ready(true));
    while !is_ready(&headend) {
        let end_ms = headend.picture * 40 + 40;
        headend.send_until(end_ms);
    }
    assert!(headend.picture < 100, "{} pictures for one segment", headend.picture);
    for channel in &headend.made {
        assert_eq!(channel.presentation.renditions().count(), 3, "{:?}", channel.form);
    }
}

#[test]
fn another_clock_begins_a_discontinuity_and_leaves_no_text_behind() {
    // Back over the wrap of 33 bits, and forward.
    for jump_s in [-13, 12] {
        let mut headend = Headend::new(TWO_PAGES);
        headend.show(3_000, 0x150, "before");
        headend.send_until(5_000);
        headend.offset = jump_s * SECOND;
        headend.show(7_000, 0x150, "behind");
        headend.show(8_000, 0x150, "");
        headend.send_until(12_000);
        let [ts, fmp4] = &headend.made[..] else { panic!("two") };
        let flags = ts.subtitles(1).iter().map(|segment| segment.is_discontinuity);
        assert_eq!(flags.take(4).collect::<Vec<_>>(), [false, false, false, true], "at the jump");
        let cues = ts.cues(1);
        let [before, behind] = &cues[..] else { panic!("{jump_s}: {cues:?}") };
        assert_eq!((before.2.as_str(), behind.2.as_str()), ("before", "behind"));
        assert!((before.1 - 5.0).abs() < 0.1, "{before:?} ends with its segment");
        let expected = 7.0 + jump_s as f64;
        assert!((behind.0 - expected).abs() < 0.1, "{behind:?}, not at {expected}");
        // Units have one timeline over the jump, and the text is not erased in it.
        let cues = fmp4.cues(1);
        assert!((cues[1].0 - 7.0).abs() < 0.2 && (cues[1].1 - 8.0).abs() < 0.2, "{cues:?}");
    }
}

#[test]
fn the_last_segment_has_its_texts_and_another_source_none_of_them() {
    let mut headend = Headend::new(TWO_PAGES);
    headend.show(4_100, 0x150, "last words");
    headend.send_until(5_400);
    headend.finish();
    assert_shown(&headend, 1, &[(4.1, 5.4, "last words")]);
    headend.stream.teletext.clear();
    headend.version = 1;
    headend.send_until(15_000);
    for channel in &headend.made {
        assert_eq!(channel.presentation.renditions().count(), 1, "{:?}", channel.form);
    }
}

#[test]
fn a_rendition_goes_on_when_its_page_moves_and_ends_with_it() {
    let mut headend = Headend::new(TWO_PAGES);
    headend.show(1_000, 0x777, "old page");
    headend.show(2_000, 0x777, "");
    headend.send_until(4_000);
    headend.stream.teletext = b"deu\x2F\x78fra\x10\x88".to_vec();
    headend.version = 1;
    headend.show(7_000, 0x778, "new page");
    headend.show(8_000, 0x778, "");
    headend.show(8_000, 0x888, "Voil@");
    headend.send_until(14_000);
    assert_shown(&headend, 2, &[(1.0, 2.0, "old page"), (7.0, 8.0, "new page")]);
    for channel in &headend.made {
        let form = channel.form;
        let renditions: Vec<_> = channel.presentation.renditions().collect();
        let [moved, new] = [2, 3].map(|number| Rendition::subtitles(form, number));
        assert_eq!(renditions, [Rendition::main(form), moved, new]);
        let languages = [moved, new].map(|rendition| {
            let description = channel.presentation.description(rendition).expect("described");
            description.language.clone()
        });
        assert_eq!(languages, ["deu", "fra"]);
    }
}
