//! Access units into segments of fragmented MP4, read again by mp4-atom.

mod hls_packager_support;

use std::collections::BTreeMap;

use corelay_codecs::{AccessUnit, CodecId, Timestamp, TrackId, TrackKind, UnitKind};
use corelay_protocols::hls::packager::Settings;
use corelay_protocols::hls::{Form, Rendition, Segment};
use hls_packager_support::fragments::{Sample, content, moov, samples};
use hls_packager_support::*;

/// track_IDs of the main rendition.
const PICTURES: u32 = 1;
const SOUND: u32 = 2;
const FMP4_SOUND_2: Rendition = Rendition::audio(Form::Fmp4, 1);

/// Every sample begins where the one before ends.
fn assert_no_gap(samples: &[Sample]) {
    for pair in samples.windows(2) {
        assert_eq!(pair[0].dts + pair[0].duration, pair[1].dts);
    }
}

fn payloads(frames: &[(AccessUnit, bool)], track: TrackId) -> Vec<Vec<u8>> {
    let of_track = frames.iter().filter(|(unit, _)| unit.track == track);
    of_track.map(|(unit, _)| unit.payload.to_vec()).collect()
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
    let mut made = Made::new(Settings { form: Form::Fmp4, ..Settings::default() });
    made.push(&avc(), false);
    made.push(&config(TrackId::AUDIO, CodecId::Aac, AAC_44), false);
    let mut ends = BTreeMap::new();
    let (mut checked, mut sequence) = (0, 0);
    for (unit, is_entry) in publisher.frames() {
        made.push(&unit, is_entry);
        for segment in &made.main()[checked..] {
            checked += 1;
            let content = content(segment);
            assert!(content.samples[&PICTURES][0].random_access && segment.parts[0].is_independent);
            for (track, samples) in &content.samples {
                assert_no_gap(samples);
                let (first, last) = (&samples[0], &samples[samples.len() - 1]);
                let expected = ends.insert(*track, last.dts + last.duration);
                assert_eq!(expected.unwrap_or(first.dts), first.dts, "track {track}");
            }
            for number in content.sequences {
                sequence += 1;
                assert_eq!(number, sequence);
            }
        }
        assert!(made.packager.held_bytes() < 100_000);
    }
    made.finish();
    let durations = made.durations_ms();
    assert_eq!(durations.iter().sum::<i64>(), 3_600_000);
    assert_eq!(made.packager.stats().discontinuities, 0);
    assert_eq!((made.inits[&FMP4].len(), made.descriptions[&FMP4].len()), (1, 1));
    let difference = ends[&PICTURES] - ends[&SOUND];
    assert!(difference.abs() < 40 * MS, "pictures and sound end together: {difference}");
}

#[test]
fn what_was_pushed_is_what_is_in_the_segments_and_pictures_are_not_copied() {
    let publisher = Publisher { has_b_frames: true, picture_bytes: 3_000, ..Publisher::default() };
    let frames = publisher.frames();
    let mut made = Made::of(Form::Fmp4);
    made.push_all(&frames);
    made.finish();
    assert_eq!(made.durations_ms(), [2_000; 5]);
    for (track_id, track) in [(PICTURES, TrackId::VIDEO), (SOUND, TrackId::AUDIO)] {
        let samples = samples(made.main(), track_id);
        let found: Vec<_> = samples.iter().map(|sample| sample.payload.clone()).collect();
        assert!(found == payloads(&frames, track), "{track:?}");
        assert_no_gap(&samples);
    }
    let pictures = samples(made.main(), PICTURES);
    let pushed = frames.iter().filter(|(unit, _)| unit.track == TrackId::VIDEO);
    for (sample, (unit, _)) in pictures.iter().zip(pushed) {
        assert_eq!((sample.dts, sample.pts), (unit.dts.0, unit.pts().0));
        assert_eq!(sample.random_access, unit.is_video_random_access());
    }
    let slices: Vec<_> = made.main()[0].parts.iter().flat_map(|p| p.chunk.slices()).collect();
    let first = frames.iter().find(|(unit, _)| unit.track == TrackId::VIDEO).unwrap();
    assert!(slices.iter().any(|slice| slice.as_ptr() == first.0.payload.as_ptr()));
}

