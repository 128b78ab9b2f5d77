//! Hubs connected by a mesh, their connections, and a clock.

use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::container::flv::demux::{self, Tag};
use corelay_codecs::{TrackFilter, TsBlock};
use corelay_config::Config;

pub use super::peer::{Peer, Watch};
use super::wire;
use crate::clock::{Clock, Micros};
use crate::hub::*;
use crate::mesh::{self, Depths};
use crate::rt::Doorbell;
use crate::stats::CoreStats;

pub const ALL: TrackFilter = TrackFilter::ALL;
pub const SOUND: TrackFilter = TrackFilter { video: false, audio: true };
pub const PICTURES: TrackFilter = TrackFilter { video: true, audio: false };

pub struct Rig {
    pub hubs: Vec<Hub>,
    pub stats: Vec<Arc<CoreStats>>,
    pub budget: Arc<Budget>,
    pub now: Micros,
    pub peers: Vec<Peer>,
    inboxes: Vec<Inbox>,
    held: Option<usize>,
    swept: Micros,
    chunk_size: u32,
}

impl Rig {
    pub fn new(cores: usize) -> Self {
        Self::with(cores, |_| {})
    }

    /// `adjust` changes the shipped settings; no check keeps it within their ranges.
    pub fn with(cores: usize, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::shipped();
        adjust(&mut config);
        let bells: Vec<Doorbell> = (0..cores).map(|_| Doorbell::new().unwrap()).collect();
        let depths = Depths {
            control_slots: config.cores.ring_control_slots,
            media_slots: config.cores.ring_media_slots,
        };
        let budget = Budget::new(config.memory.logs_bytes_max as u64);
        let stats: Vec<Arc<CoreStats>> = (0..cores).map(|_| Arc::default()).collect();
        let (clock, config) = (Clock::start(), Arc::new(config));
        let chunk_size = config.rtmp.chunk_size_out;
        let hub = |(mesh, stats): (_, &Arc<CoreStats>)| {
            let (config, budget) = (Arc::clone(&config), Arc::clone(&budget));
            Hub::new(HubParts {
                mesh,
                clock,
                config,
                budget,
                stats: Arc::clone(stats),
                hls_key: None,
            })
        };
        let hubs = mesh::connect(&bells, depths).into_iter().zip(&stats).map(hub).collect();
        let inboxes = (0..cores).map(|_| Inbox::default()).collect();
        let (now, peers, swept) = (Micros(1_000_000), Vec::new(), Micros(0));
        Self { hubs, stats, budget, now, peers, inboxes, held: None, swept, chunk_size }
    }

    /// A stream that core `owner` owns.
    pub fn key(&self, owner: usize) -> StreamKey {
        let owned = |key: &StreamKey| key.owner(self.hubs.len()).index() == owner;
        (0..).map(|n| StreamKey::new("live", &format!("channel{n}"))).find(owned).unwrap()
    }

    pub fn connect(&mut self, core: usize, watch: Watch) -> usize {
        self.peers.push(Peer::new(core, self.peers.len(), watch));
        self.peers.len() - 1
    }

    pub fn publish(&mut self, core: usize, key: &StreamKey) -> usize {
        let peer = self.connect(core, Watch::form(Form::Rtmp));
        self.publish_as(peer, key);
        peer
    }

    pub fn publish_as(&mut self, peer: usize, key: &StreamKey) {
        let id = self.peers[peer].id;
        let info = PublisherInfo {
            connection: id,
            peer: "192.0.2.1:1".parse().unwrap(),
            protocol: "rtmp",
            agent: String::new(),
            url: String::new(),
            since: self.now,
        };
        let hub = &mut self.hubs[id.core.index()];
        self.peers[peer].publisher = Some(hub.publish(id, key.clone(), info, self.now));
        self.settle();
    }

    pub fn unpublish(&mut self, peer: usize) {
        if let Some(publisher) = self.peers[peer].publisher.take() {
            let now = self.now;
            self.hub_of(peer).unpublish(publisher, now);
        }
        self.settle();
    }

    pub fn play(&mut self, core: usize, key: &StreamKey, watch: Watch) -> usize {
        let peer = self.connect(core, watch);
        self.play_without_turn(peer, key);
        self.settle();
        peer
    }

    /// Asks for a play, and lets nothing else happen.
    pub fn play_without_turn(&mut self, peer: usize, key: &StreamKey) {
        let (id, options) = (self.peers[peer].id, self.peers[peer].play_options());
        let now = self.now;
        self.peers[peer].play = self.hub_of(peer).play(id, key.clone(), options, now);
    }

    pub fn stop(&mut self, peer: usize) {
        if let Some(play) = self.peers[peer].play.take() {
            let now = self.now;
            self.hub_of(peer).stop(play, now);
        }
        self.settle();
    }

    pub fn hub_of(&mut self, peer: usize) -> &mut Hub {
        &mut self.hubs[self.peers[peer].id.core.index()]
    }

    /// Takes a tag from a publisher, as its driver does; no flush follows.
    pub fn push(&mut self, peer: usize, tag: &Tag) {
        let (ms, now) = (i64::from(tag.timestamp_ms), self.now);
        let Some(publisher) = self.peers[peer].publisher else { return };
        for unit in demux::parse_tag(tag.tag_type, ms, tag.body.clone()).unwrap() {
            self.hub_of(peer).ingest(publisher, unit, now);
        }
        self.hand_over(self.peers[peer].id.core.index());
    }

    /// Takes packets from a publisher, as its driver does, and lets all cores have a turn.
    pub fn push_packets(&mut self, peer: usize, block: TsBlock, tables: Option<Bytes>) {
        let now = self.now;
        if let Some(publisher) = self.peers[peer].publisher {
            self.hub_of(peer).ingest_packets(publisher, block, tables, now);
        }
        self.settle();
    }

