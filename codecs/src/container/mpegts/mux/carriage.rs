//! How a codec travels in a transport stream: stream type, stream_id and descriptors, or why it
//! does not.
//!
//! | codec | stream type | said by |
//! |---|---|---|
//! | H.264, H.265, H.266 | 0x1B, 0x24, 0x33 | ISO/IEC 13818-1 table 2-34 |
//! | AV1 | 0x06, `AV01` | AOM, Carriage of AV1 in MPEG-2 TS |
//! | AAC in ADTS | 0x0F | ISO/IEC 13818-7 6.2 |
//! | MPEG audio | 0x03, 0x04 | ISO/IEC 11172-3, 13818-3 |
//! | AC-3, E-AC-3 | 0x06 (DVB), 0x81, 0x87 (ATSC) | ETSI EN 300 468 Annex D, ATSC A/53 part 3 |
//! | Opus | 0x06, `Opus` | Xiph, Encapsulation of Opus in MPEG-TS (draft) |
//! | ID3 | 0x15, `ID3 ` | Apple, Timed Metadata for HTTP Live Streaming 1.2, 2.0 |

use smallvec::SmallVec;

use super::sample_aes;
use super::settings::Signalling;
use crate::codec::CodecId;
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::mp3;

/// Why a track or a unit is not in the transport stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCarried {
    /// Nobody has said how this codec travels in a transport stream.
    #[error("MPEG-TS has no mapping for this codec")]
    NoMapping,
    /// The codec travels, but not this form of it.
    #[error("MPEG-TS cannot carry this form of the codec: {0}")]
    Form(&'static str),
    /// Metadata, cues and what has no meaning to us.
    #[error("data is not carried")]
    Data,
    /// The decoder configuration record has not come yet or cannot be read.
    #[error("no readable decoder configuration record")]
    NoConfig,
    /// The track's number within its kind is too high.
    #[error("too many tracks of this kind")]
    TooManyTracks,
    /// This unit's payload does not follow its codec's grammar.
    #[error("malformed unit: {0}")]
    Malformed(&'static str),
    /// This unit is longer than its packet can be.
    #[error("unit too long for a PES packet")]
    TooLong,
    /// This unit is further behind the others than `lead_max_ms`.
    #[error("unit more than lead_max_ms late")]
    TooLate,
    /// This unit, and not yet many after it, is further ahead of the others than `gap_max_ms`.
    #[error("unit more than gap_max_ms early")]
    TooEarly,
}

/// Descriptors of one elementary stream, as bytes.
pub(super) type Descriptors = SmallVec<[u8; 16]>;

/// What the PMT and the PES headers say of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Carriage {
    pub stream_type: u8,
    /// stream_id; of video and audio the one of their first track.
    pub stream_id: u8,
    pub descriptors: Descriptors,
}

/// How a track travels whose configuration record is `config`, and whose first frame is `frame`
/// when its codec has no record.
pub(super) fn carriage(
    codec: CodecId,
    config: &[u8],
    frame: &[u8],
    signalling: Signalling,
) -> Result<Carriage, NotCarried> {
    if signalling == Signalling::SampleAes {
        return sample_aes::carriage(codec, config, frame);
    }
    let is_dvb = signalling == Signalling::Dvb;
    Ok(match codec {
        CodecId::H264 => Carriage::new(0x1B, STREAM_ID_VIDEO, &[]),
        CodecId::H265 => Carriage::new(0x24, STREAM_ID_VIDEO, &[&registration(*b"HEVC")]),
        CodecId::H266 => Carriage::new(0x33, STREAM_ID_VIDEO, &[&registration(*b"VVC ")]),
        CodecId::Av1 => av1(config)?,
        CodecId::Aac => aac(config)?,
        CodecId::Mp2 | CodecId::Mp3 => Carriage::new(mpeg_audio_type(frame), STREAM_ID_AUDIO, &[]),
        CodecId::Ac3 if is_dvb => Carriage::new(
            STREAM_TYPE_PRIVATE,
            STREAM_ID_PRIVATE_1,
            &[&registration(*b"AC-3"), &[TAG_AC3, 1, 0]],
        ),
        CodecId::Ac3 => Carriage::new(0x81, STREAM_ID_PRIVATE_1, &[&registration(*b"AC-3")]),
        CodecId::Eac3 if is_dvb => Carriage::new(
            STREAM_TYPE_PRIVATE,
            STREAM_ID_PRIVATE_1,
            &[&registration(*b"EAC3"), &[TAG_ENHANCED_AC3, 1, 0]],
        ),
        CodecId::Eac3 => Carriage::new(0x87, STREAM_ID_PRIVATE_1, &[&registration(*b"EAC3")]),
        CodecId::Opus => opus(config)?,
        _ => return Err(NotCarried::NoMapping),
    })
}

impl Carriage {
    pub(super) fn new(stream_type: u8, stream_id: u8, descriptors: &[&[u8]]) -> Self {
        Self { stream_type, stream_id, descriptors: descriptors.concat().into() }
    }
}

