//! The timer wheel: one deadline per connection, checked by the core's tick.
//!
//! Invariants
//! - An entry never fires early; it fires at most one slot and one tick late.
//! - An entry is a hint: a connection knows which of its entries counts, the one it was given last, and
//!   lets the others lapse. So it has one that matters, however often its deadline moves.

use crate::clock::Micros;

/// Deadlines of things of type `T`.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(Micros, T)>>,
    /// The slot up to which everything has been looked at.
    turned: u64,
}

impl<T> Wheel<T> {
    /// A wheel whose time begins at `now`.
    pub fn new(now: Micros) -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { slots, turned: now.0 / SLOT_US }
    }

    /// Fires `item` once `at` has passed.
    pub fn insert(&mut self, at: Micros, item: T) {
        // Past deadlines go into the next slot to be looked at.
        let slot = (at.0 / SLOT_US).max(self.turned);
        self.slots[(slot % SLOTS) as usize].push((at, item));
    }

    /// Takes out everything whose time has passed, with that time.
    pub fn turn(&mut self, now: Micros, due: &mut Vec<(Micros, T)>) {
        let target = now.0 / SLOT_US;
        // After a pause of more than a whole turn, one look at each slot is enough.
        let first = self.turned.max(target.saturating_sub(SLOTS));
        for slot in first..target {
            let entries = &mut self.slots[(slot % SLOTS) as usize];
            let mut at = 0;
            while at < entries.len() {
                if entries[at].0 <= now {
                    due.push(entries.swap_remove(at));
                } else {
                    at += 1;
                }
            }
            if entries.is_empty() {
                entries.shrink_to(ENTRIES_KEPT);
            }
        }
        self.turned = self.turned.max(target);
    }
}

/// 64 ms a slot and 512 slots: 33 s a turn, which holds the usual timeouts.
const SLOT_US: u64 = 64_000;
const SLOTS: u64 = 512;
const ENTRIES_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fire_once_after_their_time_and_never_before() {
        let mut wheel = Wheel::new(Micros(0));
        for k in 0..2_000u64 {
            wheel.insert(Micros(k * 50_000), k);
        }
        let mut fired = Vec::new();
        let mut now = 0;
        while now < 120_000_000 {
            now += 5_000;
            let mut due = Vec::new();
            wheel.turn(Micros(now), &mut due);
            for (_, k) in due {
                assert!(k * 50_000 <= now, "{k} fired early");
                assert!(now - k * 50_000 <= SLOT_US + 5_000, "{k} fired late");
                fired.push(k);
            }
        }
        fired.sort_unstable();
        assert_eq!(fired, (0..2_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_deadline_in_the_past_and_a_long_pause_lose_nothing() {
        let mut wheel = Wheel::new(Micros(10_000_000));
        wheel.insert(Micros(5), 'a');
        wheel.insert(Micros(900_000_000), 'b');
        let mut due = Vec::new();
        wheel.turn(Micros(1_000_000_000), &mut due);
        due.sort_unstable();
        assert_eq!(due, [(Micros(5), 'a'), (Micros(900_000_000), 'b')]);
    }
}
