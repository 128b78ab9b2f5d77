//! One turn of a connection, and the end of every turn.

use std::io;

use super::connection::{Closing, Pumped};
use super::{Ending, Shard};
use crate::clock::Micros;
use crate::hub::{CloseReason, ConnectionId, Left, Notice};
use crate::net;
use crate::rt::Ready;
use crate::stats::Failure;

/// When the next turn must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is something left to do.
    Now,
    /// A flush is due at this time.
    At(Micros),
    /// The tick is soon enough.
    Tick,
}

impl Shard {
    /// Takes note of what a connection's socket is ready for.
    pub(super) fn note_ready(&mut self, id: ConnectionId, ready: Ready, now: Micros) {
        let Some(connection) = self.connection(id) else { return };
        connection.has_input |= ready.input;
        connection.ended |= ready.ended;
        if connection.connecting && ready.room {
            self.connected(id, now);
        }
        let Some(connection) = self.connection(id) else { return };
        if connection.blocked.is_some() && ready.room {
            self.pump(id, now);
        }
        self.enqueue(id);
    }

    /// An attempt to connect is over.
    fn connected(&mut self, id: ConnectionId, now: Micros) {
        let Some(connection) = self.connection(id) else { return };
        connection.connecting = false;
        match net::finish_connect(connection.fd()) {
            Ok(()) => self.with_driver(id, now, |driver, context| driver.connected(context)),
            Err(error) => {
                let why = format!("cannot connect to {}: {error}", connection.peer);
                self.close(id, Ending::Fault(Failure::Socket, why), now);
            }
        }
    }

    /// Serves every connection that has something to do.
    pub(super) fn serve_queue(&mut self, now: Micros) {
        self.secure.begin_turn(self.flush_left == Left::Now);
        // What is queued meanwhile is for the next turn.
        let count = self.queue.len();
        for at in 0..count {
            let id = self.queue[at];
            if let Some(connection) = self.connection(id) {
                connection.queued = false;
                self.serve(id, now);
            }
        }
        self.queue.drain(..count);
    }

    /// One turn of a connection: reads what there is, sends the answers.
    pub(super) fn serve(&mut self, id: ConnectionId, now: Micros) {
        self.read(id, now);
        if self.connection(id).is_some_and(|connection| connection.blocked.is_none()) {
            self.pump(id, now);
        }
        self.offer_to_kernel(id, now);
        self.schedule(id);
        self.settle_leisure(id);
        if self.is_over(id, now) {
            self.remove(id);
        } else if self.connection(id).is_some_and(|found| found.has_input && found.wants_input()) {
            self.enqueue(id);
        }
    }

