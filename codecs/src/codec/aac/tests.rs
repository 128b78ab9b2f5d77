use super::*;
use crate::codec::hex;

fn told(config: &str) -> (String, u32, u8) {
    let info = from_config(&hex(config)).expect("readable");
    assert_eq!(info.codec, CodecId::Aac);
    (info.profile, info.sample_rate_hz, info.channels)
}

fn expected(profile: &str, sample_rate_hz: u32, channels: u8) -> (String, u32, u8) {
    (profile.to_owned(), sample_rate_hz, channels)
}

#[test]
fn configurations_of_ffmpeg_tell_profile_rate_and_channels() {
    // From ffmpeg -f lavfi -i sine=sample_rate=44100 -ac 2 -c:a aac x.flv, and 48000, -ac 6, x.mp4.
    // Both end with the extension that says that there is no SBR.
    assert_eq!(told("121056e500"), expected("LC", 44_100, 2));
    assert_eq!(told("11b056e500"), expected("LC", 48_000, 6));
    assert_eq!(told("1210"), expected("LC", 44_100, 2));
}

#[test]
fn he_aac_is_found_in_both_explicit_signallings() {
    // By hand from table 1.15. Hierarchical: 00101 0111 0010 0100 00010 000.
    assert_eq!(told("2b9208"), expected("HE", 44_100, 2));
    // Hierarchical with PS: 11101 0111 0001 0100 00010 000.
    assert_eq!(told("eb8a08"), expected("HEv2", 44_100, 2));
    // Backward compatible: 00010 0111 0010 000, 0x2b7 00101 1 0100.
    assert_eq!(told("139056e5a0"), expected("HE", 44_100, 2));
    // Backward compatible with PS: 00010 0111 0001 000, 0x2b7 00101 1 0100 0x548 1.
    assert_eq!(told("138856e5a54880"), expected("HEv2", 44_100, 2));
}

#[test]
fn escaped_object_types_and_rates_are_read() {
    // 11111 001010 (32 + 10 = 42, USAC) 0011 0010 ...
    let config = AudioSpecificConfig::parse(&hex("f9464000")).expect("readable");
    assert_eq!((config.object_type, config.sample_rate_hz), (42, 48_000));
    // 00010 1111 (24 bits: 50,000) 0010 000.
    assert_eq!(told("178061a810"), expected("LC", 50_000, 2));
}

#[test]
fn a_program_config_element_tells_the_channels() {
    // 00010 0011 0000 000, then: tag 0000, object type 01, rate 0011, front 2, side 0, back 1, LFE
    // 1, data 0, coupling 0, no mixdowns; single, pair; pair; LFE; aligned, no comment: 1 + 2 + 2 +
    // 1.
    let mut bits = String::from("0001000110000000");
    bits += "0000 01 0011 0010 0000 0001 01 000 0000 0 0 0 0 0000 1 0000 1 0001 0000";
    let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
    let pack =
        |bits: &[u8]| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << (7 - i));
    let mut config: Vec<u8> = bits.chunks(8).map(pack).collect();
    config.push(0);
    let parsed = AudioSpecificConfig::parse(&config).expect("readable");
    assert_eq!((parsed.channel_configuration, parsed.channels), (0, 6));
}

#[test]
fn reserved_rates_and_cut_configurations_are_refused() {
    assert_eq!(from_config(&hex("1690")), None);
    assert_eq!(from_config(&hex("12")), None);
    assert_eq!(from_config(&[]), None);
}

#[test]
fn a_channel_configuration_counts_channels_as_table_1_19_does() {
    let counts = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0];
    for (configuration, channels) in counts.into_iter().enumerate() {
        assert_eq!(channels_of(configuration as u8), channels, "configuration {configuration}");
    }
}
