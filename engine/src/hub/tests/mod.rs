//! The hubs of a few cores, with real sockets and a clock that the tests turn.

mod churn;
mod ends;
mod flushes;
mod hls;
mod joins;
mod lanes;
mod media;
mod memory;
mod native;
mod peer;
mod relay;
mod rig;
mod slow;
mod takeover;
mod tracks;
mod transport;
mod viewers;
mod wire;
