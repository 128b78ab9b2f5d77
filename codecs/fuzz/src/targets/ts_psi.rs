//! Tables: the input is sections, each behind a byte that says on which PID; their CRC is made
//! right, so that what is in them is reached.

use corelay_codecs::container::mpegts::psi::{Change, Limits, Tables};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet};

/// No program, stream or service beyond the limits, and no stream where a table is.
pub fn run(data: &[u8]) {
    let limits = Limits { programs_max: 4, services_max: 4 };
    let mut tables = Tables::new(limits);
    let mut rest = data;
    while let Some((&place, section)) = rest.split_first() {
        let size = section.get(1..3).map_or(0, |s| usize::from(s[0] & 3) << 8 | usize::from(s[1]));
        let (section, next) = section.split_at((3 + size).min(section.len()));
        rest = next;
        let pid = [0, 1, 0x11, 0x20, 0x21, 0x1000][usize::from(place & 7) % 6];
        send(&mut tables, pid, &with_crc(section, place & 0x80 == 0));
    }
    assert!(tables.programs().count() <= 4 && tables.services().len() <= 4);
    for program in tables.programs() {
        for stream in &program.streams {
            assert!(stream.pid != program.pmt_pid && stream.pid.value() >= 0x10);
        }
    }
}

fn send(tables: &mut Tables, pid: u16, section: &[u8]) {
    let payload = [&[0], section].concat();
    for (number, chunk) in payload.chunks(PACKET_SIZE - 4).enumerate() {
        let start = if number == 0 { 0x40 } else { 0 };
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, start | high, low, 0x10 | number as u8 & 0x0F];
        packet.extend_from_slice(chunk);
        packet.resize(PACKET_SIZE, 0xFF);
        let packet = Packet::parse(&packet).expect("a whole packet");
        let mut faults = 0;
        tables.push(packet, &mut |change| {
            faults += usize::from(matches!(change, Change::Fault { .. }));
        });
        assert!(faults < 3_000, "a section has few things that can be wrong");
    }
}

/// The section with its CRC made right, where it has room for one.
fn with_crc(section: &[u8], is_wanted: bool) -> Vec<u8> {
    let mut section = section.to_vec();
    if let (true, Some(end)) = (is_wanted, section.len().checked_sub(4)) {
        let crc = crc(&section[..end]);
        section[end..].copy_from_slice(&crc.to_be_bytes());
    }
    section
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc & 0x8000_0000 != 0 { 0x04C1_1DB7 } else { 0 }
        })
    })
}
