//! Access units into FLV: tag bodies (also RTMP message bodies) and tags.
//!
//! What came from FLV goes out unchanged. Everything else gets the oldest form that players know:
//! H.264, AAC, MP3, G.711 and Speex the legacy header, newer codecs and further tracks the E-RTMP
//! one.

use bytes::Bytes;
use smallvec::SmallVec;

use super::header::{
    EX_VIDEO_HEADER, PREVIOUS_TAG_SIZE_SIZE, SOUND_FORMAT_EX_HEADER, TAG_HEADER_SIZE, TagType,
    aac_packet_type, avc_packet_type, frame_type, multitrack_type, packet_type, tag_header,
};
use crate::access_unit::{AccessUnit, FlvBody, TrackKind, UnitKind};
use crate::codec::{CodecId, mp3};
use crate::sink::ByteSink;

/// The bytes in front of a payload; the longest is 10, so it never allocates.
pub type Header = SmallVec<[u8; 16]>;

/// A tag body in two pieces: the bytes in front, and the payload that is shared with the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagBody {
    /// Audio, video or script.
    pub tag_type: TagType,
    /// What FLV puts in front of the payload; empty when the payload is the whole body.
    pub header: Header,
    /// The rest of the body.
    pub payload: Bytes,
}

impl TagBody {
    /// Size of the whole body, in bytes.
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }

    /// True when there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The tag body of a unit; `None` for a unit that travels in the body of the one before it and for
/// what FLV cannot carry.
///
/// Cost: no allocation, no copy of the payload.
pub fn tag_body(unit: &AccessUnit) -> Option<TagBody> {
    match &unit.flv {
        FlvBody::Verbatim(body) => Some(TagBody {
            tag_type: unit.track.kind.into(),
            header: Header::new(),
            payload: body.clone(),
        }),
        FlvBody::Covered => None,
        FlvBody::Build => build_body(unit),
    }
}

/// Builds a tag body for this unit alone, wherever it came from: for a kept unit that is replayed
/// without the others of its message. `None` for what FLV cannot carry by itself.
pub fn build_body(unit: &AccessUnit) -> Option<TagBody> {
    let header = match unit.track.kind {
        TrackKind::Video => video_header(unit)?,
        TrackKind::Audio => audio_header(unit)?,
        TrackKind::Data => Header::new(),
    };
    Some(TagBody { tag_type: unit.track.kind.into(), header, payload: unit.payload.clone() })
}

/// Writes one tag and its PreviousTagSize, and returns the number of bytes written: 0 when header
/// and payload together are longer than a tag can be (16 MiB - 1).
pub fn write_tag(
    tag_type: TagType,
    timestamp_ms: u32,
    header: &[u8],
    payload: &[u8],
    out: &mut impl ByteSink,
) -> usize {
    let body_size = header.len() + payload.len();
    let Some(tag_header) = tag_header(tag_type, timestamp_ms, body_size) else {
        return 0;
    };
    let tag_size = TAG_HEADER_SIZE + body_size;
    out.put(&tag_header);
    out.put(header);
    out.put(payload);
    // Fits: the body is at most 2^24 - 1 bytes.
    out.put(&(tag_size as u32).to_be_bytes());
    tag_size + PREVIOUS_TAG_SIZE_SIZE
}

fn video_header(unit: &AccessUnit) -> Option<Header> {
    let frame_type = match unit.kind {
        UnitKind::Frame { random_access: false } => frame_type::INTER,
        _ => frame_type::KEY,
    };
    if !fits_legacy(unit) {
        return enhanced_video_header(frame_type, unit);
    }
    match (unit.codec, unit.codec.row().flv_ids) {
        (CodecId::H264, &[id, ..]) => avc_header(frame_type << 4 | id, unit),
        // The unofficial id of H.265 is understood by fewer players than its FourCC.
        (CodecId::H265, _) | (_, []) => enhanced_video_header(frame_type, unit),
        (_, &[id, ..]) => is_frame(unit).then(|| Header::from_slice(&[frame_type << 4 | id])),
    }
}

fn enhanced_video_header(frame_type: u8, unit: &AccessUnit) -> Option<Header> {
    let has_composition_time = matches!(unit.codec, CodecId::H264 | CodecId::H265 | CodecId::H266);
    let composition_time_ms = composition_time_ms(unit);
    let packet_type = match unit.kind {
        UnitKind::Frame { .. } if has_composition_time && composition_time_ms == 0 => {
            packet_type::VIDEO_CODED_FRAMES_X
        }
        _ => enhanced_packet_type(unit.kind)?,
    };
    let first = EX_VIDEO_HEADER | frame_type << 4;
    let mut header = enhanced_header(first, packet_type::VIDEO_MULTITRACK, packet_type, unit)?;
    if packet_type == packet_type::CODED_FRAMES && has_composition_time {
        header.extend_from_slice(&i24(composition_time_ms));
    }
    Some(header)
}

fn avc_header(first: u8, unit: &AccessUnit) -> Option<Header> {
    let (packet_type, composition_time_ms) = match unit.kind {
        UnitKind::Config => (avc_packet_type::SEQUENCE_HEADER, 0),
        UnitKind::Frame { .. } => (avc_packet_type::NALU, composition_time_ms(unit)),
        UnitKind::EndOfSequence => (avc_packet_type::END_OF_SEQUENCE, 0),
        _ => return None,
    };
    let [c0, c1, c2] = i24(composition_time_ms);
    Some(Header::from_slice(&[first, packet_type, c0, c1, c2]))
}

