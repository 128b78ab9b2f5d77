//! Versions of PAT and PMT over a switch of sources: a decoder reads a table again only when its
//! version_number is another one (ISO/IEC 13818-1 2.4.4.5, 2.4.4.9).

use libmpegts::utils::crc32b;

use crate::container::mpegts::PACKET_SIZE;

/// The version that each table had when it went out last, and what is added to the source's.
#[derive(Debug, Default)]
pub(super) struct Versions {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    /// `None` is the PAT.
    program_number: Option<u16>,
    /// As it went out.
    version: u8,
    content: Content,
    /// Added to the source's versions since the switch.
    raise: u8,
    /// The new source's table was compared.
    is_decided: bool,
}

/// What a section says beside its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    crc: u32,
    /// The section is the whole table and lies in one packet: its version can be changed.
    is_whole: bool,
}

/// What happened to the tables of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Bytes of the packet were changed.
    pub(super) is_rewritten: bool,
    /// Tables whose version is another one from now on.
    pub(super) raised: u64,
    /// Tables whose version should be, but cannot be changed in place.
    pub(super) not_raised: u64,
}

impl Versions {
    /// Another source follows.
    pub(super) fn switch(&mut self) {
        for row in &mut self.rows {
            row.raise = 0;
            row.is_decided = false;
        }
    }

    /// True when every version is the source's own.
    pub(super) fn are_own(&self) -> bool {
        self.rows.iter().all(|row| row.raise == 0)
    }

    /// True when every table was met since the switch.
    pub(super) fn are_decided(&self) -> bool {
        self.rows.iter().all(|row| row.is_decided)
    }

    /// Forgets the PMTs of programs that are gone.
    pub(super) fn retain(&mut self, is_kept: impl Fn(u16) -> bool) {
        self.rows.retain(|row| row.program_number.is_none_or(&is_kept));
    }

    /// Takes a packet of PAT or PMT; changes versions in it where they have to be changed.
    pub(super) fn packet(&mut self, packet: &mut [u8; PACKET_SIZE], is_pat: bool) -> Outcome {
        let mut outcome = Outcome::default();
        for (start, size) in sections(packet, is_pat).into_iter().flatten() {
            if let Some(section) = packet.get_mut(start..) {
                let end = size.min(section.len());
                if let Some(section) = section.get_mut(..end) {
                    self.section(section, size, is_pat, &mut outcome);
                }
            }
        }
        outcome
    }

    /// `section` may be cut at the end of the packet; `size` is that of the whole one.
    fn section(&mut self, section: &mut [u8], size: usize, is_pat: bool, outcome: &mut Outcome) {
        let &[_, _, _, high, low, version, number, last_number, ..] = &*section else { return };
        let is_in_packet = section.len() == size && size >= SECTION_BYTES_MIN;
        if number != 0 || version & 1 == 0 || is_in_packet && crc32b(&*section) != 0 {
            return; // a further one, not valid yet, or damaged
        }
        let program_number = (!is_pat).then_some(u16::from_be_bytes([high, low]));
        let version = version >> 1 & VERSION_MASK;
        let content = content(section, is_in_packet && last_number == 0);
        let Some(row) = self.rows.iter_mut().find(|row| row.program_number == program_number)
        else {
            if self.rows.len() < ROWS_MAX {
                let row = Row { program_number, version, content, raise: 0, is_decided: true };
                self.rows.push(row);
            }
            return;
        };
        if !std::mem::replace(&mut row.is_decided, true)
            && row.version == version
            && row.content != content
        {
            row.raise = u8::from(content.is_whole);
            outcome.raised += u64::from(content.is_whole);
            outcome.not_raised += u64::from(!content.is_whole);
        }
        row.content = content;
        row.version = version;
        if row.raise != 0 && content.is_whole {
            row.version = (version + row.raise) & VERSION_MASK;
            set_version(section, row.version);
            outcome.is_rewritten = true;
        }
    }
}

/// Start and size of the tables' sections that start in the packet; four at most.
fn sections(packet: &[u8; PACKET_SIZE], is_pat: bool) -> [Option<(usize, usize)>; SECTIONS_MAX] {
    let mut found = [None; SECTIONS_MAX];
    let payload_at = match packet[3] & 0x30 {
        0x10 => 4,
        0x30 => 5 + usize::from(packet[4]),
        _ => return found,
    };
    let (true, Some(&pointer)) = (packet[1] & 0x40 != 0, packet.get(payload_at)) else {
        return found;
    };
    let wanted = if is_pat { TABLE_PAT } else { TABLE_PMT };
    let mut at = payload_at + 1 + usize::from(pointer);
    let mut places = found.iter_mut();
    while let Some(&[table_id, high, low]) = packet.get(at..).and_then(|rest| rest.first_chunk()) {
        let size = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
        if table_id == STUFFING {
            break;
        }
        if table_id == wanted && high & 0x80 != 0 {
            let Some(place) = places.next() else { break };
            *place = Some((at, size));
        }
        at += size;
    }
    found
}

/// What the section says, without version and CRC.
fn content(section: &[u8], is_whole: bool) -> Content {
    let mut bytes = [0; PACKET_SIZE];
    let size = section.len().saturating_sub(if is_whole { CRC_BYTES } else { 0 });
    for (copy, byte) in bytes.iter_mut().zip(section).take(size) {
        *copy = *byte;
    }
    bytes[5] &= !(VERSION_MASK << 1);
    Content { crc: crc32b(bytes.get(..size).unwrap_or_default()), is_whole }
}

/// Changes the version of a section that is whole, and its CRC.
fn set_version(section: &mut [u8], version: u8) {
    if let Some(byte) = section.get_mut(5) {
        *byte = *byte & !(VERSION_MASK << 1) | version << 1;
    }
    set_crc(section);
}

/// Writes the CRC of a whole section into its last bytes.
pub(super) fn set_crc(section: &mut [u8]) {
    if let Some((content, end)) = section.split_last_chunk_mut::<CRC_BYTES>() {
        *end = crc32b(&*content).to_be_bytes();
    }
}

const VERSION_MASK: u8 = 0x1F;
const CRC_BYTES: usize = 4;
/// Header and CRC.
const SECTION_BYTES_MIN: usize = 12;
/// Sections of one table that start in one packet: programs that share a PMT PID.
const SECTIONS_MAX: usize = 4;
/// The PAT and the PMTs of as many programs as are read.
const ROWS_MAX: usize = 513;
const TABLE_PAT: u8 = 0x00;
const TABLE_PMT: u8 = 0x02;
/// A table_id that none has: the rest of the packet is empty.
const STUFFING: u8 = 0xFF;
