//! The memory that logs may use: one ceiling for all cores, and a pool of segments per core.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of one segment. Small enough that a log of a low-rate stream costs little, large enough that a
/// flush needs few iovecs.
pub const SEGMENT_BYTES: usize = 32 << 10;

/// One piece of a log.
pub type Segment = Box<[u8; SEGMENT_BYTES]>;

/// The ceiling over all logs and GOP caches of all cores, and what is used of it.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    used: AtomicU64,
    logs: AtomicUsize,
}

impl Budget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicU64::new(0), logs: AtomicUsize::new(0) })
    }

    /// Bytes used by all cores.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The ceiling.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// True when more is used than the ceiling allows: logs above their fair share must shrink.
    pub fn exceeded(&self) -> bool {
        self.used() > self.bytes_max
    }

    /// What every log may keep however many others there are.
    pub fn fair_share(&self) -> u64 {
        self.bytes_max / self.logs.load(Ordering::Relaxed).max(1) as u64
    }

    fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

/// A core's free segments, and its line to the budget.
#[derive(Clone, Debug)]
pub struct SegmentPool {
    budget: Arc<Budget>,
    free: Rc<RefCell<Vec<Segment>>>,
}

impl SegmentPool {
    /// An empty pool.
    pub fn new(budget: Arc<Budget>) -> Self {
        let free = Vec::with_capacity(SPARE_SEGMENTS_MAX);
        Self { budget, free: Rc::new(RefCell::new(free)) }
    }

    /// The ceiling that all cores share.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// A segment with arbitrary content, charged to the budget.
    pub fn take(&self) -> Segment {
        self.budget.charge(SEGMENT_BYTES);
        self.free.borrow_mut().pop().unwrap_or_else(|| {
            vec![0u8; SEGMENT_BYTES].into_boxed_slice().try_into().expect("made with that length")
        })
    }

    /// Gives a segment back.
    pub fn put(&self, segment: Segment) {
        self.budget.release(SEGMENT_BYTES);
        let mut free = self.free.borrow_mut();
        // A few spare segments make the steady state free of allocation; more would only hide memory.
        if free.len() < SPARE_SEGMENTS_MAX {
            free.push(segment);
        }
    }

    /// Counts a log in the fair share.
    pub fn log_opened(&self) {
        self.budget.logs.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a log out of the fair share.
    pub fn log_closed(&self) {
        self.budget.logs.fetch_sub(1, Ordering::Relaxed);
    }
}

const SPARE_SEGMENTS_MAX: usize = 64;

/// A charge on the budget that is not segments (a GOP cache); released when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// A charge of nothing.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// How much of `bytes_max` may be held now: all of it, or the fair share when memory is short.
    pub fn allowance(&self, bytes_max: usize) -> usize {
        if !self.budget.exceeded() {
            return bytes_max;
        }
        bytes_max.min(usize::try_from(self.budget.fair_share()).unwrap_or(usize::MAX))
    }

    /// The charge, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes the charge to `bytes`.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.charge(bytes - self.bytes);
        } else {
            self.budget.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_follows_what_is_kept_and_is_released_with_it() {
        let budget = Budget::new(1_000);
        let mut charge = Charge::new(Arc::clone(&budget));
        for bytes in [700, 1_200, 300] {
            charge.set(bytes);
            assert_eq!(budget.used(), bytes as u64);
            assert_eq!(budget.exceeded(), bytes > 1_000);
        }
        drop(charge);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_share_of_a_log_falls_as_logs_are_opened_and_never_divides_by_none() {
        let budget = Budget::new(1_000);
        let pool = SegmentPool::new(Arc::clone(&budget));
        assert_eq!(budget.fair_share(), 1_000);
        (0..4).for_each(|_| pool.log_opened());
        assert_eq!(budget.fair_share(), 250);
        (0..4).for_each(|_| pool.log_closed());
        assert_eq!(budget.fair_share(), 1_000);
    }

    #[test]
    fn segments_are_used_again_and_only_a_few_are_kept() {
        let budget = Budget::new(1 << 30);
        let pool = SegmentPool::new(Arc::clone(&budget));
        let taken: Vec<Segment> = (0..SPARE_SEGMENTS_MAX + 10).map(|_| pool.take()).collect();
        assert_eq!(budget.used(), (taken.len() * SEGMENT_BYTES) as u64);
        let address = taken[0].as_ptr();
        taken.into_iter().for_each(|segment| pool.put(segment));
        assert_eq!(budget.used(), 0);
        assert_eq!(pool.free.borrow().len(), SPARE_SEGMENTS_MAX);
        let again: Vec<Segment> = (0..SPARE_SEGMENTS_MAX).map(|_| pool.take()).collect();
        assert!(again.iter().any(|segment| segment.as_ptr() == address));
    }
}
