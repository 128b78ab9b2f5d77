//! FLAC: the STREAMINFO metadata block (RFC 9639 8.2).

use super::CodecId;
use super::bits::BitReader;
use crate::access_unit::TrackInfo;

/// Reads rate and channels from STREAMINFO, alone, behind its metadata block header, or behind that
/// and the `fLaC` marker: senders of Enhanced RTMP use all three.
pub fn from_config(config: &[u8]) -> Option<TrackInfo> {
    let mut reader = BitReader::new(stream_info(config)?);
    reader.skip(16 + 16 + 24 + 24)?; // block and frame sizes
    let sample_rate_hz = reader.bits(20)?;
    let channels = reader.u8(3)? + 1;
    (sample_rate_hz > 0).then(|| TrackInfo {
        codec: CodecId::Flac,
        sample_rate_hz,
        channels,
        ..TrackInfo::default()
    })
}

/// Content of `dfLa` in MP4 ("Encapsulation of FLAC in ISO Base Media File Format" 3.3.2):
/// STREAMINFO as the last metadata block.
pub fn mp4_config(config: &[u8]) -> Option<Vec<u8>> {
    from_config(config)?;
    Some([&[0, 0, 0, 0, 0x80, 0, 0, 34], stream_info(config)?].concat())
}

fn stream_info(config: &[u8]) -> Option<&[u8]> {
    let config = config.strip_prefix(b"fLaC").unwrap_or(config);
    let stream_info = match config {
        [0x00 | 0x80, 0, 0, 34, rest @ ..] if rest.len() >= STREAM_INFO_SIZE => rest,
        _ => config,
    };
    stream_info.get(..STREAM_INFO_SIZE)
}

const STREAM_INFO_SIZE: usize = 34;
