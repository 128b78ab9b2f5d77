//! The bits of FLV: file header, tag header and the first bytes of audio and video bodies.

use crate::access_unit::TrackKind;

/// What an FLV tag carries; the value is also the RTMP message type id (Annex E.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagType {
    /// Sound.
    Audio = 8,
    /// Pictures.
    Video = 9,
    /// AMF0 data: `onMetaData`, cue points, text.
    Script = 18,
}

impl TagType {
    /// The tag type with this number; `None` for numbers that FLV does not define.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Script),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn id(self) -> u8 {
        self as u8
    }
}

impl From<TrackKind> for TagType {
    fn from(kind: TrackKind) -> Self {
        match kind {
            TrackKind::Audio => Self::Audio,
            TrackKind::Video => Self::Video,
            TrackKind::Data => Self::Script,
        }
    }
}

/// Size of the file header without the PreviousTagSize0 behind it, in bytes (Annex E.2).
pub const FILE_HEADER_SIZE: usize = 9;
/// Size of a tag header, in bytes (Annex E.4.1).
pub const TAG_HEADER_SIZE: usize = 11;
/// Size of the PreviousTagSize field that follows the file header and every tag, in bytes.
pub const PREVIOUS_TAG_SIZE_SIZE: usize = 4;
/// Longest tag body that the 24-bit DataSize field can announce, in bytes.
pub const TAG_BODY_BYTES_MAX: usize = 0xFF_FFFF;

/// The file header with PreviousTagSize0: what every FLV stream starts with (Annex E.2, E.3).
///
/// `audio` and `video` are the TypeFlags; players use them to decide how many tracks to wait for.
pub const fn file_header(audio: bool, video: bool) -> [u8; 13] {
    let flags = (audio as u8) << 2 | video as u8;
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, FILE_HEADER_SIZE as u8, 0, 0, 0, 0]
}

/// The tag header: type, 24-bit body size, time in milliseconds (low 24 bits, then the high 8),
/// stream id 0. `None` when the body is longer than [`TAG_BODY_BYTES_MAX`].
///
/// ```text
/// 0      1         4            7          8          11
/// | type | DataSize | Timestamp | Extended | StreamID |
/// ```
pub fn tag_header(
    tag_type: TagType,
    timestamp_ms: u32,
    body_size: usize,
) -> Option<[u8; TAG_HEADER_SIZE]> {
    let size = u32::try_from(body_size).ok().filter(|_| body_size <= TAG_BODY_BYTES_MAX)?;
    let [_, s0, s1, s2] = size.to_be_bytes();
    let [extended, t0, t1, t2] = timestamp_ms.to_be_bytes();
    Some([tag_type.id(), s0, s1, s2, t0, t1, t2, extended, 0, 0, 0])
}

/// FrameType of a video tag: the high nibble of its first byte, three bits of it in E-RTMP
/// (Annex E.4.3.1).
pub(super) mod frame_type {
    pub(in super::super) const KEY: u8 = 1;
    pub(in super::super) const INTER: u8 = 2;
    pub(in super::super) const GENERATED_KEY: u8 = 4;
    pub(in super::super) const COMMAND: u8 = 5;
}

/// AVCPacketType, also used by the unofficial HEVC codec id 12 (Annex E.4.3.1).
pub(super) mod avc_packet_type {
    pub(in super::super) const SEQUENCE_HEADER: u8 = 0;
    pub(in super::super) const NALU: u8 = 1;
    pub(in super::super) const END_OF_SEQUENCE: u8 = 2;
}

/// AACPacketType (Annex E.4.2.1).
pub(super) mod aac_packet_type {
    pub(in super::super) const SEQUENCE_HEADER: u8 = 0;
    pub(in super::super) const RAW: u8 = 1;
}

/// SoundFormat 9: the low nibble is an AudioPacketType and a FourCC follows (E-RTMP, Enhanced
/// Audio).
pub(super) const SOUND_FORMAT_EX_HEADER: u8 = 9;
/// isExVideoHeader: the low nibble is a VideoPacketType and a FourCC follows (E-RTMP, Enhanced
/// Video).
pub(super) const EX_VIDEO_HEADER: u8 = 0x80;

/// Packet types of E-RTMP that audio and video share.
pub(super) mod packet_type {
    pub(in super::super) const SEQUENCE_START: u8 = 0;
    pub(in super::super) const CODED_FRAMES: u8 = 1;
    pub(in super::super) const SEQUENCE_END: u8 = 2;
    /// Video: coded frames whose composition time is 0.
    pub(in super::super) const VIDEO_CODED_FRAMES_X: u8 = 3;
    /// Video Metadata and audio MultichannelConfig have the same number.
    pub(in super::super) const TRACK_METADATA: u8 = 4;
    pub(in super::super) const VIDEO_MPEG2TS_SEQUENCE_START: u8 = 5;
    pub(in super::super) const AUDIO_MULTITRACK: u8 = 5;
    pub(in super::super) const VIDEO_MULTITRACK: u8 = 6;
    pub(in super::super) const MOD_EX: u8 = 7;
}

/// AvMultitrackType (E-RTMP).
pub(super) mod multitrack_type {
    pub(in super::super) const ONE_TRACK: u8 = 0;
    pub(in super::super) const MANY_TRACKS: u8 = 1;
    pub(in super::super) const MANY_TRACKS_MANY_CODECS: u8 = 2;
}

/// Packet modifier types (E-RTMP, ModEx).
pub(super) mod mod_ex_type {
    /// The data is a 24-bit number of nanoseconds to add to the presentation time.
    pub(in super::super) const TIMESTAMP_OFFSET_NANO: u8 = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_header_announces_exactly_the_tracks_asked_for() {
        assert_eq!(file_header(true, true), *b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00");
        assert_eq!(file_header(true, false)[4], 4);
        assert_eq!(file_header(false, true)[4], 1);
        assert_eq!(file_header(false, false)[4], 0);
    }

    #[test]
    fn tag_header_splits_the_timestamp_into_low_24_and_high_8_bits() {
        let header = tag_header(TagType::Video, 0x1234_5678, 0x0A_0B0C).expect("fits");
        assert_eq!(header, [9, 0x0A, 0x0B, 0x0C, 0x34, 0x56, 0x78, 0x12, 0, 0, 0]);
    }

    #[test]
    fn tag_header_refuses_a_body_that_24_bits_cannot_describe() {
        assert!(tag_header(TagType::Video, 0, TAG_BODY_BYTES_MAX).is_some());
        assert_eq!(tag_header(TagType::Video, 0, TAG_BODY_BYTES_MAX + 1), None);
    }
}
