//! The pacer in virtual time. One file, because every test uses the sources at its top and reads the
//! departures in the same way.

use super::*;
use crate::access_unit::{AccessUnit, FlvBody, Timestamp, TrackId, UnitKind};
use crate::codec::CodecId;
use crate::container::mpegts::mux::{self, Muxer};
use crate::container::mpegts::packet::{Packet, Pcr};
use bytes::Bytes;

const SECOND: u64 = 1_000_000;

/// A stream of constant rate: a packet every so many ticks, PCRs at most 40 ms apart.
struct Source {
    packet_ticks: u64,
    start: u64,
    next: u64,
    next_pcr: u64,
    pid: u16,
    /// Packets from one PCR to the next, when it is not by time.
    pcr_every: Option<u64>,
    is_clocked: bool,
    announces: bool,
}

impl Source {
    /// About 8 Mbit/s: 5,319 packets a second.
    fn new() -> Self {
        Self::with(5_076, 0)
    }

    fn with(packet_ticks: u64, start: u64) -> Self {
        let (next, next_pcr) = (0, 0);
        let (pcr_every, is_clocked, announces) = (None, true, false);
        let pid = 0x100;
        Self { packet_ticks, start, next, next_pcr, pid, pcr_every, is_clocked, announces }
    }

    /// When the next packet is due, in us of the sender's clock.
    fn time_us(&self) -> u64 {
        self.next * self.packet_ticks / 27
    }

    fn packet(&mut self) -> [u8; PACKET_SIZE] {
        let ticks = self.next * self.packet_ticks;
        let mut packet = [0xFF; PACKET_SIZE];
        let [high, low] = self.pid.to_be_bytes();
        packet[..4].copy_from_slice(&[0x47, high, low, 0x10]);
        let is_due = match self.pcr_every {
            Some(packets) => self.next.is_multiple_of(packets),
            None => ticks >= self.next_pcr,
        };
        if is_due && self.is_clocked {
            self.next_pcr = ticks + 40 * 27_000;
            let flags = if std::mem::take(&mut self.announces) { 0x90 } else { 0x10 };
            packet[3..6].copy_from_slice(&[0x30, 7, flags]);
            packet[6..12].copy_from_slice(&Pcr::new(self.start + ticks).to_bytes());
        }
        packet[180..].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        packet
    }

    fn packets(&mut self, count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| self.packet()).collect()
    }
}

/// A pacer whose driver wakes exactly when it should.
struct Rig {
    pacer: Pacer,
    pushed: Vec<u8>,
    out: Vec<u8>,
    /// Position of the first packet, and departure.
    departures: Vec<(u64, u64)>,
}

impl Rig {
    fn new(settings: Settings) -> Self {
        let pacer = Pacer::new(settings);
        Self { pacer, pushed: Vec::new(), out: Vec::new(), departures: Vec::new() }
    }

    fn push(&mut self, packets: &[u8], now_us: u64) {
        self.run_until(now_us);
        self.pacer.push(packets, now_us);
        self.pushed.extend_from_slice(packets);
    }

    fn run_until(&mut self, now_us: u64) {
        while let Some(at_us) = self.pacer.next_departure().filter(|at_us| *at_us <= now_us) {
            let now_us = at_us.max(us(self.pacer.now));
            let (before, departures, out) = (self.out.len(), &mut self.departures, &mut self.out);
            self.pacer.take(now_us, |datagram, at_us| {
                departures.push(((out.len() / PACKET_SIZE) as u64, at_us));
                out.extend_from_slice(datagram);
            });
            assert!(self.out.len() > before, "due, and nothing left");
        }
    }

    /// Everything leaves; bytes out are bytes in.
    fn finish(&mut self) -> Counters {
        self.pacer.finish();
        self.run_until(u64::MAX);
        assert!(self.out == self.pushed, "{} of {} bytes", self.out.len(), self.pushed.len());
        assert!(self.departures.is_sorted_by_key(|(_, at_us)| *at_us));
        self.pacer.counters()
    }

    /// Feeds so many datagrams, each late by what `delay` says, in their order.
    fn feed(&mut self, source: &mut Source, datagrams: u64, delay: impl Fn(u64) -> u64) {
        let mut last_us = 0;
        for n in 0..datagrams {
            last_us = (source.time_us() + delay(n)).max(last_us);
            let packets = source.packets(7);
            self.push(&packets, last_us);
        }
    }

