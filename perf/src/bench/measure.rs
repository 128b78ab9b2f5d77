//! One run: a server, its load, the window, the figures.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::analysis;
use super::case::{Case, Feed, Load};
use super::datagrams::{self, DatagramRun};
use super::readings::{Readings, Sample};
use super::server::{Contender, Server, Site};
use crate::play::{self, Moment, PlayConfig, PlayResult};
use crate::progress::{self, Progress};
use crate::publish::{Media, PublishConfig, PublishResult, Publishing, Shape};
use crate::sys::process::Usage;
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
    /// Microseconds of CPU per player and second, slow players included.
    pub cpu_us_per_player_s: Option<f64>,
    /// Seconds that the server's CPU was busy with anything but the server, per second: how noisy
    /// the machine was. `None` where load and server share CPUs.
    pub foreign_cpu: Option<f64>,
    /// Resident memory with the publishers and before the players, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory at the end of the window, in KiB.
    pub rss_kib: u64,
    /// The most resident memory, in KiB.
    pub rss_peak_kib: u64,
    /// Resident memory that each player added, slow players included, in KiB.
    pub kib_per_player: Option<f64>,
    /// Times the server's threads waited, per second.
    pub switches_voluntary_per_s: f64,
    /// Times the server's threads were made to wait, per second.
    pub switches_involuntary_per_s: f64,
    /// The server's system calls per second; absent where the kernel does not let them be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscalls_per_s: Option<f64>,
    /// What was sent and received by UDP, where that is what players get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<DatagramRun>,
    /// Nanoseconds per packet, where that is what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_packet: Option<f64>,
    /// Memory and CPU while the window was open: up to 20 samples, or one a minute.
    pub samples: Vec<Sample>,
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
    if let Contender::Analysis(streams) = contender {
        return analysis::measure(*streams, site.server_cpu);
    }
    if let Feed::Datagrams { kbit_s, is_paced } = load.feed {
        return datagrams::measure(load, (kbit_s, is_paced), contender, site, window, progress);
    }
    let server = Server::start(contender, site, wire_kbit_s(load.shape), None)?;
    let publishing = publish(&server, load, site, window)?;
    std::thread::sleep(BEFORE_PLAYERS);
    let pids = server.pids();
    let before = Usage::of(&pids).context("the server has ended")?;
    let mut readings = Readings::new(pids, site.server_cpu, sample_interval(window));
    let sent = || publishing.as_ref().map_or(0, Publishing::bytes);
    let mut tell = |moment| {
        let sample = readings.read(moment, sent());
        if let Some(sample) = sample.filter(|_| window >= LONG_WINDOW) {
            progress.line(&sample_line(&sample));
        }
    };
    let play = if load.players == 0 {
        only_publish(window, &mut tell)
    } else {
        let url = server.play_url(load.protocol).context("it does not serve this protocol")?;
        play::run(&play_config(load, &url, window, site)?, progress, &mut tell)?
    };
    let publish = publishing.map(Publishing::stop).transpose()?.unwrap_or_default();
    let run = readings.figures(&play, load).context("the server has ended")?;
    let added_kib = run.rss_kib.saturating_sub(before.rss_kib) as f64;
    let kib_per_player = (load.players > 0).then(|| added_kib / load.everybody() as f64);
    Ok(Run { play, publish, rss_before_kib: before.rss_kib, kib_per_player, ..run })
}

/// About how long one run of a case takes.
pub fn estimate(load: &Load, contender: &Contender, window: Duration) -> Duration {
    if matches!(contender, Contender::Analysis(_)) {
        return analysis::ESTIMATE;
    }
    if matches!(load.feed, Feed::Datagrams { .. }) {
        return STARTS_AND_ENDS + datagrams::AROUND_WINDOW + window;
    }
    if load.players == 0 {
        return STARTS_AND_ENDS + BEFORE_PLAYERS + PUBLISHERS_SETTLE + window;
    }
    // Players of these wait for the next keyframe.
    let waits = !matches!(contender, Contender::Corelay { .. } | Contender::Floor(_));
    let last_join = if waits { load.shape.keyframe_interval() } else { Duration::ZERO };
    let joining = Duration::from_secs_f64(load.everybody() as f64 / load.ramp_per_s) + last_join;
    STARTS_AND_ENDS + BEFORE_PLAYERS + joining + play::SETTLE + window
}

/// Twenty samples of a window, but not closer than a second and not further apart than a minute.
pub(super) fn sample_interval(window: Duration) -> Duration {
    (window / 20).clamp(Duration::from_secs(1), Duration::from_secs(60))
}

fn sample_line(sample: &Sample) -> String {
    let Sample { at_s, rss_kib, cpu_share } = sample;
    let (rss_mib, cpu) = (*rss_kib as f64 / 1024.0, cpu_share * 100.0);
    format!("  {at_s:>6.0} s  RSS {rss_mib:.2} MiB  CPU {cpu:.1} %")
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

pub(super) fn play_config(
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
pub(super) fn only_publish(window: Duration, tell: &mut dyn FnMut(Moment)) -> PlayResult {
    std::thread::sleep(PUBLISHERS_SETTLE);
    let started = Instant::now();
    tell(Moment::Opens);
    while let Some(left) = window.checked_sub(started.elapsed()) {
        std::thread::sleep(left.min(progress::INTERVAL));
        tell(Moment::Within(started.elapsed()));
    }
    tell(Moment::Closes);
    PlayResult { window_s: started.elapsed().as_secs_f64(), ..PlayResult::default() }
}

/// What a player of RTMP gets, in kbit/s: the media and about 12 bytes of header for each message.
fn wire_kbit_s(shape: Shape) -> f64 {
    let messages = f64::from(shape.frame_rate) + if shape.audio_kbit_s > 0 { 43.07 } else { 0.0 };
    f64::from(shape.video_kbit_s + shape.audio_kbit_s) + messages * 12.0 * 8e-3
}

/// Enough for the log of a relay to hold a keyframe, and its memory to be what it is.
const BEFORE_PLAYERS: Duration = Duration::from_millis(500);
/// The publishers' frames are spread over the first second.
const PUBLISHERS_SETTLE: Duration = Duration::from_millis(1_500);
/// Windows from here on are watched while they last.
const LONG_WINDOW: Duration = Duration::from_secs(60);
/// What starting and ending a server and its publishers takes.
const STARTS_AND_ENDS: Duration = Duration::from_millis(500);
/// Servers take hundreds of publishers within a second.
const PUBLISH_LIMIT: Duration = Duration::from_secs(10);
/// Longer than joining takes, so that publishers do not end before the window does.
const RUN_LIMIT: Duration = Duration::from_secs(60);
