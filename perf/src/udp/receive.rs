//! The receiver: channels behind a relay, and one that came past it.
//!
//! It looks at its sockets every few milliseconds and takes the times of arrival from the kernel. So
//! no sender pays for waking it, and no datagram is late because it was not read at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Tally};
use super::clock_line::ClockResult;
use super::send::SendResult;
use super::{Addresses, Window};
use crate::figures::Summary;
use crate::sys::udp::{self, Incoming};
use crate::sys::{clock, threads};

/// What is received.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveConfig {
    /// One channel each.
    pub on: Addresses,
    /// The channel that comes past the relay.
    pub direct: Option<SocketAddr>,
    /// Arrivals are compared with the streams' clocks.
    pub clocks: bool,
    /// The interface of groups, by its address.
    pub interface: Ipv4Addr,
    /// The CPU the thread is pinned to.
    pub cpu: Option<usize>,
}

/// What arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiveResult {
    /// Length of the window in seconds.
    pub window_s: f64,
    /// What came through the relay.
    pub relay: Leg,
    /// What came past it.
    pub direct: Option<Leg>,
    /// How long the relay kept datagrams, in microseconds: the median of the relay's leg less that
    /// of the direct one.
    pub residence_p50_us: Option<f64>,
    /// The same of the 99th percentiles.
    pub residence_p99_us: Option<f64>,
    /// Datagrams that the receiver's own sockets had no room for: no fault of the relay.
    pub dropped_here: u64,
}

/// What arrived of some channels. Datagrams are those that were sent, also where the relay put their
/// packets into others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Channels asked for.
    pub channels: usize,
    /// Channels of which something arrived.
    pub heard: usize,
    /// Datagrams sent within the window that arrived.
    pub datagrams: u64,
    /// Bytes that arrived within the window.
    pub bytes: u64,
    /// Datagrams that did not arrive.
    pub lost: u64,
    /// Datagrams that arrived behind later ones.
    pub late: u64,
    /// Datagrams that arrived more than once.
    pub repeated: u64,
    /// Datagrams whose packets are not those that were sent.
    pub altered: u64,
    /// What arrived and is no transport stream, or another channel's.
    pub foreign: u64,
    /// From the sender's stamp to the arrival, in microseconds.
    pub latency_us: Option<Summary>,
    /// How well they kept to the streams' clocks, if that was looked at.
    pub clocks: Option<ClockResult>,
}

/// Channels being received by a thread of their own.
pub struct Receiving {
    shared: Arc<Shared>,
    channels: usize,
    thread: JoinHandle<anyhow::Result<(Driver, Window)>>,
}

/// What the thread and its owner tell each other.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    heard: AtomicUsize,
    opened_ns: AtomicU64,
    closed_ns: AtomicU64,
}

impl Receiving {
    /// Binds all addresses and begins to receive. The window is closed as yet.
    ///
    /// # Errors
    /// An address is taken, or the operating system refuses something.
    pub fn start(config: ReceiveConfig) -> anyhow::Result<Self> {
        threads::raise_descriptor_limit();
        let mut driver = Driver::new(&config)?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            heard: AtomicUsize::new(0),
            opened_ns: AtomicU64::new(u64::MAX),
            closed_ns: AtomicU64::new(u64::MAX),
        });
        let seen = Arc::clone(&shared);
        let work = move || {
            // Unpinned it runs as well.
            let _ = config.cpu.map(threads::pin_to);
            let window = driver.run(&seen).context("receiving stopped")?;
            Ok((driver, window))
        };
        let thread = thread::Builder::new().name("udp-receive".to_owned()).spawn(work)?;
        Ok(Self { shared, channels: config.on.count(), thread })
    }

    /// Waits until something has arrived of every channel, at most for `limit`; returns of how many.
    pub fn wait_for_all(&self, limit: Duration) -> usize {
        let started = Instant::now();
        while self.heard() < self.channels && started.elapsed() < limit {
            thread::sleep(LOOK);
        }
        self.heard()
    }

    /// Channels behind the relay of which something has arrived.
    pub fn heard(&self) -> usize {
        self.shared.heard.load(Ordering::Relaxed)
    }

    /// Begins to measure: what is sent from now on counts.
    pub fn open_window(&self) {
        self.shared.opened_ns.store(clock::realtime_ns(), Ordering::Relaxed);
    }

    /// Ends to measure; losses are still counted.
    pub fn close_window(&self) {
        self.shared.closed_ns.store(clock::realtime_ns(), Ordering::Relaxed);
    }

    /// Ends it. With what the sender says at its end, those that are missing then are lost.
    ///
    /// # Errors
    /// The operating system refused to receive.
    pub fn stop(self, sent: Option<&SendResult>) -> anyhow::Result<ReceiveResult> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.join();
        let (driver, window) =
            joined.map_err(|_| anyhow::anyhow!("the receiving thread panicked"))??;
        Ok(driver.into_result(window, sent))
    }
}