    /// Share of departures of stream time after `from_us` that are off the line through their
    /// middle by more than 1 ms; and the middle.
    fn off_line(&self, packet_ticks: u64, from_us: u64) -> (f64, i64) {
        let late = |&(position, at_us): &(u64, u64)| {
            let due_us = position * packet_ticks / 27;
            (due_us >= from_us).then_some(at_us as i64 - due_us as i64)
        };
        let mut offsets: Vec<i64> = self.departures.iter().filter_map(late).collect();
        offsets.sort_unstable();
        let middle = offsets[offsets.len() / 2];
        let off = offsets.iter().filter(|offset| offset.abs_diff(middle) > 1_000).count();
        (off as f64 / offsets.len() as f64, middle)
    }
}

/// Evenly spread below a number, and the same in every run.
fn jitter(n: u64, below: u64) -> u64 {
    let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) % below
}

#[test]
fn a_constant_rate_leaves_on_the_line_of_its_clock_however_it_arrives() {
    for seed in 0..5 {
        let mut rig = Rig::new(Settings::default());
        // 60 s, each datagram up to 50 ms early or late against 60 ms.
        rig.feed(&mut Source::new(), 45_600, |n| 10_000 + jitter(n * 5 + seed, 100_000));
        let counters = rig.finish();
        let (off, middle) = rig.off_line(5_076, 0);
        assert!(off < 0.001, "{off} with {seed}");
        assert!((110_000..=360_000).contains(&middle), "{middle}");
        assert_eq!((counters.late, counters.underruns, counters.reanchors), (0, 0, 0));
        assert_eq!(counters.datagrams, 45_600);
    }
}

#[test]
fn without_jitter_the_first_packet_leaves_by_the_depth_and_all_others_with_it() {
    let mut rig = Rig::new(Settings::default());
    rig.feed(&mut Source::new(), 7_600, |_| 0);
    rig.finish();
    for &(position, at_us) in &rig.departures {
        let due_us = position * 5_076 / 27 + 200_000;
        assert!(at_us.abs_diff(due_us) <= 1, "{position}: {at_us} for {due_us}");
    }
}

/// A second of pictures: 25 of them, each 40 ms and by its number large.
fn picture(ms: u64, size: usize, is_key: bool) -> AccessUnit {
    let mut payload = (size as u32).to_be_bytes().to_vec();
    payload.resize(4 + size, if is_key { 0x65 } else { 0x41 });
    AccessUnit {
        track: TrackId::VIDEO,
        kind: UnitKind::Frame { random_access: is_key },
        codec: CodecId::H264,
        dts: Timestamp::from_millis(ms as i64),
        pts_offset: 0,
        payload: Bytes::from(payload),
        flv: FlvBody::Build,
    }
}

/// What the multiplexer makes of so many pictures, by picture.
fn muxed(pictures: u64) -> Vec<Vec<u8>> {
    let mut muxer = Muxer::new(mux::Settings::default());
    let avcc = &[1, 100, 0, 40, 0xFF, 0xE1, 0, 2, 0x67, 0xAA, 1, 0, 2, 0x68, 0xBB];
    let mut config = picture(0, 0, false);
    (config.kind, config.payload) = (UnitKind::Config, Bytes::from_static(avcc));
    muxer.write(&config, &mut Vec::new());
    let write = |n: u64| {
        let is_key = n.is_multiple_of(50);
        let size = if is_key { 80_000 } else { 4_000 + jitter(n, 20_000) as usize };
        let mut out = Vec::new();
        muxer.write(&picture(n * 40, size, is_key), &mut out);
        out
    };
    (0..pictures).map(write).collect()
}

/// The clock of every packet by its position, in us since the first PCR; not behind the last one.
fn clock_line(packets: &[u8]) -> Vec<i64> {
    let packets = packets.as_chunks::<PACKET_SIZE>().0;
    let pcr = |index: usize| packets.get(index).and_then(|packet| Packet::new(packet).pcr());
    let knots: Vec<(usize, Pcr)> =
        (0..packets.len()).filter_map(|index| pcr(index).map(|pcr| (index, pcr))).collect();
    let (first, start) = knots[0];
    assert_eq!(first, 0, "the test's stream begins with a PCR");
    let mut line = Vec::new();
    for pair in knots.windows(2) {
        let [(from, early), (to, late)] = pair else { unreachable!() };
        let step = late.since(*early);
        let offset = early.since(start);
        let count = (to - from) as i64;
        line.extend((0..count).map(|n| (offset + step * n / count) / 27));
    }
    line
}

