//! Packets of a transport stream, with a sync byte put in front of each.

use bytes::Bytes;
use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::demux::{Demuxer, Output, Settings};
use corelay_codecs::{TsBlock, UnitKind};

/// Decoding times of each track go forward, and no unit is longer than allowed.
pub fn run(data: &[u8]) {
    let mut packets = data[..data.len() / PACKET_SIZE * PACKET_SIZE].to_vec();
    packets.iter_mut().step_by(PACKET_SIZE).for_each(|byte| *byte = 0x47);
    let block = TsBlock::new(Bytes::from(packets)).expect("whole packets");
    let access_unit_bytes_max = 4_000;
    let mut demuxer = Demuxer::new(Settings { access_unit_bytes_max, ..Settings::default() });
    let mut out = Vec::new();
    demuxer.push(&block, &mut out);
    demuxer.finish(&mut out);
    check(&out, access_unit_bytes_max);
}

pub(super) fn check(out: &[Output], unit_bytes_max: usize) {
    let mut last = std::collections::HashMap::new();
    for output in out {
        let Output::Unit(unit) = output else { continue };
        if unit.kind == UnitKind::Config {
            continue;
        }
        // A length may be a byte longer than the start code that it stands for.
        assert!(unit.payload.len() <= unit_bytes_max * 2);
        let before = last.insert(unit.track, unit.dts);
        assert!(before.is_none_or(|before| before < unit.dts), "{:?}", unit.track);
    }
}
