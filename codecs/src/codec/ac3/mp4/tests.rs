use super::*;
use crate::codec::hex;

#[test]
fn boxes_are_those_that_ffmpeg_writes() {
    // The front of ffmpeg -f lavfi -i sine -c:a ac3 x.ac3: -ac 6 -b:a 448k -ar 48000, and -ac 1 -b:a
    // 96k -ar 44100; dac3 of ffmpeg -i x.ac3 -c copy x.mp4.
    let surround = hex("0b77b50b1e40ebf8403eff99ff0841fc");
    assert_eq!(ac3_config(&surround).as_deref(), Some(&hex("103de0")[..]));
    let mono = hex("0b7738664c402f842be1877b875dfbe7");
    assert_eq!(ac3_config(&mono).as_deref(), Some(&hex("5008c0")[..]));
    // -c:a eac3 -ac 6 -b:a 384k -ar 48000
    let enhanced = hex("0b7702ff3f87c0002080200002004000");
    assert_eq!(eac3_config(&enhanced).as_deref(), Some(&hex("0c00200f00")[..]));
}

/// The front of an E-AC-3 frame of 16 bytes at 48 kHz with 1,536 samples, and zeros; written by
/// hand from ETSI TS 102 366 E.1.2.2.
fn frame(
    stream_type: u16,
    substream: u16,
    acmod: u8,
    lfe: u8,
    channel_map: Option<u16>,
) -> Vec<u8> {
    let mut frame = vec![0x0B, 0x77];
    frame.extend((stream_type << 14 | substream << 11 | 7).to_be_bytes());
    frame.push(0x30 | acmod << 1 | lfe);
    // bsid 16, dialnorm 0, no compr; then, in a dependent one, chanmape and chanmap.
    let map = channel_map.map_or(0, |map| 1 << 20 | u32::from(map) << 4);
    frame.extend((u32::from(16_u8) << 27 | map).to_be_bytes());
    frame.resize(16, 0);
    frame
}

#[test]
fn a_dependent_substream_adds_its_channels_to_the_one_before_it() {
    // 7.1: 5.1, and the rear surround pair (bit 6 of chanmap, bit 1 of chan_loc); LFE2 is bit 14 and
    // bit 8.
    for (channel_map, locations) in [(0x0200, 0x002), (0x0202, 0x102), (0x0408, 0x081)] {
        let unit = [frame(0, 0, 7, 1, None), frame(1, 0, 2, 0, Some(channel_map))].concat();
        let content = eac3_config(&unit).expect("readable");
        // 2 * 16 bytes in 32 ms are 8 kbit/s; fscod 0, bsid 16, acmod 7, LFE, one dependent.
        let fields = u32::from_be_bytes([content[2], content[3], content[4], content[5]]);
        assert_eq!(content[..2], (8_u16 << 3).to_be_bytes());
        assert_eq!(fields, 16 << 25 | 7 << 17 | 1 << 16 | 1 << 9 | locations, "{channel_map:x}");
    }
}

#[test]
fn several_programs_stand_behind_each_other() {
    let unit = [frame(0, 0, 7, 1, None), frame(0, 1, 1, 0, None)].concat();
    assert_eq!(eac3_config(&unit).as_deref(), Some(&hex("0041200f00200200")[..]));
    let too_many: Vec<u8> = (0..9).flat_map(|_| frame(0, 0, 2, 0, None)).collect();
    assert_eq!(eac3_config(&too_many), None, "num_ind_sub has three bits");
}

#[test]
fn a_bit_rate_beyond_13_bits_is_the_highest() {
    // Two programs of 4,096 bytes in 256 samples each: 12,288 kbit/s.
    let program = |substream: u8| {
        let mut frame = vec![0x0B, 0x77, substream << 3 | 0x07, 0xFF, 2 << 1, 16 << 3];
        frame.resize(4096, 0);
        frame
    };
    let content = eac3_config(&[program(0), program(1)].concat()).expect("readable");
    assert_eq!(content[..2], (0x1FFF_u16 << 3 | 1).to_be_bytes());
}

#[test]
fn what_is_no_frame_of_the_codec_is_refused() {
    let (ac3, eac3) = (hex("0b77b50b1e40ebf8403e"), frame(0, 0, 7, 1, None));
    assert_eq!(ac3_config(&eac3), None);
    assert_eq!(eac3_config(&ac3), None);
    assert_eq!(eac3_config(&frame(1, 0, 2, 0, None)), None, "nothing to depend on");
    for end in 0..7 {
        assert_eq!(ac3_config(&ac3[..end]), None, "cut at {end}");
        assert_eq!(eac3_config(&eac3[..end]), None, "cut at {end}");
    }
}
