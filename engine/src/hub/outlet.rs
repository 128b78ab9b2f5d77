//! One egress of one stream on one core: its log, and the viewers that read it.
//!
//! Invariants
//! - A subscriber that holds its place in the log is at or after the log's tail.
//! - A viewer that skips, pauses or stops in the middle of a chunk first takes the rest of that chunk
//!   with it, so every peer sees whole messages only.
//! - Whole groups of pictures are skipped, never part of one.

mod slow;
mod sweep;

use bytes::Bytes;

use super::egress::Muxer;
use super::flush::Pending;
use super::log::{EgressLog, Gather};
use super::memory::SegmentPool;
use super::message::{ConnectionId, Notice};
use super::replica::Side;
use super::subscriber::{Delivery, State, Subscriber};
use super::unit::{Prologue, Unit};
use crate::clock::Micros;
use corelay_codecs::TrackKind;

pub use slow::MemoryLimit;
use sweep::{FLUSH_SLICES_MAX, Sweep};

/// What the hub wants to tell connections, in order.
pub type Notices = Vec<(ConnectionId, Notice)>;

/// See the module.
#[derive(Debug)]
pub struct Outlet {
    muxer: Muxer,
    log: EgressLog,
    subscribers: Vec<Subscriber>,
    /// It is fed by the bridge of a transport stream.
    is_bridged: bool,
    /// When the oldest chunk that no sweep has begun to send was appended.
    unflushed_since: Option<Micros>,
    /// Among the chunks that no sweep has begun to send is one that others wait for.
    closes_frame: bool,
    flushed: Micros,
    flushed_to: u64,
    sweep: Option<Sweep>,
    /// Offset of the newest configuration record.
    config_at: Option<u64>,
    /// Offset of the newest configuration record in front of the newest entry point.
    entry_config_at: Option<u64>,
    /// The chunk in which a viewer was last cut off, shared by all that stand in it: its offset and bytes.
    cut: Option<(u64, Bytes)>,
    has_video: bool,
    /// Some viewer waits for an entry point.
    has_waiting: bool,
    /// Since when it has had no viewer.
    idle_since: Option<Micros>,
}

impl Outlet {
    /// An outlet without viewers and without history.
    pub fn new(muxer: Muxer, pool: SegmentPool) -> Self {
        Self {
            muxer,
            log: EgressLog::new(pool),
            subscribers: Vec::new(),
            is_bridged: false,
            unflushed_since: None,
            closes_frame: false,
            flushed: Micros(0),
            flushed_to: 0,
            sweep: None,
            config_at: None,
            entry_config_at: None,
            cut: None,
            has_video: false,
            has_waiting: false,
            idle_since: None,
        }
    }

    /// What this outlet writes.
    pub fn muxer(&self) -> &Muxer {
        &self.muxer
    }

    /// It is fed by the bridge of a transport stream.
    pub fn is_bridged(&self) -> bool {
        self.is_bridged
    }

    /// Feeds it from the bridge, or not.
    pub fn set_bridged(&mut self, is_bridged: bool) {
        self.is_bridged = is_bridged;
        self.muxer.set_bridged(is_bridged);
    }

    /// Its log.
    pub fn log(&self) -> &EgressLog {
        &self.log
    }

    /// Its viewers.
    pub fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// One viewer.
    pub fn subscriber(&mut self, index: usize) -> &mut Subscriber {
        &mut self.subscribers[index]
    }

    /// Adds a viewer, and gives its index.
    pub fn attach(&mut self, subscriber: Subscriber) -> usize {
        self.has_waiting |= subscriber.waits_for_entry();
        self.idle_since = None;
        self.subscribers.push(subscriber);
        self.subscribers.len() - 1
    }

    /// Removes a viewer. The one that takes its index is `subscribers()[index]` afterwards, if any.
    pub fn detach(&mut self, index: usize, now: Micros, notices: &mut Notices) -> Subscriber {
        self.take_rest(index, notices);
        let subscriber = self.subscribers.swap_remove(index);
        if let Some(sweep) = self.sweep.as_mut().filter(|sweep| sweep.next > index) {
            // The viewer that moved here may not have been reached yet.
            sweep.next = index;
        }
        self.idle_since = self.subscribers.is_empty().then_some(now);
        subscriber
    }

    /// True when it has had no viewer for `ms` milliseconds.
    pub fn is_idle(&self, now: Micros, ms: u64) -> bool {
        self.idle_since.is_some_and(|since| now.millis_since(since) >= ms)
    }

