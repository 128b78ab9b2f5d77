//! Packets of one PID into sections: ISO/IEC 13818-1 2.4.4.1 and 2.4.4.11.
//!
//! ```text
//! | 8 table id | 1 syntax | 3 | 12 length | 16 extension | 2 | 5 version | 1 current |
//! | 8 number | 8 last number | ... | 32 CRC |
//! ```

use libmpegts::utils::crc32b;

use crate::container::mpegts::Packet;

/// One whole section, its CRC checked where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a>(&'a [u8]);

impl<'a> Section<'a> {
    /// The bytes, CRC included.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// table_id.
    pub fn table_id(self) -> u8 {
        self.byte(0)
    }

    /// section_syntax_indicator: the fields below and the CRC exist.
    pub fn has_long_form(self) -> bool {
        self.byte(1) & 0x80 != 0
    }

    /// table_id_extension: transport_stream_id in a PAT, program_number in a PMT.
    pub fn table_id_extension(self) -> u16 {
        u16::from_be_bytes([self.byte(3), self.byte(4)])
    }

    /// version_number, 0 to 31.
    pub fn version(self) -> u8 {
        self.byte(5) >> 1 & 0x1F
    }

    /// current_next_indicator: the table is valid now.
    pub fn is_current(self) -> bool {
        self.byte(5) & 1 != 0
    }

    /// section_number.
    pub fn number(self) -> u8 {
        self.byte(6)
    }

    /// last_section_number.
    pub fn last_number(self) -> u8 {
        self.byte(7)
    }

    /// CRC_32; two sections with the same one are taken as equal.
    pub fn crc(self) -> u32 {
        self.0.last_chunk().map_or(0, |crc| u32::from_be_bytes(*crc))
    }

    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }
}

/// Why a section, or a packet that should carry one, was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionFault {
    /// The CRC is wrong.
    Crc,
    /// A packet is missing in it, or the next one began before its end.
    Cut,
    /// pointer_field leads behind the packet's end.
    Pointer,
    /// It announces more bytes than a section may have, or fewer than its own header needs.
    Length,
    /// The packet is scrambled, which tables must not be.
    Scrambled,
}

/// Collects the sections of one PID.
///
/// Invariants
/// - It holds at most one incomplete section, 4,096 bytes.
#[derive(Clone, Debug, Default)]
pub struct SectionAssembler {
    /// The incomplete section; empty when there is none.
    pending: Vec<u8>,
    counter: Option<u8>,
}

impl SectionAssembler {
    /// Takes the next packet of the PID and hands out the sections that it completes.
    pub fn push(
        &mut self,
        packet: Packet<'_>,
        mut on_section: impl FnMut(Result<Section<'_>, SectionFault>),
    ) {
        if packet.has_transport_error() || packet.is_malformed() || !packet.has_payload() {
            return;
        }
        if packet.is_scrambled() {
            self.pending.clear();
            return on_section(Err(SectionFault::Scrambled));
        }
        let counter = packet.continuity_counter();
        let last = self.counter.replace(counter);
        if last == Some(counter) && !packet.is_discontinuity() {
            return; // A packet may be sent twice (2.4.3.3).
        }
        let is_next = last.is_some_and(|last| (last + 1) & 0x0F == counter);
        if !is_next {
            self.drop_pending(&mut on_section);
        }
        if !packet.starts_unit() {
            return self.append(packet.payload(), &mut on_section);
        }
        let split = packet.payload().split_first();
        let split = split.and_then(|(&pointer, rest)| rest.split_at_checked(pointer.into()));
        let Some((end_of_last, sections)) = split else {
            self.pending.clear();
            return on_section(Err(SectionFault::Pointer));
        };
        self.append(end_of_last, &mut on_section);
        self.drop_pending(&mut on_section);
        self.start(sections, &mut on_section);
    }

    /// Reads the sections at the front; keeps the last one when it is incomplete.
    fn start(
        &mut self,
        mut bytes: &[u8],
        on_section: &mut impl FnMut(Result<Section<'_>, SectionFault>),
    ) {
        while bytes.first().is_some_and(|&table_id| table_id != STUFFING) {
            let Some(size) = section_size(bytes) else {
                return self.pending.extend_from_slice(bytes);
            };
            if size > SECTION_BYTES_MAX {
                return on_section(Err(SectionFault::Length));
            }
            let Some((section, rest)) = bytes.split_at_checked(size) else {
                return self.pending.extend_from_slice(bytes);
            };
            on_section(check(section));
            bytes = rest;
        }
    }

    /// Continues the incomplete section, if there is one; what follows its end is stuffing.
    fn append(
        &mut self,
        bytes: &[u8],
        on_section: &mut impl FnMut(Result<Section<'_>, SectionFault>),
    ) {
        if self.pending.is_empty() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let Some(size) = section_size(&self.pending) else {
            return;
        };
        if size > SECTION_BYTES_MAX {
            self.pending.clear();
            return on_section(Err(SectionFault::Length));
        }
        if let Some(section) = self.pending.get(..size) {
            on_section(check(section));
            self.pending.clear();
        }
    }

    fn drop_pending(&mut self, on_section: &mut impl FnMut(Result<Section<'_>, SectionFault>)) {
        if !self.pending.is_empty() {
            self.pending.clear();
            on_section(Err(SectionFault::Cut));
        }
    }
}

/// Size of the section at the front; `None` when not even its length is there.
fn section_size(bytes: &[u8]) -> Option<usize> {
    let &[_, high, low] = bytes.first_chunk()?;
    Some(3 + usize::from(u16::from_be_bytes([high & 0x0F, low])))
}

fn check(bytes: &[u8]) -> Result<Section<'_>, SectionFault> {
    let section = Section(bytes);
    if !section.has_long_form() {
        return Ok(section);
    }
    if bytes.len() < LONG_FORM_BYTES_MIN {
        return Err(SectionFault::Length);
    }
    // The CRC over a section and its own CRC is 0 (Annex A).
    if crc32b(bytes) == 0 { Ok(section) } else { Err(SectionFault::Crc) }
}

/// A table_id that none has: the rest of the packet is empty.
const STUFFING: u8 = 0xFF;
/// Longest private section (2.4.4.11); PAT, PMT and SDT end at 1,024.
const SECTION_BYTES_MAX: usize = 4096;
/// Header and CRC.
const LONG_FORM_BYTES_MIN: usize = 12;

#[cfg(test)]
mod tests;
