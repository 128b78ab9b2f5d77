//! Datagrams back into the order in which they were sent: a receive window by sequence number.
//!
//! ```text
//!            window_packets
//!        |<------------------>|
//! ..., 6,| 7?, 8, 9, 10?, 11, |            7 and 10 are missing; 8, 9 and 11 wait
//!          ^next
//! ```
//!
//! Invariants
//! - Payloads are handed out in the order of their sequence numbers, each at most once, as long as
//!   the sender does not start anew.
//! - What is in order is handed out at once and not copied. What is not waits at most `wait_us`, and
//!   never longer than until a packet `window_packets` further arrives.
//! - Nothing is allocated once the window's places have grown to the size of the flow's datagrams.

use super::{Counters, Header, MP2T_CLOCK_HZ, Meter, Packet};

/// How long and for how many packets a missing one is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderSettings {
    /// Sequence numbers that the window spans: 1 to 512, default 64. 1: nothing ever waits, and what
    /// comes late is left out.
    pub window_packets: u16,
    /// How long a packet waits for the ones before it, in us; default 20,000.
    pub wait_us: u64,
}

impl Default for ReorderSettings {
    fn default() -> Self {
        Self { window_packets: 64, wait_us: 20_000 }
    }
}

/// Counts since the window was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderCounters {
    /// Of the flow as it arrived: losses, duplicates, jitter.
    pub flow: Counters,
    /// Packets that came after a later one and still in time.
    pub recovered: u64,
    /// Packets that came when they were waited for no longer: left out.
    pub too_late: u64,
    /// Times that the sender started anew: another SSRC, or another sequence.
    pub restarts: u64,
    /// Packets far outside of the window that nothing followed: left out.
    pub stray: u64,
    /// Datagrams that are no RTP packet, or whose payload exceeds 65,536 bytes: left out.
    pub malformed: u64,
}

/// The receive window of one flow.
///
/// [`push`](Self::push) every datagram; call [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) says so; [`flush`](Self::flush) at the end.
#[derive(Debug)]
pub struct Reorder {
    window: u16,
    wait_us: u64,
    flow: Option<Flow>,
    /// By the lower bits of the sequence number; their number is a power of two.
    places: Box<[Place]>,
    /// Places that are taken.
    held: usize,
    /// When the first gap is given up; meaningless while nothing is held.
    deadline_us: u64,
    /// Sequence number of a packet that fits nowhere: the next one tells what it was.
    stray: Option<u16>,
    /// Payload of `stray`.
    stray_bytes: Vec<u8>,
    meter: Meter,
    counters: ReorderCounters,
}

/// Where the sender is.
#[derive(Clone, Copy, Debug)]
struct Flow {
    ssrc: u32,
    /// The sequence number that is handed out next.
    next: u16,
    /// The one behind the highest that arrived.
    end: u16,
    /// What proves, if it comes next, that a step over the whole window was no stray packet.
    confirms: Option<u16>,
}

/// A packet that waits.
#[derive(Debug)]
struct Place {
    /// `FREE`, or when the packet came.
    arrived_us: u64,
    payload: Vec<u8>,
}

impl Reorder {
    /// A window that has seen nothing. Settings outside of their range are taken as the nearest
    /// inside.
    pub fn new(settings: ReorderSettings) -> Self {
        let window = settings.window_packets.clamp(1, WINDOW_MAX);
        let place = || Place { arrived_us: FREE, payload: Vec::new() };
        Self {
            window,
            wait_us: settings.wait_us,
            flow: None,
            places: (0..window.next_power_of_two()).map(|_| place()).collect(),
            held: 0,
            deadline_us: 0,
            stray: None,
            stray_bytes: Vec::new(),
            meter: Meter::new(MP2T_CLOCK_HZ),
            counters: ReorderCounters::default(),
        }
    }

    /// Takes a datagram and hands out the payloads that are in order now; empty ones are not. A
    /// datagram that is no RTP packet is counted and left out.
    pub fn push(&mut self, datagram: &[u8], now_us: u64, out: impl FnMut(&[u8])) {
        match Packet::parse(datagram) {
            Ok(packet) => self.push_packet(&packet, now_us, out),
            Err(_) => self.counters.malformed += 1,
        }
    }

