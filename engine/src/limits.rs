//! Limits that all cores share, counted without locks.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::net::AddressLimit;
use crate::stats::Failure;

/// Counts what the whole server may have.
#[derive(Debug)]
pub struct Limits {
    connections_max: usize,
    publishers_max: usize,
    connections: AtomicUsize,
    publishers: AtomicUsize,
    addresses: AddressLimit,
}

impl Limits {
    /// The limits of the configuration.
    pub fn new(config: &corelay_config::Limits) -> Self {
        let per_address = u32::try_from(config.connections_per_ip_max).unwrap_or(u32::MAX);
        Self {
            connections_max: config.connections_max,
            publishers_max: config.publishers_max,
            connections: AtomicUsize::new(0),
            publishers: AtomicUsize::new(0),
            addresses: AddressLimit::new(per_address),
        }
    }

    /// Counts a connection in.
    ///
    /// # Errors
    /// Which limit stands against it; nothing is counted then.
    pub fn connect(&self, address: IpAddr) -> Result<(), Failure> {
        if !enter(&self.connections, self.connections_max) {
            return Err(Failure::TooManyConnections);
        }
        if !self.addresses.enter(address) {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::TooManyFromAddress);
        }
        Ok(())
    }

    /// Counts a connection out.
    pub fn disconnect(&self, address: IpAddr) {
        leave(&self.connections);
        self.addresses.leave(address);
    }

    /// Counts a publisher in; false when there are too many.
    pub fn publish(&self) -> bool {
        enter(&self.publishers, self.publishers_max)
    }

    /// Counts a publisher out.
    pub fn unpublish(&self) {
        leave(&self.publishers);
    }
}

/// Counts one out. A count that went below zero would shut everybody out: better one too many than that.
fn leave(count: &AtomicUsize) {
    let before = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    debug_assert!(before.is_ok(), "counted out what was not counted in");
}

fn enter(count: &AtomicUsize, max: usize) -> bool {
    if count.fetch_add(1, Ordering::Relaxed) < max {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_config::Config;

    #[test]
    fn each_limit_stands_until_somebody_leaves() {
        let mut config = Config::shipped().limits;
        (config.connections_max, config.connections_per_ip_max, config.publishers_max) = (3, 2, 1);
        let limits = Limits::new(&config);
        let [one, two]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        assert_eq!([limits.connect(one), limits.connect(one)], [Ok(()), Ok(())]);
        assert_eq!(limits.connect(one), Err(Failure::TooManyFromAddress));
        assert_eq!(limits.connect(two), Ok(()));
        assert_eq!(limits.connect(two), Err(Failure::TooManyConnections));
        limits.disconnect(one);
        assert_eq!(limits.connect(two), Ok(()));
        assert_eq!([limits.publish(), limits.publish()], [true, false]);
        limits.unpublish();
        assert!(limits.publish());
    }
}