/// Share of the departures that are more than 1 ms off the clock line, and the largest error.
fn off_clock_line(rig: &Rig, skipped: usize) -> (f64, u64) {
    let pushed = &rig.pushed[skipped * PACKET_SIZE..];
    let line = clock_line(pushed);
    let offset = |&(position, at_us): &(u64, u64)| {
        let index = (position as usize).checked_sub(skipped)?;
        line.get(index).map(|due_us| at_us as i64 - due_us)
    };
    let offsets: Vec<i64> = rig.departures.iter().filter_map(offset).collect();
    let mut sorted = offsets.clone();
    sorted.sort_unstable();
    let middle = sorted[sorted.len() / 2];
    let off = offsets.iter().filter(|offset| offset.abs_diff(middle) > 1_000).count();
    let worst = offsets.iter().map(|offset| offset.abs_diff(middle)).max().unwrap_or(0);
    (off as f64 / offsets.len() as f64, worst)
}

/// Tables stand in front of the first PCR.
fn before_clock(packets: &[u8]) -> usize {
    let mut packets = packets.as_chunks::<PACKET_SIZE>().0.iter();
    packets.position(|packet| Packet::new(packet).pcr().is_some()).expect("a PCR")
}

#[test]
fn pictures_that_arrive_at_once_leave_spread_over_their_time() {
    let pictures = muxed(1_500);
    let mut rig = Rig::new(Settings::default());
    for (n, picture) in (0..).zip(&pictures) {
        rig.push(picture, n * 40_000 + jitter(n, 20_000));
    }
    let counters = rig.finish();
    let (off, worst) = off_clock_line(&rig, before_clock(&pictures[0]));
    assert!(off < 0.001, "{off}, at most {worst} us");
    assert_eq!((counters.late, counters.overruns, counters.reanchors), (0, 0, 0));
}

#[test]
fn groups_and_segments_that_arrive_at_once_leave_spread_over_their_time() {
    let pictures = muxed(1_500);
    for (count, jitter_us) in [(50, 30_000), (250, 90_000)] {
        let mut rig = Rig::new(Settings::default());
        for (n, group) in (0..).zip(pictures.chunks(count)) {
            rig.push(&group.concat(), (n + 1) * count as u64 * 40_000 + jitter(n, jitter_us));
        }
        let counters = rig.finish();
        let (off, worst) = off_clock_line(&rig, before_clock(&pictures[0]));
        assert!(off < 0.001, "{off}, at most {worst} us, {count} at once");
        assert_eq!((counters.late, counters.overruns, counters.reanchors), (0, 0, 0));
    }
}

#[test]
fn jitter_beyond_the_depth_is_learned() {
    let mut rig = Rig::new(Settings::default());
    // Every 3 s it stalls for 450 ms.
    let stall = |n: u64| 450_000_u64.saturating_sub(n * 7 * 5_076 / 27 % (3 * SECOND));
    rig.feed(&mut Source::new(), 22_800, |n| if n < 2_000 { 0 } else { stall(n) });
    let counters = rig.finish();
    assert_eq!((counters.underruns, counters.reanchors), (2, 1));
    let (off, middle) = rig.off_line(5_076, 10 * SECOND);
    assert!(off == 0.0 && (500_000..700_000).contains(&middle), "{off}, {middle}");
}

