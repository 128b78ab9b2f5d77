//! Relay latencies of all cores, as one distribution.

use hdrhistogram::Histogram;

use crate::shard::ShardSnapshot;

/// The latencies of these cores together, in microseconds.
pub(in crate::control) fn merged(shards: &[ShardSnapshot]) -> Histogram<u64> {
    let mut all = Histogram::new(DIGITS).expect("one to five digits are allowed");
    for shard in shards {
        // It grows as needed, so there is no value that it cannot take.
        let _ = all.add(&shard.latency_us);
    }
    all
}

/// Upper bounds in seconds, and how many values lie between each and the one before; the last bound
/// is infinite.
pub(super) fn buckets(latencies: &Histogram<u64>) -> Vec<(f64, u64)> {
    let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6);
    let mut buckets: Vec<(f64, u64)> =
        bounds.chain([f64::INFINITY]).map(|bound| (bound, 0)).collect();
    for step in latencies.iter_recorded() {
        // A step stands for a small range of values. Its lowest one counts, so that a bound is in
        // its own bucket.
        let value = latencies.lowest_equivalent(step.value_iterated_to());
        let index = BOUNDS_US.partition_point(|bound| *bound < value);
        if let Some((_, count)) = buckets.get_mut(index) {
            *count += step.count_at_value();
        }
    }
    buckets
}

/// The sum of all values in seconds, as exact as the steps are: 1 %.
pub(super) fn sum_seconds(latencies: &Histogram<u64>) -> f64 {
    latencies.mean() * latencies.len() as f64 / 1e6
}

/// Those of the cores.
const DIGITS: u8 = 2;
/// From one write on an idle core to a second, which is a fault.
const BOUNDS_US: [u64; 13] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000,
];

#[cfg(test)]
mod tests {
    use super::super::super::api::samples;
    use super::*;

    #[test]
    fn every_value_is_in_one_bucket() {
        let mut shard = samples::shard(0);
        let values = [1, 100, 101, 1_000, 1_020, 7_000, 999_999, 1_000_000, 2_000_000, 59_000_000];
        for value in values {
            shard.latency_us.saturating_record(value);
        }
        let buckets = buckets(&merged(&[shard]));
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 2, 2]);
        assert_eq!((buckets[0].0, buckets[12].0, buckets[13].0), (0.0001, 1.0, f64::INFINITY));
    }

    #[test]
    fn cores_without_latencies_make_an_empty_distribution() {
        let all = merged(&[samples::shard(0), samples::shard(1)]);
        assert_eq!((all.len(), sum_seconds(&all)), (0, 0.0));
        assert!(buckets(&all).iter().all(|(_, count)| *count == 0));
    }

    #[test]
    fn latencies_of_all_cores_count() {
        let mut shards = [samples::shard(0), samples::shard(1)];
        shards[0].latency_us.saturating_record(1_000);
        shards[1].latency_us.saturating_record_n(3_000, 2);
        let all = merged(&shards);
        assert_eq!(all.len(), 3);
        assert!((sum_seconds(&all) - 0.007).abs() < 0.0001, "{}", sum_seconds(&all));
    }
}
