//! The formats on the hot path: RTMP chunks, AMF, FLV.

#[path = "fixtures/media.rs"]
mod media;
#[path = "fixtures/protocol.rs"]
mod wire;

use std::hint::black_box;

use bytes::BytesMut;
use corelay_codecs::amf::{Limits, amf0};
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::parse_tag;
use corelay_codecs::container::flv::mux::write_tag;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn chunks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk");
    let second = wire::second();
    group.throughput(Throughput::Bytes(second.len() as u64));
    for piece in [1_460, 16 << 10, 128 << 10] {
        group.bench_function(format!("read a second in pieces of {piece}"), |bencher| {
            bencher.iter(|| assert_eq!(wire::read(&mut wire::reader(), &second, piece), 25));
        });
    }
    let body = media::frame(0x27);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("write a frame", |bencher| {
        let mut out = BytesMut::with_capacity(16 << 10);
        bencher.iter(|| {
            out.clear();
            wire::write(black_box(&body), &mut out);
            black_box(out.len())
        });
    });
    group.finish();
}

fn amf(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("amf0");
    let (metadata, message) = wire::metadata();
    let limits = Limits::default();
    group.bench_function("decode metadata", |bencher| {
        bencher.iter(|| amf0::decode_all(black_box(&message), &limits).unwrap());
    });
    group.bench_function("encode metadata", |bencher| {
        let mut out = Vec::with_capacity(512);
        bencher.iter(|| {
            out.clear();
            amf0::encode(black_box(&metadata), &mut out);
            black_box(out.len())
        });
    });
    group.finish();
}

fn flv(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flv");
    let body = media::frame(0x27);
    group.bench_function("demux a frame", |bencher| {
        bencher.iter(|| parse_tag(TagType::Video, 40, black_box(&body).clone()).unwrap());
    });
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("mux a frame", |bencher| {
        let mut out = BytesMut::with_capacity(16 << 10);
        bencher.iter(|| {
            out.clear();
            write_tag(TagType::Video, 40, &[], black_box(&body), &mut out)
        });
    });
    group.finish();
}

criterion_group!(benches, chunks, amf, flv);
criterion_main!(benches);
