//! Sound whose frames tell their own size: ADTS, LOAS, MPEG audio, AC-3 and E-AC-3. Frames lie in
//! PES packets as they like: several in one, one over several.
//!
//! Cost: the bytes are copied once, out of the packets (AAC in LATM twice: it starts at any bit).

use bytes::{Buf, Bytes, BytesMut};

use super::StreamFault;
use super::stream::{Found, Mark, Marks};
use super::timeline::Times;
use crate::codec::aac::adts;
use crate::codec::ac3::SyncFrame;
use crate::codec::mp3::FrameHeader;
use crate::codec::{CodecId, latm};

/// How the frames begin.
#[derive(Debug)]
pub(super) enum Syntax {
    Adts,
    Loas(latm::Reader),
    MpegAudio,
    /// AC-3 and E-AC-3, whichever the frames are.
    Ac3,
}

#[derive(Debug)]
pub(super) struct FrameStream {
    syntax: Syntax,
    bytes: BytesMut,
    marks: Marks,
    clock: Clock,
    /// Bytes were passed over: a frame counts when the next one follows it.
    is_searching: bool,
    config: Bytes,
}

/// The time of the next frame: counted in samples from the last time that was sent, so that nothing
/// is rounded twice.
#[derive(Debug, Default)]
struct Clock {
    base: Option<i64>,
    samples: u64,
}

impl Clock {
    fn set(&mut self, time: i64) {
        (self.base, self.samples) = (Some(time), 0);
    }

    /// The time of a frame, and on to the next; `None` before the first time was sent.
    fn pass(&mut self, samples: u32, sample_rate_hz: u32) -> Option<i64> {
        let base = self.base?;
        let rate = u64::from(sample_rate_hz.max(1));
        let time = base + (self.samples * 90_000 / rate) as i64;
        self.samples += u64::from(samples);
        // A whole second is a whole number of ticks: the count stays small for ever.
        if self.samples >= rate {
            let seconds = self.samples / rate;
            self.base = Some(base + seconds as i64 * 90_000);
            self.samples -= seconds * rate;
        }
        Some(time)
    }
}

/// The frame at the front of the buffer.
enum Front {
    Frame { size: usize },
    NeedMore,
    NoSync,
}

