//! A packager of streams that break every rule of time and order.
//!
//! Byte 0: bit 0 fragmented MP4, bit 1 small limits, bit 2 the rest is a transport stream: byte 1 the
//! number of packets in a block, byte 2 every how many blocks there is an entry point. Otherwise
//! steps of three bytes. Bit 3 encrypts samples.

use bytes::Bytes;
use corelay_codecs::{
    AccessUnit, CodecId, FlvBody, Timestamp, TrackId, TrackKind, TsBlock, UnitKind,
};
use corelay_protocols::hls::encrypt::SampleKey;
use corelay_protocols::hls::packager::Settings;
use corelay_protocols::hls::{Event, Form, Opening, Packager, Rendition};

/// The events must keep the order and the limits that the packager promises, in all renditions.
pub fn run(data: &[u8]) {
    let [flags, rest @ ..] = data else { return };
    let limits = match flags & 2 {
        0 => Settings::default(),
        _ => Settings {
            segment_ms: 500,
            segment_ms_max: 700,
            part_ms: 100,
            segment_bytes_max: 2_000,
            ..Settings::default()
        },
    };
    let form = if flags & 1 == 0 { Form::Ts } else { Form::Fmp4 };
    let sample_key = (flags & 8 != 0).then_some(SampleKey { key: [1; 16], vector: [2; 16] });
    let settings = Settings { form, sample_key, ..limits };
    let mut made =
        Made { packager: Packager::new(settings.clone(), 7), settings, rows: Vec::new() };
    match flags & 4 {
        0 => push_units(&mut made, rest),
        _ => push_packets(&mut made, rest),
    }
    made.packager.finish();
    made.check();
    assert!(made.rows.iter().all(|row| row.open.is_none()), "all segments are complete");
    assert_eq!(made.packager.held_bytes(), 0);
}

fn push_units(made: &mut Made, steps: &[u8]) {
    let mut time = 0_i64;
    for (index, &[step, what, value]) in steps.as_chunks::<3>().0.iter().enumerate() {
        match step % 8 {
            0 => made.packager.push_unit(&config(what, value, time), false, 0),
            1 => made.packager.push_unit(&message(value, time), false, 0),
            2 if value == 0 => made.packager.discontinuity(),
            2 if value == 1 => made.packager.finish(),
            3 => time = far(value),
            _ => {
                let scale = [90, 90, 3_600, 900_000][usize::from(what >> 6)];
                time = time.saturating_add(i64::from(value as i8) * scale);
                let unit = frame(step, what, index, time);
                made.packager.push_unit(&unit, what & 4 != 0, index as u64 * u64::from(value));
            }
        }
        made.check();
    }
}

fn push_packets(made: &mut Made, input: &[u8]) {
    let [packets, entries, stream @ ..] = input else { return };
    let block_bytes = usize::from(*packets).clamp(1, 50) * 188;
    for (index, bytes) in stream.chunks(block_bytes).enumerate() {
        let whole = bytes.len() / 188 * 188;
        let block = TsBlock::new(Bytes::copy_from_slice(&bytes[..whole])).unwrap_or_default();
        let is_entry = index % usize::from(*entries).max(1) == 0;
        let tables = Bytes::copy_from_slice(stream.get(..376).unwrap_or_default());
        made.packager.push_packets(&block, &tables, is_entry, index as u64);
        made.check();
    }
}

/// A packager, and what it has told of each rendition.
struct Made {
    packager: Packager,
    settings: Settings,
    rows: Vec<Row>,
}

struct Row {
    rendition: Rendition,
    inits: u32,
    open: Option<(Opening, usize)>,
    /// Number and discontinuities of the last segment.
    last: Option<(u64, u64)>,
}

impl Made {
    fn check(&mut self) {
        while let Some(event) = self.packager.poll_event() {
            let rendition = match &event {
                Event::Described(rendition, _)
                | Event::Init(rendition, _)
                | Event::Opened(rendition, _)
                | Event::Part(rendition, _)
                | Event::Segment(rendition, _) => *rendition,
            };
            assert_eq!(rendition.form, self.settings.form);
            let known = self.rows.iter().position(|row| row.rendition == rendition);
            let at = known.unwrap_or_else(|| {
                self.rows.push(Row { rendition, inits: 0, open: None, last: None });
                self.rows.len() - 1
            });
            self.rows[at].check(event, &self.settings);
        }
    }
}

