//! Transport streams that ffmpeg made, against what ffprobe says of them (tests/data/README.md).

use bytes::Bytes;
use corelay_codecs::container::mpegts::align::Aligner;
use corelay_codecs::container::mpegts::demux::{Demuxer, Event, Output, Settings};
use corelay_codecs::container::mpegts::psi::EsFormat;
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet, Pid};
use corelay_codecs::{AccessUnit, CodecId, TrackKind, TsBlock, UnitKind, codec};

const H264_AAC: &[u8] = include_bytes!("data/h264_aac.ts");
const HEVC_AC3: &[u8] = include_bytes!("data/hevc_ac3.ts");
const AUDIOS: &[u8] = include_bytes!("data/audios.ts");

fn demux(stream: &[u8]) -> (Vec<Output>, Demuxer) {
    demux_with(stream, Settings::default())
}

fn demux_with(stream: &[u8], settings: Settings) -> (Vec<Output>, Demuxer) {
    let mut demuxer = Demuxer::new(settings);
    let mut out = Vec::new();
    let block = TsBlock::new(Bytes::copy_from_slice(stream)).expect("whole packets");
    demuxer.push(&block, &mut out);
    demuxer.finish(&mut out);
    (out, demuxer)
}

fn units(out: &[Output]) -> impl Iterator<Item = &AccessUnit> {
    out.iter().filter_map(|output| match output {
        Output::Unit(unit) => Some(unit),
        Output::Event(_) => None,
    })
}

fn events(out: &[Output]) -> impl Iterator<Item = &Event> {
    out.iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        Output::Unit(_) => None,
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

/// The lines that ffprobe would write of the frames, by stream index.
fn table(out: &[Output], demuxer: &Demuxer) -> Vec<String> {
    let streams = &demuxer.program().expect("a program").streams;
    let index_of = |unit: &AccessUnit| {
        let (_, pid) = demuxer.tracks().find(|(track, _)| *track == unit.track).expect("known");
        streams.iter().position(|stream| stream.pid == pid).expect("in the PMT")
    };
    let mut lines: Vec<_> = units(out)
        .filter_map(|unit| match unit.kind {
            UnitKind::Frame { random_access } => Some((unit, random_access)),
            _ => None,
        })
        .map(|(unit, random_access)| {
            let (pts, dts, size) = (unit.pts().0, unit.dts.0, unit.payload.len());
            let hash = adler32(&unit.payload);
            let key = if random_access { "K" } else { "_" };
            (index_of(unit), format!("{pts} {dts} {size} {hash:08x} {key}"))
        })
        .collect();
    lines.sort_by_key(|(index, _)| *index);
    lines.into_iter().map(|(index, line)| format!("{index} {line}")).collect()
}

fn assert_table(stream: &[u8], expected: &str) {
    let (out, demuxer) = demux(stream);
    let table = table(&out, &demuxer);
    for (number, (found, expected)) in table.iter().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "packet {number}");
    }
    assert_eq!(table.len(), expected.lines().count());
    let counters = demuxer.counters();
    assert_eq!(counters.units, table.len() as u64);
    assert_eq!((counters.units_damaged, counters.continuity_errors), (0, 0));
    assert_eq!((counters.time_jumps, counters.times_corrected), (0, 0));
}

#[test]
fn h264_and_aac_come_out_as_ffprobe_sees_them() {
    assert_table(H264_AAC, include_str!("data/h264_aac.packets"));
}

#[test]
fn hevc_and_ac3_come_out_as_ffprobe_sees_them() {
    assert_table(HEVC_AC3, include_str!("data/hevc_ac3.packets"));
}

#[test]
fn mp2_opus_eac3_mp3_and_latm_come_out_as_ffprobe_sees_them() {
    assert_table(AUDIOS, include_str!("data/audios.packets"));
}

