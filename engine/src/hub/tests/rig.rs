//! Hubs connected by a mesh, and connections that do with notices what the shard does.

use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use corelay_codecs::TrackFilter;
use corelay_codecs::container::flv::demux::{self, Demuxer, Tag};
use corelay_codecs::container::flv::{TagType, header::file_header};
use corelay_config::Config;
use corelay_protocols::rtmp::MessageStreamId;
use corelay_protocols::rtmp::chunk::{ChunkReader, ReaderLimits};

use crate::clock::{Clock, Micros};
use crate::hub::*;
use crate::mesh::{self, CoreIndex, Depths};
use crate::net;
use crate::rt::Doorbell;
use crate::shard::Outbox;
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
    swept: Micros,
    chunk_size: u32,
}

/// A connection: a viewer, a publisher, or both in turn.
pub struct Peer {
    pub id: ConnectionId,
    pub publisher: Option<PublisherId>,
    pub accepted: bool,
    pub refused: Option<Refusal>,
    pub publish_ended: Option<EndReason>,
    pub play: Option<SubscriberId>,
    pub egress: Egress,
    pub readdressed: bool,
    pub started: Option<(bool, bool)>,
    pub play_ended: Option<EndReason>,
    pub closed: Option<CloseReason>,
    /// The client reads what it gets.
    pub reads: bool,
    pub got: Vec<u8>,
    socket: UnixStream,
    client: UnixStream,
    outbox: Outbox,
    blocked: bool,
}

/// What a viewer is.
#[derive(Clone, Copy)]
pub struct Watch {
    pub egress: Egress,
    pub readdressed: bool,
    pub wait_ms: u64,
    pub reads: bool,
    /// `SO_SNDBUF`; 0: the kernel's default.
    pub send_buffer: usize,
}

impl Watch {
    pub fn form(form: Form) -> Self {
        let egress = Egress { form, tracks: ALL };
        Self { egress, readdressed: false, wait_ms: 10_000, reads: true, send_buffer: 0 }
    }

