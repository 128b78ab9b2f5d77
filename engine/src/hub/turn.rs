//! What the hub does as time passes: flushes, the slow-viewer policy, waits that end.

use super::Hub;
use super::flush::FlushBounds;
use super::message::EndReason;
use super::outlet::MemoryLimit;
use crate::clock::Micros;

/// What a flush left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing that is due.
    Nothing,
    /// Logs that wait for their interval, the first of them until this time.
    Until(Micros),
    /// Viewers that were not reached before the deadline: go on after letting I/O in.
    Now,
}

impl Left {
    /// The same, and a log that waits until `due`.
    fn or_until(self, due: Micros) -> Self {
        match self {
            Self::Until(earlier) => Self::Until(earlier.min(due)),
            _ => Self::Until(due),
        }
    }
}

impl Hub {
    /// Flushes every log that is due, until `deadline`.
    pub fn flush(&mut self, now: Micros, deadline: Micros) -> Left {
        self.recall_deferred(now);
        while let Some(slot) = self.unflushed.pop_front() {
            match self.flush_replica(slot, now, deadline) {
                Left::Nothing => self.replicas[slot].unflushed = false,
                Left::Until(due) => {
                    self.replicas[slot].unflushed = false;
                    self.defer(slot, due);
                }
                Left::Now => {
                    self.unflushed.push_front(slot);
                    return Left::Now;
                }
            }
        }
        self.deferred.iter().map(|&(due, _)| due).min().map_or(Left::Nothing, Left::Until)
    }

    fn defer(&mut self, slot: usize, due: Micros) {
        match self.deferred.iter_mut().find(|(_, deferred)| *deferred == slot) {
            Some(entry) => entry.0 = due,
            None => self.deferred.push((due, slot)),
        }
    }

    /// Looks again at the logs whose interval is over.
    fn recall_deferred(&mut self, now: Micros) {
        let mut at = 0;
        while let Some(&(due, slot)) = self.deferred.get(at) {
            if due <= now {
                self.deferred.swap_remove(at);
                self.mark_unflushed(slot);
            } else {
                at += 1;
            }
        }
    }

    /// Flushes the due logs of one stream.
    pub(super) fn flush_replica(&mut self, slot: usize, now: Micros, deadline: Micros) -> Left {
        let forced = deadline == Micros(u64::MAX);
        let replica = &mut self.replicas[slot];
        let bounds = FlushBounds {
            min: Micros::from_millis(replica.policy.flush.min_ms),
            max: Micros::from_millis(replica.policy.flush.max_ms),
        };
        let mut left = Left::Nothing;
        for index in 0..replica.outlets().len() {
            let (outlet, side, policy) = replica.parts(index);
            loop {
                if !outlet.is_sweeping() {
                    let Some((pending, closes_frame)) = outlet.pending() else { break };
                    let due = self.controller.due_at(bounds, pending, closes_frame);
                    if !forced && now < due {
                        left = left.or_until(due);
                        break;
                    }
                }
                let flushed = outlet.flush(&self.clock, now, deadline, &mut self.notices);
                self.stats.sends.add(flushed.sends);
                self.stats.bytes_out.add(flushed.bytes);
                if !flushed.done {
                    return Left::Now;
                }
                if let Some(received) = flushed.oldest_received {
                    if flushed.sends > 0 {
                        self.latency_us.saturating_record(self.clock.now().since(received));
                    }
                    if flushed.by_connections && self.by_connections.len() < SAMPLES_MAX {
                        self.by_connections.push(received);
                    }
                }
                let memory = memory_limit(&self.pool, policy);
                let stats = &self.stats;
                outlet.enforce(policy, &side.prologue, now, memory, &mut self.notices, |reason| {
                    stats.count_skip(reason);
                });
            }
        }
        left
    }

    /// Hears that connections have sent what flushes left to them, by TLS for one, so that it counts as
    /// relayed now.
    pub fn connections_sent(&mut self) {
        if !self.by_connections.is_empty() {
            let now = self.clock.now();
            for received in self.by_connections.drain(..) {
                self.latency_us.saturating_record(now.since(received));
            }
        }
    }

