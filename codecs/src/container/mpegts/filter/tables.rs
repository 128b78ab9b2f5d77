//! What a filter reads of PAT, PMT and CAT, and the PAT that it writes.

use libmpegts::psi::{DescriptorsRef, PatSectionRef, PmtSectionRef};
use libmpegts::utils::crc32b;

use crate::container::mpegts::psi::Section;
use crate::container::mpegts::{PACKET_SIZE, Pid};

/// Looks for one program in the PAT, which may have several sections.
#[derive(Debug, Default)]
pub(super) struct PatReader {
    /// transport_stream_id, version and last section number of the table that is being read.
    key: Option<(u16, u8, u8)>,
    /// Its sections that were read.
    seen: [u64; 4],
    /// Of the program and of the network, in the sections of this version so far.
    found: Found,
    /// The same when the table was complete last.
    valid: Found,
    is_complete: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    pmt_pid: Option<Pid>,
    network_pid: Option<Pid>,
}

impl PatReader {
    /// A complete PAT was read.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Where the program's PMT is; `None` when there is no such program.
    pub(super) fn pmt_pid(&self) -> Option<Pid> {
        self.valid.pmt_pid
    }

    pub(super) fn network_pid(&self) -> Option<Pid> {
        self.valid.network_pid
    }

    pub(super) fn transport_stream_id(&self) -> u16 {
        self.key.map_or(0, |(id, _, _)| id)
    }

    pub(super) fn version(&self) -> u8 {
        self.key.map_or(0, |(_, version, _)| version)
    }

    /// Takes a section; true when it is the table's first one and the table is known, so that it is
    /// time to write.
    pub(super) fn section(&mut self, section: Section<'_>, program_number: u16) -> bool {
        let is_pat = section.table_id() == TABLE_PAT && section.has_long_form();
        let number = usize::from(section.number());
        let last_number = section.last_number();
        if !is_pat || !section.is_current() || number > usize::from(last_number) {
            return false;
        }
        let Ok(pat) = PatSectionRef::try_from(section.bytes()) else { return false };
        let key = Some((section.table_id_extension(), section.version(), last_number));
        // A table with one section is read anew each time: careless multiplexers change it without
        // another version.
        if self.key != key || last_number == 0 {
            (self.key, self.seen, self.found) = (key, [0; 4], Found::default());
        }
        for row in pat.programs().map_while(Result::ok) {
            let pid = Pid::new(row.pid());
            match row.program_number() {
                0 if pid != Pid::NULL && pid != Pid::PAT => self.found.network_pid = Some(pid),
                found if found == program_number && can_have_pmt(pid) => {
                    self.found.pmt_pid = Some(pid);
                }
                _ => {}
            }
        }
        if let Some(bits) = self.seen.get_mut(number / 64) {
            *bits |= 1 << (number % 64);
        }
        let seen: u32 = self.seen.iter().map(|bits| bits.count_ones()).sum();
        if seen == u32::from(last_number) + 1 {
            (self.valid, self.is_complete) = (self.found, true);
        }
        number == 0 && self.is_complete
    }
}

/// What the PMT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pmt {
    /// Elementary streams, clock and ECMs.
    pub(super) pids: Vec<Pid>,
    /// CA_system_id of the ECMs.
    pub(super) ca_systems: Vec<u16>,
}

impl Pmt {
    /// Reads a PMT section; `None` when it is that of another program, or not valid yet.
    pub(super) fn read(section: Section<'_>, program_number: u16) -> Option<Self> {
        let is_pmt = section.table_id() == TABLE_PMT && section.has_long_form();
        let is_its = section.table_id_extension() == program_number && section.is_current();
        if !is_pmt || !is_its {
            return None;
        }
        let table = PmtSectionRef::try_from(section.bytes()).ok()?;
        let mut pmt = Self { pids: vec![Pid::new(table.pcr_pid())], ca_systems: Vec::new() };
        pmt.add_ca(table.program_descriptors());
        for stream in table.streams().map_while(Result::ok) {
            pmt.pids.push(Pid::new(stream.elementary_pid()));
            pmt.add_ca(stream.stream_descriptors());
        }
        // Not a table of the transport stream, whatever is said.
        pmt.pids.retain(|pid| (0x10..Pid::NULL.value()).contains(&pid.value()));
        Some(pmt)
    }

