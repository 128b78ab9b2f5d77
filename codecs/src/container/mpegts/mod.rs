//! MPEG transport streams: what IP-TV runs on.
//!
//! Specifications: ISO/IEC 13818-1 (packets, PES, PSI), ETSI EN 300 468 (service information),
//! ETSI TR 101 290 (measurement).
//!
//! - [`packet`]: a packet of 188 bytes, read in place; [`TsBlock`](crate::TsBlock) is a row of them.
//! - [`align`]: bytes in any pieces into packets: sync, 204-byte packets, garbage.
//! - [`psi`]: sections, PAT, PMT, SDT, CAT and their descriptors.
//! - [`pes`]: packetised elementary streams.
//! - [`timestamp`]: 33-bit times onto the 64-bit timeline.
//! - [`demux`]: packets into access units.
//! - [`mux`]: access units into packets.
//! - [`analysis`]: what is measured on every input and output.
//! - [`pace`]: packets out at the time that their PCR position says.
//! - [`scan`]: where a viewer may start, and the tables that it gets first.
//! - [`outline`]: what a packager must know of a stream that it does not open.
//! - [`splice`]: one stream out of several sources.
//! - [`filter`]: one program out of a multiplex.
//!
//! Tables and descriptors are parsed by libmpegts; the fuzz target ts_psi found nothing that makes
//! it panic. Not taken from it: the section assembler (it drops a section at a duplicate packet,
//! which is legal, and counts nothing), the packet view and PES (they are the hot path here, and
//! must say what is wrong).
//!
//! Invariants
//! - What arrives is never trusted: every fault is an event or a counter, memory is bounded by
//!   settings, and no input panics or loops.

pub mod align;
pub mod analysis;
mod choice;
pub mod demux;
pub mod error;
pub mod filter;
pub mod mux;
pub mod outline;
pub mod pace;
pub mod packet;
pub mod pes;
pub mod psi;
pub mod scan;
pub mod splice;
#[cfg(test)]
mod test_stream;
pub mod timestamp;

pub use error::Error;
pub use packet::{PACKET_SIZE, Packet, Pid};
