//! Switches of sources, looked at packet by packet. One file, because every test uses the streams and
//! readers at its top.

use std::ops::Range;

use bytes::Bytes;
use libmpegts::utils::crc32b;

use super::*;
use crate::TsBlock;
use crate::access_unit::{AccessUnit, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::CodecId;
use crate::container::mpegts::analysis::{self, Analyser};
use crate::container::mpegts::demux::{self, Demuxer, Event, Output};
use crate::container::mpegts::mux::{self, Muxer};
use crate::container::mpegts::packet::Pcr;
use crate::container::mpegts::test_stream::{Field, TestStream, pat, pes, pmt};
use crate::container::mpegts::timestamp;

const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const AVC: u8 = 0x1B;

/// A live source: what it sends, and when, in us.
struct Source(Vec<(u64, Vec<u8>)>);

/// What went out, and when, in us.
type Sent = Vec<(u64, Vec<u8>)>;

fn unit(track: TrackId, codec: CodecId, kind: UnitKind, ms: i64, payload: Vec<u8>) -> AccessUnit {
    let (dts, flv) = (Timestamp::from_millis(ms), FlvBody::Build);
    AccessUnit { track, kind, codec, dts, pts_offset: 0, payload: Bytes::from(payload), flv }
}

impl Source {
    /// Pictures every 40 ms, sound every 20, whose clock starts at `start_ms`, for so many seconds;
    /// so many audio tracks.
    fn new(start_ms: u32, audios: u8, seconds: i64) -> Self {
        let mut muxer = Muxer::new(mux::Settings { start_ms, ..mux::Settings::default() });
        let mut send = |unit: &AccessUnit| {
            let mut out = Vec::new();
            assert_eq!(muxer.write(unit, &mut out).refused, None);
            out
        };
        // avcC by hand: 4-byte lengths, an SPS and a PPS of two bytes each; AAC LC, 48 kHz, stereo.
        let avcc = vec![1, 100, 0, 40, 0xFF, 0xE1, 0, 2, 0x67, 0xAA, 1, 0, 2, 0x68, 0xBB];
        send(&unit(TrackId::VIDEO, CodecId::H264, UnitKind::Config, 0, avcc));
        let audio = |index| TrackId { kind: TrackKind::Audio, index };
        for index in 0..audios {
            send(&unit(audio(index), CodecId::Aac, UnitKind::Config, 0, vec![0x11, 0x90]));
        }
        let mut events = Vec::new();
        for ms in (0..seconds * 1_000).step_by(20) {
            let mut out = Vec::new();
            if ms % 40 == 0 {
                let random_access = ms % 1_000 == 0;
                let mut picture = vec![0, 0, 3, 0xE8, if random_access { 0x65 } else { 0x41 }];
                picture.resize(1_004, 0x80);
                let kind = UnitKind::Frame { random_access };
                out.extend(send(&unit(TrackId::VIDEO, CodecId::H264, kind, ms, picture)));
            }
            for index in 0..audios {
                let kind = UnitKind::Frame { random_access: true };
                out.extend(send(&unit(audio(index), CodecId::Aac, kind, ms, vec![0x21; 200])));
            }
            events.push((ms as u64 * 1_000, out));
        }
        Self(events)
    }

    fn between(&self, us: Range<u64>) -> impl Iterator<Item = &(u64, Vec<u8>)> {
        self.0.iter().filter(move |(at_us, _)| us.contains(at_us))
    }
}

/// As the channel does it.
fn send(splicer: &mut Splicer, block: &[u8], now_us: u64, sent: &mut Sent) {
    let mut block = block.to_vec();
    match splicer.is_transparent() {
        true => splicer.observe(&block, now_us),
        false => splicer.packets(&mut block, now_us),
    }
    sent.push((now_us, block));
}

fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    bytes.as_chunks::<PACKET_SIZE>().0.iter().map(Packet::new)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }
}

