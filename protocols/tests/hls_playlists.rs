//! Whole playlists, written by hand after the examples of RFC 8216 8 and RFC 8216bis 9.

#[path = "support/hls_rules.rs"]
mod hls_rules;
#[path = "support/hls_source.rs"]
mod hls_source;

use std::sync::Arc;

use corelay_codecs::Chunk;
use corelay_protocols::hls::encrypt::Method;
use corelay_protocols::hls::presentation::{KeyTag, Settings};
use corelay_protocols::hls::{
    Ask, Cue, Description, Event, Form, Links, Part, Presentation, Rendition, Segment, Variant,
    multivariant,
};
use hls_rules::{Checker, check_multivariant};
use hls_source::Source;

const LOW_LATENCY: Ask = Ask { low_latency: true, skip: false };

fn settings(form: Form, window: usize) -> Settings {
    Settings { form, segment_ms: 2000, part_ms: 1000, window, spare: 3, key: None }
}

fn presentation(form: Form, window: usize, events: &[Event]) -> Presentation {
    let mut presentation = Presentation::new(Arc::new(settings(form, window)));
    events.iter().for_each(|event| presentation.apply(event));
    presentation
}

fn text(presentation: &mut Presentation, rendition: Rendition, ask: Ask) -> String {
    let rendered = presentation.playlist(rendition, ask).unwrap();
    String::from_utf8(rendered.text().to_vec()).unwrap()
}

#[test]
fn a_transport_stream_of_three_segments_with_a_discontinuity() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Ts, 0, 1000, 41, &mut events);
    source.segment(180_000, &mut events);
    source.segment(183_003, &mut events);
    source.discontinuity(5_000_000, &mut events);
    source.segment(176_400, &mut events);
    let mut presentation = presentation(Form::Ts, 3, &events);
    let expected = "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:03.000Z
#EXTINF:2.00000,
41.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:05.000Z
#EXTINF:2.03337,
42.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:12.033Z
#EXTINF:1.96000,
43.ts
";
    let main = Rendition::main(Form::Ts);
    assert_eq!(text(&mut presentation, main, Ask::default()), expected);
    let skip = Ask { low_latency: false, skip: true };
    assert_eq!(text(&mut presentation, main, skip), expected, "there is nothing to skip");
    presentation.end();
    assert_eq!(
        text(&mut presentation, main, Ask::default()),
        format!("{expected}#EXT-X-ENDLIST\n")
    );
}

#[test]
fn a_segment_without_bytes_is_a_gap() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Ts, 0, 1000, 41, &mut events);
    source.segment(180_000, &mut events);
    source.segment(180_000, &mut events);
    let mut presentation = presentation(Form::Ts, 3, &events);
    let main = Rendition::main(Form::Ts);
    let silent = Segment {
        msn: 43,
        parts: Vec::new(),
        ..Segment::clone(presentation.segment(main, 42).expect("the newest"))
    };
    presentation.apply(&Event::Segment(main, Arc::new(silent)));
    let text = text(&mut presentation, main, Ask::default());
    assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:8\n"), "{text}");
    assert!(text.ends_with("#EXTINF:2.00000,\n#EXT-X-GAP\n43.ts\n"), "{text}");
    assert_eq!(text.matches("#EXT-X-GAP").count(), 1);
}

#[test]
fn fragments_with_low_latency_and_another_sound() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Fmp4, 1, 1000, 7, &mut events);
    source.segment(180_000, &mut events);
    source.cue("break1", Cue::Out, 250, Some(30_000));
    for _ in 0..3 {
        source.segment(180_000, &mut events);
    }
    // Of the last segment, one part of each rendition.
    let mut last = Vec::new();
    source.segment(180_000, &mut last);
    events.extend(last.drain(..4));
    let mut presentation = presentation(Form::Fmp4, 3, &events);
    let main = Rendition::main(Form::Fmp4);
    let expected = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.00000
#EXT-X-PART-INF:PART-TARGET=1.00000
#EXT-X-MEDIA-SEQUENCE:8
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"init1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:05.000Z
#EXT-X-DATERANGE:ID=\"break1\",START-DATE=\"2026-11-22T15:58:05.250Z\",PLANNED-DURATION=30.000,SCTE35-OUT=0xFC300A
#EXTINF:2.00000,
8.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:07.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"9.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"9.1.m4s\"
#EXTINF:2.00000,
9.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:09.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"10.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"10.1.m4s\"
#EXTINF:2.00000,
10.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:11.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"11.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"11.1.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"../fmp4-audio1/index.m3u8\",LAST-MSN=11,LAST-PART=0
";
    assert_eq!(text(&mut presentation, main, LOW_LATENCY), expected);
    let sound = Rendition::audio(Form::Fmp4, 1);
    let report = "#EXT-X-RENDITION-REPORT:URI=\"../fmp4/index.m3u8\",LAST-MSN=11,LAST-PART=0\n";
    assert!(text(&mut presentation, sound, LOW_LATENCY).ends_with(report));
}

