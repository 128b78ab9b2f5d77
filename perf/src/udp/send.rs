//! The sender: channels of constant bit rate, each datagram at its time.
//!
//! Invariants
//! - The channels' phases are spread evenly over the time between two datagrams.
//! - Nothing leaves before it is due. Datagrams that are due within [`GATHER_NS`] of each other leave
//!   in one call, as a network card hands them over; how late that makes them is in the result.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use socket2::SockAddr;

use super::Addresses;
use super::stream::{BIT_RATE_MIN, Stream};
use crate::figures::{Distribution, Summary};
use crate::sys::udp::{self, DATAGRAM_BYTES, Outgoing};
use crate::sys::{clock, threads};

/// What is sent, and where to.
#[derive(Clone, Copy, Debug)]
pub struct SendConfig {
    /// One channel each.
    pub to: Addresses,
    /// One channel more goes here, past the relay.
    pub direct: Option<SocketAddr>,
    /// Bits per second of each channel.
    pub bit_rate: u64,
    /// Datagrams of a channel that leave together; 1 is an even stream.
    pub burst: u32,
    /// The longest it may last.
    pub duration: Duration,
    /// The interface of groups, by its address.
    pub interface: Ipv4Addr,
    /// The CPU the thread is pinned to.
    pub cpu: Option<usize>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SendResult {
    /// Channels, without the direct one.
    pub channels: usize,
    /// Datagrams given to the socket, those of the direct channel too.
    pub datagrams: u64,
    /// Datagrams that the kernel did not take.
    pub refused: u64,
    /// Datagrams of each channel, the direct one last.
    pub sequences: Vec<u64>,
    /// How late datagrams were given to the socket, in microseconds.
    pub late_us: Option<Summary>,
}

/// Channels being sent by a thread of their own. Dropping it lets them go on to their end.
pub struct Sending {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: JoinHandle<SendResult>,
}

impl Sending {
    /// Begins to send.
    ///
    /// # Errors
    /// The bit rate is too low, or the operating system refuses a socket.
    pub fn start(config: SendConfig) -> anyhow::Result<Self> {
        ensure!(
            config.bit_rate >= BIT_RATE_MIN,
            "a channel has {BIT_RATE_MIN} bit/s at the least, not {}",
            config.bit_rate
        );
        ensure!(config.burst > 0, "a burst has one datagram at the least");
        let mut driver = Driver::new(&config)?;
        let (stop, bytes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, sent) = (Arc::clone(&stop), Arc::clone(&bytes));
        let work = move || {
            // Unpinned and without preference it runs as well, only less evenly.
            let _ = config.cpu.map(threads::pin_to);
            threads::go_first();
            threads::wake_on_time();
            driver.run(config.duration, &told, &sent)
        };
        let thread = thread::Builder::new().name("udp-send".to_owned()).spawn(work)?;
        Ok(Self { stop, bytes, thread })
    }

    /// Bytes given to the socket so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn stop(self) -> anyhow::Result<SendResult> {
        self.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The thread panicked.
    pub fn wait(self) -> anyhow::Result<SendResult> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the sending thread panicked"))
    }
}

struct Driver {
    socket: OwnedFd,
    streams: Vec<(Stream, SockAddr)>,
    burst: u32,
    /// From one burst of a channel to its next.
    period_ns: f64,
    outgoing: Outgoing,
    late: Distribution,
    result: SendResult,
}

impl Driver {
    fn new(config: &SendConfig) -> anyhow::Result<Self> {
        let addresses: Vec<SocketAddr> = config.to.iter().chain(config.direct).collect();
        let first = addresses.first().context("there is nowhere to send to")?;
        let socket = udp::sender(*first, config.interface)
            .with_context(|| format!("cannot send to {first}"))?;
        let stream = |(number, address): (usize, &SocketAddr)| {
            (Stream::new(number as u32, config.bit_rate), SockAddr::from(*address))
        };
        let bits = DATAGRAM_BYTES as f64 * 8.0 * f64::from(config.burst);
        Ok(Self {
            socket,
            streams: addresses.iter().enumerate().map(stream).collect(),
            burst: config.burst,
            period_ns: bits * 1e9 / config.bit_rate as f64,
            outgoing: Outgoing::new(),
            late: Distribution::default(),
            result: SendResult { channels: config.to.count(), ..SendResult::default() },
        })
    }

    fn run(&mut self, duration: Duration, stop: &AtomicBool, bytes: &AtomicU64) -> SendResult {
        let begun_ns = clock::now_ns();
        let end_ns = begun_ns.saturating_add(duration.as_nanos() as u64);
        // Burst b is one of channel b % channels, whose phase is its share of the period.
        let interval_ns = self.period_ns / self.streams.len() as f64;
        let mut bursts = 0_u64;
        loop {
            let now_ns = clock::now_ns();
            if now_ns >= end_ns || stop.load(Ordering::Relaxed) {
                break;
            }
            let mut due_ns = begun_ns + (bursts as f64 * interval_ns) as u64;
            while due_ns <= now_ns {
                self.burst(bursts);
                self.late.record_us((clock::now_ns() - due_ns) / 1_000);
                bursts += 1;
                due_ns = begun_ns + (bursts as f64 * interval_ns) as u64;
            }
            self.flush();
            bytes.store(self.result.datagrams * DATAGRAM_BYTES as u64, Ordering::Relaxed);
            let wake_ns = due_ns.max(now_ns + GATHER_NS).min(now_ns + LOOK_AROUND_NS);
            thread::sleep(Duration::from_nanos(wake_ns.saturating_sub(clock::now_ns())));
        }
        let mut result = std::mem::take(&mut self.result);
        result.sequences = self.streams.iter().map(|(stream, _)| stream.sequence()).collect();
        result.late_us = self.late.summary_us();
        result
    }

    fn burst(&mut self, number: u64) {
        let index = number as usize % self.streams.len();
        for _ in 0..self.burst {
            let Some((stream, to)) = self.streams.get_mut(index) else { return };
            if let Some(datagram) = self.outgoing.push(to) {
                stream.write_next(clock::realtime_ns(), datagram);
            }
            if self.outgoing.is_full() {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let count = self.outgoing.count() as u64;
        if count > 0 {
            let taken = self.outgoing.send(self.socket.as_raw_fd()) as u64;
            self.result.datagrams += taken;
            self.result.refused += count - taken;
        }
    }
}

/// How long datagrams gather, as by the interrupt moderation of network cards.
const GATHER_NS: u64 = 50_000;
/// How soon a stop is noticed.
const LOOK_AROUND_NS: u64 = 20_000_000;
