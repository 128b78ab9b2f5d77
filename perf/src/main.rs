//! The `corelay-perf` command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use corelay_perf::bench::server::OtherServer;
use corelay_perf::bench::{self, BenchConfig};
use corelay_perf::floor::{self, FloorConfig};
use corelay_perf::play::{self, Edge, PlayConfig};
use corelay_perf::progress::{self, Progress};
use corelay_perf::publish::{Media, PublishConfig, Publishing, Shape};
use corelay_perf::sys::process::{self, Usage};
use corelay_perf::target::{Target, numbered};
use serde_json::{Value, json};

/// Load generator for live media relays: publishes and plays thousands of streams.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play one or many streams with many players, and say what they saw.
    Play(PlayArguments),
    /// Publish one or many streams.
    Publish(PublishArguments),
    /// Compare servers under the same loads, and write a report.
    Bench(BenchArguments),
    /// Send the same bytes to everybody who connects, without any protocol.
    Floor(FloorArguments),
}

#[derive(Args)]
struct PlayArguments {
    /// rtmp://, http:// or ws://; {} in it is the number of the stream.
    #[arg(long)]
    url: String,
    /// Streams to spread the players over.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Players.
    #[arg(long, default_value_t = 100)]
    players: usize,
    /// Players that begin per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 500.0)]
    ramp: f64,
    /// How long all of them play once they have joined.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Players that parse all they get: latency, gaps, timestamps.
    #[arg(long, default_value_t = 10)]
    sample: usize,
    /// Additional slow players: how many, and at which rate; 0 kbit/s reads nothing.
    #[arg(long, value_name = "N:KBIT", value_parser = slow)]
    slow: Vec<(usize, u64)>,
    /// All players read at this rate, in kbit/s.
    #[arg(long, value_name = "KBIT")]
    rate_limit: Option<u64>,
    /// Players that leave and come back per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0.0)]
    churn: f64,
    /// Threads for players.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The CPU to run on.
    #[arg(long)]
    cpu: Option<usize>,
    /// A server process on this machine, whose CPU time and memory are read as well.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Where to write the result; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct PublishArguments {
    /// rtmp://; {} in it is the number of the stream.
    #[arg(long)]
    url: String,
    /// Streams to publish.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    /// Video bit rate in kbit/s.
    #[arg(long, default_value_t = 2_000)]
    bitrate: u32,
    /// Frames per second.
    #[arg(long, default_value_t = 25)]
    fps: u32,
    /// Frames from one keyframe to the next.
    #[arg(long, default_value_t = 50)]
    gop: u32,
    /// With 128 kbit/s of audio.
    #[arg(long)]
    audio: bool,
    /// Publish this file over and over instead of a made-up stream.
    #[arg(long, value_name = "FILE")]
    flv: Option<PathBuf>,
    /// Put the time of sending into every video frame, for the latency that players measure.
    #[arg(long)]
    stamp: bool,
    /// Bytes of an RTMP chunk.
    #[arg(long, default_value_t = 4_096)]
    chunk_size: u32,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The CPU to run on.
    #[arg(long)]
    cpu: Option<usize>,
    /// Where to write the result; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct BenchArguments {
    /// A look in a few minutes instead of the record.
    #[arg(long)]
    quick: bool,
    /// Rounds per case.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Only servers whose name contains this.
    #[arg(long, value_name = "SERVER")]
    servers: Vec<String>,
    /// Instead of the cases, one that lasts so many seconds.
    #[arg(long, value_name = "SECONDS")]
    soak: Option<f64>,
    /// Another server: name=command,rtmp_port[,http_port].
    #[arg(long, value_name = "SERVER", value_parser = OtherServer::parse)]
    server: Vec<OtherServer>,
    /// The relay's program, by default the one beside this.
    #[arg(long, value_name = "FILE")]
    corelay: Option<PathBuf>,
    /// How long a run may wait for the machine to be quiet, and be repeated because it was not.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    patience: f64,
    /// Where the report goes.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    output: PathBuf,
    /// How this was called, where not by this name.
    #[arg(long, hide = true)]
    called: Option<String>,
}

#[derive(Args)]
struct FloorArguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The CPU to run on.
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Bit rate per player in kbit/s.
    #[arg(long, default_value_t = 2_150.0)]
    kbit: f64,
    /// From one send to the next, in milliseconds.
    #[arg(long, default_value_t = 40.0)]
    interval_ms: f64,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Play(arguments) => play(&arguments),
        Command::Publish(arguments) => publish(&arguments),
        Command::Bench(arguments) => bench(arguments),
        Command::Floor(arguments) => floor(&arguments),
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
    let (mut opened, mut used) = (None, None);
    let mut read_server = |edge| {
        let pids = arguments.server_pid.map(process::family);
        let usage = pids.and_then(|pids| Usage::of(&pids).ok());
        match edge {
            Edge::Opens => opened = usage,
            Edge::Closes => used = usage.zip(opened).map(|(now, before)| now.since(&before)),
        }
    };
    let result = play::run(&config, &Progress::new("joining", 0), &mut read_server)?;
    let mut report = serde_json::to_value(&result)?;
    if let (Some(used), Some(object)) = (used, report.as_object_mut()) {
        let gigabits = result.bytes as f64 * 8e-9;
        object.insert("server".to_owned(), server_figures(&used, gigabits));
    }
    write(&report, arguments.json.as_deref())
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
        others: arguments.server,
        corelay: arguments.corelay,
        output: arguments.output,
        patience: seconds(arguments.patience)?,
        command: arguments.called.unwrap_or_else(own),
    })
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

fn slow(text: &str) -> Result<(usize, u64), String> {
    let parsed = text
        .split_once(':')
        .and_then(|(players, kbit_s)| Some((players.parse().ok()?, kbit_s.parse().ok()?)));
    parsed.ok_or_else(|| "it is of the form 100:1000, players and kbit/s".to_owned())
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
