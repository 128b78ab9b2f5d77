//! The formats on the hot path: RTMP chunks, AMF, FLV.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use corelay_codecs::amf::{Limits, Object, Value, amf0};
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::parse_tag;
use corelay_codecs::container::flv::mux::write_tag;
use corelay_protocols::rtmp::MediaKind;
use corelay_protocols::rtmp::chunk::{ChunkReader, ReaderLimits, write_media};
use corelay_protocols::rtmp::event::MessageStreamId;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LIMITS: ReaderLimits =
    ReaderLimits { chunk_size_max: 1 << 24, message_bytes_max: 1 << 24, chunk_streams_max: 64 };

/// A frame of a 2 Mbit/s stream.
fn frame() -> Vec<u8> {
    let mut body = vec![0x27, 1, 0, 0, 0, 0, 0, 0x22, 0xB8, 0x41];
    body.resize(8_900, 0x5A);
    body
}

/// A second of such frames as an encoder sends them, in chunks of 4096 bytes.
fn second() -> BytesMut {
    let mut out = BytesMut::new();
    for number in 0..25 {
        let time_ms = number * 40;
        write_media(MediaKind::Video, time_ms, MessageStreamId(1), &[], &frame(), 4_096, &mut out);
    }
    out
}

fn chunks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk");
    let wire = second();
    group.throughput(Throughput::Bytes(wire.len() as u64));
    for piece in [1_460, 16 << 10, 128 << 10] {
        group.bench_function(format!("read a second in pieces of {piece}"), |bencher| {
            bencher.iter(|| {
                let mut reader = ChunkReader::new(LIMITS);
                reader.set_chunk_size(4_096).unwrap();
                let mut messages = 0;
                for mut input in wire.chunks(piece) {
                    while let Some(message) = reader.push(&mut input).unwrap() {
                        messages += black_box(message.payload.len()).min(1);
                    }
                }
                assert_eq!(messages, 25);
            });
        });
    }
    let body = frame();
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("write a frame", |bencher| {
        let mut out = BytesMut::with_capacity(16 << 10);
        bencher.iter(|| {
            out.clear();
            let body = black_box(&body);
            write_media(MediaKind::Video, 40, MessageStreamId(1), &[], body, 60_000, &mut out);
            black_box(out.len())
        });
    });
    group.finish();
}

fn amf(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("amf0");
    let metadata = Object::new()
        .with("width", 1280.0)
        .with("height", 720.0)
        .with("framerate", 25.0)
        .with("videocodecid", 7.0)
        .with("encoder", "Lavf61.7.100")
        .with("stereo", true);
    let metadata = Value::from(metadata);
    let mut wire = Vec::new();
    amf0::encode_str("onMetaData", &mut wire);
    amf0::encode(&metadata, &mut wire);
    let limits = Limits::default();
    group.bench_function("decode metadata", |bencher| {
        bencher.iter(|| amf0::decode_all(black_box(&wire), &limits).unwrap());
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
    let body = Bytes::from(frame());
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
