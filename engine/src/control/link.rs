//! The control thread's lines to the data cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rtrb::Producer;
use tokio::sync::oneshot;

use crate::log::LogDrain;
use crate::rt::Doorbell;
use crate::shard::{Look, Request, ShardSnapshot};
use crate::stats::CoreStats;

/// One core, as the control thread sees it.
pub struct CoreLink {
    requests: Producer<Request>,
    bell: Doorbell,
    stats: Arc<CoreStats>,
    logs: LogDrain,
    /// Heartbeat last seen, and when it last moved.
    beat: (u64, Instant),
}

impl CoreLink {
    /// The line to a core.
    pub fn new(
        requests: Producer<Request>,
        bell: Doorbell,
        stats: Arc<CoreStats>,
        logs: LogDrain,
    ) -> Self {
        Self { requests, bell, stats, logs, beat: (0, Instant::now()) }
    }

    /// Ends the core without waiting for anybody.
    pub fn stop_now(&mut self) {
        self.ask(Request::Stop { deadline_ms: 0 });
    }

    fn ask(&mut self, request: Request) -> bool {
        let asked = self.requests.push(request).is_ok();
        self.bell.ring();
        asked
    }

    /// The core has ended: it has let go of its end of the ring.
    fn is_over(&self) -> bool {
        self.requests.is_abandoned()
    }
}

/// All cores. The locks are the control thread's own: no data core ever takes them.
pub(crate) struct Links {
    cores: Mutex<Vec<CoreLink>>,
    rescues: AtomicU64,
}

impl Links {
    pub(super) fn new(cores: Vec<CoreLink>) -> Self {
        Self { cores: Mutex::new(cores), rescues: AtomicU64::new(0) }
    }

    /// The counters of every core.
    pub(crate) fn stats(&self) -> Vec<Arc<CoreStats>> {
        self.lock().iter().map(|core| Arc::clone(&core.stats)).collect()
    }

    /// How often a core that stood still was rung.
    pub(crate) fn rescues(&self) -> u64 {
        self.rescues.load(Ordering::Relaxed)
    }

    /// Asks every core what it holds. A core that does not answer in a second is left out.
    pub(crate) async fn snapshots(&self, look: Look) -> Vec<ShardSnapshot> {
        let answers: Vec<_> = self
            .lock()
            .iter_mut()
            .map(|core| {
                let (answer, snapshot) = oneshot::channel();
                core.ask(Request::Snapshot { look, answer });
                snapshot
            })
            .collect();
        let deadline = tokio::time::Instant::now() + SNAPSHOT_WAIT;
        let mut snapshots = Vec::new();
        for answer in answers {
            if let Ok(Ok(snapshot)) = tokio::time::timeout_at(deadline, answer).await {
                snapshots.push(snapshot);
            }
        }
        snapshots
    }

    /// Tells one core something. False when its ring is full: it is to be told again.
    pub(super) fn tell(&self, core: usize, request: Request) -> bool {
        // A core that has ended needs to know nothing.
        let mut cores = self.lock();
        cores.get_mut(core).is_none_or(|core| core.is_over() || core.ask(request))
    }

    pub(super) fn stop(&self, deadline_ms: u64) {
        for core in self.lock().iter_mut() {
            core.ask(Request::Stop { deadline_ms });
        }
    }

    /// Waits until every core has ended.
    pub(super) async fn ended(&self) {
        while !self.lock().iter().all(CoreLink::is_over) {
            tokio::time::sleep(END_POLL).await;
        }
    }

    /// Waits until any core has ended, which none does of its own accord.
    pub(super) async fn one_ended(&self) {
        while !self.lock().iter().any(CoreLink::is_over) {
            tokio::time::sleep(DEATH_POLL).await;
        }
    }

    pub(super) fn drain_logs(&self) {
        for core in self.lock().iter_mut() {
            core.logs.drain();
        }
    }

    /// Rings cores whose heartbeat stands still: the reactor can sleep with work at hand (DESIGN 6).
    pub(super) fn watch(&self, still_max: Duration) {
        for core in self.lock().iter_mut() {
            let beat = core.stats.heartbeat.load();
            if beat != core.beat.0 {
                core.beat = (beat, Instant::now());
            } else if core.beat.1.elapsed() > still_max && !core.is_over() {
                core.beat.1 = Instant::now();
                core.bell.ring_always();
                self.rescues.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("a core stood still for {still_max:?} and was rung");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<CoreLink>> {
        self.cores.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

const SNAPSHOT_WAIT: Duration = Duration::from_secs(1);
const DEATH_POLL: Duration = Duration::from_millis(500);
const END_POLL: Duration = Duration::from_millis(5);
