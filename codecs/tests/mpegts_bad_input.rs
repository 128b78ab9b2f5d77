//! What a demultiplexer is given by broken encoders, wrong cables and enemies: it is told, bounded,
//! and never the end.

use bytes::Bytes;
use corelay_codecs::container::mpegts::align::Aligner;
use corelay_codecs::container::mpegts::demux::{
    Demuxer, Event, Output, Reason, Settings, StreamFault,
};
use corelay_codecs::container::mpegts::psi::{Change, EsFormat, Fault};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet, Pid};
use corelay_codecs::{AccessUnit, TsBlock, UnitKind};
use libmpegts::psi::{
    PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream, Sections,
};

const H264_AAC: &[u8] = include_bytes!("data/h264_aac.ts");

fn demux_with(stream: &[u8], settings: Settings) -> (Vec<Output>, Demuxer) {
    let mut demuxer = Demuxer::new(settings);
    let mut out = Vec::new();
    demuxer.push(&TsBlock::new(Bytes::copy_from_slice(stream)).expect("whole"), &mut out);
    demuxer.finish(&mut out);
    (out, demuxer)
}

fn demux(stream: &[u8]) -> (Vec<Output>, Demuxer) {
    demux_with(stream, Settings::default())
}

fn events(out: &[Output]) -> Vec<&Event> {
    out.iter()
        .filter_map(|output| match output {
            Output::Event(event) => Some(event),
            Output::Unit(_) => None,
        })
        .collect()
}

fn units(out: &[Output]) -> Vec<&AccessUnit> {
    out.iter()
        .filter_map(|output| match output {
            Output::Unit(unit) => Some(unit),
            Output::Event(_) => None,
        })
        .collect()
}

/// Random numbers, the same ones in every run.
fn random() -> impl FnMut() -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}

/// A packet with a payload only.
fn packet(pid: u16, starts_unit: bool, counter: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = pid.to_be_bytes();
    let start = if starts_unit { 0x40 } else { 0 };
    let mut packet = vec![0x47, start | high, low, 0x10 | counter & 0x0F];
    packet.extend_from_slice(payload);
    packet.resize(PACKET_SIZE, 0xFF);
    packet
}

fn table(pid: u16, sections: &Sections) -> Vec<u8> {
    let payload = [&[0], sections.first().expect("a section")].concat();
    let chunks = payload.chunks(PACKET_SIZE - 4).enumerate();
    chunks.flat_map(|(at, chunk)| packet(pid, at == 0, at as u8, chunk)).collect()
}

fn pat(programs: &[(u16, u16)]) -> Vec<u8> {
    let program = |&(program_number, pid): &(u16, u16)| PatProgram { program_number, pid };
    let programs = programs.iter().map(program).collect();
    table(0, &PatBuilder::build(PatConfig { transport_stream_id: 1, version: 0, programs }))
}

fn pmt(pid: u16, program_number: u16, streams: &[(u8, u16)]) -> Vec<u8> {
    let stream = |&(stream_type, elementary_pid): &(u8, u16)| PmtStream {
        stream_type,
        elementary_pid,
        stream_descriptors: Vec::new(),
    };
    let config = PmtConfig {
        program_number,
        pcr_pid: 0x100,
        version: 0,
        program_descriptors: Vec::new(),
        streams: streams.iter().map(stream).collect(),
    };
    table(pid, &PmtBuilder::build(config))
}

#[test]
fn random_bytes_and_random_packets_give_nothing_and_cost_little() {
    let mut random = random();
    let mut aligner = Aligner::default();
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..1316).map(|_| random() as u8).collect();
        aligner.push(Bytes::from(bytes), |block| demuxer.push(&block, &mut out));
        assert!(aligner.buffered_bytes() < 5 * 204);
    }
    for _ in 0..30_000 {
        let mut bytes: Vec<u8> = (0..PACKET_SIZE).map(|_| random() as u8).collect();
        bytes[0] = 0x47;
        demuxer.push(&TsBlock::new(Bytes::from(bytes)).expect("whole"), &mut out);
    }
    assert!(units(&out).is_empty() && demuxer.program().is_none());
    let is_no_program = |event: &&&Event| matches!(event, Event::NoProgram { .. });
    assert_eq!(events(&out).iter().filter(is_no_program).count(), 1);
}

#[test]
fn a_stream_without_pat_or_without_pmt_is_told_once() {
    for left_out in [0, 0x1000] {
        let stream: Vec<u8> = H264_AAC
            .chunks(PACKET_SIZE)
            .filter(|bytes| Packet::parse(bytes).expect("in sync").pid().value() != left_out)
            .flatten()
            .copied()
            .collect();
        let mut demuxer = Demuxer::default();
        let mut out = Vec::new();
        let block = TsBlock::new(Bytes::from(stream)).expect("whole");
        while demuxer.counters().packets < 50_000 {
            demuxer.push(&block, &mut out);
        }
        assert!(units(&out).is_empty());
        let told = events(&out);
        let told: Vec<_> =
            told.into_iter().filter(|event| matches!(event, Event::NoProgram { .. })).collect();
        assert_eq!(told, [&Event::NoProgram { packets: 20_000 }], "without {left_out:#x}");
    }
}

