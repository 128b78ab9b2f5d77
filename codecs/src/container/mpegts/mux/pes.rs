//! PES packets, cut into transport-stream packets: ISO/IEC 13818-1 2.4.3.6 and 2.4.3.2.
//!
//! ```text
//! | 24 start code | 8 stream_id | 16 length | 10 .. | flags | header length | PTS | DTS | payload |
//! ```

use smallvec::SmallVec;

use crate::container::mpegts::packet::{PACKET_SIZE, Pcr, Pid, SYNC_BYTE};
use crate::container::mpegts::timestamp;
use crate::sink::ByteSink;

/// The payload of a PES packet as slices. The inline room is that of a picture in 16 slices with
/// parameter sets; more allocates.
pub(super) type Pieces<'a> = SmallVec<[&'a [u8]; 40]>;

/// What goes into the header of a PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PesHeader {
    /// stream_id.
    pub stream_id: u8,
    /// Presentation time in ticks of the transport stream, not yet wrapped.
    pub pts: i64,
    /// Decoding time in the same way; it is left out when it is the presentation time.
    pub dts: i64,
    /// The payload may be longer than the length field can say: only video.
    pub may_be_unbounded: bool,
}

/// What the adaptation field of the first packet says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adaptation {
    /// random_access_indicator.
    pub random_access: bool,
    /// elementary_stream_priority_indicator.
    pub priority: bool,
    /// Time in ticks of the transport stream, not yet wrapped.
    pub pcr: Option<i64>,
}

/// Where packets of one PID stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketCounter {
    pub pid: Pid,
    /// Counter of the next packet with payload.
    next: u8,
}

impl PacketCounter {
    pub(super) fn new(pid: Pid) -> Self {
        Self { pid, next: 0 }
    }

    /// The four bytes in front of a packet with payload.
    fn header(&mut self, starts_unit: bool, has_adaptation_field: bool) -> [u8; 4] {
        let control = if has_adaptation_field { 0x30 } else { 0x10 };
        let [high, low] = self.pid.value().to_be_bytes();
        let header = [SYNC_BYTE, high | u8::from(starts_unit) << 6, low, control | self.next];
        self.next = (self.next + 1) & 0x0F;
        header
    }
}

/// Writes one PES packet as whole transport-stream packets; returns how many. None when the payload
/// is longer than the header may say.
pub(super) fn write(
    counter: &mut PacketCounter,
    header: PesHeader,
    adaptation: Adaptation,
    payload: &[&[u8]],
    out: &mut impl ByteSink,
) -> Option<u32> {
    let payload_bytes: usize = payload.iter().map(|piece| piece.len()).sum();
    let (header, header_size) = pes_header(header, payload_bytes)?;
    let header = header.get(..header_size)?;
    let mut left = header.len() + payload_bytes;
    let mut source = Source { piece: header, rest: payload.iter() };
    let mut field = adaptation_field(adaptation);
    let mut is_first = true;
    let mut packets = 0;
    while left > 0 {
        let mut packet = [0xFF; PACKET_SIZE];
        let stuffing = (PACKET_SIZE - 4 - field.len()).saturating_sub(left);
        stuff(&mut field, stuffing);
        let (head, body) = packet.split_at_mut(4 + field.len());
        head[..4].copy_from_slice(&counter.header(is_first, !field.is_empty()));
        head[4..].copy_from_slice(&field);
        left -= source.fill(body);
        out.put(&packet);
        field.clear();
        is_first = false;
        packets += 1;
    }
    Some(packets)
}

/// Writes a packet that carries a PCR and nothing else. It does not count: only payload does.
pub(super) fn write_pcr(
    counter: &PacketCounter,
    pcr: i64,
    is_discontinuity: bool,
    out: &mut impl ByteSink,
) {
    let mut packet = [0xFF; PACKET_SIZE];
    let [high, low] = counter.pid.value().to_be_bytes();
    // The counter of the packet before, as 2.4.3.3 asks of a packet without payload.
    let continuity_counter = counter.next.wrapping_sub(1) & 0x0F;
    let flags = FLAG_PCR | if is_discontinuity { FLAG_DISCONTINUITY } else { 0 };
    let length = (PACKET_SIZE - 5) as u8;
    packet[..6].copy_from_slice(&[SYNC_BYTE, high, low, 0x20 | continuity_counter, length, flags]);
    packet[6..12].copy_from_slice(&pcr_bytes(pcr));
    out.put(&packet);
}

