//! Connections per client address, counted without a lock by all cores.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A counting sketch of two rows: an address is over the limit only when its counters in both rows are,
/// so a stranger is refused by mistake only where two seeded hashes collide with busy addresses at once.
#[derive(Debug)]
pub struct AddressLimit {
    connections_max: u32,
    rows: [Row; 2],
}

#[derive(Debug)]
struct Row {
    hasher: RandomState,
    counters: Box<[AtomicU32]>,
}

impl AddressLimit {
    /// A limit of `connections_max` per IPv4 address or IPv6 /64 network; 0 is no limit.
    pub fn new(connections_max: u32) -> Self {
        let row = || Row {
            hasher: RandomState::new(),
            counters: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect(),
        };
        Self { connections_max, rows: [row(), row()] }
    }

    /// Counts a connection in. False, and nothing counted, when the address has too many.
    pub fn enter(&self, address: IpAddr) -> bool {
        let key = network(address);
        let counts =
            self.rows.each_ref().map(|row| row.counter(key).fetch_add(1, Ordering::Relaxed));
        let over =
            self.connections_max > 0 && counts.iter().all(|&before| before >= self.connections_max);
        if over {
            self.leave(address);
        }
        !over
    }

    /// Counts a connection out.
    pub fn leave(&self, address: IpAddr) {
        let key = network(address);
        for row in &self.rows {
            row.counter(key).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Row {
    fn counter(&self, key: u64) -> &AtomicU32 {
        &self.counters[self.hasher.hash_one(key) as usize % COUNTERS]
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64, which one client can fill by itself.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}

const COUNTERS: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_an_address_and_not_for_others() {
        let limit = AddressLimit::new(3);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!([0; 5].map(|_| limit.enter(one)), [true, true, true, false, false]);
        for host in 0..200u8 {
            assert!(limit.enter(IpAddr::from([198, 51, 100, host])), "{host}");
        }
        limit.leave(one);
        assert!(limit.enter(one));
        assert!(!limit.enter(one));
        assert!(
            !limit.enter("::ffff:192.0.2.1".parse().unwrap()),
            "the mapped form is the same host"
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = AddressLimit::new(0);
        assert!((0..10_000).all(|_| limit.enter("192.0.2.1".parse().unwrap())));
    }
}
