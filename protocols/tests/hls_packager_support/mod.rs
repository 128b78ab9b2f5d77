//! A publisher to package, and what the packager makes of it, with the rules that hold for every
//! packager and stream.
#![allow(dead_code, reason = "each test crate that includes this file uses another part of it")]

pub mod fragments;
pub mod packets;
pub mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::{AccessUnit, CodecId, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};
use corelay_protocols::hls::packager::{Packager, Settings};
use corelay_protocols::hls::{Description, Event, Form, Init, Opening, Part, Rendition, Segment};

/// Ticks per millisecond.
pub const MS: i64 = 90;
/// A time of day.
pub const NOW_US: u64 = 1_795_363_083_000_000;
pub const TS: Rendition = Rendition::main(Form::Ts);
pub const FMP4: Rendition = Rendition::main(Form::Fmp4);
pub const SOUND_2: TrackId = TrackId { kind: TrackKind::Audio, index: 1 };

/// 320x180, 25 fps: avcC of `ffmpeg -f lavfi -i testsrc=size=320x180 -c:v libx264 -profile:v
/// baseline -pix_fmt yuv420p x.mp4`.
pub const AVC: &str =
    "0142c00cffe100196742c00cd901419f9f011000000300100000030320f142a48001000568cb83cb20";
/// 1918x1078: the same of `testsrc=size=1918x1078:rate=30000/1001`, high422, yuv422p10le.
pub const AVC_LARGE: &str = "017a0028ffe1001e677a0028b6cd940780227a8bffc13401344400000fa40003a980\
                             3c60c65801000668ebe3cb22c0fefafa00";
/// AudioSpecificConfig: AAC LC, 48 kHz, stereo.
pub const AAC_48: &str = "1190";
/// AAC LC, 44.1 kHz, stereo.
pub const AAC_44: &str = "1210";

pub fn hex(digits: &str) -> Bytes {
    let digits: Vec<_> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

pub fn config(track: TrackId, codec: CodecId, record: &str) -> AccessUnit {
    AccessUnit {
        track,
        kind: UnitKind::Config,
        codec,
        dts: Timestamp(0),
        pts_offset: 0,
        payload: hex(record),
        flv: FlvBody::Build,
    }
}

pub fn avc() -> AccessUnit {
    config(TrackId::VIDEO, CodecId::H264, AVC)
}

pub fn aac() -> AccessUnit {
    config(TrackId::AUDIO, CodecId::Aac, AAC_48)
}

/// A picture of one slice, which nobody mistakes for another one.
pub fn picture(dts: i64, random_access: bool, size: usize) -> AccessUnit {
    let nal_type = if random_access { 0x65 } else { 0x41 };
    let mut payload = (size as u32 + 1).to_be_bytes().to_vec();
    payload.push(nal_type);
    payload.extend((0..size).map(|at| 0x80 | (at as i64 ^ dts) as u8));
    AccessUnit {
        track: TrackId::VIDEO,
        kind: UnitKind::Frame { random_access },
        codec: CodecId::H264,
        dts: Timestamp(dts),
        pts_offset: 0,
        payload: payload.into(),
        flv: FlvBody::Build,
    }
}

pub fn sound(track: TrackId, dts: i64, size: usize) -> AccessUnit {
    AccessUnit {
        track,
        kind: UnitKind::Frame { random_access: true },
        codec: CodecId::Aac,
        dts: Timestamp(dts),
        pts_offset: 0,
        payload: (0..size).map(|at| 0x80 | (at as i64 ^ (dts / MS)) as u8).collect(),
        flv: FlvBody::Build,
    }
}

/// `onTextData` with the text `hi`, in AMF0.
pub fn message(dts: i64) -> AccessUnit {
    AccessUnit {
        track: TrackId::DATA,
        kind: UnitKind::Data,
        codec: CodecId::Amf0,
        dts: Timestamp(dts),
        pts_offset: 0,
        payload: Bytes::from_static(b"\x02\0\x0aonTextData\x02\0\x02hi"),
        flv: FlvBody::Build,
    }
}

/// A publisher of H.264 and AAC by RTMP: its times are whole milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Publisher {
    pub from_ms: i64,
    pub to_ms: i64,
    /// Frames per second; 0 without pictures.
    pub frame_rate: i64,
    /// Frames from one random-access picture to the next, cycled through.
    pub groups: &'static [i64],
    /// Two of three pictures are shown later than they are decoded.
    pub has_b_frames: bool,
    /// Samples per second of the sound; 0 without.
    pub sample_rate: i64,
    /// The first frame of sound.
    pub sound_from_ms: i64,
    pub picture_bytes: usize,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            from_ms: 0,
            to_ms: 10_000,
            frame_rate: 25,
            groups: &[25],
            has_b_frames: false,
            sample_rate: 48_000,
            sound_from_ms: 0,
            picture_bytes: 400,
        }
    }
}