#[test]
fn an_update_leaves_out_what_lies_before_the_skip_boundary() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Fmp4, 0, 1000, 0, &mut events);
    for msn in 0..10 {
        if msn == 1 {
            source.cue("a", Cue::Command, 0, None);
        }
        if msn == 8 {
            source.discontinuity(0, &mut events);
        }
        source.segment(180_000, &mut events);
    }
    let mut presentation = presentation(Form::Fmp4, 10, &events);
    let main = Rendition::main(Form::Fmp4);
    let text = text(&mut presentation, main, Ask { low_latency: true, skip: true });
    let expected = "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.00000
#EXT-X-PART-INF:PART-TARGET=1.00000
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-SKIP:SKIPPED-SEGMENTS=4
#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-11-22T15:58:05.000Z\",SCTE35-CMD=0xFC300A
#EXT-X-MAP:URI=\"init1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:11.000Z
#EXTINF:2.00000,
4.m4s
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn durations_are_never_longer_than_they_may_be() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Ts, 0, 1000, 0, &mut events);
    source.segment(180_000, &mut events);
    // A packager that cuts too late.
    source.part_ticks = 95_000;
    source.segment(270_000, &mut events);
    let mut presentation = presentation(Form::Ts, 3, &events);
    let text = text(&mut presentation, Rendition::main(Form::Ts), LOW_LATENCY);
    assert!(text.contains("#EXTINF:2.49999,\n1.ts\n"), "{text}");
    assert!(text.contains("#EXT-X-PART:DURATION=1.00000,URI=\"1.0.ts\""), "{text}");
}

#[test]
fn the_first_segment_fixes_the_target_duration() {
    for (first, target) in [(90_000, 2), (180_000, 2), (180_001, 3), (900_000, 10)] {
        let mut events = Vec::new();
        let mut source = Source::new(Form::Ts, 0, 1000, 0, &mut events);
        for duration in [first, 180_000, 220_000] {
            source.segment(duration, &mut events);
        }
        let mut presentation = presentation(Form::Ts, 3, &events);
        let text = text(&mut presentation, Rendition::main(Form::Ts), Ask::default());
        assert!(text.contains(&format!("#EXT-X-TARGETDURATION:{target}\n")), "{text}");
    }
}

#[test]
fn encrypted_segments_have_a_key_and_their_initialisation_has_none() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Fmp4, 0, 1000, 3, &mut events);
    source.segment(180_000, &mut events);
    source.segment(180_000, &mut events);
    source.discontinuity(0, &mut events);
    source.segment(180_000, &mut events);
    let key = Some(KeyTag { method: Method::Aes128, uri: "key1".to_owned() });
    let mut presentation = Presentation::new(Arc::new(Settings { key, ..settings(Form::Fmp4, 3) }));
    events.iter().for_each(|event| presentation.apply(event));
    let expected = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:3
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"init1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:03.000Z
#EXT-X-KEY:METHOD=AES-128,URI=\"key1\"
#EXTINF:2.00000,
3.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:05.000Z
#EXTINF:2.00000,
4.m4s
#EXT-X-KEY:METHOD=NONE
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"init2.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:07.000Z
#EXT-X-KEY:METHOD=AES-128,URI=\"key1\"
#EXTINF:2.00000,
5.m4s
";
    let main = Rendition::main(Form::Fmp4);
    assert_eq!(text(&mut presentation, main, Ask::default()), expected);
    assert_eq!(text(&mut presentation, main, LOW_LATENCY), expected, "parts are not encrypted");
    let mut checker = Checker::default();
    assert_eq!(checker.take(0, expected), []);
    let keys = checker.playlist().unwrap().segments.iter().map(|segment| segment.key.is_some());
    assert_eq!(keys.collect::<Vec<_>>(), [true; 3]);
}

