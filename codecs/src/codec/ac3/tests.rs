use super::*;
use crate::codec::hex;

#[test]
fn frames_of_ffmpeg_tell_rate_and_channels() {
    // ffmpeg -f lavfi -i sine=sample_rate=48000 -ac 6 -c:a ac3 x.ac3, and -c:a eac3 x.eac3
    let ac3 = hex("0b77b50b1e40ebf8403eff99ff0841fc");
    let eac3 = hex("0b77037f3f87c00020f8200002004000");
    let info = from_ac3_frame(&ac3).expect("readable");
    assert_eq!((info.codec, info.sample_rate_hz, info.channels), (CodecId::Ac3, 48_000, 6));
    let info = from_eac3_frame(&eac3).expect("readable");
    assert_eq!((info.codec, info.sample_rate_hz, info.channels), (CodecId::Eac3, 48_000, 6));
}

#[test]
fn the_low_rate_variants_are_told() {
    // By hand: AC-3 with bsid 9 halves; E-AC-3 with fscod 3, fscod2 1 is 22,050 Hz, acmod 1, no
    // LFE.
    let half = hex("0b77b50b1e48ebf8403e");
    assert_eq!(from_ac3_frame(&half).map(|info| info.sample_rate_hz), Some(24_000));
    let low = from_eac3_frame(&hex("0b77037fd28000")).expect("readable");
    assert_eq!((low.sample_rate_hz, low.channels), (22_050, 1));
}

#[test]
fn what_is_no_frame_is_refused() {
    assert_eq!(from_ac3_frame(&hex("0b78b50b1e40ebf8")), None);
    assert_eq!(from_ac3_frame(&hex("0b77b50b")), None);
    assert_eq!(from_ac3_frame(&hex("0b77b50bde40ebf8")), None, "fscod 3 is reserved");
}
