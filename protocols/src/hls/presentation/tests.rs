use super::*;
use crate::hls::segment::Opening;
use bytes::Bytes;
use corelay_codecs::Chunk;

const MAIN: Rendition = Rendition::main(Form::Fmp4);
const SOUND: Rendition = Rendition::audio(Form::Fmp4, 1);
const SECOND: i64 = 90_000;

fn presentation(window: usize, spare: usize) -> Presentation {
    let settings =
        Settings { form: Form::Fmp4, segment_ms: 2000, part_ms: 500, window, spare, key: None };
    Presentation::new(Arc::new(settings))
}

fn part(msn: u64, index: u32) -> Arc<Part> {
    let chunk = Chunk::from(vec![0; 100]);
    Arc::new(Part { msn, index, is_independent: index == 0, duration: SECOND / 2, chunk })
}

/// A segment of four parts, 400 bytes, two seconds.
fn segment(msn: u64) -> Segment {
    Segment {
        msn,
        duration: 2 * SECOND,
        started_us: 1_795_363_083_000_000 + msn * 2_000_000,
        is_discontinuity: false,
        discontinuities: 0,
        init: Some(1),
        parts: (0..4).map(|index| part(msn, index)).collect(),
        date_ranges: Vec::new(),
    }
}

fn push(presentation: &mut Presentation, rendition: Rendition, msns: std::ops::Range<u64>) {
    for msn in msns {
        presentation.apply(&Event::Segment(rendition, Arc::new(segment(msn))));
    }
}

fn push_parts(presentation: &mut Presentation, msn: u64, indices: std::ops::Range<u32>) {
    for index in indices {
        presentation.apply(&Event::Part(MAIN, part(msn, index)));
    }
}

fn push_init(presentation: &mut Presentation, number: u32) {
    let init = Init { number, bytes: Bytes::from_static(b"moov") };
    presentation.apply(&Event::Init(MAIN, Arc::new(init)));
}

fn text(presentation: &mut Presentation, low_latency: bool) -> String {
    let ask = Ask { low_latency, skip: false };
    let rendered = presentation.playlist(MAIN, ask).unwrap();
    String::from_utf8(rendered.text().to_vec()).unwrap()
}

