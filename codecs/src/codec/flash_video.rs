//! The video codecs of early Flash whose frames tell their size: Sorenson H.263 and Screen video
//! (FLV 10.1 E.4.3.2 to E.4.3.4).

use super::CodecId;
use super::bits::BitReader;
use crate::access_unit::TrackInfo;

/// Reads the picture size from a Sorenson H.263 picture (H263VIDEOPACKET).
pub fn from_sorenson_h263(frame: &[u8]) -> Option<TrackInfo> {
    let mut reader = BitReader::new(frame);
    if reader.bits(17)? != 1 {
        return None;
    }
    let _version = reader.bits(5)?;
    let _temporal_reference = reader.bits(8)?;
    let (width, height) = match reader.bits(3)? {
        0 => (reader.bits(8)?, reader.bits(8)?),
        1 => (reader.bits(16)?, reader.bits(16)?),
        2 => (352, 288),
        3 => (176, 144),
        4 => (128, 96),
        5 => (320, 240),
        6 => (160, 120),
        _ => return None,
    };
    Some(TrackInfo { codec: CodecId::SorensonH263, width, height, ..TrackInfo::default() })
}

/// Reads the picture size from a Screen video frame (SCREENVIDEOPACKET).
pub fn from_screen_video(frame: &[u8]) -> Option<TrackInfo> {
    let (width, height) = screen_size(frame)?;
    Some(TrackInfo { codec: CodecId::ScreenVideo, width, height, ..TrackInfo::default() })
}

/// Reads the picture size from a Screen video 2 frame (SCREENV2VIDEOPACKET).
pub fn from_screen_video_2(frame: &[u8]) -> Option<TrackInfo> {
    let (width, height) = screen_size(frame)?;
    Some(TrackInfo { codec: CodecId::ScreenVideo2, width, height, ..TrackInfo::default() })
}

/// 4 bits of block width, 12 of image width, then the same for the height.
fn screen_size(frame: &[u8]) -> Option<(u32, u32)> {
    let &[w0, w1, h0, h1] = frame.first_chunk::<4>()?;
    let size = |high, low| u32::from(u16::from_be_bytes([high, low]) & 0x0FFF);
    Some((size(w0, w1), size(h0, h1)))
}
