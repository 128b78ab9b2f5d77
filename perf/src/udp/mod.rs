//! Transport streams by UDP: a sender and a receiver of many channels, to put on any relay.
//!
//! [`Sending`] sends made-up [streams](stream) as encoders of constant rate do; [`Receiving`] counts
//! what came of them behind the relay: loss, order and identity by the [stamp] in each datagram, how
//! long they were under way, and how well they keep to the clock that the stream carries.
//!
//! How long a relay keeps datagrams is told from two legs of the same run: one through the relay,
//! and one channel that goes straight from the sender to the receiver. On either, the beginning is
//! the sender's stamp and the end is when the kernel took the datagram in at the receiver, so the
//! difference is the relay's own, and neither the sender's gathering nor the receiver's reading.
//!
//! Invariants
//! - Times are nanoseconds of `CLOCK_REALTIME`, in which the kernel stamps datagrams.
//! - Groups are joined and sent on one interface, the loopback interface unless it is named.
//! - Everything ends by itself.

mod channel;
pub mod clock_line;
pub mod floor;
mod receive;
mod send;
mod sequence;
pub mod stamp;
pub mod stream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use anyhow::Context;

pub use receive::{Leg, ReceiveConfig, ReceiveResult, Receiving};
pub use send::{SendConfig, SendResult, Sending};

/// The addresses of channels: consecutive ports of a unicast address, or consecutive groups with
/// one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    base: SocketAddr,
    count: u16,
}

impl Addresses {
    /// `count` of them, from `base` on.
    ///
    /// # Errors
    /// There are not as many ports or groups from there on.
    pub fn new(base: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let too_many = || format!("there are no {count} addresses from {base} on");
        let count = u16::try_from(count).ok().with_context(too_many)?;
        let addresses = Self { base, count };
        let last = count.checked_sub(1).and_then(|last| addresses.at(last));
        last.filter(|last| last.ip().is_multicast() == base.ip().is_multicast())
            .with_context(too_many)?;
        Ok(addresses)
    }

    /// `count` ports of the loopback address among `ports` that nobody holds now. Every process
    /// begins to look at another place, so that those that run at the same time do not take the same
    /// before they hold them.
    ///
    /// # Errors
    /// There are none.
    pub fn free(ports: Range<u16>, count: usize) -> anyhow::Result<Self> {
        let starts: Vec<u16> = ports.clone().step_by(count.max(1)).collect();
        let first = std::process::id() as usize % starts.len().max(1);
        let starts = starts.iter().cycle().skip(first).take(starts.len());
        starts
            .filter_map(|port| Self::new((Ipv4Addr::LOCALHOST, *port).into(), count).ok())
            .filter(|addresses| addresses.iter().all(|address| address.port() < ports.end))
            .find(|addresses| {
                let free = addresses.iter().map(std::net::UdpSocket::bind);
                free.collect::<Result<Vec<_>, _>>().is_ok()
            })
            .with_context(|| format!("there are no {count} free ports in a row in {ports:?}"))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.into()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let all = *self;
        (0..all.count).filter_map(move |number| all.at(number))
    }

    fn at(&self, number: u16) -> Option<SocketAddr> {
        let (ip, port) = (self.base.ip(), self.base.port());
        match ip {
            IpAddr::V4(group) if group.is_multicast() => {
                let group = u32::from(group).checked_add(number.into())?;
                Some(SocketAddr::new(Ipv4Addr::from(group).into(), port))
            }
            ip => Some(SocketAddr::new(ip, port.checked_add(number)?)),
        }
    }
}

/// A time in which something is measured, in nanoseconds of `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// From then on.
    pub opened_ns: u64,
    /// Until before then.
    pub closed_ns: u64,
}

impl Window {
    /// Whether a time lies in it.
    pub(crate) fn contains(self, at_ns: u64) -> bool {
        (self.opened_ns..self.closed_ns).contains(&at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn channels_have_consecutive_ports_or_consecutive_groups() {
        let all = |base: &str| -> Vec<String> {
            let addresses = Addresses::new(address(base), 3).unwrap();
            addresses.iter().map(|address| address.to_string()).collect()
        };
        assert_eq!(
            all("127.0.0.1:20000"),
            ["127.0.0.1:20000", "127.0.0.1:20001", "127.0.0.1:20002"]
        );
        assert_eq!(all("239.255.0.254:5000")[2], "239.255.1.0:5000");
        assert_eq!(all("[::1]:5000")[2], "[::1]:5002");
    }

    #[test]
    fn ports_and_groups_that_do_not_exist_are_refused() {
        assert!(Addresses::new(address("127.0.0.1:65534"), 3).is_err());
        assert!(Addresses::new(address("239.255.255.254:5000"), 3).is_err());
        assert!(Addresses::new(address("127.0.0.1:1"), 0).is_err());
        assert!(Addresses::new(address("127.0.0.1:1"), 70_000).is_err());
    }

    #[test]
    fn free_ports_are_not_those_that_somebody_holds() {
        let first = Addresses::free(19_000..19_012, 4).unwrap();
        let held = std::net::UdpSocket::bind(first.iter().nth(2).unwrap()).unwrap();
        let next = Addresses::free(19_000..19_012, 4).unwrap();
        assert!(next.iter().all(|address| address != held.local_addr().unwrap()));
        assert!(Addresses::free(19_000..19_003, 4).is_err());
    }
}