fn listed(presentation: &mut Presentation) -> Vec<String> {
    let text = text(presentation, false);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn a_presentation_is_ready_when_there_is_something_to_play() {
    let mut presentation = presentation(6, 6);
    assert!(!presentation.is_ready(true));
    assert!(presentation.playlist(MAIN, Ask::default()).is_none());
    push_parts(&mut presentation, 0, 0..4);
    assert!(!presentation.is_ready(true), "players want a complete segment");
    assert!(presentation.playlist(MAIN, Ask::default()).is_none());
    push(&mut presentation, MAIN, 0..1);
    assert!(presentation.is_ready(true) && !presentation.is_ready(false));
    push(&mut presentation, MAIN, 1..2);
    assert!(presentation.is_ready(false));
}

#[test]
fn a_short_source_that_has_ended_is_ready() {
    let mut presentation = presentation(6, 6);
    push(&mut presentation, MAIN, 0..1);
    presentation.end();
    assert!(presentation.is_ready(false));
}

#[test]
fn a_sound_waits_for_the_main_rendition() {
    let mut presentation = presentation(6, 6);
    push(&mut presentation, SOUND, 0..3);
    assert!(presentation.playlist(SOUND, Ask::default()).is_none());
    push(&mut presentation, MAIN, 0..3);
    assert!(presentation.playlist(SOUND, Ask::default()).is_some());
}

#[test]
fn segments_leave_the_playlist_before_they_are_forgotten() {
    let mut presentation = presentation(4, 2);
    push(&mut presentation, MAIN, 0..10);
    assert_eq!(listed(&mut presentation), ["6.m4s", "7.m4s", "8.m4s", "9.m4s"]);
    let fetchable: Vec<_> =
        (0..12).filter(|msn| presentation.segment(MAIN, *msn).is_some()).collect();
    assert_eq!(fetchable, [4, 5, 6, 7, 8, 9]);
    assert!(matches!(presentation.part(MAIN, 4, 3), PartState::Ready(_)));
    assert_eq!(presentation.part(MAIN, 3, 3), PartState::Unknown);
    assert_eq!(presentation.newest_msn(MAIN), Some(9));
    assert_eq!(presentation.media_bytes(), 6 * 400);
}

#[test]
fn a_window_is_never_shorter_than_three_target_durations() {
    let mut presentation = presentation(3, 0);
    for msn in 0..30 {
        let half = Segment { duration: SECOND / 2, ..segment(msn) };
        presentation.apply(&Event::Segment(MAIN, Arc::new(half)));
    }
    assert_eq!(listed(&mut presentation).len(), 12);
}

#[test]
fn segments_without_duration_do_not_fill_the_memory() {
    let mut presentation = presentation(3, 1);
    for msn in 0..10_000 {
        let empty = Segment { duration: 0, ..segment(msn) };
        presentation.apply(&Event::Segment(MAIN, Arc::new(empty)));
    }
    assert!(listed(&mut presentation).len() <= 3 + 2 * 3 * 4);
}

#[test]
fn a_gap_in_the_numbers_takes_older_segments_off_the_list() {
    let mut presentation = presentation(6, 10);
    push(&mut presentation, MAIN, 0..5);
    push(&mut presentation, MAIN, 8..10);
    assert_eq!(listed(&mut presentation), ["8.m4s", "9.m4s"]);
    assert!(presentation.segment(MAIN, 4).is_some() && presentation.segment(MAIN, 5).is_none());
    push(&mut presentation, MAIN, 20..21);
    assert!(presentation.is_ready(false), "players are under way");
}

#[test]
fn events_that_contradict_earlier_ones_change_nothing() {
    let mut presentation = presentation(6, 6);
    push(&mut presentation, MAIN, 3..6);
    push_parts(&mut presentation, 6, 0..2);
    let before = text(&mut presentation, true);
    push(&mut presentation, MAIN, 4..6);
    push_parts(&mut presentation, 5, 0..4);
    push_parts(&mut presentation, 6, 1..2);
    push_parts(&mut presentation, 6, 5..7);
    push_parts(&mut presentation, 7, 1..2);
    push(&mut presentation, Rendition::main(Form::Ts), 6..9);
    assert_eq!(text(&mut presentation, true), before);
}

#[test]
fn a_segment_that_starts_over_loses_its_parts() {
    let mut presentation = presentation(6, 6);
    push(&mut presentation, MAIN, 0..3);
    push_parts(&mut presentation, 3, 0..3);
    push_parts(&mut presentation, 3, 0..1);
    assert!(matches!(presentation.part(MAIN, 3, 0), PartState::Ready(_)));
    assert_eq!(presentation.part(MAIN, 3, 1), PartState::Awaited);
    assert_eq!(presentation.part(MAIN, 3, 2), PartState::Unknown);
}

#[test]
fn only_the_next_part_is_awaited() {
    let mut presentation = presentation(6, 6);
    assert_eq!(presentation.part(MAIN, 0, 0), PartState::Unknown);
    push(&mut presentation, MAIN, 0..3);
    assert_eq!(presentation.part(MAIN, 3, 0), PartState::Awaited);
    for (msn, index) in [(3, 1), (4, 0), (2, 4), (u64::MAX, 0), (0, u32::MAX)] {
        assert_eq!(presentation.part(MAIN, msn, index), PartState::Unknown, "{msn}.{index}");
    }
    assert_eq!(presentation.part(SOUND, 3, 0), PartState::Unknown);
    presentation.end();
    assert_eq!(presentation.part(MAIN, 3, 0), PartState::Unknown);
}

#[test]
fn reloads_wait_for_what_is_near_and_refuse_what_is_far() {
    let mut presentation = presentation(6, 6);
    assert_eq!(presentation.reload(MAIN, 0, None), Reload::Unknown);
    push_parts(&mut presentation, 10, 0..1);
    assert_eq!(presentation.reload(MAIN, 10, None), Reload::Awaited);
    push(&mut presentation, MAIN, 10..13);
    push_parts(&mut presentation, 13, 0..2);
    for (msn, part, state) in [
        (0, None, Reload::Ready),
        (12, None, Reload::Ready),
        (12, Some(3), Reload::Ready),
        // Part 4 of segment 12 is part 0 of segment 13.
        (12, Some(4), Reload::Ready),
        (11, Some(99), Reload::Ready),
        (13, None, Reload::Awaited),
        (13, Some(0), Reload::Ready),
        (13, Some(1), Reload::Ready),
        (13, Some(2), Reload::Awaited),
        // Six parts are three seconds.
        (13, Some(7), Reload::Awaited),
        (13, Some(8), Reload::TooFar),
        (13, Some(u32::MAX), Reload::TooFar),
        (14, None, Reload::Awaited),
        (14, Some(0), Reload::Awaited),
        (14, Some(6), Reload::TooFar),
        (15, None, Reload::TooFar),
        (15, Some(0), Reload::TooFar),
        (u64::MAX, Some(0), Reload::TooFar),
    ] {
        assert_eq!(presentation.reload(MAIN, msn, part), state, "{msn} {part:?}");
    }
    push(&mut presentation, MAIN, 13..14);
    assert_eq!(presentation.reload(MAIN, 13, Some(9)), Reload::Awaited);
    presentation.end();
    assert_eq!(presentation.reload(MAIN, 99, Some(9)), Reload::Ready);
}

#[test]
fn the_advance_part_limit_is_three_seconds_or_three_parts() {
    for (part_ms, parts) in [(200, 15), (333, 10), (500, 6), (1000, 3), (2000, 3), (0, 3000)] {
        assert_eq!(advance_parts_max(part_ms), parts, "{part_ms} ms");
    }
}

#[test]
fn an_initialisation_is_kept_while_a_segment_needs_it() {
    let mut presentation = presentation(3, 1);
    push_init(&mut presentation, 1);
    push(&mut presentation, MAIN, 0..4);
    push_init(&mut presentation, 2);
    for msn in 4..8 {
        assert!(presentation.init(MAIN, 1).is_some(), "before {msn}");
        let other = Segment { init: Some(2), ..segment(msn) };
        presentation.apply(&Event::Segment(MAIN, Arc::new(other)));
    }
    assert!(presentation.init(MAIN, 1).is_none() && presentation.init(MAIN, 2).is_some());
}

#[test]
fn what_an_opening_says_stands_before_the_first_part() {
    let mut presentation = presentation(3, 3);
    push_init(&mut presentation, 1);
    push(&mut presentation, MAIN, 0..4);
    let opening = Opening {
        msn: 4,
        started_us: 1_795_363_143_000_000,
        is_discontinuity: true,
        discontinuities: 1,
        init: Some(2),
    };
    presentation.apply(&Event::Opened(MAIN, opening));
    assert!(!text(&mut presentation, true).contains("#EXT-X-DISCONTINUITY\n"));
    push_parts(&mut presentation, 4, 0..1);
    let text = text(&mut presentation, true);
    let end = "3.m4s\n\
        #EXT-X-DISCONTINUITY\n\
        #EXT-X-MAP:URI=\"init2.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:59:03.000Z\n\
        #EXT-X-PART:DURATION=0.50000,URI=\"4.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"4.1.m4s\"\n";
    assert!(text.ends_with(end), "{text}");
    assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), "{text}");
}

