//! Which program of a transport stream is followed where only one is: the one that is asked for;
//! otherwise the first of the PAT, as players take it.

use super::psi::{Program, Tables};

/// See the module. Packets are counted by the caller.
///
/// The PMT of the first program may come after that of others. It is waited for, and then the first
/// program that has one is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramChoice {
    wanted: Option<u16>,
    /// Since when it waits, in packets: the first PMT was there.
    waits_since: Option<u64>,
}

impl ProgramChoice {
    /// `wanted`: the program_number that is asked for.
    pub(super) fn new(wanted: Option<u16>) -> Self {
        Self { wanted, waits_since: None }
    }

    /// Hears that tables have changed after `packets`.
    pub(super) fn tables_changed(&mut self, tables: &Tables, packets: u64) {
        if tables.programs().next().is_some() {
            self.waits_since.get_or_insert(packets);
        }
    }

    /// The program to follow after `packets`, if its PMT is there.
    pub(super) fn choose<'t>(&self, tables: &'t Tables, packets: u64) -> Option<&'t Program> {
        if let Some(number) = self.wanted {
            return tables.program(number);
        }
        if self.is_late(packets) {
            return tables.programs().next();
        }
        let first = tables.pat()?.entries.iter().find(|entry| entry.program_number != 0)?;
        tables.program(first.program_number)
    }

    /// True when it has waited long enough: choose once more, without another table.
    pub(super) fn is_late(&self, packets: u64) -> bool {
        self.waits_since.is_some_and(|since| packets - since >= WAIT_PACKETS)
    }

    /// Waits anew, so that a choice which is late is not made for each packet.
    pub(super) fn wait_again(&mut self, packets: u64) {
        self.waits_since = Some(packets);
    }
}

/// Tables come every 100 ms, which is 400 packets at 6 Mbit/s.
const WAIT_PACKETS: u64 = 20_000;
