//! From a headend's transport stream to FLV: which tracks there are, what they look like there, in
//! which order they come, and what stays behind.

use bytes::Bytes;
use corelay_codecs::container::flv::{self, TagType};
use corelay_codecs::container::mpegts::demux::{
    Demuxer, Interleaver, InterleaverCounters, InterleaverSettings, Output, Settings,
};
use corelay_codecs::container::mpegts::psi::EsFormat;
use corelay_codecs::{AccessUnit, CodecId, TrackId, TrackKind, TsBlock, UnitKind};
use headend::{Headend, Role, Sound};

#[allow(dead_code, unreachable_pub)] // Other test programs use other parts of it.
#[path = "../../engine/tests/support/headend.rs"]
mod headend;

fn of_sounds(sounds: &[Sound]) -> Headend {
    Headend::new(headend::Settings { sounds: sounds.to_vec(), ..headend::Settings::default() })
}

fn demux(stream: Vec<u8>, settings: Settings) -> (Vec<Output>, Demuxer) {
    let mut demuxer = Demuxer::new(settings);
    let mut out = Vec::new();
    demuxer.push(&TsBlock::new(Bytes::from(stream)).expect("whole packets"), &mut out);
    demuxer.finish(&mut out);
    (out, demuxer)
}

fn units(out: Vec<Output>) -> Vec<AccessUnit> {
    let unit = |output| match output {
        Output::Unit(unit) => Some(unit),
        Output::Event(_) => None,
    };
    out.into_iter().filter_map(unit).collect()
}

fn body(unit: &AccessUnit) -> Option<Vec<u8>> {
    let body = flv::mux::tag_body(unit)?;
    Some([&body.header[..], &body.payload].concat())
}

/// What an Enhanced RTMP v2 reader sees of a multitrack body: its own reading of the specification
/// (ExAudioTagHeader, ExVideoTagHeader), which shares nothing with the writer.
#[derive(Debug, PartialEq, Eq)]
struct Multitrack<'a> {
    packet_type: u8,
    fourcc: &'a [u8],
    track_id: u8,
    /// SI24 of the codecs that have one.
    composition_time: Option<i32>,
    data: &'a [u8],
}

fn read_multitrack(kind: TrackKind, body: &[u8]) -> Option<Multitrack<'_>> {
    let (&first, rest) = body.split_first()?;
    match kind {
        // SoundFormat ExHeader, AudioPacketType Multitrack.
        TrackKind::Audio if first == 9 << 4 | 5 => {}
        // isExVideoHeader, any frame type, VideoPacketType Multitrack.
        TrackKind::Video if first & 0x8F == 0x86 => {}
        _ => return None,
    }
    let (&types, rest) = rest.split_first()?;
    assert_eq!(types >> 4, 0, "AvMultitrackType.OneTrack");
    let packet_type = types & 0x0F;
    let (fourcc, rest) = rest.split_at(4);
    let (&track_id, data) = rest.split_first()?;
    let has_time = kind == TrackKind::Video
        && packet_type == 1
        && [b"avc1", b"hvc1"].iter().any(|name| *name == fourcc);
    let (composition_time, data) = match has_time {
        true => {
            let (time, data) = data.split_at(3);
            (Some(i32::from_be_bytes([time[0], time[1], time[2], 0]) >> 8), data)
        }
        false => (None, data),
    };
    Some(Multitrack { packet_type, fourcc, track_id, composition_time, data })
}

#[test]
fn the_first_sound_is_the_plain_track_and_the_others_are_multitrack() {
    let (out, _) = demux(of_sounds(&[Sound::Aac; 3]).next_ms(3_000), Settings::default());
    let mut frames = [0; 3];
    for unit in units(out).iter().filter(|unit| unit.track.kind == TrackKind::Audio) {
        let body = body(unit).expect("FLV carries AAC");
        let is_config = unit.kind == UnitKind::Config;
        let index = unit.track.index;
        if index == 0 {
            assert_eq!(body[..2], [0xAF, u8::from(!is_config)]);
            assert_eq!(body[2..], unit.payload);
        } else {
            let expected = Multitrack {
                packet_type: u8::from(!is_config),
                fourcc: b"mp4a",
                track_id: index,
                composition_time: None,
                data: &unit.payload,
            };
            assert_eq!(read_multitrack(TrackKind::Audio, &body), Some(expected));
        }
        frames[usize::from(index)] += u32::from(!is_config);
    }
    assert!(frames.iter().all(|&count| count > 100), "{frames:?}");
}

