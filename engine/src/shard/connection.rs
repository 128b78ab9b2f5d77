//! One connection of a core: its socket's state, its protocol driver, what it has to send.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::outbox::Outbox;
use crate::clock::Micros;
use crate::driver::Driver;
use crate::hub::{ConnectionId, Gather, Hub, SubscriberId};
use crate::net;
use crate::stats::{CoreStats, Failure};

/// See the module.
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The other side.
    pub peer: SocketAddr,
    /// Its socket.
    pub socket: OwnedFd,
    /// When it was accepted.
    pub since: Micros,
    /// Its protocol.
    pub driver: Driver,
    /// What it alone gets.
    pub outbox: Outbox,
    /// The play that is served straight from a log.
    pub shared: Option<SubscriberId>,
    /// The socket may have input.
    pub has_input: bool,
    /// We opened it, and it is not there yet.
    pub connecting: bool,
    /// The peer has ended: reading goes on until the socket says so.
    pub ended: bool,
    /// It stands in the list of those that have something to do.
    pub queued: bool,
    /// Its input waits for the tick: nobody watches what it publishes.
    pub at_leisure: bool,
    /// Its socket took less than there was, at the time given.
    pub blocked: Option<Micros>,
    /// It is being closed.
    pub closing: Option<Closing>,
    /// The earliest entry it has in the timer wheel.
    pub timer_at: Option<Micros>,
    /// How long its socket may take nothing, in milliseconds.
    pub write_timeout_ms: u64,
}

/// How far the closing of a connection is.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// When it ends whatever the peer does.
    pub until: Micros,
    /// Our side is shut: only the peer's end is awaited, so that it can read our last words.
    pub shut: bool,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer closed it.
    Peer,
    /// The protocol came to its end.
    Done(String),
    /// Something went wrong.
    Fault(Failure, String),
}

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Everything is with the kernel.
    Drained,
    /// The socket is full.
    Blocked,
}

impl Connection {
    /// A connection of which nothing is known yet. Its socket must be watched under the id given.
    pub fn new(
        id: ConnectionId,
        (socket, peer): (OwnedFd, SocketAddr),
        driver: Driver,
        write_timeout_ms: u64,
        now: Micros,
    ) -> Self {
        Self {
            id,
            peer,
            socket,
            since: now,
            driver,
            outbox: Outbox::default(),
            shared: None,
            connecting: false,
            has_input: false,
            ended: false,
            queued: false,
            at_leisure: false,
            blocked: None,
            closing: None,
            timer_at: None,
            write_timeout_ms,
        }
    }

    /// Sends what there is: the rest of a message in progress, then its own messages, then the log.
    ///
    /// # Errors
    /// The socket failed.
    pub fn pump(&mut self, hub: &mut Hub, stats: &CoreStats, now: Micros) -> io::Result<Pumped> {
        loop {
            let (sent, wanted) = {
                let slices = self.gather(hub);
                let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
                if wanted == 0 {
                    break;
                }
                match net::send(self.fd(), &slices) {
                    Ok(sent) => (sent, wanted),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, wanted),
                    Err(error) => return Err(error),
                }
            };
            self.sent(hub, sent);
            stats.bytes_out.add(sent as u64);
            if sent < wanted {
                if sent > 0 || self.blocked.is_none() {
                    self.blocked = Some(now);
                }
                if let Some(shared) = self.shared {
                    hub.set_blocked(shared, true);
                }
                return Ok(Pumped::Blocked);
            }
        }
        self.blocked = None;
        if let Some(shared) = self.shared {
            hub.set_blocked(shared, false);
        }
        Ok(Pumped::Drained)
    }

    /// What is to be sent, in order.
    pub fn gather<'a>(&'a self, hub: &'a Hub) -> Gather<'a> {
        let mut slices = Gather::new();
        if let Some(shared) = self.shared {
            hub.gather_rest(shared, &mut slices);
        }
        self.outbox.gather(SLICES_MAX, &mut slices);
        if let Some(shared) = self.shared.filter(|_| slices.len() < SLICES_MAX) {
            hub.gather_log(shared, &mut slices);
        }
        slices
    }

    /// Takes note of `sent` bytes of what [`Self::gather`] gave.
    pub fn sent(&mut self, hub: &mut Hub, sent: usize) {
        let rest = self.shared.map_or(0, |shared| hub.gather_rest(shared, &mut Gather::new()));
        let of_rest = sent.min(rest);
        let of_outbox = (sent - of_rest).min(self.outbox.len());
        let of_log = sent - of_rest - of_outbox;
        self.outbox.advance(of_outbox);
        if let Some(shared) = self.shared {
            for bytes in [of_rest, of_log] {
                if bytes > 0 {
                    hub.advance(shared, bytes);
                }
            }
        }
    }

    /// Input is read only while its answers find room.
    pub fn wants_input(&self) -> bool {
        match self.closing {
            Some(closing) => closing.shut,
            None => self.driver.wants_input() && self.outbox.len() < OUTBOX_PAUSE_BYTES,
        }
    }

    /// When the connection must be looked at next.
    pub fn deadline(&self) -> Option<Micros> {
        let driver = if self.closing.is_none() { self.driver.poll_timeout() } else { None };
        let write = self.blocked.map(|since| since.after_millis(self.write_timeout_ms));
        let closing = self.closing.map(|closing| closing.until);
        [driver, write, closing].into_iter().flatten().min()
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Slices of own messages in one send.
const SLICES_MAX: usize = 64;
/// A peer that asks and does not read is not read any more.
const OUTBOX_PAUSE_BYTES: usize = 256 << 10;
