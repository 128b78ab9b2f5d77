//! What the analyser does once a window, and when the tables change.

use super::interval::Absence;
use super::pcr::WorstClock;
use super::pid::{Role, fixed_role};
use super::snapshot::{PidSnapshot, Snapshot};
use super::{Analyser, Indicator, PidState, TimeSource, bits_per_second};
use crate::container::mpegts::Pid;
use crate::container::mpegts::psi::Program;

impl Analyser {
    /// Moves time on; ends the window when it is over. Time that goes back stands still.
    pub(super) fn advance(&mut self, now_us: u64) {
        if !self.is_started {
            self.is_started = true;
            self.now_us = now_us;
            self.window_start_us = now_us;
            self.pat = super::Interval::new(now_us);
            return;
        }
        self.now_us = self.now_us.max(now_us);
        let elapsed_us = self.now_us - self.window_start_us;
        if elapsed_us >= self.settings.window_us.max(1) {
            self.end_window(elapsed_us);
        }
    }

    fn end_window(&mut self, elapsed_us: u64) {
        self.window_us = elapsed_us;
        self.window_start_us = self.now_us;
        let packets = std::mem::take(&mut self.window_packets);
        let nulls = std::mem::take(&mut self.window_null_packets);
        self.totals.packets += packets;
        self.totals.null_packets += nulls;
        self.bitrate_bps = bits_per_second(packets, elapsed_us);
        self.null_share = if packets > 0 { nulls as f64 / packets as f64 } else { 0.0 };
        self.check_pat();
        for index in 0..self.pids.states().len() {
            self.check_pid(index);
            let Some(state) = self.pids.get_mut(index) else { continue };
            state.end_window(elapsed_us);
            let accuracy_ns = state.pcr.as_mut().and_then(|meter| meter.end_window(nulls > 0));
            let pid = state.pid;
            if let Some(ns) = accuracy_ns.filter(|&ns| ns > self.settings.pcr_accuracy_ns) {
                self.alarms.error(Indicator::PcrAccuracyError, Some(pid), ns, self.now_us);
            }
        }
        self.alarms.end_window(self.now_us);
    }

    fn check_pat(&mut self) {
        let absence = self.pat.check(self.now_us, self.settings.pat_interval_us);
        self.judge(Indicator::PatError, Pid::PAT, absence);
        self.pat.end_window();
    }

    /// Looks what is missing on a PID, and whether a table names it.
    fn check_pid(&mut self, index: usize) {
        let now_us = self.now_us;
        let Some(state) = self.pids.get_mut(index) else { return };
        let pid = state.pid;
        let absent_us = now_us.saturating_sub(state.last_seen_us);
        match state.role {
            Role::Pmt { .. } => {
                let absence = state.tables.check(now_us, self.settings.pmt_interval_us);
                self.judge(Indicator::PmtError, pid, absence);
            }
            Role::Stream { .. } | Role::Pcr { .. } => self.check_stream(index, absent_us),
            Role::Unreferenced if state.window_packets > 0 => self.check_reference(index),
            _ => {}
        }
        let Some(state) = self.pids.get_mut(index) else { return };
        if state.window_scrambled > 0 && !self.cat_was_seen {
            self.alarms.error(Indicator::CatError, Some(pid), 1, now_us);
        }
    }

    fn check_stream(&mut self, index: usize, absent_us: u64) {
        let now_us = self.now_us;
        let Some(state) = self.pids.get_mut(index) else { return };
        let pid = state.pid;
        let must_occur = state.role.is_timed() || matches!(state.role, Role::Pcr { .. });
        let is_missing = must_occur && absent_us > self.settings.pid_missing_us;
        let was_missing = std::mem::replace(&mut state.is_missing, is_missing);
        // A PID that is gone has no times to be judged; neither has a scrambled one.
        let times = (state.role.is_timed() && !is_missing && state.window_scrambled == 0)
            .then(|| state.pts.check(now_us, self.settings.pts_interval_us));
        match (is_missing, was_missing) {
            (true, false) => self.alarms.error(Indicator::PidError, Some(pid), absent_us, now_us),
            (true, true) => self.alarms.holds(Indicator::PidError, now_us),
            _ => {}
        }
        if let Some(absence) = times {
            self.judge(Indicator::PtsError, pid, absence);
        }
    }

