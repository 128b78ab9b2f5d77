//! Transport streams that ffmpeg made, through fragmented MP4 and mp4-atom, against what ffprobe
//! says of them (tests/data/README.md).

use std::collections::BTreeMap;

use bytes::Bytes;
use corelay_codecs::codec::track_info;
use corelay_codecs::container::fmp4::{self, Sample, Track, fragment, init_segment};
use corelay_codecs::container::mpegts::demux::{Demuxer, Output, Settings};
use corelay_codecs::{AccessUnit, CodecId, TrackId, TrackInfo, TsBlock, UnitKind};
use mp4_atom::{Any, Codec, Decode as _, DecodeMaybe as _, Ftyp, Moov, Traf};

/// Ticks: as long as a part of low-latency HLS.
const FRAGMENT: i64 = 30_000;

/// A track, the index of its stream for ffprobe, and its samples.
struct Source {
    track: Track,
    stream: usize,
    samples: Vec<Sample>,
}

/// What fits of a transport stream. A frame lasts until the next one of its track.
fn sources(stream: &[u8]) -> Vec<Source> {
    let mut demuxer = Demuxer::new(Settings::default());
    let mut out = Vec::new();
    demuxer.push(&TsBlock::new(Bytes::copy_from_slice(stream)).expect("whole packets"), &mut out);
    demuxer.finish(&mut out);
    let streams = &demuxer.program().expect("a program").streams;
    let stream_of = |track: TrackId| {
        let (_, pid) = demuxer.tracks().find(|(known, _)| *known == track).expect("known");
        streams.iter().position(|stream| stream.pid == pid).expect("in the PMT")
    };
    let mut sources = BTreeMap::<TrackId, Source>::new();
    for output in out {
        let Output::Unit(unit) = output else { continue };
        if fmp4::fits(unit.codec) {
            let id = sources.len() as u32 + 1;
            let source = sources.entry(unit.track).or_insert_with(|| Source {
                track: Track {
                    id,
                    codec: unit.codec,
                    info: TrackInfo { codec: unit.codec, ..TrackInfo::default() },
                    config: Bytes::new(),
                    first_frame: Bytes::new(),
                    language: String::new(),
                    protection: None,
                },
                stream: stream_of(unit.track),
                samples: Vec::new(),
            });
            source.push(&unit);
        }
    }
    sources.into_values().collect()
}

impl Source {
    fn push(&mut self, unit: &AccessUnit) {
        if let Some(info) = track_info(unit) {
            self.track.info.update(info);
        }
        if unit.kind == UnitKind::Config {
            self.track.config = unit.payload.clone();
            return;
        }
        match self.samples.last_mut() {
            Some(last) => last.duration = u32::try_from(unit.dts - last.dts).expect("forward"),
            None => self.track.first_frame = unit.payload.clone(),
        }
        self.samples.push(Sample::of(unit, 1));
    }

    /// Takes the samples before a time.
    fn before(&mut self, end: i64) -> Vec<Sample> {
        let count = self.samples.partition_point(|sample| sample.dts.0 < end);
        self.samples.drain(..count).collect()
    }
}

/// All fragments of the sources behind each other.
fn fragments(mut sources: Vec<Source>) -> Vec<u8> {
    let mut file = Vec::new();
    for sequence in 1.. {
        let end = i64::from(sequence) * FRAGMENT;
        let taken: Vec<_> =
            sources.iter_mut().map(|source| (source.track.id, source.before(end))).collect();
        let runs: Vec<_> = taken.iter().map(|(id, samples)| (*id, &samples[..])).collect();
        file.extend(fragment(sequence as u32, &runs).expect("short").to_vec());
        if sources.iter().all(|source| source.samples.is_empty()) {
            break;
        }
    }
    file
}

