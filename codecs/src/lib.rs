//! What the bits mean: access units, codecs, containers and the AMF value format.
//!
//! Nothing here knows a clock, a socket or a runtime: bytes and times come in as arguments.
//!
//! Invariants
//! - No function panics on what a peer sent; every parser returns an error that says who is at fault.
//! - Payloads are [`bytes::Bytes`] slices of the buffer they arrived in; a parser never copies them.
#![forbid(unsafe_code)]

pub mod access_unit;
pub mod amf;
pub mod chunk;
pub mod codec;
pub mod container;
pub mod id3;
pub mod scte35;
pub mod sink;
pub mod teletext;
pub mod ts_block;
pub mod webvtt;

pub use access_unit::{
    AccessUnit, FlvBody, Timestamp, TrackFilter, TrackId, TrackInfo, TrackKind, UnitKind,
};
pub use chunk::Chunk;
pub use codec::CodecId;
pub use sink::ByteSink;
pub use ts_block::TsBlock;
