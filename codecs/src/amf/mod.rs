//! AMF, the value format of RTMP commands and FLV script data.
//!
//! Specs: AMF 0 (Adobe, 2007); AMF 3 (Adobe, January 2013).
//!
//! Both formats share one [`Value`]; each encoder writes every variant, in the nearest form its format
//! has.
//!
//! Invariants
//! - Decoding is bounded by [`Limits`] in depth, in the number of values and in the bytes of text and
//!   data, references included: a reference is resolved by copying, and the copy is counted.
//! - No count or length of the input is believed before its bytes are there.
//! - A reference to a value that is still being read (a cycle) becomes [`Value::Cycle`]; it is never
//!   followed.
//! - Text is UTF-8 by the spec; other bytes are replaced by U+FFFD, since old encoders send the local
//!   code page in metadata and that must not cost them the connection.

pub mod amf0;
pub mod amf3;

mod error;
mod reader;
mod value;

pub use error::Error;
pub use value::{Object, Value};

/// How much one message may decode to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of objects and arrays, inclusive; a scalar has depth 0.
    pub depth_max: usize,
    /// Values in one message, nested ones and copies made by references included.
    pub values_max: usize,
    /// Bytes of text and byte arrays in one message, copies made by references included.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// Enough for every command and metadata of known clients: 32 levels, 10,000 values, 1 MiB.
    fn default() -> Self {
        Self { depth_max: 32, values_max: 10_000, bytes_max: 1 << 20 }
    }
}

#[cfg(test)]
mod tests;
