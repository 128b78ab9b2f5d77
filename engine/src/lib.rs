//! The engine of corelay: cores, sockets, streams, applications.
//!
//! # The data path
//!
//! 1. A connection is accepted by one core and stays there ([`shard`]). When it is ready, the core's loop
//!    reads it into the core's one buffer and hands the bytes to its protocol's session through a driver
//!    ([`driver`]).
//! 2. A publisher's messages or packets become access units.
//! 3. The core that owns the stream ([`hub::StreamKey::owner`]) puts them on the stream's timeline, and
//!    keeps what a late joiner needs. If that is another core, they go there by the [`mesh`].
//! 4. The owner hands each unit to every core with viewers of the stream, itself included: one ring slot
//!    and one reference count per core.
//! 5. There it is muxed once for each form in use ([`hub::Egress`]) and appended to that form's log.
//! 6. A flush sends each viewer what it has not got: one gathered `sendmsg` from its place in the log to
//!    the edge.
//!
//! For HLS the owner packages the stream itself, once ([`hub::hls`]): segments that share the publisher's
//! bytes go to the cores that serve them by reference, and leave as responses of HTTP. A viewer by TLS reads
//! the same log through its connection, which encrypts what it sends ([`net::tls`]).
//!
//! With V viewers, C cores with viewers and K forms in use, a unit costs C x K muxings, C ring slots, and
//! V system calls per flush: nothing else depends on V.
//!
//! # Beside it
//!
//! The control thread ([`control`]) serves the API and metrics, writes the log, and watches the cores.
//! [`Server`] puts all of it together; [`app::Application`] is where other code decides who may do what.

pub mod app;
pub mod banner;
pub mod channel;
mod clock;
pub mod control;
pub mod driver;
pub mod hub;
pub mod limits;
pub mod log;
pub mod logging;
pub mod mesh;
pub mod net;
pub mod preflight;
pub mod probe;
pub mod rt;
mod server;
pub mod shard;
pub mod stats;

pub use clock::{Clock, Micros};
pub use server::{Server, ServerBuilder, StartError};