struct Driver {
    /// The relay's channels, and the direct one behind them.
    sockets: Vec<OwnedFd>,
    channels: Vec<Channel>,
    relayed: usize,
    incoming: Incoming,
    relay: Tally,
    direct: Tally,
}

impl Driver {
    fn new(config: &ReceiveConfig) -> anyhow::Result<Self> {
        let bind = |address| {
            udp::receiver(address, config.interface)
                .with_context(|| format!("cannot receive on {address}"))
        };
        let sockets: Vec<OwnedFd> =
            config.on.iter().chain(config.direct).map(bind).collect::<anyhow::Result<_>>()?;
        let channels = (0..sockets.len()).map(|at| Channel::new(at as u32, config.clocks));
        Ok(Self {
            channels: channels.collect(),
            sockets,
            relayed: config.on.count(),
            incoming: Incoming::new(),
            relay: Tally::default(),
            direct: Tally::default(),
        })
    }

    /// Receives until it is told to stop; returns the window at the end.
    fn run(&mut self, shared: &Shared) -> io::Result<Window> {
        loop {
            let is_last = shared.stop.load(Ordering::Relaxed);
            let window = Window {
                opened_ns: shared.opened_ns.load(Ordering::Relaxed),
                closed_ns: shared.closed_ns.load(Ordering::Relaxed),
            };
            self.drain(window)?;
            let relayed = self.channels.iter().take(self.relayed);
            let heard = relayed.filter(|channel| channel.has_begun()).count();
            shared.heard.store(heard, Ordering::Relaxed);
            if is_last {
                return Ok(window);
            }
            thread::sleep(LOOK);
        }
    }

    /// Reads all that is there.
    fn drain(&mut self, window: Window) -> io::Result<()> {
        for (at, (socket, channel)) in self.sockets.iter().zip(&mut self.channels).enumerate() {
            let tally = if at < self.relayed { &mut self.relay } else { &mut self.direct };
            loop {
                let count = self.incoming.receive(socket.as_raw_fd())?;
                for (bytes, arrived_ns) in self.incoming.iter() {
                    let arrived_ns = arrived_ns.unwrap_or_else(clock::realtime_ns);
                    channel.datagram(bytes, arrived_ns, window, tally);
                }
                if count < udp::BATCH {
                    break;
                }
            }
        }
        Ok(())
    }

    fn into_result(self, window: Window, sent: Option<&SendResult>) -> ReceiveResult {
        let Self { sockets, channels, relayed, mut relay, mut direct, .. } = self;
        let direct_channels = channels.len() - relayed;
        let mut heard = [0; 2];
        for (at, channel) in channels.into_iter().enumerate() {
            let (tally, heard) = match &mut heard {
                [relayed_heard, _] if at < relayed => (&mut relay, relayed_heard),
                [_, direct_heard] => (&mut direct, direct_heard),
            };
            *heard += usize::from(channel.has_begun());
            channel.finish(sent.and_then(|sent| sent.sequences.get(at).copied()), tally);
        }
        let [relay_heard, direct_heard] = heard;
        let relay = Leg::new(relayed, relay_heard, &relay);
        let direct =
            (direct_channels > 0).then(|| Leg::new(direct_channels, direct_heard, &direct));
        let summaries = relay.latency_us.zip(direct.as_ref().and_then(|leg| leg.latency_us));
        let residence = |at: fn(Summary) -> f64| {
            summaries.map(|(relay, direct)| (at(relay) - at(direct)).max(0.0))
        };
        ReceiveResult {
            window_s: window.closed_ns.saturating_sub(window.opened_ns) as f64 / 1e9,
            residence_p50_us: residence(|of| of.p50),
            residence_p99_us: residence(|of| of.p99),
            dropped_here: sockets.iter().map(|socket| udp::dropped(socket.as_raw_fd())).sum(),
            relay,
            direct,
        }
    }
}

impl Leg {
    fn new(channels: usize, heard: usize, tally: &Tally) -> Self {
        Self {
            channels,
            heard,
            datagrams: tally.datagrams,
            bytes: tally.bytes,
            lost: tally.lost,
            late: tally.late,
            repeated: tally.repeated,
            altered: tally.altered,
            foreign: tally.foreign,
            latency_us: tally.latency.summary_us(),
            clocks: tally.clocks.result(),
        }
    }
}

/// How often the sockets are read: 4 datagrams of 8 Mbit/s in one call.
const LOOK: Duration = Duration::from_millis(5);