impl Publisher {
    /// The frames in the order of their times, and whether viewers may start there.
    pub fn frames(&self) -> Vec<(AccessUnit, bool)> {
        let mut frames = self.pictures();
        frames.extend(self.sounds());
        frames.sort_by_key(|(unit, _)| (unit.dts, unit.track));
        frames
    }

    fn pictures(&self) -> Vec<(AccessUnit, bool)> {
        let (mut left_in_group, mut group) = (0, 0);
        let span_ms = self.to_ms - self.from_ms;
        let frames = (0..span_ms * self.frame_rate / 1_000).map(|n| {
            let is_first = left_in_group == 0;
            if is_first {
                left_in_group = self.groups[group % self.groups.len()];
                group += 1;
            }
            left_in_group -= 1;
            let dts_ms = self.from_ms + n * 1_000 / self.frame_rate;
            let size = self.picture_bytes * if is_first { 5 } else { 1 } + n as usize % 100;
            let mut unit = picture(dts_ms * MS, is_first, size);
            if self.has_b_frames {
                let shown_later = [1, 3, 0][n as usize % 3];
                unit.pts_offset = (shown_later * 1_000 / self.frame_rate * MS) as i32;
            }
            (unit, is_first)
        });
        frames.collect()
    }

    fn sounds(&self) -> Vec<(AccessUnit, bool)> {
        if self.sample_rate == 0 {
            return Vec::new();
        }
        let times = (0..).map(|n| self.from_ms + n * 1_024_000 / self.sample_rate);
        let times = times.take_while(|ms| *ms < self.to_ms).filter(|ms| *ms >= self.sound_from_ms);
        times
            .map(|ms| {
                (sound(TrackId::AUDIO, ms * MS, 300 + ms as usize % 50), self.frame_rate == 0)
            })
            .collect()
    }
}

/// What came of a packager.
#[derive(Debug)]
pub struct Made {
    pub settings: Settings,
    pub packager: Packager,
    /// How long after its time a frame is received.
    pub late_us: u64,
    pub segments: BTreeMap<Rendition, Vec<Arc<Segment>>>,
    pub inits: BTreeMap<Rendition, Vec<Arc<Init>>>,
    pub descriptions: BTreeMap<Rendition, Vec<Arc<Description>>>,
    /// Told of, and not yet in a segment.
    pub open: BTreeMap<Rendition, (Opening, Vec<Arc<Part>>)>,
}

