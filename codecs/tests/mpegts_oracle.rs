//! Tables and PES packets, against mpeg2ts-reader.
#![allow(missing_docs)] // The oracle's macro makes public items.

use std::collections::BTreeMap;

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::pes::{Part, Reader};
use corelay_codecs::container::mpegts::psi::Tables;
use mpeg2ts_reader::demultiplex::{
    Demultiplex, FilterChangeset, FilterRequest, NullPacketFilter, PatPacketFilter, PmtPacketFilter,
};
use mpeg2ts_reader::pes::{
    ElementaryStreamConsumer, PesContents, PesHeader, PesPacketFilter, PtsDts, Timestamp,
};
use mpeg2ts_reader::{demultiplex, packet_filter_switch};

const STREAMS: [&[u8]; 3] = [
    include_bytes!("data/h264_aac.ts"),
    include_bytes!("data/hevc_ac3.ts"),
    include_bytes!("data/audios.ts"),
];

/// PTS, DTS and payload.
type Pes = (Option<u64>, Option<u64>, Vec<u8>);

/// Stream types and PES packets, by PID.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    stream_types: BTreeMap<u16, u8>,
    packets: BTreeMap<u16, Vec<Pes>>,
}

packet_filter_switch! {
    Filters<Oracle> {
        Pat: PatPacketFilter<Oracle>,
        Pmt: PmtPacketFilter<Oracle>,
        Pes: PesPacketFilter<Oracle, Collector>,
        Null: NullPacketFilter<Oracle>,
    }
}

pub struct Oracle {
    changeset: FilterChangeset<Filters>,
    seen: Seen,
}

impl demultiplex::DemuxContext for Oracle {
    type F = Filters;

    fn filter_changeset(&mut self) -> &mut FilterChangeset<Filters> {
        &mut self.changeset
    }

    fn construct(&mut self, request: FilterRequest<'_, '_>) -> Filters {
        match request {
            FilterRequest::ByPid(mpeg2ts_reader::psi::pat::PAT_PID) => {
                Filters::Pat(PatPacketFilter::default())
            }
            FilterRequest::Pmt { pid, program_number } => {
                Filters::Pmt(PmtPacketFilter::new(pid, program_number))
            }
            FilterRequest::ByStream { stream_info, stream_type, .. } => {
                let pid = u16::from(stream_info.elementary_pid());
                self.seen.stream_types.insert(pid, stream_type.into());
                Filters::Pes(PesPacketFilter::new(Collector { pid }))
            }
            _ => Filters::Null(NullPacketFilter::default()),
        }
    }
}

pub struct Collector {
    pid: u16,
}

impl ElementaryStreamConsumer<Oracle> for Collector {
    fn start_stream(&mut self, _: &mut Oracle) {}

    fn begin_packet(&mut self, oracle: &mut Oracle, header: PesHeader<'_>) {
        let PesContents::Parsed(Some(parsed)) = header.contents() else {
            panic!("streams of pictures and sound have the long header");
        };
        let (pts, dts) = match parsed.pts_dts() {
            Ok(PtsDts::PtsOnly(Ok(pts))) => (Some(pts), None),
            Ok(PtsDts::Both { pts: Ok(pts), dts: Ok(dts) }) => (Some(pts), Some(dts)),
            _ => (None, None),
        };
        let ticks = |time: Option<Timestamp>| time.map(|time| time.value());
        let packet = (ticks(pts), ticks(dts), parsed.payload().to_vec());
        oracle.seen.packets.entry(self.pid).or_default().push(packet);
    }

    fn continue_packet(&mut self, oracle: &mut Oracle, data: &[u8]) {
        let packets = oracle.seen.packets.get_mut(&self.pid).expect("one began");
        packets.last_mut().expect("one began").2.extend_from_slice(data);
    }

    fn end_packet(&mut self, _: &mut Oracle) {}

    fn continuity_error(&mut self, _: &mut Oracle) {
        panic!("the streams have none");
    }
}

fn oracle(stream: &[u8]) -> Seen {
    let mut oracle = Oracle { changeset: FilterChangeset::default(), seen: Seen::default() };
    let mut demultiplex = Demultiplex::new(&mut oracle);
    demultiplex.push(&mut oracle, stream);
    oracle.seen
}

fn ours(stream: &[u8]) -> Seen {
    let mut tables = Tables::default();
    let mut readers: BTreeMap<u16, Reader> = BTreeMap::new();
    let mut seen = Seen::default();
    let block = TsBlock::new(Bytes::copy_from_slice(stream)).expect("whole packets");
    for packet in block.packets() {
        tables.push(packet, &mut |_| {});
        for stream in tables.programs().flat_map(|program| &program.streams) {
            seen.stream_types.insert(stream.pid.value(), stream.stream_type);
        }
        let pid = packet.pid().value();
        if !seen.stream_types.contains_key(&pid) {
            continue;
        }
        let packets = seen.packets.entry(pid).or_default();
        readers.entry(pid).or_default().push(packet, |part| match part {
            Part::Start(header) => packets.push((header.pts, header.dts, Vec::new())),
            Part::Data(data) => packets.last_mut().expect("one began").2.extend_from_slice(data),
            Part::End => {}
            Part::Fault(fault) => panic!("{fault:?}"),
        });
    }
    seen
}

#[test]
fn tables_and_pes_packets_are_those_that_mpeg2ts_reader_sees() {
    for stream in STREAMS {
        let (ours, oracle) = (ours(stream), oracle(stream));
        assert!(oracle.packets.values().map(Vec::len).sum::<usize>() > 10);
        assert_eq!(ours.stream_types, oracle.stream_types);
        for (pid, packets) in &oracle.packets {
            assert_eq!(ours.packets[pid].len(), packets.len(), "PID {pid}");
            for (number, (ours, oracle)) in ours.packets[pid].iter().zip(packets).enumerate() {
                assert!(ours == oracle, "PID {pid}, PES packet {number}");
            }
        }
    }
}