fn audio_header(unit: &AccessUnit) -> Option<Header> {
    if !fits_legacy(unit) {
        return enhanced_audio_header(unit);
    }
    let first_byte = match unit.codec {
        CodecId::Aac => return aac_header(unit.kind),
        CodecId::Mp3 => mp3_first_byte(&unit.payload),
        CodecId::Speex => SPEEX_FIRST_BYTE,
        CodecId::G711A => G711A_FIRST_BYTE,
        CodecId::G711U => G711U_FIRST_BYTE,
        _ => return enhanced_audio_header(unit),
    };
    is_frame(unit).then(|| Header::from_slice(&[first_byte]))
}

fn aac_header(kind: UnitKind) -> Option<Header> {
    let packet_type = match kind {
        UnitKind::Config => aac_packet_type::SEQUENCE_HEADER,
        UnitKind::Frame { .. } => aac_packet_type::RAW,
        _ => return None,
    };
    Some(Header::from_slice(&[AAC_FIRST_BYTE, packet_type]))
}

fn enhanced_audio_header(unit: &AccessUnit) -> Option<Header> {
    let packet_type = enhanced_packet_type(unit.kind)?;
    let first = SOUND_FORMAT_EX_HEADER << 4;
    enhanced_header(first, packet_type::AUDIO_MULTITRACK, packet_type, unit)
}

/// The legacy headers have no track number and no track metadata.
fn fits_legacy(unit: &AccessUnit) -> bool {
    unit.track.index == 0 && unit.kind != UnitKind::TrackMetadata
}

fn is_frame(unit: &AccessUnit) -> bool {
    matches!(unit.kind, UnitKind::Frame { .. })
}

/// The packet types that audio and video share; `None` for what belongs to no track.
fn enhanced_packet_type(kind: UnitKind) -> Option<u8> {
    match kind {
        UnitKind::Config => Some(packet_type::SEQUENCE_START),
        UnitKind::Frame { .. } => Some(packet_type::CODED_FRAMES),
        UnitKind::EndOfSequence => Some(packet_type::SEQUENCE_END),
        UnitKind::TrackMetadata => Some(packet_type::TRACK_METADATA),
        UnitKind::Metadata | UnitKind::Data | UnitKind::Opaque => None,
    }
}

/// The E-RTMP header up to the data: plain for track 0, multitrack (OneTrack) for the others.
fn enhanced_header(
    first: u8,
    multitrack: u8,
    packet_type: u8,
    unit: &AccessUnit,
) -> Option<Header> {
    let fourcc = unit.codec.row().fourcc?;
    let mut header = Header::new();
    if unit.track.index == 0 {
        header.push(first | packet_type);
        header.extend_from_slice(&fourcc);
    } else {
        header.push(first | multitrack);
        header.push(multitrack_type::ONE_TRACK << 4 | packet_type);
        header.extend_from_slice(&fourcc);
        header.push(unit.track.index);
    }
    Some(header)
}

/// Presentation minus decoding time in whole milliseconds, such that the tag's time plus this is
/// the presentation time rounded down.
fn composition_time_ms(unit: &AccessUnit) -> i32 {
    let ms = unit.pts().as_millis() - unit.dts.as_millis();
    ms.clamp(I24_MIN, I24_MAX) as i32
}

/// A signed 24-bit field (SI24).
fn i24(value: i32) -> [u8; 3] {
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}

/// The legacy first byte of an MP3 frame: format, rate, 16 bit, stereo.
fn mp3_first_byte(frame: &[u8]) -> u8 {
    const MP3: u8 = 2 << 4 | SIZE_16_BIT;
    const MP3_8K: u8 = 14 << 4 | SIZE_16_BIT;
    let Some(header) = mp3::FrameHeader::parse(frame) else {
        return MP3 | RATE_44K | STEREO;
    };
    let stereo = if header.channels > 1 { STEREO } else { 0 };
    let format_and_rate = match header.sample_rate_hz {
        8_000 => MP3_8K,
        0..=11_025 => MP3 | RATE_11K,
        11_026..=22_050 => MP3 | RATE_22K,
        _ => MP3 | RATE_44K,
    };
    format_and_rate | stereo
}

const RATE_11K: u8 = 1 << 2;
const RATE_22K: u8 = 2 << 2;
const RATE_44K: u8 = 3 << 2;
const SIZE_16_BIT: u8 = 1 << 1;
const STEREO: u8 = 1;

/// AAC is always written as 44 kHz, 16 bit, stereo; players take the truth from its configuration
/// (Annex E.4.2.1).
const AAC_FIRST_BYTE: u8 = 10 << 4 | RATE_44K | SIZE_16_BIT | STEREO;
/// Speex is 16 kHz mono whatever this byte says; the value is the one that Flash wrote.
const SPEEX_FIRST_BYTE: u8 = 11 << 4 | RATE_11K | SIZE_16_BIT;
/// G.711 in FLV is 8 kHz mono.
const G711A_FIRST_BYTE: u8 = 7 << 4 | SIZE_16_BIT;
const G711U_FIRST_BYTE: u8 = 8 << 4 | SIZE_16_BIT;

const I24_MIN: i64 = -(1 << 23);
const I24_MAX: i64 = (1 << 23) - 1;

#[cfg(test)]
mod tests;
