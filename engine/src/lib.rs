//! corelay's engine.
pub mod app;
pub mod banner;
pub mod clock;
pub mod control;
pub mod driver;
pub mod hub;
pub mod limits;
pub mod log;
pub mod logging;
pub mod mesh;
pub mod net;
pub mod preflight;
pub mod rt;
pub mod server;
pub mod shard;
pub mod stats;

pub use server::{Server, ServerBuilder, StartError};
