//! One file per target: `run` takes the fuzzer's bytes and panics when a promise is broken.

pub mod amf0;
pub mod amf3;
pub mod codec_config;
pub mod flv_stream;
pub mod flv_tag;

/// A target: its name, which is also that of its corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the replay test runs them all.
pub const ALL: &[Target] = &[
    ("amf0", amf0::run),
    ("amf3", amf3::run),
    ("codec_config", codec_config::run),
    ("flv_stream", flv_stream::run),
    ("flv_tag", flv_tag::run),
];