/// A sender whose clock is so much faster than ours.
fn drift(ppm: i64, seconds: u64, delay: impl Fn(u64) -> u64) {
    let mut pacer = Pacer::new(Settings::default());
    // 0.25 Mbit/s, which has a datagram in about 42 ms.
    let packet_ticks = 162_432;
    let mut source = Source::with(packet_ticks, Pcr::MODULUS - 27_000_000 * 600);
    let (mut out, mut count, mut last) = (0_u64, 0_u64, None::<(u64, u64)>);
    let (mut level, mut levels) = ((0_u64, 0_u64), Vec::new());
    while source.time_us() < seconds * SECOND {
        let at_us = (source.time_us() as i64 * (1_000_000 - ppm) / 1_000_000) as u64;
        let now_us = at_us + delay(count);
        while let Some(at_us) = pacer.next_departure().filter(|at_us| *at_us <= now_us) {
            pacer.take(at_us, |datagram, at_us| {
                let first: [u8; 8] = datagram[180..188].try_into().expect("eight bytes");
                let position = u64::from_be_bytes(first);
                assert_eq!(position, out);
                out += (datagram.len() / PACKET_SIZE) as u64;
                if let Some((before, before_us)) = last.replace((position, at_us)) {
                    let due_us = (position - before) * packet_ticks / 27;
                    assert!((at_us - before_us).abs_diff(due_us) <= 50, "{at_us}: a step");
                }
            });
        }
        pacer.push(&source.packets(7), now_us);
        count += 1;
        level = (level.0 + pacer.counters().buffered_us, level.1 + 1);
        if level.1 == 500 {
            levels.push(level.0 / level.1);
            level = (0, 0);
        }
    }
    let counters = pacer.counters();
    let events = (counters.late, counters.overruns, counters.underruns, counters.reanchors);
    assert_eq!(events, (0, 0, 0, 0), "{ppm} ppm");
    // A datagram's last packet leaves 36 ms after its first.
    assert!(levels[0].abs_diff(236_000) < 10_000, "{}", levels[0]);
    let worst = levels.iter().map(|level| level.abs_diff(levels[0])).max().unwrap_or(0);
    assert!(worst <= 40_000, "the depth moves by {worst} us at {ppm} ppm");
    let settled = i64::abs(counters.stretch_ppb + ppm * 1_000);
    assert!(settled < 20_000, "{} ppb for {ppm} ppm", counters.stretch_ppb);
}

#[test]
fn clocks_that_disagree_are_followed_for_an_hour_without_a_step() {
    drift(50, 3_600, |n| jitter(n, 10_000));
    drift(-50, 3_600, |_| 0);
    drift(100, 1_500, |_| 0);
    drift(-100, 1_500, |_| 0);
    drift(0, 1_500, |n| jitter(n, 10_000));
}

#[test]
fn the_wrap_of_the_clock_is_not_seen() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::with(5_076, Pcr::MODULUS - 27_000_000);
    rig.feed(&mut source, 2_000, |n| jitter(n, 30_000));
    let counters = rig.finish();
    assert_eq!(rig.off_line(5_076, 0).0, 0.0);
    assert_eq!((counters.reanchors, counters.late), (0, 0));
}

#[test]
fn a_clock_that_jumps_goes_on_behind_what_is_in_the_buffer() {
    for (jump, announces) in [(5 * 27_000_000, true), (20 * 27_000_000, false), (0, false)] {
        let mut rig = Rig::new(Settings::default());
        let mut source = Source::with(5_076, 1_000_000_000);
        rig.feed(&mut source, 1_500, |n| jitter(n, 30_000));
        // Forwards; or back to the beginning.
        source.start = if jump > 0 { source.start + jump } else { 0 };
        source.announces = announces;
        let before = source.next;
        rig.feed(&mut source, 1_500, |n| jitter(n, 30_000));
        let counters = rig.finish();
        assert_eq!((counters.reanchors, counters.late, counters.underruns), (1, 0, 0));
        assert_eq!(rig.off_line(5_076, 0).0, 0.0, "{jump}, from {before} on");
    }
}

#[test]
fn input_that_stops_leaves_at_its_times_and_begins_anew_with_its_depth() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    rig.feed(&mut source, 1_000, |_| 0);
    // Four packets of a datagram, then nothing for 5 s.
    let stop_us = source.time_us();
    let tail = source.packets(4);
    rig.push(&tail, stop_us);
    rig.run_until(stop_us + 4 * SECOND);
    assert_eq!(rig.out.len(), rig.pushed.len());
    let (position, at_us) = rig.departures[1_000];
    let due_us = position * 5_076 / 27 + 200_000;
    assert!(at_us.abs_diff(due_us + 50_000) <= 1, "it lingers: {at_us} for {due_us}");
    assert_eq!(rig.off_line(5_076, 0).0, 1.0 / 1_001.0);
    let counters = rig.pacer.counters();
    assert_eq!((counters.late, counters.buffered_us, counters.buffered_bytes), (0, 0, 0));
    // The source's clock stood still as well.
    let resume_us = stop_us + 5 * SECOND;
    let next = source.next;
    for _ in 0..1_000 {
        let now_us = source.time_us() - next * 5_076 / 27 + resume_us;
        let packets = source.packets(7);
        rig.push(&packets, now_us);
    }
    let counters = rig.finish();
    assert_eq!((counters.reanchors, counters.late, counters.is_free_running), (1, 0, false));
    for &(position, at_us) in rig.departures.iter().skip(1_001) {
        let due_us = (position - next) * 5_076 / 27 + resume_us + 200_000;
        assert!(at_us.abs_diff(due_us) <= 1_000, "{position}: {at_us} for {due_us}");
    }
}

