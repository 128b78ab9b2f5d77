//! PAT, PMT and SDT as packets, kept ready: libmpegts makes the sections when something changes,
//! and the packets are copied out with their counters set.

use libmpegts::psi::{
    Desc48, Descriptor, PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream,
    SDT_TABLE_ID_ACTUAL, SdtBuilder, SdtConfig, SdtService, Sections,
};
use libmpegts::utils::textcode::Charset;

use super::carriage::{self, Carriage};
use super::settings::Settings;
use crate::access_unit::TrackKind;
use crate::container::mpegts::packet::{PACKET_SIZE, Pid, SYNC_BYTE};
use crate::sink::ByteSink;

/// The tables of one multiplex.
///
/// Invariants
/// - The packets held have the counters of those that were written last.
#[derive(Debug)]
pub(super) struct Tables {
    pat: Packets,
    pmt: Packets,
    sdt: Packets,
    /// What the PMT says; to see whether it changes.
    described: Option<Description>,
    pmt_version: u8,
    sdt_version: u8,
}

/// What the PMT and the SDT are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub pcr_pid: Pid,
    pub streams: Vec<(Pid, TrackKind, Carriage)>,
}

impl Description {
    fn service_type(&self) -> u8 {
        let has_video = self.streams.iter().any(|(_, kind, _)| *kind == TrackKind::Video);
        if has_video { SERVICE_TYPE_TELEVISION } else { SERVICE_TYPE_RADIO }
    }
}

impl Tables {
    pub(super) fn new(settings: &Settings) -> Self {
        let pat = PatBuilder::build(PatConfig {
            transport_stream_id: settings.transport_stream_id,
            version: 0,
            programs: vec![PatProgram {
                program_number: settings.program_number,
                pid: settings.pmt_pid.value(),
            }],
        });
        Self {
            pat: Packets::new(Pid::PAT, &pat),
            pmt: Packets::new(settings.pmt_pid, &Sections::default()),
            sdt: Packets::new(Pid::SDT, &Sections::default()),
            described: None,
            pmt_version: 0,
            sdt_version: 0,
        }
    }

    /// Describes the tracks as they are now; the version counts up when they differ from before.
    pub(super) fn describe(&mut self, settings: &Settings, description: Description) {
        let Some(before) = &self.described else {
            self.build_pmt(settings, &description);
            self.build_sdt(settings, &description);
            self.described = Some(description);
            return;
        };
        if *before == description {
            return;
        }
        let service_type_changed = before.service_type() != description.service_type();
        self.pmt_version = (self.pmt_version + 1) & VERSION_MASK;
        self.build_pmt(settings, &description);
        if service_type_changed {
            self.sdt_version = (self.sdt_version + 1) & VERSION_MASK;
            self.build_sdt(settings, &description);
        }
        self.described = Some(description);
    }

    /// Writes PAT and PMT, and the SDT if it is wanted; returns the number of packets.
    pub(super) fn write(&mut self, with_sdt: bool, out: &mut impl ByteSink) -> u32 {
        let count = self.pat.write(out) + self.pmt.write(out);
        count + if with_sdt { self.sdt.write(out) } else { 0 }
    }

    /// Writes again what was written last.
    pub(super) fn repeat(&self, out: &mut impl ByteSink) {
        for packets in [&self.pat, &self.pmt, &self.sdt] {
            out.put(&packets.bytes);
        }
    }

    fn build_pmt(&mut self, settings: &Settings, description: &Description) {
        let stream = |(pid, _, carriage): &(Pid, TrackKind, Carriage)| PmtStream {
            stream_type: carriage.stream_type,
            elementary_pid: pid.value(),
            stream_descriptors: carriage.descriptors.to_vec(),
        };
        let program_descriptors = match settings.timed_metadata {
            true => carriage::timed_id3_pointer(settings.program_number),
            false => Vec::new(),
        };
        let sections = PmtBuilder::build(PmtConfig {
            program_number: settings.program_number,
            pcr_pid: description.pcr_pid.value(),
            version: self.pmt_version,
            program_descriptors,
            streams: description.streams.iter().map(stream).collect(),
        });
        self.pmt.replace(&sections);
    }

