//! Counters and gauges of one core, written by that core alone and read by the control thread.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::net::tls::Refusal;

/// A number that one core writes and any thread reads.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds `by`. Only the owning core may call it: it is a load and a store, not an atomic add.
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    /// Takes `by` off. Only the owning core may call it.
    pub fn sub(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(by), Ordering::Relaxed);
    }

    /// Sets the number.
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    /// Reads the number.
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a viewer skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Too many bytes behind (`behind_bytes_max`).
    BehindBytes,
    /// Too much media behind (`behind_ms_max`).
    BehindTime,
    /// It would have fallen off the log (`log_bytes_max`, `log_ms_max`).
    LogLimit,
    /// The logs together use too much memory (`logs_bytes_max`).
    Memory,
}

impl SkipReason {
    /// All reasons, in the order of [`CoreStats::skips`].
    pub const ALL: [Self; 4] = [Self::BehindBytes, Self::BehindTime, Self::LogLimit, Self::Memory];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::BehindBytes => "behind_bytes",
            Self::BehindTime => "behind_time",
            Self::LogLimit => "log_limit",
            Self::Memory => "memory",
        }
    }
}

/// Why a connection ended that the peer did not end in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer broke its protocol.
    Protocol,
    /// The peer asked for more than a limit allows.
    Limit,
    /// A deadline passed.
    Timeout,
    /// The viewer was too slow too often.
    TooSlow,
    /// The server has as many connections as it may.
    TooManyConnections,
    /// The address has as many connections as it may.
    TooManyFromAddress,
    /// The socket failed.
    Socket,
    /// TLS failed, mostly in the handshake (see [`Refusal`]).
    Tls,
}

impl Failure {
    /// All of them, in the order of [`CoreStats::failures`].
    pub const ALL: [Self; 8] = [
        Self::Protocol,
        Self::Limit,
        Self::Timeout,
        Self::TooSlow,
        Self::TooManyConnections,
        Self::TooManyFromAddress,
        Self::Socket,
        Self::Tls,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::TooSlow => "too_slow",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyFromAddress => "too_many_from_address",
            Self::Socket => "socket",
            Self::Tls => "tls",
        }
    }
}

/// Everything one core counts. Aligned so that two cores never write one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreStats {
    /// Connections accepted.
    pub accepted: Cell,
    /// Connections open now.
    pub connections: Cell,
    /// Publications running now.
    pub publishers: Cell,
    /// Viewers now.
    pub viewers: Cell,
    /// Streams owned now.
    pub streams: Cell,
    /// Bytes received.
    pub bytes_in: Cell,
    /// Bytes sent.
    pub bytes_out: Cell,
    /// Units received from publishers of this core.
    pub units_in: Cell,
    /// Gathered sends to viewers.
    pub sends: Cell,
    /// Sends that the socket did not take whole.
    pub blocked: Cell,
    /// Units that found the mesh's media lane full.
    pub ring_drops: Cell,
    /// Channels that went to another input.
    pub input_switches: Cell,
    /// Control messages waiting for room in the mesh, now.
    pub control_delayed: Cell,
    /// Skips of slow viewers, by [`SkipReason`].
    pub skips: [Cell; 4],
    /// Connections ended for a fault, by [`Failure`].
    pub failures: [Cell; 8],
    /// TLS connections open now.
    pub tls_connections: Cell,
    /// TLS handshakes that came to their end.
    pub tls_handshakes: Cell,
    /// Those among them that resumed a session.
    pub tls_resumed: Cell,
    /// Those among them by which HTTP/2 was agreed on.
    pub http2_connections: Cell,
    /// 1 when the kernel encrypts them once they are established.
    pub tls_kernel: Cell,
    /// Times that a handshake waited for the next turn (`tls.handshake_budget_us`).
    pub tls_deferred: Cell,
    /// TLS connections that ended for a fault, and handshakes that came to none, by [`Refusal`].
    pub tls_refusals: [Cell; 7],
    /// Media messages left out because they could not be read.
    pub malformed_tags: Cell,
    /// RTMP calls that were answered with an error because nobody knows them.
    pub unknown_calls: Cell,
    /// Smoothed busy share in thousandths.
    pub busy_permille: Cell,
    /// Flush interval chosen, in microseconds.
    pub flush_interval_us: Cell,
    /// Bytes of segments in egress logs.
    pub log_bytes: Cell,
    /// Bytes of HLS segments of the streams that the core owns.
    pub hls_bytes: Cell,
    /// HLS windows of these that are shortened now, because memory is short.
    pub hls_shortened: Cell,
    /// Log lines lost because the control thread was behind.
    pub log_lines_lost: Cell,
    /// Turns of the core's tick: stands still when the core does.
    pub heartbeat: Cell,
}

impl CoreStats {
    /// Counts a skip.
    pub fn count_skip(&self, reason: SkipReason) {
        self.skips[reason as usize].add(1);
    }

    /// Counts a fault.
    pub fn count_failure(&self, failure: Failure) {
        self.failures[failure as usize].add(1);
    }

    /// Counts a TLS fault.
    pub fn count_refusal(&self, refusal: Refusal) {
        self.tls_refusals[refusal as usize].add(1);
    }
}
