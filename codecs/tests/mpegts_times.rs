//! Clocks that wrap, jump, stop and contradict: what becomes of the times of a transport stream.

use std::collections::HashMap;

use bytes::Bytes;
use corelay_codecs::container::mpegts::demux::{Demuxer, Event, Output};
use corelay_codecs::container::mpegts::packet::Pcr;
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet, timestamp};
use corelay_codecs::{AccessUnit, TrackKind, TsBlock, UnitKind};

const H264_AAC: &[u8] = include_bytes!("data/h264_aac.ts");
/// Length of the stream, in ticks of 90 kHz.
const LENGTH: i64 = 180_000;

/// The stream with another clock.
fn shifted(stream: &[u8], ticks: i64) -> Vec<u8> {
    let mut shifted = stream.to_vec();
    for bytes in shifted.chunks_mut(PACKET_SIZE) {
        let packet = Packet::parse(bytes).expect("in sync");
        let payload_at = PACKET_SIZE - packet.payload().len();
        let (pcr, starts_unit) = (packet.pcr(), packet.starts_unit());
        if let Some(pcr) = pcr {
            let base = timestamp::wrap(pcr.base() as i64 + ticks);
            let pcr = Pcr::new(base * 300 + pcr.ticks() % 300);
            bytes[6..12].copy_from_slice(&pcr.to_bytes());
        }
        let payload = &mut bytes[payload_at..];
        if starts_unit && payload.starts_with(&[0, 0, 1]) {
            let fields = payload[7] >> 6;
            if fields & 2 != 0 {
                move_time(&mut payload[9..14], ticks);
            }
            if fields == 3 {
                move_time(&mut payload[14..19], ticks);
            }
        }
    }
    shifted
}

fn move_time(field: &mut [u8], ticks: i64) {
    let time = timestamp::parse(field).expect("five bytes");
    let moved = timestamp::wrap(time as i64 + ticks);
    field.copy_from_slice(&timestamp::to_bytes(field[0] >> 4, moved));
}

/// Without the clock: only pictures and sound have times.
fn without_pcr(stream: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    for bytes in stream.chunks_mut(PACKET_SIZE) {
        if Packet::parse(bytes).expect("in sync").pcr().is_some() {
            bytes[5] &= !0x10;
        }
    }
    stream
}

/// Sets discontinuity_indicator in the first packet of each PID that has an adaptation field.
fn announced(mut stream: Vec<u8>) -> Vec<u8> {
    let first = stream
        .chunks_mut(PACKET_SIZE)
        .find(|bytes| Packet::parse(bytes).expect("in sync").pcr().is_some());
    first.expect("a packet with PCR")[5] |= 0x80;
    stream
}

fn push(demuxer: &mut Demuxer, stream: &[u8], out: &mut Vec<Output>) {
    let block = TsBlock::new(Bytes::copy_from_slice(stream)).expect("whole packets");
    demuxer.push(&block, out);
}

/// Continuity counters go on over the seams, as a multiplexer would make them.
fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = parts.concat();
    let mut counters = HashMap::new();
    for bytes in stream.chunks_mut(PACKET_SIZE) {
        let packet = Packet::parse(bytes).expect("in sync");
        let counter = counters.entry(packet.pid()).or_insert(15);
        *counter = (*counter + u8::from(packet.has_payload())) & 0x0F;
        bytes[3] = bytes[3] & 0xF0 | *counter;
    }
    stream
}

fn demux(parts: &[Vec<u8>]) -> (Vec<AccessUnit>, Vec<i64>, Demuxer) {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    push(&mut demuxer, &joined(parts), &mut out);
    demuxer.finish(&mut out);
    let mut units = Vec::new();
    let mut jumps = Vec::new();
    for output in out {
        match output {
            Output::Unit(unit) if unit.kind != UnitKind::Config => units.push(unit),
            Output::Event(Event::TimeJump { ticks, .. }) => jumps.push(ticks),
            _ => {}
        }
    }
    (units, jumps, demuxer)
}

fn times(units: &[AccessUnit], kind: TrackKind) -> Vec<(i64, i32)> {
    let of_kind = units.iter().filter(|unit| unit.track.kind == kind);
    of_kind.map(|unit| (unit.dts.0, unit.pts_offset)).collect()
}

/// Times only go forward, by no more than `step_max`.
fn assert_forward(units: &[AccessUnit], step_max: i64) {
    for kind in [TrackKind::Video, TrackKind::Audio] {
        for pair in times(units, kind).windows(2) {
            let step = pair[1].0 - pair[0].0;
            assert!((1..=step_max).contains(&step), "{kind:?}: {} after {}", pair[1].0, pair[0].0);
        }
    }
}

