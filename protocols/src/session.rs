//! The one contract of every protocol: bytes and times in, bytes and events out, no socket, no clock.
//!
//! The legal order of calls, after each input or timeout: drain `poll_event`, answering events that ask
//! for an answer; drain `poll_output` and send it in order; ask `poll_timeout` when to call
//! `handle_timeout` next.
//!
//! Invariants
//! - `handle_input` always consumes the whole slice, split anywhere by the transport.
//! - After an `Err` the session is finished: what `poll_output` still gives (an error reply) is sent,
//!   then the transport is closed.
//! - Events that ask for an answer may be answered later; events behind them stay queued in the session,
//!   so the driver simply stops polling events (and reading) until it can answer.

use bytes::Bytes;

/// Milliseconds on a monotonic clock of the caller's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl std::ops::Add<u64> for Millis {
    type Output = Self;
    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl std::ops::Sub for Millis {
    type Output = u64;
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A protocol session: one side of one connection.
pub trait Session {
    /// What the session tells its driver.
    type Event;
    /// Why the session ended.
    type Error: std::error::Error;

    /// Takes bytes from the peer.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit; the session is finished.
    fn handle_input(&mut self, now: Millis, input: &[u8]) -> Result<(), Self::Error>;

    /// Takes the passing of time; harmless when called early.
    ///
    /// # Errors
    /// A deadline of the protocol has passed; the session is finished.
    fn handle_timeout(&mut self, now: Millis) -> Result<(), Self::Error>;

    /// The next thing the driver must know, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The next bytes for the peer, whole protocol messages, in order.
    fn poll_output(&mut self) -> Option<Bytes>;

    /// When `handle_timeout` must be called at the latest; `None`: never.
    fn poll_timeout(&self) -> Option<Millis>;
}
