//! Sockets: listeners, receives and gathered sends, what a connection costs an address; TLS; datagrams.
//!
//! Invariants
//! - Every descriptor is non-blocking and close-on-exec from birth.

mod address_limit;
mod backoff;
mod connect;
mod listener;
mod stream;
mod tcp_info;
pub mod tls;
pub mod udp;

pub use address_limit::AddressLimit;
pub use backoff::Backoff;
pub use connect::{connect, finish_connect};
pub use listener::{Bound, ListenError, TcpOptions, accept, bind};
pub use stream::{receive, send, set_low_water, shut_output};
pub use tcp_info::{TcpInfo, tcp_info};