type Field = SmallVec<[u8; PACKET_SIZE]>;

/// The adaptation field without stuffing; empty when there is nothing to say.
fn adaptation_field(adaptation: Adaptation) -> Field {
    let mut field = Field::new();
    let Adaptation { random_access, priority, pcr } = adaptation;
    if !random_access && !priority && pcr.is_none() {
        return field;
    }
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags = flag(random_access, FLAG_RANDOM_ACCESS)
        | flag(priority, FLAG_PRIORITY)
        | flag(pcr.is_some(), FLAG_PCR);
    field.extend_from_slice(&[1, flags]);
    if let Some(pcr) = pcr {
        field.extend_from_slice(&pcr_bytes(pcr));
        field[0] = 7;
    }
    field
}

/// Makes an adaptation field longer; a new one of one byte is a length of 0.
fn stuff(field: &mut Field, bytes: usize) {
    if bytes == 0 {
        return;
    }
    let size = field.len() + bytes;
    if field.is_empty() {
        field.push(0);
        if size > 1 {
            field.push(0);
        }
    }
    field.resize(size, 0xFF);
    // At most 183: a field never fills more than a packet.
    field[0] = (size - 1) as u8;
}

fn pes_header(header: PesHeader, payload_bytes: usize) -> Option<([u8; PES_HEADER_MAX], usize)> {
    let has_dts = header.dts != header.pts;
    let times_bytes: u8 = if has_dts { 10 } else { 5 };
    let length = match u16::try_from(payload_bytes + 3 + usize::from(times_bytes)) {
        Ok(length) => length,
        Err(_) if header.may_be_unbounded => 0,
        Err(_) => return None,
    };
    let [length_high, length_low] = length.to_be_bytes();
    let pts_dts_flags = if has_dts { 0xC0 } else { 0x80 };
    let mut bytes = [0; PES_HEADER_MAX];
    bytes[..9].copy_from_slice(&[
        0,
        0,
        1,
        header.stream_id,
        length_high,
        length_low,
        DATA_ALIGNMENT,
        pts_dts_flags,
        times_bytes,
    ]);
    let pts = timestamp::to_bytes(pts_dts_flags >> 6, timestamp::wrap(header.pts));
    bytes[9..14].copy_from_slice(&pts);
    if has_dts {
        bytes[14..].copy_from_slice(&timestamp::to_bytes(0b0001, timestamp::wrap(header.dts)));
    }
    Some((bytes, 9 + usize::from(times_bytes)))
}

fn pcr_bytes(ticks: i64) -> [u8; 6] {
    Pcr::new(timestamp::wrap(ticks) * 300).to_bytes()
}

/// Slices in order, copied out in packets.
struct Source<'a, 'b> {
    piece: &'a [u8],
    rest: std::slice::Iter<'b, &'a [u8]>,
}

impl Source<'_, '_> {
    /// Copies as much as there is and fits; returns how many bytes that was.
    fn fill(&mut self, mut room: &mut [u8]) -> usize {
        let mut filled = 0;
        while !room.is_empty() {
            if self.piece.is_empty() {
                let Some(next) = self.rest.next() else { break };
                self.piece = next;
                continue;
            }
            let count = room.len().min(self.piece.len());
            let (target, left) = room.split_at_mut(count);
            let (source, later) = self.piece.split_at(count);
            target.copy_from_slice(source);
            (room, self.piece) = (left, later);
            filled += count;
        }
        filled
    }
}

