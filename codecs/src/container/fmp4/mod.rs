//! Fragmented MP4, as HLS and CMAF want it: one initialisation segment, then fragments.
//!
//! Specifications: ISO/IEC 14496-12 (boxes), 23000-19 (CMAF), 23009-1 5.10.3.3 (event messages),
//! 23001-7 (encryption);
//! each codec's file says where its sample entry is specified.
//!
//! - [`init`]: what the tracks are, for a decoder to be set up.
//! - [`fragment`](mod@fragment): samples of all tracks over a span of time.
//! - [`event`]: timed metadata, in front of a fragment.
//! - [`protect`]: what is encrypted of the samples.
//!
//! Invariants
//! - Times are stream time: every track and event has a timescale of 90,000 Hz, and a decode time
//!   of 64 bits that does not wrap.
//! - Nothing in a fragment refers to another one: any row of fragments behind the initialisation
//!   segment is a file that plays.
//! - Payloads of pictures are not copied.

mod boxes;
pub mod error;
pub mod event;
pub mod fragment;
pub mod init;
pub mod protect;

pub use error::Error;
pub use event::{Event, event_message};
pub use fragment::{Sample, fragment};
pub use init::{Track, fits, init_segment};
pub use protect::{Protection, SUBSAMPLES_MAX, Subsample, Subsamples};

/// Ticks per second of every track and event: those of [`Timestamp`](crate::Timestamp).
pub const TIMESCALE_HZ: u32 = 90_000;
