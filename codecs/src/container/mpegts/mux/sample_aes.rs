//! How tracks travel whose frames are encrypted one by one, SAMPLE-AES of HLS (Apple, MPEG-2 Stream
//! Encryption Format for HTTP Live Streaming, 2.3.2 and 3.0).
//!
//! Each has a stream type of its own, so that nobody takes it for clear, and a
//! private_data_indicator_descriptor. Sound also says in a registration_descriptor what it is,
//! because its frames cannot be looked into.

use super::NotCarried;
use super::carriage::{Carriage, STREAM_ID_AUDIO, STREAM_ID_PRIVATE_1, STREAM_ID_VIDEO};
use crate::codec::CodecId;
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::ac3::SyncFrame;

/// As [`carriage`](super::carriage::carriage). The front of `frame` must be clear.
pub(super) fn carriage(
    codec: CodecId,
    config: &[u8],
    frame: &[u8],
) -> Result<Carriage, NotCarried> {
    let sound = |stream_type, stream_id, indicator, audio_type, setup: &[u8]| {
        let setup = audio_setup(audio_type, setup).ok_or(NotCarried::Form(LONG_SETUP))?;
        Ok(Carriage::new(stream_type, stream_id, &[&private_data(indicator), &setup]))
    };
    match codec {
        CodecId::H264 => Ok(Carriage::new(0xDB, STREAM_ID_VIDEO, &[&private_data(*b"zavc")])),
        CodecId::Aac => sound(0xCF, STREAM_ID_AUDIO, *b"aacd", aac_type(config)?, config),
        CodecId::Ac3 => {
            let setup = frame.get(..AC3_SETUP_SIZE).filter(|_| SyncFrame::parse(frame).is_some());
            let setup = setup.ok_or(NotCarried::Malformed("no frame of AC-3"))?;
            sound(0xC1, STREAM_ID_PRIVATE_1, *b"ac3d", *b"zac3", setup)
        }
        CodecId::Eac3 => {
            let setup = crate::codec::ac3::mp4::eac3_config(frame);
            let setup = setup.ok_or(NotCarried::Malformed("no frame of E-AC-3"))?;
            sound(0xC2, STREAM_ID_PRIVATE_1, *b"ec3d", *b"zec3", &setup)
        }
        _ => Err(NotCarried::Form("SAMPLE-AES in MPEG-TS has no form of this codec")),
    }
}

/// What the sound is: LC, or LC under spectral band replication without or with parametric stereo.
fn aac_type(config: &[u8]) -> Result<[u8; 4], NotCarried> {
    let config = AudioSpecificConfig::parse(config).ok_or(NotCarried::NoConfig)?;
    if config.object_type != OBJECT_TYPE_LC {
        return Err(NotCarried::Form("SAMPLE-AES in MPEG-TS has no name for this AAC object type"));
    }
    if config.channel_configuration == 0 || config.channel_configuration > 7 {
        return Err(NotCarried::Form("ADTS has no room for these AAC channels"));
    }
    Ok(match config {
        AudioSpecificConfig { parametric_stereo: true, .. } => *b"zacp",
        AudioSpecificConfig { sbr_sample_rate_hz: 1.., .. } => *b"zach",
        _ => *b"zaac",
    })
}

/// private_data_indicator_descriptor: ISO/IEC 13818-1 2.6.28.
fn private_data(indicator: [u8; 4]) -> [u8; 6] {
    let [a, b, c, d] = indicator;
    [0x0F, 4, a, b, c, d]
}

/// The registration_descriptor with audio_setup_information():
///
/// ```text
/// | 'apad' | 32 audio_type | 16 priming | 8 version | 8 setup_data_length | setup_data |
/// ```
///
/// Priming is 0, unknown. `None` when the descriptor has no room for the data.
fn audio_setup(audio_type: [u8; 4], setup: &[u8]) -> Option<Vec<u8>> {
    const VERSION: u8 = 1;
    let length = u8::try_from(4 + 8 + setup.len()).ok()?;
    let setup_length = length - 12;
    let head = [&[0x05, length], &b"apad"[..], &audio_type, &[0, 0, VERSION, setup_length]];
    Some([&head.concat(), setup].concat())
}