/// Every coding that a transport stream of ours brings, as plain and as further track: the writer
/// and the reader of Enhanced RTMP agree with the reading above.
#[test]
fn every_codec_travels_in_flv_as_plain_and_as_further_track_or_says_that_it_cannot() {
    let samples: [&[u8]; 3] = [
        include_bytes!("data/h264_aac.ts"),
        include_bytes!("data/hevc_ac3.ts"),
        include_bytes!("data/audios.ts"),
    ];
    let mut all = Vec::new();
    for sample in samples {
        all.extend(units(demux(sample.to_vec(), Settings::default()).0));
    }
    // There is no AV1 among them.
    let av1 = AccessUnit { codec: CodecId::Av1, pts_offset: 0, ..all[1].clone() };
    all.push(av1);
    let mut seen = Vec::new();
    for mut unit in all {
        seen.push(unit.codec);
        for index in [0, 1, 255] {
            unit.track.index = index;
            let Some(body) = body(&unit) else {
                assert!(!unit.codec.fits_flv(), "{:?}", unit.codec);
                continue;
            };
            assert!(unit.codec.fits_flv());
            let kind = unit.track.kind;
            let multitrack = read_multitrack(kind, &body);
            assert_eq!(multitrack.is_some(), index != 0);
            if let Some(found) = multitrack {
                let is_frame = matches!(unit.kind, UnitKind::Frame { .. });
                let offset_ms = unit.pts().as_millis() - unit.dts.as_millis();
                assert_eq!(found.packet_type != 0, is_frame);
                assert_eq!(found.fourcc, unit.codec.row().fourcc.expect("known"));
                assert_eq!(found.track_id, index);
                let time = found.composition_time.unwrap_or(0);
                assert_eq!(i64::from(time), if is_frame { offset_ms } else { 0 });
                assert_eq!(found.data, unit.payload);
            }
            let time = unit.dts.as_millis();
            let back = flv::demux::parse_tag(kind.into(), time, Bytes::from(body)).expect("ours");
            assert_eq!((back.len(), back[0].track, back[0].codec), (1, unit.track, unit.codec));
            assert_eq!((back[0].kind, &back[0].payload), (unit.kind, &unit.payload));
        }
    }
    for codec in [
        CodecId::H264,
        CodecId::H265,
        CodecId::Av1,
        CodecId::Aac,
        CodecId::Ac3,
        CodecId::Eac3,
        CodecId::Opus,
        CodecId::Mp3,
        CodecId::Mp2,
    ] {
        assert!(seen.contains(&codec), "no {codec:?}");
    }
}

/// A whole FLV stream of a headend: what a reader gets of it are the demultiplexer's units.
#[test]
fn tracks_come_back_out_of_flv_apart_from_each_other() {
    let (out, _) =
        demux(of_sounds(&[Sound::Aac, Sound::Mp2, Sound::Aac]).next_ms(3_000), Settings::default());
    let before = units(out);
    let mut file = flv::header::file_header(true, true).to_vec();
    for unit in &before {
        if let Some(body) = flv::mux::tag_body(unit) {
            let time = unit.dts.as_millis() as u32;
            flv::mux::write_tag(body.tag_type, time, &body.header, &body.payload, &mut file);
        }
    }
    let mut reader = flv::demux::Demuxer::new(1 << 20);
    reader.push(&file);
    let mut after = Vec::new();
    while let Some(tag) = reader.next_tag().expect("our own file") {
        assert_ne!(tag.tag_type, TagType::Script);
        after.extend(
            flv::demux::parse_tag(tag.tag_type, tag.timestamp_ms.into(), tag.body).expect("ours"),
        );
    }
    let carried = before.iter().filter(|unit| unit.codec != CodecId::Mp2);
    let carried: Vec<_> = carried.collect();
    assert_eq!(after.len(), carried.len());
    for (after, before) in after.iter().zip(carried) {
        assert_eq!((after.track, after.kind), (before.track, before.kind));
        assert_eq!((after.codec, &after.payload), (before.codec, &before.payload));
        assert_eq!(after.dts.as_millis(), i64::from(before.dts.as_millis() as u32));
        assert_eq!(after.pts_offset, before.pts_offset);
    }
}

