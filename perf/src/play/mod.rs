//! Many players of one or many streams, and what they saw.
//!
//! A run has three parts. The players join, evenly spread over the ramp; when all of them have
//! their first keyframe or have failed, and things have settled for a moment, the window opens in
//! which everything is measured; then all leave.
//!
//! Invariants
//! - A player has joined when its first video keyframe is complete (for a body that is not parsed,
//!   when its first byte is there).
//! - Sampled players are spread over the whole population and read by a thread of their own, so
//!   that the figures about time speak of the server and not of the reading of the others.
//! - By TLS, who only counts decrypts up to its first keyframe and counts ciphertext from then on.
//! - Nothing outlives [`run`]: it ends after ramp, `join_timeout`, settling and window at the
//!   latest.

mod driver;
mod player;
mod result;
mod sampler;
mod seats;
pub(crate) mod stage;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustls::ClientConfig;

use crate::client::Recipe;
use crate::progress::Progress;
use crate::sys::{clock, threads};
use crate::target::Target;
use crate::tls::client_config;
use driver::Driver;
use result::Tally;
use stage::{Plan, START_DELAY_US, Shared};

pub use result::PlayResult;

/// Who plays what, and how long.
#[derive(Clone, Debug)]
pub struct PlayConfig {
    /// The streams; player n plays the n-th, and around again.
    pub targets: Vec<Target>,
    /// Players, without the slow ones.
    pub players: usize,
    /// Slow players: how many, and the rate they read at in kbit/s; 0 reads nothing once it plays.
    pub slow: Vec<(usize, u64)>,
    /// Players that begin per second.
    pub ramp_per_s: f64,
    /// Length of the window.
    pub window: Duration,
    /// How long a player may take to join, and how long the run waits for the last one.
    pub join_timeout: Duration,
    /// Players that parse all they get.
    pub sample: usize,
    /// Players that leave and come back per second within the window.
    pub churn_per_s: f64,
    /// Threads for the players that are not sampled.
    pub threads: usize,
    /// The CPU all threads are pinned to; `None` leaves them to the kernel.
    pub cpu: Option<usize>,
}

impl PlayConfig {
    /// Players of some streams, at 500 joins a second, one thread, ten seconds.
    pub fn new(targets: Vec<Target>, players: usize) -> Self {
        Self {
            targets,
            players,
            slow: Vec::new(),
            ramp_per_s: 500.0,
            window: Duration::from_secs(10),
            join_timeout: Duration::from_secs(10),
            sample: players.min(10),
            churn_per_s: 0.0,
            threads: 1,
            cpu: None,
        }
    }
}

/// Where the window is when somebody is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It opens now: all have joined who will.
    Opens,
    /// It has been open for this long.
    Within(Duration),
    /// It closes now.
    Closes,
}

/// Plays. `tell` is called when the window opens, about every 100 ms while it is open, and when it
/// closes: to read the server's figures there.
///
/// # Errors
/// A host is not known, or the operating system refuses threads or descriptors. What happens to
/// single players is in the result.
pub fn run(
    config: &PlayConfig,
    progress: &Progress,
    tell: &mut dyn FnMut(Moment),
) -> anyhow::Result<PlayResult> {
    let venues = config.targets.iter().map(Venue::new).collect::<anyhow::Result<Vec<_>>>()?;
    let total = config.players + config.slow.iter().map(|(players, _)| players).sum::<usize>();
    check_descriptors(total)?;
    let shared = Arc::new(Shared::default());
    let begin_us = clock::now_us() + START_DELAY_US;
    let mut running = Vec::new();
    for (number, seats) in seats::assign(config, &venues).into_iter().enumerate() {
        let (shared, cpu, sampled) = (Arc::clone(&shared), config.cpu, seats.sampled);
        let driver = Driver::new(seats, shared, begin_us).context("cannot make an epoll")?;
        let work = move || {
            // Unpinned it runs as well, only less evenly.
            let _ = cpu.map(threads::pin_to);
            if sampled {
                threads::prefer();
            }
            driver.run()
        };
        running.push(thread::Builder::new().name(format!("players-{number}")).spawn(work)?);
    }
    let plan = Plan {
        players: total as u64,
        ramp_per_s: config.ramp_per_s,
        join_timeout: config.join_timeout,
        window: config.window,
    };
    let window_s = shared.conduct(plan, begin_us, progress, tell);
    let mut tally = Tally::default();
    for thread in running {
        tally.add(thread.join().map_err(|_| anyhow::anyhow!("a thread of players panicked"))??);
    }
    let protocol = config.targets.first().map_or("", Target::protocol);
    Ok(tally.into_result(protocol, config, window_s))
}

/// Makes sure that so many connections fit into the limit of descriptors.
///
/// # Errors
/// They do not.
pub(crate) fn check_descriptors(players: usize) -> anyhow::Result<()> {
    let limit = threads::raise_descriptor_limit();
    let needed = (players + DESCRIPTORS_BESIDE) as u64;
    anyhow::ensure!(
        needed <= limit,
        "{players} players need {needed} descriptors and the limit is {limit}: raise it with ulimit -n"
    );
    Ok(())
}

/// A target with its address looked up.
#[derive(Clone, Debug)]
struct Venue {
    address: std::net::SocketAddr,
    recipe: Recipe,
    is_rtmp: bool,
    /// With TLS: how, and for which host.
    tls: Option<(Arc<ClientConfig>, Arc<str>)>,
}

impl Venue {
    fn new(target: &Target) -> anyhow::Result<Self> {
        let (plain, is_secure) = target.plain();
        let is_rtmp = matches!(plain, Target::Rtmp(_));
        let tls = is_secure.then(|| (client_config(), target.host().into()));
        Ok(Self { address: target.resolve()?, recipe: Recipe::new(plain), is_rtmp, tls })
    }
}

/// Descriptors of the process beside the players' sockets.
const DESCRIPTORS_BESIDE: usize = 128;
