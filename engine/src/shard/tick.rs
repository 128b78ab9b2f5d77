//! What a core does as time passes: timeouts, waits, its own load.

use super::Shard;
use crate::clock::Micros;
use crate::hub::ConnectionId;
use crate::rt;
use crate::stats::Failure;

/// Measures how busy the core's thread is.
#[derive(Debug, Default)]
pub(super) struct BusyMeter {
    since: Micros,
    cpu_us: u64,
    spun_us: u64,
}

impl BusyMeter {
    /// The thread's share of CPU time since the last answer, once per window.
    /// `spun_us` is the CPU time that the core has spent looking for work, since it started.
    fn sample(&mut self, now: Micros, spun_us: u64) -> Option<f64> {
        let wall = now.since(self.since);
        if wall < WINDOW_US {
            return None;
        }
        let cpu = rt::thread_cpu_us();
        let worked = cpu.saturating_sub(self.cpu_us).saturating_sub(spun_us - self.spun_us);
        let share = worked as f64 / wall as f64;
        (self.since, self.cpu_us, self.spun_us) = (now, cpu, spun_us);
        Some(share)
    }
}

impl Shard {
    /// One tick.
    pub(super) fn tick(&mut self, now: Micros, spun_us: u64) {
        self.stats.heartbeat.add(1);
        if let Some(share) = self.busy.sample(now, spun_us) {
            self.hub.set_busy(share);
        }
        let mut due: Vec<(Micros, ConnectionId)> = Vec::new();
        self.wheel.turn(now, &mut due);
        for (at, id) in due {
            if self.connection(id).is_some_and(|connection| connection.timer_at == Some(at)) {
                self.time_out(id, now);
            }
        }
        if now.since(self.idle_swept) >= WINDOW_US {
            self.idle_swept = now;
            self.hub.sweep_idle(now);
        }
        self.read_at_leisure(now);
        self.tick_channels(now);
    }

    /// Looks at a connection whose entry in the wheel has fired.
    fn time_out(&mut self, id: ConnectionId, now: Micros) {
        let Some(connection) = self.connection(id) else { return };
        connection.timer_at = None;
        if connection.deadline().is_some_and(|at| at <= now) {
            let write_timeout_ms = connection.write_timeout_ms;
            let stuck =
                connection.blocked.is_some_and(|since| now.millis_since(since) >= write_timeout_ms);
            if connection.closing.is_some() {
                return self.enqueue(id);
            }
            if stuck {
                let why =
                    format!("its socket took nothing for {write_timeout_ms} ms (write_timeout_ms)");
                self.close(id, super::Ending::Fault(Failure::Timeout, why), now);
                if let Some(closing) = self.connection(id).and_then(|c| c.closing.as_mut()) {
                    closing.until = now;
                }
                return;
            }
            if connection.handshake_by.is_some() {
                return self.handshake_timed_out(id, now);
            }
            self.with_driver(id, now, |driver, context| driver.handle_timeout(context));
            self.hand_over_notices(now);
            self.settle_connection(id, now);
        }
        self.schedule(id);
    }
}

/// Window of the busy share, and interval of the idle sweep.
const WINDOW_US: u64 = 100_000;
