//! A day of a stream in a few seconds: units into a transport stream, out of it again, and onto the
//! timeline of the relay, over every wrap that there is.

use bytes::Bytes;
use corelay_codecs::container::flv::{self, demux::parse_tag};
use corelay_codecs::container::mpegts::demux::{self, Demuxer, Interleaver, Output};
use corelay_codecs::container::mpegts::mux::{self, Muxer};
use corelay_codecs::container::mpegts::timestamp::WRAP_TICKS;
use corelay_codecs::{AccessUnit, CodecId, FlvBody, Timestamp, TrackId, TsBlock, UnitKind};
use timeline::Timeline;

#[allow(dead_code, unreachable_pub)] // The relay uses more of it.
#[path = "../../engine/src/hub/timeline.rs"]
mod timeline;

const SECOND: i64 = 90_000;
const HOUR: i64 = 3_600;
/// 1,024 samples of 48 kHz.
const AUDIO_FRAME: i64 = 1_920;
/// Sound of a second is that much behind its picture.
const AUDIO_BEHIND: i64 = 12_345;

/// The configuration records of the sample.
fn configs() -> Vec<AccessUnit> {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    let sample = Bytes::from_static(include_bytes!("data/h264_aac.ts"));
    demuxer.push(&TsBlock::new(sample).expect("whole packets"), &mut out);
    let config = |output| match output {
        Output::Unit(unit) if unit.kind == UnitKind::Config => Some(unit),
        _ => None,
    };
    let mut configs: Vec<_> = out.into_iter().filter_map(config).collect();
    configs.iter_mut().for_each(|config| config.dts = Timestamp(i64::MIN));
    configs
}

/// A thin second: a picture and a sound, which carry its number. Every tenth picture is an IDR.
fn units_of(second: i64, time: i64) -> [AccessUnit; 2] {
    // Seven bits to a byte, so that no start code arises.
    let number = [21, 14, 7, 0].map(|shift| (second >> shift) as u8 & 0x7F | 0x80);
    let is_idr = second % 10 == 0;
    let slice = [&[if is_idr { 0x65 } else { 0x41 }, 0x9A, 0xBC][..], &number].concat();
    let picture = [&(slice.len() as u32).to_be_bytes()[..], &slice].concat();
    let unit = |track, codec, random_access, dts, payload: Vec<u8>| AccessUnit {
        track,
        kind: UnitKind::Frame { random_access },
        codec,
        dts: Timestamp(dts),
        pts_offset: 0,
        payload: Bytes::from(payload),
        flv: FlvBody::Build,
    };
    let sound = [&[0x21][..], &number].concat();
    let mut video = unit(TrackId::VIDEO, CodecId::H264, is_idr, time, picture);
    video.pts_offset = 7_200;
    [video, unit(TrackId::AUDIO, CodecId::Aac, true, time + AUDIO_BEHIND, sound)]
}

fn number_of(unit: &AccessUnit) -> i64 {
    let (_, number) = unit.payload.split_last_chunk::<4>().expect("four bytes of it");
    number.iter().fold(0, |all, byte| all << 7 | i64::from(byte & 0x7F))
}

/// Everything between a publisher of access units and a viewer of a bridged transport stream.
struct Chain {
    muxer: Muxer,
    demuxer: Demuxer,
    interleaver: Interleaver,
    timeline: Timeline,
    packets: Vec<u8>,
    found: Vec<Output>,
    /// Most units that were held.
    held_max: usize,
    events: Vec<demux::Event>,
}

impl Chain {
    fn new(settings: mux::Settings) -> Self {
        settings.check().expect("good settings");
        let mut chain = Self {
            muxer: Muxer::new(settings),
            demuxer: Demuxer::default(),
            interleaver: Interleaver::default(),
            timeline: Timeline::new(5_000),
            packets: Vec::new(),
            found: Vec::new(),
            held_max: 0,
            events: Vec::new(),
        };
        configs().iter().for_each(|config| {
            chain.muxer.write(config, &mut Vec::new());
        });
        chain
    }