#[test]
fn what_stays_behind_is_listed_with_language_and_reason() {
    let headend = &mut of_sounds(&[Sound::Aac, Sound::Mp2]);
    let (_, demuxer) = demux(headend.next_ms(2_000), Settings::default());
    let listed: Vec<_> = demuxer.not_carried().iter().collect();
    let expected = [
        (Role::Teletext, EsFormat::Teletext, "eng"),
        (Role::Subtitles, EsFormat::DvbSubtitles, "eng"),
        (Role::Cues, EsFormat::Scte35, ""),
        (Role::Sections, EsFormat::Sections, ""),
        (Role::Private, EsFormat::PrivatePes, ""),
    ];
    assert_eq!(listed.len(), expected.len());
    for (listed, (role, format, language)) in listed.into_iter().zip(expected) {
        assert_eq!((listed.pid.value(), listed.format), (headend.pid(role), format));
        assert_eq!(listed.language, language);
        assert_eq!(listed.reason.text(), "neither pictures nor sound");
    }
    let states: Vec<_> = demuxer.track_states().collect();
    let codecs: Vec<_> = states.iter().map(|track| (track.codec, track.language)).collect();
    assert_eq!(codecs, [(CodecId::H264, ""), (CodecId::Aac, "eng"), (CodecId::Mp2, "deu")]);
    let gaps: Vec<_> = states.iter().map(|track| track.not_in_flv().is_some()).collect();
    assert_eq!(gaps, [false, false, true], "MP2 alone has no form in FLV");
    assert!(states.iter().all(|track| track.has_units && !track.is_scrambled));
}

#[test]
fn the_list_follows_the_program_and_its_end() {
    let chosen = Settings { pids: vec![], tracks_max: 1, ..Settings::default() };
    let mut headend = of_sounds(&[Sound::Aac; 8]);
    let (_, mut demuxer) = demux(headend.next_ms(300), chosen);
    let reasons = |demuxer: &Demuxer| {
        let texts = demuxer.not_carried().iter().map(|listed| listed.reason.text());
        texts.filter(|text| text.starts_with("more tracks")).count()
    };
    assert_eq!((reasons(&demuxer), demuxer.not_carried().len()), (7, 12));
    // The PMT says something else; the list is that of the new one.
    let other = headend::Settings { seed: 1, sounds: vec![Sound::Aac], ..Default::default() };
    let mut out = Vec::new();
    let block = TsBlock::new(Bytes::from(Headend::new(other).next_ms(300))).expect("packets");
    demuxer.push(&block, &mut out);
    assert_eq!((reasons(&demuxer), demuxer.not_carried().len()), (0, 5));
    // Another program takes the place of this one.
    let other = headend::Settings { seed: 2, program_number: 7, ..Default::default() };
    // A clock and the PAT.
    let packets = Headend::new(other).next_packets(2);
    let block = TsBlock::new(Bytes::from(packets)).expect("packets");
    demuxer.push(&block, &mut out);
    assert_eq!(demuxer.not_carried(), []);
    assert_eq!(demuxer.track_states().count(), 0);
}

