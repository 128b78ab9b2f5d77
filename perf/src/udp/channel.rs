//! What arrives of one channel.

use corelay_codecs::container::mpegts::packet::{PACKET_SIZE, SYNC_BYTE};

use super::Window;
use super::clock_line::{ClockErrors, ClockLine};
use super::sequence::{Arrival, Sequence};
use super::stamp::{self, Digest, Stamp};
use crate::figures::Distribution;
use crate::sys::udp::DATAGRAM_BYTES;

/// One channel's memory between datagrams.
#[derive(Debug, Default)]
pub(super) struct Channel {
    number: u32,
    sequence: Sequence,
    /// Of the packets since the last stamp, and how many those are.
    digest: Digest,
    packets: usize,
    clock: Option<ClockLine>,
}

/// Counted over all channels of a leg. What was sent as a datagram is called that here, also when it
/// arrives as part of other datagrams.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) datagrams: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) repeated: u64,
    pub(super) altered: u64,
    pub(super) foreign: u64,
    pub(super) bytes: u64,
    pub(super) latency: Distribution,
    pub(super) clocks: ClockErrors,
}

impl Channel {
    /// The channel of that number; `with_clock`: its PCRs are looked at.
    pub(super) fn new(number: u32, with_clock: bool) -> Self {
        Self { number, clock: with_clock.then(ClockLine::default), ..Self::default() }
    }

    /// Whether anything that was sent for it has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.sequence.has_begun()
    }

    /// Takes in what the socket gave. What was sent before the window opened counts for nothing;
    /// what is lost, altered or late counts until the end, all else until the window closes.
    pub(super) fn datagram(
        &mut self,
        bytes: &[u8],
        arrived_ns: u64,
        window: Window,
        tally: &mut Tally,
    ) {
        let (packets, rest) = bytes.as_chunks::<PACKET_SIZE>();
        let is_stream = packets.iter().all(|packet| packet.first() == Some(&SYNC_BYTE));
        if !rest.is_empty() || packets.is_empty() || !is_stream {
            tally.foreign += u64::from(arrived_ns >= window.opened_ns);
            return;
        }
        if window.contains(arrived_ns) {
            tally.bytes += bytes.len() as u64;
            if let Some(clock) = &mut self.clock {
                clock.datagram(bytes, arrived_ns, &mut tally.clocks);
            }
        }
        for packet in packets {
            match stamp::read(packet) {
                Some(stamp) => self.stamped(stamp, packet, arrived_ns, window, tally),
                None => {
                    self.digest.add(packet);
                    self.packets += 1;
                }
            }
        }
    }

    fn stamped(
        &mut self,
        stamp: Stamp,
        packet: &[u8; PACKET_SIZE],
        arrived_ns: u64,
        window: Window,
        tally: &mut Tally,
    ) {
        let (digest, packets) =
            (std::mem::take(&mut self.digest), std::mem::take(&mut self.packets));
        let counts = stamp.sent_ns >= window.opened_ns;
        if stamp.channel != self.number {
            tally.foreign += u64::from(counts);
            return;
        }
        let arrival = self.sequence.arrive(stamp.sequence);
        if !counts {
            return;
        }
        match arrival {
            Arrival::Forward { missing } => tally.lost += missing,
            Arrival::Late => {
                tally.late += 1;
                tally.lost = tally.lost.saturating_sub(1);
            }
            Arrival::Again => {
                tally.repeated += 1;
                return;
            }
        }
        if packets != DATAGRAM_PACKETS - 1 || !digest.is_sealed_by(packet) {
            tally.altered += 1;
        }
        if stamp.sent_ns < window.closed_ns {
            tally.datagrams += 1;
            tally.latency.record_us(arrived_ns.saturating_sub(stamp.sent_ns) / 1_000);
        }
    }

    /// Ends it: `sent` is how many there were, if that is known.
    pub(super) fn finish(mut self, sent: Option<u64>, tally: &mut Tally) {
        if let Some(clock) = &mut self.clock {
            clock.finish(&mut tally.clocks);
        }
        tally.lost += sent.map_or(0, |sent| self.sequence.missing_of(sent));
    }
}

