//! Memory of the relay against the media it holds.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::server::Server;
use crate::hls::fetch::Source;
use crate::sys::process::Usage;

/// What is resident, and what the relay says it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Held {
    /// Resident memory before the first publisher, in KiB.
    pub rss_idle_kib: u64,
    /// Resident memory with the publishers, in KiB.
    pub rss_kib: u64,
    /// What logs, groups of pictures and segments hold by the relay's own account, in KiB: the most
    /// within a few seconds, since whole segments come and go and their memory stays for the next.
    pub held_kib: f64,
}

impl Held {
    /// Asks the relay, which was `idle` before.
    ///
    /// # Errors
    /// It has no admin API, or has ended.
    pub(super) fn read(server: &Server, idle: &Usage) -> anyhow::Result<Self> {
        let address = server.addresses("admin").next().context("it has no admin API")?;
        let mut admin = Source::connect(address.parse()?, address)?;
        let mut held_bytes = 0.0_f64;
        let started = Instant::now();
        while started.elapsed() < SEGMENT_AND_MORE {
            let metrics = admin.get("/metrics")?;
            held_bytes = held_bytes.max(sum(str::from_utf8(&metrics)?, METRIC));
            thread::sleep(LOOK_AGAIN);
        }
        let rss_kib = Usage::of(&server.pids()).context("the server has ended")?.rss_kib;
        Ok(Self { rss_idle_kib: idle.rss_kib, rss_kib, held_kib: held_bytes / 1024.0 })
    }

    /// Resident memory that the publishers added, by what is held.
    pub fn ratio(&self) -> f64 {
        self.rss_kib.saturating_sub(self.rss_idle_kib) as f64 / self.held_kib.max(1.0)
    }
}

/// The sum over all labels of a metric, as Prometheus reads it.
fn sum(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum()
}

/// What the relay accounts for, by pool.
const METRIC: &str = "corelay_memory_bytes";
/// Segments are of 2 s.
const SEGMENT_AND_MORE: Duration = Duration::from_millis(2_500);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_added_up_and_other_metrics_are_not() {
        let metrics = "# TYPE corelay_memory_bytes gauge\n\
            corelay_memory_bytes{pool=\"logs\"} 1000\ncorelay_memory_bytes{pool=\"hls\"} 24\n\
            corelay_memory_bytes_max 7\ncorelay_memory_limit_bytes 9\n";
        assert_eq!(sum(metrics, METRIC), 1024.0);
        let held = Held { rss_idle_kib: 100, rss_kib: 205, held_kib: 100.0 };
        assert!((held.ratio() - 1.05).abs() < 1e-9);
    }
}
