//! Units of the other codecs in the form that transport streams want: ADTS, Opus access units, AV1
//! with start codes.

use super::NotCarried;
use crate::codec::aac::AudioSpecificConfig;

/// The ADTS header of a track's frames: ISO/IEC 13818-7 6.2.
///
/// ```text
/// | 12 sync | 1 MPEG-2 | 2 layer | 1 no crc | 2 profile | 4 rate | 1 | 3 channels | 4 |
/// | 13 frame length | 11 fullness | 2 blocks - 1 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adts {
    /// The header with a frame length of 0.
    header: [u8; ADTS_HEADER_SIZE],
}

impl Adts {
    /// The header for frames of this configuration; `None` for what ADTS has no room for.
    pub(super) fn from_config(config: &[u8]) -> Option<Self> {
        let config = AudioSpecificConfig::parse(config)?;
        let profile = config.object_type.checked_sub(1).filter(|&profile| profile < 4)?;
        let rate = adts_rate_index(config.sample_rate_hz)?;
        let channels = config.channel_configuration;
        if channels == 0 || channels > 7 {
            return None;
        }
        let third = profile << 6 | rate << 2 | channels >> 2;
        let fourth = channels << 6;
        // A buffer fullness of all ones says variable rate; one block.
        Some(Self { header: [0xFF, 0xF1, third, fourth, 0, 0x1F, 0xFC] })
    }

    /// Appends a raw frame with its header.
    pub(super) fn append(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), NotCarried> {
        let length = ADTS_HEADER_SIZE + frame.len();
        if length > ADTS_FRAME_MAX {
            return Err(NotCarried::TooLong);
        }
        let [b0, b1, b2, b3, _, b5, b6] = self.header;
        let (high, middle, low) = ((length >> 11) as u8, (length >> 3) as u8, (length << 5) as u8);
        out.extend_from_slice(&[b0, b1, b2, b3 | high, middle, b5 | low, b6]);
        out.extend_from_slice(frame);
        Ok(())
    }
}

/// sampling_frequency_index: ISO/IEC 14496-3 table 1.18. A rate that was written out must be one of
/// the table.
fn adts_rate_index(sample_rate_hz: u32) -> Option<u8> {
    let index = ADTS_RATES_HZ.iter().position(|&rate| rate == sample_rate_hz)?;
    u8::try_from(index).ok()
}

/// Appends an Opus packet behind its control header: prefix, no trimming, size in bytes of 255
/// (Encapsulation of Opus in MPEG-TS, opus_control_header).
pub(super) fn append_opus(packet: &[u8], out: &mut Vec<u8>) -> Result<(), NotCarried> {
    if packet.len() > OPUS_PACKET_MAX {
        return Err(NotCarried::TooLong);
    }
    out.extend_from_slice(&[0x7F, 0xE0]);
    let mut size = packet.len();
    while size >= 255 {
        out.push(255);
        size -= 255;
    }
    out.push(size as u8);
    out.extend_from_slice(packet);
    Ok(())
}

/// Writes a row of OBUs with a start code in front of each, and with emulation prevention
/// (Carriage of AV1 in MPEG-2 TS, 3.2). `config_obus` go in front of a picture at which decoding
/// may start and which brings no sequence header.
pub(super) fn write_av1(
    config_obus: &[u8],
    temporal_unit: &[u8],
    random_access: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotCarried> {
    let malformed = NotCarried::Malformed("OBU longer than the picture");
    let mut has_sequence_header = false;
    let mut rest = temporal_unit;
    while !rest.is_empty() {
        let (obu, after) = split_obu(rest).ok_or(malformed)?;
        has_sequence_header |= obu_type(obu) == OBU_SEQUENCE_HEADER;
        rest = after;
    }
    let config_obus = if random_access && !has_sequence_header { config_obus } else { &[] };
    for obus in [config_obus, temporal_unit] {
        let mut rest = obus;
        while !rest.is_empty() {
            let Some((obu, after)) = split_obu(rest) else { break };
            out.extend_from_slice(&[0, 0, 1]);
            escape(obu, out);
            rest = after;
        }
    }
    if out.is_empty() {
        return Err(NotCarried::Malformed("picture without an OBU"));
    }
    Ok(())
}

fn obu_type(obu: &[u8]) -> u8 {
    obu.first().map_or(0, |header| header >> 3 & 0x0F)
}

/// Cuts off the first OBU, header and size included (AV1 5.3); one without a size is the last.
fn split_obu(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = *bytes.first()?;
    let header_size = if header & 0x04 != 0 { 2 } else { 1 };
    if header & 0x02 == 0 {
        return (bytes.len() >= header_size).then_some((bytes, &[]));
    }
    let mut size = 0_u64;
    for (index, &byte) in bytes.get(header_size..)?.iter().take(8).enumerate() {
        size |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let end = usize::try_from(size).ok()?.checked_add(header_size + index + 1)?;
            return bytes.split_at_checked(end);
        }
    }
    None
}

