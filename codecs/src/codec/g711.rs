//! G.711: has no header; FLV and RTP's static payload types fix it at 8 kHz mono.

use super::CodecId;
use crate::access_unit::TrackInfo;

/// The parameters of A-law.
pub fn from_a_law_frame(_frame: &[u8]) -> Option<TrackInfo> {
    Some(info(CodecId::G711A))
}

/// The parameters of mu-law.
pub fn from_mu_law_frame(_frame: &[u8]) -> Option<TrackInfo> {
    Some(info(CodecId::G711U))
}

fn info(codec: CodecId) -> TrackInfo {
    TrackInfo { codec, sample_rate_hz: 8_000, channels: 1, ..TrackInfo::default() }
}
