//! A jitter buffer: datagrams leave at the time that their PCR position says.
//!
//! Specifications: ISO/IEC 13818-1 2.4.2.2 (between two PCRs bytes arrive at a constant rate),
//! 2.4.3.5 (PCR), Annex D.0.9 and ETSI TR 101 290 5.3.2 (jitter). Times are microseconds of any
//! clock that does not go back; they come in as arguments.
//!
//! - `schedule`: positions of packets to stream time.
//! - `clock`: stream time to wall time; the sender's clock against ours.
//! - `lock`: PCRs, and what happens without them.
//!
//! What is promised
//! - In step with the PCRs of one PID, the first that has any; another one when that has none for a
//!   second. The first PCR leaves `depth_us` after its arrival.
//! - A packet's time is known when the PCR behind it has arrived. Where none comes for
//!   `extrapolate_us`, packets leave at the rate of before.
//! - Clocks that disagree: stream time is stretched by at most 200 ppm, so that the reserve (how long
//!   the latest arrivals still wait) stays; no departure ever jumps for it.
//! - A PCR that jumps, or comes after a pause, begins behind what is in the buffer; anew, `depth_us`
//!   after its arrival, where that is much later.
//! - No PCR for 500 ms: packets leave `depth_us` after their arrival, until two PCRs have come.
//! - What arrives after its time leaves at once. When that goes on for a second, everything leaves
//!   later from then on: by what was missing, and half of the depth.
//! - A source that sends in bursts, a picture, a group of pictures or a segment at once, needs no
//!   more depth for that; it is the reserve that the depth is compared with.
//! - A reserve of more than `overrun_us` for 5 s (a source that began with all that it had), or more
//!   than `bytes_max`: the oldest packets are dropped and the clock is set anew.
//!
//! Invariants
//! - Packets leave in their order, each once, unless they are counted as dropped.
//! - Departures never go back.
//! - Memory: `bytes_max`, and a few bytes a packet at most. Nothing is allocated once the buffer has
//!   grown to what the stream needs.

mod clock;
mod lock;
mod schedule;

use std::collections::VecDeque;

use super::packet::PACKET_SIZE;
use clock::{TICKS_PER_US, WallClock};
use lock::Lock;
use schedule::Schedule;

/// How long and how much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time from the arrival of a packet that is neither early nor late to its departure, in us:
    /// 1,000 to 10,000,000, default 200,000. It should cover the jitter and one PCR interval; where it
    /// does not, departures move once.
    pub depth_us: u64,
    /// Packets of a datagram: 1 to 348, default 7, which fit an Ethernet frame.
    pub packets_per_datagram: usize,
    /// Most bytes that are held; default 8 MiB. At least two datagrams are. A depth that does not
    /// fit in at the stream's rate becomes what fits.
    pub bytes_max: usize,
    /// The buffer is too full when even the latest arrivals wait longer than this, in us: at least
    /// twice the depth; default 0, which is four times the depth.
    pub overrun_us: u64,
    /// Packets leave by the rate of before when no PCR has come for so long, in us; default 100,000,
    /// the longest interval that the standard allows. With a depth of more than this they are in
    /// time all the same.
    pub extrapolate_us: u64,
    /// A datagram that is due and not full waits this long for more packets, in us; default 50,000.
    pub linger_us: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            depth_us: 200_000,
            packets_per_datagram: 7,
            bytes_max: 8 << 20,
            overrun_us: 0,
            extrapolate_us: 100_000,
            linger_us: 50_000,
        }
    }
}

impl Settings {
    /// Every number inside of its range.
    fn clamped(self) -> Self {
        let depth_us = self.depth_us.clamp(1_000, DEPTH_MAX_US);
        let packets_per_datagram = self.packets_per_datagram.clamp(1, DATAGRAM_PACKETS_MAX);
        let overrun_us = if self.overrun_us == 0 { 4 * depth_us } else { self.overrun_us };
        Self {
            depth_us,
            packets_per_datagram,
            bytes_max: self.bytes_max.clamp(2 * packets_per_datagram * PACKET_SIZE, 1 << 40),
            overrun_us: overrun_us.clamp(2 * depth_us, 60 * DEPTH_MAX_US),
            extrapolate_us: self.extrapolate_us.min(DEPTH_MAX_US),
            linger_us: self.linger_us.min(DEPTH_MAX_US),
        }
    }
}

