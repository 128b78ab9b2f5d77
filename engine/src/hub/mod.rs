//! Streams: who owns one, who publishes it, who watches it.
//!
//! The hub of a core is three tables: the streams it owns (`stream::Stream`), the streams it has
//! viewers of (`replica::Replica`), and the publications its connections feed. Cores speak to each
//! other in [`Control`] and [`Media`]; a core speaks to itself in the same words, so
//! there is one path whatever the number of cores. To connections it speaks in [`Notice`].
//!
//! Invariants
//! - Every public call ends with no message to itself left over.
//! - The hub never touches a connection: it collects notices, which the shard hands over.

mod bridge;
mod egress;
mod feed;
mod flush;
pub mod hls;
mod key;
mod log;
mod memory;
mod message;
mod metadata;
mod outlet;
mod owner;
mod play;
mod publish;
mod replica;
mod snapshot;
mod stream;
mod subscriber;
#[cfg(test)]
mod tests;
mod timeline;
mod turn;
mod unit;

pub use egress::{Egress, Form, SHARED_MESSAGE_STREAM};
pub use flush::{Controller, FlushBounds};
pub use key::StreamKey;
pub use log::Gather;
pub use memory::{Budget, SegmentPool};
pub use message::{
    CloseReason, ConnectionId, Control, EndReason, Media, Notice, PublisherId, PublisherInfo,
    Refusal, StreamUid,
};
pub use outlet::Notices;
pub use play::PlayOptions;
pub use snapshot::{
    BridgeSnapshot, PublisherSnapshot, StreamSnapshot, TrackSnapshot, ViewersSnapshot,
};
pub use subscriber::{Delivery, SubscriberId};
pub use turn::Left;
pub use unit::{Essence, Packets, Unit};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use corelay_codecs::container::mpegts::{Pid, demux};
use corelay_config::{Channel, Config, Policy};
use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::channel::{self, RelayTarget, is_relay_app};
use crate::clock::{Clock, Micros};
use crate::mesh::{CoreIndex, Port};
use crate::stats::CoreStats;
use publish::Publication;
use replica::Replica;
use stream::Stream;

/// The streams of one core; see the module.
pub struct Hub {
    core: CoreIndex,
    clock: Clock,
    config: Arc<Config>,
    policies: HashMap<Arc<str>, Arc<Policy>>,
    /// Of applications that are not configured.
    default_policy: Arc<Policy>,
    mesh: Port<Control, Media>,
    /// Messages to this core itself.
    local: VecDeque<Control>,
    pool: SegmentPool,
    stats: Arc<CoreStats>,
    streams: Slab<Stream>,
    stream_slots: HashMap<StreamKey, usize>,
    replicas: Slab<Replica>,
    replica_slots: HashMap<StreamKey, usize>,
    replica_of: FxHashMap<StreamUid, usize>,
    publications: Slab<Publication>,
    places: Slab<Place>,
    /// What this core serves by HLS.
    shelves: hls::Shelves,
    /// Encrypts the segments of HLS.
    hls_key: Option<[u8; 16]>,
    /// Replicas with chunks that no flush has seen, oldest first.
    unflushed: VecDeque<usize>,
    /// Replicas whose chunks wait for the flush interval, and until when; some may be in `unflushed` again.
    deferred: Vec<(Micros, usize)>,
    controller: Controller,
    latency_us: Histogram<u64>,
    /// Of each flush since connections have last sent whose viewers they serve: when the oldest unit in it
    /// was received.
    by_connections: Vec<Micros>,
    notices: Notices,
    serial: u32,
    stopping: bool,
}

/// Where a subscriber is kept.
#[derive(Clone, Copy, Debug)]
struct Place {
    replica: usize,
    outlet: usize,
    index: usize,
}

