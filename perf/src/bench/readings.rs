//! The server's figures over the window, read when it opens, now and then while it is open, and
//! when it closes.

use std::time::Duration;

use serde::Serialize;

use super::case::Load;
use super::measure::Run;
use crate::play::{Moment, PlayResult};
use crate::sys::process::{self, Usage};
use crate::sys::syscalls::SyscallCounter;

/// What a server had used and how much memory it held at some time within the window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the window opened.
    pub at_s: f64,
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Share of one CPU that it used since the sample before.
    pub cpu_share: f64,
}

/// The readings of one window.
pub(super) struct Readings {
    pids: Vec<u32>,
    cpu: usize,
    interval: Duration,
    opened: Option<Reading>,
    closed: Option<Reading>,
    syscalls: Option<SyscallCounter>,
    samples: Vec<Sample>,
    /// CPU seconds at the last sample.
    sampled_cpu_s: f64,
}

#[derive(Clone, Copy)]
struct Reading {
    usage: Usage,
    busy_s: f64,
    published: u64,
    syscalls: Option<u64>,
}

impl Readings {
    /// For a server of these processes, whose CPU is `cpu`; samples are taken at this interval.
    pub(super) fn new(pids: Vec<u32>, cpu: usize, interval: Duration) -> Self {
        Self {
            pids,
            cpu,
            interval,
            opened: None,
            closed: None,
            syscalls: None,
            samples: Vec::new(),
            sampled_cpu_s: 0.0,
        }
    }

    /// Reads what is due now; `published` are the bytes that publishers have sent. Returns a sample
    /// if one was taken.
    pub(super) fn read(&mut self, moment: Moment, published: u64) -> Option<Sample> {
        match moment {
            Moment::Opens => {
                self.syscalls = SyscallCounter::start(&self.pids);
                self.opened = self.reading(published);
                self.sampled_cpu_s = self.opened.map_or(0.0, |opened| opened.usage.cpu_s);
                None
            }
            Moment::Within(passed) => {
                let due = self.interval * (self.samples.len() as u32 + 1);
                (passed >= due).then(|| self.sample(passed))?
            }
            Moment::Closes => {
                self.closed = self.reading(published);
                None
            }
        }
    }

    fn reading(&self, published: u64) -> Option<Reading> {
        let busy_s = process::cpu_busy_s(self.cpu);
        let syscalls = self.syscalls.as_ref().and_then(SyscallCounter::count);
        let usage = Usage::of(&self.pids).ok()?;
        Some(Reading { usage, busy_s, published, syscalls })
    }

    fn sample(&mut self, passed: Duration) -> Option<Sample> {
        let usage = Usage::of(&self.pids).ok()?;
        let at_s = passed.as_secs_f64();
        let before_s = self.samples.last().map_or(0.0, |sample| sample.at_s);
        let used_s = usage.cpu_s - std::mem::replace(&mut self.sampled_cpu_s, usage.cpu_s);
        let cpu_share = used_s / (at_s - before_s).max(1e-6);
        let sample = Sample { at_s, rss_kib: usage.rss_kib, cpu_share };
        self.samples.push(sample);
        Some(sample)
    }

    /// The difference between the edges; `None` when the server was gone at one of them.
    pub(super) fn figures(self, play: &PlayResult, load: &Load) -> Option<Run> {
        let (opened, closed) = (self.opened?, self.closed?);
        let used = closed.usage.since(&opened.usage);
        let received = closed.published - opened.published;
        let bytes = if load.players == 0 { received } else { play.bytes };
        let seconds = play.window_s.max(1e-6);
        let foreign = ((closed.busy_s - opened.busy_s - used.cpu_s) / seconds).max(0.0);
        let syscalls = closed.syscalls.zip(opened.syscalls).map(|(now, then)| now - then);
        Some(Run {
            cpu_s: used.cpu_s,
            cpu_user_s: used.user_s,
            cpu_system_s: used.system_s,
            cpu_s_per_gbit: used.cpu_s / (bytes as f64 * 8e-9).max(1e-9),
            cpu_us_per_player_s: (load.players > 0)
                .then(|| used.cpu_s * 1e6 / seconds / load.everybody() as f64),
            foreign_cpu: (!load.unpinned).then_some(foreign),
            rss_kib: used.rss_kib,
            rss_peak_kib: used.rss_peak_kib,
            switches_voluntary_per_s: used.switches_voluntary as f64 / seconds,
            switches_involuntary_per_s: used.switches_involuntary as f64 / seconds,
            syscalls_per_s: syscalls.map(|syscalls| syscalls as f64 / seconds),
            samples: self.samples,
            ..Run::default()
        })
    }
}

