use super::*;
use crate::container::mpegts::timestamp::wrap;

fn pcr(ticks: i64) -> Pcr {
    Pcr::new(wrap(ticks) * 300)
}

fn map(timeline: &mut Timeline, time: i64, last: &mut Option<Place>) -> (i64, bool) {
    let (times, place, jump) = timeline.map(wrap(time + 900), wrap(time), *last);
    assert_eq!(times.pts - times.dts, 900);
    *last = Some(place);
    (times.dts, jump.is_some())
}

#[test]
fn the_first_time_stays_as_it_is() {
    let mut timeline = Timeline::new(900_000);
    assert_eq!(timeline.pcr(pcr(1_000), false), None);
    assert_eq!(map(&mut timeline, 50_000, &mut None), (50_000, false));
    let mut timeline = Timeline::new(900_000);
    assert_eq!(map(&mut timeline, 7, &mut None), (7, false));
}

#[test]
fn times_sent_before_a_jump_of_the_clock_keep_their_place_when_they_come_behind_it() {
    let mut timeline = Timeline::new(900_000);
    let (mut video, mut audio) = (None, None);
    timeline.pcr(pcr(5_000_000), false);
    map(&mut timeline, 5_080_000, &mut video);
    map(&mut timeline, 5_010_000, &mut audio);
    let jump = timeline.pcr(pcr(20_000_000), true).expect("a jump");
    assert_eq!(jump.ticks, 15_000_000);
    // The sound of the old clock is 3 s late, the pictures are of the new one.
    assert_eq!(map(&mut timeline, 20_080_000, &mut video), (5_083_600, false));
    assert_eq!(map(&mut timeline, 5_012_000, &mut audio), (5_012_000, false));
    assert_eq!(map(&mut timeline, 20_012_000, &mut audio), (5_015_600, false));
}

#[test]
fn pictures_may_jump_before_their_clock_does() {
    let mut timeline = Timeline::new(900_000);
    let (mut video, mut audio) = (None, None);
    timeline.pcr(pcr(5_000_000), false);
    map(&mut timeline, 5_080_000, &mut video);
    map(&mut timeline, 5_010_000, &mut audio);
    assert_eq!(map(&mut timeline, 80_080_000, &mut video), (5_083_600, true));
    assert_eq!(timeline.pcr(pcr(80_000_000), true), None, "the clock of the same jump");
    assert_eq!(map(&mut timeline, 80_010_000, &mut audio), (5_013_600, false));
    assert_eq!(map(&mut timeline, 80_083_600, &mut video), (5_087_200, false));
}

#[test]
fn presentation_times_that_cannot_be_are_those_of_decoding() {
    let mut timeline = Timeline::new(900_000);
    let (times, ..) = timeline.map(wrap(4_000_000), wrap(1_000_000), None);
    assert_eq!(times, Times { dts: 1_000_000, pts: 1_000_000 });
}

#[test]
fn any_row_of_times_is_mapped_without_a_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    };
    let mut timeline = Timeline::new(900_000);
    let mut last = None;
    for _ in 0..100_000 {
        if random() % 3 == 0 {
            timeline.pcr(Pcr::new(random()), random() % 2 == 0);
        }
        let (_, place, _) = timeline.map(random() >> 15, random() >> 15, last);
        last = Some(place);
    }
}