/// Puts a 3 behind two zeros in front of a byte below 4, and behind two zeros at the end.
fn escape(obu: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in obu {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    if zeros >= 2 {
        out.push(3);
    }
}

const ADTS_HEADER_SIZE: usize = 7;
/// aac_frame_length has 13 bits.
const ADTS_FRAME_MAX: usize = (1 << 13) - 1;
const ADTS_RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// 48 frames of 1,275 bytes and their lengths (RFC 6716 3.2.5), rounded up.
const OPUS_PACKET_MAX: usize = 62_000;
const OBU_SEQUENCE_HEADER: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::hex;

    // The first header of `ffmpeg -f lavfi -i sine -ac 2 -ar 48000 -c:a aac x.aac`: 310 bytes.
    #[test]
    fn the_adts_header_is_that_of_ffmpeg() {
        let adts = Adts::from_config(&hex("1190")).expect("AAC LC");
        let mut out = Vec::new();
        adts.append(&[0xAB; 303], &mut out).expect("short");
        assert_eq!(out[..7], *hex("FFF14C8026DFFC"));
        assert_eq!(out[7..], [0xAB; 303]);
        assert_eq!(adts.append(&[0; 8_185], &mut out), Err(NotCarried::TooLong));
        assert_eq!(adts.append(&[0; 8_184], &mut out), Ok(()));
    }

    #[test]
    fn adts_of_he_aac_says_the_core() {
        let adts = Adts::from_config(&hex("2B118800")).expect("SBR over AAC LC 24 kHz");
        assert_eq!(adts.header[2] >> 6, 1, "LC");
        assert_eq!(adts.header[2] >> 2 & 0x0F, 6, "24 kHz");
        assert_eq!(Adts::from_config(&hex("F8E6")), None);
    }

    #[test]
    fn opus_sizes_are_bytes_of_255() {
        for (size, expected) in
            [(0, &[0][..]), (254, &[254]), (255, &[255, 0]), (600, &[255, 255, 90])]
        {
            let mut out = Vec::new();
            append_opus(&vec![1; size], &mut out).expect("short");
            assert_eq!(out[..2], [0x7F, 0xE0]);
            assert_eq!(out[2..2 + expected.len()], *expected);
            assert_eq!(out.len(), 2 + expected.len() + size);
        }
        assert_eq!(append_opus(&vec![1; 62_001], &mut Vec::new()), Err(NotCarried::TooLong));
    }

    #[test]
    fn av1_obus_get_start_codes_and_no_start_code_is_emulated() {
        let frame = [0x32, 6, 0, 0, 1, 0, 0, 0];
        let mut out = Vec::new();
        write_av1(&[0x0A, 1, 0x55], &frame, true, &mut out).expect("readable");
        let expected = [0, 0, 1, 0x0A, 1, 0x55, 0, 0, 1, 0x32, 6, 0, 0, 3, 1, 0, 0, 3, 0];
        assert_eq!(out, expected);
        out.clear();
        write_av1(&[0x0A, 1, 0x55], &frame, false, &mut out).expect("readable");
        assert_eq!(out, expected[6..]);
        out.clear();
        let with_header = [0x0A, 1, 0x66, 0x32, 1, 7];
        write_av1(&[0x0A, 1, 0x55], &with_header, true, &mut out).expect("readable");
        assert_eq!(out, [0, 0, 1, 0x0A, 1, 0x66, 0, 0, 1, 0x32, 1, 7]);
        for end in [1, 2, 4, 5] {
            assert!(write_av1(&[], &with_header[..end], true, &mut Vec::new()).is_err(), "{end}");
        }
    }
}
