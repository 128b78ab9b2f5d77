//! What a multivariant playlist says of a presentation, apart from the media: it can cross cores.

use std::sync::Arc;

use super::super::segment::{Description, Rendition};

/// The renditions of a presentation as they are now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Those that can be played, the main one first.
    pub(in super::super) renditions: Vec<Row>,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Row {
    pub(in super::super) rendition: Rendition,
    pub(in super::super) description: Arc<Description>,
    pub(in super::super) bandwidth: Bandwidth,
}

/// Measured bit rates, in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// The highest over half to one and a half target durations (RFC 8216 4.3.4.2, BANDWIDTH).
    pub peak: u64,
    /// Over all that is held (AVERAGE-BANDWIDTH).
    pub average: u64,
}

impl Bandwidth {
    /// Measures segments, each by its bytes and its ticks of 1/90,000 s.
    pub(super) fn measure(segments: &[(usize, i64)], target_ticks: i64) -> Self {
        let (bytes, ticks) = segments
            .iter()
            .fold((0, 0), |(bytes, ticks), (more_bytes, more)| (bytes + more_bytes, ticks + more));
        let average = bits_per_second(bytes, ticks);
        let peak = (0..segments.len())
            .filter_map(|from| segments.get(from..))
            .filter_map(|run| highest_from(run, target_ticks))
            .max();
        Self { peak: peak.unwrap_or_default().max(average), average }
    }
}

/// The highest bit rate of the runs of segments that begin with the first one; `None` when none of
/// them is of a length that counts.
fn highest_from(segments: &[(usize, i64)], target_ticks: i64) -> Option<u64> {
    let sums = segments.iter().scan((0, 0), |(bytes, ticks), (more_bytes, more)| {
        *bytes += more_bytes;
        *ticks += more;
        Some((*bytes, *ticks))
    });
    sums.skip_while(|(_, ticks)| *ticks < target_ticks / 2)
        .take_while(|(_, ticks)| *ticks <= target_ticks / 2 * 3)
        .map(|(bytes, ticks)| bits_per_second(bytes, ticks))
        .max()
}

fn bits_per_second(bytes: usize, ticks: i64) -> u64 {
    let bits = bytes as u128 * 8 * 90_000;
    let rate = u128::try_from(ticks).ok().and_then(|ticks| bits.checked_div(ticks));
    u64::try_from(rate.unwrap_or_default()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 90_000;

    #[test]
    fn the_peak_is_that_of_the_heaviest_segment_and_the_average_that_of_all() {
        let segments = [(250_000, 2 * SECOND), (500_000, 2 * SECOND), (250_000, 2 * SECOND)];
        let bandwidth = Bandwidth::measure(&segments, 2 * SECOND);
        assert_eq!(bandwidth, Bandwidth { peak: 2_000_000, average: 1_333_333 });
    }

    #[test]
    fn a_short_segment_is_measured_with_its_neighbour() {
        // By itself the first one would be 8 Mbit/s; with the second it is 1,125,000 bytes in 4.5
        // s.
        let segments = [(125_000, SECOND / 8), (1_000_000, SECOND * 35 / 8)];
        let bandwidth = Bandwidth::measure(&segments, 4 * SECOND);
        assert_eq!(bandwidth.peak, 2_000_000);
    }

    #[test]
    fn nothing_is_nothing_and_less_than_half_a_target_is_averaged() {
        assert_eq!(Bandwidth::measure(&[], SECOND), Bandwidth::default());
        assert_eq!(Bandwidth::measure(&[(10, 0)], SECOND), Bandwidth::default());
        let bandwidth = Bandwidth::measure(&[(1000, SECOND / 10)], SECOND);
        assert_eq!(bandwidth, Bandwidth { peak: 80_000, average: 80_000 });
    }
}
