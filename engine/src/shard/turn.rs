//! One turn of a connection, and the end of every turn.

use std::os::fd::RawFd;
use std::task::{Context as TaskContext, Poll};

use super::connection::Pumped;
use super::{Ending, Shard};
use crate::clock::Micros;
use crate::hub::{CloseReason, ConnectionId, Left, Notice};
use crate::net;
use crate::rt::Socket;
use crate::stats::Failure;

/// What a connection's task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The connection is over: drop the socket.
    End,
    /// There is more to read: come back after letting I/O in.
    LetIoIn,
}

impl Shard {
    /// One turn of a connection's task.
    pub(super) fn poll_connection(
        &mut self,
        id: ConnectionId,
        socket: &mut Socket,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Next> {
        let now = self.clock.now();
        let Some(connection) = self.connection(id) else { return Poll::Ready(Next::End) };
        if connection.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            connection.waker = Some(cx.waker().clone());
        }
        self.write_blocked(id, socket, cx, now);
        let more = self.read(id, socket, cx, now);
        if self.connection(id).is_some_and(|connection| connection.blocked.is_none()) {
            self.pump(id, now);
            // A socket that has just filled must be waited for.
            self.write_blocked(id, socket, cx, now);
        }
        self.schedule(id);
        let over = self.is_over(id, socket.fd(), now);
        self.finish_turn(now);
        match (over, more) {
            (true, _) => Poll::Ready(Next::End),
            (false, true) => Poll::Ready(Next::LetIoIn),
            (false, false) => Poll::Pending,
        }
    }

    /// Writes to a socket that was full, or waits for it.
    fn write_blocked(
        &mut self,
        id: ConnectionId,
        socket: &mut Socket,
        cx: &mut TaskContext<'_>,
        now: Micros,
    ) {
        loop {
            let Some(connection) = self.connections.get_mut(id.slot as usize) else { return };
            if connection.id != id || connection.blocked.is_none() {
                return;
            }
            let sent = {
                let slices = connection.gather(&self.hub);
                match slices.first() {
                    Some(first) => socket.poll_send(cx, first),
                    None => Poll::Ready(Ok(0)),
                }
            };
            match sent {
                Poll::Pending => return,
                Poll::Ready(Ok(sent)) => {
                    connection.sent(&mut self.hub, sent);
                    connection.blocked = Some(now);
                    self.stats.bytes_out.add(sent as u64);
                    self.pump(id, now);
                }
                Poll::Ready(Err(error)) => {
                    let ending = Ending::Fault(Failure::Socket, error.to_string());
                    self.close(id, ending, now);
                    return;
                }
            }
        }
    }

    /// Reads what there is. True when there may be more than one turn takes.
    fn read(
        &mut self,
        id: ConnectionId,
        socket: &mut Socket,
        cx: &mut TaskContext<'_>,
        now: Micros,
    ) -> bool {
        for _ in 0..READS_PER_TURN {
            if !self.connection(id).is_some_and(|connection| connection.wants_input()) {
                return false;
            }
            let mut scratch = std::mem::take(&mut self.scratch);
            let read = socket.poll_read(cx, &mut scratch);
            if let Poll::Ready(Ok(bytes @ 1..)) = read {
                self.stats.bytes_in.add(bytes as u64);
                self.with_driver(id, now, |driver, context| {
                    driver.handle_input(context, &scratch[..bytes])
                });
                // Its answers make room for more input, and the hub's answers may let it go on.
                self.hand_over_notices(now);
            }
            self.scratch = scratch;
            match read {
                Poll::Pending => return false,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => return self.input_ended(id, Ending::Peer, now),
                Poll::Ready(Err(error)) => {
                    let ending = match error.kind() {
                        std::io::ErrorKind::ConnectionReset => Ending::Peer,
                        _ => Ending::Fault(Failure::Socket, error.to_string()),
                    };
                    return self.input_ended(id, ending, now);
                }
            }
        }
        true
    }

    fn input_ended(&mut self, id: ConnectionId, ending: Ending, now: Micros) -> bool {
        self.close(id, ending, now);
        if let Some(closing) = self.connection(id).and_then(|found| found.closing.as_mut()) {
            closing.until = now;
        }
        false
    }

