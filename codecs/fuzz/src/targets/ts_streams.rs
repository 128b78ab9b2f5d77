//! Elementary streams of every coding behind tables that are right: the input is payloads, each
//! behind a byte that tells the stream and whether a PES packet starts, and one with its size.

use bytes::Bytes;
use corelay_codecs::container::mpegts::demux::{Demuxer, Output, Settings};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet};
use corelay_codecs::{CodecId, UnitKind};

/// Decoding times go forward, and length-prefixed NAL units fill their payload to the last byte.
pub fn run(data: &[u8]) {
    let access_unit_bytes_max = 4_000;
    let mut demuxer = Demuxer::new(Settings { access_unit_bytes_max, ..Settings::default() });
    let mut out = Vec::new();
    for packet in TABLES {
        let mut bytes = [0xFF; PACKET_SIZE];
        bytes[..packet.len()].copy_from_slice(packet);
        demuxer.push_packet(Packet::new(&bytes), &mut out);
    }
    assert_eq!(demuxer.tracks().count(), 8);
    let mut counters = [0_u8; 8];
    let mut rest = data;
    while let &[head, size, ref payload @ ..] = rest {
        let size = usize::from(size).min(PACKET_SIZE - 5).min(payload.len());
        let (payload, next) = payload.split_at(size);
        rest = next;
        let stream = head & 7;
        let counter = &mut counters[usize::from(stream)];
        let flags = if head & 8 != 0 { 0x41 } else { 1 };
        // Seldom a packet is lost.
        *counter = (*counter + if head & 0xF0 == 0xF0 { 2 } else { 1 }) & 0x0F;
        let mut packet = vec![0x47, flags, stream, 0x30 | *counter];
        packet.push((PACKET_SIZE - 5 - size) as u8);
        packet.resize(PACKET_SIZE - size, 0);
        packet.extend_from_slice(payload);
        demuxer.push_packet(Packet::parse(&packet).expect("a whole packet"), &mut out);
    }
    demuxer.finish(&mut out);
    super::ts_demux::check(&out, access_unit_bytes_max);
    for output in &out {
        if let Output::Unit(unit) = output
            && matches!(unit.kind, UnitKind::Frame { .. })
            && matches!(unit.codec, CodecId::H264 | CodecId::H265)
        {
            check_lengths(&unit.payload);
        }
    }
}

fn check_lengths(payload: &Bytes) {
    let mut rest: &[u8] = payload;
    assert!(!rest.is_empty());
    while !rest.is_empty() {
        let (size, units) = rest.split_first_chunk::<4>().expect("a length");
        rest = units.get(u32::from_be_bytes(*size) as usize..).expect("a NAL unit");
    }
}

/// PAT and PMT of one program with H.264, H.265, AAC in ADTS and in LATM, MPEG audio, AC-3, Opus
/// and AV1 on PIDs 0x100 to 0x107.
const TABLES: [&[u8]; 2] = [
    &[
        0x47, 0x40, 0x00, 0x10, 0x00, 0x00, 0xB0, 0x0D, 0x00, 0x01, 0xC1, 0x00, 0x00, 0x00, 0x01,
        0xE0, 0x20, 0xA2, 0xC3, 0x29, 0x41,
    ],
    &[
        0x47, 0x40, 0x20, 0x10, 0x00, 0x02, 0xB0, 0x45, 0x00, 0x01, 0xC1, 0x00, 0x00, 0xE1, 0x00,
        0xF0, 0x00, 0x1B, 0xE1, 0x00, 0xF0, 0x00, 0x24, 0xE1, 0x01, 0xF0, 0x00, 0x0F, 0xE1, 0x02,
        0xF0, 0x00, 0x11, 0xE1, 0x03, 0xF0, 0x00, 0x03, 0xE1, 0x04, 0xF0, 0x00, 0x81, 0xE1, 0x05,
        0xF0, 0x00, 0x06, 0xE1, 0x06, 0xF0, 0x0A, 0x05, 0x04, 0x4F, 0x70, 0x75, 0x73, 0x7F, 0x02,
        0x80, 0x02, 0x06, 0xE1, 0x07, 0xF0, 0x06, 0x05, 0x04, 0x41, 0x56, 0x30, 0x31, 0x72, 0x18,
        0x6A, 0xE3,
    ],
];