    fn build_sdt(&mut self, settings: &Settings, description: &Description) {
        let sections = SdtBuilder::build(SdtConfig {
            table_id: SDT_TABLE_ID_ACTUAL,
            transport_stream_id: settings.transport_stream_id,
            original_network_id: settings.original_network_id,
            version: self.sdt_version,
            services: vec![SdtService {
                service_id: settings.program_number,
                eit_schedule_flag: false,
                eit_present_following_flag: false,
                running_status: RUNNING,
                free_ca_mode: false,
                service_descriptors: service_descriptor(settings, description.service_type()),
            }],
        });
        self.sdt.replace(&sections);
    }
}

/// service_descriptor (ETSI EN 300 468 6.2.33): plain ASCII as it is, everything else as UTF-8,
/// which is marked.
fn service_descriptor(settings: &Settings, service_type: u8) -> Vec<u8> {
    let cut = |name: &str| name.chars().take(NAME_CHARS_MAX).collect::<String>();
    let (provider, service) = (cut(&settings.provider_name), cut(&settings.service_name));
    let is_ascii = provider.is_ascii() && service.is_ascii();
    let mut bytes = Vec::new();
    let descriptor = Desc48 {
        service_type,
        provider_name: &provider,
        service_name: &service,
        charset: if is_ascii { Charset::Iso6937 } else { Charset::Utf8 },
    };
    if descriptor.encode(&mut bytes).is_err() {
        // A name that cannot be encoded is left out: 0x48, length, type, two empty names.
        bytes = vec![0x48, 3, service_type, 0, 0];
    }
    bytes
}

/// The sections of one PID, cut into packets.
#[derive(Debug)]
struct Packets {
    pid: Pid,
    bytes: Vec<u8>,
    /// Counter of the next packet.
    next: u8,
}

impl Packets {
    fn new(pid: Pid, sections: &Sections) -> Self {
        let mut packets = Self { pid, bytes: Vec::new(), next: 0 };
        packets.replace(sections);
        packets
    }

    /// Cuts sections into packets; each section starts in a packet of its own.
    fn replace(&mut self, sections: &Sections) {
        self.bytes.clear();
        let [high, low] = self.pid.value().to_be_bytes();
        for section in sections.iter() {
            // The pointer_field in front: the section starts right behind it.
            let payload = [&[0], section].concat();
            for (index, part) in payload.chunks(PACKET_SIZE - 4).enumerate() {
                let starts_section = if index == 0 { 0x40 } else { 0 };
                self.bytes.extend_from_slice(&[SYNC_BYTE, high | starts_section, low, 0x10]);
                self.bytes.extend_from_slice(part);
                self.bytes.resize(self.bytes.len().next_multiple_of(PACKET_SIZE), 0xFF);
            }
        }
        // As if they had been written last: what is written next continues a repetition of them.
        let packets = self.bytes.as_chunks_mut::<PACKET_SIZE>().0;
        let mut counter = self.next.wrapping_sub(packets.len() as u8);
        for packet in packets {
            packet[3] = 0x10 | counter & 0x0F;
            counter = counter.wrapping_add(1);
        }
    }

    fn write(&mut self, out: &mut impl ByteSink) -> u32 {
        let packets = self.bytes.as_chunks_mut::<PACKET_SIZE>().0;
        for packet in &mut *packets {
            packet[3] = 0x10 | self.next;
            self.next = (self.next + 1) & 0x0F;
        }
        let count = packets.len() as u32;
        out.put(&self.bytes);
        count
    }
}

const VERSION_MASK: u8 = 0x1F;
/// running_status: running.
const RUNNING: u8 = 4;
const SERVICE_TYPE_TELEVISION: u8 = 0x01;
const SERVICE_TYPE_RADIO: u8 = 0x02;
/// Two names of 60 characters of up to 4 bytes fit the 255 bytes of a descriptor only when they are
/// not both of the longest; then the names are left out.
const NAME_CHARS_MAX: usize = 60;

#[cfg(test)]
mod tests;
