//! A pacer. The first four bytes are its settings, then every eight bytes are a push: time passed,
//! packets, and the clock of the first one.

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::pace::{Pacer, Settings};

/// Every packet leaves once, in its order, unless it is counted as dropped; departures never go
/// back, and the buffer stays within its bounds.
pub fn run(data: &[u8]) {
    let Some(([depth, size, places, times], rest)) = data.split_first_chunk() else {
        return;
    };
    let settings = Settings {
        depth_us: u64::from(*depth) * 5_000,
        packets_per_datagram: usize::from(size % 8),
        bytes_max: usize::from(*places) * 8 * PACKET_SIZE,
        overrun_us: u64::from(times >> 4) * 300_000,
        extrapolate_us: u64::from(times & 0x0F) * 20_000,
        linger_us: u64::from(times & 0x0F) * 10_000,
    };
    let mut pacer = Pacer::new(settings);
    let mut watch =
        Watch { datagram_packets: settings.packets_per_datagram.max(1), ..Watch::default() };
    let bytes_max = settings.bytes_max.max(2 * watch.datagram_packets * PACKET_SIZE);
    let (mut now_us, mut pushed) = (0_u64, 0_u64);
    for &[time, count, how, p0, p1, p2, p3, p4] in rest.as_chunks::<8>().0 {
        now_us = match how & 0x03 {
            0 => now_us + u64::from(time) * 100,
            1 => now_us + u64::from(time) * 10_000,
            2 => now_us.saturating_sub(u64::from(time) * 100),
            _ => now_us.saturating_add(u64::from(time) << 40),
        };
        let mut packets = Vec::new();
        for n in 0..u64::from(count % 64) {
            let clock = (n == u64::from(time % 4)).then_some([p0, p1, p2, p3, p4]);
            packets.extend_from_slice(&packet(pushed, clock, how));
            pushed += 1;
        }
        pacer.push(&packets, now_us);
        if how & 0x80 == 0 {
            let due_us = pacer.next_departure();
            let before = watch.datagrams;
            pacer.take(now_us, |datagram, at_us| watch.take(datagram, at_us));
            assert!(watch.datagrams > before || due_us.is_none_or(|at_us| at_us > now_us));
        }
        let counters = pacer.counters();
        assert!(counters.buffered_bytes <= bytes_max);
        assert_eq!(counters.datagrams, watch.datagrams);
        let known = watch.packets * PACKET_SIZE as u64 + counters.overrun_bytes;
        assert_eq!(known + counters.buffered_bytes as u64, pushed * PACKET_SIZE as u64);
    }
    pacer.finish();
    // Every datagram has a time, and is gone at it.
    while let Some(at_us) = pacer.next_departure() {
        let before = watch.datagrams;
        now_us = now_us.max(at_us);
        pacer.take(now_us, |datagram, at_us| watch.take(datagram, at_us));
        assert!(watch.datagrams > before);
    }
    assert_eq!(pacer.counters().buffered_bytes, 0);
}

/// What left so far.
#[derive(Default)]
struct Watch {
    datagram_packets: usize,
    datagrams: u64,
    packets: u64,
    next: u64,
    at_us: u64,
}

impl Watch {
    fn take(&mut self, datagram: &[u8], at_us: u64) {
        assert!(at_us >= self.at_us, "departures go back");
        self.at_us = at_us;
        let packets = datagram.as_chunks::<PACKET_SIZE>().0;
        assert!((1..=self.datagram_packets).contains(&packets.len()));
        assert!(datagram.len().is_multiple_of(PACKET_SIZE));
        for packet in packets {
            let (_, number) = packet.split_last_chunk::<8>().expect("188 bytes");
            let number = u64::from_be_bytes(*number);
            assert!(number >= self.next, "order");
            self.next = number + 1;
            self.packets += 1;
        }
        self.datagrams += 1;
    }
}

/// A packet of PID 256 or 257 that carries its number, and a clock if there is one.
fn packet(number: u64, clock: Option<[u8; 5]>, how: u8) -> [u8; PACKET_SIZE] {
    let mut packet = [0xFF; PACKET_SIZE];
    packet[..4].copy_from_slice(&[0x47, 1, how >> 2 & 1, 0x10]);
    if let Some(clock) = clock {
        let discontinuity = if how & 0x08 != 0 { 0x80 } else { 0 };
        packet[3..6].copy_from_slice(&[0x30, 7, 0x10 | discontinuity]);
        packet[6..11].copy_from_slice(&clock);
        packet[11] = 0;
    }
    packet[PACKET_SIZE - 8..].copy_from_slice(&number.to_be_bytes());
    packet
}
