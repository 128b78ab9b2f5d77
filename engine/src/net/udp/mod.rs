//! Datagram sockets for transport streams: groups and unicast, in ([`UdpInput`]) and out
//! ([`UdpOutput`]), many datagrams per system call.
//!
//! In: one `recvmmsg` takes up to [`BATCH`] messages, and with UDP GRO each may be a run of up to 64
//! datagrams. Out: one `sendmmsg`, with UDP GSO up to 64 datagrams a message. Where the kernel or the
//! device has neither, the same calls carry one datagram a message.
//!
//! Invariants
//! - An input hears its own group only: it is bound to the group's address, and the kernel's delivery
//!   of groups that other sockets have joined is off (IP_MULTICAST_ALL, IPV6_MULTICAST_ALL).
//! - Nothing is allocated after a socket was opened.
//! - Closing an input leaves its groups: the kernel does it with the last descriptor.

mod error;
mod inbox;
mod input;
mod link;
mod option;
mod output;
mod send;
mod silence;

pub use error::UdpError;
pub use inbox::{BATCH, Batch, Datagram, Inbox, Run};
pub use input::{InputCounters, UdpInput, UdpSource};
pub use link::Link;
pub use output::{OutputCounters, Sent, Stop, UdpOutput, UdpTarget};
pub use send::Outgoing;
pub use silence::SilenceWatch;

#[cfg(test)]
mod tests;