/// Counts since the pacer was made, and how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that left.
    pub datagrams: u64,
    /// Of these, the ones whose first packet's time was over when it became known.
    pub late: u64,
    /// Times that packets came too late; those within 500 ms are one.
    pub underruns: u64,
    /// Times that the buffer was too full.
    pub overruns: u64,
    /// Bytes that were dropped for that.
    pub overrun_bytes: u64,
    /// Times that the clock was set anew: jumps, pauses, underruns, overruns.
    pub reanchors: u64,
    /// Times that there was no PCR for 500 ms.
    pub free_runs: u64,
    /// True while there is none.
    pub is_free_running: bool,
    /// From the last call to the departure of the newest packet, in us.
    pub buffered_us: u64,
    /// Bytes that are held.
    pub buffered_bytes: usize,
    /// By how much stream time is stretched to follow the sender's clock, in parts per 10^9.
    pub stretch_ppb: i64,
}

/// Holds the packets of one stream until it is their time.
///
/// [`push`](Self::push) what arrives, [`take`](Self::take) what is due by
/// [`next_departure`](Self::next_departure), [`finish`](Self::finish) or [`flush`](Self::flush) at
/// the end. A push may bring the next departure forward or put it off: ask again after it.
#[derive(Debug)]
pub struct Pacer {
    settings: Settings,
    /// The packets, the next one to leave in front.
    packets: VecDeque<[u8; PACKET_SIZE]>,
    /// Position of the front one.
    head: u64,
    schedule: Schedule,
    clock: WallClock,
    lock: Lock,
    /// Packets before this one were late when their time became known.
    late_until: u64,
    last_departure: i64,
    now: i64,
    last_push: i64,
    is_finished: bool,
    /// A datagram that is in two parts of the ring.
    joined: Vec<[u8; PACKET_SIZE]>,
    counters: Counters,
}

impl Pacer {
    /// An empty buffer. Settings outside of their range are taken as the nearest inside.
    pub fn new(settings: Settings) -> Self {
        let settings = settings.clamped();
        Self {
            settings,
            packets: VecDeque::new(),
            head: 0,
            schedule: Schedule::default(),
            clock: WallClock::default(),
            lock: Lock::new(ticks(settings.depth_us)),
            late_until: 0,
            last_departure: i64::MIN,
            now: 0,
            last_push: 0,
            is_finished: false,
            joined: Vec::with_capacity(settings.packets_per_datagram),
            counters: Counters::default(),
        }
    }

    /// Takes the packets of 188 bytes that arrived at `now_us`; what is behind the last whole one is
    /// left out.
    ///
    /// Cost: one copy, a look at each header.
    pub fn push(&mut self, packets: &[u8], now_us: u64) {
        let now = self.go_on(now_us);
        let packets = self.make_room(packets.as_chunks().0, now);
        if packets.is_empty() {
            return;
        }
        self.is_finished = false;
        self.last_push = now;
        let first = self.end();
        self.packets.extend(packets);
        self.on_arrival(first, now);
        for (position, packet) in (first..).zip(packets) {
            if has_pcr(packet) {
                self.on_clock_packet(packet, position, now);
            }
        }
        self.check_guess(first, now);
    }

    /// When the next datagram leaves, in us; `None` when the buffer is empty. May be over already.
    pub fn next_departure(&self) -> Option<u64> {
        self.due().map(us)
    }

    /// Hands out every datagram that is due at `now_us`, with the time in us at which it leaves by
    /// the schedule; one that came too late leaves now.
    pub fn take(&mut self, now_us: u64, mut emit: impl FnMut(&[u8], u64)) {
        let now = self.go_on(now_us);
        while let Some(due) = self.due().filter(|due| us(*due) <= us(now)) {
            let is_late = self.head < self.late_until;
            self.counters.late += u64::from(is_late);
            self.emit_next(if is_late { now.max(due) } else { due }, &mut emit);
        }
    }

    /// The input has ended: what is held leaves at its time, the last datagram too, full or not.
    /// Another push goes on.
    pub fn finish(&mut self) {
        self.is_finished = true;
    }

    /// Hands out everything at once.
    pub fn flush(&mut self, now_us: u64, mut emit: impl FnMut(&[u8], u64)) {
        let now = self.go_on(now_us).max(self.last_departure);
        while !self.packets.is_empty() {
            self.emit_next(now, &mut emit);
        }
    }

    /// Counts so far, and how full the buffer was at the last call.
    pub fn counters(&self) -> Counters {
        let newest = self.clock.wall_at(self.time_of(self.end()).0);
        let is_empty = self.packets.is_empty();
        let buffered = if is_empty { 0 } else { newest.saturating_sub(self.now) };
        Counters {
            is_free_running: self.lock.is_free_running(),
            buffered_us: us(buffered),
            buffered_bytes: self.packets.len() * PACKET_SIZE,
            stretch_ppb: self.clock.stretch_ppb(),
            ..self.counters
        }
    }

