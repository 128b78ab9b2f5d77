//! Fuzz targets of corelay-codecs. Each is a plain function, so that `tests/fuzz_replay.rs` runs
//! the corpora in the ordinary test run; `cargo +nightly fuzz run NAME` searches on from there.

pub mod targets;