#[test]
fn subtitles_have_no_parts_and_are_encrypted_only_whole() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Fmp4, 0, 1000, 3, &mut events);
    (0..4).for_each(|_| source.segment(180_000, &mut events));
    let subtitles = Rendition::subtitles(Form::Fmp4, 1);
    let beside = |event: &Event| match event {
        Event::Segment(_, segment) => {
            let parts = segment.parts[..1].to_vec();
            let segment = Segment { init: None, parts, ..(**segment).clone() };
            Some(Event::Segment(subtitles, Arc::new(segment)))
        }
        _ => None,
    };
    let all: Vec<_> = events.iter().filter_map(beside).collect();
    events.extend(all);
    let sample_aes = Method::SampleAes { vector: [0; 16] };
    for (method, has_key) in
        [(None, false), (Some(Method::Aes128), true), (Some(sample_aes), false)]
    {
        let key = method.map(|method| KeyTag { method, uri: "key0".to_owned() });
        let settings = Settings { key, ..settings(Form::Fmp4, 6) };
        let mut presentation = Presentation::new(Arc::new(settings));
        events.iter().for_each(|event| presentation.apply(event));
        for ask in [Ask::default(), LOW_LATENCY] {
            let text = text(&mut presentation, subtitles, ask);
            assert_eq!(Checker::default().take(0, &text), [], "{text}");
            assert_eq!(text.contains("#EXT-X-KEY"), has_key, "{text}");
            assert!(text.contains("#EXT-X-VERSION:3\n") && text.contains("\n6.vtt\n"), "{text}");
            assert!(
                !text.contains("-X-PART") && !text.contains("PART-HOLD") && !text.contains("-HINT"),
                "{text}"
            );
            let is_blocking =
                text.contains("CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0\n");
            assert_eq!(is_blocking, ask.low_latency && !has_key, "{text}");
        }
        let report = "#EXT-X-RENDITION-REPORT:URI=\"../fmp4-subtitles1/index.m3u8\",LAST-MSN=6\n";
        let main = text(&mut presentation, Rendition::main(Form::Fmp4), LOW_LATENCY);
        assert_eq!(main.contains(report), !has_key, "{main}");
    }
}

#[test]
fn encrypted_samples_have_a_key_with_its_vector_and_parts_too() {
    for (form, version, maps) in [(Form::Ts, 5, 0), (Form::Fmp4, 6, 2)] {
        let mut events = Vec::new();
        let mut source = Source::new(form, 0, 1000, 3, &mut events);
        (0..12).for_each(|_| source.segment(180_000, &mut events));
        source.discontinuity(0, &mut events);
        source.segment(180_000, &mut events);
        let method = Method::SampleAes { vector: 0xAB_u128.to_be_bytes() };
        let key = Some(KeyTag { method, uri: "key0".to_owned() });
        let settings = Settings { key, ..settings(form, 13) };
        let mut presentation = Presentation::new(Arc::new(settings));
        events.iter().for_each(|event| presentation.apply(event));
        let main = Rendition::main(form);
        for ask in [Ask::default(), LOW_LATENCY, Ask { skip: true, ..LOW_LATENCY }] {
            let text = text(&mut presentation, main, ask);
            let tag = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"key0\",\
                       IV=0x000000000000000000000000000000AB,KEYFORMAT=\"identity\"\n";
            // Once, in front of all it applies to, whatever comes between.
            assert_eq!(text.matches("#EXT-X-KEY").count(), 1, "{text}");
            let first = text.find("#EXTINF").unwrap();
            assert!(
                text.find(tag).unwrap() < first.min(text.find("#EXT-X-PART:").unwrap_or(first))
            );
            assert_eq!(text.matches("#EXT-X-MAP").count(), maps, "{text}");
            assert_eq!(text.contains("#EXT-X-PART:"), ask.low_latency);
            let version = if ask.skip { 9 } else { version };
            assert!(text.contains(&format!("#EXT-X-VERSION:{version}\n")), "{text}");
            if !ask.skip {
                let mut checker = Checker::default();
                assert_eq!(checker.take(0, &text), []);
                let segments = &checker.playlist().unwrap().segments;
                assert!(segments.iter().all(|segment| segment.key.is_some()));
            }
        }
    }
}

#[test]
fn a_date_range_cannot_break_out_of_its_line() {
    let mut events = Vec::new();
    let mut source = Source::new(Form::Ts, 0, 1000, 0, &mut events);
    source.cue("a\"\r\n#EXT-X-ENDLIST", Cue::Out, 0, None);
    source.segment(180_000, &mut events);
    let mut presentation = presentation(Form::Ts, 3, &events);
    let text = text(&mut presentation, Rendition::main(Form::Ts), Ask::default());
    assert!(text.contains("ID=\"a#EXT-X-ENDLIST\",START-DATE"), "{text}");
}

/// A presentation with one segment of `bytes` bytes in 2 s for each description.
fn described(form: Form, bytes: usize, descriptions: &[Description]) -> Presentation {
    let mut presentation = presentation(form, 3, &[]);
    for (audio, description) in (0..).zip(descriptions) {
        let rendition = Rendition::audio(form, audio);
        let chunk = Chunk::from(vec![0; bytes]);
        let part = Part { msn: 0, index: 0, is_independent: true, duration: 180_000, chunk };
        let segment = Segment {
            msn: 0,
            duration: 180_000,
            started_us: 1,
            is_discontinuity: false,
            discontinuities: 0,
            init: None,
            parts: vec![Arc::new(part)],
            date_ranges: Vec::new(),
        };
        presentation.apply(&Event::Described(rendition, Arc::new(description.clone())));
        presentation.apply(&Event::Segment(rendition, Arc::new(segment)));
    }
    presentation
}