    fn add_ca(&mut self, descriptors: Option<DescriptorsRef<'_>>) {
        for (system, pid) in ca_systems(descriptors) {
            self.ca_systems.push(system);
            self.pids.push(pid);
        }
    }
}

/// CA_system_id and EMM PID of each system of a CAT; `None` when the section is no CAT or not valid
/// yet.
pub(super) fn read_cat(section: Section<'_>) -> Option<Vec<(u16, Pid)>> {
    let is_cat = section.table_id() == TABLE_CAT && section.has_long_form();
    let cat = libmpegts::psi::CatSectionRef::try_from(section.bytes()).ok()?;
    (is_cat && section.is_current()).then(|| ca_systems(cat.descriptors()).collect())
}

/// CA_descriptor (ISO/IEC 13818-1 2.6.16): system and PID.
fn ca_systems(descriptors: Option<DescriptorsRef<'_>>) -> impl Iterator<Item = (u16, Pid)> {
    let descriptors = descriptors.into_iter().flatten().map_while(Result::ok);
    descriptors.filter(|descriptor| descriptor.tag() == DESCRIPTOR_CA).filter_map(|descriptor| {
        let &[s1, s0, p1, p0] = descriptor.data().first_chunk()?;
        Some((u16::from_be_bytes([s1, s0]), Pid::new(u16::from_be_bytes([p1, p0]))))
    })
}

/// A PAT in one packet.
#[derive(Debug)]
pub(super) struct PatPacket {
    bytes: [u8; PACKET_SIZE],
    /// What it says; `None` before it says anything.
    described: Option<(u16, Rows)>,
    version: u8,
    counter: u8,
}

/// program_number and PID.
type Rows = [Option<(u16, Pid)>; 2];

impl PatPacket {
    /// A PAT whose first version is this.
    pub(super) fn new(version: u8) -> Self {
        Self { bytes: [0xFF; PACKET_SIZE], described: None, version, counter: 0 }
    }

    /// Says this from now on; the version counts up when it is something else.
    pub(super) fn describe(&mut self, transport_stream_id: u16, rows: Rows) {
        let described = Some((transport_stream_id, rows));
        if self.described == described {
            return;
        }
        if self.described.is_some() {
            self.version = (self.version + 1) & 0x1F;
        }
        self.described = described;
        let mut packet = vec![0x47, 0x40, 0, 0, 0];
        let [id_high, id_low] = transport_stream_id.to_be_bytes();
        let length = 9 + 4 * rows.iter().flatten().count() as u8;
        let version = 0xC1 | self.version << 1;
        packet.extend_from_slice(&[TABLE_PAT, 0xB0, length, id_high, id_low, version, 0, 0]);
        for (program_number, pid) in rows.into_iter().flatten() {
            packet.extend_from_slice(&program_number.to_be_bytes());
            packet.extend_from_slice(&(0xE000 | pid.value()).to_be_bytes());
        }
        let crc = crc32b(packet.get(5..).unwrap_or_default());
        packet.extend_from_slice(&crc.to_be_bytes());
        packet.resize(PACKET_SIZE, 0xFF);
        if let Some(bytes) = packet.first_chunk() {
            self.bytes = *bytes;
        }
    }

    /// The packet with the next counter.
    pub(super) fn next(&mut self) -> &[u8; PACKET_SIZE] {
        self.bytes[3] = 0x10 | self.counter;
        self.counter = (self.counter + 1) & 0x0F;
        &self.bytes
    }
}

/// As in [`psi`](crate::container::mpegts::psi): not the PID of another table, nor that of null
/// packets.
fn can_have_pmt(pid: Pid) -> bool {
    pid.value() >= 0x10 && pid != Pid::NULL && pid != Pid::SDT
}

const TABLE_PAT: u8 = 0x00;
const TABLE_CAT: u8 = 0x01;
const TABLE_PMT: u8 = 0x02;
const DESCRIPTOR_CA: u8 = 0x09;
