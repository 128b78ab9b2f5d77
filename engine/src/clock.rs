//! The engine's monotonic clock, read once per turn and passed down.

use std::time::{Instant as StdInstant, SystemTime};

use corelay_protocols::Millis;

/// Microseconds since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

impl Micros {
    /// Microseconds in `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// The protocol sessions' unit.
    pub const fn as_millis(self) -> Millis {
        Millis(self.0 / 1_000)
    }

    /// Microseconds since `earlier`; 0 if that is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds since `earlier`.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.since(earlier) / 1_000
    }

    /// The time `ms` milliseconds later.
    pub const fn after_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }
}

/// The clock: one origin, shared by all cores, so that times of different cores compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: StdInstant,
    /// The origin by the wall clock, in microseconds since 1970.
    origin_unix_us: u64,
}

impl Clock {
    /// A clock that reads 0 now.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { origin: StdInstant::now(), origin_unix_us: unix.as_micros() as u64 }
    }

    /// A time by the wall clock as it was when the server started, in microseconds since 1970: it never
    /// goes back, and does not follow corrections of the wall clock.
    pub fn unix_us(&self, at: Micros) -> u64 {
        self.origin_unix_us + at.0
    }

    /// Reads the clock.
    pub fn now(&self) -> Micros {
        Micros(self.origin.elapsed().as_micros() as u64)
    }
}
