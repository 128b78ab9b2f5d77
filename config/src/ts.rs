//! `[ts]`: transport streams over TCP.

use serde::Serialize;

use crate::bytes;
use crate::document::quoted;
use crate::listener::Listener;
use crate::section::{Section, Value};

/// Settings of publishers that send a transport stream over TCP.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ts {
    /// Where transport streams are accepted; empty: nowhere.
    pub listen: Vec<Listener>,
    /// The stream, `APP/NAME`, of a publisher that names none.
    pub stream: String,
    /// From accept to the first packet. Milliseconds, 100 to 600000.
    pub opening_timeout_ms: u64,
    /// Bytes without packets that are passed over. Bytes, 1 KiB to 1 GiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub unsynced_bytes_max: usize,
    /// The program taken out of a stream with several; 0: the first one. 0 to 65535.
    pub program_number: u16,
    /// Largest picture or audio frame. Bytes, 64 KiB to 64 MiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub access_unit_bytes_max: usize,
    /// Longest time between two clock references (PCR) of a transport stream that is made here.
    /// Milliseconds, 10 to 100.
    pub pcr_interval_ms: u32,
    /// Longest time between two PATs, and two PMTs, of such a stream. Milliseconds, 20 to 1000.
    pub tables_interval_ms: u32,
}

impl Ts {
    pub(crate) fn read(section: &mut Section<'_>) -> Ts {
        Ts {
            listen: Listener::read_list(section),
            stream: read_stream(section),
            opening_timeout_ms: section.integer("opening_timeout_ms", 100..=600_000),
            unsynced_bytes_max: section.bytes("unsynced_bytes_max", 1 << 10..=1 << 30),
            program_number: section.integer("program_number", 0..=65_535),
            access_unit_bytes_max: section.bytes("access_unit_bytes_max", 64 << 10..=64 << 20),
            pcr_interval_ms: section.integer("pcr_interval_ms", 10..=100),
            tables_interval_ms: section.integer("tables_interval_ms", 20..=1_000),
        }
    }
}

fn read_stream(section: &mut Section<'_>) -> String {
    let value = section.value("stream");
    let parts = value.and_then(|value| stream(&value, "write APP/NAME, as in \"live/ts\""));
    parts.map(|(app, name)| format!("{app}/{name}")).unwrap_or_default()
}

/// Reads the address of a stream, `APP/NAME`; the application may have slashes in it.
pub(crate) fn stream<'a>(value: &Value<'a>, remedy: &str) -> Option<(&'a str, &'a str)> {
    let text = value.text(remedy)?;
    let parts = text.rsplit_once('/').filter(|(app, name)| !app.is_empty() && !name.is_empty());
    if parts.is_none() || text.contains('?') || text.chars().any(char::is_control) {
        value.reject(format!("{} is not a stream", quoted(text)), remedy);
        return None;
    }
    parts
}
