//! One egress of one stream on one core: its log, and the viewers that read it.
//!
//! Invariants
//! - A subscriber that holds its place in the log is at or after the log's tail.
//! - A viewer that skips, pauses or stops in the middle of a chunk first takes the rest of that chunk
//!   with it, so every peer sees whole messages only.
//! - Whole groups of pictures are skipped, never part of one.

use bytes::Bytes;

use super::egress::Muxer;
use super::flush::Pending;
use super::log::{EgressLog, Gather};
use super::memory::SegmentPool;
use super::message::{CloseReason, ConnectionId, Notice};
use super::subscriber::{Delivery, State, Subscriber};
use super::unit::{Prologue, Unit};
use crate::clock::{Clock, Micros};
use crate::net;
use crate::stats::SkipReason;
use corelay_codecs::TrackKind;
use corelay_config::Policy;

/// What the hub wants to tell connections, in order.
pub type Notices = Vec<(ConnectionId, Notice)>;

/// See the module.
#[derive(Debug)]
pub struct Outlet {
    muxer: Muxer,
    log: EgressLog,
    subscribers: Vec<Subscriber>,
    /// When the oldest chunk that no flush has seen was appended.
    unflushed_since: Option<Micros>,
    /// The newest chunk is one that others wait for.
    closes_frame: bool,
    flushed: Micros,
    flushed_to: u64,
    /// Where the running sweep goes on; `None`: no sweep runs.
    sweep: Option<usize>,
    /// Offset of the newest configuration record.
    config_at: u64,
    has_video: bool,
    /// Some viewer waits for an entry point.
    has_waiting: bool,
}

/// What one turn of a flush did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flushed {
    /// Bytes taken by sockets.
    pub bytes: u64,
    /// Sends made.
    pub sends: u64,
    /// The sweep reached every viewer.
    pub done: bool,
    /// When the oldest unit that this sweep sent was received from the publisher, once it is done.
    pub oldest_received: Option<Micros>,
}

impl Outlet {
    /// An outlet without viewers and without history.
    pub fn new(muxer: Muxer, pool: SegmentPool) -> Self {
        Self {
            muxer,
            log: EgressLog::new(pool),
            subscribers: Vec::new(),
            unflushed_since: None,
            closes_frame: false,
            flushed: Micros(0),
            flushed_to: 0,
            sweep: None,
            config_at: 0,
            has_video: false,
            has_waiting: false,
        }
    }

    /// What this outlet writes.
    pub fn muxer(&self) -> &Muxer {
        &self.muxer
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
        self.subscribers.push(subscriber);
        self.subscribers.len() - 1
    }

    /// Removes a viewer. The one that takes its index is `subscribers()[index]` afterwards, if any.
    pub fn detach(&mut self, index: usize, notices: &mut Notices) -> Subscriber {
        self.take_rest(index, notices);
        let subscriber = self.subscribers.swap_remove(index);
        if self.sweep.is_some_and(|next| next > index) {
            // The viewer that moved here may not have been reached yet.
            self.sweep = Some(index);
        }
        subscriber
    }

    /// Forgets what came before: another publisher starts.
    pub fn start_epoch(&mut self) {
        self.log.forget_entry();
        self.has_video = false;
    }

    /// No viewer may start before the next entry point.
    pub fn forget_entry(&mut self) {
        self.log.forget_entry();
    }

    /// Muxes one unit into the log. True when it gave a chunk.
    pub fn append(&mut self, unit: &Unit, now: Micros) -> bool {
        let access_unit = &unit.access_unit;
        let kind = access_unit.track.kind;
        if self.muxer.carries(access_unit) && kind == TrackKind::Video {
            self.has_video = true;
        }
        let is_config = access_unit.is_sticky();
        // Without video in this outlet every audio frame is an entry point.
        let is_sound = kind == TrackKind::Audio && !is_config;
        let entry = unit.entry_point || (is_sound && !self.muxer.egress.tracks.video);
        let (at, muxer) = (self.log.edge(), self.muxer);
        let appended = self.log.append(access_unit.dts, unit.received, entry, |log| {
            muxer.write(access_unit, access_unit.dts, log)
        });
        if appended {
            self.unflushed_since.get_or_insert(now);
            self.closes_frame = kind == TrackKind::Video || !self.has_video;
            if is_config {
                self.config_at = at;
            }
        }
        appended
    }

    /// Starts the viewers that wait for an entry point, if the log has one.
    pub fn start_waiting(&mut self, prologue: &Prologue, seen: Seen, notices: &mut Notices) {
        let Some(entry) = self.log.newest_entry().filter(|_| self.has_waiting) else { return };
        self.has_waiting = false;
        let mut head: Option<Bytes> = None;
        for subscriber in &mut self.subscribers {
            if !subscriber.waits_for_entry() {
                continue;
            }
            let (log, muxer) = (&self.log, &self.muxer);
            let head = head.get_or_insert_with(|| prologue_bytes(muxer, log, entry, prologue));
            begin(subscriber, entry, head.clone(), seen, notices);
        }
    }