    /// Position of the next packet to arrive.
    fn end(&self) -> u64 {
        self.head + self.packets.len() as u64
    }

    /// The caller's time in ticks; time that goes back stands still.
    fn go_on(&mut self, now_us: u64) -> i64 {
        self.now = self.now.max(ticks(now_us));
        self.now
    }

    fn due(&self) -> Option<i64> {
        if self.packets.is_empty() {
            return None;
        }
        let (stream, guessed_from) = self.time_of(self.head);
        let mut due = self.clock.wall_at(stream);
        if let Some(from) = guessed_from {
            due = due.max(from);
        }
        if self.packets.len() < self.settings.packets_per_datagram && !self.is_finished {
            due = due.saturating_add(ticks(self.settings.linger_us));
        }
        Some(due.max(self.last_departure))
    }

    /// Stream time of a packet; and for one behind the last PCR, since when the guess is good enough
    /// to act on.
    fn time_of(&self, position: u64) -> (i64, Option<i64>) {
        let time = self.schedule.time_at(position);
        let last = self.schedule.last().filter(|last| last.position < position);
        let Some((last, clock_seen)) = last.zip(self.lock.guesses_since()) else {
            return (time, None);
        };
        // It came no longer after the PCR than the last push did, and leaves about so much later.
        let arrived = self.last_push.saturating_sub(clock_seen).max(0);
        let latest = last.stream.saturating_add(arrived).saturating_add(self.lock.slack());
        let from = clock_seen.saturating_add(ticks(self.settings.extrapolate_us));
        (time.min(latest), Some(from))
    }

    fn emit_next(&mut self, departure: i64, emit: &mut impl FnMut(&[u8], u64)) {
        let count = self.packets.len().min(self.settings.packets_per_datagram);
        let (front, back) = self.packets.as_slices();
        let datagram = match front.get(..count) {
            Some(datagram) => datagram,
            None => {
                self.joined.clear();
                self.joined.extend(front.iter().chain(back).take(count));
                &self.joined
            }
        };
        emit(datagram.as_flattened(), us(departure));
        self.counters.datagrams += 1;
        self.last_departure = departure;
        self.advance(count);
    }

    fn advance(&mut self, count: usize) {
        self.packets.drain(..count);
        self.head += count as u64;
        self.schedule.forget_before(self.head);
    }

    /// Drops the oldest packets when there is no place for these, and of these what would not fit
    /// even then.
    fn make_room<'a>(
        &mut self,
        packets: &'a [[u8; PACKET_SIZE]],
        now: i64,
    ) -> &'a [[u8; PACKET_SIZE]] {
        let places = self.settings.bytes_max / PACKET_SIZE;
        if self.packets.len() + packets.len() <= places {
            return packets;
        }
        // A quarter more than needed, so that not every push does this.
        let wanted = places - places / 4;
        let excess = (self.packets.len() + packets.len()).saturating_sub(wanted);
        self.drop_oldest(excess.min(self.packets.len()));
        if let Some(due) = self.due() {
            self.set_anew(now.saturating_sub(due).min(0));
            let newest = self.clock.wall_at(self.time_of(self.end() - 1).0);
            self.lock.limit_depth(newest.saturating_sub(now));
        }
        let (dropped, kept) = packets.split_at(packets.len().saturating_sub(places));
        self.counters.overrun_bytes += (dropped.len() * PACKET_SIZE) as u64;
        kept
    }

    fn drop_oldest(&mut self, count: usize) {
        let count = count.min(self.packets.len());
        self.counters.overruns += 1;
        self.counters.overrun_bytes += (count * PACKET_SIZE) as u64;
        self.advance(count);
    }

    /// Moves all departures to come: later by `ticks`, or earlier.
    fn set_anew(&mut self, ticks: i64) {
        self.clock.shift(ticks);
        self.lock.restart_regulator();
        self.counters.reanchors += 1;
    }
}

/// A look at the bytes that say so, before the packet is read.
const fn has_pcr(packet: &[u8; PACKET_SIZE]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0
}

/// Microseconds as ticks; those of more than 2,000 years as the last of them.
const fn ticks(us: u64) -> i64 {
    let us = if us < US_MAX { us } else { US_MAX };
    us as i64 * TICKS_PER_US
}

const fn us(ticks: i64) -> u64 {
    if ticks < 0 { 0 } else { ticks as u64 / TICKS_PER_US as u64 }
}

const DEPTH_MAX_US: u64 = 10_000_000;
/// 65,424 bytes: the largest that UDP can carry.
const DATAGRAM_PACKETS_MAX: usize = 348;
/// In ticks 2^61: sums of two fit.
const US_MAX: u64 = 1 << 56;

#[cfg(test)]
mod tests;