#[test]
fn a_dependent_segment_takes_back_that_all_are_independent() {
    let mut presentation = presentation(3, 3);
    push(&mut presentation, MAIN, 0..3);
    assert!(text(&mut presentation, false).contains("INDEPENDENT-SEGMENTS"));
    let mut dependent = segment(3);
    dependent.parts.remove(0);
    presentation.apply(&Event::Segment(MAIN, Arc::new(dependent)));
    assert!(!text(&mut presentation, false).contains("INDEPENDENT-SEGMENTS"));
    push(&mut presentation, MAIN, 4..7);
    assert!(text(&mut presentation, false).contains("INDEPENDENT-SEGMENTS"));
}

#[test]
fn a_playlist_is_rendered_once_per_state() {
    let mut presentation = presentation(3, 3);
    push(&mut presentation, MAIN, 0..3);
    let at = |presentation: &mut Presentation, low_latency| {
        let ask = Ask { low_latency, skip: false };
        presentation.playlist(MAIN, ask).unwrap().text().as_ptr()
    };
    let (plain, low_latency) = (at(&mut presentation, false), at(&mut presentation, true));
    assert_eq!(at(&mut presentation, false), plain);
    assert_eq!(at(&mut presentation, true), low_latency);
    let old = presentation.playlist(MAIN, Ask { low_latency: true, skip: false });
    push_parts(&mut presentation, 3, 0..1);
    assert_eq!(at(&mut presentation, false), plain, "parts are nothing to this one");
    assert_ne!(at(&mut presentation, true), low_latency);
    drop(old);
    let old = presentation.playlist(MAIN, Ask::default());
    push(&mut presentation, MAIN, 3..4);
    assert_ne!(at(&mut presentation, false), plain);
    drop(old);
}

