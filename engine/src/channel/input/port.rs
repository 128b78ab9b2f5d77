//! The socket of a datagram input, through everything that happens to it: interfaces that go away and
//! come back, groups that are joined anew, silence.
//!
//! Invariants
//! - A fault is told once, however often it is tried to mend it.
//! - Interfaces are looked at only while nothing comes.

use std::io;
use std::os::fd::AsRawFd;

use super::InputEvent;
use super::events::Events;
use crate::clock::Micros;
use crate::net::Backoff;
use crate::net::udp::{InputCounters, SilenceWatch, UdpError, UdpInput, UdpSource};

/// See the module.
#[derive(Debug)]
pub(super) struct Port {
    source: UdpSource,
    rejoin_us: Option<u64>,
    backoff: Backoff,
    seed: u64,
    open: Option<Open>,
    /// When to open the socket, if it is closed and should not be.
    retry_at: Option<Micros>,
    /// Why it is closed, if it should not be.
    why: Option<String>,
    /// Of the sockets before.
    counters: InputCounters,
    /// Sockets opened so far.
    pub(super) openings: u64,
}

/// An open socket.
#[derive(Debug)]
struct Open {
    socket: UdpInput,
    since: Micros,
    rejoin_at: Option<Micros>,
    /// It was told that joining anew fails.
    is_rejoin_failing: bool,
    link_checked: Micros,
    /// What the interface had received when the present silence began.
    silence: Option<Silence>,
    is_silence_told: bool,
}

/// A silence that may become long enough to be told.
#[derive(Debug)]
struct Silence {
    watch: SilenceWatch,
    /// Datagrams so far that were no packets.
    foreign: u64,
}

impl Port {
    pub(super) fn new(source: UdpSource, rejoin_s: u32, backoff: Backoff, seed: u64) -> Self {
        let is_group = source.address.ip().is_multicast();
        let rejoin_us = (is_group && rejoin_s > 0).then(|| u64::from(rejoin_s) * 1_000_000);
        Self {
            source,
            rejoin_us,
            backoff,
            seed,
            open: None,
            retry_at: None,
            why: None,
            counters: InputCounters::default(),
            openings: 0,
        }
    }

    /// Opens the socket, or keeps trying.
    pub(super) fn open(&mut self, now: Micros, events: &mut Events) {
        if self.open.is_some() {
            return;
        }
        match UdpInput::open(&self.source) {
            Ok(socket) => {
                self.backoff.succeeded(now);
                (self.retry_at, self.why) = (None, None);
                self.openings += 1;
                let interface = socket.link().map(|link| link.name.clone());
                events.push(InputEvent::Opened { fd: socket.as_raw_fd(), interface });
                self.open = Some(Open {
                    rejoin_at: self.rejoin_us.map(|us| after(now, us / 2, us / 2, self.seed)),
                    is_rejoin_failing: false,
                    since: now,
                    link_checked: now,
                    silence: None,
                    is_silence_told: false,
                    socket,
                });
            }
            Err(error) => self.fail(error.to_string(), now, events),
        }
    }

    /// Closes it until [`open`](Self::open) is called again.
    pub(super) fn close(&mut self) {
        self.drop_socket();
        (self.retry_at, self.why) = (None, None);
    }

    /// The socket, while it is open.
    pub(super) fn socket(&mut self) -> Option<&mut UdpInput> {
        self.open.as_mut().map(|open| &mut open.socket)
    }

    /// The socket and since when it is open.
    pub(super) fn opened(&self) -> Option<(&UdpInput, Micros)> {
        self.open.as_ref().map(|open| (&open.socket, open.since))
    }

    /// A receive failed.
    pub(super) fn receive_failed(&mut self, error: &io::Error, now: Micros, events: &mut Events) {
        // Said once for each time that the interface goes down; the membership stays.
        if error.raw_os_error() != Some(libc::ENETDOWN) {
            self.fail(format!("cannot receive: {error}"), now, events);
        }
    }

    /// When the socket is to be opened again.
    pub(super) fn retry_at(&self) -> Option<Micros> {
        self.retry_at
    }

