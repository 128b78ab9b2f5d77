//! The relay's own work: a hop between cores, and a frame to a thousand viewers.

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelay::hub::{
    Budget, ConnectionId, Egress, Form, Hub, HubParts, Notice, PlayOptions, PublisherId,
    PublisherInfo, StreamKey, SubscriberId,
};
use corelay::mesh::{self, CoreIndex, Depths};
use corelay::rt::Doorbell;
use corelay::stats::CoreStats;
use corelay::{Clock, Micros};
use corelay_codecs::TrackFilter;
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::parse_tag;
use corelay_config::Config;
use corelay_perf::sys::socket;
use corelay_perf::sys::threads::raise_descriptor_limit;
use criterion::{Criterion, criterion_group, criterion_main};

const VIEWERS: usize = 1_000;

/// A hub of one core, a publisher and viewers with real sockets.
struct Rig {
    hub: Hub,
    clock: Clock,
    publisher: PublisherId,
    viewers: Vec<(SubscriberId, TcpStream, OwnedFd)>,
    time_ms: i64,
}

impl Rig {
    fn new(viewers: usize) -> Self {
        raise_descriptor_limit();
        let bells = [Doorbell::new().unwrap()];
        let depths = Depths { control_slots: 64, media_slots: 64 };
        let config = Arc::new(Config::shipped());
        let budget = Budget::new(config.memory.logs_bytes_max as u64);
        let clock = Clock::start();
        let mesh = mesh::connect(&bells, depths).remove(0);
        let stats = Arc::new(CoreStats::default());
        let mut hub = Hub::new(HubParts { mesh, clock, config, budget, stats });
        let key = StreamKey::new("live", "a");
        let info = PublisherInfo {
            connection: connection(0),
            peer: "192.0.2.1:1".parse().unwrap(),
            protocol: "rtmp",
            agent: String::new(),
            url: String::new(),
            since: clock.now(),
        };
        let publisher = hub.publish(connection(0), key.clone(), info, clock.now());
        let mut rig = Self { hub, clock, publisher, viewers: Vec::new(), time_ms: 0 };
        rig.ingest(b"\x17\x00\x00\x00\x00record", 0);
        rig.ingest(&frame(0x17), 0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for number in 1..=viewers {
            rig.join(number, &key, &listener);
        }
        rig.flush();
        rig.drain();
        rig
    }

    fn join(&mut self, number: usize, key: &StreamKey, listener: &TcpListener) {
        let peer = socket::connect(listener.local_addr().unwrap(), None).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let options = PlayOptions {
            egress: Egress { form: Form::Rtmp, tracks: TrackFilter::ALL },
            fd: stream.as_raw_fd(),
            readdressed: false,
            wait_ms: 1_000,
        };
        let now = self.clock.now();
        let id = self.hub.play(connection(number as u32), key.clone(), options, now).unwrap();
        self.viewers.push((id, stream, peer));
        self.hand_over();
    }

    /// What a connection does with its notices, as far as a viewer that reads needs it.
    fn hand_over(&mut self) {
        let mut notices = self.hub.take_notices();
        for (connection, notice) in notices.drain(..) {
            if let Notice::Private(..) = notice {
                let (id, ..) = self.viewers[connection.slot as usize - 1];
                self.hub.release(id);
                self.hub.set_blocked(id, false);
            }
        }
        self.hub.reuse_notices(notices);
    }

    fn ingest(&mut self, body: &[u8], time_ms: i64) {
        let body = Bytes::copy_from_slice(body);
        for unit in parse_tag(TagType::Video, time_ms, body).unwrap() {
            self.hub.ingest(self.publisher, unit, self.clock.now());
        }
        self.hand_over();
    }

    fn flush(&mut self) {
        self.hub.flush(self.clock.now(), Micros(u64::MAX - 1));
        self.hand_over();
    }

    /// Reads what the viewers were sent and returns how much it was.
    fn drain(&self) -> usize {
        let read = |(_, _, peer): &(_, _, OwnedFd)| {
            socket::discard(socket::raw(peer), usize::MAX).unwrap_or(0)
        };
        self.viewers.iter().map(read).sum()
    }

    /// One frame in and out to everybody; how long that took, without the viewers' reading.
    fn frame(&mut self) -> Duration {
        self.time_ms += 40;
        let key = self.time_ms % 2_000 == 0;
        let frame = frame(if key { 0x17 } else { 0x27 });
        let started = Instant::now();
        self.ingest(&frame, self.time_ms);
        self.flush();
        let took = started.elapsed();
        let drained = self.drain();
        let expected = self.viewers.len() * frame.len();
        assert!(drained >= expected, "viewers got {drained} of {expected} bytes");
        took
    }
}

fn connection(slot: u32) -> ConnectionId {
    ConnectionId { core: CoreIndex(0), slot, serial: slot }
}

fn frame(head: u8) -> Vec<u8> {
    let mut body = vec![head, 1, 0, 0, 0, 0, 0, 0x22, 0xB8, 0x41];
    body.resize(8_900, 0x5A);
    body
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub");
    group.sample_size(20);
    for viewers in [0, VIEWERS] {
        let mut rig = Rig::new(viewers);
        group.bench_function(format!("a frame to {viewers} viewers"), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| rig.frame()).sum());
        });
    }
    group.finish();
}

fn ring_hop(criterion: &mut Criterion) {
    let bells = [Doorbell::new().unwrap(), Doorbell::new().unwrap()];
    let depths = Depths { control_slots: 64, media_slots: 64 };
    let mut ports = mesh::connect::<u64, Arc<[u8]>>(&bells, depths);
    let (mut target, mut source) = (ports.remove(1), ports.remove(0));
    let unit: Arc<[u8]> = vec![0; 64].into();
    criterion.bench_function("mesh/a unit to another core and a look for it", |bencher| {
        let (mut control, mut media) = (Vec::new(), Vec::new());
        bencher.iter(|| {
            source.send_media(CoreIndex(1), Arc::clone(&unit)).unwrap();
            source.ring_bells();
            target.receive(&mut control, &mut media, 64);
            assert_eq!(black_box(media.drain(..).count()), 1);
        });
    });
}

criterion_group!(benches, fan_out, ring_hop);
criterion_main!(benches);
