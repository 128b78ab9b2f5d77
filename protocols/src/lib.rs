//! How a peer talks: sans-IO sessions of every protocol, in one folder each.
#![forbid(unsafe_code)]

pub mod hls;
pub mod http;
pub mod rtmp;
pub mod session;
pub mod ts_tcp;

pub use session::{Millis, Session};