const DATAGRAM_PACKETS: usize = DATAGRAM_BYTES / PACKET_SIZE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::stream::Stream;

    const OPEN: Window = Window { opened_ns: 1_000, closed_ns: 2_000 };

    /// Datagrams of channel 4 that are sent every 10 ns from 900 on.
    fn datagrams(count: u64) -> Vec<[u8; DATAGRAM_BYTES]> {
        let mut stream = Stream::new(4, 8_000_000);
        let write = |number| {
            let mut datagram = [0; DATAGRAM_BYTES];
            stream.write_next(900 + number * 10, &mut datagram);
            datagram
        };
        (0..count).map(write).collect()
    }

    fn tally<'a>(arrivals: impl IntoIterator<Item = (&'a [u8], u64)>, sent: u64) -> Tally {
        let (mut channel, mut tally) = (Channel::new(4, false), Tally::default());
        for (bytes, arrived_ns) in arrivals {
            channel.datagram(bytes, arrived_ns, OPEN, &mut tally);
        }
        channel.finish(Some(sent), &mut tally);
        tally
    }

    #[test]
    fn what_was_sent_within_the_window_counts_and_is_the_same() {
        let sent = datagrams(120);
        let arrivals =
            sent.iter().zip(0..).map(|(bytes, number)| (&bytes[..], 5_900 + number * 10));
        let tally = tally(arrivals, 120);
        assert_eq!((tally.datagrams, tally.lost, tally.altered, tally.foreign), (100, 0, 0, 0));
        let latency = tally.latency.summary_us().unwrap();
        assert_eq!((latency.count, latency.max), (100, 5.0));
    }

    #[test]
    fn losses_in_the_middle_and_at_the_end_are_counted_and_those_before_the_window_are_not() {
        let sent = datagrams(120);
        let kept = |number: &usize| ![3, 50, 51, 118, 119].contains(number);
        let arrivals = (0..120).filter(kept).map(|number| (&sent[number][..], 1_500));
        let tally = tally(arrivals, 120);
        assert_eq!((tally.lost, tally.altered), (4, 0));
    }

    #[test]
    fn a_change_in_any_packet_is_seen_and_other_datagrams_are_no_change() {
        let mut sent = datagrams(60).concat();
        let regrouped = |sent: &[u8]| {
            let arrivals: Vec<(&[u8], u64)> = sent.chunks(376).map(|two| (two, 1_500)).collect();
            let tally = tally(arrivals, 60);
            (tally.datagrams, tally.lost, tally.altered)
        };
        assert_eq!(regrouped(&sent), (50, 0, 0));
        sent[DATAGRAM_BYTES * 30 + 500] ^= 1;
        assert_eq!(regrouped(&sent), (50, 0, 1));
        sent.drain(DATAGRAM_BYTES * 40..DATAGRAM_BYTES * 40 + 188);
        assert_eq!(regrouped(&sent), (50, 0, 2));
    }

    #[test]
    fn order_repetitions_and_what_does_not_belong_here_are_told_apart() {
        let sent = datagrams(40);
        let mut other = [0; DATAGRAM_BYTES];
        Stream::new(5, 8_000_000).write_next(1_100, &mut other);
        let mut order: Vec<&[u8]> = sent.iter().map(|bytes| &bytes[..]).collect();
        order.swap(20, 21);
        order.extend([order[30], &other, &[0x47; 100], &[0; 188]]);
        let tally = tally(order.into_iter().map(|bytes| (bytes, 1_500)), 40);
        assert_eq!((tally.lost, tally.late, tally.repeated, tally.foreign), (0, 1, 1, 3));
    }
}
