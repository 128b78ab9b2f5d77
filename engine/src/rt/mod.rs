//! The runtime: the only module that names glommio.
//!
//! Everything else speaks of executors, sockets, doorbells and ticks in our own words, so that the
//! reactor's traps (DESIGN section 6) are worked around in one place.
//!
//! Invariants
//! - Nothing here resolves names, and no glommio type leaves this module.
//! - A socket is closed by `shutdown(2)` before its descriptor is dropped, so that the FIN leaves at once.

mod doorbell;
mod executor;
mod socket;

pub use doorbell::{Doorbell, DoorbellWait};
pub use executor::{CoreHandle, CoreSpec, let_io_in, sleep, spawn, spawn_core, thread_cpu_us};
pub use socket::{Socket, readable_once};
