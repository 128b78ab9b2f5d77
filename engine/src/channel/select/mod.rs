//! Which input of a channel is on air: decides, and does nothing itself.
//!
//! - [`Health`]: what is known of an input; [`Why`]: what is wrong with it.
//! - [`Selector`]: healths in, a [`Decision`] out.
//!
//! Inputs stand in order of preference. While the one on air has no fault, only a preferred one that was
//! good for `return_ms` takes its place. When it has a fault, the best of the others does, if it is
//! better: a good one at once; one that is not good only for one that is worse. An input that is only
//! impaired (counter errors, bit rate) is left for one that did not fail within the hold-down, so that
//! two inputs that are bad in turn do not make the channel flap.
//!
//! Invariants
//! - No clock, no socket: time is an argument.
//! - With one input there is nothing to decide, and no switch.
//! - A switch for a fault goes to a better input; a switch by preference goes to one that was good for
//!   the whole of `return_ms`.

mod health;
#[cfg(test)]
mod tests;

use corelay_config::Failover;

use crate::clock::Micros;
use health::{Rank, hold_ms, silence_since};

pub use health::{Health, Table, Why};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Stay on the input that is on air. A switch that was under way is called off.
    Stay,
    /// Switch at the first entry point of the other input, at the latest at the time given.
    Switch {
        /// Index of the input to go to.
        to: usize,
        /// What is wrong with the one on air.
        why: Why,
        /// When to switch without an entry point.
        at_entry_until: Micros,
    },
}

/// Decides: [`decide`](Self::decide) at [`next_due`](Self::next_due) or more often; the answer holds
/// until the next one. [`switched`](Self::switched) when its switch was made.
#[derive(Debug)]
pub struct Selector {
    failover: Failover,
    records: Vec<Record>,
    current: usize,
    current_since: Micros,
    is_current_at_fault: bool,
    pending: Option<Pending>,
    due: Micros,
}

/// What is remembered of an input.
#[derive(Clone, Copy, Debug)]
struct Record {
    rank: Rank,
    /// Good without a break since then.
    good_since: Option<Micros>,
    /// It was good, failed, and was not good for the hold-down since.
    has_failed: bool,
}

/// A switch that waits for an entry point.
#[derive(Clone, Copy, Debug)]
struct Pending {
    to: usize,
    why: Why,
    until: Micros,
}

impl Selector {
    /// A selector that begins with the first of `inputs`.
    pub fn new(inputs: usize, failover: Failover, now: Micros) -> Self {
        let record = Record { rank: Rank::Silent, good_since: None, has_failed: false };
        Self {
            failover,
            records: vec![record; inputs],
            current: 0,
            current_since: now,
            is_current_at_fault: false,
            pending: None,
            due: now,
        }
    }

    /// Index of the input on air.
    pub fn current(&self) -> usize {
        self.current
    }

    /// When the input on air was switched to.
    pub fn current_since(&self) -> Micros {
        self.current_since
    }

    /// Looks at the inputs, one health for each in their order.
    ///
    /// Cost: some comparisons for each input, no allocation.
    pub fn decide(&mut self, inputs: &[Health], now: Micros) -> Decision {
        let Some(health) = inputs.get(self.current) else { return Decision::Stay };
        for (record, health) in self.records.iter_mut().zip(inputs) {
            record.note(health, &self.failover, now);
        }
        let fault = match health.last_packet {
            // It gets as long for its first packet as for any other.
            None => silence_since(self.current_since, &self.failover, now),
            Some(_) => health.fault(&self.failover, now),
        };
        self.is_current_at_fault = fault.is_some();
        let choice = match fault {
            Some(why) => self.refuge(now).map(|to| (to, why)),
            None => self.preferred(now),
        };
        self.pending = choice.map(|(to, why)| self.pending_switch(to, why, now));
        self.due = self.due_after(health, now);
        match self.pending {
            None => Decision::Stay,
            Some(Pending { to, why, until }) => Decision::Switch { to, why, at_entry_until: until },
        }
    }

    /// The channel was switched to an input.
    pub fn switched(&mut self, to: usize, now: Micros) {
        (self.current, self.current_since) = (to.min(self.records.len().saturating_sub(1)), now);
        (self.pending, self.is_current_at_fault) = (None, false);
        self.due = now;
    }

