//! Access units into segments of MPEG-TS, parsed back.

mod hls_packager_support;

use std::sync::Arc;

use corelay_codecs::{AccessUnit, CodecId, TrackId, TrackKind, UnitKind};
use corelay_protocols::hls::packager::Settings;
use corelay_protocols::hls::{Form, Segment};
use hls_packager_support::transport::{Counters, units};
use hls_packager_support::*;

fn of_kind(units: &[AccessUnit], kind: TrackKind) -> Vec<&AccessUnit> {
    let is_frame = |unit: &&AccessUnit| matches!(unit.kind, UnitKind::Frame { .. });
    units.iter().filter(is_frame).filter(|unit| unit.track.kind == kind).collect()
}

#[test]
fn an_hour_of_uneven_groups_of_pictures_keeps_every_rule() {
    let publisher = Publisher {
        to_ms: 3_600_000,
        groups: &[113, 25, 50, 13, 100, 60, 50],
        has_b_frames: true,
        sample_rate: 44_100,
        picture_bytes: 100,
        ..Publisher::default()
    };
    let mut made = Made::of(Form::Ts);
    let mut counters = Counters::default();
    let mut checked = 0;
    for (unit, is_entry) in publisher.frames() {
        made.push(&unit, is_entry);
        for segment in &made.main()[checked..] {
            counters.check(segment);
            assert!(segment.parts[0].is_independent);
            checked += 1;
        }
        assert!(made.packager.held_bytes() < 100_000);
    }
    made.finish();
    let durations = made.durations_ms();
    assert_eq!(durations.iter().sum::<i64>(), 3_600_000);
    let (_, complete) = durations.split_last().unwrap();
    let (shortest, longest) = (complete.iter().min(), complete.iter().max());
    // Groups of 2 s; of 0.52 and 4 s.
    assert_eq!((shortest, longest), (Some(&2_000), Some(&4_520)));
    let stats = made.packager.stats();
    assert_eq!((stats.discontinuities, stats.forced_cuts, stats.frames_left_out), (0, 0, 0));
    assert_eq!(stats.segments as usize, made.main().len());
    for pair in made.main().windows(2) {
        let passed_us = pair[1].started_us - pair[0].started_us;
        assert!(passed_us.abs_diff(pair[0].duration as u64 * 100 / 9) <= 1);
    }
}

#[test]
fn what_was_pushed_is_what_is_in_the_segments() {
    let frames = Publisher { has_b_frames: true, ..Publisher::default() }.frames();
    let mut made = Made::of(Form::Ts);
    made.push_all(&frames);
    made.finish();
    assert_eq!(made.durations_ms(), [2_000; 5]);
    let units = units(made.main());
    for kind in [TrackKind::Video, TrackKind::Audio] {
        let pushed: Vec<_> = frames.iter().map(|(unit, _)| unit.clone()).collect();
        let (pushed, found) = (of_kind(&pushed, kind), of_kind(&units, kind));
        assert_eq!(pushed.len(), found.len());
        for (pushed, found) in pushed.iter().zip(found) {
            assert!(found.payload.ends_with(&pushed.payload[4..]), "at {:?}", pushed.dts);
            assert_eq!(found.pts_offset, pushed.pts_offset);
        }
    }
}

#[test]
fn sound_in_front_of_pictures_that_are_announced_makes_no_segment_of_its_own() {
    let publisher = Publisher { to_ms: 4_000, ..Publisher::default() };
    let (mut early, frames): (Vec<_>, Vec<_>) =
        publisher.frames().into_iter().partition(|(unit, _)| unit.dts.as_millis() < 100);
    early.retain(|(unit, _)| unit.track == TrackId::AUDIO);
    let mut made = Made::of(Form::Ts);
    // As the hub says: a stream of which there is no picture yet can begin with sound.
    early.iter().for_each(|(unit, _)| made.push(unit, true));
    made.push_all(&frames);
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 1_000]);
    assert!(made.main().iter().all(|segment| segment.parts[0].is_independent));
    // Without pictures it does not wait for ever.
    let mut made = Made::of(Form::Ts);
    let sound = publisher.frames().into_iter().filter(|(unit, _)| unit.track == TrackId::AUDIO);
    sound.for_each(|(unit, _)| made.push(&unit, true));
    made.finish();
    assert_eq!(made.durations_ms().iter().sum::<i64>() / 100, 30);
}

