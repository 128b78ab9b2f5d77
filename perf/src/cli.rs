//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use corelay_perf::bench::server::OtherServer;

use crate::{hls_commands, udp_commands};

/// Load generator for live media relays: publishes and plays thousands of streams.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Play one or many streams with many players, and say what they saw.
    Play(PlayArguments),
    /// Publish one or many streams.
    Publish(PublishArguments),
    /// Compare servers under the same loads, and write a report.
    Bench(BenchArguments),
    /// Compare the instruction counts of the benches with those stored.
    Instructions(InstructionsArguments),
    /// Send the same bytes to everybody who connects, without any protocol.
    Floor(FloorArguments),
    /// Play a stream by HLS with many players, and say what they saw.
    Hls(hls_commands::PlayArguments),
    /// Connect to a server by TLS many times a second, and leave.
    TlsHandshakes(hls_commands::HandshakesArguments),
    /// Send transport streams of constant bit rate by UDP, as encoders do.
    UdpSend(udp_commands::SendArguments),
    /// Receive them behind a relay, and say what arrived, when, and how well it keeps to its clock.
    UdpReceive(udp_commands::ReceiveArguments),
    /// Relay datagrams and look at nothing.
    UdpFloor(udp_commands::FloorArguments),
}

#[derive(Args)]
pub(crate) struct PlayArguments {
    /// rtmp://, http://, ws://, or rtmps://, https://, wss://; {} in it is the number of the stream.
    #[arg(long)]
    pub(crate) url: String,
    /// Streams to spread the players over.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: usize,
    /// Players.
    #[arg(long, default_value_t = 100)]
    pub(crate) players: usize,
    /// Players that begin per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 500.0)]
    pub(crate) ramp: f64,
    /// How long all of them play once they have joined.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Players that parse all they get: latency, gaps, timestamps.
    #[arg(long, default_value_t = 10)]
    pub(crate) sample: usize,
    /// Additional slow players: how many, and at which rate; 0 kbit/s reads nothing.
    #[arg(long, value_name = "N:KBIT", value_parser = slow)]
    pub(crate) slow: Vec<(usize, u64)>,
    /// All players read at this rate, in kbit/s.
    #[arg(long, value_name = "KBIT")]
    pub(crate) rate_limit: Option<u64>,
    /// Players that leave and come back per second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0.0)]
    pub(crate) churn: f64,
    /// Threads for players.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// The CPU to run on.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// A server process on this machine, whose CPU time and memory are read as well.
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// Where to write the result; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct PublishArguments {
    /// rtmp://; {} in it is the number of the stream.
    #[arg(long)]
    pub(crate) url: String,
    /// Streams to publish.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: usize,
    /// Video bit rate in kbit/s.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) bitrate: u32,
    /// Frames per second.
    #[arg(long, default_value_t = 25)]
    pub(crate) fps: u32,
    /// Frames from one keyframe to the next.
    #[arg(long, default_value_t = 50)]
    pub(crate) gop: u32,
    /// With 128 kbit/s of audio.
    #[arg(long)]
    pub(crate) audio: bool,
    /// Publish this file over and over instead of a made-up stream.
    #[arg(long, value_name = "FILE")]
    pub(crate) flv: Option<PathBuf>,
    /// Put the time of sending into every video frame, for the latency that players measure.
    #[arg(long)]
    pub(crate) stamp: bool,
    /// Bytes of an RTMP chunk.
    #[arg(long, default_value_t = 4_096)]
    pub(crate) chunk_size: u32,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// The CPU to run on.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Where to write the result; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// A look in a few minutes instead of the record.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Rounds per case.
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "CASE")]
    pub(crate) only: Vec<String>,
    /// Only servers whose name contains this.
    #[arg(long, value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    /// Instead of the cases, one that lasts so many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) soak: Option<f64>,
    /// Length of the window of each run, in seconds: a look at whether it works, not a measurement,
    /// when it is short.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) window: Option<f64>,
    /// Cases with more players than this get this many.
    #[arg(long, value_name = "PLAYERS")]
    pub(crate) players_max: Option<usize>,
    /// Another server: name=command,rtmp_port[,http_port].
    #[arg(long, value_name = "SERVER", value_parser = OtherServer::parse)]
    pub(crate) server: Vec<OtherServer>,
    /// The relay's program, by default the one beside this.
    #[arg(long, value_name = "FILE")]
    pub(crate) corelay: Option<PathBuf>,
    /// How long a run may wait for the machine to be quiet, and be repeated because it was not.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub(crate) patience: f64,
    /// Where the report goes.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    pub(crate) output: PathBuf,
    /// How this was called, where not by this name.
    #[arg(long, hide = true)]
    pub(crate) called: Option<String>,
}

#[derive(Args)]
pub(crate) struct InstructionsArguments {
    /// What the benches printed with --output-format=json.
    #[arg(long, value_name = "FILE")]
    pub(crate) summaries: PathBuf,
    /// The counts stored.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: PathBuf,
    /// The compiler that the benches were built with.
    #[arg(long, value_name = "VERSION")]
    pub(crate) rustc: String,
    /// Store the counts.
    #[arg(long)]
    pub(crate) update: bool,
}

#[derive(Args)]
pub(crate) struct FloorArguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The CPU to run on.
    #[arg(long, default_value_t = 0)]
    pub(crate) cpu: usize,
    /// Bit rate per player in kbit/s.
    #[arg(long, default_value_t = 2_150.0)]
    pub(crate) kbit: f64,
    /// From one send to the next, in milliseconds.
    #[arg(long, default_value_t = 40.0)]
    pub(crate) interval_ms: f64,
}

fn slow(text: &str) -> Result<(usize, u64), String> {
    let parsed = text
        .split_once(':')
        .and_then(|(players, kbit_s)| Some((players.parse().ok()?, kbit_s.parse().ok()?)));
    parsed.ok_or_else(|| "it is of the form 100:1000, players and kbit/s".to_owned())
}