#[test]
fn a_pause_that_the_clock_knows_of_keeps_the_line() {
    for lost in [3_800, 760] {
        let mut rig = Rig::new(Settings::default());
        let mut source = Source::new();
        rig.feed(&mut source, 2_000, |n| jitter(n, 40_000));
        // So many datagrams are lost on the way, 5 s and 1 s of them.
        source.packets(lost * 7);
        let line = rig.off_line(5_076, 0).1;
        let (before, begin) = (rig.pushed.len() as u64 / 188, source.next);
        rig.feed(&mut source, 2_000, |n| jitter(n, 40_000));
        let counters = rig.finish();
        assert_eq!((counters.reanchors, counters.late), (0, 0), "{lost}");
        for &(position, at_us) in rig.departures.iter().filter(|(at, _)| *at >= before + 7) {
            let due_us = ((position - before + begin) * 5_076 / 27) as i64 + line;
            assert!(due_us.abs_diff(at_us as i64) <= 1_000, "{position}: {at_us} for {due_us}");
        }
    }
}

#[test]
fn without_a_clock_packets_leave_by_their_arrival() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    source.is_clocked = false;
    rig.feed(&mut source, 1_000, |n| jitter(n, 10_000));
    assert!(rig.pacer.counters().is_free_running);
    let counters = rig.finish();
    assert_eq!((counters.free_runs, counters.late, counters.reanchors), (1, 0, 0));
    let (off, middle) = rig.off_line(5_076, 0);
    assert!(off > 0.1 && (200_000..=210_000).contains(&middle), "{middle}");
    // The clock comes, goes and comes back.
    source.is_clocked = true;
    let mut rig = Rig::new(Settings::default());
    for is_clocked in [true, false, true] {
        source.is_clocked = is_clocked;
        rig.feed(&mut source, 1_500, |n| jitter(n, 10_000));
        assert_eq!(rig.pacer.counters().is_free_running, !is_clocked);
    }
    let counters = rig.finish();
    assert_eq!((counters.free_runs, counters.late, counters.underruns), (1, 0, 0));
}

#[test]
fn another_pid_takes_over_when_the_first_has_no_clock_for_a_second() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    rig.feed(&mut source, 1_500, |_| 0);
    (source.pid, source.start) = (0x200, 77 * 27_000_000);
    rig.feed(&mut source, 3_000, |n| jitter(n, 5_000));
    let counters = rig.finish();
    assert_eq!((counters.late, counters.free_runs, counters.is_free_running), (0, 1, false));
    let (off, _) = rig.off_line(5_076, 4_000_000);
    assert_eq!(off, 0.0);
    // Two programs at once: the clock of the other one is not looked at.
    let mut rig = Rig::new(Settings::default());
    let (mut first, mut second) = (Source::new(), Source::with(5_076, 99 * 27_000_000));
    second.pid = 0x200;
    for _ in 0..2_000 {
        let now_us = first.time_us();
        let packets: Vec<u8> =
            (0..7).flat_map(|_| [first.packet(), second.packet()].concat()).collect();
        rig.push(&packets, now_us);
    }
    assert_eq!(rig.finish().reanchors, 0);
    assert_eq!(rig.off_line(2_538, 0).0, 0.0);
}

#[test]
fn one_stall_is_an_underrun_and_nothing_else() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    // From 4 s to 5 s nothing comes, then all of it at once.
    let stall = |n: u64| (n * 7 * 5_076 / 27).abs_diff(5 * SECOND);
    let delay = |n: u64| match n * 7 * 5_076 / 27 {
        4_000_000..5_000_000 => stall(n),
        _ => 0,
    };
    rig.feed(&mut source, 7_600, delay);
    let counters = rig.finish();
    assert_eq!((counters.underruns, counters.reanchors), (1, 0));
    assert!((300..700).contains(&counters.late), "{}", counters.late);
    assert_eq!(rig.off_line(5_076, 6 * SECOND).0, 0.0);
}

