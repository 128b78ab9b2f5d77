//! What a unit costs in allocations, however many watch, and what a channel costs: a hub with real
//! sockets, and an allocator that counts.

#[path = "support/headend.rs"]
#[allow(dead_code, reason = "other tests look into the stream")]
mod headend;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use corelay::channel::{Channels, Environment};
use corelay::hub::{
    Budget, ConnectionId, Delivery, Egress, Form, Gather, Hub, HubParts, Left, Notice, PlayOptions,
    PublisherInfo, StreamKey, SubscriberId,
};
use corelay::log::{self, LogDrain, Logger};
use corelay::mesh::{self, CoreIndex, Depths};
use corelay::net;
use corelay::rt::{Doorbell, Poller};
use corelay::stats::CoreStats;
use corelay::{Clock, Micros};
use corelay_codecs::container::flv::{TagType, demux};
use corelay_codecs::{AccessUnit, TrackFilter};
use corelay_config::Config;
use headend::Headend;

/// Counts what the calling thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to the system allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are those of the system allocator.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promises are those of the system allocator.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    // SAFETY: the caller's promises are those of the system allocator.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.get();
    let result = work();
    (ALLOCATIONS.get() - before, result)
}

struct Viewer {
    play: SubscriberId,
    socket: UnixStream,
    client: UnixStream,
    private: Vec<Bytes>,
}

/// A core with one stream and its viewers, all of them up to date.
struct Core {
    hub: Hub,
    clock: Clock,
    viewers: Vec<Viewer>,
}

/// Allocations of some seconds of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    taking: u64,
    flushing: u64,
    sends: u64,
}

impl Core {
    fn new(config: Arc<Config>) -> Self {
        let bells = [Doorbell::new().unwrap()];
        let depths = Depths { control_slots: 16, media_slots: 16 };
        let mesh = mesh::connect(&bells, depths).pop().unwrap();
        let clock = Clock::start();
        let (budget, stats) = (Budget::new(1 << 30), Arc::default());
        let hub = Hub::new(HubParts { mesh, clock, config, budget, stats, hls_key: None });
        Self { hub, clock, viewers: Vec::new() }
    }

    fn join(&mut self, key: &StreamKey) {
        let (socket, client) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        let slot = self.viewers.len() as u32;
        let id = ConnectionId { core: CoreIndex(0), slot, serial: slot };
        let options = PlayOptions {
            egress: Egress::new(Form::Rtmp, TrackFilter::ALL),
            fd: socket.as_raw_fd(),
            delivery: Delivery::Shared,
            wait_ms: 1_000,
        };
        let play = self.hub.play(id, key.clone(), options, Micros(0)).unwrap();
        self.viewers.push(Viewer { play, socket, client, private: Vec::new() });
    }