    /// Why it is closed although it should be open.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    pub(super) fn counters(&self) -> InputCounters {
        let now = self.open.as_ref().map(|open| open.socket.counters()).unwrap_or_default();
        sum(self.counters, now)
    }

    /// Looks after the socket. `last` is when the last packet came, `foreign` the number of datagrams that
    /// were none.
    pub(super) fn keep(
        &mut self,
        last: Option<Micros>,
        foreign: u64,
        now: Micros,
        events: &mut Events,
    ) {
        if self.retry_at.is_some_and(|at| at <= now) {
            return self.open(now, events);
        }
        let Some(open) = &mut self.open else { return };
        if let Err(error) = open.rejoin_if_due(self.rejoin_us, now, events) {
            return self.fail(error.to_string(), now, events);
        }
        let quiet_us = now.since(last.unwrap_or_default().max(open.since));
        if quiet_us < QUIET_US {
            (open.silence, open.is_silence_told) = (None, false);
            return;
        }
        if now.since(open.link_checked) >= LINK_INTERVAL_US {
            open.link_checked = now;
            if let Some(link) = open.socket.link().filter(|link| !link.is_present()) {
                let why = format!("interface {} has gone, or was replaced", link.name);
                return self.fail(why, now, events);
            }
        }
        // Inputs that fall silent together are not looked at all at once.
        let limit_us = after(Micros(SILENT_US), 0, SILENT_JITTER_US, self.seed).0;
        open.tell_silence(quiet_us, limit_us, foreign, events);
    }

    /// Closes it, and tries again.
    fn fail(&mut self, why: String, now: Micros, events: &mut Events) {
        self.drop_socket();
        if self.why.is_none() {
            events.push(InputEvent::Lost(why.clone()));
        }
        self.why = Some(why);
        self.retry_at = Some(self.backoff.next(now));
    }

    fn drop_socket(&mut self) {
        if let Some(open) = self.open.take() {
            self.counters = sum(self.counters, open.socket.counters());
        }
    }
}

impl Open {
    fn tell_silence(&mut self, quiet_us: u64, limit_us: u64, foreign: u64, events: &mut Events) {
        let begin = || Silence { watch: SilenceWatch::begin(&self.socket), foreign };
        let silence = self.silence.get_or_insert_with(begin);
        if quiet_us < limit_us || self.is_silence_told {
            return;
        }
        self.is_silence_told = true;
        let foreign = foreign.saturating_sub(silence.foreign);
        let text = if foreign > 0 {
            let to = self.socket.local_address();
            format!("{foreign} datagrams came to {to}, and none carries transport stream packets")
        } else {
            let (what, checks) = silence.watch.diagnosis(quiet_us / 1_000_000);
            format!("{what}; check {}", checks.join("; "))
        };
        events.push(InputEvent::Silent(text));
    }

    /// Errors are those after which the socket has to be opened anew.
    fn rejoin_if_due(
        &mut self,
        interval_us: Option<u64>,
        now: Micros,
        events: &mut Events,
    ) -> Result<(), UdpError> {
        let Some(interval_us) = interval_us else { return Ok(()) };
        if self.rejoin_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        self.rejoin_at = Some(Micros(now.0.saturating_add(interval_us)));
        match self.socket.rejoin() {
            Ok(()) => self.is_rejoin_failing = false,
            Err(
                error @ (UdpError::NoSuchInterface { .. } | UdpError::InterfaceReplaced { .. }),
            ) => {
                return Err(error);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_rejoin_failing, true) {
                    events.push(InputEvent::RejoinFailed(error.to_string()));
                }
            }
        }
        Ok(())
    }
}

/// `least_us` later, and up to `spread_us` more, by the seed.
fn after(now: Micros, least_us: u64, spread_us: u64, seed: u64) -> Micros {
    let part = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (spread_us + 1);
    Micros(now.0.saturating_add(least_us).saturating_add(part))
}

fn sum(one: InputCounters, other: InputCounters) -> InputCounters {
    InputCounters {
        messages: one.messages + other.messages,
        datagrams: one.datagrams + other.datagrams,
        bytes: one.bytes + other.bytes,
        kernel_drops: one.kernel_drops + other.kernel_drops,
    }
}

/// Less is no silence.
const QUIET_US: u64 = 1_000_000;
/// How often it is looked, in a silence, whether the interface is still there.
const LINK_INTERVAL_US: u64 = 1_000_000;
/// After so long, and up to so much longer, a silence is told: within 5 s with what the timer takes.
const SILENT_US: u64 = 4_000_000;
const SILENT_JITTER_US: u64 = 700_000;