#[test]
fn a_path_that_has_become_longer_moves_the_line_once() {
    // With 7,595 ticks a packet, every third datagram begins with a PCR, and no other packet has one.
    for packet_ticks in [5_076, 7_595] {
        let mut rig = Rig::new(Settings::default());
        let mut source = Source::with(packet_ticks, 0);
        source.pcr_every = (packet_ticks == 7_595).then_some(21);
        rig.feed(&mut source, 7_600, |n| if n < 2_000 { 0 } else { 350_000 });
        let counters = rig.finish();
        assert_eq!((counters.underruns, counters.reanchors), (1, 1));
        let (off, middle) = rig.off_line(packet_ticks, 8 * SECOND);
        assert!(off == 0.0 && (400_000..650_000).contains(&middle), "{off}, {middle}");
    }
}

#[test]
fn datagrams_are_late_by_their_time_and_not_by_their_company() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    rig.feed(&mut source, 1_000, |_| 0);
    // 600 ms of it come at once, 400 ms after the first of them was due to come: 200 ms are over.
    let begin_us = source.time_us();
    let packets = source.packets(456 * 7);
    rig.push(&packets, begin_us + 400_000);
    assert_eq!(rig.pacer.counters().underruns, 1);
    rig.feed(&mut source, 1_000, |_| 0);
    let counters = rig.finish();
    assert!((150..=153).contains(&counters.late), "{}", counters.late);
}

#[test]
fn a_depth_below_the_interval_of_the_clock_is_learned() {
    let settings = Settings { depth_us: 20_000, ..Settings::default() };
    let mut rig = Rig::new(settings);
    let mut source = Source::new();
    rig.feed(&mut source, 7_600, |_| 0);
    let stop_us = source.time_us();
    rig.run_until(stop_us + 50_000);
    assert!(rig.out.len() < rig.pushed.len());
    // The last PCR came up to 40 ms before.
    rig.run_until(stop_us + 100_000);
    assert_eq!(rig.out.len(), rig.pushed.len());
    let counters = rig.finish();
    assert_eq!((counters.underruns, counters.reanchors), (1, 1));
    let (off, middle) = rig.off_line(5_076, 2 * SECOND);
    assert!(off < 0.01 && (45_000..80_000).contains(&middle), "{off}, {middle}");
}

#[test]
fn damaged_and_repeated_clocks_are_not_believed() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    let mut last = source.packet();
    rig.push(&last, 0);
    for n in 0..1_000_u64 {
        let now_us = source.time_us();
        let mut packets = source.packets(6);
        let has_clock = |packet: &&[u8; PACKET_SIZE]| Packet::new(packet).pcr().is_some();
        last = packets.as_chunks().0.iter().rfind(has_clock).copied().unwrap_or(last);
        // In place of a null packet: a damaged one, or the last PCR again.
        let is_damaged = n % 2 == 1;
        let mut extra = if is_damaged { Source::with(1, n << 30).packet() } else { last };
        extra[1] |= if is_damaged { 0x80 } else { 0 };
        packets.extend_from_slice(&extra);
        source.next += 1;
        rig.push(&packets, now_us);
    }
    let counters = rig.finish();
    assert_eq!((counters.reanchors, counters.late, counters.free_runs), (0, 0, 0));
    assert_eq!(rig.off_line(5_076, 0).0, 0.0);
}

#[test]
fn a_clock_that_stands_still_is_none() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    let still = source.packet();
    for n in 0..200_u64 {
        source.is_clocked = false;
        let packets = [&still[..], &source.packets(6)].concat();
        rig.push(&packets, n * 10_000);
    }
    assert!(rig.pacer.counters().is_free_running);
    assert_eq!(rig.finish().late, 0);
}

#[test]
fn too_much_at_once_drops_the_oldest_and_keeps_the_depth() {
    let mut rig = Rig::new(Settings::default());
    let mut source = Source::new();
    // 3 s at once, then as it should be.
    rig.feed(&mut source, 15_200, |n| (3 * SECOND).saturating_sub(n * 7 * 5_076 / 27));
    rig.run_until(u64::MAX);
    let counters = rig.pacer.counters();
    assert_eq!(rig.out.len() as u64 + counters.overrun_bytes, rig.pushed.len() as u64);
    assert_eq!((counters.overruns, counters.late), (1, 0));
    assert!(rig.pushed.ends_with(&rig.out[rig.out.len() - 4_000 * PACKET_SIZE..]));
    let (position, at_us) = rig.departures[rig.departures.len() - 100];
    let position = position + counters.overrun_bytes / 188;
    let delay_us = at_us - position * 5_076 / 27;
    assert!((150_000..=250_000).contains(&delay_us), "{delay_us}");
}

