//! Speex: frames have no header; FLV fixes it at 16 kHz mono (FLV 10.1 E.4.2.1).

use super::CodecId;
use crate::access_unit::TrackInfo;

/// The parameters of Speex in FLV.
pub fn from_frame(_frame: &[u8]) -> Option<TrackInfo> {
    Some(TrackInfo {
        codec: CodecId::Speex,
        sample_rate_hz: 16_000,
        channels: 1,
        ..TrackInfo::default()
    })
}