    fn check_reference(&mut self, index: usize) {
        let Some(state) = self.pids.states().get(index) else { return };
        let limit_us = self.settings.unreferenced_us;
        let is_long = |since_us: u64| self.now_us.saturating_sub(since_us) > limit_us;
        if self.complete_since_us.is_some_and(is_long) && is_long(state.first_seen_us) {
            let unreferenced_us = self.now_us.saturating_sub(state.first_seen_us);
            let pid = Some(state.pid);
            let indicator = Indicator::UnreferencedPid;
            self.alarms.error(indicator, pid, unreferenced_us, self.now_us);
        }
    }

    fn judge(&mut self, indicator: Indicator, pid: Pid, absence: Absence) {
        match absence {
            Absence::None => {}
            Absence::New(us) => self.alarms.error(indicator, Some(pid), us, self.now_us),
            Absence::GoesOn => self.alarms.holds(indicator, self.now_us),
        }
    }

    /// Gives roles, unless that was just done: a stream whose tables change all the time must not
    /// cost more than another.
    pub(super) fn assign_roles_if_due(&mut self) {
        let since_us = self.roles_assigned_us.map(|us| self.now_us.saturating_sub(us));
        // With the stream's own time, which may depend on its tables, it is never too early.
        let is_own_time = self.settings.time == TimeSource::Pcr;
        if is_own_time || since_us.is_none_or(|us| us >= ROLES_INTERVAL_US) {
            self.roles_assigned_us = Some(self.now_us);
            self.must_assign_roles = false;
            self.assign_roles();
        }
    }

    /// Gives every PID the role that the tables say; the first table that names it counts, because
    /// programs may share streams. What never occurs is tracked, too, to be missed.
    fn assign_roles(&mut self) {
        self.role_round = self.role_round.wrapping_add(1);
        let (pids, round, now_us) = (&mut self.pids, self.role_round, self.now_us);
        let mut add = |pid: Pid, role: Role| {
            let index = if pid == Pid::NULL { None } else { pids.track(pid, now_us) };
            let Some(state) = index.and_then(|index| pids.get_mut(index)) else { return };
            if state.role_round != round {
                state.role_round = round;
                state.set_role(role, now_us);
            }
        };
        let entries = self.tables.pat().map(|pat| pat.entries.as_slice()).unwrap_or_default();
        for entry in entries {
            let program_number = entry.program_number;
            let is_network = program_number == 0;
            add(entry.pid, if is_network { Role::Table } else { Role::Pmt { program_number } });
        }
        for program in self.tables.programs() {
            add_program(program, &mut add);
        }
        for (_, pid) in self.tables.cat().map(|cat| cat.systems.as_slice()).unwrap_or_default() {
            add(*pid, Role::ConditionalAccess);
        }
        for state in self.pids.states_mut() {
            if state.role_round != round {
                state.set_role(fixed_role(state.pid), now_us);
            }
        }
        // The clock of the first program is the time, wherever it has gone.
        self.time_pid = self.tables.programs().next().map(|program| program.pcr_pid);
        let programs = entries.iter().filter(|entry| entry.program_number != 0).count();
        let is_complete = programs > 0 && self.tables.programs().count() == programs;
        let has_keys = self.tables.programs().any(|program| program.has_conditional_access);
        if !is_complete || has_keys {
            self.complete_since_us = None;
        } else if self.complete_since_us.is_none() {
            self.complete_since_us = Some(now_us);
        }
    }

