//! PES packets: the input is payloads of one PID, each behind a byte that tells its size, and
//! whether it starts a unit.

use corelay_codecs::container::mpegts::pes::{Header, Part, Reader};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet};

/// Parts come in their order, and never more data than was announced or sent.
pub fn run(data: &[u8]) {
    let _ = Header::parse(data);
    let mut reader = Reader::default();
    let mut is_open = false;
    let mut missing = None;
    let mut sent = 0;
    let mut received = 0;
    let mut rest = data;
    while let Some((&head, payload)) = rest.split_first() {
        let size = usize::from(head & 0x7F).min(payload.len());
        let (payload, next) = payload.split_at(size);
        rest = next;
        let mut packet = vec![0x47, if head & 0x80 != 0 { 0x41 } else { 1 }, 0, 0x30];
        packet.push((PACKET_SIZE - 5 - size) as u8);
        packet.resize(PACKET_SIZE - size, 0);
        packet.extend_from_slice(payload);
        sent += size;
        reader.push(Packet::parse(&packet).expect("a whole packet"), |part| match part {
            Part::Start(header) => (is_open, missing) = (true, header.payload_size),
            Part::Data(data) => {
                assert!(is_open && !data.is_empty());
                received += data.len();
                missing = missing.map(|missing: usize| {
                    missing.checked_sub(data.len()).expect("not more than was announced")
                });
            }
            Part::End => {
                assert!(is_open && missing.is_none_or(|missing| missing == 0));
                is_open = false;
            }
            Part::Fault(_) => is_open = false,
        });
    }
    assert!(received <= sent);
}