#[test]
fn sound_of_rounded_times_has_exact_durations() {
    let mut made = Made::new(Settings { form: Form::Fmp4, ..Settings::default() });
    made.push(&config(TrackId::AUDIO, CodecId::Aac, AAC_44), false);
    let publisher =
        Publisher { frame_rate: 0, sample_rate: 44_100, to_ms: 20_000, ..Publisher::default() };
    made.push_all(&publisher.frames());
    made.finish();
    let samples = samples(made.main(), 1);
    assert_no_gap(&samples);
    assert!(samples.iter().all(|sample| (2_089..=2_090).contains(&sample.duration)));
    assert!(made.main()[..9].iter().all(|s| (1_989..=2_011).contains(&(s.duration / MS))));
    let init = moov(&made.inits[&FMP4][0]);
    assert_eq!(init.trak.len(), 1);
}

#[test]
fn the_initialisation_names_both_tracks_and_the_description_their_codecs() {
    let mut made = Made::of(Form::Fmp4);
    made.push_all(&Publisher { to_ms: 1_000, ..Publisher::default() }.frames());
    let init = moov(&made.inits[&FMP4][0]);
    let ids: Vec<_> = init.trak.iter().map(|track| track.tkhd.track_id).collect();
    assert_eq!(ids, [PICTURES, SOUND]);
    let description = &made.descriptions[&FMP4][0];
    assert_eq!(description.codecs, ["avc1.42c00c", "mp4a.40.2"]);
    assert_eq!((description.width, description.channels), (320, 2));
}

#[test]
fn pictures_alone_wait_a_second_for_sound() {
    let mut made = Made::new(Settings { form: Form::Fmp4, ..Settings::default() });
    made.push(&avc(), false);
    let frames = Publisher { sample_rate: 0, to_ms: 5_000, ..Publisher::default() }.frames();
    made.push_all(&frames[..25]);
    assert!(made.inits.is_empty() && made.packager.held_bytes() > 0);
    made.push(&frames[25].0, frames[25].1);
    assert_eq!(made.inits[&FMP4].len(), 1);
    made.push_all(&frames[26..]);
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 2_000, 1_000]);
    assert_eq!(samples(made.main(), PICTURES).len(), frames.len());
}

/// Which of its initialisation segments a segment needs, from 1: they are numbered from the first segment's
/// number on.
fn init(segment: &Segment) -> Option<u32> {
    segment.init.map(|number| number - FIRST_MSN as u32)
}

#[test]
fn sound_that_comes_late_makes_another_initialisation_and_a_discontinuity() {
    let mut made = Made::of(Form::Fmp4);
    let publisher = Publisher { sound_from_ms: 2_500, to_ms: 7_000, ..Publisher::default() };
    made.push_all(&publisher.frames());
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 1_000, 2_000, 2_000]);
    let flags: Vec<_> = made.main().iter().map(|s| (init(s), s.is_discontinuity)).collect();
    assert_eq!(flags, [(Some(1), false), (Some(1), false), (Some(2), true), (Some(2), false)]);
    let tracks = |at: usize| moov(&made.inits[&FMP4][at]).trak.len();
    assert_eq!((tracks(0), tracks(1)), (1, 2));
    assert!(content(&made.main()[2]).samples.contains_key(&SOUND));
}

