//! RTP: the header in front of media in datagrams.
//!
//! Specifications: RFC 3550 (header, receivers' statistics), RFC 2250 2 and RFC 3551 6 (transport
//! streams: payload type 33, a clock of 90 kHz, whole packets).
//!
//! - [`header`]: one packet read in place, and a header written.
//! - [`framing`]: whether a datagram is RTP or has transport stream packets alone.
//! - [`meter`]: what a receiver counts: lost, reordered, repeated; jitter.
//! - [`reorder`]: payloads in the order in which they were sent.
//! - [`packetizer`]: the headers of a flow that is sent.
//!
//! Invariants
//! - No input panics; only [`reorder`] holds bytes, and only what its settings allow.

pub mod error;
pub mod framing;
pub mod header;
pub mod meter;
pub mod packetizer;
pub mod reorder;

pub use error::Error;
pub use framing::Framing;
pub use header::{Header, MP2T_PAYLOAD_TYPE, Packet};
pub use meter::{Counters, Meter};
pub use packetizer::{MP2T_CLOCK_HZ, Packetizer};
pub use reorder::{Reorder, ReorderCounters, ReorderSettings};
