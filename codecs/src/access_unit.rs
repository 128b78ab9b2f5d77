//! One coded picture or audio frame, and the tracks they belong to.
//!
//! Invariants
//! - All times of one stream are on one 64-bit timeline of 90 kHz ticks (ISO/IEC 13818-1's clock,
//!   and an exact multiple of RTMP's milliseconds), so no egress has to know where a unit came
//!   from.
//! - `payload` is a slice of the buffer in which the publisher's bytes were reassembled.

use bytes::Bytes;

use crate::codec::CodecId;

/// A point on a stream's timeline, in ticks of 1/90,000 s. 64 bits: it does not wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Ticks per millisecond.
    pub const TICKS_PER_MS: i64 = 90;

    /// The point `ms` milliseconds after the stream's zero.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms * Self::TICKS_PER_MS)
    }

    /// Whole milliseconds, rounded towards minus infinity.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(Self::TICKS_PER_MS)
    }
}

impl std::ops::Add<i64> for Timestamp {
    type Output = Self;
    fn add(self, ticks: i64) -> Self {
        Self(self.0 + ticks)
    }
}

impl std::ops::Sub for Timestamp {
    type Output = i64;
    fn sub(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Metadata, text, cues: anything that is neither.
    Data,
}

/// A track of a stream: its kind and its number within the kind (0 is the plain, first track).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId {
    /// Pictures, sound or data.
    pub kind: TrackKind,
    /// Number within the kind; Enhanced RTMP's `trackId`.
    pub index: u8,
}

impl TrackId {
    /// The first video track.
    pub const VIDEO: Self = Self { kind: TrackKind::Video, index: 0 };
    /// The first audio track.
    pub const AUDIO: Self = Self { kind: TrackKind::Audio, index: 0 };
    /// The data track.
    pub const DATA: Self = Self { kind: TrackKind::Data, index: 0 };
}

/// What a unit is to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnitKind {
    /// The decoder configuration record (avcC, hvcC, av1C, vpcC, AudioSpecificConfig, OpusHead
    /// ...).
    Config,
    /// A coded frame.
    Frame {
        /// Decoding can start here. Always true for audio.
        random_access: bool,
    },
    /// The codec's end-of-sequence mark.
    EndOfSequence,
    /// `onMetaData` of the stream: the payload is AMF0 (the name, then an object or ECMA array).
    Metadata,
    /// Any other data message: the payload is AMF0, name first.
    Data,
    /// What the container says of one track beside its decoder configuration, valid until the next
    /// one: Enhanced RTMP's video metadata (colour, HDR) and audio MultichannelConfig. The payload
    /// is in Enhanced RTMP's form.
    TrackMetadata,
    /// Legal in its container, without meaning to us (FLV video command frames, unknown packet
    /// types): carried in `AccessUnit::flv`, forwarded where the container is the same, never
    /// interpreted.
    Opaque,
}

/// How a unit looks as the body of an FLV tag, which is also the body of an RTMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlvBody {
    /// The unit did not come from FLV or RTMP: the muxer writes the tag header in front of the
    /// payload.
    Build,
    /// The whole body as received: it goes out again unchanged, byte for byte.
    Verbatim(Bytes),
    /// The body travels with the unit before this one (several tracks in one message).
    Covered,
}

/// One coded picture, one audio frame, one configuration record or one data message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// The track it belongs to.
    pub track: TrackId,
    /// What it is to a decoder.
    pub kind: UnitKind,
    /// How its payload is coded.
    pub codec: CodecId,
    /// Decoding time.
    pub dts: Timestamp,
    /// Presentation time minus decoding time, in ticks; 0 for audio and data.
    pub pts_offset: i32,
    /// The coded bytes in the codec's FLV/MP4 form: H.264, H.265 and H.266 as length-prefixed NAL
    /// units (length size from the configuration record), AAC raw (no ADTS), AV1 as OBUs with
    /// sizes.
    pub payload: Bytes,
    /// The same unit as an FLV tag body.
    pub flv: FlvBody,
}

impl AccessUnit {
    /// Presentation time.
    pub fn pts(&self) -> Timestamp {
        self.dts + i64::from(self.pts_offset)
    }

    /// True for a video frame at which decoding can start.
    pub fn is_video_random_access(&self) -> bool {
        self.track.kind == TrackKind::Video && self.kind == UnitKind::Frame { random_access: true }
    }

    /// True for what a late joiner must be given before the first frame: it stays valid until a
    /// later unit of the same track and kind replaces it.
    pub fn is_sticky(&self) -> bool {
        matches!(self.kind, UnitKind::Config | UnitKind::Metadata | UnitKind::TrackMetadata)
    }
}

/// What is known of a track, for the API, for metadata and for choosing egress forms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackInfo {
    /// Codec of the track.
    pub codec: CodecId,
    /// Profile as the codec's specification names it ("High", "Main 10", "LC"); empty when unknown.
    pub profile: String,
    /// Level as the codec's specification writes it ("4.1"); empty when unknown.
    pub level: String,
    /// Coded picture width after cropping, in pixels; 0 when unknown or not video.
    pub width: u32,
    /// Coded picture height after cropping, in pixels; 0 when unknown or not video.
    pub height: u32,
    /// Frames per second from the parameter sets; 0.0 when unknown.
    pub frame_rate: f64,
    /// Samples per second; 0 when unknown or not audio.
    pub sample_rate_hz: u32,
    /// Number of channels; 0 when unknown or not audio.
    pub channels: u8,
}

impl TrackInfo {
    /// Takes over what `newer` knows and keeps the rest, as a configuration record and a first
    /// frame complete each other. Another codec replaces everything.
    pub fn update(&mut self, newer: Self) {
        if newer.codec != self.codec {
            *self = newer;
            return;
        }
        if !newer.profile.is_empty() {
            self.profile = newer.profile;
        }
        if !newer.level.is_empty() {
            self.level = newer.level;
        }
        if newer.width != 0 && newer.height != 0 {
            (self.width, self.height) = (newer.width, newer.height);
        }
        if newer.frame_rate > 0.0 {
            self.frame_rate = newer.frame_rate;
        }
        if newer.sample_rate_hz != 0 {
            self.sample_rate_hz = newer.sample_rate_hz;
        }
        if newer.channels != 0 {
            self.channels = newer.channels;
        }
    }
}

/// Which tracks a viewer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrackFilter {
    /// Video tracks are sent.
    pub video: bool,
    /// Audio tracks are sent.
    pub audio: bool,
}

impl TrackFilter {
    /// Everything.
    pub const ALL: Self = Self { video: true, audio: true };

    /// True when a unit of this kind of track passes; data always does.
    pub fn passes(self, kind: TrackKind) -> bool {
        match kind {
            TrackKind::Video => self.video,
            TrackKind::Audio => self.audio,
            TrackKind::Data => true,
        }
    }
}
