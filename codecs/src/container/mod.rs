//! Containers: how access units are wrapped in bytes.
//!
//! Each container is one folder with the same file names: `error` (who is at fault), `header` (the
//! wire layout), `demux` (bytes into access units) and `mux` (access units into bytes). Fragmented MP4 is
//! only written: `init`, `fragment`, `event`.
//!
//! To add a container: make its folder beside `flv`, name it below, and let it produce and take
//! [`AccessUnit`](crate::AccessUnit)s. Nothing else in this crate names a container.

pub mod flv;
pub mod fmp4;
pub mod mpegts;
pub mod rtp;
