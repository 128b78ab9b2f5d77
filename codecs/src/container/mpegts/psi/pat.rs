//! A PAT for players that read no more of it than its first row.

use libmpegts::utils::crc32b;

use crate::container::mpegts::packet::{PACKET_SIZE, Packet, Pid};

/// The same packets, with the programs in front of the network in their PAT: ISO/IEC 13818-1 2.4.4.3 leaves
/// the order open, DVB streams begin with the network (program number 0), and players take the first row
/// for the program. `None`: nothing is to be changed, or what stands there is no PAT within one packet.
pub fn programs_first(packets: &[u8]) -> Option<Vec<u8>> {
    let mut changed: Option<Vec<u8>> = None;
    for (number, bytes) in packets.chunks_exact(PACKET_SIZE).enumerate() {
        let Some(section) = section_of(bytes) else { continue };
        let whole = changed.get_or_insert_with(|| packets.to_vec());
        let start = number * PACKET_SIZE + section.start;
        if let Some(section) = whole.get_mut(start..start + section.len()) {
            sort(section);
        }
    }
    changed
}

/// Where in a packet a PAT lies that begins with the network and names programs too.
fn section_of(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let packet = Packet::parse(bytes).ok()?;
    if packet.pid() != Pid::PAT || !packet.starts_unit() {
        return None;
    }
    let (&pointer, rest) = packet.payload().split_first()?;
    let section = rest.get(usize::from(pointer)..)?;
    let &[0, high, low, ..] = section else { return None };
    let length = HEADER_BYTES + (usize::from(high & 0x0f) << 8 | usize::from(low));
    let section = section.get(..length)?;
    let rows = rows(section)?;
    let has_programs = rows.chunks_exact(ROW_BYTES).any(|row| !is_network(row));
    let needs_change = has_programs && is_network(rows) && crc32b(section) == 0;
    let start = bytes.len() - rest.len() + usize::from(pointer);
    needs_change.then_some(start..start + length)
}

fn sort(section: &mut [u8]) {
    let Some(rows) = rows(section) else { return };
    let mut sorted: Vec<[u8; ROW_BYTES]> = rows.as_chunks().0.to_vec();
    // Stable: the programs stay as they were among themselves.
    sorted.sort_by_key(|row| is_network(row));
    let (body, crc) = section.split_at_mut(section.len() - CRC_BYTES);
    body[ROWS_AT..].copy_from_slice(sorted.as_flattened());
    crc.copy_from_slice(&crc32b(body).to_be_bytes());
}

/// The rows of a section: program number and PID each.
fn rows(section: &[u8]) -> Option<&[u8]> {
    let rows = section.get(ROWS_AT..section.len().checked_sub(CRC_BYTES)?)?;
    rows.len().is_multiple_of(ROW_BYTES).then_some(rows)
}

fn is_network(row: &[u8]) -> bool {
    row.starts_with(&[0, 0])
}

/// Up to `section_length`, its two bytes included.
const HEADER_BYTES: usize = 3;
const ROWS_AT: usize = 8;
const ROW_BYTES: usize = 4;
const CRC_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::mpegts::psi::{Limits, Tables};
    use crate::container::mpegts::test_stream::{TestStream, pat, pmt};

    fn packets(programs: &[(u16, u16)]) -> Vec<u8> {
        let mut stream = TestStream::new();
        stream.sections(0, &pat(3, programs));
        stream.sections(0x100, &pmt(1, 0, 0x101, &[(0x1b, 0x101, &[])]));
        stream.take()
    }

    fn entries(packets: &[u8]) -> Vec<(u16, u16)> {
        let mut tables = Tables::new(Limits::default());
        for packet in packets.chunks_exact(PACKET_SIZE) {
            tables.push(Packet::parse(packet).expect("in sync"), &mut |_| {});
        }
        let pat = tables.pat().expect("a PAT whose CRC is right");
        pat.entries.iter().map(|entry| (entry.program_number, entry.pid.value())).collect()
    }

    #[test]
    fn the_network_goes_behind_the_programs() {
        let before = packets(&[(0, 0x10), (2, 0x200), (1, 0x100)]);
        let after = programs_first(&before).expect("it is changed");
        assert_eq!(after.len(), before.len());
        assert_eq!(after[8 + 5..][..12], [0, 2, 0xe2, 0, 0, 1, 0xe1, 0, 0, 0, 0xe0, 0x10]);
        assert_eq!(entries(&before), [(0, 0x10), (2, 0x200), (1, 0x100)]);
        assert_eq!(entries(&after), [(2, 0x200), (1, 0x100), (0, 0x10)]);
        // Everything else is as it was.
        assert_eq!(after[..8 + 5], before[..8 + 5]);
        assert_eq!(after[PACKET_SIZE..], before[PACKET_SIZE..]);
        assert_eq!(programs_first(&after), None);
    }

    #[test]
    fn what_is_in_order_or_damaged_stays() {
        assert_eq!(programs_first(&packets(&[(1, 0x100)])), None);
        assert_eq!(programs_first(&packets(&[(1, 0x100), (0, 0x10)])), None);
        assert_eq!(programs_first(&packets(&[(0, 0x10)])), None);
        assert_eq!(programs_first(&[]), None);
        let good = packets(&[(0, 0x10), (1, 0x100)]);
        assert!(programs_first(&good).is_some());
        // The first packet up to the end of its CRC: the counter and what says how it is read aside.
        for at in [1, 2, 5, 6, 7, 13, 20, 24] {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            assert_eq!(programs_first(&bad), None, "byte {at}");
        }
        for length in 0..PACKET_SIZE {
            assert_eq!(programs_first(&good[..length]), None);
        }
    }
}
