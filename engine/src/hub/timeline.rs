//! One 64-bit timeline per stream out of whatever clock its publisher has.
//!
//! Invariants
//! - The stream's time is 0 at the first unit of its first publisher.
//! - Output times never go backwards within a track.
//! - Tracks that shared a clock before a jump share it afterwards: a jump moves the epoch, and every
//!   track that jumps with it takes the same one.

use corelay_codecs::{Timestamp, TrackId};
use smallvec::SmallVec;

/// Maps a publisher's timestamps to stream time.
#[derive(Debug)]
pub struct Timeline {
    tracks: SmallVec<[Track; 3]>,
    /// Added to source times, in ticks, by tracks that follow the newest clock; `None` until the first
    /// unit of a publisher.
    epoch: Option<i64>,
    /// Where a new publisher's clock begins.
    resume_at: i64,
    /// The latest time given out.
    latest: i64,
    jump_ticks: i64,
    /// Jumps that were smoothed out.
    jumps: u64,
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    offset: i64,
    source: i64,
    output: i64,
    /// The last step between two units, to continue with after a jump.
    step: i64,
}

impl Timeline {
    /// A timeline on which a step of more than `jump_ms` in either direction is a discontinuity.
    pub fn new(jump_ms: u64) -> Self {
        Self {
            tracks: SmallVec::new(),
            epoch: None,
            resume_at: 0,
            latest: 0,
            jump_ticks: Timestamp::from_millis(jump_ms as i64).0,
            jumps: 0,
        }
    }

    /// A publisher starts (again): its first unit continues right after what was given out before.
    pub fn restart(&mut self) {
        let step = self.tracks.iter().map(|track| track.step).max().unwrap_or(0);
        // A publisher that sent nothing leaves the place where it would have begun to the next one.
        if !self.tracks.is_empty() {
            self.resume_at = self.latest + step.max(TICK_MS);
        }
        self.tracks.clear();
        self.epoch = None;
    }

    /// The next publisher begins at `at` or later.
    pub fn begin_at(&mut self, at: Timestamp) {
        self.resume_at = self.resume_at.max(at.0);
        self.latest = self.latest.max(at.0);
    }

    /// The latest time given out.
    pub fn latest(&self) -> Timestamp {
        Timestamp(self.latest)
    }

    /// Discontinuities smoothed out so far.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Stream time of a unit whose publisher says `source`: milliseconds of 32 bits as RTMP sends them,
    /// in ticks (so it wraps at 2^32 ms), or any 64-bit clock.
    pub fn map(&mut self, id: TrackId, source: Timestamp) -> Timestamp {
        let source = source.0;
        let resume_at = self.resume_at;
        let epoch = *self.epoch.get_or_insert(resume_at - source);
        let index = self.tracks.iter().position(|track| track.id == id);
        let output = match index {
            Some(index) => self.map_known(index, source),
            None => self.map_first(id, source, epoch),
        };
        self.latest = self.latest.max(output);
        Timestamp(output)
    }

    /// Where a time of the publisher's clock is that no unit has: beside the units of the first track.
    /// `None` before the first unit.
    pub fn place(&self, source: Timestamp) -> Option<Timestamp> {
        let track = self.tracks.iter().min_by_key(|track| track.id)?;
        Some(Timestamp(track.source + unwrap(source.0 - track.source) + track.offset))
    }

    fn map_first(&mut self, id: TrackId, source: i64, epoch: i64) -> i64 {
        // The clocks of audio and video may have different bases: a track that starts far from the
        // stream's present is moved there.
        let offset = if (source + epoch - self.latest.max(self.resume_at)).abs() > self.jump_ticks {
            self.latest.max(self.resume_at) - source
        } else {
            epoch
        };
        let output = (source + offset).max(self.resume_at);
        self.tracks.push(Track { id, offset, source, output, step: 0 });
        output
    }

    fn map_known(&mut self, index: usize, source: i64) -> i64 {
        let latest = self.latest;
        let track = &mut self.tracks[index];
        let delta = unwrap(source - track.source);
        let source = track.source + delta;
        if delta.abs() > self.jump_ticks {
            let shared = self.epoch.unwrap_or(track.offset);
            if (source + shared - latest).abs() <= self.jump_ticks {
                track.offset = shared;
            } else {
                track.offset = latest.max(track.output + track.step.max(TICK_MS)) - source;
                self.epoch = Some(track.offset);
                self.jumps += 1;
            }
        } else if delta > 0 {
            track.step = delta;
        }
        track.source = source;
        track.output = track.output.max(source + track.offset);
        track.output
    }
}

/// The shortest way round a 32-bit millisecond clock: a step of nearly 2^32 ms is a small step across
/// the wrap.
fn unwrap(delta: i64) -> i64 {
    const WRAP: i64 = (1 << 32) * TICK_MS;
    if delta.abs() <= WRAP / 2 || delta.abs() > WRAP + WRAP / 2 {
        return delta;
    }
    if delta < 0 { delta + WRAP } else { delta - WRAP }
}

