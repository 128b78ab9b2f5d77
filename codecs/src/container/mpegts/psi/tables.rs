//! All tables of one transport stream, kept up to date.

use super::program::{self, Cat, Pat, PatEntry, Program, Service};
use super::section::{Section, SectionAssembler, SectionFault};
use crate::container::mpegts::{Packet, Pid};

/// What is kept at most; more is a [`Fault::TooMany`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Programs whose PMT is read: up to 8,000, default 512. Each costs up to 4 KiB while a section
    /// is incomplete, and what its PMT says.
    pub programs_max: usize,
    /// Services of the SDT: default 1,024.
    pub services_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { programs_max: 512, services_max: 1024 }
    }
}

/// What a packet changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The PAT is there for the first time, or another one: see [`Tables::pat`].
    Pat,
    /// A program's PMT is there for the first time, or says something else.
    Program {
        /// Which one: see [`Tables::program`].
        program_number: u16,
    },
    /// The PAT no longer has the program.
    ProgramRemoved {
        /// Which one.
        program_number: u16,
    },
    /// The services changed: see [`Tables::services`].
    Services,
    /// The CAT changed: see [`Tables::cat`].
    Cat,
    /// A table, or part of it, could not be used.
    Fault {
        /// Where it was met.
        pid: Pid,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A section could not be put together.
    Section(SectionFault),
    /// A section of this table_id has a right CRC and wrong content.
    Content {
        /// table_id.
        table_id: u8,
    },
    /// The PAT puts a program's PMT on a PID that cannot have one: that of another table, or of
    /// null packets.
    PmtPid {
        /// Which program; it is left out.
        program_number: u16,
        /// The PID.
        pid: Pid,
    },
    /// The PMT puts an elementary stream on a PID that cannot have one: that of a table, of null
    /// packets, or of a stream before it.
    ElementaryPid {
        /// Which program.
        program_number: u16,
        /// The PID; the stream is left out.
        pid: Pid,
    },
    /// More programs or services than [`Limits`] allow.
    TooMany {
        /// The setting that raises the limit.
        setting: &'static str,
    },
}

/// The tables of one transport stream: [`push`](Self::push) its packets.
///
/// Cost: for a packet without tables one look into a flat array; use [`is_table`](Self::is_table)
/// to save the call.
#[derive(Debug)]
pub struct Tables {
    limits: Limits,
    /// By PID: 0 for no table, otherwise the index into `slots` plus 1.
    slot_of: Box<[u16]>,
    slots: Vec<Slot>,
    pat: Option<Pat>,
    pat_sections: SectionSet<PatEntry>,
    programs: Vec<ReadProgram>,
    cat: Option<Cat>,
    cat_sections: SectionSet<(u16, Pid)>,
    services: Vec<Service>,
    sdt_sections: SectionSet<Service>,
}

#[derive(Debug)]
struct Slot {
    pid: Pid,
    assembler: SectionAssembler,
}

/// A program and the CRC of the section that it was read from.
#[derive(Debug)]
struct ReadProgram {
    crc: u32,
    program: Program,
}

impl Tables {
    /// No table yet.
    pub fn new(limits: Limits) -> Self {
        let mut tables = Self {
            limits,
            slot_of: vec![0; Pid::COUNT].into_boxed_slice(),
            slots: Vec::new(),
            pat: None,
            pat_sections: SectionSet::default(),
            programs: Vec::new(),
            cat: None,
            cat_sections: SectionSet::default(),
            services: Vec::new(),
            sdt_sections: SectionSet::default(),
        };
        for pid in FIXED_PIDS {
            tables.add_slot(pid);
        }
        tables
    }

    /// True when packets of this PID carry a table that is read here.
    pub fn is_table(&self, pid: Pid) -> bool {
        self.slot_of.get(pid.index()).is_some_and(|&slot| slot != 0)
    }

    /// The PIDs on which tables are read: PAT, CAT, SDT and the PMTs.
    pub fn table_pids(&self) -> impl Iterator<Item = Pid> {
        self.slots.iter().map(|slot| slot.pid)
    }

    /// The PAT; `None` until it was complete.
    pub fn pat(&self) -> Option<&Pat> {
        self.pat.as_ref()
    }