/// Sound minus picture of the first units at or behind `from`: in each lap the same when A/V stays
/// in step.
fn distances(units: &[AccessUnit], per_lap: [usize; 2]) -> Vec<i64> {
    let starts = |kind, per_lap| {
        let times = times(units, kind);
        times.chunks(per_lap).map(|lap| lap[per_lap / 2].0).collect::<Vec<_>>()
    };
    let (video, audio) =
        (starts(TrackKind::Video, per_lap[0]), starts(TrackKind::Audio, per_lap[1]));
    video.iter().zip(audio).map(|(video, audio)| audio - video).collect()
}

#[test]
fn the_wrap_of_33_bits_is_not_seen() {
    let (plain, ..) = demux(&[H264_AAC.to_vec()]);
    // The wrap falls on every place of the stream, clock and times apart from each other.
    for at in (0..400_000).step_by(9_001) {
        let ticks = timestamp::WRAP_TICKS - at;
        let (units, jumps, demuxer) = demux(&[shifted(H264_AAC, ticks)]);
        assert!(jumps.is_empty());
        assert_eq!(demuxer.counters().times_corrected, 0);
        let expected: Vec<_> = plain.iter().map(|unit| unit.dts.0).collect();
        let first = units[0].dts.0 - expected[0];
        assert_eq!(
            first.rem_euclid(timestamp::WRAP_TICKS),
            ticks.rem_euclid(timestamp::WRAP_TICKS)
        );
        let found: Vec<_> = units.iter().map(|unit| unit.dts.0 - first).collect();
        assert_eq!(found, expected, "wrap at {at}");
    }
}

#[test]
fn streams_that_continue_each_other_have_no_seam() {
    let laps: Vec<_> = (0..5).map(|lap| shifted(H264_AAC, lap * LENGTH)).collect();
    let (units, jumps, _) = demux(&laps);
    assert!(jumps.is_empty());
    assert_forward(&units, 5_000);
    let video = times(&units, TrackKind::Video);
    assert_eq!(video.len(), 250);
    assert!(video.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3_600));
}

/// Every jump, large and small, back and forth, announced or not: times go on without a hole and
/// sound keeps its distance to the pictures.
#[test]
fn a_jump_of_the_clock_is_taken_out_and_sound_stays_with_the_pictures() {
    let jumps = [-4_000_000_000, -900_000, -180_000, -45_000, 1_200_000, 90_000_000];
    for jump in jumps {
        for is_announced in [true, false] {
            let second = shifted(H264_AAC, LENGTH + jump);
            let second = if is_announced { announced(second) } else { second };
            let third = shifted(H264_AAC, 2 * LENGTH + jump);
            let (units, seen, demuxer) = demux(&[H264_AAC.to_vec(), second, third]);
            assert_eq!(seen.len(), 1, "jump of {jump}, announced: {is_announced}");
            assert!((seen[0] - jump).abs() < 100_000, "{} for {jump}", seen[0]);
            assert_forward(&units, 20_000);
            // The sound of each lap is 27 ms longer than its pictures, and the step of the clock
            // over the jump is a guess.
            let corrected = demuxer.counters().times_corrected;
            assert!(corrected <= 8, "jump of {jump}: {corrected}");
            let distances = distances(&units, [50, 95]);
            assert_eq!(distances, [distances[0]; 3], "jump of {jump}");
        }
    }
}

#[test]
fn a_small_jump_forward_is_a_hole_unless_it_is_announced() {
    let second = shifted(H264_AAC, LENGTH + 270_000);
    let (units, seen, _) = demux(&[H264_AAC.to_vec(), second.clone()]);
    assert!(seen.is_empty());
    assert_forward(&units, 300_000);
    let (units, seen, _) = demux(&[H264_AAC.to_vec(), announced(second)]);
    assert_eq!(seen.len(), 1);
    assert_forward(&units, 20_000);
}

#[test]
fn without_a_clock_the_times_themselves_tell_of_jumps() {
    for jump in [-90_000_000, -180_000, 90_000_000] {
        let first = without_pcr(H264_AAC);
        let second = without_pcr(&shifted(H264_AAC, LENGTH + jump));
        let third = without_pcr(&shifted(H264_AAC, 2 * LENGTH + jump));
        let (units, seen, _) = demux(&[first, second, third]);
        assert_eq!(seen.len(), 1, "jump of {jump}: {seen:?}");
        assert_forward(&units, 40_000);
        let distances = distances(&units, [50, 95]);
        assert_eq!(distances[1], distances[2]);
        assert!((distances[0] - distances[1]).abs() < 45_000, "jump of {jump}: {distances:?}");
    }
}