#[test]
fn another_configuration_of_pictures_or_sound_makes_another_initialisation() {
    let mut made = Made::of(Form::Fmp4);
    made.push_all(&Publisher { to_ms: 3_000, ..Publisher::default() }.frames());
    made.push(&avc(), false);
    made.push(&config(TrackId::VIDEO, CodecId::H264, AVC_LARGE), false);
    made.push_all(&Publisher { from_ms: 3_000, to_ms: 6_400, ..Publisher::default() }.frames());
    made.push(&config(TrackId::AUDIO, CodecId::Aac, AAC_44), false);
    let later =
        Publisher { from_ms: 6_400, to_ms: 9_400, groups: &[15, 25], ..Publisher::default() };
    let mut later = later.frames();
    let first = later.iter_mut().find(|(unit, _)| unit.track == TrackId::VIDEO).unwrap();
    (first.0.kind, first.1) = (UnitKind::Frame { random_access: false }, false);
    made.push_all(&later);
    made.finish();
    let inits: Vec<_> = made.main().iter().map(|s| (init(s), s.duration / MS)).collect();
    let [one, two, three] = [Some(1), Some(2), Some(3)];
    assert_eq!(inits, [(one, 2_000), (one, 1_000), (two, 2_000), (two, 2_000), (three, 2_400)]);
    let sizes: Vec<_> = made.descriptions[&FMP4].iter().map(|d| d.width).collect();
    assert_eq!(sizes, [320, 1_918], "the second sound is called as the first");
    // Sound of the new configuration in front of the entry point.
    assert_eq!(made.packager.stats().frames_left_out, 29);
}

#[test]
fn every_further_sound_has_a_rendition_with_the_same_numbers() {
    let mut made = Made::of(Form::Fmp4);
    made.push(&config(SOUND_2, CodecId::Aac, AAC_48), false);
    let mut frames = Publisher::default().frames();
    let seconds = Publisher { frame_rate: 0, ..Publisher::default() }.frames();
    frames.extend(seconds.into_iter().map(|(mut unit, _)| {
        unit.track = SOUND_2;
        (unit, false)
    }));
    frames.sort_by_key(|(unit, _)| (unit.dts, unit.track));
    made.push_all(&frames);
    made.finish();
    let (main, further) = (made.main(), &made.segments[&FMP4_SOUND_2]);
    assert_eq!(main.len(), further.len());
    for (main, further) in main.iter().zip(further) {
        assert_eq!((main.msn, main.duration), (further.msn, further.duration));
        assert_eq!(main.started_us, further.started_us);
        assert!(further.parts.iter().all(|part| part.is_independent));
    }
    let found = samples(further, 1);
    assert_no_gap(&found);
    let found: Vec<_> = found.into_iter().map(|sample| sample.payload).collect();
    assert!(found == payloads(&frames, SOUND_2));
    assert_eq!(made.descriptions[&FMP4_SOUND_2][0].codecs, ["mp4a.40.2"]);
    assert_eq!(moov(&made.inits[&FMP4_SOUND_2][0]).trak.len(), 1);
}

#[test]
fn a_sound_that_is_gone_and_comes_back_has_another_initialisation() {
    let mut made = Made::of(Form::Fmp4);
    for (turn, has_second_sound) in [true, false, true].into_iter().enumerate() {
        let from_ms = turn as i64 * 10_000;
        let publisher = Publisher { from_ms, to_ms: from_ms + 4_000, ..Publisher::default() };
        made.push(&avc(), false);
        made.push(&aac(), false);
        for (unit, is_entry) in publisher.frames() {
            if has_second_sound && unit.track == TrackId::AUDIO {
                made.push(&config(SOUND_2, CodecId::Aac, AAC_48), false);
                made.push(&AccessUnit { track: SOUND_2, ..unit.clone() }, false);
            }
            made.push(&unit, is_entry);
        }
        made.discontinuity();
    }
    let numbers = |rendition| {
        made.inits[&rendition].iter().map(|i| i.number - FIRST_MSN as u32).collect::<Vec<_>>()
    };
    assert_eq!((numbers(FMP4), numbers(FMP4_SOUND_2)), (vec![1, 2, 3], vec![1, 3]));
    let segments = made.segments[&FMP4_SOUND_2].iter().map(|s| s.msn - FIRST_MSN);
    assert_eq!(segments.collect::<Vec<_>>(), [0, 1, 4, 5]);
}

