//! The socket of an output, through everything that happens to it.
//!
//! Invariants
//! - A fault is told once, and its end when datagrams leave again.

use std::net::SocketAddr;

use super::OutputEvent;
use super::events::Events;
use crate::clock::Micros;
use crate::net::Backoff;
use crate::net::udp::{Outgoing, OutputCounters, Stop, UdpOutput, UdpTarget};

/// Datagrams that were not sent, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputDrops {
    /// The send buffer was full.
    pub full: u64,
    /// The interface's queue was full.
    pub no_buffers: u64,
    /// There was no socket to send on.
    pub lost: u64,
}

/// Why datagrams were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Full,
    NoBuffers,
    Lost,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Port {
    target: UdpTarget,
    backoff: Backoff,
    socket: Option<UdpOutput>,
    retry_at: Option<Micros>,
    /// Why nothing can be sent, if it should be; until something was.
    why: Option<String>,
    /// Of the sockets before.
    counters: OutputCounters,
    drops: OutputDrops,
    openings: u64,
}

impl Port {
    pub(super) fn new(target: UdpTarget, backoff: Backoff) -> Self {
        Self {
            target,
            backoff,
            socket: None,
            retry_at: None,
            why: None,
            counters: OutputCounters::default(),
            drops: OutputDrops::default(),
            openings: 0,
        }
    }

    /// Opens the socket, or keeps trying.
    pub(super) fn open(&mut self, now: Micros, events: &mut Events) {
        self.retry_at = None;
        match UdpOutput::open(&self.target) {
            Ok(socket) => {
                self.openings += 1;
                let local = socket.local_address();
                self.socket = Some(socket);
                // After a fault it is well when something was sent.
                if self.why.is_none() {
                    self.backoff.succeeded(now);
                    events.push(OutputEvent::Opened { local });
                }
            }
            Err(error) => self.fail(error.to_string(), now, events),
        }
    }

    /// Closes it until [`open`](Self::open) is called again.
    pub(super) fn close(&mut self) {
        self.drop_socket();
        (self.retry_at, self.why) = (None, None);
    }

    /// Opens it again if it is time.
    pub(super) fn retry_if_due(&mut self, now: Micros, events: &mut Events) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.open(now, events);
        }
    }

    /// Sends what the kernel takes at once: how many, and why not the others.
    pub(super) fn send(
        &mut self,
        datagrams: &[Outgoing<'_>],
        now: Micros,
        events: &mut Events,
    ) -> (usize, Option<Cause>) {
        let Some(socket) = &mut self.socket else { return (0, Some(Cause::Lost)) };
        let sent = socket.send(datagrams);
        if sent.datagrams > 0 && self.why.take().is_some() {
            self.backoff.succeeded(now);
            events.push(OutputEvent::Opened { local: socket.local_address() });
        }
        let cause = sent.stop.map(|stop| match stop {
            Stop::Full => Cause::Full,
            Stop::NoBuffers => Cause::NoBuffers,
            Stop::Failed(error) => {
                self.fail(format!("cannot send: {error}"), now, events);
                Cause::Lost
            }
        });
        (sent.datagrams, cause)
    }

    /// Counts datagrams that are given up.
    pub(super) fn drop_datagrams(&mut self, count: usize, cause: Cause) {
        let counter = match cause {
            Cause::Full => &mut self.drops.full,
            Cause::NoBuffers => &mut self.drops.no_buffers,
            Cause::Lost => &mut self.drops.lost,
        };
        *counter += count as u64;
    }

    pub(super) fn retry_at(&self) -> Option<Micros> {
        self.retry_at
    }

    pub(super) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    pub(super) fn drops(&self) -> OutputDrops {
        self.drops
    }

    pub(super) fn openings(&self) -> u64 {
        self.openings
    }

    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.socket.as_ref().map(UdpOutput::local_address)
    }

    pub(super) fn counters(&self) -> OutputCounters {
        let now = self.socket.as_ref().map(UdpOutput::counters).unwrap_or_default();
        sum(self.counters, now)
    }

    /// Closes it, and tries again.
    fn fail(&mut self, why: String, now: Micros, events: &mut Events) {
        self.drop_socket();
        if self.why.is_none() {
            events.push(OutputEvent::Lost(why.clone()));
        }
        self.why = Some(why);
        self.retry_at = Some(self.backoff.next(now));
    }

    fn drop_socket(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.counters = sum(self.counters, socket.counters());
        }
    }
}

fn sum(one: OutputCounters, other: OutputCounters) -> OutputCounters {
    OutputCounters {
        messages: one.messages + other.messages,
        datagrams: one.datagrams + other.datagrams,
        bytes: one.bytes + other.bytes,
        full: one.full + other.full,
        no_buffers: one.no_buffers + other.no_buffers,
        refused: one.refused + other.refused,
    }
}
