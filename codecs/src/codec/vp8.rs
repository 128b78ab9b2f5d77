//! VP8: the key frame header (RFC 6386 9.1).

use super::CodecId;
use crate::access_unit::TrackInfo;

/// Reads the picture size from a key frame; `None` for other frames.
pub fn from_frame(frame: &[u8]) -> Option<TrackInfo> {
    let &[tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = frame.first_chunk::<10>()? else {
        return None;
    };
    let is_key_frame = tag & 0x01 == 0;
    // The two highest bits are the scaling.
    let size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    is_key_frame.then(|| TrackInfo {
        codec: CodecId::Vp8,
        profile: format!("{}", tag >> 1 & 0x07),
        width: size(w0, w1),
        height: size(h0, h1),
        ..TrackInfo::default()
    })
}

/// Reads profile and level from vpcC, which VP8 shares with VP9.
pub fn from_config(record: &[u8]) -> Option<TrackInfo> {
    let info = super::vp9::from_config(record)?;
    Some(TrackInfo { codec: CodecId::Vp8, ..info })
}
