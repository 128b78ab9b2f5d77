use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::access_unit::{FlvBody, Timestamp, UnitKind};
use crate::codec::CodecId;
use crate::container::mpegts::Pid;
use crate::container::mpegts::psi::EsFormat;

const V: TrackId = TrackId::VIDEO;
const A: TrackId = TrackId::AUDIO;
const MS: i64 = 90;

fn unit(track: TrackId, dts: i64) -> AccessUnit {
    AccessUnit {
        track,
        kind: UnitKind::Frame { random_access: true },
        codec: CodecId::Unknown,
        dts: Timestamp(dts),
        pts_offset: 0,
        payload: Bytes::from_static(b"0123456789"),
        flv: FlvBody::Build,
    }
}

fn announced(track: TrackId) -> Output {
    Output::Event(Event::Track { track, pid: Pid::new(0x100), format: EsFormat::H264 })
}

fn interleaver(wait_ms: u32) -> Interleaver {
    let settings = InterleaverSettings { wait_ms, ..InterleaverSettings::default() };
    let mut interleaver = Interleaver::new(settings);
    interleaver.push([announced(V), announced(A)], 0, &mut Vec::new());
    interleaver
}

fn push(interleaver: &mut Interleaver, unit: AccessUnit, now_us: u64) -> Vec<(TrackId, i64)> {
    let mut out = Vec::new();
    interleaver.push([Output::Unit(unit)], now_us, &mut out);
    units(&out)
}

fn units(out: &[Output]) -> Vec<(TrackId, i64)> {
    let unit = |output: &Output| match output {
        Output::Unit(unit) => Some((unit.track, unit.dts.0)),
        Output::Event(_) => None,
    };
    out.iter().filter_map(unit).collect()
}

/// Pictures of 40 ms and sounds of 24 ms in the order in which they are sent, with the time of
/// sending in us: a unit is sent so many ms before its decoding time.
fn multiplex(seconds: i64, video_ahead_ms: i64, audio_ahead_ms: i64) -> Vec<(i64, AccessUnit)> {
    let pictures = (0..seconds * 25).map(|n| (n * 40 - video_ahead_ms, unit(V, n * 40 * MS)));
    let sounds = (0..seconds * 1000 / 24).map(|n| (n * 24 - audio_ahead_ms, unit(A, n * 24 * MS)));
    let mut all: Vec<_> = pictures.chain(sounds).collect();
    all.sort_by_key(|(sent, unit)| (*sent, unit.track));
    all.into_iter().map(|(sent, unit)| (sent * 1_000 + 10_000_000, unit)).collect()
}

#[test]
fn pictures_wait_for_the_sounds_that_come_with_them_and_sounds_for_nothing() {
    for (video_ahead_ms, audio_ahead_ms) in [(500, 200), (200, 500), (0, 450), (450, 0), (0, 0)] {
        let mut interleaver = interleaver(500);
        let mut last = i64::MIN;
        let mut count = 0;
        let sent = multiplex(20, video_ahead_ms, audio_ahead_ms);
        for (at_us, unit) in &sent {
            for (track, dts) in push(&mut interleaver, unit.clone(), *at_us as u64) {
                assert!(dts >= last, "{dts} behind {last}");
                last = dts;
                count += 1;
                // What it was held for: no longer than the other track takes to come there.
                let ahead_ms = if track == V { video_ahead_ms } else { audio_ahead_ms };
                let held_ms = (*at_us - 10_000_000) / 1_000 - (dts / MS - ahead_ms);
                let distance = match track {
                    V => (video_ahead_ms - audio_ahead_ms).max(0),
                    _ => (audio_ahead_ms - video_ahead_ms).max(0),
                };
                assert!(held_ms <= distance + 40, "{track:?} held {held_ms} ms of {distance}");
            }
        }
        assert_eq!(interleaver.counters(), InterleaverCounters::default());
        let mut rest = Vec::new();
        interleaver.flush(&mut rest);
        assert_eq!(count + units(&rest).len(), sent.len());
        assert!(interleaver.is_empty());
    }
}

