//! The commands that send and receive transport streams by UDP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use corelay_perf::progress::{self, Progress};
use corelay_perf::udp::floor::{self, FloorConfig};
use corelay_perf::udp::{Addresses, ReceiveConfig, Receiving, SendConfig, Sending};

use super::{seconds, write};

#[derive(Args)]
pub(crate) struct SendArguments {
    /// Where the first channel goes. Channels have consecutive ports, or consecutive groups.
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: SocketAddr,
    /// Channels.
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Bits per second of each channel, as 8000000, 8M or 1500k.
    #[arg(long, default_value = "8M", value_parser = bit_rate)]
    bitrate: u64,
    /// Datagrams of a channel that leave together.
    #[arg(long, value_name = "DATAGRAMS", default_value_t = 1)]
    burst: u32,
    /// One channel more, which goes past the relay.
    #[arg(long, value_name = "ADDRESS:PORT")]
    direct: Option<SocketAddr>,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The interface of groups, by its address.
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST)]
    interface: Ipv4Addr,
    /// The CPU to run on.
    #[arg(long)]
    cpu: Option<usize>,
    /// Where to write the result; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ReceiveArguments {
    /// Where the first channel arrives. Channels have consecutive ports, or consecutive groups.
    #[arg(long, value_name = "ADDRESS:PORT")]
    on: SocketAddr,
    /// Channels.
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// One channel more, which comes past the relay.
    #[arg(long, value_name = "ADDRESS:PORT")]
    direct: Option<SocketAddr>,
    /// Compare arrivals with the clocks of the streams.
    #[arg(long)]
    pcr: bool,
    /// How long to measure, once something has arrived of every channel.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// How long to wait for that.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    patience: f64,
    /// The interface of groups, by its address.
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST)]
    interface: Ipv4Addr,
    /// The CPU to run on.
    #[arg(long)]
    cpu: Option<usize>,
    /// Where to write the result; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct FloorArguments {
    /// Where the first channel comes in.
    #[arg(long, value_name = "ADDRESS:PORT")]
    from: SocketAddr,
    /// Where it goes.
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: SocketAddr,
    /// Channels.
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// The CPU to run on.
    #[arg(long)]
    cpu: Option<usize>,
}

pub(crate) fn send(arguments: &SendArguments) -> anyhow::Result<()> {
    let duration = seconds(arguments.seconds)?;
    let sending = Sending::start(SendConfig {
        to: Addresses::new(arguments.to, arguments.channels)?,
        direct: arguments.direct,
        bit_rate: arguments.bitrate,
        burst: arguments.burst,
        duration,
        interface: arguments.interface,
        cpu: arguments.cpu,
    })?;
    watch("sending", duration, &|| sending.is_over(), &|| format!("{} MiB", sending.bytes() >> 20));
    let result = sending.wait()?;
    write(&serde_json::to_value(&result)?, arguments.json.as_deref())
}

pub(crate) fn receive(arguments: &ReceiveArguments) -> anyhow::Result<()> {
    let window = seconds(arguments.seconds)?;
    let receiving = Receiving::start(ReceiveConfig {
        on: Addresses::new(arguments.on, arguments.channels)?,
        direct: arguments.direct,
        clocks: arguments.pcr,
        interface: arguments.interface,
        cpu: arguments.cpu,
    })?;
    let heard = receiving.wait_for_all(seconds(arguments.patience)?);
    ensure!(heard > 0, "nothing arrives on {}", arguments.on);
    receiving.open_window();
    let all = arguments.channels;
    watch("receiving", window, &|| false, &|| format!("{} of {all} channels", receiving.heard()));
    receiving.close_window();
    let result = receiving.stop(None)?;
    write(&serde_json::to_value(&result)?, arguments.json.as_deref())
}

pub(crate) fn floor(arguments: &FloorArguments) -> anyhow::Result<()> {
    floor::run(&FloorConfig {
        from: Addresses::new(arguments.from, arguments.channels)?,
        to: Addresses::new(arguments.to, arguments.channels)?,
        duration: seconds(arguments.seconds)?,
        cpu: arguments.cpu,
    })
}

/// Shows how it goes until the time or the work is over.
fn watch(what: &str, duration: Duration, is_over: &dyn Fn() -> bool, words: &dyn Fn() -> String) {
    let bar = Progress::new(what, duration.as_secs());
    let started = Instant::now();
    while let Some(left) = duration.checked_sub(started.elapsed())
        && !is_over()
    {
        bar.at(started.elapsed().as_secs(), words());
        thread::sleep(left.min(progress::INTERVAL));
    }
}

/// A number with k, M or G behind it.
fn bit_rate(text: &str) -> Result<u64, String> {
    let (digits, unit) =
        text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err("a bit rate is of the form 8000000, 1500k, 8M or 1G".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{digits}` is no number"))?;
    Ok((number * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates_have_units() {
        let all = ["8000000", "1500k", "2.5M", "1G"].map(|text| bit_rate(text).unwrap());
        assert_eq!(all, [8_000_000, 1_500_000, 2_500_000, 1_000_000_000]);
        assert!(bit_rate("8X").is_err() && bit_rate("M").is_err() && bit_rate("").is_err());
    }
}
