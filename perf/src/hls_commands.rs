//! The commands that play HLS and shake hands by TLS.

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use clap::{Args, ValueEnum};
use corelay_perf::handshakes::{Handshakes, HandshakesConfig};
use corelay_perf::hls::{self, HlsConfig};
use corelay_perf::progress::{self, Progress};
use corelay_perf::target::Target;

use super::{ServerUsage, seconds, write};

#[derive(Args)]
pub(crate) struct PlayArguments {
    /// A multivariant or media playlist, by http://.
    #[arg(long)]
    url: String,
    /// What the players do.
    #[arg(long, value_enum, default_value_t = Manner::Watch)]
    manner: Manner,
    /// Players.
    #[arg(long, default_value_t = 100)]
    players: usize,
    /// Players that begin per second; by default all within 2 s.
    #[arg(long, value_name = "PER_SECOND")]
    ramp: Option<f64>,
    /// How long all of them play once they have joined.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Players that look at what is in their segments.
    #[arg(long, default_value_t = 10)]
    sample: usize,
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

#[derive(Clone, Copy, ValueEnum)]
enum Manner {
    /// Watch: the playlist once per target duration, and each new segment whole.
    Watch,
    /// Ask for the media playlist again as soon as it is there.
    Poll,
    /// Ask for each part before it is there, and say how late it comes.
    LowLatency,
}

#[derive(Args)]
pub(crate) struct HandshakesArguments {
    /// rtmps://, https:// or wss://.
    #[arg(long)]
    url: String,
    /// Clients that begin per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 1_000.0)]
    rate: f64,
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

pub(crate) fn play(arguments: &PlayArguments) -> anyhow::Result<()> {
    let manner = match arguments.manner {
        Manner::Watch => hls::Manner::Watch,
        Manner::Poll => hls::Manner::Poll,
        Manner::LowLatency => hls::Manner::LowLatency,
    };
    let mut config = HlsConfig::new(Target::parse(&arguments.url)?, manner, arguments.players);
    config.ramp_per_s = arguments.ramp.unwrap_or(config.ramp_per_s);
    config.window = seconds(arguments.seconds)?;
    config.sample = arguments.sample;
    config.cpu = arguments.cpu;
    let mut server = ServerUsage::new(arguments.server_pid);
    let progress = Progress::new("joining", 0);
    let result = hls::run(&config, &progress, &mut |moment| server.tell(moment))?;
    write(&server.report(&result, result.bytes)?, arguments.json.as_deref())
}

pub(crate) fn handshakes(arguments: &HandshakesArguments) -> anyhow::Result<()> {
    let duration = seconds(arguments.seconds)?;
    let storm = Handshakes::start(HandshakesConfig {
        target: Target::parse(&arguments.url)?,
        per_s: arguments.rate,
        duration,
        cpu: arguments.cpu,
    })?;
    let (bar, started) = (Progress::new("shaking hands", duration.as_secs()), Instant::now());
    while !storm.is_over() {
        bar.at(started.elapsed().as_secs(), String::new());
        thread::sleep(progress::INTERVAL);
    }
    drop(bar);
    write(&serde_json::to_value(storm.stop()?)?, arguments.json.as_deref())
}
