//! MPEG audio, layers I to III: ISO/IEC 11172-3 2.4.1.3, 13818-3, and the unofficial MPEG 2.5. In
//! FLV a sender may call all of them MP3.
//!
//! ```text
//! | 11 sync | 2 version | 2 layer | 1 crc | 4 bit rate | 2 rate | 1 pad | 1 private | 2 mode | ..
//! ```

use super::{CodecId, esds};
use crate::access_unit::TrackInfo;

/// The fixed 32 bits in front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// 1, 2 or 3.
    pub layer: u8,
    /// Samples per second: 8,000 to 48,000.
    pub sample_rate_hz: u32,
    /// 1 or 2.
    pub channels: u8,
    /// Samples of the frame: 384, 576 or 1,152.
    pub samples: u32,
    /// Bytes of the frame, header included; `None` when the header does not say (free format).
    pub frame_size: Option<usize>,
}

impl FrameHeader {
    /// Bytes that [`parse`](Self::parse) needs.
    pub const SIZE: usize = 4;

    /// Reads the header at the front of a frame; `None` when it is not one.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let &[b0, b1, b2, b3] = frame.first_chunk::<4>()?;
        if b0 != 0xFF || b1 & 0xE0 != 0xE0 {
            return None;
        }
        let divisor = match b1 >> 3 & 0x03 {
            0 => 4, // MPEG 2.5
            2 => 2, // MPEG 2
            3 => 1, // MPEG 1
            _ => return None,
        };
        let layer = match b1 >> 1 & 0x03 {
            0 => return None,
            bits => 4 - bits,
        };
        let mpeg1_rate_hz = match b2 >> 2 & 0x03 {
            0 => 44_100,
            1 => 48_000,
            2 => 32_000,
            _ => return None,
        };
        let channels = if b3 >> 6 == MODE_MONO { 1 } else { 2 };
        let sample_rate_hz = mpeg1_rate_hz / divisor;
        let is_mpeg1 = divisor == 1;
        let samples = match layer {
            1 => 384,
            3 if !is_mpeg1 => 576,
            _ => 1152,
        };
        let bit_rate = bit_rate_kbps(layer, is_mpeg1, b2 >> 4)? * 1000;
        let padding = u32::from(b2 >> 1 & 1);
        // Layer I counts in slots of four bytes (2.4.3.1).
        let size = match layer {
            1 => (12 * bit_rate / sample_rate_hz + padding) * 4,
            _ => samples / 8 * bit_rate / sample_rate_hz + padding,
        };
        let frame_size = (bit_rate > 0).then_some(size as usize);
        Some(Self { layer, sample_rate_hz, channels, samples, frame_size })
    }
}

/// Reads the parameters from the first frame.
pub fn from_frame(frame: &[u8]) -> Option<TrackInfo> {
    let header = FrameHeader::parse(frame)?;
    Some(TrackInfo {
        codec: CodecId::Mp3,
        profile: format!("Layer {}", header.layer),
        sample_rate_hz: header.sample_rate_hz,
        channels: header.channels,
        ..TrackInfo::default()
    })
}

/// Reads the parameters from the first frame of a stream that is called MP2.
pub fn from_mp2_frame(frame: &[u8]) -> Option<TrackInfo> {
    Some(TrackInfo { codec: CodecId::Mp2, ..from_frame(frame)? })
}

/// Content of `esds` in MP4, of a frame: MPEG-2's half rates have a number of their own
/// (ISO/IEC 14496-1 7.2.6.6).
pub fn mp4_config(frame: &[u8]) -> Option<Vec<u8>> {
    const MPEG_1_AUDIO: u8 = 0x6B;
    const MPEG_2_AUDIO: u8 = 0x69;
    let header = FrameHeader::parse(frame)?;
    let is_mpeg1 = header.sample_rate_hz >= 32_000;
    esds::sound(if is_mpeg1 { MPEG_1_AUDIO } else { MPEG_2_AUDIO }, &[])
}

/// bitrate_index in kbit/s (2.4.2.3; 13818-3 2.4.2.3); 0 is the free format, `None` forbidden.
fn bit_rate_kbps(layer: u8, is_mpeg1: bool, index: u8) -> Option<u32> {
    let row: &[u32; 15] = match (is_mpeg1, layer) {
        (true, 1) => &[0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        (true, 2) => &[0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        (true, _) => &[0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        (false, 1) => &[0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (false, _) => &[0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    };
    row.get(usize::from(index)).copied()
}

/// Name by RFC 6381: the audio object type of the layer (ISO/IEC 14496-3 1.5.1.1), which Apple and
/// ffmpeg write, and of which hls.js and Shaka Player make the name that the browser at hand takes.
/// They do not so with `mp4a.6B` and `mp4a.69`, the names by the number in `esds`, and Safari's
/// MediaSource refuses those. Browsers play layer III alone: hls.js says so of the others at once,
/// where without a name it would fail at the first segment.
pub fn rfc6381(info: &TrackInfo) -> &'static str {
    let usual = if info.codec == CodecId::Mp2 { LAYERS[1].1 } else { LAYERS[2].1 };
    LAYERS.iter().find(|(layer, _)| *layer == info.profile).map_or(usual, |(_, name)| name)
}

/// The layers with their names for people and in playlists.
const LAYERS: [(&str, &str); 3] =
    [("Layer 1", "mp4a.40.32"), ("Layer 2", "mp4a.40.33"), ("Layer 3", "mp4a.40.34")];
const MODE_MONO: u8 = 3;
