//! What a unit costs in allocations, however many watch: a hub with real sockets, and an allocator that
//! counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;
use corelay::hub::{
    Budget, ConnectionId, Egress, Form, Gather, Hub, HubParts, Left, Notice, PlayOptions,
    PublisherInfo, StreamKey, SubscriberId,
};
use corelay::mesh::{self, CoreIndex, Depths};
use corelay::net;
use corelay::rt::Doorbell;
use corelay::{Clock, Micros};
use corelay_codecs::container::flv::{TagType, demux};
use corelay_codecs::{AccessUnit, TrackFilter};
use corelay_config::Config;

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
    fn new() -> Self {
        let config = Arc::new(Config::shipped());
        let bells = [Doorbell::new().unwrap()];
        let depths = Depths { control_slots: 16, media_slots: 16 };
        let mesh = mesh::connect(&bells, depths).pop().unwrap();
        let clock = Clock::start();
        let (budget, stats) = (Budget::new(1 << 30), Arc::default());
        let hub = Hub::new(HubParts { mesh, clock, config, budget, stats });
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
            readdressed: false,
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
    let mut core = Core::new();
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
