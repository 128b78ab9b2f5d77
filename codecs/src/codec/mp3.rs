//! MPEG audio layer III, and layers I and II where a sender calls them MP3: ISO/IEC 11172-3
//! 2.4.1.3, 13818-3, and the unofficial MPEG 2.5.
//!
//! ```text
//! | 11 sync | 2 version | 2 layer | 1 crc | 4 bit rate | 2 rate | 1 pad | 1 private | 2 mode | ..
//! ```

use super::CodecId;
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
}

impl FrameHeader {
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
        Some(Self { layer, sample_rate_hz: mpeg1_rate_hz / divisor, channels })
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

const MODE_MONO: u8 = 3;