/// What a hub is made of.
pub struct HubParts {
    /// Its core's line to the others.
    pub mesh: Port<Control, Media>,
    /// The server's clock.
    pub clock: Clock,
    /// The settings.
    pub config: Arc<Config>,
    /// The memory ceiling that all cores share.
    pub budget: Arc<Budget>,
    /// The core's counters.
    pub stats: Arc<CoreStats>,
    /// The key of encrypted HLS segments.
    pub hls_key: Option<[u8; 16]>,
}

impl Hub {
    /// A hub without streams.
    pub fn new(parts: HubParts) -> Self {
        let HubParts { mesh, clock, config, budget, stats, hls_key } = parts;
        let default_policy = Arc::new(config.applications.default.clone());
        Self {
            core: mesh.core(),
            clock,
            config,
            policies: HashMap::new(),
            default_policy,
            mesh,
            local: VecDeque::new(),
            pool: SegmentPool::new(budget),
            stats,
            streams: Slab::new(),
            stream_slots: HashMap::new(),
            replicas: Slab::new(),
            replica_slots: HashMap::new(),
            replica_of: FxHashMap::default(),
            publications: Slab::new(),
            places: Slab::new(),
            shelves: hls::Shelves::default(),
            hls_key,
            unflushed: VecDeque::new(),
            deferred: Vec::new(),
            controller: Controller::default(),
            latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 2)
                .expect("the bounds are constants that fit"),
            by_connections: Vec::new(),
            notices: Notices::new(),
            serial: 0,
            stopping: false,
        }
    }

    /// The core this hub belongs to.
    pub fn core(&self) -> CoreIndex {
        self.core
    }

    /// The policy of an application; `None` where only listed applications exist and it is not one.
    pub fn policy(&mut self, app: &str) -> Option<Arc<Policy>> {
        if let Some(policy) = self.policies.get(app) {
            return Some(Arc::clone(policy));
        }
        let Some(named) = self.config.applications.named.get(app) else {
            let is_served = self.config.application(app).is_some() || is_relay_app(app);
            return is_served.then(|| Arc::clone(&self.default_policy));
        };
        // Only configured names are remembered: those of the network are without number.
        let policy = Arc::new(named.clone());
        self.policies.insert(app.into(), Arc::clone(&policy));
        Some(policy)
    }

    /// True when the stream belongs to a channel that gets it itself, or to relays: nobody else may
    /// publish it.
    pub fn is_taken(&self, app: &str, name: &str) -> bool {
        let is_it = |channel: &Channel| {
            channel.app == app && channel.name == name && !channel.inputs.is_empty()
        };
        is_relay_app(app) || self.config.channels.iter().any(is_it)
    }

    /// What a bridge takes out of a transport stream: the program of `[ts]`, or the first one; of a
    /// channel whose main input names PIDs, those.
    fn bridging(&self, key: &StreamKey) -> demux::Settings {
        let Config { ts, channels, .. } = &*self.config;
        let is_it = |channel: &&Channel| channel.app == *key.app && channel.name == *key.name;
        let input = channels.iter().find(is_it).and_then(|channel| channel.inputs.first());
        let pids = input.map(|url| url.options.pids.as_slice()).unwrap_or_default();
        demux::Settings {
            program_number: (ts.program_number > 0).then_some(ts.program_number),
            pids: pids.iter().copied().map(Pid::new).collect(),
            access_unit_bytes_max: ts.access_unit_bytes_max,
            flv_audio_first: true,
            ..demux::Settings::default()
        }
    }

    /// The stream to watch for a group; `None`: it may not be asked for.
    pub fn relay_key(&self, target: &RelayTarget) -> Option<StreamKey> {
        channel::relay_key(target, &self.config)
    }

    /// Takes what has been collected for connections.
    pub fn take_notices(&mut self) -> Notices {
        std::mem::take(&mut self.notices)
    }

    /// True when something has been collected for connections.
    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Gives an emptied list back, so that its memory is used again.
    pub fn reuse_notices(&mut self, notices: Notices) {
        debug_assert!(notices.is_empty());
        if self.notices.is_empty() {
            self.notices = notices;
        }
    }

    /// Handles what other cores have sent, up to a batch of each.
    pub fn receive(&mut self, now: Micros, inbox: &mut Inbox) {
        self.mesh.receive(&mut inbox.control, &mut inbox.media, MEDIA_BATCH_MAX);
        for (from, message) in inbox.control.drain(..) {
            self.handle_control(from, message, now);
        }
        for (_, message) in inbox.media.drain(..) {
            self.handle_media(message, now);
        }
        self.settle(now);
    }

    /// True when other cores have sent something.
    pub fn has_input(&self) -> bool {
        self.mesh.has_input()
    }

    /// Ends a turn: wakes the cores that were written to.
    pub fn ring_bells(&mut self) {
        self.mesh.ring_bells();
        self.stats.control_delayed.set(self.mesh.delayed() as u64);
    }

    fn tell(&mut self, core: CoreIndex, message: Control) {
        if core == self.core {
            self.local.push_back(message);
        } else {
            self.mesh.send_control(core, message);
        }
    }

    /// Handles the messages of this core to itself.
    fn settle(&mut self, now: Micros) {
        while let Some(message) = self.local.pop_front() {
            self.handle_control(self.core, message, now);
        }
    }

    fn handle_control(&mut self, from: CoreIndex, message: Control, now: Micros) {
        match message {
            Control::Publish { key, publisher, info } => self.own_publish(key, publisher, info),
            Control::Unpublish { key, publisher, units } => {
                self.own_unpublish(&key, publisher, units, now);
            }
            Control::Subscribe { key } => self.own_subscribe(from, key),
            Control::Unsubscribe { key } => self.own_unsubscribe(from, &key),
            Control::PublishAccepted { publisher, stream, watched } => {
                self.accepted(publisher, stream, watched);
            }
            Control::PublishRefused { publisher, why } => self.refused(publisher, why),
            Control::PublishEnded { publisher, why } => self.publication_ended(publisher, why),
            Control::Snapshot { key, stream, live, snapshot } => {
                self.restore(&key, stream, live, snapshot, now);
            }
            Control::Live { stream } => self.announced(stream),
            Control::Watched { publisher, watched } => self.watched(publisher, watched),
            Control::HlsWhich { key } => self.own_hls_which(from, key, now),
            Control::HlsOpen { key, form } => self.own_hls_open(from, key, form),
            Control::HlsClose { key, form } => self.own_hls_close(from, &key, form),
            Control::HlsForm { key, form } => self.hls_form(&key, form, now),
            Control::HlsState { key, form, stream, live, presentation } => {
                self.hls_state(&key, (stream, form), live, *presentation, now);
            }
            Control::HlsEvents { stream, form, events } => {
                self.shelve(stream, form, &events, now);
            }
            Control::HlsWindow { stream, form, window } => self.resize_shelf(stream, form, window),
            Control::HlsEnd { stream, form } => self.end_shelf(stream, form, now),
        }
    }

    fn handle_media(&mut self, message: Media, now: Micros) {
        match message {
            Media::Ingest { stream, publisher, unit } => {
                self.own_ingest(stream, publisher, unit, now);
            }
            Media::Unit { stream, unit } => self.deliver(stream, &unit, now),
            Media::Resume { stream, prologue, next } => {
                self.resume_replica(stream, *prologue, next, now);
            }
            Media::End { stream, why } => self.end_replica(stream, why, now),
        }
    }

    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}

/// Room for one batch of messages, kept between turns.
#[derive(Default)]
pub struct Inbox {
    control: Vec<(CoreIndex, Control)>,
    media: Vec<(CoreIndex, Media)>,
}

/// Units taken from one core in one batch: about 2 ms of work.
const MEDIA_BATCH_MAX: usize = 256;
/// Relay latencies above this are recorded as this: one minute.
const LATENCY_US_MAX: u64 = 60_000_000;
