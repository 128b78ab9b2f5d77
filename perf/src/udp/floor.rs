//! The floor of a datagram relay: it reads and sends, and looks at nothing.
//!
//! What a relay costs above this, at the same load, is what its own work costs.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::Context;
use socket2::SockAddr;

use super::Addresses;
use crate::sys::epoll::Epoll;
use crate::sys::udp::{self, DATAGRAM_BYTES, Incoming, Outgoing};
use crate::sys::{clock, threads};

/// What is relayed.
#[derive(Clone, Copy, Debug)]
pub struct FloorConfig {
    /// Where channels come in.
    pub from: Addresses,
    /// Where they go, in the same order.
    pub to: Addresses,
    /// How long.
    pub duration: Duration,
    /// The CPU to run on.
    pub cpu: Option<usize>,
}

/// Relays whole datagrams of seven packets until its time is over; others are left out.
///
/// # Errors
/// An address is taken, or the operating system refuses something.
pub fn run(config: &FloorConfig) -> anyhow::Result<()> {
    threads::raise_descriptor_limit();
    let _ = config.cpu.map(threads::pin_to);
    let mut epoll = Epoll::new()?;
    let mut relays = Vec::new();
    for (from, to) in config.from.iter().zip(config.to.iter()) {
        let input = udp::receiver(from, Ipv4Addr::LOCALHOST)
            .with_context(|| format!("cannot receive on {from}"))?;
        epoll.add(input.as_raw_fd(), relays.len())?;
        epoll.read_only(input.as_raw_fd(), relays.len())?;
        let output = udp::sender(to, Ipv4Addr::LOCALHOST)?;
        relays.push((input, output, SockAddr::from(to)));
    }
    println!("ready");
    let (mut incoming, mut outgoing) = (Incoming::new(), Outgoing::new());
    let end_us = clock::now_us().saturating_add(config.duration.as_micros() as u64);
    while clock::now_us() < end_us {
        for index in 0..epoll.wait(LOOK_AROUND_US)? {
            let relay = epoll.ready(index).and_then(|ready| relays.get(ready.token));
            let Some((input, output, to)) = relay else { continue };
            while incoming.receive(input.as_raw_fd())? > 0 {
                for (bytes, _) in incoming.iter() {
                    let whole = bytes.first_chunk::<DATAGRAM_BYTES>();
                    if let Some((room, bytes)) =
                        whole.and_then(|bytes| Some((outgoing.push(to)?, bytes)))
                    {
                        *room = *bytes;
                    }
                }
                outgoing.send(output.as_raw_fd());
            }
        }
    }
    Ok(())
}

/// How soon its end is noticed.
const LOOK_AROUND_US: u64 = 100_000;