/// A packet with a PCR, and a PES packet of one picture or sound in each PID.
struct Synthetic {
    counters: [u8; 2],
}

impl Synthetic {
    /// Behind the first packets of the golden stream, which bring tables and parameter sets.
    fn after(head: &[u8]) -> Self {
        let last = |pid| {
            let mut packets = head.chunks(PACKET_SIZE).rev().flat_map(Packet::parse);
            packets.find(|packet| packet.pid().value() == pid)
        };
        let next = |pid| last(pid).map_or(0, |packet| (packet.continuity_counter() + 1) & 0x0F);
        Self { counters: [next(0x100), next(0x101)] }
    }

    fn packet(&mut self, track: usize, pcr: Option<i64>, time: i64, payload: &[u8]) -> [u8; 188] {
        let counter = &mut self.counters[track];
        let mut packet = vec![0x47, 0x41, track as u8, 0x30 | *counter];
        *counter = (*counter + 1) & 0x0F;
        let mut pes = vec![0, 0, 1, if track == 0 { 0xE0 } else { 0xC0 }];
        pes.extend((payload.len() as u16 + 8).to_be_bytes());
        pes.extend([0x80, 0x80, 5]);
        pes.extend(timestamp::to_bytes(2, timestamp::wrap(time)));
        pes.extend(payload);
        let field_size = PACKET_SIZE - 5 - pes.len();
        packet.push(field_size as u8);
        packet.push(if pcr.is_some() { 0x10 } else { 0 });
        if let Some(pcr) = pcr {
            packet.extend(Pcr::new(timestamp::wrap(pcr) * 300).to_bytes());
        }
        packet.resize(PACKET_SIZE - pes.len(), 0xFF);
        packet.extend(pes);
        packet.try_into().expect("188 bytes")
    }
}

#[test]
fn seventy_two_virtual_hours_keep_every_time() {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    // PAT and PMT, and the parameter sets with the first picture.
    let start = timestamp::WRAP_TICKS - 2_000_000;
    let head = shifted(&H264_AAC[..20 * PACKET_SIZE], start - 200_000);
    push(&mut demuxer, &head, &mut out);
    let mut synthetic = Synthetic::after(&head);
    let mut audio = vec![0xFF, 0xF1, 0x4C, 0x40, 0x01, 0x7F, 0xFC];
    audio.extend([0x21; 4]);
    for second in 0..72 * 3600 {
        let time = start + second * 90_000;
        let picture = [0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 0x9A, 2, 3, 4, 5];
        let packets = [
            synthetic.packet(0, Some(time - 50_000), time, &picture),
            synthetic.packet(1, None, time - 7_000, &audio),
        ];
        push(&mut demuxer, &packets.concat(), &mut out);
        if second == 0 {
            out.clear();
        }
        let mut count = 0;
        for output in out.drain(..) {
            match output {
                Output::Unit(unit) if unit.track.kind == TrackKind::Video => {
                    assert_eq!((unit.dts.0 - start).rem_euclid(90_000), 0);
                    assert_eq!((unit.dts.0 - start) / 90_000, second - 1);
                    count += 1;
                }
                Output::Unit(unit) => {
                    assert_eq!(unit.dts.0, time - 7_000);
                    count += 1;
                }
                Output::Event(event) => panic!("second {second}: {event:?}"),
            }
        }
        assert!(second < 2 || count == 2, "second {second}: {count}");
    }
    assert_eq!(demuxer.counters().times_corrected, 0);
}

#[test]
fn pictures_whose_times_go_backward_come_out_forward_and_counted() {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    push(&mut demuxer, &H264_AAC[..20 * PACKET_SIZE], &mut out);
    out.clear();
    let mut synthetic = Synthetic::after(&H264_AAC[..20 * PACKET_SIZE]);
    let picture = [0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 0x9A, 2, 3, 4, 5];
    for step in 0..10_000 {
        let time = 10_000_000 - step * 3_600;
        push(&mut demuxer, &synthetic.packet(0, None, time, &picture), &mut out);
    }
    let mut last = i64::MIN;
    let mut jumps = 0;
    for output in out {
        match output {
            Output::Unit(unit) if unit.track.kind == TrackKind::Video => {
                assert!(unit.dts.0 > last);
                last = unit.dts.0;
            }
            Output::Event(Event::TimeJump { ticks, .. }) => {
                assert!(ticks < 0 || jumps == 0);
                jumps += 1;
            }
            _ => {}
        }
    }
    assert!(jumps > 0 && demuxer.counters().times_corrected > 0);
    assert_eq!(demuxer.counters().time_jumps, jumps);
}
