//! Opus: the identification header (RFC 7845 5.1), the duration of a packet (RFC 6716 3), and the
//! form in transport streams ("Opus in MPEG-2 TS", opus-codec.org).

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

/// Content of `dOps` in MP4 ("Encapsulation of Opus in ISO Base Media File Format" 4.3.2): the
/// fields of OpusHead, with another version and byte order.
pub fn mp4_config(header: &[u8]) -> Option<Vec<u8>> {
    let info = from_config(header)?;
    let rest = header.get(b"OpusHead".len() + 2..)?;
    let (&[skip0, skip1, rate0, rate1, rate2, rate3, gain0, gain1, family], mapping) =
        rest.split_first_chunk()?;
    let mut content = vec![0, info.channels, skip1, skip0, rate3, rate2, rate1, rate0];
    content.extend_from_slice(&[gain1, gain0, family]);
    if family != 0 {
        // Streams, coupled streams, and the stream of each channel.
        content.extend_from_slice(mapping.get(..2 + usize::from(info.channels))?);
    }
    Some(content)
}

/// OpusHead of a transport stream's channel_config_code; `None` for codes that are reserved or
/// describe their mapping elsewhere. Code 0 is dual mono, 1 to 8 channels in Vorbis' order.
pub fn head_of_channel_config(code: u8) -> Option<Vec<u8>> {
    let (channels, family) = match code {
        0 => (2, 255),
        1 | 2 => (code, 0),
        3..=8 => (code, 1),
        _ => return None,
    };
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend_from_slice(&[0, 0]); // pre-skip: trimmed by the control headers
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, family]);
    match (family, usize::from(channels).checked_sub(1)) {
        (255, _) => head.extend_from_slice(&[2, 0, 0, 1]),
        (1, Some(index)) => {
            let (coupled, mapping) = VORBIS_MAPPINGS.get(index)?;
            head.extend_from_slice(&[channels - coupled, *coupled]);
            head.extend_from_slice(mapping.get(..usize::from(channels))?);
        }
        _ => {}
    }
    Some(head)
}

/// Samples at 48 kHz of a packet (RFC 6716 3.1, 3.2); `None` when it is empty or longer than the
/// 120 ms that are allowed.
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    Some(frame * frames).filter(|samples| (1..=5760).contains(samples))
}

/// One access unit behind its control header in a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlHeader {
    /// Bytes of the header.
    pub size: usize,
    /// Bytes of the packet behind it.
    pub packet_size: usize,
}

impl ControlHeader {
    /// Reads the header at the front of an access unit; `None` when it is none or is cut.
    ///
    /// ```text
    /// | 11 prefix 0x3FF | 1 start trim | 1 end trim | 1 extension | 2 | size: 255 255 .. n | ..
    /// ```
    pub fn parse(unit: &[u8]) -> Option<Self> {
        let &[b0, b1] = unit.first_chunk()?;
        if b0 != 0x7F || b1 & 0xE0 != 0xE0 {
            return None;
        }
        let sizes = unit.get(2..)?;
        let full = sizes.iter().take_while(|&&byte| byte == 0xFF).count();
        let packet_size = full * 255 + usize::from(*sizes.get(full)?);
        let trims = usize::from(b1 >> 4 & 1) + usize::from(b1 >> 3 & 1);
        let mut size = 2 + full + 1 + 2 * trims;
        if b1 & 0x04 != 0 {
            size += 1 + usize::from(*unit.get(size)?);
        }
        Some(Self { size, packet_size })
    }
}

/// By channels: coupled streams, and the stream of each channel (RFC 7845 5.1.1.2).
const VORBIS_MAPPINGS: [(u8, [u8; 8]); 8] = [
    (0, [0; 8]),
    (1, [0, 1, 0, 0, 0, 0, 0, 0]),
    (1, [0, 2, 1, 0, 0, 0, 0, 0]),
    (2, [0, 1, 2, 3, 0, 0, 0, 0]),
    (2, [0, 4, 1, 2, 3, 0, 0, 0]),
    (2, [0, 4, 1, 2, 3, 5, 0, 0]),
    (2, [0, 4, 1, 2, 3, 5, 6, 0]),
    (3, [0, 6, 1, 2, 3, 4, 5, 7]),
];
