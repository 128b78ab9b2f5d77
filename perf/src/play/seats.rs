//! Which player sits on which thread, when it begins, and what it is like.

use super::{PlayConfig, Venue};

/// One player's place.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    /// Index of what it plays among the venues.
    pub(super) venue: usize,
    /// When it begins, in microseconds from the beginning of the run.
    pub(super) begins_us: u64,
    /// What it does once it plays.
    pub(super) manner: Manner,
}

/// What a player does with the media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Counts the bytes.
    Count,
    /// Parses all of them.
    Parse,
    /// Counts the bytes and reads at most this many per second.
    Slow {
        /// Bytes per second.
        bytes_per_s: u64,
    },
}

/// The players of one thread.
#[derive(Debug)]
pub(super) struct Seats {
    pub(super) seats: Vec<Seat>,
    pub(super) venues: Vec<Venue>,
    /// It is the thread of the players that parse.
    pub(super) sampled: bool,
    /// Its share of the players that leave and come back, per second.
    pub(super) churn_per_s: f64,
    /// Who waits longer than this for a keyframe has failed.
    pub(super) join_timeout_us: u64,
}

/// Deals the players out: those of a kind evenly over the order in which they begin.
pub(super) fn assign(config: &PlayConfig, venues: &[Venue]) -> Vec<Seats> {
    let sample = config.sample.min(config.players);
    let mut kinds = vec![(config.players - sample, Manner::Count), (sample, Manner::Parse)];
    kinds.extend(
        config
            .slow
            .iter()
            .map(|(players, kbit_s)| (*players, Manner::Slow { bytes_per_s: kbit_s * 1_000 / 8 })),
    );
    let threads = config.threads.max(1);
    let mut all: Vec<Vec<Seat>> = vec![Vec::new(); threads + 1];
    for (index, manner) in spread(&kinds).into_iter().enumerate() {
        let begins_us = (index as f64 / config.ramp_per_s.max(0.001) * 1e6) as u64;
        let thread = if manner == Manner::Parse { threads } else { index % threads };
        let venue = index % venues.len().max(1);
        if let Some(seats) = all.get_mut(thread) {
            seats.push(Seat { venue, begins_us, manner });
        }
    }
    let churn_per_s = config.churn_per_s / threads as f64;
    let occupied = all.into_iter().enumerate().filter(|(_, seats)| !seats.is_empty());
    let with_venues = |(thread, seats)| Seats {
        seats,
        venues: venues.to_vec(),
        sampled: thread == threads,
        churn_per_s,
        join_timeout_us: config.join_timeout.as_micros() as u64,
    };
    occupied.map(with_venues).collect()
}

/// All members of all kinds, each kind evenly spread.
fn spread(kinds: &[(usize, Manner)]) -> Vec<Manner> {
    let members = kinds.iter().flat_map(|(count, manner)| {
        (0..*count).map(move |index| ((index as f64 + 0.5) / *count as f64, *manner))
    });
    let mut placed: Vec<(f64, Manner)> = members.collect();
    placed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    placed.into_iter().map(|(_, manner)| manner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    #[test]
    fn sampled_players_are_spread_and_have_a_thread_of_their_own() {
        let target = Target::parse("rtmp://127.0.0.1/live/a").unwrap();
        let mut config = PlayConfig::new(vec![target.clone()], 100);
        config.sample = 4;
        config.threads = 2;
        config.ramp_per_s = 100.0;
        config.slow = vec![(10, 0), (10, 1_000)];
        let venues = [Venue::new(&target).unwrap()];
        let assigned = assign(&config, &venues);
        assert_eq!(assigned.len(), 3);
        let sampled = assigned.iter().find(|seats| seats.sampled).unwrap();
        let begins: Vec<u64> = sampled.seats.iter().map(|seat| seat.begins_us).collect();
        assert_eq!(begins.len(), 4);
        assert!(begins.windows(2).all(|pair| (250_000..350_000).contains(&(pair[1] - pair[0]))));
        let slow = |seats: &&Seat| matches!(seats.manner, Manner::Slow { .. });
        let count = |seats: &Seats| seats.seats.iter().filter(slow).count();
        assert_eq!(assigned.iter().map(count).sum::<usize>(), 20);
        assert_eq!(assigned.iter().map(|seats| seats.seats.len()).sum::<usize>(), 120);
        let last = assigned.iter().flat_map(|seats| &seats.seats).map(|seat| seat.begins_us).max();
        assert_eq!(last, Some(1_190_000));
    }

    #[test]
    fn a_player_alone_that_is_sampled_needs_one_thread() {
        let target = Target::parse("rtmp://127.0.0.1/live/a").unwrap();
        let config = PlayConfig::new(vec![target.clone()], 1);
        assert_eq!(assign(&config, &[Venue::new(&target).unwrap()]).len(), 1);
    }
}