/// Switches between the sources at random packets, after random times without data.
fn spliced(sources: &[Source], switches: u64, settings: Settings) -> (Sent, Splicer) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut splicer = Splicer::new(settings);
    let (mut sent, mut now_us) = (Vec::new(), 0);
    for switch in 0..=switches {
        if switch > 0 {
            splicer.switch(now_us);
        }
        let source = &sources[switch as usize % sources.len()];
        let mut is_first = true;
        let end_us = now_us + 100_000 + random.below(200_000);
        for (at_us, bytes) in source.between(now_us..end_us) {
            let mut block = &bytes[..];
            if std::mem::take(&mut is_first) {
                let count = (block.len() / PACKET_SIZE) as u64;
                let skipped = random.below(count.max(1)) as usize;
                block = &block[skipped * PACKET_SIZE..];
            }
            for part in block.chunks(7 * PACKET_SIZE) {
                send(&mut splicer, part, *at_us, &mut sent);
            }
        }
        now_us = end_us + random.below(80_000);
    }
    (sent, splicer)
}

/// The analyser finds nothing, clock and times keep step with the time that passes, and a
/// demultiplexer hears of no jump.
fn check_continuity(sent: &Sent) {
    let mut analyser = Analyser::new(analysis::Settings::default());
    let mut demuxer = Demuxer::new(demux::Settings::default());
    // By PID, the clock last: how far times are in front of the time that passed, in ms.
    let mut leads: [Option<i64>; 3] = [None; 3];
    let mut check = |index: usize, time: u64, at_us: u64| {
        let passed = timestamp::wrap((at_us * 9 / 100) as i64);
        let lead = timestamp::difference(time, passed) / 90;
        let last = leads[index].replace(lead).unwrap_or(lead);
        assert!((lead - last).abs() <= 100, "{index} at {at_us} us: {last} ms to {lead} ms");
    };
    let mut units = 0;
    let mut last_dts = [Timestamp(i64::MIN / 2); 2];
    for (at_us, block) in sent {
        analyser.packets(block, *at_us);
        for packet in packets(block) {
            if let Some(pcr) = packet.pcr() {
                assert!(!packet.is_discontinuity());
                check(2, pcr.base(), *at_us);
            }
            let stream = packet.pid().value().wrapping_sub(VIDEO_PID);
            if stream < 2 && packet.starts_unit() {
                let pts = timestamp::parse(&packet.payload()[9..]).expect("a PTS");
                check(usize::from(stream), pts, *at_us);
            }
        }
        let mut out = Vec::new();
        demuxer.push(&TsBlock::new(Bytes::copy_from_slice(block)).expect("whole"), &mut out);
        for output in out {
            match output {
                Output::Event(event @ (Event::TimeJump { .. } | Event::Continuity { .. })) => {
                    panic!("{event:?} at {at_us} us");
                }
                Output::Unit(unit) if unit.track.index == 0 => {
                    units += 1;
                    let last = &mut last_dts[usize::from(unit.track == TrackId::AUDIO)];
                    // A picture may be repeated by a source that is behind, not by much.
                    assert!(unit.dts.0 > last.0 - 9_000, "{:?} at {at_us} us", unit.track);
                    *last = unit.dts;
                }
                _ => {}
            }
        }
    }
    assert!(units > 100);
    let totals = analyser.snapshot().totals;
    let errors = totals.counter_errors + totals.crc_errors + totals.section_errors;
    assert_eq!(errors + totals.repeated_packets, 0);
}

#[test]
fn two_hundred_switches_between_two_sources_are_not_seen() {
    for same_clock_ms in [1_000, 0] {
        let sources = [Source::new(1_000, 1, 60), Source::new(50_000_000, 2, 60)];
        let settings = Settings { same_clock_ms, ..Settings::default() };
        let (sent, splicer) = spliced(&sources, 200, settings);
        check_continuity(&sent);
        let counters = splicer.counters();
        assert_eq!((counters.switches, counters.times_left), (200, 0));
        assert_eq!((counters.discontinuities, counters.versions_not_raised), (0, 0));
    }
}

#[test]
fn a_wrap_of_the_clock_over_a_switch_is_not_seen() {
    // 2^33 ticks are 95,443,717.6 ms: the first source wraps after 3 s, the third one before it
    // starts, and the sources are half a day apart.
    for start_ms in [[95_440_717, 1_000, 95_443_700], [47_000_000, 95_440_717, 0]] {
        let sources = start_ms.map(|start_ms| Source::new(start_ms, 1, 10));
        let (sent, _) = spliced(&sources, 30, Settings::default());
        check_continuity(&sent);
    }
}

