//! TLS 1.2 (RFC 5246) and 1.3 (RFC 8446) of accepted connections, driven by hand: no socket, no clock.
//!
//! A [`Stream`] stands between a connection's socket and everything else: its protocol sees plain bytes,
//! and its viewers read the same logs as all others. What a viewer costs more is one encryption pass and
//! at most [`OUTPUT_BYTES_MAX`] of its ciphertext, as long as its socket is full.
//!
//! [`Acceptor`] holds what the connections of a listener share: settings, certificates, tickets;
//! [`Acceptors`] those of all listeners.
//! [`kernel`] hands an established connection to the kernel, where the kernel has that.
//!
//! Invariants
//! - Nothing is encrypted before the handshake is over, and nothing after our close_notify.
//! - What is encrypted is sent, in order: a viewer's place in the log moves with the encryption.
//! - New certificates count for new handshakes; connections never notice.
//! - A session is resumed under the authorities of clients under which it began, and no others.

mod acceptor;
mod acceptors;
mod certificates;
mod error;
pub mod kernel;
mod stream;
#[cfg(test)]
mod tests;
mod validity;

pub use acceptor::{Acceptor, Entrance, Settings, Spoken};
pub use acceptors::{Acceptors, SHARED, Shown};
pub use certificates::{Certificates, LoadError};
pub use error::{Error, Refusal};
pub use stream::{Handshake, OUTPUT_BYTES_MAX, Stream};