impl Made {
    pub fn new(settings: Settings) -> Self {
        let packager = Packager::new(settings.clone(), FIRST_MSN);
        Self {
            settings,
            packager,
            late_us: 0,
            segments: BTreeMap::new(),
            inits: BTreeMap::new(),
            descriptions: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// A packager of this form that has got the configurations of both tracks.
    pub fn of(form: Form) -> Self {
        let mut made = Self::new(Settings { form, ..Settings::default() });
        made.push(&avc(), false);
        made.push(&aac(), false);
        made
    }

    pub fn push(&mut self, unit: &AccessUnit, is_entry: bool) {
        let received_us = NOW_US + self.late_us + (unit.dts.0.max(0) as u64) * 100 / 9;
        self.packager.push_unit(unit, is_entry, received_us);
        self.take_events();
    }

    pub fn push_all(&mut self, frames: &[(AccessUnit, bool)]) {
        frames.iter().for_each(|(unit, is_entry)| self.push(unit, *is_entry));
    }

    pub fn finish(&mut self) {
        self.packager.finish();
        self.take_events();
        assert!(self.open.is_empty(), "{:?}", self.open);
        assert_eq!(self.packager.held_bytes(), 0);
    }

    pub fn discontinuity(&mut self) {
        self.packager.discontinuity();
        self.take_events();
    }

    /// Segments of the only rendition, or the main one.
    pub fn main(&self) -> &[Arc<Segment>] {
        self.segments.get(&Rendition::main(self.settings.form)).map_or(&[], Vec::as_slice)
    }

    /// Durations of the main segments in ms.
    pub fn durations_ms(&self) -> Vec<i64> {
        self.main().iter().map(|segment| segment.duration / MS).collect()
    }

    pub fn take_events(&mut self) {
        while let Some(event) = self.packager.poll_event() {
            self.check(&event);
            match event {
                Event::Described(rendition, description) => {
                    self.descriptions.entry(rendition).or_default().push(description);
                }
                Event::Init(rendition, init) => {
                    self.inits.entry(rendition).or_default().push(init);
                }
                Event::Opened(rendition, opening) => {
                    self.open.insert(rendition, (opening, Vec::new()));
                }
                Event::Part(rendition, part) => {
                    self.open.get_mut(&rendition).expect("opened").1.push(part);
                }
                Event::Segment(rendition, segment) => {
                    self.open.remove(&rendition);
                    self.segments.entry(rendition).or_default().push(segment);
                }
            }
        }
    }

    /// The rules of every event.
    fn check(&self, event: &Event) {
        match event {
            Event::Described(rendition, description) => {
                let last = self.descriptions.get(rendition).and_then(|all| all.last());
                // A further sound may have been forgotten between.
                let is_main = rendition.is_main();
                assert!(!is_main || last != Some(description), "told twice");
            }
            Event::Init(rendition, init) => {
                let last = self.inits.get(rendition).and_then(|inits| inits.last());
                assert!(init.number > last.map_or(0, |last| last.number), "no number twice");
                assert!(!self.open.contains_key(rendition), "a segment has one Init");
            }
            Event::Opened(rendition, opening) => self.check_opening(*rendition, opening),
            Event::Part(rendition, part) => self.check_part(*rendition, part),
            Event::Segment(rendition, segment) => self.check_segment(*rendition, segment),
        }
    }

    fn check_opening(&self, rendition: Rendition, opening: &Opening) {
        assert!(!self.open.contains_key(&rendition), "one at a time");
        let last = self.segments.get(&rendition).and_then(|segments| segments.last());
        if let Some(last) = last.filter(|last| last.msn + 1 == opening.msn) {
            let discontinuities = last.discontinuities + u64::from(opening.is_discontinuity);
            assert_eq!(opening.discontinuities, discontinuities);
            if opening.init != last.init {
                assert!(opening.is_discontinuity, "another Init without a discontinuity");
            }
        }
        let newest_init = self.inits.get(&rendition).and_then(|inits| inits.last());
        assert_eq!(opening.init, newest_init.map(|init| init.number));
        assert_eq!(opening.init.is_some(), rendition.form == Form::Fmp4);
    }

    fn check_part(&self, rendition: Rendition, part: &Part) {
        let (opening, parts) = self.open.get(&rendition).expect("opened");
        assert_eq!((part.msn, part.index as usize), (opening.msn, parts.len()));
        let longest = i64::from(self.settings.part_ms) * MS;
        assert!((1..=longest).contains(&part.duration), "{} ticks", part.duration);
        assert!(!part.chunk.is_empty());
    }

    fn check_segment(&self, rendition: Rendition, segment: &Segment) {
        let (opening, parts) = self.open.get(&rendition).expect("opened");
        let told = Opening {
            msn: segment.msn,
            started_us: segment.started_us,
            is_discontinuity: segment.is_discontinuity,
            discontinuities: segment.discontinuities,
            init: segment.init,
        };
        assert_eq!(told, *opening);
        assert_eq!(segment.parts.len(), parts.len());
        let is_same = |(a, b): (&Arc<Part>, &Arc<Part>)| Arc::ptr_eq(a, b);
        assert!(segment.parts.iter().zip(parts).all(is_same));
        let longest = i64::from(self.settings.segment_ms_max) * MS;
        assert!((1..=longest).contains(&segment.duration), "{} ticks", segment.duration);
        let in_parts: i64 = segment.parts.iter().map(|part| part.duration).sum();
        assert!(in_parts <= segment.duration);
    }
}

pub const FIRST_MSN: u64 = 1_000;
