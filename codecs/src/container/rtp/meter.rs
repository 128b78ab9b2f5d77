//! What a receiver counts: RFC 3550 6.4.1, A.1, A.3 and A.8.

use super::Header;

/// Measures the packets of one flow in the order of their arrival.
#[derive(Clone, Debug)]
pub struct Meter {
    clock_hz: u32,
    flow: Option<Flow>,
    /// A sequence number far away; the next packet tells whether the sender has started anew.
    suspect: Option<u16>,
    counters: Counters,
}

/// Counts since the meter was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that arrived, whatever became of them.
    pub received: u64,
    /// Packets that are missing now: gaps, less what came late.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Times that the sequence started anew without another SSRC.
    pub restarts: u64,
    /// Times that the SSRC changed.
    pub ssrc_changes: u64,
    /// Interarrival jitter (A.8), in us.
    pub jitter_us: u64,
    /// SSRC of the last packet; 0 before the first one.
    pub ssrc: u32,
    /// Payload type of the last packet; 0 before the first one.
    pub payload_type: u8,
}

/// Where the sender is.
#[derive(Clone, Copy, Debug)]
struct Flow {
    ssrc: u32,
    highest: u16,
    /// Bit n: the packet n before the highest has arrived.
    seen: u128,
    /// Arrival minus timestamp of the last packet, in ticks; wraps.
    transit: u32,
    /// Jitter in ticks, times 16.
    jitter: u32,
}

impl Meter {
    /// A meter for a payload with this clock: 90,000 for transport streams.
    pub fn new(clock_hz: u32) -> Self {
        Self { clock_hz: clock_hz.max(1), flow: None, suspect: None, counters: Counters::default() }
    }