    fn push(&mut self, unit: &AccessUnit, on_unit: &mut impl FnMut(AccessUnit)) {
        let written = self.muxer.write(unit, &mut self.packets);
        assert_eq!(written.refused, None);
        let block = TsBlock::new(Bytes::copy_from_slice(&self.packets)).expect("whole packets");
        self.packets.clear();
        let mut demuxed = Vec::new();
        self.demuxer.push(&block, &mut demuxed);
        let now_us = (unit.dts.0.max(0) / 9 * 100) as u64;
        self.interleaver.push(demuxed, now_us, &mut self.found);
        self.held_max = self.held_max.max(self.interleaver.len());
        for output in self.found.drain(..) {
            match output {
                Output::Unit(unit) if unit.kind == UnitKind::Config => {}
                Output::Unit(mut unit) => {
                    unit.dts = self.timeline.map(unit.track, unit.dts);
                    on_unit(unit);
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn jumps(&self) -> usize {
        let jump = |event: &&demux::Event| matches!(event, demux::Event::TimeJump { .. });
        self.events.iter().filter(jump).count()
    }
}

fn thin(start_ms: u32) -> mux::Settings {
    mux::Settings {
        start_ms,
        pcr_interval_ms: 100,
        tables_interval_ms: 500,
        audio_bundle_ms: 0,
        ..mux::Settings::default()
    }
}

/// Resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4
}

/// What came out: time on the timeline by number and track.
#[derive(Default)]
struct Seen {
    times: Vec<[Option<i64>; 2]>,
    last: [i64; 2],
}

impl Seen {
    fn take(&mut self, unit: &AccessUnit) {
        let track = usize::from(unit.track == TrackId::AUDIO);
        let number = number_of(unit) as usize;
        if self.times.len() <= number {
            self.times.resize(number + 1, [None; 2]);
        }
        assert_eq!(self.times[number][track].replace(unit.dts.0), None, "twice");
        assert!(unit.dts.0 >= self.last[track], "{number}: back to {}", unit.dts.0);
        self.last[track] = unit.dts.0;
    }
}

#[test]
fn a_day_over_the_wrap_of_33_bits_keeps_every_time_and_no_memory() {
    // The wrap of PCR, DTS and PTS falls into the twelfth hour, in this order.
    let start_ms = (WRAP_TICKS / 90 - 12 * HOUR * 1_000) as u32;
    let mut chain = Chain::new(thin(start_ms));
    let mut first = None;
    let mut count = 0_i64;
    let mut after_an_hour = 0;
    for second in 0..24 * HOUR {
        let time = second * SECOND;
        for unit in units_of(second, time) {
            chain.push(&unit, &mut |unit| {
                let is_sound = unit.track == TrackId::AUDIO;
                let sent = number_of(&unit) * SECOND + i64::from(is_sound) * AUDIO_BEHIND;
                let offset = unit.dts.0 - sent;
                assert_eq!(offset, *first.get_or_insert(offset), "second {second}");
                assert_eq!(unit.pts_offset, if is_sound { 0 } else { 7_200 });
                count += 1;
            });
        }
        if second == HOUR {
            after_an_hour = resident_kib();
        }
    }
    // The last picture is not known to be complete.
    assert!(count >= 2 * 24 * HOUR - 3, "{count}");
    assert_eq!(first, Some(0), "the timeline begins with the first unit");
    assert_eq!((chain.jumps(), chain.timeline.jumps()), (0, 0));
    let counters = chain.demuxer.counters();
    assert_eq!((counters.times_corrected, counters.units_damaged), (0, 0));
    assert_eq!(counters.continuity_errors, 0);
    assert!(chain.held_max <= 3, "{}", chain.held_max);
    assert!(chain.events.len() < 10);
    let growth = resident_kib().saturating_sub(after_an_hour);
    assert!(growth < 16 << 10, "{growth} KiB in 23 hours");
}

/// The source's clock jumps every ten minutes, by anything from seconds to half a wrap, in both
/// directions.
#[test]
fn jumps_leave_sound_and_pictures_together_and_the_timeline_whole() {
    let jumps = [SECOND * 7, -SECOND * 3, HOUR * SECOND * 5, -HOUR * SECOND * 20, WRAP_TICKS / 2];
    let mut chain = Chain::new(thin(200_000_000));
    let mut seen = Seen::default();
    let (mut shift, mut count) = (0, 0);
    for second in 0..5 * HOUR {
        if second % 600 == 300 {
            shift += jumps[count % jumps.len()];
            count += 1;
        }
        for unit in units_of(second, second * SECOND + shift) {
            chain.push(&unit, &mut |unit| seen.take(&unit));
        }
    }
    let mut missing = 0;
    let mut last = None;
    for (second, times) in seen.times.iter().enumerate() {
        let &[Some(video), Some(audio)] = times else {
            missing += 1;
            continue;
        };
        let distance = audio - video;
        assert!((distance - AUDIO_BEHIND).abs() <= AUDIO_FRAME, "second {second}: {distance}");
        let step = last.map_or(SECOND, |last| video - last);
        assert!((0..=SECOND * 4).contains(&step), "second {second}: {step}");
        last = Some(video);
    }
    assert_eq!(count, 30);
    // Going back by three seconds is no discontinuity of the multiplex, whose clock waits.
    assert!(chain.muxer.stats().discontinuities >= 24);
    assert_eq!(chain.jumps(), count);
    assert!(missing <= count * 2, "{missing} seconds have lost something");
    // No hole and no fold adds up: five hours are five hours, but for what the jumps may cost.
    let end = last.expect("units");
    assert!((end - 5 * HOUR * SECOND).abs() < count as i64 * 4 * SECOND, "{end}");
}

/// RTMP's clock: 32 bits of milliseconds, in FLV tags.
#[test]
fn hours_over_the_wrap_of_rtmp_s_32_bits_keep_every_time() {
    let hours = 4 * HOUR;
    let start = (1 << 32) - 2 * HOUR * 1_000;
    let mut incoming = Timeline::new(5_000);
    let mut chain = Chain::new(thin(1_000));
    let mut reader = flv::demux::Demuxer::new(1 << 20);
    reader.push(&flv::header::file_header(true, true));
    let mut seen = Seen::default();
    for second in 0..hours {
        for unit in units_of(second, (start + second * 1_000) * 90) {
            let body = flv::mux::tag_body(&unit).expect("FLV carries it");
            let (mut tag, time) = (Vec::new(), unit.dts.as_millis() as u32);
            flv::mux::write_tag(body.tag_type, time, &body.header, &body.payload, &mut tag);
            reader.push(&tag);
            let tag = reader.next_tag().expect("our own tag").expect("a whole one");
            let units = parse_tag(tag.tag_type, tag.timestamp_ms.into(), tag.body).expect("ours");
            for mut unit in units {
                unit.dts = incoming.map(unit.track, unit.dts);
                chain.push(&unit, &mut |unit| seen.take(&unit));
            }
        }
    }
    assert_eq!((incoming.jumps(), chain.jumps(), chain.timeline.jumps()), (0, 0, 0));
    assert!(seen.times.len() as i64 >= hours - 2);
    let behind_ms = Timestamp(AUDIO_BEHIND).as_millis();
    for (second, times) in seen.times.iter().enumerate().take(hours as usize - 2) {
        let video = second as i64 * SECOND;
        assert_eq!(*times, [Some(video), Some(video + behind_ms * 90)], "second {second}");
    }
    // Out again: 32 bits hold the time of a stream for 49 days, and what follows begins anew.
    let day_50 = AccessUnit { dts: Timestamp((1 << 32) * 90 + 450), ..units_of(0, 0)[1].clone() };
    let body = flv::mux::tag_body(&day_50).expect("FLV carries it");
    let (mut tag, time) = (Vec::new(), day_50.dts.as_millis() as u32);
    flv::mux::write_tag(body.tag_type, time, &body.header, &body.payload, &mut tag);
    assert_eq!(tag[4..8], [0, 0, 5, 0]);
}