    /// A player whose client does not read, on a socket that holds little.
    pub fn stuck(form: Form) -> Self {
        Self { reads: false, send_buffer: 4_096, ..Self::form(form) }
    }
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
            Hub::new(HubParts { mesh, clock, config, budget, stats: Arc::clone(stats) })
        };
        let hubs = mesh::connect(&bells, depths).into_iter().zip(&stats).map(hub).collect();
        let inboxes = (0..cores).map(|_| Inbox::default()).collect();
        let (now, peers, swept) = (Micros(1_000_000), Vec::new(), Micros(0));
        Self { hubs, stats, budget, now, peers, inboxes, swept, chunk_size }
    }

    /// A stream that core `owner` owns.
    pub fn key(&self, owner: usize) -> StreamKey {
        let owned = |key: &StreamKey| key.owner(self.hubs.len()).index() == owner;
        (0..).map(|n| StreamKey::new("live", &format!("channel{n}"))).find(owned).unwrap()
    }

    pub fn connect(&mut self, core: usize, watch: Watch) -> usize {
        let (socket, client) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        if watch.send_buffer > 0 {
            socket2::SockRef::from(&socket).set_send_buffer_size(watch.send_buffer).unwrap();
        }
        let slot = self.peers.len() as u32;
        let id = ConnectionId { core: CoreIndex(core as u16), slot, serial: slot + 1_000 };
        self.peers.push(Peer {
            id,
            publisher: None,
            accepted: false,
            refused: None,
            publish_ended: None,
            play: None,
            egress: watch.egress,
            readdressed: watch.readdressed,
            started: None,
            play_ended: None,
            closed: None,
            reads: watch.reads,
            got: Vec::new(),
            socket,
            client,
            outbox: Outbox::default(),
            blocked: false,
        });
        slot as usize
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
        self.peers[peer].publisher = Some(hub.publish(id, 1, key.clone(), info, self.now));
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
        let id = self.peers[peer].id;
        let options = PlayOptions {
            egress: watch.egress,
            fd: self.peers[peer].socket.as_raw_fd(),
            tag: 1,
            readdressed: watch.readdressed,
            wait_ms: watch.wait_ms,
        };
        let now = self.now;
        self.peers[peer].play = self.hub_of(peer).play(id, key.clone(), options, now);
        self.settle();
        peer
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

    /// Takes a tag from a publisher, as its driver does, and lets nothing else happen.
    pub fn push(&mut self, peer: usize, tag: &Tag) {
        let (ms, now) = (i64::from(tag.timestamp_ms), self.now);
        let Some(publisher) = self.peers[peer].publisher else { return };
        for unit in demux::parse_tag(tag.tag_type, ms, tag.body.clone()).unwrap() {
            self.hub_of(peer).ingest(publisher, unit, now);
        }
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
            for core in 0..self.hubs.len() {
                self.turn(core);
            }
            self.clients_read();
            if !self.hubs.iter().any(Hub::has_input) {
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

    fn hand_over(&mut self, core: usize) {
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
                self.notice(core, id, notice);
            }
            self.settle_peer(touched);
            self.hubs[core].reuse_notices(notices);
        }
        panic!("notices that answer notices do not settle");
    }

    fn settle_peer(&mut self, id: Option<ConnectionId>) {
        let Some(id) = id else { return };
        if !self.peers[id.slot as usize].blocked {
            self.pump(id.slot as usize);
        }
    }

    fn notice(&mut self, core: usize, id: ConnectionId, notice: Notice) {
        let (hub, now) = (&mut self.hubs[core], self.now);
        let peer = &mut self.peers[id.slot as usize];
        assert_eq!((peer.id, id.core.index()), (id, core), "a notice for somebody else");
        match notice {
            Notice::PublishAccepted(_) => peer.accepted = true,
            Notice::PublishRefused(_, why) => {
                peer.refused = Some(why);
                peer.publisher = None;
            }
            Notice::PublishEnded(_, why) => {
                peer.publish_ended = Some(why);
                peer.publisher = None;
            }
            Notice::PlayStarting { video, audio, .. } => {
                assert_eq!(peer.started.replace((video, audio)), None, "started twice");
                if peer.egress.form == Form::HttpFlv {
                    let tracks = peer.egress.tracks;
                    let header = file_header(audio && tracks.audio, video && tracks.video);
                    peer.outbox.push(header.to_vec().into());
                }
            }
            Notice::Private(_, bytes) => {
                if let Some(play) = peer.play {
                    peer.outbox.push(bytes);
                    if peer.readdressed {
                        hub.release(play);
                    }
                }
            }
            Notice::Rest(bytes) => peer.outbox.push_rest(bytes),
            Notice::Blocked => peer.blocked = true,
            Notice::Readable => peer.read_log(hub),
            Notice::PlayEnded(_, why) => {
                peer.play_ended = Some(why);
                if let Some(play) = peer.play.take() {
                    hub.stop(play, now);
                }
            }
            Notice::Close(why) => {
                peer.closed.get_or_insert(why);
                if let Some(play) = peer.play.take() {
                    hub.stop(play, now);
                }
            }
        }
    }

    /// What the shard does when a socket may have room.
    pub fn pump(&mut self, peer: usize) {
        let core = self.peers[peer].id.core.index();
        let (peer, hub) = (&mut self.peers[peer], &mut self.hubs[core]);
        while peer.pump(hub) && peer.readdressed {
            peer.read_log(hub);
            if peer.outbox.is_empty() {
                return;
            }
        }
    }

    /// Lets the clients read, and the sockets that were full go on.
    pub fn clients_read(&mut self) {
        for peer in 0..self.peers.len() {
            while self.peers[peer].reads && self.peers[peer].client_reads() {
                if self.peers[peer].blocked {
                    self.pump(peer);
                }
            }
        }
    }

    /// What a viewer has got, as tags. Panics if a message is broken or, unless it may be, incomplete.
    pub fn tags(&self, peer: usize) -> Vec<Tag> {
        let peer = &self.peers[peer];
        match peer.egress.form {
            Form::Rtmp => rtmp_tags(&peer.got, self.chunk_size),
            Form::HttpFlv => flv_tags(&peer.got),
            Form::WebSocketFlv => websocket_tags(&peer.got),
        }
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
            assert_eq!(hub.unflushed.len() + hub.local.len(), 0, "work left");
        }
        assert_eq!(self.budget.used(), 0, "memory");
        assert_eq!(self.budget.fair_share(), self.budget.bytes_max(), "logs");
        assert_eq!(self.count(|stats| &stats.viewers), 0, "viewers");
        assert_eq!(self.count(|stats| &stats.publishers), 0, "publishers");
    }
}