#[test]
fn a_rendition_whose_track_is_gone_is_left_out_and_forgotten() {
    let mut presentation = presentation(4, 2);
    let description = Arc::new(Description::default());
    presentation.apply(&Event::Described(SOUND, description));
    push(&mut presentation, SOUND, 0..3);
    push(&mut presentation, MAIN, 0..3);
    assert_eq!(presentation.renditions().collect::<Vec<_>>(), [MAIN, SOUND]);
    assert_eq!(presentation.summary().renditions.len(), 2);
    push(&mut presentation, MAIN, 3..6);
    assert_eq!(presentation.renditions().collect::<Vec<_>>(), [MAIN]);
    assert!(presentation.segment(SOUND, 2).is_some());
    push(&mut presentation, MAIN, 6..12);
    assert!(presentation.segment(SOUND, 2).is_none());
    assert_eq!(presentation.reload(SOUND, 2, None), Reload::Unknown);
}

#[test]
fn the_bandwidth_is_estimated_from_parts_before_there_is_a_segment() {
    let mut presentation = presentation(3, 3);
    assert_eq!(presentation.bandwidth(MAIN), Bandwidth::default());
    push_parts(&mut presentation, 0, 0..2);
    assert_eq!(presentation.bandwidth(MAIN), Bandwidth { peak: 1600, average: 1600 });
    push(&mut presentation, MAIN, 0..1);
    assert_eq!(presentation.bandwidth(MAIN), Bandwidth { peak: 1600, average: 1600 });
}

#[test]
fn a_window_that_is_shortened_lets_segments_go_at_once_and_does_not_list_them_again() {
    let mut presentation = presentation(6, 7);
    push(&mut presentation, MAIN, 0..20);
    let listed_from = |presentation: &mut Presentation| {
        (listed(presentation).len(), presentation.segment(MAIN, 7).is_some())
    };
    assert_eq!(listed_from(&mut presentation), (6, true));
    let before = presentation.media_bytes();
    presentation.set_window(1, 1);
    assert_eq!(listed_from(&mut presentation), (3, false), "three target durations stay");
    assert!(presentation.media_bytes() < before / 3 + 100);
    presentation.set_window(6, 7);
    assert_eq!(listed(&mut presentation).len(), 3);
    push(&mut presentation, MAIN, 20..23);
    assert_eq!(listed(&mut presentation).len(), 6);
}
