//! Units of any content and time into the transport stream multiplexer. A unit is four bytes (what
//! it is; a step of time, signed, in 20 ms; size; presentation offset) and its payload. An input of
//! odd size has a track of metadata, and units with the highest bit set are tags for it.

use bytes::Bytes;
use corelay_codecs::container::mpegts::analysis::{Analyser, Indicator, Settings};
use corelay_codecs::container::mpegts::mux::{self, Muxer};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet, timestamp};
use corelay_codecs::{AccessUnit, CodecId, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};

const CODECS: [CodecId; 8] = [
    CodecId::H264,
    CodecId::H265,
    CodecId::H266,
    CodecId::Av1,
    CodecId::Aac,
    CodecId::Opus,
    CodecId::Mp3,
    CodecId::Ac3,
];

/// Whatever comes in, whole packets go out that the analyser finds nothing wrong with, and no PCR is
/// ahead of the times that follow it.
pub fn run(data: &[u8]) {
    let timed_metadata = data.len() % 2 == 1;
    let mut muxer = Muxer::new(mux::Settings { timed_metadata, ..mux::Settings::default() });
    let mut analyser = Analyser::new(Settings::default());
    let (mut dts, mut pcr) = (0_i64, None);
    let mut rest = data;
    while let Some((&[what, step, size, offset], after)) = rest.split_first_chunk() {
        let (payload, after) = after.split_at(usize::from(size).min(after.len()));
        rest = after;
        // Now and then a step over hours.
        let step = if step == 0x80 { 1 << 32 } else { i64::from(step as i8) * 1_800 };
        dts += step;
        let unit = unit(what, dts, offset, payload);
        let mut out = Vec::new();
        let before = muxer.stats().packets;
        let written = match timed_metadata && what & 0x80 != 0 {
            true => muxer.write_metadata(&[b"ID3", payload].concat(), unit.dts, &mut out),
            false => muxer.write(&unit, &mut out),
        };
        assert_eq!(out.len(), written.packets as usize * PACKET_SIZE);
        assert_eq!(muxer.stats().packets - before, u64::from(written.packets));
        for packet in out.as_chunks().0 {
            look(Packet::new(packet), &mut pcr);
        }
        analyser.packets(&out, 0);
    }
    let mut prologue = Vec::new();
    muxer.write_prologue(&mut prologue);
    analyser.packets(&prologue, 0);
    for indicator in [
        Indicator::SyncByteError,
        Indicator::ContinuityCountError,
        Indicator::CrcError,
        Indicator::PcrDiscontinuityIndicatorError,
    ] {
        assert_eq!(analyser.errors(indicator), 0, "{}", indicator.name());
    }
    assert_eq!(analyser.snapshot().totals.section_errors, 0);
}

fn unit(what: u8, dts: i64, offset: u8, payload: &[u8]) -> AccessUnit {
    let codec = CODECS[usize::from(what & 0x07)];
    let kind = if usize::from(what & 0x07) < 4 { TrackKind::Video } else { TrackKind::Audio };
    AccessUnit {
        track: TrackId { kind, index: what >> 3 & 0x01 },
        kind: match what >> 4 & 0x07 {
            0 => UnitKind::Config,
            1 => UnitKind::EndOfSequence,
            2 | 3 => UnitKind::Frame { random_access: true },
            _ => UnitKind::Frame { random_access: false },
        },
        codec,
        dts: Timestamp(dts),
        pts_offset: i32::from(offset as i8) * 900,
        payload: Bytes::copy_from_slice(payload),
        flv: FlvBody::Build,
    }
}

fn look(packet: Packet<'_>, pcr: &mut Option<u64>) {
    assert!(packet.has_sync() && !packet.is_malformed());
    *pcr = packet.pcr().map(|pcr| pcr.base()).or(*pcr);
    let payload = packet.payload();
    let is_pes = packet.starts_unit() && payload.starts_with(&[0, 0, 1]);
    if let (true, Some(pcr)) = (is_pes, *pcr) {
        let at = if payload[7] & 0x40 != 0 { 14 } else { 9 };
        let dts = timestamp::parse(&payload[at..]).expect("a time");
        assert!(timestamp::difference(dts, pcr) >= 0);
    }
}
