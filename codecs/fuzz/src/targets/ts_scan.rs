//! Packets for the scanner. The first byte says how the rest becomes packets: as it is, or 16 bytes
//! each, filled up.

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::scan::Scanner;

/// Entries are packets, in order; what is found in small blocks is found in large ones; the tables
/// are whole packets, and not many.
pub fn run(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let bytes = super::ts_splice::packets(mode, rest);
    let at_once = entries(&bytes, 350);
    let in_parts = entries(&bytes, usize::from(mode >> 1) % 16 + 1);
    assert!(in_parts.iter().all(|entry| at_once.contains(entry)));
}

fn entries(bytes: &[u8], block_packets: usize) -> Vec<usize> {
    let mut scanner = Scanner::new();
    let mut all = Vec::new();
    let mut at = 0;
    for block in bytes.chunks(block_packets * PACKET_SIZE) {
        scanner.packets(block, |offset| {
            assert!(offset.is_multiple_of(PACKET_SIZE) && offset < block.len());
            assert!(all.last().is_none_or(|&last| last < at + offset));
            all.push(at + offset);
        });
        at += block.len();
        let tables = scanner.tables();
        assert!(tables.len().is_multiple_of(PACKET_SIZE) && tables.len() <= 64 * PACKET_SIZE);
        assert!(!scanner.has_video() || scanner.is_ready());
    }
    all
}