#[test]
fn a_sound_that_falls_silent_has_segments_without_parts() {
    let mut made = Made::of(Form::Fmp4);
    made.push(&config(SOUND_2, CodecId::Aac, AAC_48), false);
    for (unit, is_entry) in Publisher::default().frames() {
        if unit.track == TrackId::AUDIO && unit.dts.as_millis() < 3_000 {
            made.push(&AccessUnit { track: SOUND_2, ..unit.clone() }, false);
        }
        made.push(&unit, is_entry);
    }
    made.finish();
    let parts: Vec<_> = made.segments[&FMP4_SOUND_2].iter().map(|s| s.parts.len()).collect();
    assert_eq!(parts, [5, 3, 0, 0, 0]);
    let numbers: Vec<_> = made.segments[&FMP4_SOUND_2].iter().map(|s| s.msn).collect();
    assert_eq!(numbers, made.main().iter().map(|s| s.msn).collect::<Vec<_>>());
}

#[test]
fn codecs_that_do_not_fit_are_left_out_and_said() {
    let mut made = Made::new(Settings { form: Form::Fmp4, ..Settings::default() });
    made.push(&aac(), false);
    let publisher = Publisher { to_ms: 6_000, ..Publisher::default() };
    for (mut unit, is_entry) in publisher.frames() {
        if unit.track == TrackId::VIDEO {
            unit.codec = CodecId::Vp6;
        }
        made.push(&unit, is_entry);
    }
    assert_eq!(made.packager.left_out(), [(TrackId::VIDEO, CodecId::Vp6)]);
    made.finish();
    assert_eq!(made.descriptions[&FMP4][0].codecs, ["mp4a.40.2"]);
    assert!(made.main().len() >= 3, "the sound is there");
}

#[test]
fn a_publisher_that_returns_makes_a_discontinuity() {
    let mut made = Made::of(Form::Fmp4);
    made.push_all(&Publisher { to_ms: 5_000, ..Publisher::default() }.frames());
    made.discontinuity();
    made.push(&avc(), false);
    made.push(&aac(), false);
    let later = Publisher { from_ms: 65_000, to_ms: 69_000, ..Publisher::default() };
    made.push_all(&later.frames());
    made.finish();
    assert_eq!(made.durations_ms(), [2_000, 2_000, 1_000, 2_000, 2_000]);
    let told: Vec<_> = made.main().iter().map(|s| (s.discontinuities, init(s))).collect();
    assert_eq!(told[2..4], [(0, Some(1)), (1, Some(2))]);
    let first = &content(&made.main()[3]).samples[&PICTURES][0];
    assert_eq!(first.dts, 65_000 * MS);
}

#[test]
fn a_lost_frame_of_sound_leaves_no_gap_and_a_lost_second_does() {
    let mut made = Made::of(Form::Fmp4);
    let is_lost = |ms: i64| (1_000..1_020).contains(&ms) || (4_000..5_000).contains(&ms);
    let mut frames = Publisher::default().frames();
    frames.retain(|(unit, _)| unit.track == TrackId::VIDEO || !is_lost(unit.dts.as_millis()));
    made.push_all(&frames);
    made.finish();
    let samples = samples(made.main(), SOUND);
    let gaps: Vec<_> = samples
        .windows(2)
        .map(|pair| pair[1].dts - pair[0].dts - 1_920)
        .filter(|gap| *gap > 960)
        .collect();
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert!((gap - 90_000).abs() < 3_000, "{gap}");
}

#[test]
fn data_messages_stand_in_front_of_a_fragment() {
    let mut made = Made::of(Form::Fmp4);
    let frames = Publisher { to_ms: 2_000, ..Publisher::default() }.frames();
    made.push_all(&frames[..100]);
    let at = frames[100].0.dts;
    made.push(&message(at.0), false);
    made.push_all(&frames[100..]);
    made.finish();
    let messages = content(&made.main()[0]).messages;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(message.starts_with(b"ID3") && message.windows(2).any(|w| w == b"hi"));
    let chunks: Vec<_> = made.main()[0].parts.iter().map(|part| part.chunk.to_vec()).collect();
    let with: Vec<_> = chunks.iter().filter(|chunk| chunk[4..8] == *b"emsg").collect();
    assert_eq!(with.len(), 1);
}

