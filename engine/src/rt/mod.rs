//! The runtime: the only module that names glommio.
//!
//! Everything else speaks of cores, readiness, doorbells and ticks in our own words, so that the
//! reactor's traps (DESIGN section 6) are worked around in one place.
//!
//! Invariants
//! - Nothing here resolves names, and no glommio type leaves this module.

mod doorbell;
mod executor;
mod poller;

pub use doorbell::Doorbell;
pub use executor::{
    CoreHandle, CoreSpec, let_io_in, set_precise_timers, set_realtime, spawn_core, thread_cpu_us,
};
pub use poller::{Poller, Ready, Registry, Watch};
