//! The system calls, and with them all `unsafe` of this crate.

pub mod clock;
pub mod epoll;
pub mod process;
pub mod socket;
pub mod syscalls;
pub mod threads;
pub mod udp;
