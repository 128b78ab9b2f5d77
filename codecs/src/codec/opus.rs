//! Opus: the identification header (RFC 7845 5.1).

use super::CodecId;
use crate::access_unit::TrackInfo;

/// Reads the channels from OpusHead. The rate is always 48 kHz: the one in the header is that of
/// the encoder's input (RFC 7845 5.1).
pub fn from_config(header: &[u8]) -> Option<TrackInfo> {
    let rest = header.strip_prefix(b"OpusHead")?;
    let &[version, channels] = rest.first_chunk::<2>()?;
    let is_known = version & 0xF0 == 0 && channels > 0;
    is_known.then(|| TrackInfo {
        codec: CodecId::Opus,
        sample_rate_hz: 48_000,
        channels,
        ..TrackInfo::default()
    })
}
