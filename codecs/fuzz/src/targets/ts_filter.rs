//! Packets for the program filter. The first byte says how the rest becomes packets, as for the
//! scanner, the second one which program is wanted.

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::filter::ProgramFilter;

/// What comes out is packets of the input in their order, or a PAT, and does not depend on how the
/// input is divided.
pub fn run(data: &[u8]) {
    let &[mode, program_number, ref rest @ ..] = data else {
        return;
    };
    let bytes = super::ts_splice::packets(mode, rest);
    let mut filter = ProgramFilter::new(u16::from(program_number));
    let mut out = Vec::new();
    filter.push(&bytes, &mut out);
    assert!(!filter.is_ready() || !filter.missing());
    let (source, partial) = bytes.as_chunks::<PACKET_SIZE>();
    let mut source_rest = source.iter();
    for packet in out.as_chunks::<PACKET_SIZE>().0 {
        let is_pat = packet[1] & 0x1F == 0 && packet[2] == 0;
        let is_found =
            |other: &[u8; PACKET_SIZE]| other == packet || is_pat && other[..1] == [0x47];
        assert!(source_rest.any(is_found));
    }
    let mut divided = Vec::new();
    let mut filter = ProgramFilter::new(u16::from(program_number));
    let whole = &bytes[..bytes.len() - partial.len()];
    for block in whole.chunks(PACKET_SIZE * (usize::from(mode >> 1) % 8 + 1)) {
        filter.push(block, &mut divided);
    }
    assert_eq!(out, divided);
}
