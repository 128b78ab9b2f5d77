//! The control thread: admin API, metrics, log writing, signals, and the watchdog of the cores.
//!
//! Invariants
//! - It never touches a data core's state: it asks through a ring and a doorbell, and reads counters.
//! - It may be slow; the cores never wait for it.

mod api;
mod certificates;
mod link;
mod metrics;
mod resolve;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use corelay_config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

pub use link::CoreLink;
use link::Links;
pub use resolve::{Questions, Resolved, Resolver, resolvers};

use crate::hub::Budget;
use crate::net::tls::{Acceptors, Spoken};

/// What the parts of the control thread share.
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) links: Links,
    pub(crate) budget: Arc<Budget>,
    /// What TLS connections are accepted with.
    pub(crate) acceptors: Arc<Acceptors>,
    pub(crate) started: Instant,
}

/// The control plane, ready to run.
pub struct Control {
    state: Arc<State>,
    admin: Option<TcpListener>,
    questions: Option<Questions>,
    stop: Stop,
}

/// Stops a server from another thread.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<StopInner>,
}

#[derive(Default)]
struct StopInner {
    asked: AtomicBool,
    notify: Notify,
}

impl Stop {
    /// Asks the server to stop in good order.
    pub fn stop(&self) {
        self.inner.asked.store(true, Ordering::Release);
        self.inner.notify.notify_one();
    }

    async fn asked(&self) {
        while !self.inner.asked.load(Ordering::Acquire) {
            self.inner.notify.notified().await;
        }
    }
}

impl Control {
    /// A control plane over these cores, serving the API on `admin`.
    pub fn new(
        config: Arc<Config>,
        cores: Vec<CoreLink>,
        budget: Arc<Budget>,
        admin: Option<TcpListener>,
        acceptors: Arc<Acceptors>,
        questions: Questions,
    ) -> Self {
        let pinned = |id| core_affinity::set_for_current(core_affinity::CoreId { id });
        if let Some(cpu) = config.cores.control.filter(|&cpu| !pinned(cpu)) {
            tracing::warn!("the control thread could not be pinned to CPU {cpu}");
        }
        let links = Links::new(cores);
        let state = Arc::new(State { config, links, budget, acceptors, started: Instant::now() });
        Self { state, admin, questions: Some(questions), stop: Stop::default() }
    }

    /// A handle that stops the server from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs until the server is stopped, and tells the cores.
    ///
    /// # Errors
    /// A core does not end, or nothing could run; in words.
    pub fn run(mut self) -> Result<(), String> {
        let questions = self.questions.take();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = match &runtime {
            Ok(runtime) => runtime.block_on(self.serve(questions)),
            Err(error) => {
                self.state.links.stop(0);
                Err(format!("the control thread cannot run: {error}"))
            }
        };
        self.state.links.drain_logs();
        ended
    }

    async fn serve(&self, questions: Option<Questions>) -> Result<(), String> {
        let Self { state, admin, .. } = self;
        tokio::spawn(housekeeping(Arc::clone(state)));
        if let Some(questions) = questions {
            tokio::spawn(resolve::serve(questions, Arc::clone(state)));
        }
        if let Some(listener) = admin.as_ref().and_then(|admin| admin.try_clone().ok()) {
            let own = state.config.admin.tls.as_ref();
            let tls = own.map(|own| state.acceptors.entrance("admin", own, Spoken::Api));
            tokio::spawn(api::serve(listener, tls, Arc::clone(state)));
        }
        if state.acceptors.all().next().is_some() {
            tokio::spawn(certificates::keep_fresh(Arc::clone(state)));
        }
        let mut signals = StopSignals::new();
        let why = self.until_stopped(&mut signals).await;
        let deadline_ms = state.config.limits.stop_deadline_ms;
        tracing::info!("{why}: stopping within {deadline_ms} ms");
        state.links.stop(deadline_ms);
        tokio::select! {
            () = state.links.ended() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(deadline_ms) + STOP_SLACK) => {}
            why = signals.next() => tracing::info!("{why}: stopping at once"),
        }
        state.links.stop(0);
        let ended = tokio::time::timeout(STOP_SLACK, state.links.ended()).await;
        ended.map_err(|_| "a core did not end in time and is left behind".to_owned())
    }

    async fn until_stopped(&self, signals: &mut StopSignals) -> &'static str {
        let asked = self.stop.asked();
        tokio::select! {
            () = asked => "asked to stop",
            why = signals.next() => why,
            () = self.state.links.one_ended() => "a core has died",
        }
    }
}

/// The signals that stop the server. One for all of them, so that a second one that follows at once is
/// not missed.
struct StopSignals(Option<(Signal, Signal)>);

impl StopSignals {
    fn new() -> Self {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let [Ok(terminate), Ok(interrupt)] = kinds.map(signal) else {
            tracing::error!("signals cannot be handled");
            return Self(None);
        };
        Self(Some((terminate, interrupt)))
    }

    async fn next(&mut self) -> &'static str {
        let Some((terminate, interrupt)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}

/// Writes out the cores' log lines, and rings cores whose heartbeat stands still.
async fn housekeeping(state: Arc<State>) {
    let mut every = tokio::time::interval(HOUSEKEEPING);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let heartbeat = Duration::from_millis(state.config.cores.heartbeat_ms);
    loop {
        every.tick().await;
        state.links.drain_logs();
        state.links.watch(heartbeat);
    }
}

/// What a core may take beyond its deadline: it looks at the time between turns.
const STOP_SLACK: Duration = Duration::from_secs(1);
/// Twenty visits a second: a log line is at most that old, and 10,000 lines a second fit in the ring.
const HOUSEKEEPING: Duration = Duration::from_millis(50);