    /// Takes a packet that arrived at `now_us`, of any clock.
    pub fn packet(&mut self, header: &Header, now_us: u64) {
        self.counters.received += 1;
        self.counters.payload_type = header.payload_type;
        self.counters.ssrc = header.ssrc;
        let ticks = u128::from(now_us) * u128::from(self.clock_hz) / 1_000_000;
        let transit = (ticks as u32).wrapping_sub(header.timestamp);
        let Some(flow) = self.flow.as_mut().filter(|flow| flow.ssrc == header.ssrc) else {
            self.counters.ssrc_changes += u64::from(self.flow.is_some());
            return self.start(header, transit);
        };
        let ahead = header.sequence.wrapping_sub(flow.highest);
        let behind = flow.highest.wrapping_sub(header.sequence);
        if (1..DROPOUT_MAX).contains(&ahead) {
            self.counters.lost += u64::from(ahead - 1);
            flow.seen = flow.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            flow.highest = header.sequence;
        } else if behind < WINDOW {
            let bit = 1_u128 << behind;
            if flow.seen & bit != 0 {
                self.counters.duplicates += 1;
                return;
            }
            flow.seen |= bit;
            self.counters.reordered += 1;
            self.counters.lost = self.counters.lost.saturating_sub(1);
        } else if self.suspect == Some(header.sequence) {
            self.counters.restarts += 1;
            return self.start(header, transit);
        } else {
            self.suspect = Some(header.sequence.wrapping_add(1));
            return;
        }
        self.suspect = None;
        let step = transit.wrapping_sub(flow.transit).cast_signed().unsigned_abs();
        flow.transit = transit;
        // A.8, in integers: the jitter is kept 16-fold, and the rounding added.
        flow.jitter = flow.jitter.saturating_add(step) - ((flow.jitter + 8) >> 4).min(flow.jitter);
        let jitter = u64::from(flow.jitter) * 1_000_000 / 16;
        self.counters.jitter_us = jitter / u64::from(self.clock_hz);
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn start(&mut self, header: &Header, transit: u32) {
        self.suspect = None;
        // What came before the first packet is no loss, and no duplicate.
        let (ssrc, highest) = (header.ssrc, header.sequence);
        self.flow = Some(Flow { ssrc, highest, seen: u128::MAX, transit, jitter: 0 });
    }
}

/// Packets behind the highest whose arrival is remembered; RFC 3550 A.1 has 100.
const WINDOW: u16 = 128;
/// A larger step forward is another sequence: MAX_DROPOUT of RFC 3550 A.1.
const DROPOUT_MAX: u16 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet every ms, with the timestamp of its sequence number.
    fn feed(meter: &mut Meter, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            let at = u64::from(sequence);
            let timestamp = u32::from(sequence) * 90;
            let header = Header { marker: false, payload_type: 33, sequence, timestamp, ssrc };
            meter.packet(&header, at * 1_000);
        }
    }

    fn counted(sequences: impl IntoIterator<Item = u16>) -> Counters {
        let mut meter = Meter::new(90_000);
        feed(&mut meter, 1, sequences);
        meter.counters()
    }

    #[test]
    fn an_even_flow_has_nothing_to_report() {
        let wanted = Counters { received: 1_000, ssrc: 1, payload_type: 33, ..Counters::default() };
        assert_eq!(counted(0..1_000), wanted);
    }

    #[test]
    fn sequence_numbers_wrap_without_a_loss() {
        let counters = counted((65_000..=65_535).chain(0..1_000));
        assert_eq!((counters.lost, counters.restarts, counters.received), (0, 0, 1_536));
    }

    #[test]
    fn gaps_are_losses_until_the_packet_comes_late() {
        let counters = counted([1, 2, 5, 6]);
        assert_eq!((counters.lost, counters.reordered), (2, 0));
        let counters = counted([1, 2, 5, 3, 6]);
        assert_eq!((counters.lost, counters.reordered, counters.duplicates), (1, 1, 0));
        let counters = counted([65_535, 1, 0]);
        assert_eq!((counters.lost, counters.reordered), (0, 1));
    }

    #[test]
    fn the_same_packet_again_is_a_duplicate_even_when_late() {
        let counters = counted([1, 1, 2, 3, 2, 3, 3, 4]);
        assert_eq!((counters.duplicates, counters.lost, counters.reordered), (4, 0, 0));
    }

    #[test]
    fn a_sender_that_starts_anew_is_believed_at_its_second_packet() {
        let counters = counted([1, 2, 40_000, 3, 4]);
        assert_eq!((counters.restarts, counters.lost), (0, 0), "one stray packet");
        let counters = counted([1, 2, 40_000, 40_001, 40_002, 40_004]);
        assert_eq!((counters.restarts, counters.lost), (1, 1));
    }

    #[test]
    fn another_ssrc_is_another_flow() {
        let mut meter = Meter::new(90_000);
        feed(&mut meter, 1, [1, 2, 3]);
        feed(&mut meter, 2, [9_000, 9_001, 9_003]);
        let counters = meter.counters();
        assert_eq!((counters.ssrc_changes, counters.lost, counters.ssrc), (1, 1, 2));
        assert_eq!(counters.restarts, 0);
    }

    #[test]
    fn jitter_follows_the_recommended_filter() {
        let mut meter = Meter::new(90_000);
        // Every second packet is 1 ms late: each step is 1 ms, and so is the jitter in the end.
        for n in 0..1_000_u32 {
            let header = Header {
                sequence: n as u16,
                timestamp: n.wrapping_mul(900).wrapping_add(u32::MAX - 5_000),
                ..Header::default()
            };
            meter.packet(&header, u64::from(n) * 10_000 + u64::from(n % 2) * 1_000);
        }
        let jitter_us = meter.counters().jitter_us;
        assert!((950..=1_050).contains(&jitter_us), "{jitter_us}");
    }

    #[test]
    fn nonsense_is_counted_without_a_panic() {
        let mut meter = Meter::new(0);
        let mut state = 1_u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let [a, b, c, d, e, f, g, h] = state.to_be_bytes();
            let header = Header {
                marker: false,
                payload_type: a,
                sequence: u16::from_be_bytes([b, c]),
                timestamp: u32::from_be_bytes([d, e, f, g]),
                ssrc: u32::from(h % 2),
            };
            meter.packet(&header, state);
        }
        assert_eq!(meter.counters().received, 100_000);
    }
}