    /// Sends what a connection has, its share of the log included.
    pub(super) fn pump(&mut self, id: ConnectionId, now: Micros) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else { return };
        if connection.id != id {
            return;
        }
        let had_own = !connection.outbox.is_empty();
        match connection.pump(&mut self.hub, &self.stats, now) {
            Ok(Pumped::Drained) if had_own => {}
            Ok(Pumped::Drained) => return,
            Ok(Pumped::Blocked) => return self.stats.blocked.add(1),
            Err(error) => {
                let ending = Ending::Fault(Failure::Socket, error.to_string());
                return self.close(id, ending, now);
            }
        }
        // Its own messages are out: plays that go through them may have more.
        self.with_driver(id, now, |driver, context| {
            driver.drained(context);
            Ok(())
        });
        if self.connection(id).is_some_and(|connection| !connection.outbox.is_empty()) {
            self.pump(id, now);
        }
    }

    /// True when a connection that is being closed has nothing left to do.
    fn is_over(&mut self, id: ConnectionId, fd: RawFd, now: Micros) -> bool {
        let Some(connection) = self.connection(id) else { return true };
        let drained = connection.outbox.is_empty();
        let Some(closing) = connection.closing.as_mut() else { return false };
        if closing.until <= now {
            return true;
        }
        if drained && !closing.shut {
            // Unread input would turn the close into a reset, and the peer might lose our last words:
            // shut our side, and read until the peer closes too.
            closing.shut = true;
            net::shut_output(fd);
            connection.wake();
        }
        false
    }

    /// Ends a turn.
    pub(super) fn finish_turn(&mut self, now: Micros) {
        self.hand_over_notices(now);
        let left = self.hub.flush(now, Micros(now.0 + FLUSH_BUDGET_US));
        self.hand_over_notices(now);
        self.hub.ring_bells();
        self.flush_left = left == Left::Now;
        if let Some(flusher) = self.flusher.as_ref().filter(|_| self.flush_left) {
            flusher.wake_by_ref();
        }
    }

    /// Tells connections what the hub has for them, until there is nothing more. Nobody sends before:
    /// a notice may let a connection ask for something whose first bytes come as another notice.
    pub(super) fn hand_over_notices(&mut self, now: Micros) {
        let mut touched = std::mem::take(&mut self.touched);
        for _ in 0..NOTICE_ROUNDS_MAX {
            let mut notices = self.hub.take_notices();
            for (id, notice) in notices.drain(..) {
                if touched.last() != Some(&id) {
                    touched.push(id);
                }
                self.hand_over(id, notice, now);
            }
            self.hub.reuse_notices(notices);
            if self.hub.has_notices() {
                continue;
            }
            if touched.is_empty() {
                break;
            }
            for id in touched.drain(..) {
                self.settle_connection(id, now);
            }
        }
        self.touched = touched;
    }

    fn hand_over(&mut self, id: ConnectionId, notice: Notice, now: Micros) {
        match notice {
            Notice::Blocked => {
                self.stats.blocked.add(1);
                if let Some(connection) = self.connection(id) {
                    connection.blocked.get_or_insert(now);
                }
            }
            Notice::Close(CloseReason::SocketFailed(kind)) => {
                self.close(id, Ending::Fault(Failure::Socket, kind.to_string()), now);
            }
            Notice::Close(CloseReason::TooSlow { skips, window_ms }) => {
                let why = self.describe_slow(id, skips, window_ms, now);
                self.close(id, Ending::Fault(Failure::TooSlow, why), now);
            }
            // Also for a connection that is being closed: its last words follow a whole message.
            Notice::Rest(bytes) => {
                if let Some(connection) = self.connection(id) {
                    connection.outbox.push_rest(bytes);
                }
            }
            notice => {
                self.with_driver(id, now, |driver, cx| driver.handle_notice(cx, notice));
            }
        }
    }

    /// Sends what a notice or a timeout gave a connection, and lets its task see what has changed.
    pub(super) fn settle_connection(&mut self, id: ConnectionId, now: Micros) {
        self.schedule(id);
        if self.connection(id).is_some_and(|connection| connection.blocked.is_none()) {
            self.pump(id, now);
        }
        if let Some(connection) = self.connection(id) {
            connection.wake();
        }
    }

    fn describe_slow(&self, id: ConnectionId, skips: u32, window_ms: u64, now: Micros) -> String {
        let Some(connection) = self.connections.get(id.slot as usize) else { return String::new() };
        let seconds = (now.millis_since(connection.since) / 1_000).max(1);
        let acked = net::tcp_info(connection.fd).map_or(0, |info| info.bytes_acked);
        format!(
            "the viewer skipped {skips} times in {window_ms} ms, more than skips_max; it took {} kbit/s",
            acked * 8 / 1_000 / seconds
        )
    }
}

/// Reads of one connection before others get their turn; at 128 KiB each, a megabyte.
const READS_PER_TURN: usize = 8;
/// How long one turn may flush before the flusher goes on.
const FLUSH_BUDGET_US: u64 = 1_000;
/// Notices that answer notices settle in two or three rounds; a bound makes a bug visible, not fatal.
const NOTICE_ROUNDS_MAX: usize = 64;