    /// Forgets what came before: another publisher starts.
    pub fn start_epoch(&mut self, now: Micros) {
        let Self { log, muxer, .. } = self;
        let time = log.time_at(log.edge());
        if log.append(time, now, false, |log| muxer.restart(log)) {
            self.unflushed_since.get_or_insert(now);
        }
        self.log.forget_entry();
        self.has_video = false;
    }

    /// Takes what was configured before the first unit.
    pub fn learn(&mut self, prologue: &Prologue) {
        self.muxer.learn(prologue);
    }

    /// No viewer may start before the next entry point.
    pub fn forget_entry(&mut self) {
        self.log.forget_entry();
    }

    /// Muxes one unit into the log. True when it gave a chunk at which viewers may start.
    pub fn append(&mut self, unit: &Unit, now: Micros) -> bool {
        let (is_picture, is_sound) = match unit.access_unit() {
            None => (true, false),
            Some(access_unit) => {
                let kind = access_unit.track.kind;
                let is_video = kind == TrackKind::Video;
                self.has_video |= is_video && self.muxer.carries(access_unit);
                (is_video, kind == TrackKind::Audio && !access_unit.is_sticky())
            }
        };
        // Without video in this outlet every audio frame is an entry point.
        let entry = unit.entry_point || (is_sound && !self.muxer.egress.tracks.video);
        let Self { log, muxer, .. } = self;
        let at = log.edge();
        let appended = log.append(unit.time(), unit.received, entry, |log| muxer.write(unit, log));
        if appended {
            self.unflushed_since.get_or_insert(now);
            self.closes_frame |= is_picture || !self.has_video;
            if unit.is_sticky() {
                self.config_at = Some(at);
            }
            if entry {
                self.entry_config_at = self.config_at;
            }
        }
        appended && entry
    }

    /// Starts the viewers that wait for an entry point, if the log has one for them: who lost the thread
    /// never goes back.
    pub fn start_waiting(&mut self, side: &Side, notices: &mut Notices) {
        let Some(entry) = self.log.newest_entry().filter(|_| self.has_waiting) else { return };
        self.has_waiting = false;
        let mut head: Option<Bytes> = None;
        for subscriber in self.subscribers.iter_mut().filter(|found| found.waits_for_entry()) {
            if subscriber.state == State::Lost && subscriber.at > entry {
                self.has_waiting = true;
                continue;
            }
            let head = head.get_or_insert_with(|| {
                prologue_bytes(&mut self.muxer, &self.log, entry, self.has_video, &side.prologue)
            });
            begin(subscriber, entry, head.clone(), side.seen, notices);
        }
    }

    /// Starts one viewer at the live edge without waiting for an entry point.
    pub fn start_at_edge(&mut self, index: usize, side: &Side, notices: &mut Notices) {
        let edge = self.log.edge();
        let head = prologue_bytes(&mut self.muxer, &self.log, edge, false, &side.prologue);
        begin(&mut self.subscribers[index], edge, head, side.seen, notices);
    }

    /// What waits to be flushed, and whether a chunk among it closes a frame.
    pub fn pending(&self) -> Option<(Pending, bool)> {
        let oldest = self.unflushed_since?;
        Some((Pending { oldest, flushed: self.flushed }, self.closes_frame))
    }

