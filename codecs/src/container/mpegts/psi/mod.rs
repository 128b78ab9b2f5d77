//! Program specific and service information: ISO/IEC 13818-1 2.4.4 and 2.6, ETSI EN 300 468.
//!
//! - [`section`]: packets of one PID into sections, CRC checked.
//! - [`program`]: what PAT, PMT, CAT and SDT say, in types for people and for the demultiplexer.
//! - [`descriptor`]: descriptors by name.
//! - [`Tables`]: all of it for one transport stream: packets in, changes out.
//!
//! Invariants
//! - A table counts when all its sections of one version are there with a right CRC and
//!   current_next_indicator set.
//! - Memory is bounded by [`Limits`]; what exceeds them is a [`Fault`].

pub mod descriptor;
mod pat;
pub mod program;
pub mod section;
mod tables;

pub use descriptor::{Descriptor, TeletextPage};
pub use pat::programs_first;
pub use program::{Cat, EsFormat, EsInfo, Pat, PatEntry, Program, Service};
pub use section::{Section, SectionAssembler, SectionFault};
pub use tables::{Change, Fault, Limits, Tables};
