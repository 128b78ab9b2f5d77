//! One run: a server, its load, the window, the figures.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::case::{Case, Load};
use super::server::{Contender, Server, Site};
use crate::play::{self, Edge, PlayConfig, PlayResult};
use crate::progress::Progress;
use crate::publish::{Media, PublishConfig, PublishResult, Publishing, Shape};
use crate::sys::process::{self, Usage};
use crate::target::{Target, numbered};

/// What one run gave.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// What the players saw; all zero when there are none.
    pub play: PlayResult,
    /// What became of the publishers; all zero for the floor, which has none.
    pub publish: PublishResult,
    /// CPU seconds of the server within the window.
    pub cpu_s: f64,
    /// Of these, in user mode.
    pub cpu_user_s: f64,
    /// Of these, in the kernel.
    pub cpu_system_s: f64,
    /// CPU seconds per gigabit delivered, or received where nobody plays.
    pub cpu_s_per_gbit: f64,
    /// Seconds that the server's CPU was busy with anything but the server, per second: how noisy
    /// the machine was. `None` where load and server share CPUs.
    pub foreign_cpu: Option<f64>,
    /// Resident memory with the publishers and before the players, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the end of the window, in KiB.
    pub rss_kib: u64,
    /// The most resident memory, in KiB.
    pub rss_peak_kib: u64,
    /// Resident memory that each player added, in KiB.
    pub kib_per_player: Option<f64>,
    /// Times the server's threads waited, per second.
    pub switches_voluntary_per_s: f64,
    /// Times the server's threads were made to wait, per second.
    pub switches_involuntary_per_s: f64,
}

/// Puts the load of a case on a contender.
///
/// # Errors
/// The server does not start or refuses a publisher, or the operating system refuses something.
pub fn measure(
    case: &Case,
    contender: &Contender,
    site: &Site,
    window: Duration,
    progress: &Progress,
) -> anyhow::Result<Run> {
    let load = &case.load;
    let server = Server::start(contender, site, wire_kbit_s(load.shape))?;
    let publishing = publish(&server, load, site, window)?;
    std::thread::sleep(BEFORE_PLAYERS);
    let pids = server.pids();
    let before = Usage::of(&pids).context("the server has ended")?;
    let mut edges = Edges { pids, cpu: site.server_cpu, received: 0, opened: None, closed: None };
    let received = || publishing.as_ref().map_or(0, Publishing::bytes);
    let mut edge = |edge: Edge| edges.read(edge, received());
    let play = if load.players == 0 {
        only_publish(window, &mut edge)
    } else {
        let url = server.play_url(load.protocol).context("it does not serve this protocol")?;
        play::run(&play_config(load, &url, window, site)?, progress, &mut edge)?
    };
    let publish = publishing.map(Publishing::stop).transpose()?.unwrap_or_default();
    let mut run = edges.figures(&play, load).context("the server has ended")?;
    run.rss_before_kib = before.rss_kib;
    let added_kib = run.rss_kib.saturating_sub(before.rss_kib) as f64;
    run.kib_per_player = (load.players > 0).then(|| added_kib / load.players as f64);
    Ok(Run { play, publish, ..run })
}

fn publish(
    server: &Server,
    load: &Load,
    site: &Site,
    window: Duration,
) -> anyhow::Result<Option<Publishing>> {
    let Some(url) = server.publish_url() else { return Ok(None) };
    let publishing = Publishing::start(PublishConfig {
        targets: targets(&url, load.streams)?,
        media: Media::Generated(load.shape),
        stamp: true,
        chunk_size: 4_096,
        duration: window + RUN_LIMIT,
        cpu: (!load.unpinned).then_some(site.load_cpu),
    })?;
    publishing.wait_until_published(PUBLISH_LIMIT)?;
    Ok(Some(publishing))
}

fn play_config(
    load: &Load,
    url: &str,
    window: Duration,
    site: &Site,
) -> anyhow::Result<PlayConfig> {
    let mut config = PlayConfig::new(targets(url, load.streams)?, load.players);
    config.slow.clone_from(&load.slow);
    config.ramp_per_s = load.ramp_per_s;
    config.window = window;
    config.sample = load.sample;
    config.churn_per_s = load.churn_per_s;
    config.cpu = (!load.unpinned).then_some(site.load_cpu);
    Ok(config)
}

fn targets(url: &str, streams: usize) -> anyhow::Result<Vec<Target>> {
    numbered(url, streams).iter().map(|url| Target::parse(url)).collect()
}

/// A window without players.
fn only_publish(window: Duration, edge: &mut dyn FnMut(Edge)) -> PlayResult {
    std::thread::sleep(PUBLISHERS_SETTLE);
    let started = Instant::now();
    edge(Edge::Opens);
    std::thread::sleep(window);
    edge(Edge::Closes);
    PlayResult { window_s: started.elapsed().as_secs_f64(), ..PlayResult::default() }
}

/// What a player of RTMP gets, in kbit/s: the media and about 12 bytes of header for each message.
fn wire_kbit_s(shape: Shape) -> f64 {
    let messages = f64::from(shape.frame_rate) + if shape.audio_kbit_s > 0 { 43.07 } else { 0.0 };
    f64::from(shape.video_kbit_s + shape.audio_kbit_s) + messages * 12.0 * 8e-3
}

/// The readings at the edges of the window.
struct Edges {
    pids: Vec<u32>,
    cpu: usize,
    /// Bytes the publishers sent within the window.
    received: u64,
    opened: Option<Reading>,
    closed: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    usage: Usage,
    busy_s: f64,
    published: u64,
}

impl Edges {
    fn read(&mut self, edge: Edge, published: u64) {
        let busy_s = process::cpu_busy_s(self.cpu);
        let usage = Usage::of(&self.pids).ok();
        let reading = usage.map(|usage| Reading { usage, busy_s, published });
        match edge {
            Edge::Opens => self.opened = reading,
            Edge::Closes => self.closed = reading,
        }
    }

    /// The difference between the edges; `None` when the server was gone at one of them.
    fn figures(&mut self, play: &PlayResult, load: &Load) -> Option<Run> {
        let (opened, closed) = (self.opened?, self.closed?);
        let used = closed.usage.since(&opened.usage);
        self.received = closed.published - opened.published;
        let bytes = if load.players == 0 { self.received } else { play.bytes };
        let seconds = play.window_s.max(1e-6);
        let foreign = ((closed.busy_s - opened.busy_s - used.cpu_s) / seconds).max(0.0);
        Some(Run {
            cpu_s: used.cpu_s,
            cpu_user_s: used.user_s,
            cpu_system_s: used.system_s,
            cpu_s_per_gbit: used.cpu_s / (bytes as f64 * 8e-9).max(1e-9),
            foreign_cpu: (!load.unpinned).then_some(foreign),
            rss_kib: used.rss_kib,
            rss_peak_kib: used.rss_peak_kib,
            switches_voluntary_per_s: used.switches_voluntary as f64 / seconds,
            switches_involuntary_per_s: used.switches_involuntary as f64 / seconds,
            ..Run::default()
        })
    }
}

/// Enough for the log of a relay to hold a keyframe, and its memory to be what it is.
const BEFORE_PLAYERS: Duration = Duration::from_millis(500);
/// The publishers' frames are spread over the first second.
const PUBLISHERS_SETTLE: Duration = Duration::from_millis(1_500);
/// Servers take hundreds of publishers within a second.
const PUBLISH_LIMIT: Duration = Duration::from_secs(10);
/// Longer than joining takes, so that publishers do not end before the window does.
const RUN_LIMIT: Duration = Duration::from_secs(60);
