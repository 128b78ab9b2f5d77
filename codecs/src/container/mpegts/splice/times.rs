//! Where times stand in a packet, and how they are changed there.

use super::clock;
use crate::container::mpegts::packet::{PACKET_SIZE, Pcr};
use crate::container::mpegts::timestamp;

/// Position of the PCR and of the OPCR.
pub(super) fn pcrs(packet: &[u8; PACKET_SIZE]) -> [Option<usize>; 2] {
    if packet[3] & 0x20 == 0 || packet[5] & 0x18 == 0 {
        return [None, None];
    }
    let end = (FIELD_AT + usize::from(packet[4])).min(PACKET_SIZE);
    let fits = |at: usize| (at + PCR_BYTES <= end).then_some(at);
    let pcr = if packet[5] & 0x10 != 0 { fits(FIELD_AT + 1) } else { None };
    let opcr_at = FIELD_AT + 1 + if packet[5] & 0x10 != 0 { PCR_BYTES } else { 0 };
    let opcr = if packet[5] & 0x08 != 0 { fits(opcr_at) } else { None };
    [pcr, opcr]
}

/// The PCR at this position.
pub(super) fn pcr(packet: &[u8; PACKET_SIZE], at: usize) -> Option<Pcr> {
    Pcr::parse(packet.get(at..)?)
}

pub(super) fn shift_pcr(packet: &mut [u8; PACKET_SIZE], at: usize, shift: i64) {
    let Some(pcr) = pcr(packet, at) else { return };
    let field = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<PCR_BYTES>());
    if let Some(field) = field {
        *field = clock::shifted_pcr(pcr, shift).to_bytes();
    }
}

/// The times of a PES packet that starts in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PesTimes {
    /// No PES packet starts, or it has no times.
    None,
    /// It has times, and they are not all in this packet.
    Cut,
    /// Position of the PTS, and of the DTS where there is one.
    At(usize, Option<usize>),
}

/// Finds the times of a packet that starts a unit and is not scrambled.
pub(super) fn pes_times(packet: &[u8; PACKET_SIZE]) -> PesTimes {
    let payload_at = match packet[3] & 0x30 {
        0x10 => 4,
        0x30 => 5 + usize::from(packet[4]),
        _ => return PesTimes::None,
    };
    let payload = packet.get(payload_at..).unwrap_or_default();
    let start = payload.get(..payload.len().min(3)).unwrap_or_default();
    if start != &[0, 0, 1][..start.len()] || start.is_empty() {
        return PesTimes::None;
    }
    let Some(&[_, _, _, stream_id, _, _, flags, content, size]) = payload.first_chunk() else {
        return PesTimes::Cut;
    };
    if !has_long_header(stream_id) || flags >> 6 != 0b10 || content & 0x80 == 0 {
        return PesTimes::None;
    }
    let has_dts = content & 0x40 != 0;
    let times_size = if has_dts { 2 * TIME_BYTES } else { TIME_BYTES };
    if usize::from(size) < times_size {
        return PesTimes::None; // contradicts itself
    }
    let at = payload_at + PES_HEADER_BYTES;
    match at + times_size <= PACKET_SIZE {
        true => PesTimes::At(at, has_dts.then_some(at + TIME_BYTES)),
        false => PesTimes::Cut,
    }
}

/// The PTS or DTS at this position.
pub(super) fn time(packet: &[u8; PACKET_SIZE], at: usize) -> Option<u64> {
    timestamp::parse(packet.get(at..)?)
}

/// Changes a PTS or DTS; its prefix and marker bits stay as they are.
pub(super) fn shift_time(packet: &mut [u8; PACKET_SIZE], at: usize, shift: i64) {
    let Some(time) = time(packet, at) else { return };
    let shifted = timestamp::to_bytes(0, clock::shifted_time(time, shift));
    let fields = packet.iter_mut().skip(at).zip(shifted).zip(TIME_BITS);
    for ((byte, shifted), bits) in fields {
        *byte = *byte & !bits | shifted & bits;
    }
}

/// False for the stream ids whose payload follows the length (table 2-22).
fn has_long_header(stream_id: u8) -> bool {
    !matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0 | 0xF1 | 0xF2 | 0xF8 | 0xFF)
}

/// The adaptation field's flags.
const FIELD_AT: usize = 5;
const PCR_BYTES: usize = 6;
const TIME_BYTES: usize = 5;
/// Which bits of a PTS are the time.
const TIME_BITS: [u8; TIME_BYTES] = [0x0E, 0xFF, 0xFE, 0xFF, 0xFE];
/// A PES header up to and with its length.
const PES_HEADER_BYTES: usize = 9;