#[test]
fn a_unit_alone_is_held_for_the_wait_and_no_longer() {
    let mut interleaver = interleaver(300);
    assert_eq!(interleaver.poll_timeout(), None);
    assert_eq!(push(&mut interleaver, unit(V, 0), 1_000_000), []);
    assert_eq!(interleaver.poll_timeout(), Some(1_300_000));
    let mut out = Vec::new();
    interleaver.handle_timeout(1_299_999, &mut out);
    assert_eq!((units(&out), interleaver.len()), (vec![], 1));
    interleaver.handle_timeout(1_300_000, &mut out);
    assert_eq!((units(&out), interleaver.len()), (vec![(V, 0)], 0));
    assert_eq!(interleaver.poll_timeout(), None);
    assert_eq!(interleaver.counters().released, 1);
}

#[test]
fn what_comes_in_a_burst_is_held_by_its_own_times() {
    let mut interleaver = interleaver(500);
    let mut out = Vec::new();
    for n in 0..100 {
        interleaver.push([Output::Unit(unit(V, n * 40 * MS))], 0, &mut out);
        assert!(interleaver.len() <= 13);
    }
    assert_eq!(units(&out).len(), 100, "sound did not come for longer than anybody waits");
}

#[test]
fn a_track_that_falls_silent_costs_the_wait_for_a_second_and_then_nothing() {
    let mut interleaver = interleaver(500);
    let mut held_ms = Vec::new();
    for n in 0..200 {
        let now_us = n as u64 * 40_000;
        if n < 50 {
            push(&mut interleaver, unit(A, n * 40 * MS), now_us);
        }
        for (track, dts) in push(&mut interleaver, unit(V, n * 40 * MS + 1), now_us) {
            if track == V {
                held_ms.push(n * 40 - dts / MS);
            }
        }
    }
    // Nobody looked between the units, which come every 40 ms.
    assert!(held_ms.iter().all(|ms| *ms <= 520), "{held_ms:?}");
    assert!(held_ms.iter().rev().take(100).all(|ms| *ms == 0), "{held_ms:?}");
    // It comes back, and is waited for again.
    assert_eq!(push(&mut interleaver, unit(A, 7_950 * MS), 8_000_000), [(A, 7_950 * MS)]);
    assert_eq!(push(&mut interleaver, unit(V, 8_000 * MS), 8_000_000), []);
    assert_eq!(push(&mut interleaver, unit(A, 8_010 * MS), 8_020_000), [(V, 8_000 * MS)]);
}

#[test]
fn without_wait_everything_passes_as_it_comes() {
    let mut interleaver = interleaver(0);
    for (at_us, unit) in multiplex(2, 500, 0) {
        let expected = (unit.track, unit.dts.0);
        assert_eq!(push(&mut interleaver, unit, at_us as u64), [expected]);
    }
    assert_eq!(interleaver.poll_timeout(), None);
}

#[test]
fn tracks_further_apart_than_the_wait_lose_nothing_and_wait_no_longer() {
    let mut interleaver = interleaver(200);
    let sent = multiplex(10, 700, 0);
    let mut out = Vec::new();
    for (at_us, unit) in &sent {
        interleaver.push([Output::Unit(unit.clone())], *at_us as u64, &mut out);
        assert!(interleaver.len() <= 8, "{}", interleaver.len());
    }
    interleaver.flush(&mut out);
    let of = |track| units(&out).into_iter().filter(move |(of, _)| *of == track);
    assert!(of(V).map(|(_, dts)| dts).eq((0..250).map(|n| n * 40 * MS)));
    assert!(of(A).map(|(_, dts)| dts).eq((0..416).map(|n| n * 24 * MS)));
    assert!(interleaver.counters().late > 300);
}

#[test]
fn what_is_held_is_bounded_in_units_and_in_bytes() {
    for (units_max, bytes_max) in [(10, usize::MAX), (1_000, 100)] {
        let settings = InterleaverSettings { wait_ms: 5_000, units_max, bytes_max };
        let mut interleaver = Interleaver::new(settings);
        interleaver.push([announced(V), announced(A)], 0, &mut Vec::new());
        let mut out = Vec::new();
        for n in 0..100 {
            interleaver.push([Output::Unit(unit(V, n * 40 * MS))], 0, &mut out);
            assert!(interleaver.len() <= 10);
        }
        interleaver.flush(&mut out);
        assert!(units(&out).into_iter().eq((0..100).map(|n| (V, n * 40 * MS))));
        // There is room again.
        push(&mut interleaver, unit(A, 4_000 * MS), 0);
        push(&mut interleaver, unit(V, 4_000 * MS), 0);
        for n in 1..9 {
            assert_eq!(push(&mut interleaver, unit(V, (4_000 + n) * MS), 0), []);
        }
    }
}

