//! The `corelay-perf` command.

mod cli;
mod hls_commands;
mod udp_commands;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use corelay_perf::bench::{self, BenchConfig};
use corelay_perf::floor::{self, FloorConfig};
use corelay_perf::instructions::{Counts, GROWTH_PERCENT_MAX};
use corelay_perf::play::{self, Moment, PlayConfig};
use corelay_perf::progress::{self, Progress};
use corelay_perf::publish::{Media, PublishConfig, Publishing, Shape};
use corelay_perf::sys::process::{self, Usage};
use corelay_perf::target::{Target, numbered};
use serde::Serialize;
use serde_json::{Value, json};

use cli::{
    Arguments, BenchArguments, Command, FloorArguments, InstructionsArguments, PlayArguments,
    PublishArguments,
};

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Play(arguments) => play(&arguments),
        Command::Publish(arguments) => publish(&arguments),
        Command::Bench(arguments) => bench(arguments),
        Command::Instructions(arguments) => instructions(&arguments),
        Command::Floor(arguments) => floor(&arguments),
        Command::Hls(arguments) => hls_commands::play(&arguments),
        Command::TlsHandshakes(arguments) => hls_commands::handshakes(&arguments),
        Command::UdpSend(arguments) => udp_commands::send(&arguments),
        Command::UdpReceive(arguments) => udp_commands::receive(&arguments),
        Command::UdpFloor(arguments) => udp_commands::floor(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corelay-perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(arguments: &PlayArguments) -> anyhow::Result<()> {
    let mut config =
        PlayConfig::new(targets(&arguments.url, arguments.streams)?, arguments.players);
    config.slow.clone_from(&arguments.slow);
    config.ramp_per_s = arguments.ramp;
    config.window = seconds(arguments.seconds)?;
    config.sample = arguments.sample;
    config.churn_per_s = arguments.churn;
    config.threads = arguments.threads;
    config.cpu = arguments.cpu;
    if let Some(kbit_s) = arguments.rate_limit {
        config.slow.push((config.players, kbit_s));
        (config.players, config.sample) = (0, 0);
    }
    let mut server = ServerUsage::new(arguments.server_pid);
    let progress = Progress::new("joining", 0);
    let result = play::run(&config, &progress, &mut |moment| server.tell(moment))?;
    write(&server.report(&result, result.bytes)?, arguments.json.as_deref())
}

/// What a server on this machine uses while the window is open.
struct ServerUsage {
    pid: Option<u32>,
    opened: Option<Usage>,
    used: Option<Usage>,
}

impl ServerUsage {
    fn new(pid: Option<u32>) -> Self {
        Self { pid, opened: None, used: None }
    }

    fn tell(&mut self, moment: Moment) {
        let read = || Usage::of(&process::family(self.pid?)).ok();
        match moment {
            Moment::Opens => self.opened = read(),
            Moment::Within(_) => {}
            Moment::Closes => {
                self.used = read().zip(self.opened).map(|(now, then)| now.since(&then));
            }
        }
    }

    /// A result, with the server's figures if there is one.
    fn report(&self, result: &impl Serialize, bytes: u64) -> anyhow::Result<Value> {
        let mut report = serde_json::to_value(result)?;
        if let (Some(used), Some(object)) = (self.used, report.as_object_mut()) {
            object.insert("server".to_owned(), server_figures(&used, bytes as f64 * 8e-9));
        }
        Ok(report)
    }
}

fn server_figures(used: &Usage, gigabits: f64) -> Value {
    json!({
        "cpu_s": used.cpu_s,
        "cpu_user_s": used.user_s,
        "cpu_system_s": used.system_s,
        "cpu_s_per_gbit": used.cpu_s / gigabits,
        "rss_kib": used.rss_kib,
        "rss_peak_kib": used.rss_peak_kib,
        "switches_voluntary": used.switches_voluntary,
        "switches_involuntary": used.switches_involuntary,
    })
}

fn publish(arguments: &PublishArguments) -> anyhow::Result<()> {
    let shape = Shape {
        video_kbit_s: arguments.bitrate,
        audio_kbit_s: if arguments.audio { 128 } else { 0 },
        frame_rate: arguments.fps,
        gop_frames: arguments.gop,
    };
    let duration = seconds(arguments.seconds)?;
    let publishing = Publishing::start(PublishConfig {
        targets: targets(&arguments.url, arguments.streams)?,
        media: arguments.flv.clone().map_or(Media::Generated(shape), Media::File),
        stamp: arguments.stamp,
        chunk_size: arguments.chunk_size,
        duration,
        cpu: arguments.cpu,
    })?;
    let bar = Progress::new("publishing", duration.as_secs());
    let started = std::time::Instant::now();
    while !publishing.is_over() {
        let megabytes = publishing.bytes() >> 20;
        let words = format!("{} streams, {megabytes} MiB", publishing.published());
        bar.at(started.elapsed().as_secs(), words);
        std::thread::sleep(progress::INTERVAL);
    }
    drop(bar);
    let result = publishing.wait()?;
    write(&serde_json::to_value(&result)?, arguments.json.as_deref())?;
    anyhow::ensure!(result.failed == 0, "{} streams failed: {:?}", result.failed, result.reasons);
    Ok(())
}

fn bench(arguments: BenchArguments) -> anyhow::Result<()> {
    let own = || std::env::args().collect::<Vec<_>>().join(" ");
    bench::run(&BenchConfig {
        quick: arguments.quick,
        rounds: arguments.rounds,
        only: arguments.only,
        servers: arguments.servers,
        soak: arguments.soak.map(seconds).transpose()?,
        window: arguments.window.map(seconds).transpose()?,
        players_max: arguments.players_max,
        others: arguments.server,
        corelay: arguments.corelay,
        output: arguments.output,
        patience: seconds(arguments.patience)?,
        command: arguments.called.unwrap_or_else(own),
    })
}

fn instructions(arguments: &InstructionsArguments) -> anyhow::Result<()> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.with_context(|| format!("cannot read {}", path.display()))
    };
    let now = Counts::parse(&read(&arguments.summaries)?, &arguments.rustc)?;
    let path = &arguments.baseline;
    let mut grew = false;
    if path.exists() {
        let baseline = serde_json::from_str(&read(path)?)
            .with_context(|| format!("{} is no baseline", path.display()))?;
        let (table, more) = now.compare(&baseline);
        print!("{table}");
        grew = more;
    }
    if arguments.update {
        return write(&serde_json::to_value(&now)?, Some(path));
    }
    anyhow::ensure!(path.exists(), "{} is missing: make it with --update", path.display());
    anyhow::ensure!(!grew, "a count grew by more than {GROWTH_PERCENT_MAX} %");
    Ok(())
}

fn floor(arguments: &FloorArguments) -> anyhow::Result<()> {
    floor::run(FloorConfig {
        listen: arguments.listen,
        cpu: arguments.cpu,
        kbit_s: arguments.kbit,
        interval: seconds(arguments.interval_ms / 1e3)?,
    })
}

fn targets(url: &str, streams: usize) -> anyhow::Result<Vec<Target>> {
    numbered(url, streams).iter().map(|url| Target::parse(url)).collect()
}

fn seconds(seconds: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(seconds).context("this is no length of time")
}

/// Writes a report to a file, or to standard output.
fn write(report: &Value, path: Option<&Path>) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    match path {
        Some(path) if path != Path::new("-") => std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display())),
        _ => {
            println!("{text}");
            Ok(())
        }
    }
}
