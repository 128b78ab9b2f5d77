//! One program out of a multiplex: a single-program transport stream.
//!
//! - The PAT is written anew with this program only, and with the network's PID where the source
//!   names one: one packet in the place of each source PAT, with a counter of its own, the source's
//!   transport_stream_id and a version that counts up whenever it says something else.
//! - As they are: the PMT, its elementary streams, the PCR PID, the ECM PIDs of its CA descriptors,
//!   and the CAT with the EMM PIDs of the same systems.
//! - As they are, and whole, that is with what they say of the other programs: NIT, SDT, EIT and
//!   TDT/TOT. A PMT PID that several programs share comes whole as well.
//! - Left out: every other PID, and null packets.
//!
//! While the PAT has no such program nothing comes out at all, so that who waits for data notices;
//! before the PMT is known, there are only tables.
//!
//! Cost: one look into a flat table and a copy for each packet that is passed. Nothing is allocated
//! but in `out` once the tables are known.
//!
//! Invariants
//! - Whole packets come out, in their order.
//! - Memory: a flat table of 8 KiB, and one section of each of PAT, CAT and PMT.

mod tables;

use super::packet::{PACKET_SIZE, Packet, Pid, SYNC_BYTE};
use super::psi::SectionAssembler;
use crate::sink::ByteSink as _;
use tables::{PatReader, Pmt};

/// Passes the packets of one program.
#[derive(Debug)]
pub struct ProgramFilter {
    program_number: u16,
    /// By PID: what is done with its packets.
    uses: Box<[u8; Pid::COUNT]>,
    pat: PatReader,
    pat_assembler: SectionAssembler,
    pmt_assembler: SectionAssembler,
    cat_assembler: SectionAssembler,
    pmt: Option<Pmt>,
    /// CA_system_id and EMM PID.
    cat: Vec<(u16, Pid)>,
    /// The PAT that is written; `None` before there is one.
    written: Option<tables::PatPacket>,
}

impl ProgramFilter {
    /// A filter for the program of this number, 1 to 65,535, that has seen nothing.
    pub fn new(program_number: u16) -> Self {
        let mut filter = Self {
            program_number,
            uses: Box::new([0; Pid::COUNT]),
            pat: PatReader::default(),
            pat_assembler: SectionAssembler::default(),
            pmt_assembler: SectionAssembler::default(),
            cat_assembler: SectionAssembler::default(),
            pmt: None,
            cat: Vec::new(),
            written: None,
        };
        filter.set_uses();
        filter
    }

    /// True when a complete PAT was seen that does not have the program.
    pub fn missing(&self) -> bool {
        self.pat.is_complete() && self.pat.pmt_pid().is_none()
    }

    /// True when the program's PMT was seen: its streams are passed.
    pub fn is_ready(&self) -> bool {
        self.pmt.is_some()
    }

    /// Takes whole packets and appends those of the program to `out`. Bytes behind the last whole
    /// packet are not looked at.
    pub fn push(&mut self, packets: &[u8], out: &mut Vec<u8>) {
        for packet in packets.as_chunks::<PACKET_SIZE>().0 {
            let pid = usize::from(packet[1] & 0x1F) << 8 | usize::from(packet[2]);
            let uses = self.uses[pid];
            if uses == 0 || packet[0] != SYNC_BYTE {
                continue;
            }
            if uses & USE_READ != 0 {
                self.read(Packet::new(packet), out);
            }
            // What was read may have changed it.
            if self.uses[pid] & USE_PASS != 0 {
                out.put(packet);
            }
        }
    }

    fn read(&mut self, packet: Packet<'_>, out: &mut Vec<u8>) {
        match packet.pid() {
            Pid::PAT => self.read_pat(packet, out),
            Pid::CAT => self.read_cat(packet),
            _ => self.read_pmt(packet),
        }
    }

    fn read_pat(&mut self, packet: Packet<'_>, out: &mut Vec<u8>) {
        let (pat, number) = (&mut self.pat, self.program_number);
        let before = (pat.pmt_pid(), pat.network_pid(), pat.is_complete());
        let mut writes = 0;
        self.pat_assembler.push(packet, |section| {
            if let Ok(section) = section {
                writes += u32::from(pat.section(section, number));
            }
        });
        let pmt_pid = pat.pmt_pid();
        if before.0 != pmt_pid {
            self.pmt = None;
            self.pmt_assembler = SectionAssembler::default();
        }
        if before != (pmt_pid, pat.network_pid(), pat.is_complete()) {
            self.set_uses();
        }
        let Some(pmt_pid) = pmt_pid.filter(|_| writes > 0) else { return };
        let rows = [self.pat.network_pid().map(|pid| (0, pid)), Some((number, pmt_pid))];
        let id = self.pat.transport_stream_id();
        let written = match &mut self.written {
            Some(written) => written,
            first => first.insert(tables::PatPacket::new(self.pat.version())),
        };
        written.describe(id, rows);
        out.put(written.next());
    }

    fn read_cat(&mut self, packet: Packet<'_>) {
        let mut systems = None;
        self.cat_assembler.push(packet, |section| {
            systems = section.ok().and_then(tables::read_cat).or(systems.take());
        });
        if let Some(systems) = systems.filter(|systems| *systems != self.cat) {
            self.cat = systems;
            self.set_uses();
        }
    }

    fn read_pmt(&mut self, packet: Packet<'_>) {
        let (number, mut read) = (self.program_number, None);
        self.pmt_assembler.push(packet, |section| {
            read = section.ok().and_then(|section| Pmt::read(section, number)).or(read.take());
        });
        if let Some(pmt) = read.filter(|pmt| self.pmt.as_ref() != Some(pmt)) {
            self.pmt = Some(pmt);
            self.set_uses();
        }
    }

    /// Brings what is passed in line with the tables.
    fn set_uses(&mut self) {
        self.uses.fill(0);
        let mut set = |pid: Pid, uses: u8| self.uses[pid.index()] |= uses;
        set(Pid::PAT, USE_READ);
        set(Pid::CAT, USE_READ);
        let Some(pmt_pid) = self.pat.pmt_pid() else { return };
        for pid in PASSED_PIDS {
            set(pid, USE_PASS);
        }
        if let Some(pid) = self.pat.network_pid() {
            set(pid, USE_PASS);
        }
        if let Some(pmt) = &self.pmt {
            let its_systems = self.cat.iter().filter(|(system, _)| pmt.ca_systems.contains(system));
            let emms = its_systems.map(|&(_, pid)| pid);
            for pid in pmt.pids.iter().copied().chain(emms) {
                set(pid, USE_PASS);
            }
        }
        set(pmt_pid, USE_READ | USE_PASS);
        self.uses[Pid::NULL.index()] = 0;
        self.uses[Pid::PAT.index()] = USE_READ;
    }
}

const USE_PASS: u8 = 1;
/// A table that is read.
const USE_READ: u8 = 2;
/// CAT, NIT, SDT, EIT, and TDT with TOT (ETSI EN 300 468 5.1.3).
const PASSED_PIDS: [Pid; 5] = [Pid::CAT, Pid::new(0x10), Pid::SDT, Pid::new(0x12), Pid::new(0x14)];

#[cfg(test)]
mod tests;
