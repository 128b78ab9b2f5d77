//! "This core is about to sleep": the flag that keeps a busy core from being rung.
//!
//! The sleeper stores the flag, then looks for work. A producer stores its work, then looks at the flag.
//! With a sequentially consistent fence between store and load on both sides, at least one of them sees
//! the other's store. `engine/loom` checks every interleaving.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Set while a core sleeps or is about to; cleared by whoever wakes it, so that it is rung once.
#[derive(Debug, Default)]
pub struct SleepFlag {
    asleep: AtomicBool,
}

impl SleepFlag {
    /// The core is about to sleep: it looks for work once more after this call.
    pub fn set(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The core is awake.
    pub fn clear(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// True when the caller, having published its work, must wake the core; at most one caller is told
    /// so for each sleep.
    pub fn take_for_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }
}
