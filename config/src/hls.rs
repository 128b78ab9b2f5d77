//! `[hls]`: HTTP Live Streaming.

use std::path::PathBuf;

use serde::Serialize;

use crate::document::quoted;
use crate::section::Section;
use crate::{bytes, optional};

mod group;

pub use group::HlsGroup;

/// How streams are packaged for HTTP Live Streaming, and how long that is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hls {
    /// Whether playlists are served by the listeners of `[http]`.
    pub enabled: bool,
    /// The container of segments where a request names none.
    pub form: HlsForm,
    /// Whether every playlist has the parts of segments; otherwise those that were asked for with
    /// `?low_latency`. Not with `key`, unless
    /// `encryption` is `sample-aes`.
    pub low_latency: bool,
    /// The target length of a segment: it ends with the first random-access point from there on.
    /// Milliseconds, 500 to 60000, at most `segment_ms_max`.
    pub segment_ms: u32,
    /// A segment ends here without a random-access point. Milliseconds, 500 to 60000.
    pub segment_ms_max: u32,
    /// The longest part of a segment. Milliseconds, 200 to 2000, at most `segment_ms`.
    pub part_ms: u32,
    /// Segments that a playlist lists. 3 to 100000.
    pub window_segments: usize,
    /// Segments that are still served after they left the playlist. 0 to 100000.
    pub spare_segments: usize,
    /// Largest segment. Bytes, 1 MiB to 1 GiB, at least `rtmp.message_bytes_max`.
    #[serde(serialize_with = "bytes::serialize")]
    pub segment_bytes_max: usize,
    /// Whether streams are packaged from their start rather than from their first request.
    pub always_on: bool,
    /// How long a stream is packaged after its last request. Milliseconds, 0 to 3600000.
    pub linger_ms: u64,
    /// How long a request waits for the first segment of a stream. Milliseconds, 0 (not at all) to
    /// 60000.
    pub wait_ms: u64,
    /// A viewer session ends this long after its last request. Milliseconds, 1000 to 3600000.
    pub session_timeout_ms: u64,
    /// The file with the 16 bytes of the key that segments are encrypted with; `None` (`""` in the
    /// file): they are not.
    #[serde(serialize_with = "optional::serialize")]
    pub key: Option<PathBuf>,
    /// How they are encrypted. Without meaning without `key`.
    pub encryption: HlsEncryption,
    /// The URI of the key as playlists have it, visible ASCII without `"`; empty: the server serves
    /// it. Empty without `key`.
    pub key_uri: String,
    /// Every `[[hls.group]]`, in the order of the file; none has the `app` and `name` of another.
    #[serde(rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<HlsGroup>,
}

/// The container of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HlsForm {
    /// MPEG-TS, unless a codec of the stream has no place in it that players know.
    Auto,
    /// MPEG-TS.
    Ts,
    /// Fragmented MP4.
    Fmp4,
}

/// How segments are encrypted (METHOD of EXT-X-KEY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HlsEncryption {
    /// Whole segments.
    #[serde(rename = "aes-128")]
    Aes128,
    /// The frames in them.
    SampleAes,
}

impl Hls {
    pub(crate) fn read(section: &mut Section<'_>) -> Hls {
        const FORM: [(&str, HlsForm); 3] =
            [("auto", HlsForm::Auto), ("ts", HlsForm::Ts), ("fmp4", HlsForm::Fmp4)];
        const ENCRYPTION: [(&str, HlsEncryption); 2] =
            [("aes-128", HlsEncryption::Aes128), ("sample-aes", HlsEncryption::SampleAes)];
        const KEY: &str = "write the path of a file of 16 bytes, or \"\" to encrypt nothing";
        Hls {
            enabled: section.boolean("enabled"),
            form: section.choice("form", FORM),
            low_latency: section.boolean("low_latency"),
            segment_ms: section.integer("segment_ms", 500..=60_000),
            segment_ms_max: section.integer("segment_ms_max", 500..=60_000),
            part_ms: section.integer("part_ms", 200..=2_000),
            window_segments: section.integer("window_segments", 3..=100_000),
            spare_segments: section.integer("spare_segments", 0..=100_000),
            segment_bytes_max: section.bytes("segment_bytes_max", 1 << 20..=1 << 30),
            always_on: section.boolean("always_on"),
            linger_ms: section.integer("linger_ms", 0..=3_600_000),
            wait_ms: section.integer("wait_ms", 0..=60_000),
            session_timeout_ms: section.integer("session_timeout_ms", 1_000..=3_600_000),
            key: optional::path(section, "key", KEY),
            encryption: section.choice("encryption", ENCRYPTION),
            key_uri: key_uri(section),
            groups: HlsGroup::read_list(section),
        }
    }
}

/// Reads what goes into a quoted string of a playlist as it is (RFC 8216 4.2).
fn key_uri(section: &mut Section<'_>) -> String {
    const REMEDY: &str =
        "write a URL, as in \"https://keys.example.net/news\", or \"\" to let the server serve it";
    let Some(value) = section.value("key_uri") else { return String::new() };
    let Some(text) = value.text(REMEDY) else { return String::new() };
    if !text.chars().all(|c| c.is_ascii_graphic() && c != '"') {
        value.reject(format!("{} is not a URL", quoted(text)), REMEDY);
    }
    text.to_owned()
}
