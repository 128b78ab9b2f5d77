//! One run: a server, its load, the window, the figures.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::case::{Case, Feed, Load, Protocol};
use super::datagrams::{self, DatagramRun};
use super::held::Held;
use super::readings::{Readings, Sample};
use super::server::{Contender, Server};
use super::site::Site;
use super::{aes, analysis};
use crate::handshakes::{Handshakes, HandshakesConfig, HandshakesResult};
use crate::hls::replay::Replay;
use crate::hls::{self, HlsConfig, HlsResult, Manner};
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
    /// What players saw, where they play by HLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls: Option<HlsResult>,
    /// What became of clients that shook hands and left, where there were such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<HandshakesResult>,
    /// Memory against what is held, where that is what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
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
    if *contender == Contender::Aes {
        return aes::measure(site.server_cpu);
    }
    if let Feed::Datagrams { kbit_s, is_paced } = load.feed {
        return datagrams::measure(load, (kbit_s, is_paced), contender, site, window, progress);
    }
    let replay = match contender {
        Contender::NginxFiles { .. } => {
            let (recording, cpu) = (site.recording(load)?, Some(site.load_cpu));
            Some(Replay::start(recording, site.web.path(), cpu)?)
        }
        _ => None,
    };
    let server = Server::start(contender, site, wire_kbit_s(load.shape), None)?;
    let idle = Usage::of(&server.pids()).context("the server has ended")?;
    let publishing = publish(&server, load, site, window)?;
    let warm_up = if publishing.is_some() { load.warm_up } else { BEFORE_PLAYERS };
    std::thread::sleep(warm_up);
    let pids = server.pids();
    let before = Usage::of(&pids).context("the server has ended")?;
    let mut readings = Readings::new(pids, site.server_cpu, sample_interval(window));
    let sent = || publishing.as_ref().map_or(0, Publishing::bytes);
    let mut storm = None;
    let mut tell = |moment| {
        match moment {
            Moment::Opens => storm = handshakes(&server, load, site),
            Moment::Within(_) | Moment::Closes => {}
        }
        let sample = readings.read(moment, sent());
        if let Some(sample) = sample.filter(|_| window >= LONG_WINDOW) {
            progress.line(&sample_line(&sample));
        }
    };
    let url = || server.play_url(load.protocol).context("it does not serve this protocol");
    let mut hls = None;
    let play = match load.protocol.hls() {
        _ if load.players == 0 => only_publish(window, &mut tell),
        Some(manner) => {
            let result =
                hls::run(&hls_config(load, manner, &url()?, window, site)?, progress, &mut tell)?;
            hls.insert(result).as_played()
        }
        None => play::run(&play_config(load, &url()?, window, site)?, progress, &mut tell)?,
    };
    let handshakes = storm.transpose()?.map(Handshakes::stop).transpose()?;
    let weighs = load.players == 0 && load.protocol == Protocol::Hls;
    let held = weighs.then(|| Held::read(&server, &idle)).transpose()?;
    drop(replay);
    let publish = publishing.map(Publishing::stop).transpose()?.unwrap_or_default();
    let run = readings.figures(&play, load).context("the server has ended")?;
    let added_kib = run.rss_kib.saturating_sub(before.rss_kib) as f64;
    let kib_per_player = (load.players > 0).then(|| added_kib / load.everybody() as f64);
    let rss_before_kib = before.rss_kib;
    Ok(Run { play, publish, hls, handshakes, held, rss_before_kib, kib_per_player, ..run })
}

/// About how long one run of a case takes.
pub fn estimate(load: &Load, contender: &Contender, window: Duration) -> Duration {
    match contender {
        Contender::Analysis(_) => return analysis::ESTIMATE,
        Contender::Aes => return aes::ESTIMATE,
        _ => {}
    }
    if matches!(load.feed, Feed::Datagrams { .. }) {
        return STARTS_AND_ENDS + datagrams::AROUND_WINDOW + window;
    }
    let warm_up = match contender {
        Contender::NginxFiles { .. } | Contender::Floor(_) => BEFORE_PLAYERS,
        _ => load.warm_up,
    };
    if load.players == 0 {
        return STARTS_AND_ENDS + warm_up + PUBLISHERS_SETTLE + window;
    }
    // Players of these wait for the next keyframe.
    let waits = load.protocol.hls().is_none()
        && !matches!(contender, Contender::Corelay { .. } | Contender::Floor(_));
    let last_join = if waits { load.shape.keyframe_interval() } else { Duration::ZERO };
    let joining = Duration::from_secs_f64(load.everybody() as f64 / load.ramp_per_s) + last_join;
    STARTS_AND_ENDS + warm_up + joining + play::stage::SETTLE + window
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

/// Begins the storm of handshakes, where there is to be one.
fn handshakes(server: &Server, load: &Load, site: &Site) -> Option<anyhow::Result<Handshakes>> {
    let begin = || {
        let url = server.play_url(load.protocol).context("it does not serve this protocol")?;
        let (target, per_s) = (Target::parse(&url)?, load.handshakes_per_s);
        let cpu = Some(site.load_cpu);
        Handshakes::start(HandshakesConfig { target, per_s, duration: RUN_LIMIT, cpu })
    };
    (load.handshakes_per_s > 0.0).then(begin)
}

pub(super) fn publish(
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
        duration: window + load.warm_up + RUN_LIMIT,
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

fn hls_config(
    load: &Load,
    manner: Manner,
    url: &str,
    window: Duration,
    site: &Site,
) -> anyhow::Result<HlsConfig> {
    let mut config = HlsConfig::new(Target::parse(url)?, manner, load.players);
    config.ramp_per_s = load.ramp_per_s;
    config.window = window;
    config.sample = load.sample;
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

/// For servers that need no warming up.
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
