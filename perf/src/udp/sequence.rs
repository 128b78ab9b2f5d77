//! Numbers that should arrive one after the other.

/// What has arrived of one channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    /// One more than the highest number that arrived; 0 before the first.
    next: u64,
    /// Which of the last 64 numbers before `next` have arrived, the highest in the lowest bit.
    seen: u64,
}

/// What the arrival of a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is higher than all before; so many between are missing as yet.
    Forward { missing: u64 },
    /// It was missing.
    Late,
    /// It was there already, or is too old to tell.
    Again,
}

impl Sequence {
    /// Takes a number in. Before the first one nothing is missing.
    pub(super) fn arrive(&mut self, number: u64) -> Arrival {
        if self.next == 0 {
            *self = Self { next: number.saturating_add(1), seen: 1 };
            return Arrival::Forward { missing: 0 };
        }
        if let Some(missing) = number.checked_sub(self.next) {
            let shift = u32::try_from(missing.saturating_add(1)).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.next = number.saturating_add(1);
            return Arrival::Forward { missing };
        }
        let age = self.next - 1 - number;
        let bit = u32::try_from(age).ok().and_then(|age| 1_u64.checked_shl(age)).unwrap_or(0);
        if bit == 0 || self.seen & bit != 0 {
            return Arrival::Again;
        }
        self.seen |= bit;
        Arrival::Late
    }

    /// Whether any has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.next > 0
    }

    /// How many are missing behind the highest, of `count` in all.
    pub(super) fn missing_of(&self, count: u64) -> u64 {
        count.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(numbers: &[u64]) -> Vec<Arrival> {
        let mut sequence = Sequence::default();
        numbers.iter().map(|number| sequence.arrive(*number)).collect()
    }

    const NEXT: Arrival = Arrival::Forward { missing: 0 };

    #[test]
    fn a_gap_is_missing_until_what_belongs_there_comes_late() {
        let gap = Arrival::Forward { missing: 2 };
        assert_eq!(
            arrivals(&[70, 71, 74, 73, 73, 75, 72]),
            [NEXT, NEXT, gap, Arrival::Late, Arrival::Again, NEXT, Arrival::Late]
        );
    }

    #[test]
    fn what_is_too_old_is_not_called_late() {
        let mut sequence = Sequence::default();
        sequence.arrive(10);
        assert_eq!(sequence.arrive(200), Arrival::Forward { missing: 189 });
        assert_eq!(sequence.arrive(200 - 63), Arrival::Late);
        assert_eq!(sequence.arrive(200 - 64), Arrival::Again);
        assert_eq!(sequence.arrive(10), Arrival::Again);
    }

    #[test]
    fn those_at_the_end_are_missing_when_the_sender_says_how_many_there_were() {
        let mut sequence = Sequence::default();
        assert!(!sequence.has_begun());
        assert_eq!(sequence.missing_of(5), 5);
        sequence.arrive(2);
        assert_eq!((sequence.has_begun(), sequence.missing_of(5)), (true, 2));
    }
}