#[test]
fn copies_of_one_source_stay_byte_identical_and_become_transparent_again() {
    let source = Source::new(1_000, 1, 4);
    let whole: Vec<u8> = source.0.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    for switch_at in (500..700).map(|count| count * PACKET_SIZE) {
        let mut splicer = Splicer::new(Settings::default());
        let mut sent = Vec::new();
        for (index, block) in whole[..switch_at].chunks(7 * PACKET_SIZE).enumerate() {
            send(&mut splicer, block, index as u64 * 10_000, &mut sent);
        }
        splicer.switch(1_000_000);
        assert!(!splicer.is_transparent());
        for (index, block) in whole[switch_at..].chunks(7 * PACKET_SIZE).enumerate() {
            send(&mut splicer, block, 1_000_000 + index as u64 * 10_000, &mut sent);
        }
        let sent: Vec<u8> = sent.into_iter().flat_map(|(_, block)| block).collect();
        assert!(sent == whole, "switch at {switch_at}");
        assert!(splicer.is_transparent());
        let counters = splicer.counters();
        assert_eq!((counters.switches, counters.rewritten_packets), (1, 0));
    }
}

#[test]
fn a_copy_that_is_late_keeps_its_times_and_only_counters_change() {
    let source = Source::new(1_000, 1, 4);
    let mut splicer = Splicer::new(Settings::default());
    for (at_us, bytes) in source.between(0..2_000_000) {
        splicer.observe(bytes, *at_us);
    }
    splicer.switch(2_000_000);
    for (at_us, bytes) in source.between(1_500_000..4_000_000) {
        let mut changed = bytes.clone();
        splicer.packets(&mut changed, at_us + 500_000);
        for (before, after) in packets(bytes).zip(packets(&changed)) {
            assert_eq!(before.bytes()[4..], after.bytes()[4..]);
        }
    }
    assert_eq!(splicer.counters().clock_shift, 0);
}

#[test]
fn what_the_new_source_loses_stays_visible() {
    let sources = [Source::new(1_000, 1, 2), Source::new(9_000_000, 1, 2)];
    let (mut splicer, mut sent) = (Splicer::new(Settings::default()), Vec::new());
    for (at_us, bytes) in sources[0].between(0..1_000_000) {
        send(&mut splicer, bytes, *at_us, &mut sent);
    }
    splicer.switch(1_000_000);
    for (at_us, bytes) in sources[1].between(1_000_000..2_000_000) {
        let lost = usize::from(*at_us == 1_500_000 || *at_us == 1_800_000);
        send(&mut splicer, &bytes[lost * PACKET_SIZE..], *at_us, &mut sent);
    }
    let mut analyser = Analyser::new(analysis::Settings::default());
    sent.iter().for_each(|(at_us, block)| analyser.packets(block, *at_us));
    assert_eq!(analyser.snapshot().totals.counter_errors, 2);
}

/// Blocks of one program: tables, then a picture with a PCR.
fn simple_block(stream: &mut TestStream, pcr: u64, version: u8, stream_type: u8) -> Vec<u8> {
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    stream.sections(0x20, &pmt(1, version, VIDEO_PID, &[(stream_type, VIDEO_PID, &[])]));
    let field = Field { random_access: true, pcr: Some(pcr) };
    let time = pcr / 300 + 9_000;
    stream.pes(VIDEO_PID, field, &pes(0xE0, time, time, &[0; 500]));
    stream.take()
}

/// version_number, stream_type of the first stream, and whether the CRC is right, of the PMT in the
/// second packet.
fn pmt_of(block: &[u8]) -> (u8, u8, bool) {
    let section = &block[PACKET_SIZE + 5..];
    let size = 3 + usize::from(section[1] & 0x0F) * 256 + usize::from(section[2]);
    (section[5] >> 1 & 0x1F, section[12], crc32b(&section[..size]) == 0)
}

#[test]
fn another_pmt_under_the_same_version_gets_another_version() {
    let mut splicer = Splicer::new(Settings::default());
    let (mut first, mut second) = (TestStream::new(), TestStream::new());
    let mut now_us = 0;
    // Source, version of its PMT, stream_type; the version that is expected. A change of source is
    // a switch.
    let rows = [
        (1, 31, AVC, 31),
        (1, 31, AVC, 31),
        (2, 31, 0x24, 0),
        (2, 31, 0x24, 0),
        // Its own change, with the same distance.
        (2, 0, 0x02, 1),
        (1, 31, AVC, 31),
        // The same PMT: no change.
        (2, 31, AVC, 31),
        // Another version already.
        (1, 5, 0x24, 5),
    ];
    let mut source_before = 1;
    for (source, version, stream_type, expected) in rows {
        if source != source_before {
            splicer.switch(now_us);
            source_before = source;
        }
        now_us += 40_000;
        let stream = if source == 1 { &mut first } else { &mut second };
        let mut block = simple_block(stream, 27 * now_us, version, stream_type);
        splicer.packets(&mut block, now_us);
        assert_eq!(pmt_of(&block), (expected, stream_type, true));
    }
    let counters = splicer.counters();
    assert_eq!((counters.versions_raised, counters.versions_not_raised), (1, 0));
}