    /// Adds what a viewer must get before anything else: the rest of the chunk it is inside of.
    pub fn gather_rest<'a>(&'a self, index: usize, out: &mut Gather<'a>) -> usize {
        let subscriber = &self.subscribers[index];
        if !subscriber.is_inside_chunk() {
            return 0;
        }
        self.log.gather(subscriber.at, subscriber.chunk_end, FLUSH_SLICES_MAX, out);
        (subscriber.chunk_end - subscriber.at) as usize
    }

    /// Adds whole chunks from a viewer's next boundary to the edge, if it gets them as they are.
    pub fn gather_log<'a>(&'a self, index: usize, out: &mut Gather<'a>) {
        let subscriber = &self.subscribers[index];
        if subscriber.holds_log() && subscriber.delivery != Delivery::Copied {
            let from = subscriber.at.max(subscriber.chunk_end);
            self.log.gather(from, self.log.edge(), FLUSH_SLICES_MAX, out);
        }
    }

    /// Moves a viewer on by `bytes` that its socket took.
    pub fn advance(&mut self, index: usize, bytes: usize) {
        let subscriber = &mut self.subscribers[index];
        subscriber.at += bytes as u64;
        if subscriber.at >= subscriber.chunk_end {
            subscriber.chunk_end = self.log.chunk_end(subscriber.at);
        }
    }

    /// Whole chunks for a viewer that copies them, up to `bytes_max` unless one chunk is larger;
    /// the viewer moves on. Nothing while it has private bytes to take first.
    pub fn read(&mut self, index: usize, bytes_max: u64) -> Vec<u8> {
        let subscriber = &mut self.subscribers[index];
        if !subscriber.is_readable() {
            return Vec::new();
        }
        let from = subscriber.at;
        let mut to = from;
        for (_, end) in self.log.chunks_from(from) {
            if end - from > bytes_max && to > from {
                break;
            }
            to = end;
        }
        subscriber.at = to;
        subscriber.chunk_end = to;
        self.log.copy(from, to)
    }

    /// Stops feeding a viewer until [`Self::resume`].
    pub fn pause(&mut self, index: usize, notices: &mut Notices) {
        self.take_rest(index, notices);
        self.subscribers[index].state = State::Paused;
    }

    /// Puts a viewer at the newest entry point, or lets it wait for the next one.
    pub fn resume(&mut self, index: usize, side: &Side, notices: &mut Notices) {
        self.take_rest(index, notices);
        self.subscribers[index].wait_anywhere();
        self.has_waiting = true;
        self.start_waiting(side, notices);
    }

    /// Hands every viewer what it has not got, because the stream ends.
    ///
    /// # Cost
    /// One copy of the log for all of them.
    pub fn hand_out(&mut self, notices: &mut Notices) {
        let edge = self.log.edge();
        let mut log: Option<(u64, Bytes)> = None;
        for index in 0..self.subscribers.len() {
            if !self.subscribers[index].holds_log() {
                continue;
            }
            self.take_rest(index, notices);
            let from = std::mem::replace(&mut self.subscribers[index].at, edge);
            self.subscribers[index].chunk_end = edge;
            if from == edge {
                continue;
            }
            let (start, log) = log.get_or_insert_with(|| {
                let tail = self.log.tail();
                (tail, self.log.copy(tail, edge).into())
            });
            let rest = log.slice((from - *start) as usize..);
            let subscriber = &mut self.subscribers[index];
            subscriber.held = true;
            notices.push((subscriber.connection, Notice::Private(subscriber.id, rest)));
        }
    }

    /// Hands a viewer the rest of the chunk it is inside of, so that it may go anywhere.
    ///
    /// # Cost
    /// One copy of the chunk for all viewers that stand in it.
    fn take_rest(&mut self, index: usize, notices: &mut Notices) {
        let subscriber = &mut self.subscribers[index];
        if !subscriber.is_inside_chunk() {
            return;
        }
        let (from, to) = (subscriber.at, subscriber.chunk_end);
        let start = self.log.chunk_start(from);
        let chunk = match &self.cut {
            Some((at, chunk)) if *at == start => chunk.clone(),
            _ => Bytes::from(self.log.copy(start, to)),
        };
        let rest = chunk.slice((from - start) as usize..);
        self.cut = Some((start, chunk));
        subscriber.at = to;
        subscriber.held = true;
        notices.push((subscriber.connection, Notice::Rest(rest)));
    }
}

/// Which kinds of track have been seen since the publisher started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Video.
    pub video: bool,
    /// Audio.
    pub audio: bool,
}

impl Seen {
    /// True when there is anything to watch or to hear.
    pub fn any(self) -> bool {
        self.video || self.audio
    }
}

fn prologue_bytes(
    muxer: &mut Muxer,
    log: &EgressLog,
    at: u64,
    at_picture: bool,
    prologue: &Prologue,
) -> Bytes {
    let mut bytes = Vec::new();
    muxer.write_prologue(prologue, log.time_at(at), at_picture, &mut bytes);
    bytes.into()
}

fn begin(subscriber: &mut Subscriber, at: u64, prologue: Bytes, seen: Seen, notices: &mut Notices) {
    let connection = subscriber.connection;
    if !subscriber.started {
        let (id, Seen { video, audio }) = (subscriber.id, seen);
        notices.push((connection, Notice::PlayStarting { id, video, audio }));
    }
    notices.push((connection, Notice::Private(subscriber.id, prologue)));
    subscriber.started = true;
    subscriber.state = State::Running;
    subscriber.held = true;
    subscriber.at = at;
    subscriber.chunk_end = at;
}
