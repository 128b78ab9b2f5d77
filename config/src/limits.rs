//! `[limits]` and `[memory]`: what the whole server takes on.

use serde::Serialize;

use crate::bytes;
use crate::section::Section;

/// Ceilings of the whole server, all cores together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Client connections of all protocols. 1 to 10000000.
    pub connections_max: usize,
    /// Client connections from one IP address. 1 to 10000000.
    pub connections_per_ip_max: usize,
    /// Streams being published at once. 1 to 1000000.
    pub publishers_max: usize,
    /// Streams known at once, those included that viewers wait for. 1 to 1000000.
    pub streams_max: usize,
    /// How long a graceful stop may take. Milliseconds, 0 (at once) to 600000.
    pub stop_deadline_ms: u64,
}

/// Ceilings of memory pools.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Bytes of all egress logs of all cores together; above it every log sheds its share. 16 MiB
    /// to 1024 GiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub logs_bytes_max: usize,
}

impl Limits {
    pub(crate) fn read(section: &mut Section<'_>) -> Limits {
        Limits {
            connections_max: section.integer("connections_max", 1..=10_000_000),
            connections_per_ip_max: section.integer("connections_per_ip_max", 1..=10_000_000),
            publishers_max: section.integer("publishers_max", 1..=1_000_000),
            streams_max: section.integer("streams_max", 1..=1_000_000),
            stop_deadline_ms: section.integer("stop_deadline_ms", 0..=600_000),
        }
    }
}

impl Memory {
    pub(crate) fn read(section: &mut Section<'_>) -> Memory {
        Memory { logs_bytes_max: section.bytes("logs_bytes_max", 16 << 20..=1024 << 30) }
    }
}