#[test]
fn a_pmt_of_two_packets_is_left_and_counted() {
    let descriptors = [[0x83, 190].as_slice(), &[1; 190]].concat();
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    let tables = |stream: &mut TestStream, stream_type| {
        stream.sections(0, &pat(0, &[(1, 0x20)]));
        stream.sections(0x20, &pmt(1, 0, VIDEO_PID, &[(stream_type, VIDEO_PID, &descriptors)]));
        stream.take()
    };
    splicer.observe(&tables(&mut stream, AVC), 0);
    splicer.switch(0);
    let mut same = tables(&mut stream, AVC);
    splicer.packets(&mut same, 0);
    assert_eq!(splicer.counters().versions_not_raised, 0);
    splicer.switch(0);
    let mut other = tables(&mut stream, 0x24);
    let before = other.clone();
    splicer.packets(&mut other, 0);
    splicer.packets(&mut tables(&mut stream, 0x24), 0);
    assert_eq!(splicer.counters().versions_not_raised, 1);
    assert_eq!(other, before);
}

#[test]
fn another_pat_under_the_same_version_gets_another_version() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    stream.sections(0, &pat(3, &[(1, 0x20)]));
    splicer.observe(&stream.take(), 0);
    splicer.switch(0);
    stream.sections(0, &pat(3, &[(1, 0x30)]));
    let mut block = stream.take();
    splicer.packets(&mut block, 0);
    assert_eq!((block[10] >> 1 & 0x1F, crc32b(&block[5..5 + 16])), (4, 0));
    assert!(!splicer.is_transparent());
}

#[test]
fn times_in_front_of_the_first_pcr_keep_their_distance_from_the_clock() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    // Sound is 200 ms in front of the clock.
    for count in 0..10_u64 {
        let mut block = simple_block(&mut stream, count * 1_080_000, 0, AVC);
        let time = count * 3_600 + 18_000;
        stream.pes(AUDIO_PID, Field::default(), &pes(0xC0, time, time, &[0; 100]));
        block.extend(stream.take());
        splicer.observe(&block, count * 40_000);
    }
    splicer.switch(360_000);
    // Without a PCR in its block, and one hour on.
    let hour = 3_600 * 90_000;
    stream.pes(AUDIO_PID, Field::default(), &pes(0xC0, hour, hour, &[0; 100]));
    let mut block = stream.take();
    splicer.packets(&mut block, 460_000);
    let first = packets(&block).next().expect("a packet");
    let pts = timestamp::parse(&first.payload()[9..]).expect("a PTS");
    // The clock is at 460 ms.
    assert!(pts.abs_diff((460 + 200) * 90) <= 90, "{pts}");
    // The PCR has the last word: the clock stands at the time that passed.
    stream.pcr(VIDEO_PID, hour * 300);
    let mut block = stream.take();
    splicer.packets(&mut block, 500_000);
    let pcr = packets(&block).next().and_then(|packet| packet.pcr()).expect("a PCR");
    assert_eq!(pcr.ticks(), 27 * 500_000);
}

#[test]
fn a_pcr_behind_the_first_times_of_its_block_settles_them() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    splicer.observe(&simple_block(&mut stream, 0, 0, AVC), 0);
    splicer.switch(0);
    let hour = 3_600 * 90_000;
    stream.pes(AUDIO_PID, Field::default(), &pes(0xC0, hour + 900, hour + 900, &[0; 100]));
    stream.pcr(VIDEO_PID, hour * 300 + 123);
    let mut block = stream.take();
    splicer.packets(&mut block, 1_000_000);
    let sent: Vec<_> = packets(&block).collect();
    let pcr = sent[1].pcr().expect("a PCR");
    let pts = timestamp::parse(&sent[0].payload()[9..]).expect("a PTS");
    assert_eq!(timestamp::difference(pts, pcr.base()), 900);
    assert!(pcr.ticks().abs_diff(27_000_000) <= 150);
    assert_eq!(pcr.ticks() % 300, 123);
}

