//! One run with channels by UDP: a sender, a relay, and a receiver or players behind it.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::case::{Load, Protocol};
use super::channels::Channels;
use super::measure::{Run, only_publish, play_config, sample_interval};
use super::readings::Readings;
use super::server::{Contender, Server};
use super::site::Site;
use crate::play::{self, Moment, PlayResult};
use crate::progress::Progress;
use crate::udp::{ReceiveConfig, ReceiveResult, Receiving, SendConfig, SendResult, Sending};

/// What was sent and received.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DatagramRun {
    /// What was sent.
    pub send: SendResult,
    /// What arrived.
    pub receive: ReceiveResult,
}

impl DatagramRun {
    /// What the line about a run says of it.
    pub fn words(&self) -> String {
        let ReceiveResult { relay, residence_p50_us, residence_p99_us, .. } = &self.receive;
        let residence = residence_p50_us.zip(*residence_p99_us);
        let residence = residence.map_or_else(String::new, |(p50, p99)| {
            format!(", residence p50 {p50:.0} p99 {p99:.0} us")
        });
        let clocks = relay.clocks.map_or_else(String::new, |clocks| {
            format!(", {:.2} % within 1 ms", clocks.within_1_ms * 100.0)
        });
        format!("{residence}{clocks}, {} lost", relay.lost)
    }
}

/// Sends the channels of a load through a contender; `(kbit_s, is_paced)` is how.
///
/// # Errors
/// The server does not start, or not every channel comes through it, or the operating system
/// refuses something.
pub(super) fn measure(
    load: &Load,
    (kbit_s, is_paced): (u64, bool),
    contender: &Contender,
    site: &Site,
    window: Duration,
    progress: &Progress,
) -> anyhow::Result<Run> {
    let channels = Channels::free(load.streams, load.protocol == Protocol::Udp, is_paced)?;
    let cpu = (!load.unpinned).then_some(site.load_cpu);
    let receiving = receive(&channels, cpu)?;
    let server = Server::start(contender, site, 0.0, Some(&channels))?;
    let sending = Sending::start(SendConfig {
        to: channels.inputs,
        direct: receiving.is_some().then_some(channels.direct),
        bit_rate: kbit_s * 1_000,
        burst: 1,
        duration: window + SEND_LIMIT,
        interface: Ipv4Addr::LOCALHOST,
        cpu,
    })?;
    let mut readings = Readings::new(server.pids(), site.server_cpu, sample_interval(window));
    let mut tell = |moment| {
        match (&receiving, moment) {
            (Some(receiving), Moment::Opens) => receiving.open_window(),
            (Some(receiving), Moment::Closes) => receiving.close_window(),
            _ => {}
        }
        readings.read(moment, sending.bytes());
    };
    let mut play = match &receiving {
        Some(receiving) => {
            let (all, heard) = (load.streams, receiving.wait_for_all(HEARD_LIMIT));
            ensure!(heard == all, "{heard} of {all} channels came through");
            only_publish(window, &mut tell)
        }
        None => {
            thread::sleep(BEFORE_PLAYERS);
            let url = server.play_url(load.protocol).context("it does not serve this protocol")?;
            play::run(&play_config(load, &url, window, site)?, progress, &mut tell)?
        }
    };
    let send = sending.stop()?;
    let datagrams = receiving.map(|receiving| {
        thread::sleep(UNDER_WAY);
        let receive = receiving.stop(Some(&send))?;
        anyhow::Ok(DatagramRun { send, receive })
    });
    let datagrams = datagrams.transpose()?;
    if let Some(run) = &datagrams {
        play = delivered(&run.receive, play.window_s);
    }
    let run = readings.figures(&play, load).context("the server has ended")?;
    Ok(Run { play, datagrams, ..run })
}

/// Where the relay sends them on: a receiver, with one channel past the relay.
fn receive(channels: &Channels, cpu: Option<usize>) -> anyhow::Result<Option<Receiving>> {
    let config = channels.outputs.map(|on| ReceiveConfig {
        on,
        direct: Some(channels.direct),
        clocks: true,
        interface: Ipv4Addr::LOCALHOST,
        cpu,
    });
    config.map(Receiving::start).transpose()
}

/// The same bytes as players would have got.
fn delivered(receive: &ReceiveResult, window_s: f64) -> PlayResult {
    let bytes = receive.relay.bytes;
    let delivered_mbps = bytes as f64 * 8e-6 / window_s.max(1e-6);
    PlayResult { protocol: "udp".to_owned(), window_s, bytes, delivered_mbps, ..Default::default() }
}

/// Every channel has a datagram each few milliseconds, and a relay may wait for its tables.
const HEARD_LIMIT: Duration = Duration::from_secs(10);
/// So that players find a random-access point.
const BEFORE_PLAYERS: Duration = Duration::from_millis(1_500);
/// Longer than any buffer for pacing.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Longer than what comes before the window takes.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// What a run takes besides its window.
pub(super) const AROUND_WINDOW: Duration = Duration::from_millis(2_700);
