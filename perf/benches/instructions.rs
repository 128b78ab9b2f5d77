//! Instructions of the hot path, counted by callgrind: the same on a busy machine as on a quiet
//! one.
//!
//! `scripts/bench-micro` runs this and compares the counts with those stored. What the kernel does
//! is not counted: of a flush, the relay's own part is.

#![allow(missing_docs, unused_qualifications, reason = "the macros of gungraun write such modules")]

#[path = "fixtures/hub.rs"]
mod fixtures;
#[path = "fixtures/media.rs"]
mod media;
#[path = "fixtures/protocol.rs"]
mod wire;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use corelay_codecs::amf::{Limits, Value, amf0};
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::parse_tag;
use corelay_codecs::container::flv::mux::write_tag;
use corelay_protocols::rtmp::chunk::ChunkReader;
use fixtures::{MeshPair, Rig, VIEWERS};
use gungraun::{library_benchmark, library_benchmark_group, main};

fn reader_and_second() -> (ChunkReader, BytesMut) {
    (wire::reader(), wire::second())
}

#[library_benchmark(setup = reader_and_second)]
fn chunk_read_second((mut reader, second): (ChunkReader, BytesMut)) -> (ChunkReader, BytesMut) {
    assert_eq!(wire::read(&mut reader, black_box(&second), 16 << 10), 25);
    (reader, second)
}

fn frame_and_room() -> (Bytes, BytesMut) {
    (media::frame(0x27), BytesMut::with_capacity(16 << 10))
}

#[library_benchmark(setup = frame_and_room)]
fn chunk_write_frame((frame, mut out): (Bytes, BytesMut)) -> (Bytes, BytesMut) {
    wire::write(black_box(&frame), &mut out);
    (frame, out)
}

#[library_benchmark(setup = wire::metadata)]
fn amf_decode_metadata((metadata, message): (Value, Vec<u8>)) -> (Value, Vec<u8>, Vec<Value>) {
    let values = amf0::decode_all(black_box(&message), &Limits::default()).unwrap();
    (metadata, message, values)
}

fn metadata_and_room() -> (Value, Vec<u8>) {
    (wire::metadata().0, Vec::with_capacity(512))
}

#[library_benchmark(setup = metadata_and_room)]
fn amf_encode_metadata((metadata, mut out): (Value, Vec<u8>)) -> (Value, Vec<u8>) {
    amf0::encode(black_box(&metadata), &mut out);
    (metadata, out)
}

#[library_benchmark(setup = frame_and_room)]
fn flv_demux_frame((frame, room): (Bytes, BytesMut)) -> (impl Sized, BytesMut) {
    (parse_tag(TagType::Video, 40, black_box(frame)).unwrap(), room)
}

#[library_benchmark(setup = frame_and_room)]
fn flv_mux_frame((frame, mut out): (Bytes, BytesMut)) -> (Bytes, BytesMut) {
    write_tag(TagType::Video, 40, &[], black_box(&frame), &mut out);
    (frame, out)
}

/// A pair whose buffers are there.
fn warm_pair() -> MeshPair {
    let mut pair = MeshPair::new();
    pair.hop();
    pair
}

#[library_benchmark(setup = warm_pair)]
fn ring_hop(mut pair: MeshPair) -> MeshPair {
    assert_eq!(pair.hop(), 1);
    pair
}

fn viewers_and_frame() -> (Rig, Bytes) {
    let mut rig = Rig::new(VIEWERS);
    let frame = rig.next_frame();
    let bytes = frame.len();
    rig.ingest(frame);
    rig.flush();
    rig.drain(bytes);
    let frame = rig.next_frame();
    (rig, frame)
}

#[library_benchmark(setup = viewers_and_frame)]
fn log_append_frame((mut rig, frame): (Rig, Bytes)) -> Rig {
    rig.ingest(frame);
    rig
}

fn viewers_with_a_frame_to_come() -> Rig {
    let (mut rig, frame) = viewers_and_frame();
    rig.ingest(frame);
    rig
}

#[library_benchmark(setup = viewers_with_a_frame_to_come)]
fn log_flush_to_1000(mut rig: Rig) -> Rig {
    rig.flush();
    rig
}

library_benchmark_group!(
    name = protocol;
    benchmarks = chunk_read_second, chunk_write_frame, amf_decode_metadata, amf_encode_metadata,
        flv_demux_frame, flv_mux_frame
);
library_benchmark_group!(
    name = relay;
    benchmarks = ring_hop, log_append_frame, log_flush_to_1000
);
main!(library_benchmark_groups = protocol, relay);