#[test]
fn without_a_clock_before_the_switch_the_first_pcr_is_marked() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    stream.pes(VIDEO_PID, Field::default(), &pes(0xE0, 9, 9, &[0; 500]));
    splicer.observe(&stream.take(), 0);
    splicer.switch(0);
    for is_first in [true, false] {
        let before = simple_block(&mut stream, 27_000_000, 0, AVC);
        let mut block = before.clone();
        splicer.packets(&mut block, 10_000);
        let marked = packets(&block).filter(|packet| packet.is_discontinuity()).count();
        assert_eq!(marked, usize::from(is_first));
        assert_eq!(block == before, !is_first);
    }
    assert_eq!(splicer.counters().discontinuities, 1);
    // Nothing went out before: there is nothing to be discontinuous with.
    let mut splicer = Splicer::new(Settings::default());
    splicer.switch(0);
    let mut block = simple_block(&mut stream, 27_000_000, 0, AVC);
    splicer.packets(&mut block, 10_000);
    assert!(packets(&block).all(|packet| !packet.is_discontinuity()));
}

#[test]
fn a_scrambled_source_keeps_its_times_and_is_marked() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    splicer.observe(&simple_block(&mut stream, 0, 0, AVC), 0);
    splicer.switch(0);
    let mut block = simple_block(&mut stream, 1 << 40, 0, AVC);
    for packet in block.as_chunks_mut::<PACKET_SIZE>().0.iter_mut().skip(2) {
        packet[3] |= 0x80;
    }
    splicer.packets(&mut block, 40_000);
    let packet = packets(&block).nth(2).expect("a picture");
    assert_eq!(packet.pcr(), Some(Pcr::new(1 << 40)));
    assert!(packet.is_discontinuity() && splicer.counters().discontinuities == 1);
}

#[test]
fn markers_prefixes_and_other_flags_stay_as_they_are() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    splicer.observe(&simple_block(&mut stream, 0, 0, AVC), 0);
    splicer.switch(0);
    // OPCR as well, and a header with wrong markers that senders have been seen to make.
    let mut packet = [0xFF_u8; PACKET_SIZE];
    packet[..6].copy_from_slice(&[0x47, 0x41, 0, 0x30, 13, 0x18]);
    packet[6..12].copy_from_slice(&Pcr::new(1 << 41).to_bytes());
    packet[12..18].copy_from_slice(&Pcr::new((1 << 41) - 300).to_bytes());
    let mut header = pes(0xE0, (1 << 41) / 300 + 5, (1 << 41) / 300 + 2, &[]);
    header[9] &= !1;
    packet[18..18 + header.len()].copy_from_slice(&header);
    let mut block = packet.to_vec();
    splicer.packets(&mut block, 100_000);
    let shift = splicer.counters().clock_shift;
    assert_ne!(shift, 0);
    let sent = packets(&block).next().expect("one");
    let base = sent.pcr().expect("a PCR").base();
    assert!(base.abs_diff(9_000) < 2, "{base}");
    let opcr = sent.adaptation_field().and_then(|field| field.original_pcr()).expect("an OPCR");
    assert_eq!(opcr.ticks() + 300, sent.pcr().expect("a PCR").ticks());
    let times = &sent.payload()[9..];
    assert_eq!(timestamp::parse(times), Some(base + 5));
    assert_eq!(timestamp::parse(&times[5..]), Some(base + 2));
    assert_eq!((times[0] & 0xF1, times[5] & 0xF1), (0x30, 0x11));
    assert_eq!(block[packet.len() - 100..], packet[packet.len() - 100..]);
}

#[test]
fn times_that_are_not_in_the_packet_of_their_header_are_left_and_counted() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    splicer.observe(&simple_block(&mut stream, 0, 0, AVC), 0);
    splicer.switch(0);
    let mut block = simple_block(&mut stream, 1 << 41, 0, AVC);
    splicer.packets(&mut block, 40_000);
    assert_eq!(splicer.counters().times_left, 0);
    for payload_size in 1..14 {
        let mut packet = vec![0x47, 0x41, 0, 0x30, (183 - payload_size) as u8, 0];
        packet.resize(PACKET_SIZE - payload_size, 0xFF);
        packet.extend_from_slice(&pes(0xE0, 9, 9, &[])[..payload_size]);
        let before = packet.clone();
        splicer.packets(&mut packet, 40_000);
        assert_eq!(packet[4..], before[4..]);
        assert_eq!(splicer.counters().times_left, payload_size as u64);
    }
}

