//! A made-up H.264 and AAC stream: sizes and times as an encoder's, parameter sets that parsers
//! accept, and noise for pictures.
//!
//! A group of pictures is one keyframe of [`KEYFRAME_WEIGHT`] times the size of the other frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use corelay_codecs::amf::{Object, Value, amf0};
use corelay_protocols::rtmp::MediaKind;

use super::source::{Stamper, Written};
use crate::stamp;

/// What a made-up stream is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Video bit rate in kbit/s, 8 at the least.
    pub video_kbit_s: u32,
    /// Audio bit rate in kbit/s; 0 is no audio.
    pub audio_kbit_s: u32,
    /// Frames per second, 1 to 1000.
    pub frame_rate: u32,
    /// Frames from one keyframe to the next, 1 at the least.
    pub gop_frames: u32,
}

impl Shape {
    /// From one keyframe to the next.
    pub fn keyframe_interval(&self) -> Duration {
        let frames = f64::from(self.gop_frames.max(1));
        Duration::from_secs_f64(frames / f64::from(self.frame_rate.max(1)))
    }
}

impl Default for Shape {
    /// Standard-definition television: 2 Mbit/s at 25 frames a second, a keyframe every 2 s, with
    /// 128 kbit/s of audio.
    fn default() -> Self {
        Self { video_kbit_s: 2_000, audio_kbit_s: 128, frame_rate: 25, gop_frames: 50 }
    }
}

/// A made-up stream at a point in time.
#[derive(Clone, Debug)]
pub(super) struct Generated {
    shape: Shape,
    noise: Arc<[u8]>,
    inter_bytes: usize,
    key_bytes: usize,
    audio_bytes: usize,
    video_frames: u64,
    audio_frames: u64,
    stamper: Stamper,
}

impl Generated {
    pub(super) fn new(shape: Shape) -> Self {
        let shape = Shape {
            video_kbit_s: shape.video_kbit_s.max(8),
            frame_rate: shape.frame_rate.clamp(1, 1_000),
            gop_frames: shape.gop_frames.max(1),
            ..shape
        };
        let frame_bytes = f64::from(shape.video_kbit_s) * 125.0 / f64::from(shape.frame_rate);
        let gop = f64::from(shape.gop_frames);
        let inter_bytes = frame_bytes * gop / (gop - 1.0 + KEYFRAME_WEIGHT);
        let key_bytes = frame_bytes * gop - inter_bytes * (gop - 1.0);
        let audio_rate = f64::from(SAMPLE_RATE_HZ) / SAMPLES_PER_FRAME;
        let audio_bytes = f64::from(shape.audio_kbit_s) * 125.0 / audio_rate;
        Self {
            shape,
            noise: noise(key_bytes as usize + 1_024).into(),
            inter_bytes: inter_bytes as usize,
            key_bytes: key_bytes as usize,
            audio_bytes: audio_bytes as usize,
            video_frames: 0,
            audio_frames: 0,
            stamper: Stamper::default(),
        }
    }

    pub(super) fn preamble(&self) -> Vec<(MediaKind, Vec<u8>)> {
        let Shape { video_kbit_s, audio_kbit_s, frame_rate, .. } = self.shape;
        let mut information = Object::new()
            .with("width", f64::from(WIDTH))
            .with("height", f64::from(HEIGHT))
            .with("framerate", f64::from(frame_rate))
            .with("videocodecid", 7.0)
            .with("videodatarate", f64::from(video_kbit_s));
        if audio_kbit_s > 0 {
            information = information
                .with("audiocodecid", 10.0)
                .with("audiodatarate", f64::from(audio_kbit_s))
                .with("audiosamplerate", f64::from(SAMPLE_RATE_HZ))
                .with("stereo", true);
        }
        let mut metadata = Vec::new();
        amf0::encode_str("onMetaData", &mut metadata);
        amf0::encode(&Value::from(information), &mut metadata);
        let mut preamble = vec![
            (MediaKind::Data, metadata),
            (MediaKind::Video, [&[0x17, 0, 0, 0, 0][..], &configuration_record()].concat()),
        ];
        if audio_kbit_s > 0 {
            preamble.push((MediaKind::Audio, AUDIO_CONFIGURATION.to_vec()));
        }
        preamble
    }

    pub(super) fn due_us(&self) -> u64 {
        self.video_due_us().min(self.audio_due_us())
    }

    fn video_due_us(&self) -> u64 {
        self.video_frames * 1_000_000 / u64::from(self.shape.frame_rate)
    }

    fn audio_due_us(&self) -> u64 {
        if self.shape.audio_kbit_s == 0 {
            return u64::MAX;
        }
        self.audio_frames * 1_000_000 * SAMPLES_PER_FRAME as u64 / u64::from(SAMPLE_RATE_HZ)
    }

