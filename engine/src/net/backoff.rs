//! When to try again: at once after a good time, then after longer and longer pauses.
//!
//! Invariants
//! - A pause is never longer than the longest one, and attempts that fail in a row are never closer
//!   than half the shortest one, the first retry excepted.
//! - Many that failed at the same moment spread out: each pause is drawn from the upper half of its
//!   length.

use crate::clock::Micros;

/// See the module.
#[derive(Clone, Debug)]
pub struct Backoff {
    min_us: u64,
    max_us: u64,
    /// Failures in a row.
    failures: u32,
    /// When the last attempt succeeded, if no failure came since.
    good_since: Option<Micros>,
    random: u64,
}

impl Backoff {
    /// Pauses from `min_ms` to `max_ms` milliseconds; a shortest one of 0 is taken as 1, and a longest
    /// one below the shortest as that. `seed` makes those differ that start together.
    pub fn new(min_ms: u64, max_ms: u64, seed: u64) -> Self {
        let min_us = min_ms.max(1).saturating_mul(1_000);
        let max_us = max_ms.saturating_mul(1_000).max(min_us);
        Self { min_us, max_us, failures: 0, good_since: None, random: seed }
    }

    /// An attempt has failed, or what it made has ended: when the next one is due.
    pub fn next(&mut self, now: Micros) -> Micros {
        // What ends as soon as it begins has not succeeded, or the first retry would be all there are.
        if self.good_since.take().is_some_and(|since| now.since(since) >= GOOD_US) {
            self.failures = 0;
        }
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        if failures == 0 {
            return now;
        }
        let doubled =
            self.min_us.checked_shl(failures - 1).filter(|us| us >> (failures - 1) == self.min_us);
        let longest_us = doubled.unwrap_or(self.max_us).min(self.max_us);
        let half_us = longest_us / 2;
        Micros(now.0.saturating_add(half_us + self.draw() % (longest_us - half_us + 1)))
    }

    /// The attempt has succeeded.
    pub fn succeeded(&mut self, now: Micros) {
        self.good_since = Some(now);
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What lasted this long was good: a source that restarts is found again at once.
const GOOD_US: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MIN_MS: u64 = 500;
    const MAX_MS: u64 = 15_000;

    fn pauses(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        let mut now = Micros(7);
        let mut next = || {
            let at = backoff.next(now);
            let pause = at.since(now);
            now = at;
            pause / 1_000
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn the_first_retry_is_at_once_and_the_pauses_double_up_to_the_longest() {
        for seed in 0..200 {
            let pauses = pauses(&mut Backoff::new(MIN_MS, MAX_MS, seed), 100);
            assert_eq!(pauses[0], 0);
            for (failures, &pause) in pauses[1..].iter().enumerate() {
                let longest = MAX_MS.min(MIN_MS << failures.min(10));
                assert!((longest / 2..=longest).contains(&pause), "{failures}: {pause} ms");
            }
        }
    }

    #[test]
    fn those_that_fail_together_do_not_return_together() {
        let third = |seed| pauses(&mut Backoff::new(MIN_MS, MAX_MS, seed), 6)[5];
        let mut all: Vec<u64> = (0..100).map(third).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 90, "{all:?}");
    }

    #[test]
    fn only_what_lasted_is_retried_at_once() {
        let mut backoff = Backoff::new(MIN_MS, MAX_MS, 1);
        pauses(&mut backoff, 5);
        let mut now = Micros(100_000_000);
        backoff.succeeded(now);
        now.0 += GOOD_US - 1;
        assert!(backoff.next(now) > now, "a server that hangs up soon is not hammered");
        backoff.succeeded(now);
        now.0 += GOOD_US;
        assert_eq!(backoff.next(now), now);
        assert!(backoff.next(now) > now);
    }

    #[test]
    fn settings_out_of_order_still_pause() {
        let mut backoff = Backoff::new(0, 0, 1);
        assert_eq!(backoff.next(Micros(5)), Micros(5));
        assert!(backoff.next(Micros(5)) > Micros(5));
        let mut backoff = Backoff::new(u64::MAX, 1, 1);
        backoff.next(Micros(5));
        assert!(backoff.next(Micros(5)).0 > u64::MAX / 2);
    }
}
