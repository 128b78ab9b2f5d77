use super::*;
use crate::codec::hex;

/// The first LOAS element of `ffmpeg -f lavfi -i sine=f=300:r=48000:d=1 -c:a aac -b:a 32k
/// -mpegts_flags latm x.ts`: AAC LC, 48 kHz, mono.
const ELEMENT: &str = "\
    56e096200011881fe47ef01002630bb319a9c97199b9718981800013051a9a8ad35874aaf1e3d9acf859 \
    beb724891e1244ffff572483e5bf53f55f99e0bf6bfdfbd66bc9dfddc0c30a548b652c9f593eb25268c9 \
    464a14a0606fab686060606360c0c8912206366cd8322448a5366cdca89111b3049614046cac95e391bc \
    2255db66e04954758b812555246e06ceb2467b0959291aacb1af70";
/// Its frame, as ffprobe shows it of the Matroska file that was the source.
const FRAME: &str = "\
    de02004c61766335392e33372e313030000260a353515a6b0e955e3c7b359f0b37d6e49123c2489fffea \
    e4907cb7ea7eabf33c17ed7fbf7acd793bfbb818614a916ca593eb27d64a4d1928c942940c0df56d0c0c \
    0c0c6c1819122440c6cd9b06448914a6cd9b951222366092c2808d9592bc7237844abb6cdc092a8eb170 \
    24aaa48dc0d9d648cf612b2523559635ee";

fn read(reader: &mut Reader, element: &[u8]) -> (Result<(), Error>, Vec<Vec<u8>>) {
    let mut frames = Vec::new();
    let result = reader.read(element, |frame| frames.push(frame));
    (result, frames)
}

/// Bits written as a row of (value, count).
fn bits(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<bool> = fields
        .iter()
        .flat_map(|&(value, count)| (0..count).rev().map(move |bit| value >> bit & 1 == 1))
        .collect();
    bits.chunks(8)
        .map(|byte| (0..8).fold(0, |all, bit| all << 1 | u8::from(byte.get(bit) == Some(&true))))
        .collect()
}

#[test]
fn an_element_of_ffmpeg_is_read() {
    let element = hex(ELEMENT);
    assert_eq!(element_size(&element), Some(element.len()));
    let mut reader = Reader::default();
    let (result, frames) = read(&mut reader, &element[HEADER_SIZE..]);
    assert_eq!((result, frames), (Ok(()), vec![hex(FRAME)]));
    let (config, audio) = reader.config().expect("read");
    assert_eq!((audio.object_type, audio.sample_rate_hz, audio.channels), (2, 48_000, 1));
    // The same as its ADTS or MP4 form has: AAC LC, index 3, one channel.
    assert_eq!(config[..2], [0x11, 0x88]);
}

#[test]
fn frames_wait_for_a_configuration_and_then_use_the_last_one() {
    let mut reader = Reader::default();
    let same_config = bits(&[(1, 1), (2, 8), (0xAABB, 16)]);
    assert_eq!(read(&mut reader, &same_config), (Err(Error::NoConfig), vec![]));
    read(&mut reader, &hex(ELEMENT)[HEADER_SIZE..]).0.expect("readable");
    assert_eq!(read(&mut reader, &same_config), (Ok(()), vec![vec![0xAA, 0xBB]]));
}

#[test]
fn version_1_other_data_crc_and_several_frames_are_read() {
    let element = bits(&[
        (0, 1), // another configuration
        (1, 1), // audioMuxVersion 1
        (0, 1), // audioMuxVersionA 0
        (0, 2), // taraBufferFullness in one byte
        (0xFF, 8),
        (1, 1), // the same time framing
        (1, 6), // two frames
        (0, 4), // one program
        (0, 3), // one layer
        (0, 2), // 16 bits of configuration
        (16, 8),
        (0x1190, 16), // AAC LC, 48 kHz, stereo
        (0, 3),       // frameLengthType
        (0xFF, 8),
        (1, 1), // other data, 8 bits
        (0, 2),
        (8, 8),
        (1, 1), // CRC
        (0x55, 8),
        (1, 8),
        (0xAA, 8),
        (2, 8),
        (0xBBCC, 16),
        (0xEE, 8), // the other data
    ]);
    let mut reader = Reader::default();
    let (result, frames) = read(&mut reader, &element);
    assert_eq!((result, frames), (Ok(()), vec![vec![0xAA], vec![0xBB, 0xCC]]));
    assert_eq!(reader.config().expect("read").0, [0x11, 0x90]);
}

#[test]
fn what_is_not_read_is_told() {
    let mut reader = Reader::default();
    let mut unsupported = |fields: &[(u32, u32)]| {
        let result = read(&mut reader, &bits(fields)).0;
        assert!(matches!(result, Err(Error::Unsupported(_))), "{result:?}");
    };
    unsupported(&[(0, 1), (0, 1), (0, 1), (0, 30)]); // streams of different framing
    unsupported(&[(0, 1), (0, 1), (1, 1), (0, 6), (1, 4), (0, 30)]); // two programs
    unsupported(&[(0, 1), (1, 1), (1, 1), (0, 30)]); // audioMuxVersionA
    unsupported(&[(0, 1), (0, 1), (1, 1), (0, 13), (0x1190, 16), (1, 3), (0, 30)]); // fixed size
}

#[test]
fn every_cut_and_every_flip_of_a_bit_is_read_without_a_panic() {
    let element = hex(ELEMENT).split_off(HEADER_SIZE);
    for end in 0..element.len() {
        let (result, frames) = read(&mut Reader::default(), &element[..end]);
        assert!(result.is_err() && frames.is_empty(), "cut at {end}");
    }
    for bit in 0..element.len() * 8 {
        let mut damaged = element.clone();
        damaged[bit / 8] ^= 0x80 >> (bit % 8);
        let (_, frames) = read(&mut Reader::default(), &damaged);
        assert!(frames.iter().map(Vec::len).sum::<usize>() <= element.len());
    }
}