    /// Everything that is known now.
    ///
    /// Cost: a copy of about 250 bytes per PID.
    pub fn snapshot(&self) -> Snapshot {
        let mut pids: Vec<_> = self.pids.states().iter().filter(|state| is_known(state)).collect();
        pids.sort_by_key(|state| state.pid);
        Snapshot { pids: pids.into_iter().map(pid_snapshot).collect(), ..self.summary() }
    }

    /// What is known of the whole stream, without that of its PIDs.
    ///
    /// Cost: some passes over the PIDs; nothing is allocated.
    pub fn summary(&self) -> Snapshot {
        let max = |value: fn(&PidState) -> u64| {
            self.pids.states().iter().map(value).max().unwrap_or_default()
        };
        let mut totals = self.totals;
        totals.packets += self.window_packets;
        totals.null_packets += self.window_null_packets;
        let scrambled =
            |state: &PidState| state.scrambled_packets + u64::from(state.window_scrambled);
        totals.scrambled_packets = self.pids.states().iter().map(scrambled).sum();
        totals.repeated_packets =
            self.pids.states().iter().map(|state| state.repeated_packets).sum();
        let clock = self.tables.programs().map(|program| program.pcr_pid).find_map(|pid| {
            let state = self.pids.states().iter().find(|state| state.pid == pid)?;
            Some(state.pcr.as_ref()?.state())
        });
        let mut worst_clock = WorstClock::default();
        let clocks = self.pids.states().iter().filter_map(|state| state.pcr.as_ref());
        clocks.for_each(|meter| worst_clock.add(&meter.state()));
        Snapshot {
            at_us: self.now_us,
            window_us: self.window_us,
            totals,
            bitrate_bps: self.bitrate_bps,
            null_share: self.null_share,
            is_in_sync: self.sync.is_found,
            pat_interval_max_us: self.pat.max_us(),
            pmt_interval_max_us: max(|state| match state.role {
                Role::Pmt { .. } => state.tables.max_us(),
                _ => 0,
            }),
            pts_interval_max_us: max(pts_interval_max_us),
            pcr: clock,
            worst_clock,
            alarms: self.alarms.states(),
            pids: Vec::new(),
        }
    }

    /// Errors of a kind so far.
    pub fn errors(&self, indicator: Indicator) -> u64 {
        self.alarms.errors(indicator)
    }

    /// The analyser's time, in us: the newest that was given, or the stream's own.
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Where time comes from.
    pub fn time_source(&self) -> TimeSource {
        self.settings.time
    }
}

/// Roles are given at most as often as this.
const ROLES_INTERVAL_US: u64 = 20_000;

fn add_program(program: &Program, add: &mut impl FnMut(Pid, Role)) {
    let program_number = program.program_number;
    for stream in &program.streams {
        let language = stream.language.as_bytes().first_chunk().copied().unwrap_or_default();
        let (stream_type, format) = (stream.stream_type, stream.format);
        add(stream.pid, Role::Stream { program_number, stream_type, format, language });
    }
    add(program.pcr_pid, Role::Pcr { program_number });
}

/// A PID that was seen, or that a table names.
fn is_known(state: &PidState) -> bool {
    state.was_seen || state.window_packets > 0 || state.role != Role::Unreferenced
}

fn pts_interval_max_us(state: &PidState) -> u64 {
    if state.role.is_timed() { state.pts.max_us() } else { 0 }
}

fn pid_snapshot(state: &PidState) -> PidSnapshot {
    PidSnapshot {
        pid: state.pid,
        role: state.role,
        packets: state.packets + u64::from(state.window_packets),
        bitrate_bps: state.bitrate_bps,
        counter_errors: state.counter_errors,
        repeated_packets: state.repeated_packets,
        scrambled_packets: state.scrambled_packets + u64::from(state.window_scrambled),
        is_scrambled: state.is_scrambled || state.window_scrambled > 0,
        is_missing: state.is_missing,
        last_seen_us: state.last_seen_us,
        pts_interval_max_us: pts_interval_max_us(state),
        pcr: state.pcr.as_ref().map(|meter| meter.state()),
    }
}