#[test]
fn memory_is_bounded_and_the_newest_packets_are_kept() {
    let bytes_max = 1_000 * PACKET_SIZE;
    let settings = Settings { depth_us: 10 * SECOND, bytes_max, ..Settings::default() };
    let cases = [(7, 3_000, true), (7, 3_000, false), (300, 100, true), (3_333, 20, true)];
    for (burst, pushes, is_clocked) in cases {
        let mut rig = Rig::new(settings);
        let mut source = Source::new();
        source.is_clocked = is_clocked;
        for _ in 0..pushes {
            let now_us = source.time_us();
            let packets = source.packets(burst);
            rig.push(&packets, now_us);
            assert!(rig.pacer.counters().buffered_bytes <= bytes_max);
        }
        rig.run_until(u64::MAX);
        let counters = rig.pacer.counters();
        assert_eq!(rig.out.len() as u64 + counters.overrun_bytes, rig.pushed.len() as u64);
        assert!(counters.overruns > 0);
        // Once there is less depth, a source in time loses nothing more.
        assert!(burst > 7 || counters.overrun_bytes <= bytes_max as u64 / 2);
        assert_eq!(rig.out[rig.out.len() - PACKET_SIZE..], rig.pushed[rig.pushed.len() - 188..]);
    }
}

#[test]
fn an_incomplete_datagram_waits_and_a_flush_does_not() {
    let mut pacer = Pacer::new(Settings::default());
    assert_eq!(pacer.next_departure(), None);
    let mut source = Source::new();
    pacer.push(&source.packets(3), 1_000);
    assert_eq!(pacer.next_departure(), Some(251_000));
    pacer.finish();
    assert_eq!(pacer.next_departure(), Some(201_000));
    pacer.push(&source.packets(9), 1_500);
    assert_eq!(pacer.next_departure(), Some(201_000));
    let mut sizes = Vec::new();
    pacer.take(200_999, |_, _| panic!("early"));
    pacer.flush(2_000, |datagram, at_us| sizes.push((datagram.len() / 188, at_us)));
    assert_eq!((sizes, pacer.next_departure()), (vec![(7, 200_999), (5, 200_999)], None));
    pacer.push(&[0x47; 187], 3_000);
    assert_eq!(pacer.counters().buffered_bytes, 0);
}

#[test]
fn a_driver_that_wakes_late_loses_nothing_and_is_no_underrun() {
    let mut pacer = Pacer::new(Settings::default());
    let mut source = Source::new();
    let (mut out, mut pushed) = (Vec::new(), Vec::new());
    for n in 0..3_000_u64 {
        let now_us = source.time_us();
        let packets = source.packets(7);
        pacer.push(&packets, now_us);
        pushed.extend(packets);
        if n % 7 == 0 {
            pacer.take(now_us, |datagram, at_us| {
                assert!(at_us <= now_us);
                out.extend_from_slice(datagram);
            });
        }
    }
    pacer.flush(u64::MAX, |datagram, _| out.extend_from_slice(datagram));
    assert!(out == pushed);
    assert_eq!((pacer.counters().late, pacer.counters().underruns), (0, 0));
}

#[test]
fn settings_outside_of_their_range_are_taken_as_the_nearest_inside() {
    let low = Settings {
        depth_us: 0,
        packets_per_datagram: 0,
        bytes_max: 0,
        overrun_us: 1,
        extrapolate_us: 0,
        linger_us: 0,
    };
    let clamped = low.clamped();
    assert_eq!((clamped.depth_us, clamped.packets_per_datagram), (1_000, 1));
    assert_eq!((clamped.bytes_max, clamped.overrun_us), (376, 2_000));
    assert_eq!(Settings::default().clamped().overrun_us, 800_000);
    for settings in [low, Settings { depth_us: 0, ..Settings::default() }] {
        let mut rig = Rig::new(settings);
        rig.feed(&mut Source::new(), 500, |_| 0);
        rig.run_until(u64::MAX);
        let dropped = rig.pacer.counters().overrun_bytes;
        assert_eq!(rig.out.len() as u64 + dropped, rig.pushed.len() as u64);
    }
}
