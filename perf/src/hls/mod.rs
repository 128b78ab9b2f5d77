//! Players by HLS: they watch, ask for playlists only, or wait for parts.
//!
//! Invariants
//! - A player keeps its connections; it has one request under way on each.
//! - A segment counts when all the bytes are there that its Content-Length says; a sample of players
//!   also looks at what is in them.
//! - A run has the parts that one of [`crate::play`] has, and ends by itself as those do.

mod answer;
mod body;
mod connection;
mod driver;
pub(crate) mod fetch;
mod low_latency;
mod player;
mod playlist;
mod poller;
pub mod replay;
mod result;
mod watcher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::play::stage::{Plan, START_DELAY_US, Shared};
use crate::play::{Moment, check_descriptors};
use crate::progress::Progress;
use crate::sys::{clock, threads};
use crate::target::Target;
use driver::Driver;
use player::{CONNECTIONS, Player};
use result::Tally;

pub use result::HlsResult;

/// What players do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Watch: the playlist once per target duration, and each new segment whole.
    #[default]
    Watch,
    /// Ask for the media playlist again as soon as it is there.
    Poll,
    /// Ask for each part before it is there.
    LowLatency,
}

/// Who plays what, and how long.
#[derive(Clone, Debug)]
pub struct HlsConfig {
    /// A multivariant or media playlist by HTTP; of several variants the first is played.
    pub target: Target,
    /// What they do.
    pub manner: Manner,
    /// Players.
    pub players: usize,
    /// Players that begin per second.
    pub ramp_per_s: f64,
    /// Length of the window.
    pub window: Duration,
    /// How long the run waits for the last player's first segment.
    pub join_timeout: Duration,
    /// Players that look at all they get; with low latency, all do.
    pub sample: usize,
    /// The CPU all threads are pinned to; `None` leaves them to the kernel.
    pub cpu: Option<usize>,
}

impl HlsConfig {
    /// Players of a stream, who begin within two seconds: their requests are spread over a usual
    /// target duration.
    pub fn new(target: Target, manner: Manner, players: usize) -> Self {
        Self {
            target,
            manner,
            players,
            ramp_per_s: players as f64 / 2.0,
            window: Duration::from_secs(10),
            join_timeout: Duration::from_secs(20),
            sample: players.min(10),
            cpu: None,
        }
    }
}

/// Where players play, with its address looked up.
#[derive(Clone, Debug)]
struct HlsVenue {
    address: SocketAddr,
    host: Arc<str>,
    path: Arc<str>,
}

/// Plays, and tells of the window as [`crate::play::run`] does.
///
/// # Errors
/// The target is not HTTP or its host not known, or the operating system refuses threads or
/// descriptors. What happens to single players is in the result.
pub fn run(
    config: &HlsConfig,
    progress: &Progress,
    tell: &mut dyn FnMut(Moment),
) -> anyhow::Result<HlsResult> {
    let Target::Http(http) = &config.target else { bail!("HLS is played by http:// only") };
    let (host, path) = (http.authority.as_str().into(), http.path.as_str().into());
    let venue = HlsVenue { address: config.target.resolve()?, host, path };
    check_descriptors(config.players * CONNECTIONS)?;
    let shared = Arc::new(Shared::default());
    let begin_us = clock::now_us() + START_DELAY_US;
    let mut running = Vec::new();
    for (sampled, players) in groups(config, &venue, begin_us) {
        let (shared, cpu) = (Arc::clone(&shared), config.cpu);
        let driver = Driver::new(venue.clone(), players, sampled, shared);
        let driver = driver.context("cannot make an epoll")?;
        let work = move || {
            // Unpinned it runs as well, only less evenly.
            let _ = cpu.map(threads::pin_to);
            if sampled {
                threads::prefer();
            }
            driver.run()
        };
        running.push(thread::Builder::new().name("hls-players".to_owned()).spawn(work)?);
    }
    let plan = Plan {
        players: config.players as u64,
        ramp_per_s: config.ramp_per_s,
        join_timeout: config.join_timeout,
        window: config.window,
    };
    let window_s = shared.conduct(plan, begin_us, progress, tell);
    let mut tally = Tally::default();
    for thread in running {
        tally.add(thread.join().map_err(|_| anyhow::anyhow!("a thread of players panicked"))??);
    }
    Ok(tally.into_result(config, window_s))
}

/// The players that only count and those that look at all they get, with the times they begin: the
/// latter spread over the former, and with a thread of their own.
fn groups(config: &HlsConfig, venue: &HlsVenue, begin_us: u64) -> Vec<(bool, Vec<(u64, Player)>)> {
    let sample = match config.manner {
        Manner::LowLatency => config.players,
        Manner::Poll => 0,
        Manner::Watch => config.sample.min(config.players),
    };
    let mut groups = vec![(false, Vec::new()), (true, Vec::new())];
    for number in 0..config.players {
        let is_sampled = |number: usize| number * sample / config.players.max(1);
        let sampled = is_sampled(number + 1) > is_sampled(number);
        let begins_us = begin_us + (number as f64 / config.ramp_per_s.max(0.001) * 1e6) as u64;
        let Some((_, group)) = groups.get_mut(usize::from(sampled)) else { continue };
        let player = Player::new(group.len(), venue.clone(), config.manner, sampled);
        group.push((begins_us, player));
    }
    groups.retain(|(_, players)| !players.is_empty());
    groups
}