#[test]
fn when_the_first_program_has_no_pmt_the_next_one_is_taken_after_a_while() {
    let pat = pat(&[(1, 0x20), (2, 0x30)]);
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    let mut push = |demuxer: &mut Demuxer, bytes: Vec<u8>| {
        demuxer.push(&TsBlock::new(Bytes::from(bytes)).expect("whole"), &mut out);
    };
    push(&mut demuxer, [pat, pmt(0x30, 2, &[(0x1B, 0x100)])].concat());
    assert!(demuxer.program().is_none());
    push(&mut demuxer, packet(0x1FFF, false, 0, &[]).repeat(20_001));
    assert_eq!(demuxer.program().map(|program| program.program_number), Some(2));
}

#[test]
fn tables_that_point_at_themselves_make_no_tracks() {
    for pmt_pid in [0, 1, 0x11, 0x1FFF] {
        let (out, demuxer) = demux(&[pat(&[(1, pmt_pid & 0x1FFF)]), pat(&[(1, 0x20)])].concat());
        let wrong = Fault::PmtPid { program_number: 1, pid: Pid::new(pmt_pid) };
        let told = Event::Table(Change::Fault { pid: Pid::PAT, fault: wrong });
        assert!(events(&out).contains(&&told), "{pmt_pid}");
        assert!(demuxer.program().is_none());
    }
    // The PMT names its own PID, and one PID twice.
    let streams = [(0x1B, 0x20), (0x1B, 0x100), (0x0F, 0x100)];
    let (_, demuxer) = demux(&[pat(&[(1, 0x20)]), pmt(0x20, 1, &streams)].concat());
    let tracks: Vec<_> = demuxer.tracks().map(|(_, pid)| pid.value()).collect();
    assert_eq!(tracks, [0x100]);
}

#[test]
fn all_8192_pids_cost_nothing_and_disturb_nothing() {
    let expected = demux(H264_AAC);
    let mut counters = 0_u8;
    let mut pid = 0x200_u16;
    let mixed: Vec<u8> = H264_AAC
        .chunks(PACKET_SIZE)
        .flat_map(|bytes| {
            let others = (0..40).flat_map(|_| {
                pid = if pid == 0xFFF { 0x1001 } else { 0x200.max((pid + 1) & 0x1FFF) };
                counters = counters.wrapping_add(7);
                packet(pid, counters & 1 == 1, counters, &[0, 0, 1, 0xE0])
            });
            let others: Vec<u8> = others.collect();
            [bytes, &others].concat()
        })
        .collect();
    let found = demux(&mixed);
    assert!(units(&found.0) == units(&expected.0));
    assert_eq!(found.1.counters().continuity_errors, 0);
}

#[test]
fn more_streams_than_tracks_are_told_of() {
    let streams: Vec<_> = (0x100..0x150).map(|pid| (0x0F, pid)).collect();
    let (out, demuxer) = demux(&[pat(&[(1, 0x20)]), pmt(0x20, 1, &streams)].concat());
    assert_eq!(demuxer.tracks().count(), 16);
    let is_told =
        |event: &&&Event| matches!(event, Event::NotCarried { reason: Reason::TooMany, .. });
    assert_eq!(events(&out).iter().filter(is_told).count(), 64);
}

