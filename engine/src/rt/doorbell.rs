//! The wake-up of a core by other threads: an eventfd that is written only while the core sleeps.
//!
//! Invariants
//! - A producer publishes its work before it calls [`Doorbell::ring`]; the core looks for work after
//!   [`Doorbell::about_to_sleep`] and before it waits. Both sides put a sequentially consistent fence
//!   between their store and their load, so at least one of them sees the other: no wake-up is lost.
//! - A busy core is never rung: `ring` is one load of a shared cache line.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use crossbeam::utils::CachePadded;
use glommio::io::BufferedFile;

use crate::mesh::SleepFlag;

/// The side that other threads hold.
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
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
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

    /// The side of the core that waits. Must be called on that core.
    ///
    /// # Errors
    /// The descriptor could not be duplicated.
    pub fn waiter(&self) -> io::Result<DoorbellWait> {
        let copy = self.inner.event.try_clone()?;
        // SAFETY: the duplicate is owned and moves into the file, which closes it on drop.
        let event = unsafe { BufferedFile::from_raw_fd(copy.into_raw_fd()) };
        Ok(DoorbellWait { inner: Arc::clone(&self.inner), event })
    }
}

/// The side that the woken core holds.
pub struct DoorbellWait {
    inner: Arc<Inner>,
    event: BufferedFile,
}

impl DoorbellWait {
    /// Says that the core will sleep unless it finds work now. Look for work after this call.
    pub fn about_to_sleep(&self) {
        self.inner.flag.set();
    }

    /// Says that the core is awake and need not be rung.
    pub fn awake(&self) {
        self.inner.flag.clear();
    }

    /// Waits for a ring.
    pub async fn wait(&self) {
        // An error would mean that the eventfd is gone, which its Arc excludes; treat it as a ring.
        let _ = self.event.read_at(0, 8).await;
    }
}