#[test]
fn cues_follow_the_clock() {
    // splice_null() with pts_adjustment 0x1FFFFFFF0, by hand; the CRC is made here.
    let mut cue = vec![0xFC, 0x30, 0x11, 0, 1, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0xFF, 0xF0, 0, 0, 0, 0];
    let crc = crc32b(&cue);
    cue.extend_from_slice(&crc.to_be_bytes());
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    let tables = |stream: &mut TestStream| {
        stream.sections(0, &pat(0, &[(1, 0x20)]));
        let streams: [(u8, u16, &[u8]); 2] = [(AVC, VIDEO_PID, &[]), (0x86, 0x1F0, &[])];
        stream.sections(0x20, &pmt(1, 0, VIDEO_PID, &streams));
    };
    tables(&mut stream);
    stream.pcr(VIDEO_PID, 27_000_000);
    splicer.observe(&stream.take(), 0);
    splicer.switch(0);
    tables(&mut stream);
    stream.pcr(VIDEO_PID, 270_000_000);
    stream.payload(0x1F0, &[&[0], &cue[..], &cue[..]].concat());
    stream.payload(0x1F0, &[&[0], &cue[..8], &[9], &cue[9..]].concat());
    let mut block = stream.take();
    splicer.packets(&mut block, 1_000_000);
    let shift = splicer.counters().clock_shift / 300;
    assert_eq!(shift, 2 * 90_000 - 900_000);
    let sent = packets(&block).nth(3).expect("the cues");
    for section in sent.payload()[1..].chunks(20).take(2) {
        assert_eq!(crc32b(section), 0);
        let adjustment = u64::from_be_bytes([
            0, 0, 0, section[4], section[5], section[6], section[7], section[8],
        ]);
        assert_eq!(adjustment, timestamp::wrap(0x1_FFFF_FFF0 + shift));
    }
    assert_eq!(splicer.counters().times_left, 1);
}

#[test]
fn each_program_of_a_multiplex_has_its_own_clock() {
    let block = |stream: &mut TestStream, pcrs: [u64; 2]| {
        stream.sections(0, &pat(0, &[(1, 0x20), (2, 0x21)]));
        stream.sections(0x20, &pmt(1, 0, 0x100, &[(AVC, 0x100, &[])]));
        stream.sections(0x21, &pmt(2, 0, 0x200, &[(AVC, 0x200, &[])]));
        for (pid, pcr) in [(0x100, pcrs[0]), (0x200, pcrs[1])] {
            let time = pcr / 300 + 900;
            let field = Field { random_access: false, pcr: Some(pcr) };
            stream.pes(pid, field, &pes(0xE0, time, time, &[0; 100]));
        }
        stream.take()
    };
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    splicer.observe(&block(&mut stream, [0, 1 << 40]), 0);
    splicer.switch(0);
    // The first program has another clock, the second one the same.
    let mut changed = block(&mut stream, [1 << 39, (1 << 40) + 2_700_000]);
    splicer.packets(&mut changed, 100_000);
    let pcrs: Vec<_> = packets(&changed).filter_map(|packet| packet.pcr()).collect();
    assert!(pcrs[0].ticks().abs_diff(2_700_000) <= 150);
    assert_eq!(pcrs[1].ticks(), (1 << 40) + 2_700_000);
    for (packet, pcr) in packets(&changed).skip(3).zip(&pcrs) {
        assert_eq!(timestamp::parse(&packet.payload()[9..]), Some(pcr.base() + 900));
    }
}

#[test]
fn a_pid_that_does_not_come_again_is_not_waited_for_for_ever() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    let mut block = simple_block(&mut stream, 0, 0, AVC);
    stream.payload(0x12, &[0xFF; 100]);
    block.extend(stream.take());
    splicer.observe(&block, 0);
    splicer.switch(0);
    for second in 1..=11_u64 {
        assert!(!splicer.is_transparent());
        let mut block = simple_block(&mut stream, second * 27_000_000, 0, AVC);
        splicer.packets(&mut block, second * 1_000_000);
        if splicer.is_transparent() {
            assert_eq!(second, 10);
            return;
        }
    }
    panic!("still waiting");
}

