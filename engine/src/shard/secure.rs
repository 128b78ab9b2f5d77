//! TLS on a core: handshakes within a budget, input in plain, viewers whose bytes are encrypted.
//!
//! Invariants
//! - A storm of connections takes `tls.handshake_budget_us` of a turn at most, and next to nothing of a
//!   turn whose flush is behind: whoever plays is served first.
//! - What is encrypted for viewers is bounded in time like a flush; the rest goes on in the next turn.

use std::collections::VecDeque;

use tracing::Level;

use super::turn::FLUSH_BUDGET_US;
use super::{Ending, Shard};
use crate::clock::Micros;
use crate::hub::ConnectionId;
use crate::net::tls::kernel::{TakeOver, take_over};
use crate::net::tls::{Error, Refusal};
use crate::stats::Failure;

/// What the TLS connections of a core share.
#[derive(Debug)]
pub(super) struct Secure {
    handshake_timeout_ms: u64,
    budget_us: u64,
    /// What this turn has left of it.
    left_us: u64,
    /// Where input is decrypted: a session takes all of it before the next one reads.
    plain: Vec<u8>,
    /// Viewers for whom the log has something, in the order in which they are served.
    sendable: VecDeque<ConnectionId>,
    /// Established connections go to the kernel.
    by_kernel: bool,
}

impl Secure {
    pub(super) fn new(tls: &corelay_config::Tls, by_kernel: bool) -> Self {
        Self {
            handshake_timeout_ms: tls.handshake_timeout_ms,
            budget_us: tls.handshake_budget_us,
            left_us: tls.handshake_budget_us,
            plain: Vec::new(),
            sendable: VecDeque::new(),
            by_kernel,
        }
    }

    /// Gives handshakes their time. `is_behind`: the last flush did not reach every viewer.
    pub(super) fn begin_turn(&mut self, is_behind: bool) {
        // One goes on even then: a storm ends sooner when some of it is served.
        self.left_us = if is_behind { 1 } else { self.budget_us };
    }

    /// There is time for a handshake in this turn.
    pub(super) fn may_work(&self) -> bool {
        self.left_us > 0
    }

    /// Viewers wait for the next turn.
    pub(super) fn has_rest(&self) -> bool {
        !self.sendable.is_empty()
    }

    /// When the handshake of a connection accepted at `now` must be over.
    pub(super) fn handshake_by(&self, now: Micros) -> Micros {
        now.after_millis(self.handshake_timeout_ms)
    }
}

impl Shard {
    /// Takes what a connection's socket has received, and hands it to its driver in plain.
    pub(super) fn take_input(&mut self, id: ConnectionId, input: &[u8], now: Micros) {
        let Some(connection) = self.connection(id) else { return };
        if connection.tls.is_none() {
            return self
                .with_driver(id, now, |driver, context| driver.handle_input(context, input));
        }
        if connection.closing.is_none() {
            let mut plain = std::mem::take(&mut self.secure.plain);
            plain.clear();
            let received = self.decrypt(id, input, &mut plain);
            if !plain.is_empty() {
                self.with_driver(id, now, |driver, context| driver.handle_input(context, &plain));
            }
            self.secure.plain = plain;
            match received {
                Ok(false) => {}
                Ok(true) => self.input_ended(id, now),
                Err(error) => {
                    self.stats.count_refusal(error.refusal());
                    self.close(id, Ending::Fault(Failure::Tls, error.to_string()), now);
                }
            }
        }
    }

    /// True when the peer says that it sends no more.
    fn decrypt(
        &mut self,
        id: ConnectionId,
        input: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else { return Ok(true) };
        let Some(tls) = connection.tls.as_mut() else { return Ok(true) };
        if !tls.is_handshaking() {
            return tls.receive(input, plain);
        }
        let began = self.clock.now();
        let received = tls.receive(input, plain);
        let worked_us = self.clock.now().since(began).max(1);
        self.secure.left_us = self.secure.left_us.saturating_sub(worked_us);
        if let Some(handshake) = tls.take_handshake() {
            connection.handshake_by = None;
            self.stats.tls_handshakes.add(1);
            self.stats.tls_resumed.add(u64::from(handshake.is_resumed));
            if handshake.is_http2 {
                self.stats.http2_connections.add(1);
                connection.driver = self.protocols.http2_driver(began);
            }
            self.logger.connection(Level::DEBUG, id, handshake.what);
        }
        received
    }

    /// A handshake has taken too long.
    pub(super) fn handshake_timed_out(&mut self, id: ConnectionId, now: Micros) {
        self.stats.count_refusal(Refusal::Timeout);
        let ms = self.secure.handshake_timeout_ms;
        let why = format!("no TLS handshake in {ms} ms (tls.handshake_timeout_ms)");
        self.close(id, Ending::Fault(Failure::Timeout, why), now);
    }

    /// The log has something for a viewer that is served through TLS.
    pub(super) fn note_sendable(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        if !std::mem::replace(&mut connection.is_sendable, true) {
            self.secure.sendable.push_back(id);
        }
    }

    /// Encrypts and sends what the log has for viewers, as long as one turn may.
    pub(super) fn send_encrypted(&mut self, now: Micros) {
        let deadline = Micros(now.0.max(self.clock.now().0) + FLUSH_BUDGET_US);
        while let Some(id) = self.secure.sendable.pop_front() {
            let Some(connection) = self.connection(id) else { continue };
            connection.is_sendable = false;
            if connection.blocked.is_none() {
                self.stats.sends.add(1);
                self.pump(id, now);
                // A deadline is new only where the socket is full.
                if self.connection(id).is_some_and(|connection| connection.blocked.is_some()) {
                    self.schedule(id);
                }
            }
            if self.clock.now() >= deadline {
                return;
            }
        }
    }

    /// Gives a connection that is established and quiet to the kernel, where that is wanted.
    pub(super) fn offer_to_kernel(&mut self, id: ConnectionId, now: Micros) {
        if !self.secure.by_kernel {
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        let fd = connection.fd();
        let is_ready = |tls: &mut Box<_>| crate::net::tls::Stream::is_between_records(tls);
        let Some(tls) = connection.tls.take_if(is_ready) else { return };
        match take_over(fd, tls) {
            TakeOver::Done => {
                self.logger.connection(Level::DEBUG, id, "TLS by the kernel".to_owned())
            }
            TakeOver::Not(tls) => connection.tls = Some(tls),
            TakeOver::Failed(error) => {
                let why = format!("the kernel does not take the keys: {error}");
                self.close(id, Ending::Fault(Failure::Tls, why), now);
            }
        }
    }
}
