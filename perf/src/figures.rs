//! Distributions and how they are reported.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A distribution of whole microseconds, up to 10 minutes, to three digits.
#[derive(Clone, Debug)]
pub struct Distribution(Histogram<u64>);

impl Distribution {
    /// Counts one value; what is over the range counts as its end.
    pub fn record_us(&mut self, value_us: u64) {
        self.0.saturating_record(value_us);
    }

    /// Counts everything that another one holds.
    pub fn add(&mut self, other: &Self) {
        // Both have the same range, so nothing can fall outside.
        let _ = self.0.add(&other.0);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What it says; `None` when it is empty.
    pub fn summary_us(&self) -> Option<Summary> {
        self.summary(1.0)
    }

    /// The same in milliseconds.
    pub fn summary_ms(&self) -> Option<Summary> {
        self.summary(1e-3)
    }

    fn summary(&self, scale: f64) -> Option<Summary> {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 * scale;
        (!self.0.is_empty()).then(|| Summary {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 * scale,
        })
    }
}

impl Default for Distribution {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, RANGE_US, 3);
        Self(histogram.expect("three digits up to ten minutes are a valid range"))
    }
}

/// The usual quantiles of a distribution; the unit is in the name of the field that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values there were.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// Nine tenths are no greater.
    pub p90: f64,
    /// 99 % are no greater.
    pub p99: f64,
    /// 99.9 % are no greater.
    pub p999: f64,
    /// The greatest.
    pub max: f64,
}

/// The least, the middle and the greatest of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one; of an even number of values, the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of `values`, in any order; all zero when there are none.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return Self::default();
        };
        let middle = |index: usize| sorted.get(index).copied().unwrap_or(*max);
        let median = (middle((sorted.len() - 1) / 2) + middle(sorted.len() / 2)) / 2.0;
        Self { min: *min, median, max: *max }
    }
}

/// Longer than any run, so that nothing real is cut.
const RANGE_US: u64 = 600 * 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_parts_together() {
        let (mut a, mut b) = (Distribution::default(), Distribution::default());
        (1..=90).for_each(|_| a.record_us(100));
        (1..=10).for_each(|_| b.record_us(5_000));
        a.add(&b);
        let summary = a.summary_us().unwrap();
        assert_eq!((summary.count, summary.p50, summary.p90), (100, 100.0, 100.0));
        assert!((summary.p99 - 5_000.0).abs() < 10.0);
        assert!((a.summary_ms().unwrap().max - 5.0).abs() < 0.01);
        assert_eq!(Distribution::default().summary_us(), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of(&[7.0]).median, 7.0);
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