impl FrameStream {
    pub(super) fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            bytes: BytesMut::new(),
            marks: Marks::default(),
            clock: Clock::default(),
            is_searching: false,
            config: Bytes::new(),
        }
    }

    /// A PES packet starts.
    pub(super) fn start(&mut self, times: Option<Times>) {
        self.marks.add(Mark { at: self.bytes.len(), times, is_random_access: false });
    }

    /// The next bytes of its payload.
    pub(super) fn data(&mut self, data: &[u8], on_found: &mut impl FnMut(Found)) {
        self.bytes.extend_from_slice(data);
        self.read(false, on_found);
    }

    /// Its payload is complete: a frame that ends with it needs none behind it.
    pub(super) fn end(&mut self, on_found: &mut impl FnMut(Found)) {
        self.read(true, on_found);
    }

    /// Bytes are missing: the frame is left out, and so is everything up to the next start of a PES
    /// packet. True when there was something to leave out.
    pub(super) fn lose(&mut self) -> bool {
        let had_bytes = !self.bytes.is_empty();
        self.bytes.clear();
        self.marks.clear();
        self.clock.base = None;
        had_bytes
    }

    fn read(&mut self, is_end: bool, on_found: &mut impl FnMut(Found)) {
        let mut skipped = 0;
        loop {
            match self.front(is_end) {
                Front::NeedMore => break,
                Front::NoSync => {
                    let step = self.next_candidate();
                    skipped += step;
                    self.bytes.advance(step);
                    self.marks.advance(step);
                    self.is_searching = true;
                }
                Front::Frame { size } => {
                    if let Some(times) = self.marks.take(0).and_then(|mark| mark.times) {
                        self.clock.set(times.pts);
                    }
                    let frame = self.bytes.split_to(size).freeze();
                    self.marks.advance(size);
                    self.is_searching = false;
                    self.hand_out(frame, on_found);
                }
            }
        }
        if skipped > 0 {
            on_found(Found::Fault(StreamFault::NoFrame { bytes: skipped }));
        }
    }

    /// Bytes to pass over to where a frame could start.
    fn next_candidate(&self) -> usize {
        let first = match self.syntax {
            Syntax::Adts | Syntax::MpegAudio => 0xFF,
            Syntax::Loas(_) => 0x56,
            Syntax::Ac3 => 0x0B,
        };
        let rest = self.bytes.get(1..).unwrap_or_default();
        rest.iter().position(|&byte| byte == first).map_or(self.bytes.len(), |at| at + 1)
    }

    fn front(&self, is_end: bool) -> Front {
        if self.bytes.len() < self.header_size() {
            return Front::NeedMore;
        }
        let Some(mut size) = self.frame_size(&self.bytes) else {
            return Front::NoSync;
        };
        let is_last = |size| is_end && self.bytes.len() == size;
        // Substreams that belong to an E-AC-3 frame follow it.
        while let (Syntax::Ac3, true) = (&self.syntax, self.bytes.len() >= size) {
            match self.bytes.get(size..).and_then(SyncFrame::parse) {
                Some(part) if part.is_part_of_last && size < UNIT_BYTES_MAX => size += part.size,
                Some(_) => break,
                None if is_last(size) => break,
                None if self.bytes.len() >= size + SyncFrame::SIZE => break,
                None if self.is_enhanced() => return Front::NeedMore,
                None => break,
            }
        }
        if self.bytes.len() < size {
            return Front::NeedMore;
        }
        let next = self.bytes.get(size..).unwrap_or_default();
        match self.is_searching && !is_last(size) {
            true if next.len() < self.header_size() => Front::NeedMore,
            true if self.frame_size(next).is_none() => Front::NoSync,
            _ => Front::Frame { size },
        }
    }

    fn is_enhanced(&self) -> bool {
        SyncFrame::parse(&self.bytes).is_some_and(|frame| frame.is_enhanced)
    }

    fn header_size(&self) -> usize {
        match self.syntax {
            Syntax::Adts => adts::Header::SIZE,
            Syntax::Loas(_) => latm::HEADER_SIZE,
            Syntax::MpegAudio => FrameHeader::SIZE,
            Syntax::Ac3 => SyncFrame::SIZE,
        }
    }

    /// Size of the frame at the front of `bytes`; `None` when there is none.
    fn frame_size(&self, bytes: &[u8]) -> Option<usize> {
        let size = match self.syntax {
            Syntax::Adts => adts::Header::parse(bytes)?.frame_size,
            Syntax::Loas(_) => latm::element_size(bytes)?,
            Syntax::MpegAudio => FrameHeader::parse(bytes)?.frame_size?,
            Syntax::Ac3 => SyncFrame::parse(bytes)?.size,
        };
        (size >= self.header_size()).then_some(size)
    }

    fn hand_out(&mut self, frame: Bytes, on_found: &mut impl FnMut(Found)) {
        match self.syntax {
            Syntax::Adts => self.hand_out_adts(frame, on_found),
            Syntax::Loas(_) => self.hand_out_element(&frame, on_found),
            Syntax::MpegAudio => {
                let Some(header) = FrameHeader::parse(&frame) else { return };
                let codec = if header.layer == 3 { CodecId::Mp3 } else { CodecId::Mp2 };
                if let Some(time) = self.clock.pass(header.samples, header.sample_rate_hz) {
                    on_found(Found::audio(codec, time, frame));
                }
            }
            Syntax::Ac3 => {
                let Some(header) = SyncFrame::parse(&frame) else { return };
                let codec = if header.is_enhanced { CodecId::Eac3 } else { CodecId::Ac3 };
                if let Some(time) = self.clock.pass(header.samples, header.sample_rate_hz) {
                    on_found(Found::audio(codec, time, frame));
                }
            }
        }
    }

    fn hand_out_adts(&mut self, frame: Bytes, on_found: &mut impl FnMut(Found)) {
        let Some(header) = adts::Header::parse(&frame) else { return };
        let samples = adts::FRAME_SAMPLES * u32::from(header.raw_blocks);
        let Some(time) = self.clock.pass(samples, header.sample_rate_hz()) else { return };
        if header.raw_blocks > 1 || header.channel_configuration == 0 {
            // Neither the blocks' sizes nor the channels are in the header.
            return on_found(Found::Fault(StreamFault::Unsupported(
                "ADTS with several blocks in a frame, or channels told in the frame",
            )));
        }
        self.set_config(&header.audio_specific_config(), time, on_found);
        on_found(Found::audio(CodecId::Aac, time, frame.slice(header.header_size..)));
    }

    fn hand_out_element(&mut self, element: &[u8], on_found: &mut impl FnMut(Found)) {
        let Syntax::Loas(reader) = &mut self.syntax else { return };
        let payload = element.get(latm::HEADER_SIZE..).unwrap_or_default();
        let mut frames = Vec::new();
        let result = reader.read(payload, |frame| frames.push(Bytes::from(frame)));
        let config = reader.config().map(|(config, audio)| (config.to_vec(), audio));
        if let Err(error) = result {
            let fault = match error {
                latm::Error::Malformed(what) => StreamFault::Malformed(what),
                latm::Error::Unsupported(what) => StreamFault::Unsupported(what),
                latm::Error::NoConfig => StreamFault::NoConfig,
            };
            on_found(Found::Fault(fault));
        }
        let Some((config, audio)) = config else { return };
        for frame in frames {
            let time = self.clock.pass(audio.frame_samples(), audio.sample_rate_hz);
            if let Some(time) = time {
                self.set_config(&config, time, on_found);
                on_found(Found::audio(CodecId::Aac, time, frame));
            }
        }
    }

    fn set_config(&mut self, config: &[u8], time: i64, on_found: &mut impl FnMut(Found)) {
        if self.config != config {
            self.config = Bytes::copy_from_slice(config);
            on_found(Found::config(CodecId::Aac, time, self.config.clone()));
        }
    }
}

/// An E-AC-3 frame has at most eight independent substreams with eight dependent ones each.
const UNIT_BYTES_MAX: usize = 72 * 4096;

#[cfg(test)]
mod tests;