#[test]
fn tracks_programs_and_services_are_described() {
    let (out, demuxer) = demux(H264_AAC);
    let program = demuxer.program().expect("found");
    assert_eq!((program.program_number, program.pmt_pid), (1, Pid::new(0x1000)));
    assert_eq!(program.pcr_pid, Pid::new(0x100));
    let formats: Vec<_> = program.streams.iter().map(|stream| stream.format).collect();
    assert_eq!(formats, [EsFormat::H264, EsFormat::AacAdts]);
    assert_eq!(program.streams[1].language, "deu");
    let service = demuxer.tables().service(1).expect("in the SDT");
    assert_eq!((service.name.as_str(), service.provider.as_str()), ("Kanal Eins", "Corelay"));
    let tracks: Vec<_> = events(&out)
        .filter_map(|event| match event {
            Event::Track { track, pid, .. } => Some((track.kind, track.index, pid.value())),
            _ => None,
        })
        .collect();
    assert_eq!(tracks, [(TrackKind::Video, 0, 0x100), (TrackKind::Audio, 0, 0x101)]);
}

#[test]
fn configuration_records_come_before_the_first_frame_and_are_readable() {
    for (stream, codecs) in [
        (H264_AAC, &[CodecId::H264, CodecId::Aac][..]),
        (HEVC_AC3, &[CodecId::H265]),
        (AUDIOS, &[CodecId::Aac, CodecId::Opus]),
    ] {
        let (out, _) = demux(stream);
        let mut configured = Vec::new();
        for unit in units(&out) {
            match unit.kind {
                UnitKind::Config => {
                    let info = codec::track_info(unit).expect("a record");
                    let is_picture = unit.track.kind == TrackKind::Video;
                    assert_eq!(is_picture, (info.width, info.height) == (160, 90));
                    assert_eq!(is_picture, info.sample_rate_hz == 0);
                    configured.push((unit.track, unit.codec));
                }
                _ => {
                    let needs_config = unit.codec.row().from_config.is_some();
                    let has_config = configured.contains(&(unit.track, unit.codec));
                    assert_eq!(has_config, needs_config, "{:?}", unit.codec);
                }
            }
        }
        let mut found: Vec<_> = configured.iter().map(|(_, codec)| *codec).collect();
        found.sort();
        assert_eq!(found, codecs, "each once");
    }
}

#[test]
fn what_flv_cannot_carry_is_told_by_the_codec() {
    let (out, _) = demux(AUDIOS);
    let mut codecs: Vec<_> = units(&out).map(|unit| (unit.track.index, unit.codec)).collect();
    codecs.sort();
    codecs.dedup();
    let expected =
        [CodecId::Mp2, CodecId::Opus, CodecId::Eac3, CodecId::Mp3, CodecId::Aac].into_iter();
    assert_eq!(codecs, (0..).zip(expected).collect::<Vec<_>>());
    assert!(!CodecId::Mp2.fits_flv() && CodecId::Eac3.fits_flv() && CodecId::Mp3.fits_flv());
}

#[test]
fn wanted_languages_come_first_and_unwanted_pids_not_at_all() {
    let audio_languages = vec!["eng".to_owned(), "fra".to_owned()];
    let (_, demuxer) = demux_with(AUDIOS, Settings { audio_languages, ..Settings::default() });
    let pids: Vec<_> = demuxer.tracks().map(|(track, pid)| (track.index, pid.value())).collect();
    assert_eq!(pids, [(0, 0x101), (1, 0x100), (2, 0x102), (3, 0x103), (4, 0x104)]);
    let pids = vec![Pid::new(0x102)];
    let (out, demuxer) = demux_with(AUDIOS, Settings { pids, ..Settings::default() });
    assert_eq!(demuxer.tracks().count(), 1);
    assert!(units(&out).all(|unit| unit.codec == CodecId::Eac3 && unit.track.index == 0));
    let (out, demuxer) =
        demux_with(AUDIOS, Settings { program_number: Some(7), ..Settings::default() });
    assert!(demuxer.program().is_none() && units(&out).next().is_none());
}