#[test]
fn every_segment_begins_with_a_random_access_picture_and_can_be_read_alone() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher { groups: &[30, 17], ..Publisher::default() }.frames());
    made.finish();
    for segment in made.main() {
        let units = units(std::slice::from_ref(segment));
        let pictures = of_kind(&units, TrackKind::Video);
        assert!(pictures[0].is_video_random_access(), "segment {}", segment.msn);
        assert!(!of_kind(&units, TrackKind::Audio).is_empty());
    }
}

#[test]
fn parts_are_as_long_as_they_may_be_and_end_between_pictures() {
    let settings = Settings { part_ms: 334, ..Settings::default() };
    let mut made = Made::new(settings);
    made.push(&avc(), false);
    made.push_all(&Publisher { sample_rate: 0, ..Publisher::default() }.frames());
    made.finish();
    for segment in made.main() {
        let parts: Vec<_> = segment.parts.iter().map(|part| part.duration / MS).collect();
        assert_eq!(parts, [320, 320, 320, 320, 320, 320, 80]);
        let independent: Vec<_> = segment.parts.iter().map(|part| part.is_independent).collect();
        assert_eq!(independent, [true, false, false, false, false, false, false]);
    }
}

#[test]
fn a_part_is_told_of_when_the_picture_behind_it_comes() {
    let mut made = Made::of(Form::Ts);
    let frames = Publisher { sample_rate: 0, ..Publisher::default() }.frames();
    let parts = |made: &Made| made.open.get(&TS).map_or(0, |(_, parts)| parts.len());
    made.push_all(&frames[..12]);
    assert_eq!(parts(&made), 0, "480 ms, and one more frame fits");
    made.push(&frames[12].0, false);
    assert_eq!(parts(&made), 1);
}

#[test]
fn a_stream_of_sound_is_cut_at_any_frame() {
    let mut made = Made::new(Settings::default());
    made.push(&aac(), false);
    let publisher = Publisher { frame_rate: 0, to_ms: 60_000, ..Publisher::default() };
    let frames = publisher.frames();
    made.push_all(&frames);
    made.finish();
    let durations = made.durations_ms();
    assert!(durations[..29].iter().all(|ms| (1_989..=2_010).contains(ms)), "{durations:?}");
    let mut counters = Counters::default();
    for segment in made.main() {
        counters.check(segment);
        assert!(segment.parts.iter().all(|part| part.is_independent));
    }
    let units = units(made.main());
    assert_eq!(of_kind(&units, TrackKind::Audio).len(), frames.len());
}

#[test]
fn nothing_comes_before_the_first_entry_point() {
    let mut made = Made::of(Form::Ts);
    let frames = Publisher::default().frames();
    let second = frames.iter().skip(1).position(|(_, is_entry)| *is_entry).unwrap() + 1;
    made.push_all(&frames[1..]);
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 2_000, 2_000, 2_000, 1_000]);
    assert_eq!(made.packager.stats().frames_left_out as usize, second - 1);
    assert_eq!(made.main()[0].msn, FIRST_MSN);
}

