//! PCRs: in step with them, and what happens without.
//!
//! ```text
//!            two PCRs in a row                 a PCR that follows the one before
//! unlocked ---------------------> locked ---+
//!    ^    packets leave by arrival  |   ^   |  a jump: behind what is in the buffer
//!    +------------------------------+   +---+
//!            no PCR for 500 ms
//! ```

use super::clock::{Regulator, TICKS_PER_MS, TICKS_PER_S};
use super::schedule::{Knot, Pace, pace_of};
use super::{PACKET_SIZE, Pacer, ticks};
use crate::container::mpegts::packet::{Packet, Pcr, Pid};

/// What is known of the sender's clock.
#[derive(Debug)]
pub(super) struct Lock {
    state: State,
    pid: Option<Pid>,
    /// When its last PCR arrived.
    seen: i64,
    reference: Option<Reference>,
    /// From the last PCR but one to the last.
    pace: Pace,
    /// From the arrival of a PCR to its departure, when the clock is set by it.
    depth: i64,
    regulator: Regulator,
    late: Option<LateRun>,
    was_locked: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Locked,
    /// Packets from position `from` on leave by their arrival, which is so since a time.
    Unlocked {
        from: u64,
        since: i64,
        is_free: bool,
    },
}

/// A PCR, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Reference {
    pcr: Pcr,
    position: u64,
    stream: i64,
}

/// Packets that came too late, again and again.
#[derive(Clone, Copy, Debug)]
struct LateRun {
    since: i64,
    last: i64,
    worst: i64,
}

impl Lock {
    pub(super) fn new(depth: i64) -> Self {
        Self {
            state: State::Unlocked { from: 0, since: i64::MAX, is_free: false },
            pid: None,
            seen: 0,
            reference: None,
            pace: 0,
            depth,
            regulator: Regulator::new(depth),
            late: None,
            was_locked: false,
        }
    }

    /// How far an arrival may be off what the clock says, for the clock to be believed.
    pub(super) fn slack(&self) -> i64 {
        self.depth / 2
    }

    /// There is no place for more than this.
    pub(super) fn limit_depth(&mut self, depth: i64) {
        self.depth = self.depth.min(depth.max(TICKS_PER_MS));
        self.regulator = Regulator::new(self.depth);
    }

    pub(super) fn is_free_running(&self) -> bool {
        matches!(self.state, State::Unlocked { is_free: true, .. })
    }

    /// While packets behind the last PCR have a time by guess only: since when.
    pub(super) fn guesses_since(&self) -> Option<i64> {
        matches!(self.state, State::Locked).then_some(self.seen)
    }

    pub(super) fn restart_regulator(&mut self) {
        self.regulator.restart();
    }
}

impl Pacer {
    /// Packets from `first` on have arrived: without a clock that says when they leave.
    pub(super) fn on_arrival(&mut self, first: u64, now: i64) {
        if matches!(self.lock.state, State::Locked) {
            if now.saturating_sub(self.lock.seen) <= CLOCK_MISSING {
                return;
            }
            self.unlock(first, now);
        }
        let State::Unlocked { since, is_free, .. } = &mut self.lock.state else { return };
        *since = now.min(*since);
        if !*is_free && now.saturating_sub(*since) >= CLOCK_MISSING {
            *is_free = true;
            self.counters.free_runs += 1;
        }
        self.schedule.push_flat(first, self.arrival_stream(now));
    }

    /// Takes a packet that has a PCR.
    pub(super) fn on_clock_packet(&mut self, packet: &[u8; PACKET_SIZE], position: u64, now: i64) {
        let packet = Packet::new(packet);
        let is_sound = packet.has_sync() && !packet.has_transport_error();
        let Some(field) = packet.adaptation_field().filter(|_| is_sound) else { return };
        let Some(pcr) = field.pcr() else { return };
        if !self.listens_to(packet.pid(), now) {
            return;
        }
        let Some(reference) = self.lock.reference else {
            self.lock.seen = now;
            return self.refer_to(pcr, position, self.schedule.time_at(position));
        };
        let step = pcr.since(reference.pcr);
        if step == 0 && !field.is_discontinuity() {
            // The same packet again, or a clock that stands still: none at all.
            return;
        }
        self.lock.seen = now;
        let by_clock = reference.stream.saturating_add(step);
        let follows = !field.is_discontinuity() && (1..=STEP_MAX).contains(&step);
        match self.lock.state {
            State::Locked if follows => self.follow(reference, pcr, position, now),
            State::Locked => self.step_over(pcr, position, now),
            State::Unlocked { from, .. }
                if follows && (reference.position >= from || self.fits(by_clock, now)) =>
            {
                self.lock_to(reference, pcr, position, from);
                self.check_late(self.head.max(reference.position), position, now);
            }
            State::Unlocked { .. } => {
                let is_comparable = !field.is_discontinuity() && (1..PAUSE_MAX).contains(&step);
                let by_clock = is_comparable.then_some(by_clock);
                self.refer_anew(pcr, position, by_clock, now);
            }
        }
    }

