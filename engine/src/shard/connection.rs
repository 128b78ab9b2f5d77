//! One connection of a core: its socket's state, its protocol driver, what it has to send.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::outbox::Outbox;
use crate::clock::Micros;
use crate::driver::Driver;
use crate::hub::{ConnectionId, Delivery, Gather, Hub, SubscriberId};
use crate::net::{self, tls};
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
    /// What encrypts it; nothing when it is plain, or when the kernel does.
    pub tls: Option<Box<tls::Stream>>,
    /// It came by TLS.
    pub is_secure: bool,
    /// When its handshake must be over.
    pub handshake_by: Option<Micros>,
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
    /// It stands in the list of those that have something to encrypt.
    pub is_sendable: bool,
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
    /// Keys must be agreed on with the peer first.
    Handshaking,
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
            tls: None,
            is_secure: false,
            handshake_by: None,
            outbox: Outbox::default(),
            shared: None,
            connecting: false,
            has_input: false,
            ended: false,
            queued: false,
            is_sendable: false,
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
        if let Some(mut tls) = self.tls.take() {
            let pumped = self.pump_encrypted(&mut tls, hub, stats, now);
            self.tls = Some(tls);
            return pumped;
        }
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
                return Ok(self.pumped_in_part(hub, sent, now));
            }
        }
        Ok(self.pumped_all(hub))
    }

    /// The same through TLS: what is encrypted counts as sent, and waits here for its socket.
    fn pump_encrypted(
        &mut self,
        tls: &mut tls::Stream,
        hub: &mut Hub,
        stats: &CoreStats,
        now: Micros,
    ) -> io::Result<Pumped> {
        loop {
            if tls.has_output() {
                let sent = self.send_encrypted(tls)?;
                stats.bytes_out.add(sent as u64);
                if tls.has_output() {
                    return Ok(self.pumped_in_part(hub, sent, now));
                }
            }
            if tls.is_handshaking() {
                self.blocked = None;
                return Ok(Pumped::Handshaking);
            }
            let taken = {
                let slices = self.gather(hub);
                if slices.is_empty() { 0 } else { tls.encrypt(&slices) }
            };
            if taken == 0 {
                return Ok(self.pumped_all(hub));
            }
            self.sent(hub, taken);
        }
    }

    /// Sends what is encrypted, as much as the socket takes now.
    fn send_encrypted(&self, tls: &mut tls::Stream) -> io::Result<usize> {
        match tls.send(|slices| net::send(self.fd(), slices)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    fn pumped_in_part(&mut self, hub: &mut Hub, sent: usize, now: Micros) -> Pumped {
        if sent > 0 || self.blocked.is_none() {
            self.blocked = Some(now);
        }
        if let Some(shared) = self.shared {
            hub.set_blocked(shared, true);
        }
        Pumped::Blocked
    }

    fn pumped_all(&mut self, hub: &mut Hub) -> Pumped {
        self.blocked = None;
        if let Some(shared) = self.shared {
            hub.set_blocked(shared, false);
        }
        Pumped::Drained
    }

    /// Says on the way out that nothing more comes. True when all there was is with the kernel.
    pub fn finish_output(&mut self) -> bool {
        let Some(mut tls) = self.tls.take() else { return self.outbox.is_empty() };
        let is_sent = self.outbox.is_empty() && {
            tls.close();
            // A socket that has failed takes nothing any more.
            self.send_encrypted(&mut tls).is_err() || !tls.has_output()
        };
        self.tls = Some(tls);
        is_sent
    }

    /// How its plays get what they share with others.
    pub fn delivery(&self) -> Delivery {
        if self.tls.is_some() { Delivery::Encrypted } else { Delivery::Shared }
    }

    /// Keys are being agreed on with the peer.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
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
        let driver = match self.handshake_by {
            _ if self.closing.is_some() => None,
            // Its protocol has not begun.
            Some(by) => Some(by),
            None => self.driver.poll_timeout(),
        };
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