/// The same units whatever way the bytes take: in pieces of any size, with parity behind each
/// packet, with null packets and packets of other programs between.
#[test]
fn the_way_of_the_bytes_does_not_change_the_units() {
    for stream in [H264_AAC, HEVC_AC3, AUDIOS] {
        let expected: Vec<_> = units(&demux(stream).0).cloned().collect();
        let parity: Vec<u8> = stream
            .chunks(PACKET_SIZE)
            .flat_map(|packet| packet.iter().copied().chain([0x47; 16]))
            .collect();
        for bytes in [stream, &parity] {
            for size in [1, 7, 188, 1000, 4096, bytes.len()] {
                let mut aligner = Aligner::default();
                let mut demuxer = Demuxer::default();
                let mut out = Vec::new();
                for piece in bytes.chunks(size) {
                    let piece = Bytes::copy_from_slice(piece);
                    aligner.push(piece, |block| demuxer.push(&block, &mut out));
                }
                demuxer.finish(&mut out);
                let found: Vec<_> = units(&out).cloned().collect();
                assert!(found == expected, "pieces of {size}");
            }
        }
        let mut null = [0xFF; PACKET_SIZE];
        null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
        let mut other = null;
        other[1..3].copy_from_slice(&[0x47, 0x77]);
        let mixed: Vec<u8> = stream
            .chunks(PACKET_SIZE)
            .flat_map(|packet| [packet, &null, &other].concat())
            .collect();
        let found: Vec<_> = units(&demux(&mixed).0).cloned().collect();
        assert!(found == expected);
    }
}

#[test]
fn packets_sent_twice_change_nothing() {
    let expected: Vec<_> = units(&demux(H264_AAC).0).cloned().collect();
    let doubled: Vec<u8> =
        H264_AAC.chunks(PACKET_SIZE).flat_map(|packet| packet.repeat(2)).collect();
    let (out, demuxer) = demux(&doubled);
    assert!(units(&out).cloned().collect::<Vec<_>>() == expected);
    assert_eq!(demuxer.counters().continuity_errors, 0);
    let tripled: Vec<u8> =
        H264_AAC.chunks(PACKET_SIZE).flat_map(|packet| packet.repeat(3)).collect();
    assert!(demux(&tripled).1.counters().continuity_errors > 0);
}

/// Each lost packet is one continuity error of its PID, costs at most the units of its PES packet
/// (ffmpeg puts 20 AAC frames in one) and the one beside it, and leaves all others as they were.
#[test]
fn a_lost_packet_costs_the_units_around_it_only() {
    for stream in [H264_AAC, HEVC_AC3] {
        let all: Vec<_> = units(&demux(stream).0).cloned().collect();
        let packets: Vec<_> = stream.chunks(PACKET_SIZE).flat_map(Packet::parse).collect();
        for (lost, packet) in packets.iter().enumerate() {
            let mut damaged = stream.to_vec();
            damaged.drain(lost * PACKET_SIZE..(lost + 1) * PACKET_SIZE);
            let (out, demuxer) = demux(&damaged);
            let found: Vec<_> = units(&out).cloned().collect();
            // Without the first picture's parameter sets there is none up to the next ones.
            if lost > 20 && [0x100, 0x101].contains(&packet.pid().value()) {
                let missing = all.len() - found.len();
                assert!(missing <= 21, "packet {lost}: {missing} units are missing");
                let of_pid =
                    |others: &[Packet<'_>]| others.iter().any(|other| other.pid() == packet.pid());
                let is_seen = of_pid(&packets[..lost]) && of_pid(&packets[lost + 1..]);
                let counted = demuxer.counters().continuity_errors;
                assert_eq!(counted, u64::from(is_seen), "packet {lost}");
                let is_sent = |unit| all.contains(unit);
                assert!(!is_seen || found.iter().all(is_sent), "packet {lost}");
            }
        }
    }
}

#[test]
fn every_flip_of_a_bit_is_survived_and_tables_are_never_believed_wrongly() {
    let (expected, _) = demux(H264_AAC);
    let expected_units = units(&expected).count();
    // The first 12 packets hold SDT, PAT, PMT and the starts of both tracks.
    for bit in (0..12 * PACKET_SIZE * 8).step_by(if cfg!(debug_assertions) { 3 } else { 1 }) {
        let mut damaged = H264_AAC[..40 * PACKET_SIZE].to_vec();
        damaged[bit / 8] ^= 0x80 >> (bit % 8);
        let (out, demuxer) = demux(&damaged);
        assert!(units(&out).count() <= expected_units);
        if let Some(program) = demuxer.program() {
            assert_eq!(program.program_number, 1);
            assert_eq!(program.streams.len(), 2);
        }
    }
}
