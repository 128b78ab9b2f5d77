//! An FLV file, played over and over on one rising timeline.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes};
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::Demuxer;
use corelay_protocols::rtmp::MediaKind;

use super::source::{Stamper, Written};
use crate::stamp;

/// The media of a file, shared by the streams that play it.
#[derive(Debug)]
pub(super) struct Clip {
    preamble: Vec<(MediaKind, Vec<u8>)>,
    frames: Vec<Frame>,
    /// From one round's first frame to the next round's.
    duration_ms: u64,
}

#[derive(Debug)]
struct Frame {
    kind: MediaKind,
    time_ms: u64,
    body: Bytes,
}

impl Clip {
    /// Reads a whole file.
    ///
    /// # Errors
    /// It cannot be read, is no FLV, or has no video or audio frame.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
        Self::parse(&bytes).with_context(|| format!("{name} cannot be published"))
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut demuxer = Demuxer::new(0xFF_FFFF);
        demuxer.push(bytes);
        let (mut preamble, mut frames) = (Vec::new(), Vec::new());
        while let Some(tag) = demuxer.next_tag()? {
            let kind = match tag.tag_type {
                TagType::Audio => MediaKind::Audio,
                TagType::Video => MediaKind::Video,
                TagType::Script => MediaKind::Data,
            };
            // What comes before the first frame are metadata and configurations: sent once.
            if frames.is_empty() && (kind == MediaKind::Data || is_configuration(kind, &tag.body)) {
                preamble.push((kind, tag.body.to_vec()));
            } else if kind != MediaKind::Data {
                let time_ms = u64::from(tag.timestamp_ms);
                frames.push(Frame { kind, time_ms, body: tag.body });
            }
        }
        frames.sort_by_key(|frame| frame.time_ms);
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            anyhow::bail!("it has no frames");
        };
        let (first_ms, length_ms) = (first.time_ms, last.time_ms - first.time_ms);
        ensure!(length_ms > 0, "it lasts no time");
        frames.iter_mut().for_each(|frame| frame.time_ms -= first_ms);
        let gap_ms = length_ms / (frames.len() as u64 - 1).max(1);
        Ok(Self { preamble, frames, duration_ms: length_ms + gap_ms.max(1) })
    }
}

/// The decoder configuration of a codec in FLV's form, or in that of Enhanced RTMP.
fn is_configuration(kind: MediaKind, body: &[u8]) -> bool {
    match (kind, body) {
        (MediaKind::Video, [head, ..]) if *head & 0x80 != 0 => *head & 0xF == 0,
        (MediaKind::Video, [head, 0, ..]) => matches!(*head & 0xF, 7 | 12),
        (MediaKind::Audio, [head, 0, ..]) => *head >> 4 == 10,
        (MediaKind::Audio, [head, ..]) => *head == 0x90,
        _ => false,
    }
}

/// One stream's place in a clip.
#[derive(Debug)]
pub(super) struct Loop {
    clip: Arc<Clip>,
    next: usize,
    round: u64,
    stamper: Stamper,
}

impl Loop {
    pub(super) fn new(clip: Arc<Clip>) -> Self {
        Self { clip, next: 0, round: 0, stamper: Stamper::default() }
    }

    pub(super) fn preamble(&self) -> Vec<(MediaKind, Vec<u8>)> {
        self.clip.preamble.clone()
    }

    fn time_ms(&self) -> u64 {
        let time_ms = self.clip.frames.get(self.next).map_or(0, |frame| frame.time_ms);
        self.round * self.clip.duration_ms + time_ms
    }

    pub(super) fn due_us(&self) -> u64 {
        self.time_ms() * 1_000
    }

    pub(super) fn write_next(&mut self, sent_us: Option<u64>, out: &mut Vec<u8>) -> Written {
        let timestamp_ms = self.time_ms() as u32;
        let frame = self.clip.frames.get(self.next);
        let kind = frame.map_or(MediaKind::Data, |frame| frame.kind);
        let body = frame.map_or(&[][..], |frame| &frame.body);
        match (sent_us, body.split_first_chunk::<5>()) {
            // A coded H.264 frame: the stamp goes in front of its NAL units.
            (Some(sent_us), Some((head @ [first, 1, ..], units)))
                if kind == MediaKind::Video && first & 0x8F == 7 =>
            {
                out.put_slice(head);
                stamp::write(self.stamper.next(sent_us), out);
                out.put_slice(units);
            }
            _ => out.put_slice(body),
        }
        self.next += 1;
        if self.next >= self.clip.frames.len() {
            self.next = 0;
            self.round += 1;
        }
        Written { kind, timestamp_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::container::flv::header::{file_header, tag_header};

    fn clip() -> Clip {
        let mut flv = file_header(true, true).to_vec();
        for (tag_type, time, body) in [
            (TagType::Script, 0, &b"\x02\x00\x0aonMetaData"[..]),
            (TagType::Video, 0, b"\x17\x00\x00\x00\x00avcC"),
            (TagType::Audio, 0, b"\xAF\x00\x12\x10"),
            (TagType::Video, 80, b"\x17\x01\x00\x00\x00\x00\x00\x00\x01\x65"),
            (TagType::Audio, 90, b"\xAF\x01aac"),
            (TagType::Video, 120, b"\x27\x01\x00\x00\x00\x00\x00\x00\x01\x41"),
        ] {
            flv.extend(tag_header(tag_type, time, body.len()).unwrap());
            flv.extend(body);
            flv.extend((body.len() as u32 + 11).to_be_bytes());
        }
        Clip::parse(&flv).unwrap()
    }

    #[test]
    fn a_clip_begins_at_zero_and_goes_on_rising_when_it_repeats() {
        let mut source = Loop::new(Arc::new(clip()));
        assert_eq!(source.preamble().len(), 3);
        let mut times = Vec::new();
        for _ in 0..6 {
            assert_eq!(source.due_us(), u64::from(source.time_ms() as u32) * 1_000);
            times.push(source.write_next(None, &mut Vec::new()).timestamp_ms);
        }
        assert_eq!(times, [0, 10, 40, 60, 70, 100]);
    }

    #[test]
    fn video_frames_are_stamped_and_the_rest_goes_as_it_is() {
        let mut source = Loop::new(Arc::new(clip()));
        let mut bodies = Vec::new();
        for _ in 0..3 {
            let mut body = Vec::new();
            source.write_next(Some(5), &mut body);
            bodies.push(body);
        }
        let stamps: Vec<_> = bodies.iter().map(|body| stamp::read(body)).collect();
        assert_eq!(stamps[0], Some(stamp::Stamp { sent_us: 5, sequence: 0 }));
        assert_eq!((stamps[1], bodies[1].as_slice()), (None, &b"\xAF\x01aac"[..]));
        assert_eq!(stamps[2].map(|stamp| stamp.sequence), Some(1));
        assert!(bodies[0].ends_with(b"\x00\x00\x00\x01\x65"));
    }

    #[test]
    fn what_is_no_flv_or_has_no_frames_is_refused() {
        assert!(Clip::parse(b"nonsense").is_err());
        assert!(Clip::parse(&file_header(true, true)).is_err());
    }
}