    /// Reads what there is, up to as much as one turn may take.
    fn read(&mut self, id: ConnectionId, now: Micros) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connection(id) else { return };
            if !connection.has_input || !connection.wants_input() {
                return;
            }
            if connection.is_handshaking() && !self.secure.may_work() {
                return self.stats.tls_deferred.add(1);
            }
            let Some(connection) = self.connection(id) else { return };
            let fd = connection.fd();
            let mut scratch = std::mem::take(&mut self.scratch);
            let received = net::receive(fd, &mut scratch);
            if let Ok(bytes @ 1..) = received {
                self.stats.bytes_in.add(bytes as u64);
                self.take_input(id, &scratch[..bytes], now);
                // Its answers make room for more input, and the hub's answers may let it go on.
                self.hand_over_notices(now);
            }
            let size = scratch.len();
            self.scratch = scratch;
            let Some(connection) = self.connection(id) else { return };
            match received {
                // A buffer that was not filled has emptied the socket.
                Ok(bytes @ 1..) => connection.has_input = bytes == size || connection.ended,
                Ok(0) => return self.input_ended(id, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.has_input = false;
                }
                // A record that is no data: the kernel's TLS leaves it to us, and we end with it.
                Err(error) if connection.is_secure && error.raw_os_error() == Some(libc::EIO) => {
                    return self.input_ended(id, now);
                }
                Err(error) => {
                    let ending = match error.kind() {
                        io::ErrorKind::ConnectionReset => Ending::Peer,
                        _ => Ending::Fault(Failure::Socket, error.to_string()),
                    };
                    return self.close_at_once(id, ending, now);
                }
            }
        }
    }

    /// The peer sends no more. What is still for it may be read, if its protocol comes to an end so.
    pub(super) fn input_ended(&mut self, id: ConnectionId, now: Micros) {
        self.with_driver(id, now, |driver, context| driver.input_ended(context));
        let Some(connection) = self.connection(id) else { return };
        connection.has_input = false;
        if connection.outbox.is_empty() {
            self.close_at_once(id, Ending::Peer, now);
        }
    }

    fn close_at_once(&mut self, id: ConnectionId, ending: Ending, now: Micros) {
        self.close(id, ending, now);
        if let Some(connection) = self.connection(id) {
            connection.has_input = false;
            if let Some(closing) = connection.closing.as_mut() {
                closing.until = now;
            }
        }
    }

    /// Lets the input of a publisher that nobody watches gather in its socket, and takes it at once
    /// again when somebody does.
    fn settle_leisure(&mut self, id: ConnectionId) {
        if self.leisure_ms == 0 {
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        let at_leisure = connection.driver.reads_at_leisure() && connection.closing.is_none();
        if connection.at_leisure == at_leisure {
            return;
        }
        connection.at_leisure = at_leisure;
        net::set_low_water(connection.fd(), if at_leisure { LEISURE_BYTES } else { 1 });
        if at_leisure {
            self.at_leisure.push(id);
        } else {
            connection.has_input = true;
            self.enqueue(id);
        }
    }

    /// Reads the publishers that nobody watches, when it is time.
    pub(super) fn read_at_leisure(&mut self, now: Micros) {
        if self.at_leisure.is_empty() || now.millis_since(self.leisure_read) < self.leisure_ms {
            return;
        }
        self.leisure_read = now;
        let mut at_leisure = std::mem::take(&mut self.at_leisure);
        at_leisure.retain(|&id| {
            let Some(connection) = self.connection(id).filter(|found| found.at_leisure) else {
                return false;
            };
            connection.has_input = true;
            self.enqueue(id);
            true
        });
        self.at_leisure = at_leisure;
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
            Ok(Pumped::Drained | Pumped::Handshaking) => return,
            Ok(Pumped::Blocked) => return self.stats.blocked.add(1),
            Err(error) => {
                let ending = Ending::Fault(Failure::Socket, error.to_string());
                return self.close(id, ending, now);
            }
        }
        // Its own messages are out: plays that go through them may have more.
        self.with_driver(id, now, |driver, context| driver.drained(context));
        if self.connection(id).is_some_and(|connection| !connection.outbox.is_empty()) {
            self.pump(id, now);
        }
    }

    /// True when a connection that is being closed has nothing left to do.
    fn is_over(&mut self, id: ConnectionId, now: Micros) -> bool {
        let Some(connection) = self.connection(id) else { return false };
        let Some(closing) = connection.closing else { return false };
        let finished = closing.shut || connection.finish_output();
        if closing.until <= now {
            return true;
        }
        if finished && !closing.shut {
            // Unread input would turn the close into a reset, and the peer might lose our last words:
            // shut our side, and read until the peer closes too.
            connection.closing = Some(Closing { shut: true, ..closing });
            net::shut_output(connection.fd());
            connection.has_input = true;
            self.enqueue(id);
        }
        false
    }

    /// Ends a turn.
    pub(super) fn finish_turn(&mut self, now: Micros) {
        self.hand_over_notices(now);
        self.flush_left = self.hub.flush(now, Micros(now.0 + FLUSH_BUDGET_US));
        self.hand_over_notices(now);
        self.send_encrypted(now);
        if !self.secure.has_rest() {
            self.hub.connections_sent();
        }
        self.hub.ring_bells();
    }

    /// When the next turn must be: at once, or at a time, if there is nothing to do before.
    pub(super) fn next_turn(&self) -> Next {
        let channels = self.channels.next_due();
        match (self.flush_left, channels) {
            _ if !self.queue.is_empty() || self.channels.has_rest() => Next::Now,
            _ if self.secure.has_rest() => Next::Now,
            (Left::Now, _) => Next::Now,
            (Left::Until(flush), Some(channel)) => Next::At(flush.min(channel)),
            (Left::Until(due), None) | (Left::Nothing, Some(due)) => Next::At(due),
            (Left::Nothing, None) => Next::Tick,
        }
    }

    /// Tells connections what the hub has for them, until there is nothing more. Nobody sends before:
    /// a notice may let a connection ask for something whose first bytes come as another notice.
    pub(super) fn hand_over_notices(&mut self, now: Micros) {
        let mut touched = std::mem::take(&mut self.touched);
        for _ in 0..NOTICE_ROUNDS_MAX {
            let mut notices = self.hub.take_notices();
            for (id, notice) in notices.drain(..) {
                if matches!(notice, Notice::Sendable) {
                    self.note_sendable(id);
                    continue;
                }
                if touched.last() != Some(&id) && !id.is_channel() {
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
        if id.is_channel() {
            return self.tell_channel(id, notice, now);
        }
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
        self.enqueue(id);
    }

    fn describe_slow(&self, id: ConnectionId, skips: u32, window_ms: u64, now: Micros) -> String {
        let Some(connection) = self.connections.get(id.slot as usize) else { return String::new() };
        let seconds = (now.millis_since(connection.since) / 1_000).max(1);
        let acked = net::tcp_info(connection.fd()).map_or(0, |info| info.bytes_acked);
        format!(
            "the viewer skipped {skips} times in {window_ms} ms, more than skips_max; it took {} kbit/s",
            acked * 8 / 1_000 / seconds
        )
    }
}

/// Reads of one connection before others get their turn; at 128 KiB each, a megabyte.
const READS_PER_TURN: usize = 8;
/// Bytes that wake the core for a publisher that nobody watches, before its time has come.
const LEISURE_BYTES: usize = 64 << 10;
/// How long one turn may flush before sockets are looked at again; and how long it may encrypt.
pub(super) const FLUSH_BUDGET_US: u64 = 1_000;
/// Notices that answer notices settle in two or three rounds; a bound makes a bug visible, not fatal.
const NOTICE_ROUNDS_MAX: usize = 64;