    /// Starts one viewer at the live edge without waiting for an entry point.
    pub fn start_at_edge(
        &mut self,
        index: usize,
        prologue: &Prologue,
        seen: Seen,
        notices: &mut Notices,
    ) {
        let edge = self.log.edge();
        let head = prologue_bytes(&self.muxer, &self.log, edge, prologue);
        begin(&mut self.subscribers[index], edge, head, seen, notices);
    }

    /// What waits to be flushed, and whether its newest chunk closes a frame.
    pub fn pending(&self) -> Option<(Pending, bool)> {
        let oldest = self.unflushed_since?;
        Some((Pending { oldest, flushed: self.flushed }, self.closes_frame))
    }

    /// True while a sweep has viewers left to reach.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Sends to every viewer what it has not got, until `deadline`. Call it again until it is done.
    ///
    /// # Cost
    /// One gathered send per viewer that is not up to date; slices are gathered once for all viewers at
    /// the same place.
    ///
    /// A viewer that took less than there was becomes the business of its connection (a notice).
    pub fn flush(
        &mut self,
        clock: &Clock,
        now: Micros,
        deadline: Micros,
        notices: &mut Notices,
    ) -> Flushed {
        let mut flushed = Flushed::default();
        let mut next = *self.sweep.get_or_insert_with(|| {
            self.flushed = now;
            0
        });
        let edge = self.log.edge();
        let (log, subscribers) = (&self.log, &mut self.subscribers);
        let (mut gathered_at, mut slices) = (None, Gather::new());
        while let Some(subscriber) = subscribers.get_mut(next) {
            if flushed.sends % SENDS_PER_CLOCK_READ == SENDS_PER_CLOCK_READ - 1
                && clock.now() > deadline
            {
                break;
            }
            next += 1;
            if subscriber.at == edge || !subscriber.is_ready() {
                if subscriber.delivery == Delivery::Readdressed && subscriber.at < edge {
                    notices.push((subscriber.connection, Notice::Readable));
                }
                continue;
            }
            if gathered_at != Some(subscriber.at) {
                slices.clear();
                log.gather(subscriber.at, edge, FLUSH_SLICES_MAX, &mut slices);
                gathered_at = Some(subscriber.at);
            }
            flushed.sends += 1;
            flushed.bytes += send_to(subscriber, log, &slices, edge, notices);
        }
        if next < self.subscribers.len() {
            self.sweep = Some(next);
        } else {
            self.sweep = None;
            flushed.done = true;
            let from = self.flushed_to.max(self.log.tail());
            flushed.oldest_received = self.log.received_at(from).filter(|_| from < edge);
            self.flushed_to = edge;
            self.unflushed_since = (self.log.edge() > edge).then_some(now);
        }
        flushed
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

    /// Adds whole chunks from a viewer's next boundary to the edge, if it is served directly.
    pub fn gather_log<'a>(&'a self, index: usize, out: &mut Gather<'a>) {
        let subscriber = &self.subscribers[index];
        if subscriber.holds_log() && subscriber.delivery == Delivery::Shared {
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

    /// Whole chunks for a viewer that readdresses them, up to `bytes_max` unless one chunk is larger;
    /// the viewer moves on.
    pub fn read(&mut self, index: usize, bytes_max: u64) -> Vec<u8> {
        let subscriber = &mut self.subscribers[index];
        if subscriber.state != State::Running {
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
    pub fn resume(&mut self, index: usize, prologue: &Prologue, seen: Seen, notices: &mut Notices) {
        self.take_rest(index, notices);
        if matches!(self.subscribers[index].state, State::Waiting(_)) {
            return;
        }
        self.subscribers[index].state = State::Lost;
        self.has_waiting = true;
        self.start_waiting(prologue, seen, notices);
    }

    /// Applies the slow-viewer policy, and gives back the memory that nobody needs.
    pub fn enforce(
        &mut self,
        policy: &Policy,
        prologue: &Prologue,
        now: Micros,
        budget: MemoryLimit,
        notices: &mut Notices,
        mut skipped: impl FnMut(SkipReason),
    ) {
        let bytes_max = (policy.log_bytes_max as u64).min(budget.bytes_max);
        let limit = self.log.limit(bytes_max, policy.log_ms_max);
        let edge = self.log.edge();
        for index in 0..self.subscribers.len() {
            let subscriber = &self.subscribers[index];
            if !subscriber.holds_log() || subscriber.at == edge {
                continue;
            }
            let at = subscriber.at;
            let reason = if edge - at > policy.behind_bytes_max as u64 {
                SkipReason::BehindBytes
            } else if self.log.behind_ms(at) > policy.behind_ms_max {
                SkipReason::BehindTime
            } else if at < limit && budget.is_short {
                SkipReason::Memory
            } else if at < limit {
                SkipReason::LogLimit
            } else {
                continue;
            };
            self.skip(index, policy, prologue, now, notices);
            skipped(reason);
        }
        self.trim(limit);
    }

    /// Forgets what no viewer and no joiner needs, and everything before `limit`.
    fn trim(&mut self, limit: u64) {
        let edge = self.log.edge();
        let wanted =
            self.log.newest_entry().unwrap_or(edge).min(self.flushed_to.max(self.log.tail()));
        if wanted <= self.log.tail() && limit <= self.log.tail() {
            return;
        }
        let held = self.subscribers.iter().filter(|subscriber| subscriber.holds_log());
        let oldest = held.map(|subscriber| subscriber.at).min().unwrap_or(edge);
        let keep = wanted.min(self.log.chunk_start(oldest));
        self.log.trim(keep.max(limit.min(self.log.chunk_start(oldest))));
    }

    fn skip(
        &mut self,
        index: usize,
        policy: &Policy,
        prologue: &Prologue,
        now: Micros,
        notices: &mut Notices,
    ) {
        self.take_rest(index, notices);
        let (edge, entry) = (self.log.edge(), self.log.newest_entry());
        let config_at = self.config_at;
        let (log, muxer) = (&self.log, &self.muxer);
        let subscriber = &mut self.subscribers[index];
        match entry.filter(|&entry| entry > subscriber.at) {
            Some(entry) => {
                if config_at >= subscriber.at && config_at < entry {
                    subscriber.held = true;
                    let head = prologue_bytes(muxer, log, entry, prologue);
                    notices.push((subscriber.connection, Notice::Private(subscriber.tag, head)));
                }
                subscriber.at = entry;
            }
            None => {
                subscriber.at = edge;
                subscriber.state = State::Lost;
                self.has_waiting = true;
            }
        }
        subscriber.chunk_end = subscriber.at;
        if now.millis_since(subscriber.skips_since) > policy.skips_window_ms {
            (subscriber.skips, subscriber.skips_since) = (0, now);
        }
        subscriber.skips += 1;
        if subscriber.skips > policy.skips_max {
            let (skips, window_ms) = (subscriber.skips, policy.skips_window_ms);
            let reason = CloseReason::TooSlow { skips, window_ms };
            notices.push((subscriber.connection, Notice::Close(reason)));
        }
    }

    /// Hands a viewer the rest of the chunk it is inside of, so that it may go anywhere.
    fn take_rest(&mut self, index: usize, notices: &mut Notices) {
        let subscriber = &mut self.subscribers[index];
        if subscriber.is_inside_chunk() {
            let rest = self.log.copy(subscriber.at, subscriber.chunk_end);
            subscriber.at = subscriber.chunk_end;
            subscriber.held = true;
            notices.push((subscriber.connection, Notice::Rest(rest.into())));
        }
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

/// How much a log may keep at present.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimit {
    /// Bytes; `u64::MAX` when memory is not short.
    pub bytes_max: u64,
    /// The ceiling over all logs is exceeded.
    pub is_short: bool,
}

fn prologue_bytes(muxer: &Muxer, log: &EgressLog, at: u64, prologue: &Prologue) -> Bytes {
    let mut bytes = Vec::new();
    muxer.write_prologue(prologue, log.time_at(at), &mut bytes);
    bytes.into()
}

fn begin(subscriber: &mut Subscriber, at: u64, prologue: Bytes, seen: Seen, notices: &mut Notices) {
    let connection = subscriber.connection;
    if matches!(subscriber.state, State::Waiting(_)) {
        let (tag, Seen { video, audio }) = (subscriber.tag, seen);
        notices.push((connection, Notice::PlayStarting { tag, video, audio }));
    }
    notices.push((connection, Notice::Private(subscriber.tag, prologue)));
    subscriber.state = State::Running;
    subscriber.held = true;
    subscriber.at = at;
    subscriber.chunk_end = at;
}

/// Sends `slices`, which reach from the subscriber's place to `edge`.
fn send_to(
    subscriber: &mut Subscriber,
    log: &EgressLog,
    slices: &Gather<'_>,
    edge: u64,
    notices: &mut Notices,
) -> u64 {
    let sent = match net::send(subscriber.fd, slices) {
        Ok(sent) => sent as u64,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
        Err(error) => {
            // No more sends to it; the connection detaches it when it hears of this.
            subscriber.held = true;
            let reason = CloseReason::SocketFailed(error.kind());
            notices.push((subscriber.connection, Notice::Close(reason)));
            return 0;
        }
    };
    subscriber.at += sent;
    subscriber.chunk_end = subscriber.at;
    if subscriber.at < edge {
        subscriber.chunk_end = log.chunk_end(subscriber.at);
        subscriber.state = State::Blocked;
        notices.push((subscriber.connection, Notice::Blocked));
    }
    sent
}

/// Slices of one send: 64 segments are 2 MiB, more than a socket takes at once.
const FLUSH_SLICES_MAX: usize = 64;
/// A clock read costs about a hundredth of a send.
const SENDS_PER_CLOCK_READ: u64 = 16;