/// How ID3 tags travel, with the metadata_descriptor that says so (ISO/IEC 13818-1 2.6.60): formats
/// by identifier, service 0, no decoder configuration, no DSM-CC. The tag is the payload, as Apple
/// says; ffmpeg takes it for an access unit cell (2.12.4) and leaves out its first five bytes.
pub(super) fn timed_id3() -> Carriage {
    let descriptor = [&[0x26, 13], &ID3_FORMATS[..], &[0, 0x0F]].concat();
    Carriage::new(0x15, STREAM_ID_PRIVATE_1, &[&descriptor])
}

/// The metadata_pointer_descriptor of the program (ISO/IEC 13818-1 2.6.58): service 0, no locator,
/// carried in this program.
pub(super) fn timed_id3_pointer(program_number: u16) -> Vec<u8> {
    let program_number = program_number.to_be_bytes();
    [&[0x25, 15], &ID3_FORMATS[..], &[0, 0x1F], &program_number].concat()
}

/// registration_descriptor: ISO/IEC 13818-1 2.6.8.
fn registration(format_identifier: [u8; 4]) -> [u8; 6] {
    let [a, b, c, d] = format_identifier;
    [0x05, 4, a, b, c, d]
}

/// The registration and the AV1 video descriptor, which is av1C's fixed part with two bits about
/// HDR in place of reserved ones (AV1 in MPEG-2 TS, 2.1 and 2.2).
fn av1(config: &[u8]) -> Result<Carriage, NotCarried> {
    /// hdr_wcg_idc: no indication.
    const HDR_WCG_UNKNOWN: u8 = 0xC0;
    let &[0x81, profile_and_level, flags, delay] =
        config.first_chunk().ok_or(NotCarried::NoConfig)?
    else {
        return Err(NotCarried::NoConfig);
    };
    let descriptor = [0x80, 4, 0x81, profile_and_level, flags, delay & 0x1F | HDR_WCG_UNKNOWN];
    let descriptors: [&[u8]; 2] = [&registration(*b"AV01"), &descriptor];
    Ok(Carriage::new(STREAM_TYPE_PRIVATE, STREAM_ID_PRIVATE_1, &descriptors))
}

/// ADTS says the core coder only, so that HE-AAC is said by the AAC_descriptor (ETSI EN 300 468
/// Annex H.2.1), with profile_and_level of ISO/IEC 13818-1 table 2-72.
fn aac(config: &[u8]) -> Result<Carriage, NotCarried> {
    let config = AudioSpecificConfig::parse(config).ok_or(NotCarried::NoConfig)?;
    if !matches!(config.object_type, 1..=4) {
        return Err(NotCarried::Form("ADTS has no room for this AAC object type"));
    }
    if config.channel_configuration == 0 || config.channel_configuration > 7 {
        return Err(NotCarried::Form("ADTS has no room for these AAC channels"));
    }
    let profile_and_level = match config {
        AudioSpecificConfig { parametric_stereo: true, .. } => 0x60,
        AudioSpecificConfig { sbr_sample_rate_hz: 1.., channels: 0..=2, .. } => 0x58,
        AudioSpecificConfig { sbr_sample_rate_hz: 1.., .. } => 0x5A,
        _ => return Ok(Carriage::new(STREAM_TYPE_ADTS, STREAM_ID_AUDIO, &[])),
    };
    let descriptor = [TAG_AAC, 1, profile_and_level];
    Ok(Carriage::new(STREAM_TYPE_ADTS, STREAM_ID_AUDIO, &[&descriptor]))
}

/// MPEG-1 audio, or MPEG-2 audio with its lower sample rates.
fn mpeg_audio_type(frame: &[u8]) -> u8 {
    match mp3::FrameHeader::parse(frame) {
        Some(header) if header.sample_rate_hz < 32_000 => 0x04,
        _ => 0x03,
    }
}

/// The registration and the extension descriptor with channel_config_code. OpusHead: magic,
/// version, channels, pre-skip, rate, gain, mapping family (RFC 7845 5.1).
fn opus(head: &[u8]) -> Result<Carriage, NotCarried> {
    let rest = head.strip_prefix(b"OpusHead").ok_or(NotCarried::NoConfig)?;
    let &[_, channels, _, _, _, _, _, _, _, _, family] =
        rest.first_chunk().ok_or(NotCarried::NoConfig)?;
    let is_carried = match family {
        0 => (1..=2).contains(&channels),
        1 => (1..=8).contains(&channels),
        _ => false,
    };
    if !is_carried {
        return Err(NotCarried::Form("Opus with its own channel mapping"));
    }
    let extension = [0x7F, 2, 0x80, channels];
    let descriptors: [&[u8]; 2] = [&registration(*b"Opus"), &extension];
    Ok(Carriage::new(STREAM_TYPE_PRIVATE, STREAM_ID_PRIVATE_1, &descriptors))
}