#[test]
fn times_that_stand_still_are_moved_by_a_tick() {
    let mut made = Made::new(Settings { form: Form::Fmp4, ..Settings::default() });
    made.push(&avc(), false);
    for n in 0..10 {
        made.push(&picture(0, n == 0, 100), n == 0);
    }
    made.finish();
    let times: Vec<_> = samples(made.main(), 1).iter().map(|s| (s.dts, s.duration)).collect();
    assert_eq!(times, (0..10).map(|n| (n, 1)).collect::<Vec<_>>());
}

#[test]
fn sound_leads_on_when_pictures_stop() {
    let mut made = Made::of(Form::Fmp4);
    let mut frames = Publisher { to_ms: 40_000, ..Publisher::default() }.frames();
    frames.retain(|(unit, _)| {
        unit.track != TrackId::VIDEO || !(4_000..30_000).contains(&unit.dts.as_millis())
    });
    made.push_all(&frames);
    made.finish();
    let total: i64 = made.durations_ms().iter().sum();
    assert!(total >= 29_000, "{:?}", made.durations_ms());
    let last = content(made.main().last().unwrap());
    assert!(last.samples[&PICTURES][0].random_access);
    assert_eq!(last.samples[&PICTURES][0].dts % (1_000 * MS), 0);
}

#[test]
fn mp3_and_opus_bring_their_own_lengths() {
    for (codec, frame, ticks) in [
        // MPEG-1 layer III, 128 kbit/s, 44.1 kHz; a 20 ms packet of CELT.
        (
            CodecId::Mp3,
            [&[0xFF, 0xFB, 0x90, 0x64][..], &[0; 413]].concat(),
            1_152_i64 * 90_000 / 44_100,
        ),
        (CodecId::Opus, [&[0xFC][..], &[0; 100]].concat(), 1_800),
    ] {
        let mut made = Made::new(Settings { form: Form::Fmp4, ..Settings::default() });
        if codec == CodecId::Opus {
            let head = "4f70757348656164 01 02 3801 80bb0000 0000 00";
            made.push(&config(TrackId::AUDIO, CodecId::Opus, head), false);
        }
        for n in 0..200 {
            let mut unit = sound(TrackId::AUDIO, n * ticks / MS * MS, 1);
            (unit.codec, unit.payload) = (codec, frame.clone().into());
            unit.dts = Timestamp(unit.dts.0);
            made.push(&unit, true);
        }
        made.finish();
        let samples = samples(made.main(), 1);
        assert_eq!(samples.len(), 200, "{codec:?}");
        assert_no_gap(&samples);
        assert!(samples.iter().all(|s| (ticks..=ticks + 1).contains(&s.duration)), "{codec:?}");
        assert_eq!(made.inits[&FMP4].len(), 1);
    }
}

#[test]
fn sound_in_front_of_the_first_picture_is_left_out_while_the_tracks_are_not_known() {
    let mut made = Made::of(Form::Fmp4);
    let mut frames = Publisher { to_ms: 4_000, ..Publisher::default() }.frames();
    frames.retain(|(unit, _)| unit.track.kind == TrackKind::Audio || unit.dts.0 >= 500 * MS);
    let first = frames.iter_mut().find(|(unit, _)| unit.track == TrackId::VIDEO).unwrap();
    (first.0.kind, first.1) = (UnitKind::Frame { random_access: true }, true);
    for (unit, is_entry) in &frames {
        // Nobody knows of pictures before the first one.
        made.push(unit, *is_entry || unit.dts.0 < 500 * MS);
    }
    made.finish();
    assert_eq!(made.main()[0].started_us, NOW_US + 520_000);
    assert!(made.main().iter().all(|segment| !segment.is_discontinuity));
}
