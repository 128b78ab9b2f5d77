//! Transport streams: what a packet costs to find, to look at, to take apart and to make.

use std::hint::black_box;

use bytes::Bytes;
use corelay_codecs::container::mpegts::align::Aligner;
use corelay_codecs::container::mpegts::analysis::{self, Analyser};
use corelay_codecs::container::mpegts::demux::{self, Demuxer, Output};
use corelay_codecs::container::mpegts::mux::{self, Muxer};
use corelay_codecs::{AccessUnit, TsBlock};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// H.264 and AAC, as ffmpeg wrote them.
const STREAM: &[u8] = include_bytes!("../../codecs/tests/data/h264_aac.ts");
const PACKET_BYTES: usize = 188;

fn units() -> Vec<AccessUnit> {
    let (mut demuxer, mut outputs) = (Demuxer::new(demux::Settings::default()), Vec::new());
    demuxer.push(&TsBlock::new(Bytes::from_static(STREAM)).unwrap(), &mut outputs);
    demuxer.finish(&mut outputs);
    let unit = |output| if let Output::Unit(unit) = output { Some(unit) } else { None };
    outputs.into_iter().filter_map(unit).collect()
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mpegts");
    group.throughput(Throughput::Elements((STREAM.len() / PACKET_BYTES) as u64));
    group.bench_function("align, pieces of 1,460 bytes", |bencher| {
        bencher.iter(|| {
            let (mut aligner, mut packets) = (Aligner::default(), 0);
            for piece in STREAM.chunks(1_460) {
                aligner.push(Bytes::from_static(piece), |block| packets += block.packet_count());
            }
            black_box(packets)
        });
    });
    for packets in [1, 7, 64] {
        group.bench_function(format!("analyse, {packets} packets a block"), |bencher| {
            let (mut analyser, mut now_us) = (Analyser::new(analysis::Settings::default()), 0);
            bencher.iter(|| {
                for block in STREAM.chunks(packets * PACKET_BYTES) {
                    now_us += block.len() as u64;
                    analyser.packets(black_box(block), now_us);
                }
            });
        });
    }
    group.bench_function("demux", |bencher| bencher.iter(|| black_box(units().len())));
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mpegts");
    let units = units();
    let mut out = Vec::new();
    let mut mux_all = || {
        let mut muxer = Muxer::new(mux::Settings::default());
        out.clear();
        for unit in &units {
            muxer.write(unit, &mut out);
        }
        out.len() / PACKET_BYTES
    };
    group.throughput(Throughput::Elements(mux_all() as u64));
    group.bench_function("mux", |bencher| bencher.iter(|| black_box(mux_all())));
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