impl Row {
    fn check(&mut self, event: Event, settings: &Settings) {
        let ticks = |ms: u32| i64::from(ms) * 90;
        match event {
            Event::Described(..) => {}
            Event::Init(_, init) => {
                assert!(self.open.is_none() && !init.bytes.is_empty());
                self.inits = init.number;
            }
            Event::Opened(_, opening) => {
                assert!(self.open.is_none());
                assert_eq!(opening.init, (self.inits > 0).then_some(self.inits));
                if let Some((msn, discontinuities)) = self.last {
                    assert!(opening.msn > msn && opening.discontinuities >= discontinuities);
                    let is_main = self.rendition.is_main();
                    assert!(!is_main || opening.msn == msn + 1, "without a gap");
                    let counted = discontinuities + u64::from(opening.is_discontinuity);
                    assert!(!is_main || opening.discontinuities == counted);
                }
                self.open = Some((opening, 0));
            }
            Event::Part(_, part) => {
                let (opening, parts) = self.open.as_mut().expect("opened");
                assert_eq!((part.msn, part.index as usize), (opening.msn, *parts));
                assert!((0..=ticks(settings.part_ms)).contains(&part.duration));
                assert!(!part.chunk.is_empty());
                *parts += 1;
            }
            Event::Segment(_, segment) => {
                let (opening, parts) = self.open.take().expect("opened");
                assert_eq!((segment.msn, segment.parts.len()), (opening.msn, parts));
                assert!((0..=ticks(settings.segment_ms_max)).contains(&segment.duration));
                self.last = Some((segment.msn, segment.discontinuities));
            }
        }
    }
}

/// Tracks and codecs, by three bits.
const TRACKS: [(TrackId, CodecId); 8] = [
    (TrackId::VIDEO, CodecId::H264),
    (TrackId::VIDEO, CodecId::H264),
    (TrackId::AUDIO, CodecId::Aac),
    (TrackId::AUDIO, CodecId::Aac),
    (TrackId { kind: TrackKind::Audio, index: 1 }, CodecId::Mp3),
    (TrackId { kind: TrackKind::Audio, index: 20 }, CodecId::Ac3),
    (TrackId { kind: TrackKind::Video, index: 1 }, CodecId::Vp9),
    (TrackId::VIDEO, CodecId::H265),
];

/// avcC of x264 at 320x180 and AudioSpecificConfig; whole, cut, or nothing.
fn config(what: u8, value: u8, time: i64) -> AccessUnit {
    let (track, codec) = TRACKS[usize::from(what >> 3 & 7)];
    let record: &'static [u8] = match (codec, value & 1) {
        (CodecId::H264, _) => AVC,
        (CodecId::Aac, 0) => &[0x11, 0x90],
        (CodecId::Aac, _) => &[0x12, 0x10],
        _ => &[],
    };
    let record = if value & 0x80 == 0 {
        record
    } else {
        &record[..usize::from(value & 7).min(record.len())]
    };
    unit(track, codec, UnitKind::Config, time, record)
}

fn frame(step: u8, what: u8, index: usize, time: i64) -> AccessUnit {
    let (track, codec) = TRACKS[usize::from(what >> 3 & 7)];
    let payload: &'static [u8] = match codec {
        CodecId::H264 if what & 2 == 0 => &[0, 0, 0, 3, 0x65, 0x88, 0x80],
        CodecId::H264 => &[0, 0, 0, 9, 0x41],
        CodecId::Mp3 => &[0xFF, 0xFB, 0x90, 0x64, 0, 0, 0, 0],
        CodecId::Ac3 => &[0x0B, 0x77, 0, 0, 0x08, 0x40, 0, 0],
        _ => &[0x21; 100],
    };
    let payload = if step & 0x80 == 0 { payload } else { &payload[..index % payload.len()] };
    let kind = UnitKind::Frame { random_access: what & 1 != 0 };
    AccessUnit { pts_offset: i32::from(step) * 90, ..unit(track, codec, kind, time, payload) }
}

/// `onTextData`, or a message that is cut.
fn message(value: u8, time: i64) -> AccessUnit {
    let message = b"\x02\0\x0aonTextData\x02\0\x02hi";
    let payload = &message[..message.len() - usize::from(value & 3)];
    unit(TrackId::DATA, CodecId::Amf0, UnitKind::Data, time, payload)
}

fn unit(
    track: TrackId,
    codec: CodecId,
    kind: UnitKind,
    time: i64,
    payload: &'static [u8],
) -> AccessUnit {
    AccessUnit {
        track,
        kind,
        codec,
        dts: Timestamp(time),
        pts_offset: 0,
        payload: Bytes::from_static(payload),
        flv: FlvBody::Build,
    }
}

/// Times at the ends of the timeline.
fn far(value: u8) -> i64 {
    [i64::MIN, -1, 0, 1 << 33, i64::MAX / 4, i64::MAX][usize::from(value) % 6]
}

const AVC: &[u8] = &[
    0x01, 0x42, 0xC0, 0x0C, 0xFF, 0xE1, 0x00, 0x19, 0x67, 0x42, 0xC0, 0x0C, 0xD9, 0x01, 0x41, 0x9F,
    0x9F, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xF1, 0x42, 0xA4,
    0x80, 0x01, 0x00, 0x05, 0x68, 0xCB, 0x83, 0xCB, 0x20,
];