const TICK_MS: i64 = Timestamp::TICKS_PER_MS;

#[cfg(test)]
mod tests {
    use super::*;

    const V: TrackId = TrackId::VIDEO;
    const A: TrackId = TrackId::AUDIO;

    fn map(timeline: &mut Timeline, id: TrackId, ms: i64) -> i64 {
        timeline.map(id, Timestamp::from_millis(ms)).as_millis()
    }

    #[test]
    fn the_first_unit_is_at_zero_whatever_the_source_says() {
        let mut t = Timeline::new(5_000);
        assert_eq!(map(&mut t, V, 90_000_000), 0);
        assert_eq!(map(&mut t, A, 90_000_010), 10);
        assert_eq!(map(&mut t, V, 90_000_040), 40);
    }

    #[test]
    fn the_32_bit_wrap_is_a_small_step() {
        let mut t = Timeline::new(5_000);
        let end = (1i64 << 32) - 20;
        assert_eq!(map(&mut t, V, end), 0);
        assert_eq!(map(&mut t, A, end + 5), 5);
        assert_eq!(map(&mut t, V, 20), 40);
        assert_eq!(map(&mut t, A, 25), 45);
        assert_eq!(map(&mut t, V, 60), 80);
        assert_eq!(t.jumps(), 0);
    }

    #[test]
    fn many_wraps_add_up() {
        let mut t = Timeline::new(5_000);
        let mut source = 0u32;
        let mut expected = 0i64;
        map(&mut t, V, 0);
        for _ in 0..5_000_000 {
            source = source.wrapping_add(4_000);
            expected += 4_000;
            assert_eq!(map(&mut t, V, i64::from(source)), expected);
        }
    }

    #[test]
    fn a_jump_of_the_publishers_clock_keeps_audio_and_video_together() {
        for base in [1_000_000, 0] {
            let mut t = Timeline::new(5_000);
            for k in 0..100 {
                map(&mut t, V, 500_000 + k * 40);
                map(&mut t, A, 500_000 + k * 40 + 10);
            }
            let video = map(&mut t, V, base);
            let audio = map(&mut t, A, base + 10);
            assert_eq!(audio - video, 10, "base {base}");
            assert!((3_970..=4_100).contains(&video), "{video}");
            assert_eq!(t.jumps(), 1);
        }
    }

    #[test]
    fn tracks_with_different_bases_are_brought_together() {
        let mut t = Timeline::new(5_000);
        assert_eq!(map(&mut t, V, 0), 0);
        assert_eq!(map(&mut t, A, 70_000_000), 0);
        assert_eq!(map(&mut t, V, 40), 40);
        assert_eq!(map(&mut t, A, 70_000_023), 23);
    }

    #[test]
    fn a_track_never_goes_backwards() {
        let mut t = Timeline::new(5_000);
        assert_eq!(map(&mut t, V, 1_000), 0);
        assert_eq!(map(&mut t, V, 1_040), 40);
        assert_eq!(map(&mut t, V, 1_020), 40);
        assert_eq!(map(&mut t, V, 1_080), 80);
    }

    #[test]
    fn a_returning_publisher_continues_the_timeline() {
        let mut t = Timeline::new(5_000);
        map(&mut t, V, 0);
        map(&mut t, V, 40);
        assert_eq!(map(&mut t, A, 47), 47);
        t.restart();
        assert_eq!(map(&mut t, A, 123_456), 87);
        assert_eq!(map(&mut t, V, 123_460), 91);
        assert_eq!(map(&mut t, V, 123_500), 131);
    }

    #[test]
    fn a_publisher_that_sends_nothing_does_not_set_the_time_back() {
        let mut t = Timeline::new(5_000);
        map(&mut t, V, 0);
        map(&mut t, V, 40);
        t.restart();
        t.restart();
        assert_eq!(map(&mut t, V, 7_000), 80);
    }

    #[test]
    fn what_is_no_unit_has_its_place_beside_the_pictures() {
        let mut t = Timeline::new(5_000);
        let place =
            |t: &Timeline, ms| t.place(Timestamp::from_millis(ms)).map(|placed| placed.as_millis());
        assert_eq!(place(&t, 90_000), None);
        map(&mut t, A, 90_010);
        map(&mut t, V, 90_020);
        assert_eq!((place(&t, 90_500), place(&t, 89_000)), (Some(490), Some(-1_010)));
        map(&mut t, V, 10);
        assert_eq!(place(&t, 510), Some(t.latest().as_millis() + 500), "behind a jump");
    }

    #[test]
    fn time_before_the_first_unit_is_the_first_units_time() {
        let mut t = Timeline::new(5_000);
        assert_eq!(map(&mut t, V, 100), 0);
        assert_eq!(map(&mut t, A, 60), 0);
        assert_eq!(map(&mut t, A, 120), 20);
    }
}
