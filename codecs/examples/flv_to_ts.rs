//! Turns an FLV file into a transport stream: `cargo run --example flv_to_ts -- in.flv out.ts`.
//! Prints what was carried, how, and the overhead of the container.

use std::process::ExitCode;

use corelay_codecs::UnitKind;
use corelay_codecs::container::flv::demux::{Demuxer, parse_tag};
use corelay_codecs::container::mpegts::mux::{Muxer, Settings};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (input, output) = match arguments.as_slice() {
        [input, output] | [input, output, _] => (input, output),
        _ => {
            eprintln!("usage: flv_to_ts IN.flv OUT.ts [audio_bundle_ms]");
            return ExitCode::FAILURE;
        }
    };
    let bundle_ms = arguments.get(2).and_then(|value| value.parse().ok()).unwrap_or(50);
    match convert(input, output, bundle_ms) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn convert(input: &str, output: &str, bundle_ms: u32) -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings {
        service_name: input.to_owned(),
        audio_bundle_ms: bundle_ms,
        ..Settings::default()
    };
    settings.check()?;
    let mut demuxer = Demuxer::new(16 << 20);
    demuxer.push(&std::fs::read(input)?);
    let mut muxer = Muxer::new(settings);
    let mut out = Vec::new();
    let mut payload_bytes = 0;
    while let Some(tag) = demuxer.next_tag()? {
        for unit in parse_tag(tag.tag_type, i64::from(tag.timestamp_ms), tag.body)? {
            let written = muxer.write(&unit, &mut out);
            match (written.refused, unit.kind) {
                (Some(reason), UnitKind::Frame { .. } | UnitKind::Config) => {
                    eprintln!("{:?} at {} ms: {reason}", unit.track, unit.dts.as_millis());
                }
                (None, UnitKind::Frame { .. }) => payload_bytes += unit.payload.len(),
                _ => {}
            }
        }
    }
    muxer.flush(&mut out);
    std::fs::write(output, &out)?;
    for track in muxer.tracks() {
        println!("{:?} {}: {:?}", track.id, track.codec.name(), track.carriage);
    }
    println!("{:?}", muxer.stats());
    let overhead = out.len() as f64 / payload_bytes as f64 - 1.0;
    println!(
        "{payload_bytes} bytes of frames, {} of packets: {:.2} %",
        out.len(),
        overhead * 100.0
    );
    Ok(())
}
