//! Turns an FLV file or a transport stream into fragmented MP4:
//! `cargo run --example to_fmp4 -- in.flv out.mp4`. A fragment begins at every picture at which
//! decoding may start, or after a second of sound. Prints what a playlist would call the tracks,
//! and the overhead of the container.

use std::collections::BTreeMap;
use std::process::ExitCode;

use corelay_codecs::codec::{rfc6381, track_info};
use corelay_codecs::container::flv::{self, demux::parse_tag};
use corelay_codecs::container::fmp4::{self, Sample, Track, fragment, init_segment};
use corelay_codecs::container::mpegts;
use corelay_codecs::{AccessUnit, TrackId, TrackInfo, TrackKind, TsBlock, UnitKind};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        eprintln!("usage: to_fmp4 IN.flv|IN.ts OUT.mp4");
        return ExitCode::FAILURE;
    };
    match convert(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn convert(input: &str, output: &str) -> Result<(), Failure> {
    let tracks = read(input)?;
    for (track, _) in &tracks {
        let name = rfc6381(&track.info, &track.config);
        println!("{}: {} {name:?} {:?}", track.id, track.codec.name(), track.info);
    }
    let about: Vec<_> = tracks.iter().map(|(track, _)| track.clone()).collect();
    let mut out = init_segment(&about)?.to_vec();
    let mut at = vec![0; tracks.len()];
    for (sequence, end) in (1..).zip(cuts(&tracks)) {
        let mut runs = Vec::new();
        for ((track, samples), start) in tracks.iter().zip(&mut at) {
            let rest = &samples[*start..];
            let count = rest.partition_point(|sample| sample.dts.0 < end);
            *start += count;
            runs.push((track.id, &rest[..count]));
        }
        out.extend(fragment(sequence, &runs)?.to_vec());
    }
    let samples = tracks.iter().flat_map(|(_, samples)| samples);
    let payload_bytes: usize = samples.map(|sample| sample.payload.len()).sum();
    let overhead = out.len() as f64 / payload_bytes.max(1) as f64 - 1.0;
    println!("{payload_bytes} bytes of frames, {} of file: {:.2} %", out.len(), overhead * 100.0);
    Ok(std::fs::write(output, out)?)
}

/// The tracks with all their samples. A frame lasts until the next one of its track, the last one
/// as long as the one before it.
fn read(input: &str) -> Result<Vec<(Track, Vec<Sample>)>, Failure> {
    let bytes = std::fs::read(input)?;
    let units = match bytes.starts_with(b"FLV") {
        true => units_of_flv(&bytes)?,
        false => units_of_transport_stream(bytes)?,
    };
    let mut tracks = BTreeMap::<TrackId, (Track, Vec<Sample>)>::new();
    for unit in units.iter().filter(|unit| fmp4::fits(unit.codec)) {
        let id = tracks.len() as u32 + 1;
        add(tracks.entry(unit.track).or_insert_with(|| new_track(id, unit)), unit);
    }
    Ok(tracks.into_values().collect())
}

fn units_of_flv(bytes: &[u8]) -> Result<Vec<AccessUnit>, Failure> {
    let mut demuxer = flv::demux::Demuxer::new(16 << 20);
    demuxer.push(bytes);
    let mut units = Vec::new();
    while let Some(tag) = demuxer.next_tag()? {
        units.extend(parse_tag(tag.tag_type, i64::from(tag.timestamp_ms), tag.body)?);
    }
    Ok(units)
}

fn units_of_transport_stream(bytes: Vec<u8>) -> Result<Vec<AccessUnit>, Failure> {
    let mut demuxer = mpegts::demux::Demuxer::new(mpegts::demux::Settings::default());
    let mut out = Vec::new();
    demuxer.push(&TsBlock::new(bytes.into())?, &mut out);
    demuxer.finish(&mut out);
    let units = out.into_iter().filter_map(|output| match output {
        mpegts::demux::Output::Unit(unit) => Some(unit),
        mpegts::demux::Output::Event(_) => None,
    });
    Ok(units.collect())
}

fn new_track(id: u32, unit: &AccessUnit) -> (Track, Vec<Sample>) {
    let info = TrackInfo { codec: unit.codec, ..TrackInfo::default() };
    let (config, first_frame) = Default::default();
    let language = String::new();
    let protection = None;
    (Track { id, codec: unit.codec, info, config, first_frame, language, protection }, Vec::new())
}

fn add((track, samples): &mut (Track, Vec<Sample>), unit: &AccessUnit) {
    if let Some(info) = track_info(unit) {
        track.info.update(info);
    }
    match unit.kind {
        UnitKind::Config => track.config = unit.payload.clone(),
        UnitKind::Frame { .. } => {
            let mut sample = Sample::of(unit, 0);
            match samples.last_mut() {
                Some(last) => {
                    last.duration = u32::try_from(sample.dts - last.dts).unwrap_or(0);
                    sample.duration = last.duration;
                }
                None => track.first_frame = unit.payload.clone(),
            }
            samples.push(sample);
        }
        _ => {}
    }
}

/// Times at which a fragment ends.
fn cuts(tracks: &[(Track, Vec<Sample>)]) -> Vec<i64> {
    let video = tracks.iter().find(|(track, _)| track.codec.kind() == TrackKind::Video);
    let samples = video.or(tracks.first()).map_or(&[][..], |(_, samples)| samples);
    let mut cuts = Vec::new();
    let mut start = samples.first().map_or(0, |sample| sample.dts.0);
    for sample in samples.iter().skip(1).filter(|sample| sample.random_access) {
        if video.is_some() || sample.dts.0 - start >= i64::from(fmp4::TIMESCALE_HZ) {
            start = sample.dts.0;
            cuts.push(start);
        }
    }
    cuts.push(i64::MAX);
    cuts
}