    /// When to decide next, at the latest.
    pub fn next_due(&self) -> Micros {
        self.due
    }

    /// With cold standby: whether an input must be open now. The preferred ones are watched for the way
    /// back, and all of them are tried while the one on air has a fault.
    pub fn wants_open(&self, input: usize) -> bool {
        input <= self.current || self.is_current_at_fault || self.is_going_to(input)
    }

    fn is_going_to(&self, input: usize) -> bool {
        self.pending.is_some_and(|pending| pending.to == input)
    }

    /// The best input that is better than the one on air.
    fn refuge(&self, now: Micros) -> Option<usize> {
        let rank = self.records.get(self.current)?.rank;
        let hold_ms = hold_ms(&self.failover);
        let others = self.records.iter().enumerate().filter(|&(index, record)| {
            let may_wait = rank == Rank::Impaired && !record.is_settled(hold_ms, now);
            index != self.current && record.rank > rank && !may_wait
        });
        // Of equal ones the last is the maximum, so the order is turned: the preferred one.
        let best = others.rev().max_by_key(|(_, one)| (one.rank, one.is_settled(hold_ms, now)));
        best.map(|(index, _)| index)
    }

    /// An input that is preferred to the one on air, and was good for long enough.
    fn preferred(&self, now: Micros) -> Option<(usize, Why)> {
        let return_ms = self.failover.return_ms;
        let good_ms = |record: &Record| Some(now.millis_since(record.good_since?));
        let mut preferred = self.records.iter().enumerate().take(self.current);
        preferred.find_map(|(index, record)| {
            let good_ms = good_ms(record).filter(|&ms| return_ms > 0 && ms >= return_ms)?;
            Some((index, Why::Preferred { good_ms }))
        })
    }

    /// The wait for an entry point begins once: not anew because another refuge became better.
    fn pending_switch(&self, to: usize, why: Why, now: Micros) -> Pending {
        let wait_ms = match why {
            Why::Preferred { .. } => self.failover.entry_wait_ms.max(RETURN_ENTRY_WAIT_MS),
            _ => self.failover.entry_wait_ms,
        };
        let mut until = now.after_millis(wait_ms);
        if let Some(pending) = self.pending
            && (pending.to == to || pending.why.is_fault() == why.is_fault())
        {
            until = until.min(pending.until);
        }
        Pending { to, why, until }
    }

    fn due_after(&self, health: &Health, now: Micros) -> Micros {
        let interval_ms = match self.is_current_at_fault || self.pending.is_some() {
            true => ALERT_INTERVAL_MS,
            false => INTERVAL_MS,
        };
        let last = health.last_packet.unwrap_or(self.current_since);
        let silent = last.after_millis(self.failover.silence_ms);
        let next = now.after_millis(interval_ms);
        if silent > now { next.min(silent) } else { next }
    }
}

impl Record {
    fn note(&mut self, health: &Health, failover: &Failover, now: Micros) {
        self.rank = health.rank(failover, now);
        if self.rank != Rank::Good {
            self.has_failed |= self.good_since.take().is_some();
            return;
        }
        let since = *self.good_since.get_or_insert(now);
        // It was silent between two looks.
        if let Some(heard) = health.heard_since.filter(|&heard| heard > since) {
            self.good_since = Some(heard);
            self.has_failed = true;
        }
        if self.is_settled(hold_ms(failover), now) {
            self.has_failed = false;
        }
    }

    /// It did not fail within the hold-down.
    fn is_settled(&self, hold_ms: u64, now: Micros) -> bool {
        let is_good_for_long =
            self.good_since.is_some_and(|since| now.millis_since(since) >= hold_ms);
        !self.has_failed || is_good_for_long
    }
}

/// How often healths that have no deadline of their own are looked at: rates and counts are those of a
/// second.
const INTERVAL_MS: u64 = 100;
/// The same while a switch is wanted: part of the gap that viewers see.
const ALERT_INTERVAL_MS: u64 = 20;
/// The way back is in no hurry: with the usual distances of entry points it is one that nobody notices.
const RETURN_ENTRY_WAIT_MS: u64 = 5_000;
