//! The parts of a run, and what its threads tell each other.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::Moment;
use crate::progress::{self, Progress};
use crate::sys::clock;

/// How long each part may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Players who are to join.
    pub(crate) players: u64,
    /// Players that begin per second.
    pub(crate) ramp_per_s: f64,
    /// How long the run waits for the last one.
    pub(crate) join_timeout: Duration,
    /// Length of the window.
    pub(crate) window: Duration,
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Joining,
    Measuring,
    Leaving,
}

/// What the threads tell each other while they run.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    phase: AtomicU8,
    pub(crate) window_start_us: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Shared {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Joining,
            1 => Phase::Measuring,
            _ => Phase::Leaving,
        }
    }

    fn enter(&self, phase: Phase) {
        if phase == Phase::Measuring {
            self.window_start_us.store(clock::now_us(), Ordering::Relaxed);
        }
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Waits for the players to join, opens and closes the window; returns its length in seconds.
    pub(crate) fn conduct(
        &self,
        plan: Plan,
        begin_us: u64,
        progress: &Progress,
        tell: &mut dyn FnMut(Moment),
    ) -> f64 {
        self.await_joins(plan, begin_us, progress);
        thread::sleep(SETTLE);
        let opened_us = clock::now_us();
        tell(Moment::Opens);
        self.enter(Phase::Measuring);
        let window_us = plan.window.as_micros() as u64;
        progress.part("playing", window_us / 1_000_000);
        loop {
            let passed_us = clock::now_us() - opened_us;
            if passed_us >= window_us {
                break;
            }
            let megabytes = self.bytes.load(Ordering::Relaxed) >> 20;
            let closed = self.closed.load(Ordering::Relaxed);
            progress.at(passed_us / 1_000_000, format!("{megabytes} MiB, {closed} closed"));
            tell(Moment::Within(Duration::from_micros(passed_us)));
            let left = Duration::from_micros(window_us - passed_us);
            thread::sleep(progress::INTERVAL.min(left));
        }
        self.enter(Phase::Leaving);
        tell(Moment::Closes);
        (clock::now_us() - opened_us) as f64 / 1e6
    }

    fn await_joins(&self, plan: Plan, begin_us: u64, progress: &Progress) {
        let ramp_us = (plan.players as f64 / plan.ramp_per_s.max(0.001) * 1e6) as u64;
        let deadline_us = begin_us + ramp_us + plan.join_timeout.as_micros() as u64;
        progress.part("joining", plan.players);
        loop {
            let joined = self.joined.load(Ordering::Relaxed);
            let failed = self.failed.load(Ordering::Relaxed);
            progress.at(joined, format!("{failed} failed"));
            if joined + failed >= plan.players || clock::now_us() >= deadline_us {
                return;
            }
            thread::sleep(progress::INTERVAL / 5);
        }
    }
}

/// From the last join to the window: bursts of late joiners are over by then.
pub(crate) const SETTLE: Duration = Duration::from_millis(700);
/// So that all threads are there when the first player begins.
pub(crate) const START_DELAY_US: u64 = 10_000;