/// Of AC-3, the front of the first frame is its setup.
const AC3_SETUP_SIZE: usize = 10;
const OBJECT_TYPE_LC: u8 = 2;
const LONG_SETUP: &str = "a descriptor has no room for this configuration";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::hex;
    use crate::container::mpegts::mux::Signalling;
    use crate::container::mpegts::mux::carriage::carriage;

    fn of(codec: CodecId, config: &[u8], frame: &[u8]) -> Result<Carriage, NotCarried> {
        carriage(codec, config, frame, Signalling::SampleAes)
    }

    // Written out by hand from listings 2-3 to 2-6 of the format and 3.0.
    #[test]
    fn each_codec_has_its_stream_type_and_descriptors() {
        let h264 = of(CodecId::H264, &[], &[]).expect("carried");
        assert_eq!((h264.stream_type, &h264.descriptors[..]), (0xDB, &b"\x0F\x04zavc"[..]));
        let aac = of(CodecId::Aac, &hex("1190"), &[]).expect("carried");
        let expected = b"\x0F\x04aacd\x05\x0Eapadzaac\x00\x00\x01\x02\x11\x90";
        assert_eq!((aac.stream_type, &aac.descriptors[..]), (0xCF, &expected[..]));
        let frame = hex("0B77C9D014403043DE0DC1EF3EBE");
        let ac3 = of(CodecId::Ac3, &[], &frame).expect("carried");
        let expected = [b"\x0F\x04ac3d\x05\x16apadzac3\x00\x00\x01\x0A", &frame[..10]].concat();
        assert_eq!((ac3.stream_type, ac3.stream_id), (0xC1, 0xBD));
        assert_eq!(ac3.descriptors[..], expected);
        // A frame of 192 bytes of 48 kHz stereo in six blocks.
        let eac3 = of(CodecId::Eac3, &[], &hex("0B77005F34867F3B5E50")).expect("carried");
        assert_eq!((eac3.stream_type, eac3.stream_id), (0xC2, 0xBD));
        let expected = b"\x0F\x04ec3d\x05\x11apadzec3\x00\x00\x01\x05";
        assert_eq!(eac3.descriptors[..expected.len()], *expected);
    }

    #[test]
    fn he_aac_is_named_and_what_has_no_form_is_refused() {
        let name = |config| {
            let carriage = of(CodecId::Aac, &hex(config), &[]).expect("carried");
            String::from_utf8_lossy(&carriage.descriptors[12..16]).into_owned()
        };
        assert_eq!((name("2B118800"), name("EB098800")), ("zach".to_owned(), "zacp".to_owned()));
        for codec in [CodecId::H265, CodecId::Av1, CodecId::Mp3, CodecId::Opus, CodecId::Vp9] {
            assert!(matches!(of(codec, &[], &[]), Err(NotCarried::Form(_))), "{codec:?}");
        }
        // AAC Main, LC with a program config element, no configuration at all, no frames.
        assert!(matches!(of(CodecId::Aac, &hex("0990"), &[]), Err(NotCarried::Form(_))));
        assert!(matches!(of(CodecId::Aac, &hex("1180"), &[]), Err(NotCarried::Form(_))));
        assert_eq!(of(CodecId::Aac, &[], &[]), Err(NotCarried::NoConfig));
        for codec in [CodecId::Ac3, CodecId::Eac3] {
            assert!(matches!(of(codec, &[], &[0; 20]), Err(NotCarried::Malformed(_))));
        }
        let long = [&hex("1190")[..], &[0; 250]].concat();
        assert!(matches!(of(CodecId::Aac, &long, &[]), Err(NotCarried::Form(_))));
    }
}
