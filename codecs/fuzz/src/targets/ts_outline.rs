//! Packets for the outline. The first byte says how the rest becomes packets, as for the scanner.

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::outline::{Event, Outline};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet};
use corelay_codecs::scte35;

/// What is said does not depend on the blocks; starts are starts, in order; cues are sections; and
/// nothing is described twice in the same way.
pub fn run(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let mut bytes = super::ts_splice::packets(mode, rest);
    bytes.truncate(bytes.len() / PACKET_SIZE * PACKET_SIZE);
    let bytes = Bytes::from(bytes);
    let at_once = events(&bytes, 350);
    let in_parts = events(&bytes, usize::from(mode >> 1) % 16 + 1);
    assert_eq!(at_once, in_parts);
}

/// All but the descriptions, starts counted from the beginning of the stream.
fn events(bytes: &Bytes, block_packets: usize) -> Vec<Event> {
    let mut outline = Outline::default();
    let mut all = Vec::new();
    let mut described = None;
    for at in (0..bytes.len()).step_by(block_packets * PACKET_SIZE) {
        let end = bytes.len().min(at + block_packets * PACKET_SIZE);
        let block = TsBlock::new(bytes.slice(at..end)).expect("whole packets");
        let mut last = None;
        outline.push(&block, |event| match event {
            Event::Start { packet, dts, pts } => {
                assert!(last.is_none_or(|last| last < packet));
                last = Some(packet);
                let packet = at / PACKET_SIZE + packet;
                let bytes = &bytes[packet * PACKET_SIZE..];
                assert!(Packet::parse(bytes).is_ok_and(Packet::starts_unit));
                all.push(Event::Start { packet, dts, pts });
            }
            Event::Cue { section, pts } => {
                assert!(scte35::is_section(&section));
                all.push(Event::Cue { section, pts });
            }
            Event::Described(description) => {
                assert_ne!(described.replace(description.clone()), Some(description));
            }
            other => {
                described = None;
                all.push(other);
            }
        });
        assert!(outline.main().is_none() || outline.program().is_some());
    }
    all
}