    /// Ends waits that are over, and gives up what is not used; every 100 ms or so.
    pub fn sweep_idle(&mut self, now: Micros) {
        let replicas: Vec<usize> = self.replicas.iter().map(|(slot, _)| slot).collect();
        let mut log_bytes = 0;
        for slot in replicas {
            self.end_waiting(slot, now);
            if self.replicas[slot].settle_bridge(now, &mut self.notices) {
                self.mark_unflushed(slot);
            }
            self.enforce_replica(slot, now);
            self.drop_idle_outlets(slot, now);
            if !self.leave_if_due(slot, now) {
                let outlets = self.replicas[slot].outlets();
                log_bytes += outlets.iter().map(|o| o.log().memory_bytes()).sum::<u64>();
            }
        }
        self.stats.log_bytes.set(log_bytes);
        self.sweep_shelves(now);
        let over = |until: Option<Micros>| until.is_some_and(|until| until <= now);
        let streams: Vec<usize> = self.streams.iter().map(|(slot, _)| slot).collect();
        let (mut hls_bytes, mut hls_shortened) = (0, 0);
        for slot in streams {
            self.send_ends(slot);
            self.settle_packagings(slot, now);
            self.fit_packagings(slot);
            hls_bytes += self.streams[slot].packagings.bytes();
            hls_shortened += self.streams[slot].packagings.shortened();
            if over(self.streams[slot].grace_until()) {
                self.end_if_over(slot, now);
            }
        }
        self.stats.hls_bytes.set(hls_bytes as u64);
        self.stats.hls_shortened.set(hls_shortened as u64);
        self.settle(now);
    }

    /// Gives up egress forms that no viewer has used for the policy's `linger_ms`.
    fn drop_idle_outlets(&mut self, slot: usize, now: Micros) {
        while let Some(moved) = self.replicas[slot].drop_idle_outlet(now) {
            let Some(outlet) = self.replicas[slot].outlets().get(moved) else { continue };
            for subscriber in outlet.subscribers() {
                self.places[subscriber.id.slot as usize].outlet = moved;
            }
        }
    }

    /// Takes the busy share of the last window, 0.0 to 1.0.
    pub fn set_busy(&mut self, share: f64) {
        self.controller.update(share);
        self.stats.busy_permille.set((self.controller.busy() * 1_000.0) as u64);
        let policy = &self.config.applications.default.flush;
        let bounds = FlushBounds {
            min: Micros::from_millis(policy.min_ms),
            max: Micros::from_millis(policy.max_ms),
        };
        self.stats.flush_interval_us.set(self.controller.interval(bounds).0);
    }

    /// Refuses new publications, and sends everybody home.
    pub fn begin_stop(&mut self, now: Micros) {
        self.stopping = true;
        let replicas: Vec<usize> = self.replicas.iter().map(|(slot, _)| slot).collect();
        for slot in replicas {
            self.flush_replica(slot, now, Micros(u64::MAX));
            self.replicas[slot].end(now, &mut self.notices);
            self.end_viewers(slot, EndReason::Stopping, |_| true);
        }
        self.end_publications(EndReason::Stopping);
        self.settle(now);
    }

    /// Applies the slow-viewer policy where no flush does, because nothing is appended any more or all
    /// viewers are blocked.
    fn enforce_replica(&mut self, slot: usize, now: Micros) {
        let replica = &mut self.replicas[slot];
        let memory = memory_limit(&self.pool, &replica.policy);
        let stats = &self.stats;
        for index in 0..replica.outlets().len() {
            let (outlet, side, policy) = replica.parts(index);
            outlet.enforce(policy, &side.prologue, now, memory, &mut self.notices, |reason| {
                stats.count_skip(reason);
            });
        }
    }
}

/// Fair shedding: when all logs together are over the ceiling, none keeps more than its fair share.
fn memory_limit(pool: &super::SegmentPool, policy: &corelay_config::Policy) -> MemoryLimit {
    let budget = pool.budget();
    let is_short = budget.exceeded();
    let bytes_max = if is_short { budget.fair_share() } else { policy.log_bytes_max as u64 };
    MemoryLimit { bytes_max, is_short }
}

/// Flushes whose latency waits for connections. A core that has so many has been behind for seconds, and
/// has samples of that already.
const SAMPLES_MAX: usize = 4_096;