    /// True when a packet that arrives now may well be of this stream time: late as after a stall,
    /// or about in time.
    fn fits(&self, stream: i64, now: i64) -> bool {
        let late = self.arrival_stream(now).saturating_sub(stream);
        (-self.lock.slack()..=STALL_MAX).contains(&late)
    }

    /// Where a packet that arrives now and is not late stands in stream time.
    fn arrival_stream(&self, now: i64) -> i64 {
        self.clock.stream_at(now.saturating_add(self.lock.depth))
    }

    /// True for the PID whose PCRs count; another one when that has none for a second.
    fn listens_to(&mut self, pid: Pid, now: i64) -> bool {
        match self.lock.pid {
            Some(known) if known == pid => return true,
            Some(_) if now.saturating_sub(self.lock.seen) <= PID_MISSING => return false,
            Some(_) => self.lock.reference = None,
            None => {}
        }
        self.lock.pid = Some(pid);
        true
    }

    fn refer_to(&mut self, pcr: Pcr, position: u64, stream: i64) {
        self.lock.reference = Some(Reference { pcr, position, stream });
    }

    /// The clock goes on as it should.
    fn follow(&mut self, reference: Reference, pcr: Pcr, position: u64, now: i64) {
        let step = pcr.since(reference.pcr);
        let stream = reference.stream.saturating_add(step);
        self.lock.pace = pace_of(step, position - reference.position);
        self.close(pcr, position, stream, now);
        let reserve = self.clock.wall_at(stream).saturating_sub(now);
        if let Some(advice) = self.lock.regulator.sample(reserve, now) {
            match advice.lowest > ticks(self.settings.overrun_us) {
                true => self.catch_up(advice.lowest - self.lock.depth, position, now),
                false => self.clock.bend(now, advice.stretch_ppb),
            }
        }
    }

    /// The clock jumps: its new time begins where the packets before it end.
    fn step_over(&mut self, pcr: Pcr, position: u64, now: i64) {
        let end = self.time_of(position).0;
        let arrival = self.arrival_stream(now);
        let is_late = arrival > end.saturating_add(self.lock.slack());
        self.counters.reanchors += 1;
        if is_late {
            self.lock.regulator.restart();
        }
        self.close(pcr, position, if is_late { arrival } else { end }, now);
    }

    /// The times of all packets up to this one are known.
    fn close(&mut self, pcr: Pcr, position: u64, stream: i64, now: i64) {
        let first = self.schedule.last().map_or(0, |last| last.position).max(self.head);
        self.schedule.close(self.head, Knot { position, stream, pace: self.lock.pace });
        self.refer_to(pcr, position, stream);
        self.check_late(first, position, now);
    }

    /// There is no clock any more; what waits behind the last PCR leaves by the rate of before.
    fn unlock(&mut self, from: u64, now: i64) {
        self.schedule.limit(from, self.arrival_stream(now));
        // By the sender's clock the stretch was right; by ours there is none.
        self.clock.bend(now, 0);
        self.lock.regulator.restart();
        self.lock.state = State::Unlocked { from, since: now, is_free: false };
    }

    /// A PCR after a pause: the clock of before if that fits its arrival, otherwise a new one.
    fn refer_anew(&mut self, pcr: Pcr, position: u64, by_clock: Option<i64>, now: i64) {
        let arrival = self.arrival_stream(now);
        let stream = by_clock.filter(|stream| self.fits(*stream, now));
        self.counters.reanchors += u64::from(stream.is_none() && self.lock.was_locked);
        self.lock.was_locked &= stream.is_some();
        self.refer_to(pcr, position, stream.unwrap_or(arrival));
    }

