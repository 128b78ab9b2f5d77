//! One program of several, named by `#pnr=`: what is measured is that program alone.

use corelay_codecs::container::mpegts::filter::ProgramFilter;
use corelay_codecs::container::mpegts::packet::{PACKET_SIZE, Packet, Pid};
use corelay_codecs::container::mpegts::psi::{Limits, Pat, Tables};

/// Passes the packets of a program, and remembers which ones there are.
pub(super) struct Chosen {
    number: u16,
    filter: ProgramFilter,
    /// Only the PAT of them, as it came.
    tables: Tables,
    passed: Vec<u8>,
    has_passed: bool,
}

impl Chosen {
    pub(super) fn new(number: u16) -> Self {
        Self {
            number,
            filter: ProgramFilter::new(number),
            tables: Tables::new(Limits::default()),
            passed: Vec::new(),
            has_passed: false,
        }
    }

    /// The packets of the program among these, which are whole.
    pub(super) fn pass(&mut self, packets: &[u8]) -> &[u8] {
        for packet in packets.as_chunks::<PACKET_SIZE>().0 {
            let packet = Packet::new(packet);
            if packet.has_sync() && packet.pid() == Pid::PAT {
                self.tables.push(packet, &mut |_| {});
            }
        }
        self.passed.clear();
        self.filter.push(packets, &mut self.passed);
        self.has_passed |= !self.passed.is_empty();
        &self.passed
    }

    /// program_number.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// The program was there.
    pub(super) fn has_passed(&self) -> bool {
        self.has_passed
    }

    /// The newest PAT, as it came.
    pub(super) fn pat(&self) -> Option<&Pat> {
        self.tables.pat()
    }
}
