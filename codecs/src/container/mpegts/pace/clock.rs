//! Stream time onto the wall clock, and how the difference between the sender's clock and ours is
//! evened out.
//!
//! Both are ticks of 27 MHz. Stream time is what PCRs count, unwrapped and continued over
//! discontinuities; wall time is the caller's.

use crate::container::mpegts::packet::Pcr;

/// A straight line from stream time to wall time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WallClock {
    base_stream: i64,
    base_wall: i64,
    /// How much longer stream time takes on the wall, in parts per 10^9.
    stretch_ppb: i64,
}

impl WallClock {
    /// Wall time of a stream time.
    pub(super) fn wall_at(&self, stream: i64) -> i64 {
        let distance = stream.saturating_sub(self.base_stream);
        self.base_wall.saturating_add(distance).saturating_add(self.stretched(distance))
    }

    /// Stream time of a wall time.
    pub(super) fn stream_at(&self, wall: i64) -> i64 {
        let distance = wall.saturating_sub(self.base_wall);
        self.base_stream.saturating_add(distance).saturating_sub(self.stretched(distance))
    }

    pub(super) fn stretch_ppb(&self) -> i64 {
        self.stretch_ppb
    }

    /// Goes on with another slope; what lies at `wall` does not move.
    pub(super) fn bend(&mut self, wall: i64, stretch_ppb: i64) {
        *self = Self { base_stream: self.stream_at(wall), base_wall: wall, stretch_ppb };
    }

    /// Moves everything by `ticks`; later when that is positive.
    pub(super) fn shift(&mut self, ticks: i64) {
        self.base_wall = self.base_wall.saturating_add(ticks);
    }

    /// In this order nothing overflows in years, and what is lost is below a tick.
    fn stretched(&self, distance: i64) -> i64 {
        (distance / 1_000).saturating_mul(self.stretch_ppb) / 1_000_000
    }
}

/// Keeps the reserve: the time from the arrival of a PCR to its departure, of those that come latest.
///
/// It is the lowest of a window that counts, not the mean: that of a source that sends in bursts
/// says nothing. The wanted reserve is the one of the first window, inside of what the depth allows,
/// so that a clock that agrees with ours is not touched at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regulator {
    depth: i64,
    window: Option<Window>,
    wanted: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: i64,
    lowest: i64,
}

impl Regulator {
    /// For a buffer of `depth` ticks.
    pub(super) fn new(depth: i64) -> Self {
        Self { depth, window: None, wanted: None }
    }

    /// Forgets everything: the clock was set anew.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.depth);
    }

    /// Takes the reserve of one PCR. Says what to do when a window ends with it.
    pub(super) fn sample(&mut self, reserve: i64, now: i64) -> Option<Advice> {
        let begin = Window { since: now, lowest: reserve };
        let window = self.window.get_or_insert(begin);
        if now.saturating_sub(window.since) < WINDOW {
            window.lowest = window.lowest.min(reserve);
            return None;
        }
        let lowest = std::mem::replace(window, begin).lowest;
        let wanted = *self.wanted.get_or_insert(lowest.clamp(self.depth / 2, self.depth));
        let error = lowest.saturating_sub(wanted);
        // Arrival varies, and an error this small does no harm.
        let tolerated = self.depth / 20;
        let excess = error - error.clamp(-tolerated, tolerated);
        let full = (self.depth * 3 / 20).max(2 * TICKS_PER_MS);
        let stretch = excess.saturating_mul(STRETCH_MAX_PPB) / full;
        let stretch_ppb = -stretch.clamp(-STRETCH_MAX_PPB, STRETCH_MAX_PPB);
        Some(Advice { lowest, stretch_ppb })
    }
}

/// What a window has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advice {
    /// The lowest reserve.
    pub(super) lowest: i64,
    /// The stretch that brings it where it should be.
    pub(super) stretch_ppb: i64,
}

pub(super) const TICKS_PER_US: i64 = Pcr::HZ as i64 / 1_000_000;
pub(super) const TICKS_PER_MS: i64 = 1_000 * TICKS_PER_US;
pub(super) const TICKS_PER_S: i64 = Pcr::HZ as i64;

/// Clocks of both ends may be wrong by 100 ppm; as much is left to move the reserve.
const STRETCH_MAX_PPB: i64 = 200_000;
/// Longer than the bursts of most sources.
const WINDOW: i64 = 5 * TICKS_PER_S;

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: i64 = 200 * TICKS_PER_MS;

    #[test]
    fn wall_and_stream_time_are_each_others_inverse() {
        let mut clock = WallClock::default();
        clock.bend(1_000, 0);
        clock.shift(5_000);
        assert_eq!((clock.wall_at(1_000), clock.stream_at(6_000)), (6_000, 1_000));
        clock.bend(6_000, 200_000);
        assert_eq!(clock.wall_at(1_000), 6_000);
        // 200 ppm of 10 s are 2 ms.
        let later = 1_000 + 10 * TICKS_PER_S;
        assert_eq!(clock.wall_at(later), later + 5_000 + 2 * TICKS_PER_MS);
        let back = clock.stream_at(clock.wall_at(later));
        assert!(back.abs_diff(later) < 100, "{}", back - later);
        assert_eq!(clock.wall_at(i64::MAX), i64::MAX);
    }

    /// Feeds an arrival every 40 ms for so many windows; the last stretch.
    fn regulated(regulator: &mut Regulator, windows: i64, reserve: impl Fn(i64) -> i64) -> i64 {
        let mut stretch = 0;
        for n in 0..windows * WINDOW / (40 * TICKS_PER_MS) + 1 {
            if let Some(advice) = regulator.sample(reserve(n), n * 40 * TICKS_PER_MS) {
                stretch = advice.stretch_ppb;
            }
        }
        stretch
    }

    #[test]
    fn a_steady_reserve_is_left_alone_with_jitter_and_in_bursts() {
        let jitter = |n: i64| DEPTH + (n * 7 % 100 - 50) * TICKS_PER_MS;
        assert_eq!(regulated(&mut Regulator::new(DEPTH), 5, jitter), 0);
        let bursts = |n: i64| DEPTH + n % 50 * 40 * TICKS_PER_MS;
        assert_eq!(regulated(&mut Regulator::new(DEPTH), 5, bursts), 0);
    }

    #[test]
    fn a_reserve_that_grows_or_shrinks_is_pulled_back_within_the_limit() {
        let drifting = |sign: i64| move |n: i64| DEPTH + sign * n * TICKS_PER_MS / 10;
        assert_eq!(regulated(&mut Regulator::new(DEPTH), 6, drifting(-1)), STRETCH_MAX_PPB);
        assert_eq!(regulated(&mut Regulator::new(DEPTH), 6, drifting(1)), -STRETCH_MAX_PPB);
    }

    #[test]
    fn too_small_a_reserve_at_the_start_is_not_accepted() {
        let stretch = regulated(&mut Regulator::new(DEPTH), 1, |_| DEPTH / 4);
        assert_eq!(stretch, STRETCH_MAX_PPB);
        let mut regulator = Regulator::new(DEPTH);
        assert_eq!(regulated(&mut regulator, 1, |_| 2 * DEPTH), -STRETCH_MAX_PPB);
        regulator.restart();
        assert_eq!(regulated(&mut regulator, 1, |_| DEPTH), 0);
    }
}
