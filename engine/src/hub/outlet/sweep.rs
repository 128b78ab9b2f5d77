//! A sweep: one send to every viewer that is not up to date, in as many turns as it takes.

use super::{Notices, Outlet};
use crate::clock::{Clock, Micros};
use crate::hub::log::{EgressLog, Gather};
use crate::hub::message::{CloseReason, Notice};
use crate::hub::subscriber::{State, Subscriber};
use crate::net;

/// A sweep under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    /// The viewer it reaches next.
    pub(super) next: usize,
    /// The log's edge when it began: every viewer gets at least what is in front of it.
    edge: u64,
    /// Some viewers get what there is from their connections.
    by_connections: bool,
}

/// What one turn of a flush did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flushed {
    /// Bytes taken by sockets.
    pub bytes: u64,
    /// Sends made.
    pub sends: u64,
    /// The sweep reached every viewer.
    pub done: bool,
    /// When the oldest unit that this sweep sent was received from the publisher, once it is done.
    pub oldest_received: Option<Micros>,
    /// Some viewers get it from their connections, which were told of it (notices).
    pub by_connections: bool,
}

impl Outlet {
    /// True while a sweep has viewers left to reach.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Sends to every viewer what it has not got, until `deadline`. Call it again until it is done; what
    /// is appended meanwhile is pending afterwards.
    ///
    /// # Cost
    /// One gathered send per viewer that is not up to date; slices are gathered once for all viewers at
    /// the same place.
    ///
    /// A viewer that took less than there was becomes the business of its connection (a notice).
    pub fn flush(
        &mut self,
        clock: &Clock,
        now: Micros,
        deadline: Micros,
        notices: &mut Notices,
    ) -> Flushed {
        let mut flushed = Flushed::default();
        let mut sweep = self.sweep.take().unwrap_or_else(|| self.begin_sweep(now));
        let edge = self.log.edge();
        let (log, subscribers) = (&self.log, &mut self.subscribers);
        let (mut gathered_at, mut slices) = (None, Gather::new());
        while let Some(subscriber) = subscribers.get_mut(sweep.next) {
            if flushed.sends % SENDS_PER_CLOCK_READ == SENDS_PER_CLOCK_READ - 1
                && clock.now() > deadline
            {
                self.sweep = Some(sweep);
                return flushed;
            }
            sweep.next += 1;
            if subscriber.at == edge || !subscriber.is_ready() {
                if subscriber.at < edge {
                    let notice = by_connection(subscriber);
                    sweep.by_connections |= notice.is_some();
                    notices.extend(notice.map(|notice| (subscriber.connection, notice)));
                }
                continue;
            }
            if gathered_at != Some(subscriber.at) {
                slices.clear();
                log.gather(subscriber.at, edge, FLUSH_SLICES_MAX, &mut slices);
                gathered_at = Some(subscriber.at);
            }
            flushed.sends += 1;
            flushed.bytes += send_to(subscriber, log, &slices, edge, notices);
        }
        flushed.done = true;
        flushed.by_connections = sweep.by_connections;
        let from = self.flushed_to.max(self.log.tail());
        flushed.oldest_received = self.log.received_at(from).filter(|_| from < sweep.edge);
        self.flushed_to = sweep.edge;
        flushed
    }

    fn begin_sweep(&mut self, now: Micros) -> Sweep {
        self.flushed = now;
        self.unflushed_since = None;
        self.closes_frame = false;
        Sweep { next: 0, edge: self.log.edge(), by_connections: false }
    }
}

/// What a viewer's connection is told that sends for it.
fn by_connection(subscriber: &Subscriber) -> Option<Notice> {
    if subscriber.is_readable() {
        Some(Notice::Readable)
    } else if subscriber.is_encryptable() {
        Some(Notice::Sendable)
    } else {
        None
    }
}

/// Sends `slices`, which reach from the subscriber's place to `edge`.
fn send_to(
    subscriber: &mut Subscriber,
    log: &EgressLog,
    slices: &Gather<'_>,
    edge: u64,
    notices: &mut Notices,
) -> u64 {
    let sent = match net::send(subscriber.fd, slices) {
        Ok(sent) => sent as u64,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        Err(error) => {
            // No more sends to it; the connection detaches it when it hears of this.
            subscriber.held = true;
            let reason = CloseReason::SocketFailed(error.kind());
            notices.push((subscriber.connection, Notice::Close(reason)));
            return 0;
        }
    };
    subscriber.at += sent;
    subscriber.chunk_end = subscriber.at;
    if subscriber.at < edge {
        subscriber.chunk_end = log.chunk_end(subscriber.at);
        subscriber.state = State::Blocked;
        notices.push((subscriber.connection, Notice::Blocked));
    }
    sent
}

/// Slices of one send: 64 segments are 2 MiB, more than a socket takes at once.
pub(super) const FLUSH_SLICES_MAX: usize = 64;
/// A clock read costs about a hundredth of a send.
const SENDS_PER_CLOCK_READ: u64 = 16;