/// The lines that ffprobe would write of each track_ID, without the stream index. Panics where the
/// decode times of neighbouring fragments leave a gap.
fn table(file: &[u8]) -> BTreeMap<u32, Vec<String>> {
    let mut lines = BTreeMap::<u32, Vec<String>>::new();
    let mut ends = BTreeMap::<u32, u64>::new();
    let (mut rest, mut start) = (file, 0);
    while let Some(read) = Any::decode_maybe(&mut rest).expect("readable") {
        match read {
            Any::Moof(moof) => {
                for traf in &moof.traf {
                    let id = traf.tfhd.track_id;
                    let (begin, end) = samples(traf, &file[start..], lines.entry(id).or_default());
                    assert!(ends.insert(id, end).is_none_or(|end| end == begin), "track {id}");
                }
            }
            Any::Mdat(_) => start = file.len() - rest.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rest, []);
    lines
}

/// The decode times at which the track's run begins and ends.
fn samples(traf: &Traf, fragment: &[u8], lines: &mut Vec<String>) -> (u64, u64) {
    let begin = traf.tfdt.as_ref().expect("told").base_media_decode_time;
    let mut dts = begin;
    for run in &traf.trun {
        let mut at = run.data_offset.expect("told") as usize;
        for entry in &run.entries {
            let size = entry.size.or(traf.tfhd.default_sample_size).expect("told") as usize;
            let flags = entry.flags.or(traf.tfhd.default_sample_flags).expect("told");
            let pts = dts as i64 + i64::from(entry.cts.unwrap_or(0));
            let hash = adler32(&fragment[at..at + size]);
            let key = if flags & 0x0001_0000 == 0 { "K" } else { "_" };
            lines.push(format!("{pts} {dts} {size} {hash:08x} {key}"));
            dts += u64::from(entry.duration.or(traf.tfhd.default_sample_duration).expect("told"));
            at += size;
        }
    }
    (begin, dts)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

fn assert_table(stream: &[u8], packets: &str, expected: &[(CodecId, usize)]) {
    let sources = sources(stream);
    let fitting: Vec<_> =
        sources.iter().map(|source| (source.track.codec, source.stream)).collect();
    assert_eq!(fitting, expected);
    let ids: Vec<_> = sources.iter().map(|source| source.track.id).collect();
    let table = table(&fragments(sources));
    for ((codec, stream), id) in expected.iter().zip(&ids) {
        let lines = &table[id];
        let prefix = format!("{stream} ");
        let packets: Vec<_> =
            packets.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        for (number, (found, expected)) in lines.iter().zip(&packets).enumerate() {
            assert_eq!(found, expected, "{codec:?} {number}");
        }
        assert_eq!(lines.len(), packets.len(), "{codec:?}");
    }
    assert_eq!(table.len(), expected.len());
}

#[test]
fn h264_and_aac_are_what_ffprobe_sees() {
    let expected = [(CodecId::H264, 0), (CodecId::Aac, 1)];
    let packets = include_str!("data/h264_aac.packets");
    assert_table(include_bytes!("data/h264_aac.ts"), packets, &expected);
}

#[test]
fn hevc_and_ac3_are_what_ffprobe_sees() {
    let expected = [(CodecId::H265, 0), (CodecId::Ac3, 1)];
    let packets = include_str!("data/hevc_ac3.packets");
    assert_table(include_bytes!("data/hevc_ac3.ts"), packets, &expected);
}

#[test]
fn opus_eac3_mp3_and_aac_are_what_ffprobe_sees_and_mp2_is_left_out() {
    let expected = [(CodecId::Opus, 1), (CodecId::Eac3, 2), (CodecId::Mp3, 3), (CodecId::Aac, 4)];
    let packets = include_str!("data/audios.packets");
    assert_table(include_bytes!("data/audios.ts"), packets, &expected);
}

#[test]
fn initialisation_segments_describe_the_tracks() {
    for stream in [
        &include_bytes!("data/h264_aac.ts")[..],
        include_bytes!("data/hevc_ac3.ts"),
        include_bytes!("data/audios.ts"),
    ] {
        let tracks = sources(stream).into_iter().map(|source| source.track);
        // mp4-atom wants a configuration of every mp4a; MP3 has none.
        let tracks: Vec<_> = tracks.filter(|track| track.codec != CodecId::Mp3).collect();
        let segment = init_segment(&tracks).expect("fits");
        let mut rest = &segment[..];
        Ftyp::decode(&mut rest).expect("readable");
        let movie = Moov::decode(&mut rest).expect("readable");
        assert_eq!(movie.trak.len(), tracks.len());
        for (track, read) in tracks.iter().zip(&movie.trak) {
            let codec = match read.mdia.minf.stbl.stsd.codecs.as_slice() {
                [Codec::Avc1(_)] => CodecId::H264,
                [Codec::Hvc1(_)] => CodecId::H265,
                [Codec::Mp4a(_)] => CodecId::Aac,
                [Codec::Ac3(_)] => CodecId::Ac3,
                [Codec::Eac3(_)] => CodecId::Eac3,
                [Codec::Opus(_)] => CodecId::Opus,
                other => panic!("{other:?}"),
            };
            assert_eq!((codec, read.tkhd.track_id), (track.codec, track.id));
        }
    }
}
