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
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.addresses.leave(address);
    }

    /// Counts a publisher in; false when there are too many.
    pub fn publish(&self) -> bool {
        enter(&self.publishers, self.publishers_max)
    }

    /// Counts a publisher out.
    pub fn unpublish(&self) {
        self.publishers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn enter(count: &AtomicUsize, max: usize) -> bool {
    if count.fetch_add(1, Ordering::Relaxed) < max {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}