#[test]
fn a_bridge_may_have_sound_that_players_know_in_front() {
    let sounds = [Sound::Mp2, Sound::Aac, Sound::Aac];
    let codecs = |settings| {
        let (_, demuxer) = demux(of_sounds(&sounds).next_ms(500), settings);
        let audio = |track: &TrackId| track.kind == TrackKind::Audio;
        let states: Vec<_> = demuxer.track_states().collect();
        let mut states: Vec<_> = states.into_iter().filter(|state| audio(&state.id)).collect();
        states.sort_by_key(|state| state.id);
        states.iter().map(|state| (state.codec, state.language.to_owned())).collect::<Vec<_>>()
    };
    let track = |codec, language: &str| (codec, language.to_owned());
    let [eng, deu, fra] =
        [track(CodecId::Mp2, "eng"), track(CodecId::Aac, "deu"), track(CodecId::Aac, "fra")];
    let plain = Settings::default();
    assert_eq!(codecs(plain.clone()), [eng.clone(), deu.clone(), fra.clone()]);
    let bridge = Settings { flv_audio_first: true, ..plain };
    assert_eq!(codecs(bridge.clone()), [deu.clone(), fra.clone(), eng.clone()]);
    let audio_languages = vec!["eng".to_owned(), "fra".to_owned()];
    let wanted = Settings { audio_languages, ..bridge.clone() };
    assert_eq!(codecs(wanted), [fra, deu, eng]);
    // MP2, Opus, E-AC-3, MP3 (announced as MPEG audio) and AAC in LATM.
    let (out, _) = demux(include_bytes!("data/audios.ts").to_vec(), bridge);
    let units = units(out);
    let codec = |index| {
        let unit = units.iter().find(|unit| unit.track.index == index).expect("a unit");
        unit.codec
    };
    let expected = [CodecId::Aac, CodecId::Opus, CodecId::Eac3, CodecId::Mp2, CodecId::Mp3];
    assert_eq!([0, 1, 2, 3, 4].map(codec), expected);
}

/// The headend sends pictures 300 ms earlier than the sound that belongs to them.
#[test]
fn units_leave_in_the_order_of_their_times_and_wait_no_longer_than_the_multiplex_is_wide() {
    let mut headend = of_sounds(&[Sound::Aac, Sound::Mp2, Sound::Aac]);
    let mut demuxer = Demuxer::default();
    let mut interleaver = Interleaver::new(InterleaverSettings::default());
    let (mut found, mut out, mut given) = (Vec::new(), Vec::new(), 0);
    let (mut last, mut held_us_max, mut jumps) = (i64::MIN, 0, 0);
    let mut arrivals = std::collections::HashMap::new();
    while headend.elapsed_us() < 20_000_000 {
        let now_us = headend.elapsed_us();
        let block = TsBlock::new(Bytes::from(headend.next_packets(7))).expect("packets");
        demuxer.push(&block, &mut found);
        for output in &found {
            let Output::Unit(unit) = output else { continue };
            jumps += i32::from(unit.dts.0 < last);
            last = unit.dts.0;
            arrivals.insert((unit.track, unit.kind, unit.dts), now_us);
        }
        interleaver.push(found.drain(..), now_us, &mut out);
        for unit in units(std::mem::take(&mut out)) {
            held_us_max = held_us_max.max(now_us - arrivals[&(unit.track, unit.kind, unit.dts)]);
            given += 1;
        }
    }
    assert!(jumps > 500, "else there is nothing to put in order");
    assert_eq!(interleaver.counters(), InterleaverCounters::default());
    assert!((250_000..420_000).contains(&held_us_max), "{held_us_max}");
    assert_eq!(given + interleaver.len(), arrivals.len());
}

#[test]
fn what_ffmpeg_muxed_comes_in_order_too() {
    for sample in [&include_bytes!("data/h264_aac.ts")[..], include_bytes!("data/hevc_ac3.ts")] {
        let (found, _) = demux(sample.to_vec(), Settings::default());
        let before = units(found.clone()).len();
        let mut interleaver = Interleaver::default();
        let mut out = Vec::new();
        interleaver.push(found, 0, &mut out);
        interleaver.flush(&mut out);
        let after = units(out);
        assert_eq!(after.len(), before);
        assert!(after.is_sorted_by_key(|unit| unit.dts));
    }
}
