//! When to flush: latency is bought with CPU, and a core buys as much of it as it can afford.
//!
//! A flush of every unit gives the least delay and the most system calls. As the core's busy share
//! rises, first audio waits for the next video frame, then the interval between flushes grows towards
//! the policy's maximum. Both fall back as the load does.

use crate::clock::Micros;

/// A policy's bounds of the time between two flushes of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushBounds {
    /// Kept even by an idle core.
    pub min: Micros,
    /// Never exceeded by the controller.
    pub max: Micros,
}

/// What one core has chosen; see the module.
#[derive(Clone, Debug, Default)]
pub struct Controller {
    /// Smoothed share of time in which the core was busy, 0.0 to 1.0.
    busy: f64,
    interval: Micros,
    audio_rides: bool,
}

impl Controller {
    /// Takes the busy share of the last window, and chooses anew.
    pub fn update(&mut self, busy_share: f64) {
        self.busy += (busy_share.clamp(0.0, 1.0) - self.busy) * SMOOTHING;
        if self.busy > RIDE_ABOVE {
            self.audio_rides = true;
        } else if self.busy < RIDE_BELOW {
            self.audio_rides = false;
        }
        if self.busy > GROW_ABOVE {
            self.interval = Micros((self.interval.0 * 3 / 2).clamp(STEP_MIN.0, INTERVAL_MAX.0));
        } else if self.busy < SHRINK_BELOW {
            let next = self.interval.0 * 4 / 5;
            self.interval = Micros(if next < STEP_MIN.0 { 0 } else { next });
        }
    }

    /// Smoothed busy share, 0.0 to 1.0.
    pub fn busy(&self) -> f64 {
        self.busy
    }

    /// The interval in force for a policy with these bounds.
    pub fn interval(&self, bounds: FlushBounds) -> Micros {
        self.interval.max(bounds.min).min(bounds.max.max(bounds.min))
    }

    /// When a log with something to send must be flushed.
    ///
    /// `closes_frame`: among what it has is a chunk that others wait for: video, or audio without video.
    pub fn due_at(&self, bounds: FlushBounds, log: Pending, closes_frame: bool) -> Micros {
        let interval = self.interval(bounds);
        if !closes_frame && (self.audio_rides || interval.0 > 0) {
            return Micros(log.oldest.0 + bounds.max.max(interval).0);
        }
        Micros((log.flushed.0 + interval.0).min(log.oldest.0 + bounds.max.0))
    }
}

/// What a log waits with.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// When its oldest unsent chunk was appended.
    pub oldest: Micros,
    /// When it was last flushed.
    pub flushed: Micros,
}

// A window is 100 ms: half a second to settle, without following single frames.
const SMOOTHING: f64 = 0.3;
const RIDE_ABOVE: f64 = 0.15;
const RIDE_BELOW: f64 = 0.06;
const GROW_ABOVE: f64 = 0.70;
const SHRINK_BELOW: f64 = 0.50;
const STEP_MIN: Micros = Micros(5_000);
const INTERVAL_MAX: Micros = Micros(1_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: FlushBounds = FlushBounds { min: Micros(0), max: Micros(40_000) };

    fn settle(controller: &mut Controller, busy: f64) {
        for _ in 0..50 {
            controller.update(busy);
        }
    }

    fn due(controller: &Controller, oldest: u64, flushed: u64, closes_frame: bool) -> bool {
        let now = Micros(1_000_000);
        let log = Pending { oldest: Micros(now.0 - oldest), flushed: Micros(now.0 - flushed) };
        controller.due_at(BOUNDS, log, closes_frame) <= now
    }

    #[test]
    fn an_idle_core_flushes_every_unit() {
        let controller = Controller::default();
        assert!(due(&controller, 0, 0, true));
        assert!(due(&controller, 0, 0, false));
    }

    #[test]
    fn audio_waits_for_video_on_a_loaded_core_but_not_for_ever() {
        let mut controller = Controller::default();
        settle(&mut controller, 0.3);
        assert!(due(&controller, 0, 1_000, true));
        assert!(!due(&controller, 10_000, 20_000, false));
        assert!(due(&controller, 40_000, 60_000, false));
        settle(&mut controller, 0.01);
        assert!(due(&controller, 0, 0, false));
    }

    #[test]
    fn the_interval_grows_under_load_up_to_the_maximum_and_falls_back() {
        let mut controller = Controller::default();
        settle(&mut controller, 0.9);
        assert_eq!(controller.interval(BOUNDS), BOUNDS.max);
        assert!(!due(&controller, 10_000, 20_000, true));
        assert!(due(&controller, 10_000, 40_000, true));
        settle(&mut controller, 0.2);
        assert_eq!(controller.interval(BOUNDS), Micros(0));
    }

    #[test]
    fn a_policys_minimum_is_kept_when_idle() {
        let controller = Controller::default();
        let bounds = FlushBounds { min: Micros(120_000), max: Micros(40_000) };
        assert_eq!(controller.interval(bounds), Micros(120_000));
    }
}