#[test]
fn a_publisher_that_returns_makes_a_discontinuity_and_counters_go_on() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher { to_ms: 5_000, ..Publisher::default() }.frames());
    made.finish();
    made.push(&avc(), false);
    made.push(&aac(), false);
    made.late_us = 5_000_000;
    let later = Publisher { from_ms: 6_000, to_ms: 10_000, ..Publisher::default() };
    made.push_all(&later.frames());
    made.discontinuity();
    assert_eq!(made.durations_ms(), [2_000, 2_000, 1_000, 2_000, 2_000]);
    let discontinuities: Vec<_> = made.main().iter().map(|s| s.discontinuities).collect();
    assert_eq!(discontinuities, [0, 0, 0, 1, 1]);
    assert_eq!(made.main()[3].started_us, NOW_US + 11_000_000, "dated anew");
    let mut counters = Counters::default();
    made.main().iter().for_each(|segment| counters.check(segment));
}

#[test]
fn another_configuration_begins_a_segment_behind_a_discontinuity() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher { to_ms: 3_000, ..Publisher::default() }.frames());
    let large = config(TrackId::VIDEO, CodecId::H264, AVC_LARGE);
    made.push(&large, false);
    made.push(&large, false);
    made.push_all(&Publisher { from_ms: 3_000, to_ms: 6_000, ..Publisher::default() }.frames());
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 1_000, 2_000, 1_000]);
    let flags: Vec<_> = made.main().iter().map(|segment| segment.is_discontinuity).collect();
    assert_eq!(flags, [false, false, true, false]);
    let sizes: Vec<_> = made.descriptions[&TS].iter().map(|d| (d.width, d.height)).collect();
    assert_eq!(sizes, [(320, 180), (1_918, 1_078)]);
}

#[test]
fn a_description_says_what_is_carried() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher::default().frames());
    let description = made.descriptions[&TS].last().unwrap();
    assert_eq!(description.codecs, ["avc1.42c00c", "mp4a.40.2"]);
    assert_eq!((description.width, description.height, description.channels), (320, 180, 2));
    assert_eq!(description.frame_rate, 25.0);
    assert_eq!(made.descriptions[&TS].len(), 1);
}

#[test]
fn sound_that_comes_late_joins_at_an_entry_point_behind_a_discontinuity() {
    let mut made = Made::new(Settings::default());
    made.push(&avc(), false);
    let publisher = Publisher { sound_from_ms: 2_500, ..Publisher::default() };
    for (unit, is_entry) in publisher.frames() {
        if unit.dts.as_millis() == 2_520 && unit.track == TrackId::VIDEO {
            made.push(&aac(), false);
        }
        made.push(&unit, is_entry);
    }
    made.finish();
    let flags: Vec<_> = made.main().iter().map(|segment| segment.is_discontinuity).collect();
    assert_eq!(flags[..3], [false, false, true]);
    assert_eq!(made.durations_ms()[..3], [2_000, 1_000, 2_000]);
    let codecs: Vec<_> = made.descriptions[&TS].iter().map(|d| d.codecs.len()).collect();
    assert_eq!(codecs, [1, 2]);
}

#[test]
fn pictures_that_no_transport_stream_carries_leave_the_sound() {
    let mut made = Made::new(Settings::default());
    made.push(&aac(), false);
    for (mut unit, is_entry) in Publisher::default().frames() {
        if unit.track == TrackId::VIDEO {
            unit.codec = CodecId::Vp6;
        }
        made.push(&unit, is_entry);
    }
    made.finish();
    assert_eq!(made.descriptions[&TS].last().unwrap().codecs, ["mp4a.40.2"]);
    let total: i64 = made.durations_ms().iter().sum();
    assert!((9_900..=10_030).contains(&total), "{total}");
}

#[test]
fn what_is_left_out_is_said() {
    let mut made = Made::of(Form::Ts);
    let mut unit = picture(0, true, 100);
    (unit.track.index, unit.codec) = (1, CodecId::Vp9);
    made.push(&unit, false);
    assert_eq!(made.packager.left_out(), [(unit.track, CodecId::Vp9)]);
}

