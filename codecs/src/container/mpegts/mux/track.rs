//! One track of a multiplex: how it is carried, and the frames that wait for their packet.

use bytes::Bytes;

use super::NotCarried;
use super::carriage::{self, Carriage};
use super::frame::{self, Adts};
use super::nal::NalCoding;
use super::settings::Signalling;
use crate::access_unit::{AccessUnit, TrackId};
use crate::codec::CodecId;

/// A track.
#[derive(Debug)]
pub(super) struct Track {
    pub id: TrackId,
    pub codec: CodecId,
    /// Index of its packet counter.
    pub counter: usize,
    /// How it travels, or why it does not.
    pub state: Result<Carried, NotCarried>,
    /// The newest configuration record; empty before the first one.
    config: Bytes,
    pub bundle: Bundle,
}

/// A track that is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub carriage: Carriage,
    pub coding: Coding,
}

/// How payloads become elementary-stream bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Nal(NalCoding),
    /// Configuration OBUs of av1C.
    Av1(Bytes),
    Adts(Adts),
    Opus,
    /// MPEG audio, AC-3: frames as they are.
    Plain,
}

/// Frames of sound that will share a PES packet. Its memory is kept for the next ones.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    pub bytes: Vec<u8>,
    /// Decoding time of the first frame, in ticks of stream time.
    pub first_dts: i64,
    last_dts: i64,
    /// From one frame to the next, in ticks.
    step: i64,
}

impl Track {
    pub(super) fn new(id: TrackId, counter: usize) -> Self {
        Self {
            id,
            codec: CodecId::Unknown,
            counter,
            state: Err(NotCarried::NoConfig),
            config: Bytes::new(),
            bundle: Bundle::default(),
        }
    }

    /// Takes over a configuration record; true when the track is carried differently afterwards.
    pub(super) fn configure(&mut self, unit: &AccessUnit, signalling: Signalling) -> bool {
        if self.codec == unit.codec && self.config == unit.payload && self.state.is_ok() {
            return false;
        }
        (self.codec, self.config) = (unit.codec, unit.payload.clone());
        self.replace_state(&[], signalling)
    }

    /// Looks at a frame of a codec that needs no configuration record; true as above.
    pub(super) fn recognise(&mut self, unit: &AccessUnit, signalling: Signalling) -> bool {
        if self.codec == unit.codec {
            return false;
        }
        (self.codec, self.config) = (unit.codec, Bytes::new());
        self.replace_state(&unit.payload, signalling)
    }

    fn replace_state(&mut self, frame: &[u8], signalling: Signalling) -> bool {
        let carried = |state: &Result<Carried, _>| {
            state.as_ref().ok().map(|carried: &Carried| carried.carriage.clone())
        };
        let before = carried(&self.state);
        self.state = self.carry(frame, signalling);
        before != carried(&self.state)
    }

    fn carry(&self, frame: &[u8], signalling: Signalling) -> Result<Carried, NotCarried> {
        let mut carriage = carriage::carriage(self.codec, &self.config, frame, signalling)?;
        let coding = self.coding().ok_or(NotCarried::NoConfig)?;
        if carriage.stream_id != carriage::STREAM_ID_PRIVATE_1 {
            // At most 16 tracks of a kind: the stream_ids of a kind do not run out.
            carriage.stream_id |= self.id.index & 0x0F;
        }
        Ok(Carried { carriage, coding })
    }

    fn coding(&self) -> Option<Coding> {
        Some(match self.codec {
            CodecId::H264 | CodecId::H265 | CodecId::H266 => {
                Coding::Nal(NalCoding::from_config(self.codec, &self.config)?)
            }
            CodecId::Av1 => Coding::Av1(self.config.slice(4.min(self.config.len())..)),
            CodecId::Aac => Coding::Adts(Adts::from_config(&self.config)?),
            CodecId::Opus => Coding::Opus,
            _ => Coding::Plain,
        })
    }
}

impl Bundle {
    /// True when frames wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Appends a frame in its elementary-stream form.
    pub(super) fn push(
        &mut self,
        coding: &Coding,
        frame: &[u8],
        dts: i64,
    ) -> Result<(), NotCarried> {
        if frame.is_empty() {
            return Err(NotCarried::Malformed("empty frame"));
        }
        let is_first = self.bytes.is_empty();
        match coding {
            Coding::Adts(adts) => adts.append(frame, &mut self.bytes)?,
            Coding::Opus => frame::append_opus(frame, &mut self.bytes)?,
            _ if frame.len() > FRAME_BYTES_MAX => return Err(NotCarried::TooLong),
            _ => self.bytes.extend_from_slice(frame),
        }
        if is_first {
            self.first_dts = dts;
        }
        self.step = dts.saturating_sub(self.last_dts).max(0);
        self.last_dts = dts;
        Ok(())
    }

    /// True when frames have waited for `duration` at stream time `now`.
    pub(super) fn has_waited(&self, now: i64, duration: i64) -> bool {
        self.is_waiting() && now.saturating_sub(self.first_dts) >= duration
    }

    /// True when a frame at `dts` must not join the frames that wait: it is not their continuation,
    /// or they would be longer than `duration` together.
    pub(super) fn ends_before(&self, dts: i64, duration: i64) -> bool {
        let step = dts.saturating_sub(self.last_dts);
        let together = dts.saturating_sub(self.first_dts).saturating_add(step);
        self.is_waiting() && (step < 0 || together > duration)
    }

    /// True when one more frame would be more than `duration` ticks, or the rest of the packets is
    /// not worth waiting for.
    pub(super) fn is_full(&self, duration: i64) -> bool {
        let bundled = self.last_dts.saturating_sub(self.first_dts).saturating_add(self.step);
        bundled.saturating_add(self.step) > duration
            || duration == 0
            || self.bytes.len() >= BUNDLE_BYTES
    }
}

/// What a PES packet of sound can hold, less the longest header.
const FRAME_BYTES_MAX: usize = 65_000;
/// Seven packets of payload: what is lost in the last one is then below 7 %.
const BUNDLE_BYTES: usize = 7 * 184;