/// How the memory of a server went on once it had what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Resident memory after the first tenth of the window, in KiB.
    pub rss_first_kib: u64,
    /// Resident memory at the last sample, in KiB.
    pub rss_last_kib: u64,
    /// The slope of the straight line that fits the samples between best, in KiB an hour.
    pub rss_kib_per_hour: f64,
}

impl Growth {
    /// What the samples of a long run say; `None` when they are too few for a line.
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let warm = samples.get(samples.len().div_ceil(10)..)?;
        let (first, last) = (warm.first()?, warm.last()?);
        if warm.len() < GROWTH_SAMPLES_MIN {
            return None;
        }
        let count = warm.len() as f64;
        let mean = |of: fn(&Sample) -> f64| warm.iter().map(of).sum::<f64>() / count;
        let (mean_at, mean_rss) =
            (mean(|sample| sample.at_s), mean(|sample| sample.rss_kib as f64));
        let (mut together, mut alone) = (0.0, 0.0);
        for sample in warm {
            let at = sample.at_s - mean_at;
            together += at * (sample.rss_kib as f64 - mean_rss);
            alone += at * at;
        }
        Some(Self {
            rss_first_kib: first.rss_kib,
            rss_last_kib: last.rss_kib,
            rss_kib_per_hour: together / alone.max(1e-9) * 3_600.0,
        })
    }
}

/// Fewer show the scatter of one sample rather than a slope.
const GROWTH_SAMPLES_MIN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::Protocol;

    fn sample(at_s: f64, rss_kib: u64) -> Sample {
        Sample { at_s, rss_kib, cpu_share: 0.1 }
    }

    #[test]
    fn growth_is_told_from_memory_that_is_taken_once() {
        let once = (1..=20).map(|minute| {
            let rss_kib = if minute < 3 { 10_000 } else { 20_000 };
            sample(f64::from(minute) * 60.0, rss_kib)
        });
        let growth = Growth::of(&once.collect::<Vec<_>>()).unwrap();
        assert_eq!((growth.rss_first_kib, growth.rss_last_kib), (20_000, 20_000));
        assert!(growth.rss_kib_per_hour.abs() < 1e-6, "{growth:?}");
        let leak = (1..=20_u32)
            .map(|minute| sample(f64::from(minute) * 60.0, 10_000 + 50 * u64::from(minute)));
        let growth = Growth::of(&leak.collect::<Vec<_>>()).unwrap();
        assert!((growth.rss_kib_per_hour - 3_000.0).abs() < 1e-6, "{growth:?}");
        assert_eq!(Growth::of(&[sample(1.0, 1), sample(2.0, 2)]), None);
        assert_eq!(Growth::of(&[]), None);
    }

    #[test]
    fn a_window_has_a_sample_per_interval_and_figures_from_edge_to_edge() {
        let own = vec![std::process::id()];
        let mut readings = Readings::new(own, 0, Duration::from_millis(20));
        assert_eq!(readings.read(Moment::Opens, 1_000_000), None);
        let passed = (1..=65).map(Duration::from_millis);
        let samples = passed.filter_map(|passed| readings.read(Moment::Within(passed), 0)).count();
        readings.read(Moment::Closes, 126_000_000);
        assert_eq!(samples, 3);
        let load = Load { players: 0, ..Load::players(Protocol::Rtmp, 0) };
        let play = PlayResult { window_s: 0.065, ..PlayResult::default() };
        let run = readings.figures(&play, &load).unwrap();
        assert!(run.cpu_s > 0.0 && (run.cpu_s_per_gbit - run.cpu_s).abs() < 1e-9, "{run:?}");
        assert_eq!((run.samples.len(), run.cpu_us_per_player_s), (3, None));
    }

    #[test]
    fn a_server_that_is_gone_has_no_figures() {
        let mut readings = Readings::new(vec![u32::MAX], 0, Duration::from_secs(1));
        readings.read(Moment::Opens, 0);
        readings.read(Moment::Closes, 0);
        let load = Load::players(Protocol::Rtmp, 1);
        assert!(readings.figures(&PlayResult::default(), &load).is_none());
    }
}
