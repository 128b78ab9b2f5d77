//! A transport stream of H.264, private data and cues, packet by packet.

use bytes::Bytes;
use corelay_codecs::TsBlock;

use super::hex;

pub const VIDEO: u16 = 0x100;
/// Something that no packager looks into.
pub const SUBTITLES: u16 = 0x105;
pub const CUES: u16 = 0x106;
pub const TELETEXT: u16 = 0x107;
const PMT: u16 = 0x20;
const AVC: u8 = 0x1B;
const PRIVATE: u8 = 0x06;
const SCTE35: u8 = 0x86;
const PACKET_SIZE: usize = 188;

/// Writes packets with right continuity counters.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    counters: std::collections::BTreeMap<u16, u8>,
    /// Languages, types and pages of the teletext descriptor; the PMT has none while it is empty.
    pub teletext: Vec<u8>,
}

impl Stream {
    /// PAT, and a PMT of this version in which the pictures are on this PID.
    pub fn tables(&mut self, version: u8, video: u16) {
        self.payload(0, &section(&[0, 0, 7, 0xC1, 0, 0, 0, 1, 0xE0, PMT as u8], 0));
        let [high, low] = video.to_be_bytes();
        let flags = 0xC1 | version << 1;
        let mut pmt = vec![2, 0, 1, flags, 0, 0, 0xE0 | high, low, 0xF0, 0];
        for (stream_type, pid) in [(AVC, video), (PRIVATE, SUBTITLES), (SCTE35, CUES)] {
            let [high, low] = pid.to_be_bytes();
            pmt.extend([stream_type, 0xE0 | high, low, 0xF0, 0]);
        }
        if !self.teletext.is_empty() {
            let ([high, low], size) = (TELETEXT.to_be_bytes(), self.teletext.len() as u8);
            pmt.extend([PRIVATE, 0xE0 | high, low, 0xF0, size + 2, 0x56, size]);
            pmt.extend_from_slice(&self.teletext);
        }
        self.payload(PMT, &section(&pmt, 0));
    }

    /// A picture of 25 fps; the first slice and, where decoding can start, its parameter sets.
    pub fn picture(&mut self, pid: u16, dts: i64, random_access: bool) {
        let sps = hex("00000001 6742c00cd901419f9f011000000300100000030320f142a480");
        let pps = hex("00000001 68cb83cb20");
        let (sets, nal_type) = match random_access {
            true => ([&sps[..], &pps].concat(), 0x65),
            false => (Vec::new(), 0x41),
        };
        let slice = [&[0, 0, 0, 1, nal_type][..], &[0x88; 700]].concat();
        let access_unit = [&[0, 0, 0, 1, 9, 0xF0][..], &sets, &slice].concat();
        self.pes(pid, 0xE0, dts + 3_600, dts, random_access, &access_unit);
        self.payload(SUBTITLES, &[0x55; 100]);
    }

    /// A splice_info_section, given without its CRC.
    pub fn cue(&mut self, section_without_crc: &[u8]) {
        let mut bytes = section_without_crc.to_vec();
        bytes.extend(crc(&bytes).to_be_bytes());
        self.payload(CUES, &[&[0], &bytes[..]].concat());
    }

    /// A PES packet of teletext, in whole packets.
    pub fn teletext(&mut self, pes: &[u8]) {
        for (index, part) in pes.chunks(PACKET_SIZE - 4).enumerate() {
            self.header(TELETEXT, index == 0, false);
            self.bytes.extend_from_slice(part);
        }
    }

    /// A packet with a PCR and nothing else.
    pub fn pcr(&mut self, pid: u16, ticks: i64) {
        let counter = self.counters.get(&pid).map_or(0, |next| next.wrapping_sub(1) & 0x0F);
        let [high, low] = pid.to_be_bytes();
        let base = (ticks as u64 & 0x1_FFFF_FFFF) << 15 | 0x7E00;
        self.bytes.extend([0x47, high, low, 0x20 | counter, 183, 0x10]);
        self.bytes.extend_from_slice(&base.to_be_bytes()[2..]);
        self.bytes.resize(self.bytes.len().next_multiple_of(PACKET_SIZE), 0xFF);
    }

    /// The packets since the last call.
    pub fn take(&mut self) -> TsBlock {
        TsBlock::new(Bytes::from(std::mem::take(&mut self.bytes))).unwrap()
    }

    fn pes(&mut self, pid: u16, id: u8, pts: i64, dts: i64, random_access: bool, data: &[u8]) {
        let mut bytes = vec![0, 0, 1, id, 0, 0, 0x80, 0xC0, 10];
        bytes.extend(time(3, pts));
        bytes.extend(time(1, dts));
        bytes.extend_from_slice(data);
        // random_access_indicator, and stuffing in the last packet.
        let mut rest = &bytes[..];
        let mut field: &[u8] = if random_access { &[1, 0x40] } else { &[] };
        let mut starts_unit = true;
        while !rest.is_empty() {
            let room = PACKET_SIZE - 4 - field.len();
            let (part, next) = rest.split_at(rest.len().min(room));
            let stuffing = room - part.len();
            self.header(pid, starts_unit, !field.is_empty() || stuffing > 0);
            match (field, stuffing) {
                ([], 0) => {}
                ([], 1) => self.bytes.push(0),
                ([], _) => {
                    self.bytes.extend([stuffing as u8 - 1, 0]);
                    self.bytes.resize(self.bytes.len() + stuffing - 2, 0xFF);
                }
                (field, 0) => self.bytes.extend_from_slice(field),
                _ => unreachable!("pictures are longer than a packet"),
            }
            self.bytes.extend_from_slice(part);
            (rest, field, starts_unit) = (next, &[], false);
        }
    }

    fn payload(&mut self, pid: u16, payload: &[u8]) {
        self.header(pid, true, false);
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(PACKET_SIZE), 0xFF);
    }

    fn header(&mut self, pid: u16, starts_unit: bool, has_field: bool) {
        let counter = self.counters.entry(pid).or_default();
        let [high, low] = pid.to_be_bytes();
        let control = if has_field { 0x30 } else { 0x10 };
        self.bytes.extend([0x47, u8::from(starts_unit) << 6 | high, low, control | *counter]);
        *counter = (*counter + 1) & 0x0F;
    }
}

/// The five bytes of a time (ISO/IEC 13818-1 2.4.3.7), which wraps.
fn time(prefix: u8, ticks: i64) -> [u8; 5] {
    let time = ticks as u64 & 0x1_FFFF_FFFF;
    [
        prefix << 4 | (time >> 29) as u8 & 0x0E | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]
}

/// A pointer field and a section with its length and CRC; the content without both.
fn section(content: &[u8], pointer: u8) -> Vec<u8> {
    let (table_id, rest) = content.split_first().unwrap();
    let length = rest.len() as u16 + 4;
    let mut bytes = vec![*table_id, 0xB0 | (length >> 8) as u8, length as u8];
    bytes.extend_from_slice(rest);
    bytes.extend(crc(&bytes).to_be_bytes());
    bytes.insert(0, pointer);
    bytes
}

/// ISO/IEC 13818-1 Annex A.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    })
}
