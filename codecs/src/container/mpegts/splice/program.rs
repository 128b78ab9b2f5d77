//! Which PIDs belong to which clock, as the tables in force say.

use super::{Clock, Kind, NONE, Splicer};
use crate::container::mpegts::Pid;
use crate::container::mpegts::psi::EsFormat;

impl Splicer {
    /// Gives each program its clock. The clock of a program goes on over changes of its PMT and of
    /// the source; that of a stream with one program, whatever its number is.
    pub(super) fn assign_clocks(&mut self) {
        let entries = self.tables.pat().map(|pat| pat.entries.as_slice()).unwrap_or_default();
        let numbers = || entries.iter().map(|entry| entry.program_number).filter(|&n| n != 0);
        self.versions.retain(|number| numbers().any(|other| other == number));
        if self.tables.programs().next().is_none() {
            return; // The old ones stay until the new PMTs come.
        }
        let is_single = numbers().count() == 1;
        let mut old = std::mem::take(&mut self.clocks);
        let mut clocks: Vec<Clock> = Vec::with_capacity(old.len());
        let clocks_max = usize::from(self.settings.clocks_max.clamp(1, NONE));
        for program in self.tables.programs() {
            let (number, pcr_pid) = (program.program_number, program.pcr_pid);
            let is_shared = clocks.iter().any(|clock| clock.pcr_pid == pcr_pid);
            if is_shared || clocks.len() >= clocks_max {
                continue;
            }
            let known = old.iter().position(|clock| clock.program_number == Some(number));
            let known = known.or((is_single && old.len() == 1).then_some(0));
            let mut clock = match known {
                Some(index) => old.swap_remove(index),
                None => Clock::new(None, pcr_pid),
            };
            (clock.program_number, clock.pcr_pid) = (Some(number), pcr_pid);
            clocks.push(clock);
        }
        // Programs whose new PMT has not come.
        let is_expected =
            |clock: &Clock| numbers().any(|number| clock.program_number == Some(number));
        clocks.extend(old.into_iter().filter(is_expected));
        clocks.truncate(clocks_max);
        self.clocks = clocks;
    }

    /// Brings the flat table in line with the tables.
    pub(super) fn assign_pids(&mut self) {
        // A single clock is that of every PID, so that no table has to be waited for.
        let clock_of_all = if self.clocks.len() == 1 { 0 } else { NONE };
        for state in self.pids.iter_mut() {
            (state.kind, state.clock) = (Kind::Other, clock_of_all);
        }
        self.pids[Pid::PAT.index()].kind = Kind::Table;
        let entries = self.tables.pat().map(|pat| pat.entries.as_slice()).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.program_number != 0) {
            self.pids[entry.pid.index()].kind = Kind::Table;
        }
        for program in self.tables.programs() {
            let is_its = |clock: &Clock| clock.pcr_pid == program.pcr_pid;
            let Some(clock) = self.clocks.iter().position(is_its) else { continue };
            let streams = program.streams.iter().map(|stream| (stream.pid, stream.format));
            for (pid, format) in streams.chain([(program.pcr_pid, EsFormat::Other)]) {
                let state = &mut self.pids[pid.index()];
                if state.clock == NONE {
                    state.clock = clock as u8; // below clocks_max
                }
                if format == EsFormat::Scte35 && state.kind == Kind::Other {
                    state.kind = Kind::Cue;
                }
            }
        }
    }
}