    /// A core that is held gets no turn.
    pub fn hold(&mut self, core: usize, held: bool) {
        self.held = held.then_some(core);
        self.settle();
    }

    /// Takes tags from a publisher, one turn each.
    pub fn send(&mut self, peer: usize, tags: &[Tag]) {
        for tag in tags {
            self.push(peer, tag);
            self.settle();
        }
    }

    /// Lets time pass, 20 ms at a time.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.after_millis(ms);
        while self.now < until {
            self.now = self.now.after_millis(20).min(until);
            if self.now.millis_since(self.swept) >= 100 {
                self.swept = self.now;
                self.hubs.iter_mut().for_each(|hub| hub.sweep_idle(self.now));
            }
            self.settle();
        }
    }

    /// Turns of all cores until nothing is left to do.
    pub fn settle(&mut self) {
        loop {
            let held = self.held;
            let runs = |core: &usize| held != Some(*core);
            for core in (0..self.hubs.len()).filter(runs) {
                self.turn(core);
            }
            self.clients_read();
            if !(0..self.hubs.len()).filter(runs).any(|core| self.hubs[core].has_input()) {
                return;
            }
        }
    }

    /// One turn of one core.
    pub fn turn(&mut self, core: usize) {
        self.hubs[core].receive(self.now, &mut self.inboxes[core]);
        self.finish_turn(core, Micros(u64::MAX - 1));
    }

    /// The end of a turn. The deadline is on the real clock.
    pub fn finish_turn(&mut self, core: usize, deadline: Micros) -> Left {
        self.hand_over(core);
        let left = self.hubs[core].flush(self.now, deadline);
        self.hand_over(core);
        self.hubs[core].ring_bells();
        left
    }

    /// Tells connections what the hub has for them: the shard does so after every call.
    pub fn hand_over(&mut self, core: usize) {
        for _ in 0..64 {
            let mut notices = self.hubs[core].take_notices();
            if notices.is_empty() {
                return self.hubs[core].reuse_notices(notices);
            }
            let mut touched: Option<ConnectionId> = None;
            for (id, notice) in notices.drain(..) {
                if touched.is_some_and(|last| last != id) {
                    self.settle_peer(touched.take());
                }
                touched = Some(id);
                let peer = &mut self.peers[id.slot as usize];
                assert_eq!((peer.id, id.core.index()), (id, core), "for somebody else");
                peer.handle(&mut self.hubs[core], notice, self.now);
            }
            self.settle_peer(touched);
            self.hubs[core].reuse_notices(notices);
        }
        panic!("notices that answer notices do not settle");
    }

    fn settle_peer(&mut self, id: Option<ConnectionId>) {
        let Some(id) = id else { return };
        if !self.peers[id.slot as usize].is_blocked() {
            self.pump(id.slot as usize);
        }
    }

    /// What the shard does when a socket may have room.
    pub fn pump(&mut self, peer: usize) {
        let core = self.peers[peer].id.core.index();
        self.peers[peer].pump(&mut self.hubs[core]);
    }

    /// A client takes this much of what there is for it.
    pub fn sip(&mut self, peer: usize, bytes: usize) {
        let until = self.peers[peer].got.len() + bytes;
        while self.peers[peer].got.len() < until && self.peers[peer].client_reads(1 << 10) {
            if self.peers[peer].is_blocked() {
                self.pump(peer);
            }
        }
        self.settle();
    }

    /// Lets the clients read, and the sockets that were full go on.
    pub fn clients_read(&mut self) {
        for peer in 0..self.peers.len() {
            while self.peers[peer].reads && self.peers[peer].client_reads(64 << 10) {
                if self.peers[peer].is_blocked() {
                    self.pump(peer);
                }
            }
        }
    }

    /// What a viewer has got, as tags. Panics if a message is broken.
    pub fn tags(&self, peer: usize) -> Vec<Tag> {
        wire::tags(self.peers[peer].egress.form, &self.peers[peer].got, self.chunk_size)
    }

    /// Bytes behind the last whole message that a viewer has got.
    pub fn cut_off(&self, peer: usize) -> usize {
        wire::cut_off(self.peers[peer].egress.form, &self.peers[peer].got, self.chunk_size)
    }

    /// The bodies that a viewer has got: frames only.
    pub fn frames(&self, peer: usize) -> Vec<Tag> {
        self.tags(peer).into_iter().filter(super::media::is_frame).collect()
    }

    /// Sum of a counter over the cores.
    pub fn count(&self, of: impl Fn(&CoreStats) -> &crate::stats::Cell) -> u64 {
        self.stats.iter().map(|stats| of(stats).load()).sum()
    }

    /// Nothing is left of streams, viewers and publishers.
    pub fn assert_empty(&self) {
        for hub in &self.hubs {
            assert_eq!(hub.streams.len(), 0, "streams");
            assert_eq!(hub.stream_slots.len(), 0, "stream slots");
            assert_eq!(hub.replicas.len(), 0, "replicas");
            assert_eq!(hub.replica_slots.len() + hub.replica_of.len(), 0, "replica slots");
            assert_eq!(hub.publications.len(), 0, "publications");
            assert_eq!(hub.places.len(), 0, "places");
            assert!(hub.shelves.is_empty(), "shelves");
            assert_eq!(hub.unflushed.len() + hub.local.len(), 0, "work left");
        }
        assert_eq!(self.budget.used(), 0, "memory");
        assert_eq!(self.budget.fair_share(), self.budget.bytes_max(), "logs");
        assert_eq!(self.count(|stats| &stats.viewers), 0, "viewers");
        assert_eq!(self.count(|stats| &stats.publishers), 0, "publishers");
    }
}