    /// Hands notices over, which only say how viewers begin.
    fn begin_viewers(&mut self) {
        let mut notices = self.hub.take_notices();
        for (id, notice) in notices.drain(..) {
            match notice {
                Notice::Private(_, bytes) => self.viewers[id.slot as usize].private.push(bytes),
                Notice::PublishAccepted(_) | Notice::Watched(..) | Notice::PlayStarting { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        self.hub.reuse_notices(notices);
        for Viewer { play, socket, private, .. } in &mut self.viewers {
            for bytes in private.drain(..) {
                let mut slices = Gather::new();
                slices.push(std::io::IoSlice::new(&bytes));
                assert_eq!(net::send(socket.as_raw_fd(), &slices).unwrap(), bytes.len());
            }
            self.hub.set_blocked(*play, false);
        }
    }

    /// Reads all that viewers have got; gives the bytes of the one that has got least.
    fn drain(&mut self) -> usize {
        let mut buffer = [0; 64 << 10];
        let mut drain = |viewer: &mut Viewer| {
            let mut got = 0;
            while let Ok(bytes @ 1..) = viewer.client.read(&mut buffer) {
                got += bytes;
            }
            got
        };
        self.viewers.iter_mut().map(&mut drain).min().unwrap()
    }
}

/// Three groups of pictures a second long, from `first_ms` on.
fn media(first_ms: i64) -> Vec<AccessUnit> {
    let unit = |k: i64| {
        let body = match k {
            _ if k % 2 == 1 => [&[0xaf, 1][..], &[7; 300]].concat(),
            _ if k % 50 == 0 => [&[0x17, 1, 0, 0, 0][..], &[7; 30_000]].concat(),
            _ => [&[0x27, 1, 0, 0, 0][..], &[7; 4_000]].concat(),
        };
        let tag_type = if k % 2 == 1 { TagType::Audio } else { TagType::Video };
        demux::parse_tag(tag_type, first_ms + k * 20, body.into()).unwrap().remove(0)
    };
    (0..150).map(unit).collect()
}

fn cost_with(viewers: usize) -> Cost {
    let mut core = Core::new(Arc::new(Config::shipped()));
    let key = StreamKey::new("live", "name");
    let info = PublisherInfo {
        connection: ConnectionId { core: CoreIndex(0), slot: 9_999, serial: 0 },
        peer: "192.0.2.1:1".parse().unwrap(),
        protocol: "rtmp",
        agent: String::new(),
        url: String::new(),
        since: Micros(0),
    };
    let publisher = core.hub.publish(info.connection, key.clone(), info, Micros(0));
    (0..viewers).for_each(|_| core.join(&key));
    let config = Bytes::from_static(&[0x17, 0, 0, 0, 0, 1]);
    let first = demux::parse_tag(TagType::Video, 0, config).unwrap().into_iter().chain(media(0));
    let mut units: Vec<AccessUnit> = first.collect();
    let mut cost = Cost { taking: 0, flushing: 0, sends: 0 };
    for round in 1..=4 {
        // The first rounds fill the log, the pool and the lists; the last one counts.
        cost = Cost { taking: 0, flushing: 0, sends: 0 };
        for unit in units.drain(..) {
            let now = core.clock.now();
            let (taking, ()) = allocations_of(|| core.hub.ingest(publisher, unit, now));
            core.begin_viewers();
            let (flushing, left) = allocations_of(|| core.hub.flush(now, Micros(u64::MAX - 1)));
            assert_eq!(left, Left::Nothing);
            cost.taking += taking;
            cost.flushing += flushing;
            cost.sends += u64::from(core.drain() > 0);
        }
        units = media(round * 3_000);
    }
    cost
}

/// Each viewer is two descriptors here.
fn allow_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write one rlimit that lives here.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max.min(4_096);
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

#[test]
fn a_unit_costs_one_allocation_however_many_watch_and_a_flush_none() {
    allow_descriptors();
    let one = cost_with(1);
    assert_eq!(one, Cost { taking: 150, flushing: 0, sends: 150 });
    assert_eq!(cost_with(500), one);
}

/// A core with one channel: datagrams in, datagrams out, nobody watches.
struct Relay {
    core: Core,
    channels: Channels,
    poller: Poller,
    logger: Logger,
    logs: LogDrain,
    stats: Arc<CoreStats>,
    now: Micros,
    /// Sends to its input.
    source: UdpSocket,
    /// Hears its output.
    target: UdpSocket,
}

impl Relay {
    fn new() -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (source, target, free) = (bind(), bind(), bind());
        let (input, output) = (free.local_addr().unwrap(), target.local_addr().unwrap());
        drop(free);
        source.connect(input).unwrap();
        target.set_nonblocking(true).unwrap();
        let settings = format!(
            "[[channel]]\nname = \"iptv/one\"\ninput = [\"udp://{input}\"]\n\
             output = [\"udp://{output}#pace=forward\"]\n"
        );
        let config = Arc::new(Config::parse(&settings, "test").expect("valid"));
        let stats = Arc::default();
        let (logger, logs) = log::ring(Arc::clone(&stats));
        let mut relay = Self {
            core: Core::new(Arc::clone(&config)),
            channels: Channels::new(CoreIndex(0), 1, config),
            poller: Poller::new().unwrap(),
            logger,
            logs,
            stats,
            now: Micros(1_000_000),
            source,
            target,
        };
        relay.with(Channels::start);
        relay.finish_turn();
        relay
    }

    fn with(&mut self, call: impl FnOnce(&mut Channels, &mut Environment<'_>)) {
        let mut env = Environment {
            hub: &mut self.core.hub,
            registry: self.poller.registry(),
            logger: &mut self.logger,
            stats: &self.stats,
            now: self.now,
        };
        call(&mut self.channels, &mut env);
    }

    /// What a core does at the end of its turn.
    fn finish_turn(&mut self) {
        let mut notices = self.core.hub.take_notices();
        for (id, notice) in notices.drain(..) {
            self.with(|channels, env| channels.handle_notice(id, notice, env));
        }
        self.core.hub.reuse_notices(notices);
        self.core.hub.flush(self.now, Micros(u64::MAX - 1));
    }

    /// Lets a datagram through, `step_us` after the one before; gives what that allocates.
    fn pass(&mut self, datagram: &[u8], step_us: u64) -> u64 {
        let is_tick = self.now.0 / TICK_US != (self.now.0 + step_us) / TICK_US;
        self.now = Micros(self.now.0 + step_us);
        assert_eq!(self.source.send(datagram).unwrap(), datagram.len());
        assert!(self.poller.wait(Duration::from_secs(10)), "it has arrived");
        let token = self.poller.ready().next().unwrap().token;
        let (allocations, ()) = allocations_of(|| {
            let (slot, input) = ((token >> 32) as u32, token as u32 as usize);
            self.with(|channels, env| channels.receive(slot, input, env));
            self.with(Channels::handle_timeouts);
            if is_tick {
                self.with(Channels::tick);
            }
            self.finish_turn();
        });
        let mut buffer = [0; 2_000];
        let size = self.target.recv(&mut buffer).expect("it has left");
        assert!(buffer[..size] == *datagram, "as it was");
        self.logs.drain();
        allocations
    }
}

/// What a second of a running channel allocates, at so many datagrams a second.
fn cost_of_channel(datagrams: u64) -> u64 {
    let rate_bps = datagrams * 1_316 * 8;
    let video_bps = rate_bps - 1_500_000;
    let mut headend =
        Headend::new(headend::Settings { rate_bps, video_bps, ..headend::Settings::default() });
    let mut relay = Relay::new();
    let mut second = || -> u64 {
        (0..datagrams).map(|_| relay.pass(&headend.next_packets(7), 1_000_000 / datagrams)).sum()
    };
    // The first seconds make room for what a second brings.
    (0..5).map(|_| second()).last().unwrap_or_default()
}

const TICK_US: u64 = 25_000;

#[test]
fn a_channel_allocates_for_its_blocks_and_nothing_for_a_datagram() {
    for datagrams in [1_000, 4_000] {
        // A block each 5 ms (block_ms) and one more for each picture where viewers may start; memory
        // for them comes in pieces of 128 KiB.
        let pieces = (datagrams * 1_316) >> 17;
        let allocations = cost_of_channel(datagrams);
        assert!(allocations <= 250 + pieces, "{allocations} in a second of {datagrams}");
        assert!(allocations > pieces, "they are counted");
    }
}