#[test]
fn what_cannot_be_carried_is_told_with_the_reason() {
    let streams = [(0x02, 0x100), (0x33, 0x101), (0x06, 0x102), (0x86, 0x103), (0x0F, 0x104)];
    let (out, _) = demux(&[pat(&[(1, 0x20)]), pmt(0x20, 1, &streams)].concat());
    let told: Vec<_> = events(&out)
        .into_iter()
        .filter_map(|event| match event {
            Event::NotCarried { format, reason, .. } => Some((*format, *reason)),
            _ => None,
        })
        .collect();
    let expected = [
        (EsFormat::Mpeg2Video, Reason::Unsupported("RTMP and FLV have no form for it")),
        (EsFormat::H266, Reason::Unsupported("RTMP and FLV have no form for it")),
        (EsFormat::PrivatePes, Reason::NotAudioVideo),
        (EsFormat::Scte35, Reason::NotAudioVideo),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_pes_packet_without_end_is_bounded_and_its_pictures_come_out() {
    let mut stream = H264_AAC[..3 * PACKET_SIZE].to_vec();
    let video: Vec<u8> = H264_AAC
        .chunks(PACKET_SIZE)
        .filter(|bytes| Packet::parse(bytes).expect("in sync").pid().value() == 0x100)
        .flat_map(|bytes| Packet::parse(bytes).expect("in sync").payload())
        .copied()
        .collect();
    // One header, and then the same two seconds of pictures for a virtual hour.
    let endless: Vec<u8> = video.iter().copied().cycle().take(40 << 20).collect();
    for (number, chunk) in endless.chunks(184).enumerate() {
        stream.extend(packet(0x100, number == 0, number as u8, chunk));
    }
    let (out, demuxer) = demux(&stream);
    assert!(demuxer.counters().units > 20_000, "{}", demuxer.counters().units);
    assert!(units(&out).iter().all(|unit| unit.payload.len() < 100_000));
    // Without any start code there is no picture, and the limit holds.
    let mut stream = H264_AAC[..3 * PACKET_SIZE].to_vec();
    let chunk = [&video[..19], &[0x99; 165]].concat();
    stream.extend(packet(0x100, true, 0, &chunk));
    for number in 1..60_000_u32 {
        stream.extend(packet(0x100, false, number as u8, &[0x99; 184]));
    }
    let (out, _) = demux(&stream);
    let too_long = Event::Fault { pid: Pid::new(0x100), fault: StreamFault::TooLong };
    assert!(events(&out).contains(&&too_long) && units(&out).is_empty());
}

#[test]
fn scrambled_packets_are_told_once_and_never_opened() {
    let mut stream = H264_AAC.to_vec();
    for bytes in stream.chunks_mut(PACKET_SIZE).skip(60) {
        if [0x100, 0x101].contains(&Packet::parse(bytes).expect("in sync").pid().value()) {
            bytes[3] |= 0x80;
        }
    }
    let (out, demuxer) = demux(&stream);
    let told: Vec<_> =
        events(&out).into_iter().filter(|event| matches!(event, Event::Scrambled { .. })).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(demuxer.counters().scrambled_packets > 100);
    let all = units(&demux(H264_AAC).0).len();
    assert!(units(&out).len() < all / 2);
}

#[test]
fn damaged_packets_are_left_out_with_what_they_belong_to() {
    let mut stream = H264_AAC.to_vec();
    let is_video = |bytes: &[u8]| Packet::parse(bytes).expect("in sync").pid().value() == 0x100;
    let damaged = stream.chunks(PACKET_SIZE).skip(50).position(is_video).expect("pictures") + 50;
    stream[damaged * PACKET_SIZE + 1] |= 0x80;
    let (out, demuxer) = demux(&stream);
    let is_told = |event: &&&Event| matches!(event, Event::TransportError { .. });
    assert_eq!(events(&out).iter().filter(is_told).count(), 1);
    assert_eq!(demuxer.counters().transport_errors, 1);
    assert_eq!(demuxer.counters().continuity_errors, 0, "one fault, told once");
    assert!(demuxer.counters().units_damaged >= 1);
}

#[test]
fn a_silent_track_is_told_of_and_so_is_its_return() {
    // Two seconds of pictures, again and again with the clock running on; sound at the ends only.
    let settings = Settings { pid_timeout_ms: 1_000, ..Settings::default() };
    let mut stream = H264_AAC.to_vec();
    let sound = |bytes: &[u8]| Packet::parse(bytes).expect("in sync").pid().value() == 0x101;
    let half = 100 * PACKET_SIZE;
    stream = [&stream[..40 * PACKET_SIZE], &stream[half..]].concat();
    let silent: Vec<u8> = stream
        .chunks(PACKET_SIZE)
        .enumerate()
        .filter(|(number, bytes)| !sound(bytes) || *number < 10 || *number > 100)
        .flat_map(|(_, bytes)| bytes)
        .copied()
        .collect();
    let first_sound = silent.chunks(PACKET_SIZE).position(sound).expect("sound at the end");
    let (out, _) = demux_with(&silent, settings);
    let told: Vec<_> = events(&out)
        .into_iter()
        .filter(|event| matches!(event, Event::Vanished { .. } | Event::Returned { .. }))
        .collect();
    let pid = Pid::new(0x101);
    assert_eq!(told, [&Event::Vanished { pid }, &Event::Returned { pid }], "{first_sound}");
}

#[test]
fn a_program_that_changes_and_ends_takes_its_tracks_along() {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    let half = H264_AAC.len() / PACKET_SIZE / 2 * PACKET_SIZE;
    let mut push = |bytes: &[u8]| {
        out.clear();
        demuxer.push(&TsBlock::new(Bytes::copy_from_slice(bytes)).expect("whole"), &mut out);
        let told: Vec<_> = events(&out).into_iter().cloned().collect();
        (told, units(&out).iter().filter(|unit| unit.kind != UnitKind::Config).count())
    };
    let (told, before) = push(&H264_AAC[..half]);
    assert!(before > 10 && told.contains(&Event::Program { program_number: 1 }));
    // Another PMT: the video stays, its sound is another.
    let (told, _) = push(&pmt(0x1000, 1, &[(0x1B, 0x100), (0x03, 0x102)]));
    let ended: Vec<_> =
        told.iter().filter(|event| matches!(event, Event::TrackEnded { .. })).collect();
    assert_eq!(ended.len(), 1, "{told:?}");
    let (told, _) = push(&table(
        0,
        &PatBuilder::build(PatConfig {
            transport_stream_id: 1,
            version: 9,
            programs: vec![PatProgram { program_number: 4, pid: 0x40 }],
        }),
    ));
    assert!(told.contains(&Event::ProgramLost { program_number: 1 }), "{told:?}");
    assert_eq!(demuxer.tracks().count(), 0);
}
