//! Segments of MPEG-TS, read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::container::mpegts::demux::{self, Demuxer, Output};
use corelay_codecs::{AccessUnit, TsBlock};
use corelay_protocols::hls::Segment;

pub fn block(segment: &Segment) -> TsBlock {
    let bytes: Vec<u8> = segment.parts.iter().flat_map(|part| part.chunk.to_vec()).collect();
    TsBlock::new(Bytes::from(bytes)).expect("whole packets")
}

/// The units of these segments, one behind the other.
pub fn units(segments: &[Arc<Segment>]) -> Vec<AccessUnit> {
    let mut demuxer = Demuxer::new(demux::Settings::default());
    let mut outputs = Vec::new();
    for segment in segments {
        demuxer.push(&block(segment), &mut outputs);
    }
    demuxer.finish(&mut outputs);
    outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Unit(unit) => Some(unit),
            Output::Event(_) => None,
        })
        .collect()
}

/// Follows the continuity counters over all segments, and checks that each begins with PAT, PMT.
#[derive(Debug, Default)]
pub struct Counters(BTreeMap<u16, u8>);

impl Counters {
    pub fn check(&mut self, segment: &Segment) {
        let block = block(segment);
        let pids: Vec<_> = block.packets().take(2).map(|packet| packet.pid().value()).collect();
        assert_eq!(pids, [0, 0x1000], "segment {} begins with its tables", segment.msn);
        for packet in block.packets() {
            let pid = packet.pid().value();
            let [_, _, _, flags] = *packet.bytes().first_chunk().unwrap();
            let (has_payload, counter) = (flags & 0x10 != 0, flags & 0x0F);
            if !has_payload {
                continue;
            }
            let last = self.0.insert(pid, counter);
            // Tables may be repeated; nothing else is.
            let is_repeated = last == Some(counter) && [0, 0x11, 0x1000].contains(&pid);
            let expected = last.map_or(counter, |last| (last + 1) & 0x0F);
            assert!(is_repeated || counter == expected, "PID {pid} in segment {}", segment.msn);
        }
    }
}