fn pictures() -> Description {
    Description {
        codecs: vec!["avc1.64001f".into(), "mp4a.40.2".into()],
        width: 1280,
        height: 720,
        frame_rate: 25.0,
        channels: 2,
        language: "eng".into(),
        ..Description::default()
    }
}

fn sound(codec: &str, language: &str, channels: u8) -> Description {
    Description {
        codecs: vec![codec.into()],
        channels,
        language: language.into(),
        ..Description::default()
    }
}

#[test]
fn variants_and_their_sounds() {
    let sounds = [pictures(), sound("mp4a.40.2", "deu", 2), sound("ec-3", "eng", 6)];
    let large = described(Form::Fmp4, 500_000, &sounds).summary();
    let small = described(Form::Fmp4, 100_000, &[pictures()]).summary();
    let variants = [
        Variant { name: "news_1080", summary: &large },
        Variant { name: "news_240", summary: &small },
        Variant { name: "news_later", summary: &presentation(Form::Fmp4, 3, &[]).summary() },
    ];
    let links = Links { is_nested: true, query: "token=a%20b" };
    let text = multivariant(&variants, &links);
    let expected = "\
#EXTM3U
#EXT-X-VERSION:4
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio1\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio1\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"../news_1080.hls/fmp4-audio1/index.m3u8?token=a%20b\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio1\",NAME=\"English 3\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=NO,CHANNELS=\"6\",URI=\"../news_1080.hls/fmp4-audio2/index.m3u8?token=a%20b\"
#EXT-X-STREAM-INF:BANDWIDTH=400000,AVERAGE-BANDWIDTH=400000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000
../news_240.hls/fmp4/index.m3u8?token=a%20b
#EXT-X-STREAM-INF:BANDWIDTH=4000000,AVERAGE-BANDWIDTH=4000000,CODECS=\"avc1.64001f,mp4a.40.2,ec-3\",RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO=\"audio1\"
../news_1080.hls/fmp4/index.m3u8?token=a%20b
";
    assert_eq!(text, expected);
    assert_eq!(check_multivariant(&text), Vec::<String>::new());
}

#[test]
fn audio_only_has_no_resolution_and_unknown_things_are_not_said() {
    let radio = sound("mp4a.40.2", "", 0);
    let summary = described(Form::Ts, 32_000, &[radio]).summary();
    let variant = Variant { name: "radio", summary: &summary };
    let text = multivariant(&[variant], &Links::default());
    let expected = "\
#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=128000,CODECS=\"mp4a.40.2\"
radio.hls/ts/index.m3u8
";
    assert_eq!(text, expected);
    let unknown = described(Form::Ts, 32_000, &[Description::default()]).summary();
    let text = multivariant(&[Variant { name: "x", summary: &unknown }], &Links::default());
    assert!(!text.contains("CODECS") && !text.contains("FRAME-RATE"), "{text}");
}

#[test]
fn names_and_queries_cannot_break_out_of_their_uri() {
    let odd = sound("mp4a\",X=\"", "de\"\n", 2);
    let named = |language: &str| sound("opus", language, 2);
    let descriptions = [pictures(), odd, named("und"), named("fra"), named("fra")];
    let summary = described(Form::Fmp4, 1000, &descriptions).summary();
    for (name, query, uri) in [
        ("a:b", "", "a%3Ab.hls/fmp4/index.m3u8"),
        (
            "a \"b\"\n<é>",
            "x=\"\r\n#",
            "a%20%22b%22%0A%3C%C3%A9%3E.hls/fmp4/index.m3u8?x=%22%0D%0A%23",
        ),
        ("a?b#c%", "a=1&b=/?:@%41", "a%3Fb%23c%25.hls/fmp4/index.m3u8?a=1&b=/?:@%41"),
    ] {
        let links = Links { query, ..Links::default() };
        let text = multivariant(&[Variant { name, summary: &summary }], &links);
        assert_eq!(check_multivariant(&text), Vec::<String>::new(), "{text}");
        assert_eq!(text.lines().last(), Some(uri));
        assert!(!text.contains("CODECS"), "a list that is not complete is not given: {text}");
        for name in ["English", "Audio 2", "Audio 3", "Français", "Français 5"] {
            assert_eq!(text.matches(&format!("NAME=\"{name}\"")).count(), 1, "{name}: {text}");
        }
    }
}