    /// Takes a packet that is parsed already, as [`push`](Self::push) does.
    ///
    /// Cost: one in order is not copied; one that waits is, once.
    pub fn push_packet(&mut self, packet: &Packet<'_>, now_us: u64, mut out: impl FnMut(&[u8])) {
        let Packet { header, payload, .. } = packet;
        if payload.len() > PAYLOAD_BYTES_MAX {
            self.counters.malformed += 1;
            return;
        }
        let duplicates = self.meter.counters().duplicates;
        self.meter.packet(header, now_us);
        let is_duplicate = self.meter.counters().duplicates != duplicates;
        let Some(flow) = self.flow.filter(|flow| flow.ssrc == header.ssrc) else {
            self.counters.restarts += u64::from(self.flow.is_some());
            return self.start_at(header, payload, &mut out);
        };
        let ahead = header.sequence.wrapping_sub(flow.next);
        let behind = flow.next.wrapping_sub(header.sequence);
        if ahead < self.window {
            self.drop_stray();
            self.take(header.sequence, payload, now_us, &mut out);
        } else if ahead < DROPOUT_MAX {
            self.drop_stray();
            self.slide_and_take(header.sequence, payload, now_us, &mut out);
        } else if behind <= MISORDER_MAX.max(self.window) {
            self.drop_stray();
            self.counters.too_late += u64::from(!is_duplicate);
        } else {
            self.doubt(header, payload, &mut out);
        }
        if self.poll_timeout().is_some_and(|at_us| at_us <= now_us) {
            self.handle_timeout(now_us, out);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while nothing waits.
    pub fn poll_timeout(&self) -> Option<u64> {
        (self.held > 0).then_some(self.deadline_us)
    }

    /// Hands out what has waited for `wait_us`, and what is in order behind it.
    pub fn handle_timeout(&mut self, now_us: u64, mut out: impl FnMut(&[u8])) {
        while self.poll_timeout().is_some_and(|at_us| at_us <= now_us) {
            self.skip_gap(&mut out);
        }
    }

    /// Hands out everything that waits. The flow goes on.
    pub fn flush(&mut self, mut out: impl FnMut(&[u8])) {
        while self.held > 0 {
            self.skip_gap(&mut out);
        }
    }

    /// Packets that wait.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Counts so far.
    pub fn counters(&self) -> ReorderCounters {
        ReorderCounters { flow: self.meter.counters(), ..self.counters }
    }

    /// A packet inside of the window.
    fn take(&mut self, sequence: u16, payload: &[u8], now_us: u64, out: &mut impl FnMut(&[u8])) {
        let Some(flow) = self.flow.as_mut() else { return };
        let ahead = sequence.wrapping_sub(flow.next);
        let arrived = flow.end.wrapping_sub(flow.next);
        let is_confirmed = flow.confirms.take() == Some(sequence);
        if ahead >= arrived {
            flow.end = sequence.wrapping_add(1);
        } else {
            self.counters.recovered += u64::from(self.is_free(sequence));
        }
        if ahead == 0 {
            hand_out(payload, out);
            self.advance(out);
            return;
        }
        if self.hold(sequence, payload, now_us) && is_confirmed {
            self.flush(out);
        }
    }

    /// A packet behind the window: it becomes the last one of it, and gaps before that are given up.
    fn slide_and_take(
        &mut self,
        sequence: u16,
        payload: &[u8],
        now_us: u64,
        out: &mut impl FnMut(&[u8]),
    ) {
        let Some(flow) = self.flow else { return };
        let is_jump = sequence.wrapping_sub(flow.end) >= self.window;
        let first = sequence.wrapping_sub(self.window - 1);
        for _ in 0..first.wrapping_sub(flow.next).min(self.window) {
            self.release_next(out);
        }
        if let Some(flow) = self.flow.as_mut().filter(|_| self.held == 0) {
            (flow.next, flow.end) = (first, first);
        }
        self.settle(out);
        self.take(sequence, payload, now_us, out);
        if let Some(flow) = self.flow.as_mut().filter(|_| is_jump) {
            flow.confirms = Some(sequence.wrapping_add(1));
        }
    }

    /// A packet that is neither near nor late: the second one in a row is a sender that has started
    /// anew (RFC 3550 A.1).
    fn doubt(&mut self, header: &Header, payload: &[u8], out: &mut impl FnMut(&[u8])) {
        if self.stray.take_if(|stray| stray.wrapping_add(1) == header.sequence).is_some() {
            self.counters.restarts += 1;
            self.flush(&mut *out);
            hand_out(&self.stray_bytes, out);
            return self.start_at(header, payload, out);
        }
        self.drop_stray();
        self.stray = Some(header.sequence);
        self.stray_bytes.clear();
        self.stray_bytes.extend_from_slice(payload);
    }

    fn drop_stray(&mut self) {
        self.counters.stray += u64::from(self.stray.take().is_some());
    }

    /// The sender's first packet. What waits of the sequence before goes in front.
    fn start_at(&mut self, header: &Header, payload: &[u8], out: &mut impl FnMut(&[u8])) {
        self.flush(&mut *out);
        self.drop_stray();
        let next = header.sequence.wrapping_add(1);
        self.flow = Some(Flow { ssrc: header.ssrc, next, end: next, confirms: None });
        hand_out(payload, out);
    }

    /// Keeps a payload until its turn; false when it is there already.
    fn hold(&mut self, sequence: u16, payload: &[u8], now_us: u64) -> bool {
        let Some(place) = place_of(&mut self.places, sequence) else { return false };
        if place.arrived_us != FREE {
            return false;
        }
        place.arrived_us = now_us.min(FREE - 1);
        place.payload.clear();
        place.payload.extend_from_slice(payload);
        let deadline_us = now_us.saturating_add(self.wait_us);
        self.deadline_us =
            if self.held == 0 { deadline_us } else { self.deadline_us.min(deadline_us) };
        self.held += 1;
        true
    }

    fn is_free(&mut self, sequence: u16) -> bool {
        place_of(&mut self.places, sequence).is_some_and(|place| place.arrived_us == FREE)
    }

    /// `next` was handed out: on to the one behind it, and to what waits for nothing else.
    fn advance(&mut self, out: &mut impl FnMut(&[u8])) {
        if let Some(flow) = self.flow.as_mut() {
            flow.next = flow.next.wrapping_add(1);
        }
        self.settle(out);
    }

    /// Gives up what is missing in front of the first one that waits.
    fn skip_gap(&mut self, out: &mut impl FnMut(&[u8])) {
        let held = self.held;
        // Every packet that waits is inside of the window.
        for _ in 0..self.window {
            if self.held < held {
                break;
            }
            self.release_next(out);
        }
        self.settle(out);
    }

    /// Hands out the packets that are next, then sets the deadline for the gap behind them.
    fn settle(&mut self, out: &mut impl FnMut(&[u8])) {
        while self.held > 0 {
            let Some(next) = self.flow.map(|flow| flow.next) else { return };
            if self.is_free(next) {
                break;
            }
            self.release_next(out);
        }
        if self.held > 0 {
            let first = self.places.iter().map(|place| place.arrived_us).min().unwrap_or(FREE);
            self.deadline_us = first.saturating_add(self.wait_us);
        }
    }

    /// Hands out the packet that is next, if it is there, and moves on.
    fn release_next(&mut self, out: &mut impl FnMut(&[u8])) {
        let Some(flow) = self.flow.as_mut() else { return };
        let sequence = flow.next;
        flow.next = sequence.wrapping_add(1);
        let Some(place) = place_of(&mut self.places, sequence) else { return };
        if place.arrived_us != FREE {
            place.arrived_us = FREE;
            self.held -= 1;
            hand_out(&place.payload, out);
        }
    }
}

fn place_of(places: &mut [Place], sequence: u16) -> Option<&mut Place> {
    let mask = places.len().wrapping_sub(1);
    places.get_mut(usize::from(sequence) & mask)
}

fn hand_out(payload: &[u8], out: &mut impl FnMut(&[u8])) {
    if !payload.is_empty() {
        out(payload);
    }
}

/// No packet is in the place.
const FREE: u64 = u64::MAX;
/// Half a second of 8 Mbit/s; more is no reordering.
const WINDOW_MAX: u16 = 512;
/// A larger step forward is another sequence: MAX_DROPOUT of RFC 3550 A.1.
const DROPOUT_MAX: u16 = 3_000;
/// A larger step back is another sequence; RFC 3550 A.1 has 100, the meter remembers this many.
const MISORDER_MAX: u16 = 128;
/// UDP has no larger ones. With the window it bounds what is held: 32 MiB at the very most.
const PAYLOAD_BYTES_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