#[test]
fn a_group_without_end_is_cut_by_the_clock_and_counted() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher { to_ms: 25_000, groups: &[1_000], ..Publisher::default() }.frames());
    made.finish();
    assert_eq!(made.durations_ms(), [10_000, 10_000, 5_000]);
    assert_eq!(made.packager.stats().forced_cuts, 2);
    let independent: Vec<_> = made.main().iter().map(|s| s.parts[0].is_independent).collect();
    assert_eq!(independent, [true, false, false]);
    let mut counters = Counters::default();
    made.main().iter().for_each(|segment| counters.check(segment));
}

#[test]
fn a_segment_above_its_limit_ends_and_the_next_one_is_a_discontinuity() {
    let settings = Settings { segment_bytes_max: 30_000, ..Settings::default() };
    let mut made = Made::new(settings);
    made.push(&avc(), false);
    let publisher =
        Publisher { sample_rate: 0, picture_bytes: 1_000, groups: &[50], ..Publisher::default() };
    made.push_all(&publisher.frames());
    made.finish();
    assert_eq!(made.main().len(), 5);
    assert_eq!(made.packager.stats().oversized, 5);
    assert!(made.main().iter().skip(1).all(|segment| segment.is_discontinuity));
    assert!(made.main().iter().all(|segment| segment.len() < 35_000));
}

#[test]
fn a_gap_that_no_segment_can_hold_is_a_discontinuity() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher { to_ms: 3_000, ..Publisher::default() }.frames());
    made.push_all(&Publisher { from_ms: 30_000, to_ms: 33_000, ..Publisher::default() }.frames());
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 1_000, 2_000, 1_000]);
    assert!(made.main()[2].is_discontinuity);
    assert_eq!(made.packager.stats().gaps, 1);
}

#[test]
fn a_short_gap_is_in_the_duration_of_its_segment() {
    let mut made = Made::of(Form::Ts);
    made.push_all(&Publisher { to_ms: 1_000, ..Publisher::default() }.frames());
    made.push_all(&Publisher { from_ms: 2_500, to_ms: 4_500, ..Publisher::default() }.frames());
    made.finish();
    assert_eq!(made.durations_ms(), [2_500, 2_000]);
    assert_eq!(made.packager.stats().discontinuities, 0);
}

#[test]
fn sound_leads_on_when_pictures_stop_and_follows_when_they_return() {
    let mut made = Made::of(Form::Ts);
    let frames = Publisher { to_ms: 40_000, ..Publisher::default() }.frames();
    let is_on = |unit: &AccessUnit| {
        unit.track != TrackId::VIDEO || !(4_000..31_000).contains(&unit.dts.as_millis())
    };
    let frames: Vec<_> = frames.into_iter().filter(|(unit, _)| is_on(unit)).collect();
    made.push_all(&frames);
    made.finish();
    let total: i64 = made.durations_ms().iter().sum();
    assert!(total >= 29_000, "{:?}", made.durations_ms());
    let begins_at = |segment: &Arc<Segment>| segment.started_us - NOW_US == 31_000_000;
    assert!(made.main().iter().any(begins_at), "the pictures wait for nothing");
    let last = made.main().last().unwrap();
    let units = units(std::slice::from_ref(last));
    assert!(of_kind(&units, TrackKind::Video)[0].is_video_random_access());
}

#[test]
fn times_that_stand_still_are_moved_by_a_tick() {
    let mut made = Made::of(Form::Ts);
    for n in 0..10 {
        made.push(&picture(0, n == 0, 100), n == 0);
    }
    made.finish();
    assert_eq!(made.main()[0].duration, 10);
}

#[test]
fn data_messages_are_timed_metadata() {
    let mut made = Made::of(Form::Ts);
    let frames = Publisher::default().frames();
    made.push_all(&frames[..100]);
    made.push(&message(frames[100].0.dts.0), false);
    made.push_all(&frames[100..]);
    made.finish();
    let bytes: Vec<u8> = made.main()[0].parts.iter().flat_map(|p| p.chunk.to_vec()).collect();
    let at = bytes.windows(10).position(|window| window == b"onTextData");
    assert!(at.is_some());
}
