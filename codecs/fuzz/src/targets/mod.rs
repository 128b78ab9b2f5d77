//! One file per target: `run` takes the fuzzer's bytes and panics when a promise is broken.

pub mod codec_config;
pub mod flv_stream;
pub mod flv_tag;

/// A target: its name, which is also that of its corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the replay test runs them all.
pub const ALL: &[Target] = &[
    ("codec_config", codec_config::run),
    ("flv_stream", flv_stream::run),
    ("flv_tag", flv_tag::run),
];