impl Peer {
    /// As `shard::Connection::pump`: the rest of a message, own messages, the log. True when drained.
    fn pump(&mut self, hub: &mut Hub) -> bool {
        let shared = self.play.filter(|_| !self.readdressed);
        loop {
            let (sent, wanted) = {
                let mut slices = Gather::new();
                if let Some(play) = shared {
                    hub.gather_rest(play, &mut slices);
                }
                self.outbox.gather(64, &mut slices);
                if let Some(play) = shared.filter(|_| slices.len() < 64) {
                    hub.gather_log(play, &mut slices);
                }
                let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
                if wanted == 0 {
                    break;
                }
                match net::send(self.socket.as_raw_fd(), &slices) {
                    Ok(sent) => (sent, wanted),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => (0, wanted),
                    Err(error) => panic!("the test's own socket fails: {error}"),
                }
            };
            let rest = shared.map_or(0, |play| hub.gather_rest(play, &mut Gather::new()));
            let of_rest = sent.min(rest);
            let of_outbox = (sent - of_rest).min(self.outbox.len());
            self.outbox.advance(of_outbox);
            for bytes in [of_rest, sent - of_rest - of_outbox] {
                if let Some(play) = shared.filter(|_| bytes > 0) {
                    hub.advance(play, bytes);
                }
            }
            if sent < wanted {
                self.blocked = true;
                if let Some(play) = shared {
                    hub.set_blocked(play, true);
                }
                return false;
            }
        }
        self.blocked = false;
        if let Some(play) = shared {
            hub.set_blocked(play, false);
        }
        true
    }

    fn read_log(&mut self, hub: &mut Hub) {
        let Some(play) = self.play.filter(|_| self.readdressed) else { return };
        while self.outbox.len() < 64 << 10 {
            let bytes = hub.read(play, 64 << 10);
            if bytes.is_empty() {
                return;
            }
            self.outbox.push(bytes.into());
        }
    }

    fn client_reads(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.client.read(&mut buffer) {
            Ok(bytes) => {
                self.got.extend_from_slice(&buffer[..bytes]);
                bytes > 0
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }
}

fn rtmp_tags(mut bytes: &[u8], chunk_size: u32) -> Vec<Tag> {
    let limits =
        ReaderLimits { chunk_size_max: 1 << 24, message_bytes_max: 1 << 24, chunk_streams_max: 8 };
    let mut reader = ChunkReader::new(limits);
    reader.set_chunk_size(chunk_size).unwrap();
    let mut tags = Vec::new();
    while let Some(message) = reader.push(&mut bytes).expect("whole messages") {
        assert_eq!(message.message_stream_id, MessageStreamId(1));
        let tag_type = TagType::from_id(message.type_id).expect("media");
        let (timestamp_ms, body) = (message.timestamp_ms, message.payload);
        tags.push(Tag { tag_type, timestamp_ms, body });
    }
    tags
}

fn flv_tags(bytes: &[u8]) -> Vec<Tag> {
    let mut demuxer = Demuxer::new(1 << 24);
    demuxer.push(bytes);
    let mut tags = Vec::new();
    let mut sizes = 13;
    while let Some(tag) = demuxer.next_tag().expect("whole tags") {
        // The demuxer does not look at PreviousTagSize, and players that seek back do.
        sizes += 11 + tag.body.len();
        if let Some(size) = bytes.get(sizes..sizes + 4) {
            assert_eq!(size, (11 + tag.body.len() as u32).to_be_bytes(), "PreviousTagSize");
        }
        sizes += 4;
        tags.push(tag);
    }
    tags
}

/// RFC 6455 5.2: final, binary, unmasked frames, one tag each.
fn websocket_tags(mut bytes: &[u8]) -> Vec<Tag> {
    let mut flv = file_header(true, true).to_vec();
    while let [0x82, length, rest @ ..] = bytes {
        let (length, size) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, 8),
            length => (usize::from(*length), 0),
        };
        let Some(frame) = rest.get(size..size + length) else { break };
        flv.extend_from_slice(frame);
        bytes = &rest[size + length..];
    }
    flv_tags(&flv)
}