/// PES packets with private data.
const STREAM_TYPE_PRIVATE: u8 = 0x06;
const STREAM_TYPE_ADTS: u8 = 0x0F;
pub(super) const STREAM_ID_VIDEO: u8 = 0xE0;
pub(super) const STREAM_ID_AUDIO: u8 = 0xC0;
pub(super) const STREAM_ID_PRIVATE_1: u8 = 0xBD;
/// metadata_application_format and metadata_format: both by an identifier behind them.
const ID3_FORMATS: [u8; 11] = *b"\xFF\xFFID3 \xFFID3 ";
const TAG_AC3: u8 = 0x6A;
const TAG_ENHANCED_AC3: u8 = 0x7A;
const TAG_AAC: u8 = 0x7C;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CODECS;
    use crate::codec::hex;

    fn of(codec: CodecId, config: &[u8]) -> Result<Carriage, NotCarried> {
        carriage(codec, config, &[], Signalling::Dvb)
    }

    #[test]
    fn what_has_no_mapping_is_said() {
        let without: Vec<_> = CODECS
            .iter()
            .filter(|row| of(row.id, &[]) == Err(NotCarried::NoMapping))
            .map(|row| row.name)
            .collect();
        let expected = "unknown|VP8|VP9|Sorenson H.263|Screen video|Screen video 2|VP6|\
                        VP6 with alpha|JPEG|FLAC|Speex|G.711 A-law|G.711 mu-law|PCM|\
                        PCM, native byte order|ADPCM|Nellymoser|AMF0";
        assert_eq!(without.join("|"), expected);
    }

    #[test]
    fn he_aac_is_announced_and_what_adts_cannot_say_is_refused() {
        // AudioSpecificConfig by hand: LC 48 kHz stereo; SBR over 24 kHz; PS over 24 kHz mono;
        // AAC ELD; LC with a program config element.
        let lc = of(CodecId::Aac, &hex("1190")).expect("carried");
        assert_eq!((lc.stream_type, lc.descriptors.len()), (0x0F, 0));
        let sbr = of(CodecId::Aac, &hex("2B118800")).expect("carried");
        assert_eq!(sbr.descriptors[..], [0x7C, 1, 0x58]);
        let ps = of(CodecId::Aac, &hex("EB098800")).expect("carried");
        assert_eq!(ps.descriptors[..], [0x7C, 1, 0x60]);
        assert!(matches!(of(CodecId::Aac, &hex("F8E64000")), Err(NotCarried::Form(_))));
        assert!(matches!(of(CodecId::Aac, &hex("1180")), Err(NotCarried::Form(_))));
        assert_eq!(of(CodecId::Aac, &[]), Err(NotCarried::NoConfig));
    }

    #[test]
    fn opus_says_its_channels() {
        let head = |channels, family| {
            [b"OpusHead".as_slice(), &[1, channels, 56, 1, 0x80, 0xBB, 0, 0, 0, 0, family]].concat()
        };
        let stereo = of(CodecId::Opus, &head(2, 0)).expect("carried");
        assert_eq!(stereo.descriptors[..], *b"\x05\x04Opus\x7F\x02\x80\x02");
        let surround = of(CodecId::Opus, &head(6, 1)).expect("carried");
        assert_eq!(surround.descriptors[9], 6);
        assert!(matches!(of(CodecId::Opus, &head(4, 255)), Err(NotCarried::Form(_))));
        assert_eq!(of(CodecId::Opus, b"OpusHead"), Err(NotCarried::NoConfig));
    }

    #[test]
    fn av1_says_its_profile_and_level() {
        let av1 = of(CodecId::Av1, &[0x81, 0x08, 0x0C, 0x00, 0x0A]).expect("carried");
        assert_eq!(av1.descriptors[..], *b"\x05\x04AV01\x80\x04\x81\x08\x0C\xC0");
        assert_eq!(of(CodecId::Av1, &[0x81, 0x08, 0x0C]), Err(NotCarried::NoConfig));
    }

    #[test]
    fn ac3_is_announced_as_either_world_wants_it() {
        let of = |codec, signalling| carriage(codec, &[], &[], signalling).expect("carried");
        assert_eq!(of(CodecId::Ac3, Signalling::Dvb).stream_type, 0x06);
        assert_eq!(of(CodecId::Ac3, Signalling::Atsc).stream_type, 0x81);
        let dvb = of(CodecId::Eac3, Signalling::Dvb);
        assert_eq!(dvb.descriptors[..], *b"\x05\x04EAC3\x7A\x01\x00");
        assert_eq!(of(CodecId::Eac3, Signalling::Atsc).stream_type, 0x87);
    }

    #[test]
    fn low_rate_mp3_is_mpeg_2_audio() {
        let stream_type = |frame: &[u8]| {
            carriage(CodecId::Mp3, &[], frame, Signalling::Dvb).expect("carried").stream_type
        };
        assert_eq!(stream_type(&hex("FFFB9064")), 0x03);
        assert_eq!(stream_type(&hex("FFF38064")), 0x04);
    }
}