    /// The programs whose PMT was read, in the order of the PAT.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter().map(|read| &read.program)
    }

    /// One program; `None` until its PMT was read.
    pub fn program(&self, program_number: u16) -> Option<&Program> {
        self.programs().find(|program| program.program_number == program_number)
    }

    /// The CAT; `None` until one was seen.
    pub fn cat(&self) -> Option<&Cat> {
        self.cat.as_ref()
    }

    /// The services of this transport stream, from its SDT.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The service of a program; `None` when the SDT has none.
    pub fn service(&self, program_number: u16) -> Option<&Service> {
        self.services.iter().find(|service| service.service_id == program_number)
    }

    /// Takes a packet of any PID and tells what it changed.
    pub fn push(&mut self, packet: Packet<'_>, on_change: &mut impl FnMut(Change)) {
        let pid = packet.pid();
        let slot = self.slot_of.get(pid.index()).copied().unwrap_or(0);
        let Some(slot) = usize::from(slot).checked_sub(1) else {
            return;
        };
        // Out of its place for the call, because reading a section changes the tables.
        let Some(slot) = self.slots.get_mut(slot) else {
            return;
        };
        let mut assembler = std::mem::take(&mut slot.assembler);
        assembler.push(packet, |section| match section {
            Ok(section) => self.read(pid, section, on_change),
            Err(fault) => on_change(Change::Fault { pid, fault: Fault::Section(fault) }),
        });
        self.put_back(pid, assembler);
    }

    /// Unless the slot was removed meanwhile.
    fn put_back(&mut self, pid: Pid, assembler: SectionAssembler) {
        let slot = self.slot_of.get(pid.index()).copied().unwrap_or(0);
        let slot = usize::from(slot).checked_sub(1).and_then(|slot| self.slots.get_mut(slot));
        if let Some(slot) = slot {
            slot.assembler = assembler;
        }
    }

    fn read(&mut self, pid: Pid, section: Section<'_>, on_change: &mut impl FnMut(Change)) {
        if !section.has_long_form() || !section.is_current() {
            return;
        }
        let is_read = match (pid, section.table_id()) {
            (Pid::PAT, TABLE_PAT) => self.read_pat(section, on_change),
            (Pid::CAT, TABLE_CAT) => self.read_cat(section, on_change),
            (Pid::SDT, TABLE_SDT_ACTUAL) => self.read_sdt(section, on_change),
            (Pid::PAT | Pid::CAT | Pid::SDT, _) => Some(()),
            (_, TABLE_PMT) => self.read_pmt(pid, section, on_change),
            _ => Some(()),
        };
        if is_read.is_none() {
            let fault = Fault::Content { table_id: section.table_id() };
            on_change(Change::Fault { pid, fault });
        }
    }

    fn read_pat(&mut self, section: Section<'_>, on_change: &mut impl FnMut(Change)) -> Option<()> {
        if !self.pat_sections.insert(section, program::read_pat)? {
            return Some(());
        }
        let Some(rows) = self.pat_sections.complete() else {
            return Some(());
        };
        let mut pat = Pat {
            transport_stream_id: section.table_id_extension(),
            version: section.version(),
            entries: Vec::new(),
        };
        let mut fault = |fault| on_change(Change::Fault { pid: Pid::PAT, fault });
        for entry in rows {
            let program_number = entry.program_number;
            if pat.entries.len() >= self.limits.programs_max.min(Pid::COUNT - 1) {
                fault(Fault::TooMany { setting: "programs_max" });
                break;
            }
            if program_number != 0 && !can_have_pmt(entry.pid) {
                fault(Fault::PmtPid { program_number, pid: entry.pid });
                continue;
            }
            if pat.entries.iter().all(|other| other.program_number != program_number) {
                pat.entries.push(*entry);
            }
        }
        if self.pat.as_ref() != Some(&pat) {
            self.set_pat(pat, on_change);
        }
        Some(())
    }

    fn set_pat(&mut self, pat: Pat, on_change: &mut impl FnMut(Change)) {
        let programs = || pat.entries.iter().filter(|entry| entry.program_number != 0);
        self.programs.retain(|read| {
            let program_number = read.program.program_number;
            let stays = programs().any(|entry| {
                (entry.program_number, entry.pid) == (program_number, read.program.pmt_pid)
            });
            if !stays {
                on_change(Change::ProgramRemoved { program_number });
            }
            stays
        });
        let position = |read: &ReadProgram| {
            let number = read.program.program_number;
            pat.entries.iter().position(|entry| entry.program_number == number)
        };
        self.programs.sort_by_key(position);
        let is_wanted = |pid| FIXED_PIDS.contains(&pid) || programs().any(|entry| entry.pid == pid);
        let old_slots = std::mem::take(&mut self.slots);
        self.slot_of.fill(0);
        for slot in old_slots.into_iter().filter(|slot| is_wanted(slot.pid)) {
            self.add_slot(slot.pid);
            self.put_back(slot.pid, slot.assembler);
        }
        for entry in programs() {
            self.add_slot(entry.pid);
        }
        self.pat = Some(pat);
        on_change(Change::Pat);
    }

    fn read_pmt(
        &mut self,
        pid: Pid,
        section: Section<'_>,
        on_change: &mut impl FnMut(Change),
    ) -> Option<()> {
        let program_number = section.table_id_extension();
        let entry = PatEntry { program_number, pid };
        let entries = self.pat.as_ref().map(|pat| pat.entries.as_slice()).unwrap_or_default();
        let position = entries.iter().position(|other| *other == entry);
        let known = self.programs.iter().position(|read| {
            read.program.program_number == program_number && read.crc == section.crc()
        });
        // Not in the PAT: the PMT of a program that was, or of another transport stream.
        let (Some(position), None) = (position, known) else {
            return Some(());
        };
        let (mut program, is_cut) = program::read_pmt(section, pid)?;
        let mut fault = |fault| on_change(Change::Fault { pid, fault });
        if is_cut {
            fault(Fault::Content { table_id: TABLE_PMT });
        }
        let mut seen = Vec::new();
        program.streams.retain(|stream| {
            let is_good = can_have_stream(stream.pid)
                && !self.is_table(stream.pid)
                && !seen.contains(&stream.pid);
            seen.push(stream.pid);
            if !is_good {
                fault(Fault::ElementaryPid { program_number, pid: stream.pid });
            }
            is_good
        });
        let read = ReadProgram { crc: section.crc(), program };
        let same_number = |read: &ReadProgram| read.program.program_number == program_number;
        match self.programs.iter().position(same_number) {
            Some(index) => {
                if let Some(old) = self.programs.get_mut(index) {
                    *old = read;
                }
            }
            None => {
                let number_at = |index: usize| entries.get(index).map(|e| e.program_number);
                let before = |read: &ReadProgram| {
                    (0..position).any(|i| number_at(i) == Some(read.program.program_number))
                };
                let index = self.programs.iter().filter(|read| before(read)).count();
                self.programs.insert(index, read);
            }
        }
        on_change(Change::Program { program_number });
        Some(())
    }

    fn read_cat(&mut self, section: Section<'_>, on_change: &mut impl FnMut(Change)) -> Option<()> {
        if self.cat_sections.insert(section, program::read_cat)?
            && let Some(systems) = self.cat_sections.complete()
        {
            let cat = Cat { version: section.version(), systems: systems.copied().collect() };
            if self.cat.as_ref() != Some(&cat) {
                self.cat = Some(cat);
                on_change(Change::Cat);
            }
        }
        Some(())
    }

    fn read_sdt(&mut self, section: Section<'_>, on_change: &mut impl FnMut(Change)) -> Option<()> {
        if self.sdt_sections.insert(section, program::read_sdt)?
            && let Some(services) = self.sdt_sections.complete()
        {
            let mut services: Vec<_> = services.cloned().collect();
            if services.len() > self.limits.services_max {
                services.truncate(self.limits.services_max);
                let fault = Fault::TooMany { setting: "services_max" };
                on_change(Change::Fault { pid: Pid::SDT, fault });
            }
            if self.services != services {
                self.services = services;
                on_change(Change::Services);
            }
        }
        Some(())
    }

    fn add_slot(&mut self, pid: Pid) {
        let Some(slot_of) = self.slot_of.get_mut(pid.index()) else {
            return;
        };
        if *slot_of == 0 {
            self.slots.push(Slot { pid, assembler: SectionAssembler::default() });
            // At most one per PID: fits.
            *slot_of = self.slots.len() as u16;
        }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// The sections of one version of a table that has several.
#[derive(Debug)]
struct SectionSet<Row> {
    /// table_id_extension, version and last section number.
    key: Option<(u16, u8, u8)>,
    /// By section number: the CRC and what it says.
    sections: Vec<Option<(u32, Vec<Row>)>>,
}

impl<Row> Default for SectionSet<Row> {
    fn default() -> Self {
        Self { key: None, sections: Vec::new() }
    }
}

impl<Row> SectionSet<Row> {
    /// Adds a section; true when it is new, `None` when it cannot be read. Another version starts
    /// anew; another content under the same version, which careless multiplexers send, counts too.
    fn insert(
        &mut self,
        section: Section<'_>,
        read: impl FnOnce(Section<'_>) -> Option<Vec<Row>>,
    ) -> Option<bool> {
        let key = (section.table_id_extension(), section.version(), section.last_number());
        if section.number() > section.last_number() {
            return None;
        }
        if self.key != Some(key) {
            self.key = Some(key);
            self.sections.clear();
            self.sections.resize_with(usize::from(section.last_number()) + 1, || None);
        }
        let place = self.sections.get_mut(usize::from(section.number()))?;
        if place.as_ref().is_some_and(|(crc, _)| *crc == section.crc()) {
            return Some(false);
        }
        *place = Some((section.crc(), read(section)?));
        Some(true)
    }

    /// All rows in order, when no section is missing.
    fn complete(&self) -> Option<impl Iterator<Item = &Row>> {
        let is_complete = self.sections.iter().all(Option::is_some);
        is_complete.then(|| self.sections.iter().flatten().flat_map(|(_, rows)| rows))
    }
}

/// The tables' own PIDs are 0 to 15 (ISO/IEC 13818-1 table 2-3); DVB takes up to 31 for its own
/// (EN 300 468 5.1.3), but some multiplexers put PMTs there.
fn can_have_pmt(pid: Pid) -> bool {
    pid.value() >= 0x10 && pid != Pid::NULL && pid != Pid::SDT
}

fn can_have_stream(pid: Pid) -> bool {
    pid.value() >= 0x10 && pid != Pid::NULL
}

const FIXED_PIDS: [Pid; 3] = [Pid::PAT, Pid::CAT, Pid::SDT];

const TABLE_PAT: u8 = 0x00;
const TABLE_CAT: u8 = 0x01;
const TABLE_PMT: u8 = 0x02;
const TABLE_SDT_ACTUAL: u8 = 0x42;

#[cfg(test)]
mod tests;
