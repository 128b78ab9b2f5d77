//! Transport streams for tests, packet by packet.

use libmpegts::psi::{
    PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream, Sections,
};

use super::packet::{PACKET_SIZE, Pcr, Pid};
use super::timestamp;

/// Writes packets with right counters.
pub(super) struct TestStream {
    pub(super) bytes: Vec<u8>,
    counters: Vec<u8>,
}

/// What stands in the adaptation field of a PES packet's first packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field {
    pub(super) random_access: bool,
    /// In ticks of 27 MHz.
    pub(super) pcr: Option<u64>,
}

impl TestStream {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), counters: vec![0; Pid::COUNT] }
    }

    /// What was written since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The next packet of this PID has this counter.
    pub(super) fn set_counter(&mut self, pid: u16, counter: u8) {
        self.counters[usize::from(pid)] = counter & 0x0F;
    }

    /// The counter of the next packet of this PID.
    pub(super) fn counter(&self, pid: u16) -> u8 {
        self.counters[usize::from(pid)]
    }

    /// A payload in as many packets as it needs; the rest is `0xFF`, as in tables.
    pub(super) fn payload(&mut self, pid: u16, payload: &[u8]) {
        for (index, part) in payload.chunks(PACKET_SIZE - 4).enumerate() {
            self.header(pid, index == 0, 0x10);
            self.bytes.extend_from_slice(part);
            self.fill();
        }
    }

    pub(super) fn sections(&mut self, pid: u16, sections: &Sections) {
        for section in sections {
            self.payload(pid, &[&[0], section].concat());
        }
    }

    /// A PES packet, filled up with an adaptation field.
    pub(super) fn pes(&mut self, pid: u16, field: Field, pes: &[u8]) {
        let mut adaptation = Vec::new();
        if field.random_access || field.pcr.is_some() {
            let flags = u8::from(field.random_access) << 6 | u8::from(field.pcr.is_some()) << 4;
            adaptation.push(flags);
            let pcr = field.pcr.map(|pcr| Pcr::new(pcr).to_bytes());
            adaptation.extend(pcr.into_iter().flatten());
        }
        let mut rest = pes;
        let mut is_first = true;
        while is_first || !rest.is_empty() {
            let field_size = if adaptation.is_empty() { 0 } else { 1 + adaptation.len() };
            let room = PACKET_SIZE - 4 - field_size;
            let (part, next) = rest.split_at(rest.len().min(room));
            let stuffing = room - part.len();
            let has_field = field_size > 0 || stuffing > 0;
            self.header(pid, is_first, if has_field { 0x30 } else { 0x10 });
            if has_field {
                let mut content = std::mem::take(&mut adaptation);
                let size = field_size + stuffing - 1;
                if content.is_empty() && size > 0 {
                    content.push(0);
                }
                self.bytes.push(size as u8);
                content.resize(size, 0xFF);
                self.bytes.extend_from_slice(&content);
            }
            self.bytes.extend_from_slice(part);
            (rest, is_first) = (next, false);
        }
    }

    /// A packet with a PCR and no payload; the counter does not count it.
    pub(super) fn pcr(&mut self, pid: u16, pcr: u64) {
        let counter = self.counters[usize::from(pid)].wrapping_sub(1) & 0x0F;
        let [high, low] = pid.to_be_bytes();
        self.bytes.extend_from_slice(&[0x47, high, low, 0x20 | counter, 183, 0x10]);
        self.bytes.extend_from_slice(&Pcr::new(pcr).to_bytes());
        self.fill();
    }

    fn header(&mut self, pid: u16, starts_unit: bool, control: u8) {
        let counter = &mut self.counters[usize::from(pid)];
        let [high, low] = pid.to_be_bytes();
        let start = if starts_unit { 0x40 } else { 0 };
        self.bytes.extend_from_slice(&[0x47, start | high, low, control | *counter]);
        *counter = (*counter + 1) & 0x0F;
    }

    fn fill(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(PACKET_SIZE), 0xFF);
    }
}

/// A PES packet of unknown size with a PTS, and a DTS where it is another one.
pub(super) fn pes(stream_id: u8, pts: u64, dts: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, stream_id, 0, 0, 0x80];
    if pts == dts {
        bytes.extend_from_slice(&[0x80, 5]);
        bytes.extend_from_slice(&timestamp::to_bytes(2, pts));
    } else {
        bytes.extend_from_slice(&[0xC0, 10]);
        bytes.extend_from_slice(&timestamp::to_bytes(3, pts));
        bytes.extend_from_slice(&timestamp::to_bytes(1, dts));
    }
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) fn pat(version: u8, programs: &[(u16, u16)]) -> Sections {
    let program = |&(program_number, pid): &(u16, u16)| PatProgram { program_number, pid };
    PatBuilder::build(PatConfig {
        transport_stream_id: 7,
        version,
        programs: programs.iter().map(program).collect(),
    })
}

/// Streams are stream_type, PID and descriptors.
pub(super) fn pmt(
    program_number: u16,
    version: u8,
    pcr_pid: u16,
    streams: &[(u8, u16, &[u8])],
) -> Sections {
    let stream = |&(stream_type, elementary_pid, descriptors): &(u8, u16, &[u8])| PmtStream {
        stream_type,
        elementary_pid,
        stream_descriptors: descriptors.to_vec(),
    };
    PmtBuilder::build(PmtConfig {
        program_number,
        pcr_pid,
        version,
        program_descriptors: Vec::new(),
        streams: streams.iter().map(stream).collect(),
    })
}