    /// Two PCRs in a row make a line, on which everything lies that waits since there was none.
    fn lock_to(&mut self, reference: Reference, pcr: Pcr, position: u64, from: u64) {
        let step = pcr.since(reference.pcr);
        let pace = pace_of(step, position - reference.position);
        let line = Knot { position: reference.position, stream: reference.stream, pace };
        let end = Knot { position, stream: reference.stream.saturating_add(step), pace };
        self.schedule.redraw(self.head.max(from.min(reference.position)), line, end);
        self.lock.pace = pace;
        self.lock.state = State::Locked;
        self.lock.was_locked = true;
        self.refer_to(pcr, position, end.stream);
    }

    /// Looks whether the packets from `first` to the one with the PCR, whose times are known now, are
    /// too late.
    fn check_late(&mut self, first: u64, end: u64, now: i64) {
        let lateness =
            |position| now.saturating_sub(self.clock.wall_at(self.schedule.time_at(position)));
        // The ones before the PCR may have left by a guess.
        let (lateness, is_end_late) = (lateness(first.min(end)), lateness(end) > 0);
        if lateness <= 0 {
            return;
        }
        let in_time = self.schedule.position_at(self.clock.stream_at(now)).min(end);
        self.late_until = if is_end_late { end + 1 } else { in_time };
        if lateness < LATENESS_MIN {
            return;
        }
        let is_known = |run: &LateRun| now.saturating_sub(run.last) < LATE_MEMORY;
        let begin = LateRun { since: now, last: i64::MIN, worst: 0 };
        let mut run = self.lock.late.filter(is_known).unwrap_or(begin);
        self.counters.underruns += u64::from(now.saturating_sub(run.last) > LATE_PAUSE);
        run = LateRun { last: now, worst: run.worst.max(lateness), ..run };
        self.lock.late = Some(run);
        if now.saturating_sub(run.since) >= LATE_PATIENCE {
            self.move_away(run.worst);
        }
    }

    /// Looks whether the packets from `first` on, which have arrived now, are late by a guess.
    pub(super) fn check_guess(&mut self, first: u64, now: i64) {
        let behind = self.schedule.last().map_or(0, |last| last.position + 1);
        let first = first.max(behind).max(self.head);
        if first < self.end() && self.lock.guesses_since().is_some() {
            let due = self.clock.wall_at(self.time_of(first).0);
            if due.saturating_add(LATENESS_MIN) < now {
                self.late_until = self.end();
            }
        }
    }

    /// Late packets go on: everything leaves later from now on.
    fn move_away(&mut self, worst: i64) {
        self.lock.late = None;
        self.set_anew(worst.saturating_add(self.lock.slack()));
        self.late_until = self.head;
    }

    /// Even the latest packets wait for too long: everything leaves earlier from now on, and what
    /// should have left by then is dropped, at most up to `end`.
    fn catch_up(&mut self, excess: i64, end: u64, now: i64) {
        let kept = self.schedule.position_at(self.clock.stream_at(now.saturating_add(excess)));
        let dropped = kept.min(end).saturating_sub(self.head);
        self.drop_oldest(usize::try_from(dropped).unwrap_or(usize::MAX));
        self.set_anew(-excess);
    }
}

/// A longer step from one PCR to the next is a jump.
const STEP_MAX: i64 = TICKS_PER_S;
/// After a longer pause a PCR is not compared with the one before.
const PAUSE_MAX: i64 = 60 * TICKS_PER_S;
const CLOCK_MISSING: i64 = 500 * TICKS_PER_MS;
const PID_MISSING: i64 = TICKS_PER_S;
/// What is less late than this is no underrun: receivers do not notice.
const LATENESS_MIN: i64 = TICKS_PER_MS;
/// Late packets with no longer pause than this in between are one underrun.
const LATE_PAUSE: i64 = 500 * TICKS_PER_MS;
/// Late packets further apart have nothing to do with each other.
const LATE_MEMORY: i64 = 10 * TICKS_PER_S;
/// A single stall is over by then.
const LATE_PATIENCE: i64 = TICKS_PER_S;
/// What comes later than this by its clock after a pause did not stall on its way: its sender paused.
const STALL_MAX: i64 = 2 * TICKS_PER_S;
