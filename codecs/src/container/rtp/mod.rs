//! RTP: the header in front of media in datagrams.
//!
//! Specifications: RFC 3550 (header, receivers' statistics), RFC 2250 2 and RFC 3551 6 (transport
//! streams: payload type 33, a clock of 90 kHz, whole packets).
//!
//! - [`header`]: one packet read in place, and a header written.
//! - [`framing`]: whether a datagram is RTP or has transport stream packets alone.
//! - [`meter`]: what a receiver counts: lost, reordered, repeated; jitter.
//!
//! Invariants
//! - No input panics; nothing is allocated.

pub mod error;
pub mod framing;
pub mod header;
pub mod meter;

pub use error::Error;
pub use framing::Framing;
pub use header::{Header, MP2T_PAYLOAD_TYPE, Packet};
pub use meter::{Counters, Meter};
