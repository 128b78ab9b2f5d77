//! The wake-up of a core by other threads: an eventfd that is written only while the core sleeps.
//!
//! Invariants
//! - A producer publishes its work before it calls [`Doorbell::ring`]; the core looks for work after
//!   [`Doorbell::about_to_sleep`] and before it waits. Both sides put a sequentially consistent fence
//!   between their store and their load, so at least one of them sees the other: no wake-up is lost.
//! - A busy core is never rung: `ring` is one load of a shared cache line.
//! - The eventfd is never read: its [`Poller`](super::Poller) reports each write once.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crossbeam::utils::CachePadded;

use crate::mesh::SleepFlag;

/// See the module. Clones ring the same bell.
#[derive(Clone, Debug)]
pub struct Doorbell {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    event: OwnedFd,
    /// On a cache line of its own: every core reads it whenever it sends something.
    flag: CachePadded<SleepFlag>,
}

impl Doorbell {
    /// A doorbell that nobody waits at yet.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nothing else owns.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { inner: Arc::new(Inner { event, flag: CachePadded::default() }) })
    }

    /// Wakes the core if it sleeps. Call it after publishing the work.
    pub fn ring(&self) {
        if self.inner.flag.take_for_wake() {
            self.ring_always();
        }
    }

    /// Wakes the core whatever its flag says: the watchdog's way.
    pub fn ring_always(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: writes eight bytes from a live buffer; an eventfd takes exactly eight.
        unsafe { libc::write(self.inner.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// The core's side: it will sleep unless it finds work now. Look for work after this call.
    pub fn about_to_sleep(&self) {
        self.inner.flag.set();
    }

    /// The core's side: it is awake and need not be rung.
    pub fn awake(&self) {
        self.inner.flag.clear();
    }

    /// What the core's poller watches.
    pub fn fd(&self) -> RawFd {
        self.inner.event.as_raw_fd()
    }
}
