//! The time between things that must come again.

/// Watches one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    last_us: u64,
    /// Longest in this window, and in the one before.
    window_max_us: u64,
    max_us: u64,
    /// The error of the present absence is counted.
    is_reported: bool,
}

impl Interval {
    /// Begins to watch: what does not come within the limit from here on is missing.
    pub(super) fn new(now_us: u64) -> Self {
        Self { last_us: now_us, window_max_us: 0, max_us: 0, is_reported: false }
    }

    /// It came; the interval when that is longer than `limit_us` and was not reported.
    pub(super) fn seen(&mut self, now_us: u64, limit_us: u64) -> Option<u64> {
        let interval_us = now_us.saturating_sub(self.last_us);
        self.window_max_us = self.window_max_us.max(interval_us);
        self.last_us = now_us;
        let was_reported = std::mem::take(&mut self.is_reported);
        (interval_us > limit_us && !was_reported).then_some(interval_us)
    }

    /// Looks whether it is missing.
    pub(super) fn check(&mut self, now_us: u64, limit_us: u64) -> Absence {
        let absent_us = now_us.saturating_sub(self.last_us);
        if absent_us <= limit_us {
            return Absence::None;
        }
        self.window_max_us = self.window_max_us.max(absent_us);
        match std::mem::replace(&mut self.is_reported, true) {
            false => Absence::New(absent_us),
            true => Absence::GoesOn,
        }
    }

    /// Longest interval of the last window, in us.
    pub(super) fn max_us(&self) -> u64 {
        self.max_us
    }

    pub(super) fn end_window(&mut self) {
        self.max_us = std::mem::take(&mut self.window_max_us);
    }
}

/// What [`Interval::check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    None,
    /// Too long, in us, and not reported before.
    New(u64),
    /// Too long still.
    GoesOn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_reported_once_whether_it_ends_or_not() {
        let mut interval = Interval::new(0);
        assert_eq!(interval.seen(500, 500), None);
        assert_eq!(interval.seen(1_001, 500), Some(501));
        assert_eq!(interval.check(1_501, 500), Absence::None);
        assert_eq!(interval.check(1_502, 500), Absence::New(501));
        assert_eq!(interval.check(9_000, 500), Absence::GoesOn);
        assert_eq!(interval.seen(9_001, 500), None, "reported already");
        assert_eq!(interval.seen(9_602, 500), Some(601));
        interval.end_window();
        assert_eq!(interval.max_us(), 8_000);
        interval.end_window();
        assert_eq!(interval.max_us(), 0);
        assert_eq!(interval.seen(3, 500), None, "time that goes back is no interval");
    }
}