#[test]
fn times_that_jump_begin_a_new_order_behind_what_was_held() {
    for jump in [-1_000_000 * MS, -1, 11_000 * MS] {
        let mut interleaver = interleaver(500);
        push(&mut interleaver, unit(A, 0), 0);
        push(&mut interleaver, unit(V, 100 * MS), 0);
        assert_eq!(push(&mut interleaver, unit(V, 140 * MS), 0), []);
        let after = 140 * MS + jump;
        let expected = [(V, 100 * MS), (V, 140 * MS)];
        assert_eq!(push(&mut interleaver, unit(V, after), 0), expected);
        assert_eq!(interleaver.counters().resets, 1);
        assert_eq!(push(&mut interleaver, unit(A, after - MS), 0), [(A, after - MS)]);
        assert_eq!(interleaver.counters().late, 0);
    }
}

#[test]
fn the_end_of_a_track_comes_behind_its_units_and_it_is_no_longer_waited_for() {
    let ended = Event::TrackEnded { track: A, pid: Pid::new(0x101) };
    let mut interleaver = interleaver(500);
    push(&mut interleaver, unit(A, 0), 0);
    push(&mut interleaver, unit(V, 100 * MS), 0);
    let mut out = Vec::new();
    interleaver.push([Output::Event(ended.clone())], 0, &mut out);
    assert_eq!(out, [Output::Unit(unit(V, 100 * MS)), Output::Event(ended)]);
    assert_eq!(push(&mut interleaver, unit(V, 140 * MS), 0), [(V, 140 * MS)]);

    let lost = Event::ProgramLost { program_number: 1 };
    interleaver.push([announced(A)], 0, &mut out);
    push(&mut interleaver, unit(V, 180 * MS), 0);
    out.clear();
    interleaver.push([Output::Event(lost.clone())], 0, &mut out);
    assert_eq!(out, [Output::Unit(unit(V, 180 * MS)), Output::Event(lost)]);
}

#[test]
fn events_that_end_nothing_do_not_wait_for_units() {
    let mut interleaver = interleaver(500);
    push(&mut interleaver, unit(V, 0), 0);
    let event = Output::Event(Event::TransportError { pid: Pid::new(0x100) });
    let mut out = Vec::new();
    interleaver.push([event.clone()], 0, &mut out);
    assert_eq!(out, [event]);
    assert_eq!(interleaver.len(), 1);
}

proptest! {
    #[test]
    fn no_unit_is_lost_or_overtakes_one_of_its_track(
        steps in proptest::collection::vec((0u8..4, -3_000i64..60_000, 0u64..120_000), 1..300),
        wait_ms in prop_oneof![Just(0u32), 1..2_000u32],
        units_max in 1usize..50,
    ) {
        let settings = InterleaverSettings { wait_ms, units_max, bytes_max: 400 };
        let mut interleaver = Interleaver::new(settings);
        let (mut out, mut sent) = (Vec::new(), Vec::new());
        let (mut times, mut now_us) = ([0i64; 4], 0);
        for (index, step, us) in steps {
            now_us += us;
            let time = &mut times[usize::from(index)];
            *time += step;
            let unit = unit(TrackId { index, ..V }, *time);
            sent.push((unit.track, unit.dts.0));
            interleaver.push([Output::Unit(unit)], now_us, &mut out);
            prop_assert!(interleaver.len() <= units_max.min(40));
            let due = interleaver.poll_timeout();
            prop_assert!(due.is_none_or(|at| at > now_us));
            prop_assert_eq!(due.is_none(), interleaver.is_empty());
        }
        interleaver.flush(&mut out);
        let out = units(&out);
        prop_assert_eq!(out.len(), sent.len());
        for index in 0..4 {
            let of = |all: &[(TrackId, i64)]| {
                all.iter().copied().filter(|(id, _)| id.index == index).collect::<Vec<_>>()
            };
            prop_assert_eq!(of(&out), of(&sent));
        }
    }
}
