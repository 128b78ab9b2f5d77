//! Units into a transport stream and back: what comes out is what went in.

use bytes::Bytes;
use corelay_codecs::codec::{aac::AudioSpecificConfig, h264::ConfigurationRecord};
use corelay_codecs::container::flv::demux as flv;
use corelay_codecs::container::mpegts::analysis::{self, Analyser};
use corelay_codecs::container::mpegts::demux::{self, Demuxer, Output};
use corelay_codecs::container::mpegts::mux::{self, Muxer};
use corelay_codecs::{AccessUnit, TrackId, TsBlock, UnitKind};

/// The units of the clip: see data/h264_aac.txt.
fn clip() -> Vec<AccessUnit> {
    let mut demuxer = flv::Demuxer::new(1 << 20);
    demuxer.push(include_bytes!("data/h264_aac.flv"));
    let mut units = Vec::new();
    while let Some(tag) = demuxer.next_tag().expect("a good file") {
        let time = i64::from(tag.timestamp_ms);
        units.extend(flv::parse_tag(tag.tag_type, time, tag.body).expect("a good tag"));
    }
    units
}

fn muxed(units: &[AccessUnit], settings: mux::Settings) -> Vec<u8> {
    let mut muxer = Muxer::new(settings);
    let mut out = Vec::new();
    for unit in units {
        let refused = muxer.write(unit, &mut out).refused;
        assert!(refused.is_none() || refused == Some(mux::NotCarried::Data));
    }
    muxer.flush(&mut out);
    out
}

fn demuxed(bytes: Vec<u8>) -> Vec<AccessUnit> {
    let mut demuxer = Demuxer::new(demux::Settings::default());
    let mut out = Vec::new();
    demuxer.push(&TsBlock::new(Bytes::from(bytes)).expect("whole packets"), &mut out);
    demuxer.finish(&mut out);
    let unit = |output| match output {
        Output::Unit(unit) => Some(unit),
        Output::Event(_) => None,
    };
    out.into_iter().filter_map(unit).collect()
}

fn frames(units: &[AccessUnit], track: TrackId) -> Vec<&AccessUnit> {
    let is_frame = |unit: &&AccessUnit| matches!(unit.kind, UnitKind::Frame { .. });
    units.iter().filter(|unit| unit.track == track).filter(is_frame).collect()
}

fn config(units: &[AccessUnit], track: TrackId) -> &[u8] {
    let is_config = |unit: &&AccessUnit| unit.track == track && unit.kind == UnitKind::Config;
    &units.iter().find(is_config).expect("a configuration record").payload
}

#[test]
fn every_frame_comes_back_with_its_bytes_times_and_flags() {
    for audio_bundle_ms in [0, 50, 100] {
        let settings = mux::Settings { audio_bundle_ms, ..mux::Settings::default() };
        let before = clip();
        let after = demuxed(muxed(&before, settings));
        for track in [TrackId::VIDEO, TrackId::AUDIO] {
            let (before, after) = (frames(&before, track), frames(&after, track));
            assert_eq!(before.len(), after.len());
            assert!(!before.is_empty());
            for (before, after) in before.into_iter().zip(after) {
                assert_eq!(before.payload, after.payload);
                assert_eq!((before.kind, before.codec), (after.kind, after.codec));
                assert_eq!(before.pts_offset, after.pts_offset);
                // FLV's times are rounded to milliseconds; the frames of a bundle follow the first
                // one at their true distance.
                let shift = after.dts - before.dts - 90_000;
                let limit = if track == TrackId::AUDIO { 90 } else { 0 };
                assert!(shift.abs() <= limit, "{track:?}: {shift}");
            }
        }
        let [before_avcc, after_avcc] = [&before, &after]
            .map(|units| ConfigurationRecord::parse(config(units, TrackId::VIDEO)).expect("avcC"));
        assert_eq!((before_avcc.sps, before_avcc.pps), (after_avcc.sps, after_avcc.pps));
        let [before_aac, after_aac] = [&before, &after].map(|units| {
            AudioSpecificConfig::parse(config(units, TrackId::AUDIO)).expect("readable")
        });
        assert_eq!(before_aac, after_aac);
    }
}

#[test]
fn the_analyser_finds_nothing_wrong_with_what_the_muxer_wrote() {
    // The clip again and again, as a stream that goes on for a minute.
    let mut units = Vec::new();
    for round in 0..300 {
        let clip = clip().into_iter().filter(|unit| round == 0 || unit.kind != UnitKind::Config);
        units.extend(clip.map(|mut unit| {
            unit.dts = unit.dts + round * 200 * 90;
            unit
        }));
    }
    let settings =
        analysis::Settings { time: analysis::TimeSource::Pcr, ..analysis::Settings::default() };
    let mut analyser = Analyser::new(settings);
    for block in muxed(&units, mux::Settings::default()).chunks(7 * 188) {
        analyser.packets(block, 0);
    }
    let snapshot = analyser.snapshot();
    for alarm in snapshot.alarms {
        assert_eq!(alarm.errors, 0, "{}", alarm.indicator.name());
    }
    assert!(snapshot.at_us > 58_000_000, "{}", snapshot.at_us);
    assert!(snapshot.pat_interval_max_us <= 140_000);
    assert!(snapshot.pcr.is_some_and(|pcr| pcr.interval_max_us <= 40_000));
}