#[test]
fn a_packet_without_payload_that_comes_first_is_not_counted() {
    let mut splicer = Splicer::new(Settings::default());
    let mut stream = TestStream::new();
    splicer.observe(&simple_block(&mut stream, 0, 0, AVC), 0);
    let last = stream.counter(VIDEO_PID);
    splicer.switch(0);
    let mut other = TestStream::new();
    other.set_counter(VIDEO_PID, last + 7);
    other.pcr(VIDEO_PID, 1_080_000);
    other.pes(VIDEO_PID, Field::default(), &pes(0xE0, 9, 9, &[0; 200]));
    let mut block = other.take();
    splicer.packets(&mut block, 40_000);
    let counters: Vec<_> = packets(&block).map(Packet::continuity_counter).collect();
    assert_eq!(counters, [last, last + 1, last + 2].map(|counter| counter.wrapping_sub(1) & 0x0F));
}

/// Packets of one millisecond each, with a PCR in every twentieth, from `first_ms` on.
fn constant_rate(stream: &mut TestStream, first_ms: u64, count: u64, clock_ms: u64) -> Vec<u8> {
    for ms in first_ms..first_ms + count {
        match ms % 20 {
            0 => stream.pcr(VIDEO_PID, (ms + clock_ms) * 27_000),
            _ => stream.payload(VIDEO_PID, &[0xFF; 184]),
        }
    }
    stream.take()
}

#[test]
fn in_long_blocks_the_clock_goes_on_by_the_packets() {
    // The second source starts with the next block, or with a gap of time that passes.
    for gap_ms in [0, 300] {
        let (mut first, mut second) = (TestStream::new(), TestStream::new());
        let mut splicer = Splicer::new(Settings::default());
        for block_ms in (0..3_500).step_by(350) {
            let block = constant_rate(&mut first, block_ms, 350, 0);
            splicer.observe(&block, (block_ms + 350) * 1_000);
        }
        splicer.switch(3_500_000 + gap_ms * 1_000);
        let mut block = constant_rate(&mut second, 3_510, 350, 50_000_000);
        splicer.packets(&mut block, (3_850 + gap_ms) * 1_000);
        let at = packets(&block).position(|packet| packet.pcr().is_some()).expect("a PCR");
        let pcr = packets(&block).find_map(|packet| packet.pcr()).expect("a PCR");
        let expected = (3_500 + gap_ms + at as u64) * 27_000;
        assert!(pcr.ticks().abs_diff(expected) <= 2 * 27_000, "{} {expected}", pcr.ticks());
    }
}

#[test]
fn a_switch_in_no_time_goes_on_by_the_packets() {
    let (mut first, mut second) = (TestStream::new(), TestStream::new());
    let mut splicer = Splicer::new(Settings::default());
    for block_ms in (0..3_507).step_by(7) {
        let block = constant_rate(&mut first, block_ms, 7, 0);
        splicer.observe(&block, 1_000);
    }
    splicer.switch(1_000);
    let mut block = constant_rate(&mut second, 20, 7, 50_000_000);
    splicer.packets(&mut block, 1_000);
    let pcr = packets(&block).find_map(|packet| packet.pcr()).expect("a PCR");
    // The last PCR was at 3,500 ms, seven packets before.
    assert_eq!(pcr.ticks(), 3_507 * 27_000);
}

#[test]
fn a_source_with_another_clock_stays_behind_the_one_that_may_return() {
    for (reserve_us, expected_ms) in [(0, 3_600), (10_000, 3_590), (50_000, 3_550)] {
        let (mut first, mut second) = (TestStream::new(), TestStream::new());
        let settings = Settings { reserve_us, ..Settings::default() };
        let mut splicer = Splicer::new(settings);
        for block_ms in (0..=3_500).step_by(20) {
            let block = constant_rate(&mut first, block_ms, 20, 0);
            splicer.observe(&block, (block_ms + 20) * 1_000);
        }
        splicer.switch(3_600_000);
        let mut block = constant_rate(&mut second, 20, 20, 50_000_000);
        splicer.packets(&mut block, 3_620_000);
        let pcr = packets(&block).find_map(|packet| packet.pcr()).expect("a PCR");
        let off = pcr.ticks().abs_diff(expected_ms * 27_000);
        assert!(off <= 4 * 27_000, "{reserve_us} us: {} ms", pcr.ticks() / 27_000);
    }
}
