//! The relay's own work: a hop between cores, and a frame to a thousand viewers.

#[path = "fixtures/hub.rs"]
mod fixtures;
#[path = "fixtures/media.rs"]
mod media;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use fixtures::{MeshPair, Rig, VIEWERS};

/// One frame in and out to everybody; how long that took, without the viewers' reading.
fn frame(rig: &mut Rig) -> Duration {
    let frame = rig.next_frame();
    let bytes = frame.len();
    let started = Instant::now();
    rig.ingest(frame);
    rig.flush();
    let took = started.elapsed();
    rig.drain(bytes);
    took
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub");
    group.sample_size(20);
    for viewers in [0, VIEWERS] {
        let mut rig = Rig::new(viewers);
        group.bench_function(format!("a frame to {viewers} viewers"), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| frame(&mut rig)).sum());
        });
    }
    group.finish();
}

fn ring_hop(criterion: &mut Criterion) {
    let mut pair = MeshPair::new();
    criterion.bench_function("mesh/a unit to another core and a look for it", |bencher| {
        bencher.iter(|| assert_eq!(pair.hop(), 1));
    });
}

criterion_group!(benches, fan_out, ring_hop);
criterion_main!(benches);