/// Start code, stream_id, length, two flag bytes, header length, PTS and DTS.
const PES_HEADER_MAX: usize = 19;
/// The two marker bits and data_alignment_indicator: every PES packet starts with a unit.
const DATA_ALIGNMENT: u8 = 0x84;
const FLAG_DISCONTINUITY: u8 = 0x80;
const FLAG_RANDOM_ACCESS: u8 = 0x40;
const FLAG_PRIORITY: u8 = 0x20;
const FLAG_PCR: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::mpegts::packet::Packet;

    fn packets(payload: &[u8], adaptation: Adaptation) -> Vec<u8> {
        let mut counter = PacketCounter::new(Pid::new(0x100));
        let header = PesHeader { stream_id: 0xE0, pts: 3_600, dts: 0, may_be_unbounded: true };
        let mut out = Vec::new();
        // In pieces of every size, to cross the borders of packets anywhere.
        let pieces: Vec<&[u8]> = payload.chunks(7).collect();
        let count = write(&mut counter, header, adaptation, &pieces, &mut out).expect("unbounded");
        assert_eq!(out.len(), count as usize * PACKET_SIZE);
        out
    }

    #[test]
    fn every_payload_size_fills_whole_packets_and_comes_back() {
        let adaptations = [
            Adaptation::default(),
            Adaptation { random_access: true, ..Adaptation::default() },
            Adaptation { random_access: true, priority: true, pcr: Some(-1) },
        ];
        for adaptation in adaptations {
            for size in 0..600 {
                let payload: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
                let out = packets(&payload, adaptation);
                let mut unit = Vec::new();
                for (index, bytes) in out.as_chunks().0.iter().enumerate() {
                    let packet = Packet::new(bytes);
                    assert!(packet.has_sync() && !packet.is_malformed());
                    assert_eq!(packet.starts_unit(), index == 0);
                    assert_eq!(usize::from(packet.continuity_counter()), index % 16);
                    unit.extend_from_slice(packet.payload());
                }
                assert_eq!(
                    unit[..6],
                    [0, 0, 1, 0xE0, 0, (size + 13) as u8][..4]
                        .iter()
                        .chain(((size + 13) as u16).to_be_bytes().iter())
                        .copied()
                        .collect::<Vec<_>>()[..]
                );
                assert_eq!(unit[19..], payload, "{size}");
                let first = Packet::new(out.first_chunk().expect("a packet"));
                assert_eq!(first.is_random_access(), adaptation.random_access);
                assert_eq!(first.pcr().is_some(), adaptation.pcr.is_some());
            }
        }
    }

    // PTS 3600 and DTS 0 worked out by hand from 2.4.3.7.
    #[test]
    fn the_header_is_that_of_the_specification() {
        let out = packets(&[0xAB], Adaptation::default());
        let start = [0x47, 0x41, 0x00, 0x30, 163, 0x00, 0xFF];
        assert_eq!(out[..7], start);
        let pes = [
            0, 0, 1, 0xE0, 0, 14, 0x84, 0xC0, 10, 0x31, 0x00, 0x01, 0x1C, 0x21, 0x11, 0x00, 0x01,
            0x00, 0x01, 0xAB,
        ];
        assert_eq!(out[168..], pes);
    }

    #[test]
    fn a_long_unit_has_no_length_when_it_is_video_and_is_refused_otherwise() {
        let long = vec![0; 70_000];
        let out = packets(&long, Adaptation::default());
        assert_eq!(out[8..10], [0, 0]);
        let mut counter = PacketCounter::new(Pid::new(0x101));
        let header = PesHeader { stream_id: 0xC0, pts: 0, dts: 0, may_be_unbounded: false };
        let mut out = Vec::new();
        let adaptation = Adaptation::default();
        assert_eq!(write(&mut counter, header, adaptation, &[&long], &mut out), None);
        assert!(out.is_empty());
        assert_eq!(
            write(&mut counter, header, adaptation, &[&long[..65_527]], &mut out),
            Some(357)
        );
    }

    #[test]
    fn a_packet_with_a_pcr_alone_does_not_count() {
        let mut counter = PacketCounter::new(Pid::new(0x100));
        let _ = counter.header(false, false);
        let mut out = Vec::new();
        write_pcr(&counter, 90_000, true, &mut out);
        let packet = Packet::new(out.first_chunk().expect("a packet"));
        assert_eq!(out.len(), PACKET_SIZE);
        assert!(!packet.has_payload() && !packet.is_malformed() && packet.is_discontinuity());
        assert_eq!((packet.continuity_counter(), packet.pcr()), (0, Some(Pcr::new(27_000_000))));
        assert_eq!(counter.header(false, false)[3] & 0x0F, 1);
    }
}