    pub(super) fn write_next(&mut self, sent_us: Option<u64>, out: &mut Vec<u8>) -> Written {
        if self.audio_due_us() < self.video_due_us() {
            let timestamp_ms = (self.audio_due_us() / 1_000) as u32;
            out.put_slice(&AUDIO_FRAME_HEAD);
            self.put_noise(self.audio_bytes.saturating_sub(AUDIO_FRAME_HEAD.len()), out);
            self.audio_frames += 1;
            return Written { kind: MediaKind::Audio, timestamp_ms };
        }
        let timestamp_ms = (self.video_due_us() / 1_000) as u32;
        let key = self.video_frames.is_multiple_of(u64::from(self.shape.gop_frames));
        let (size, head, unit) = match key {
            true => (self.key_bytes, 0x17, NAL_IDR),
            false => (self.inter_bytes, 0x27, NAL_SLICE),
        };
        out.put_slice(&[head, 1, 0, 0, 0]);
        if let Some(sent_us) = sent_us {
            stamp::write(self.stamper.next(sent_us), out);
        }
        let slice_bytes = size.saturating_sub(out.len() + 4).max(2);
        out.put_u32(slice_bytes as u32);
        out.put_u8(unit);
        self.put_noise(slice_bytes - 1, out);
        self.video_frames += 1;
        Written { kind: MediaKind::Video, timestamp_ms }
    }

    /// Appends noise, from another place each time.
    fn put_noise(&self, bytes: usize, out: &mut Vec<u8>) {
        let places = self.noise.len().saturating_sub(bytes).max(1);
        let place = (self.video_frames * 131 + self.audio_frames * 17) as usize % places;
        out.put_slice(self.noise.get(place..place + bytes).unwrap_or_default());
    }
}

/// Bytes without zeros, so that no start code arises.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 | 1
    };
    (0..bytes).map(|_| next()).collect()
}

/// The avcC box (ISO/IEC 14496-15 5.3.3.1) of the parameter sets below, with 4-byte NAL lengths.
fn configuration_record() -> Vec<u8> {
    let mut record = vec![1];
    record.put_slice(SPS.get(1..4).unwrap_or_default());
    record.put_slice(&[0xFF, 0xE1]);
    for (index, set) in [SPS, PPS].into_iter().enumerate() {
        if index > 0 {
            record.put_u8(1);
        }
        record.put_u16(set.len() as u16);
        record.put_slice(set);
    }
    record
}

/// A sequence parameter set (ITU-T H.264 7.3.2.1.1) put down bit by bit: Constrained Baseline,
/// level 3.1, 80 x 45 macroblocks without cropping, picture order count type 2, no VUI.
pub(crate) const SPS: &[u8] = &[0x67, 0x42, 0xC0, 0x1F, 0xDA, 0x01, 0x40, 0x16, 0xE4];
/// Its picture parameter set: the first, CAVLC, one slice group.
pub(crate) const PPS: &[u8] = &[0x68, 0xCE, 0x3C, 0x80];
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const NAL_IDR: u8 = 0x65;
const NAL_SLICE: u8 = 0x41;
/// AAC LC, 44.1 kHz, two channels (ISO/IEC 14496-3 1.6.2.1), as FLV has it.
const AUDIO_CONFIGURATION: [u8; 4] = [0xAF, 0x00, 0x12, 0x10];
const AUDIO_FRAME_HEAD: [u8; 2] = [0xAF, 0x01];
const SAMPLE_RATE_HZ: u32 = 44_100;
const SAMPLES_PER_FRAME: f64 = 1_024.0;
/// What encoders of constant rate arrive at for moving pictures.
const KEYFRAME_WEIGHT: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::codec::h264;

    fn second(stamped: bool) -> (Generated, Vec<(Written, Vec<u8>)>) {
        let mut media = Generated::new(Shape::default());
        let mut frames = Vec::new();
        while media.due_us() < 2_000_000 {
            let mut body = Vec::new();
            let written = media.write_next(stamped.then_some(77), &mut body);
            frames.push((written, body));
        }
        (media, frames)
    }

    #[test]
    fn the_configuration_is_one_that_parsers_accept() {
        let info = h264::from_config(&configuration_record()).unwrap();
        assert_eq!((info.width, info.height), (1280, 720));
        assert_eq!((info.profile.as_str(), info.level.as_str()), ("Constrained Baseline", "3.1"));
    }

    #[test]
    fn the_bit_rate_is_the_one_asked_for() {
        let (_, frames) = second(false);
        let video: usize =
            frames.iter().filter(|(w, _)| w.kind == MediaKind::Video).map(|(_, b)| b.len()).sum();
        let audio: usize =
            frames.iter().filter(|(w, _)| w.kind == MediaKind::Audio).map(|(_, b)| b.len()).sum();
        assert!((499_000..501_000).contains(&video), "{video} bytes in 2 s");
        assert!((31_000..33_000).contains(&audio), "{audio} bytes in 2 s");
    }

    #[test]
    fn times_rise_and_one_frame_in_fifty_is_a_keyframe() {
        let (_, frames) = second(false);
        assert!(frames.windows(2).all(|pair| pair[0].0.timestamp_ms <= pair[1].0.timestamp_ms));
        let video = frames.iter().filter(|(written, _)| written.kind == MediaKind::Video);
        let keys: Vec<bool> = video.map(|(_, body)| body[0] == 0x17).collect();
        assert_eq!((keys.len(), keys[0], keys.iter().filter(|key| **key).count()), (50, true, 1));
    }

    #[test]
    fn a_stamp_takes_its_room_from_the_picture() {
        let (plain, stamped) = (second(false).1, second(true).1);
        for ((written, plain), (_, stamped)) in plain.iter().zip(&stamped) {
            assert_eq!(plain.len(), stamped.len());
            let sent = stamp::read(stamped).map(|stamp| stamp.sent_us);
            assert_eq!(sent, (written.kind == MediaKind::Video).then_some(77));
        }
    }
}
