use aes::Aes128;
use bytes::Bytes;
use cbc::Decryptor;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use corelay_codecs::{Timestamp, TrackId, TrackKind, UnitKind};

use super::*;

const KEY: SampleKey = SampleKey {
    key: 0x000102030405060708090a0b0c0d0e0f_u128.to_be_bytes(),
    vector: 0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff_u128.to_be_bytes(),
};

/// avcC of no more than what is read of it here: lengths of `size` bytes, no parameter sets.
fn avcc(size: u8) -> [u8; 7] {
    [1, 66, 0, 30, 0xFC | (size - 1), 0xE0, 0]
}

fn unit(codec: CodecId, payload: &[u8]) -> AccessUnit {
    let kind = codec.kind();
    AccessUnit {
        track: if kind == TrackKind::Video { TrackId::VIDEO } else { TrackId::AUDIO },
        kind: UnitKind::Frame { random_access: true },
        codec,
        dts: Timestamp(0),
        pts_offset: 0,
        payload: Bytes::copy_from_slice(payload),
        flv: FlvBody::Build,
    }
}

fn encrypt(codec: CodecId, payload: &[u8], config: &[u8]) -> Option<Bytes> {
    TransportCipher::new(&KEY).encrypt(&unit(codec, payload), config).map(|unit| unit.payload)
}

fn of_length(size: usize, nal: &[u8]) -> Vec<u8> {
    [&(nal.len() as u64).to_be_bytes()[8 - size..], nal].concat()
}

/// A picture of one NAL unit, and the NAL unit that comes of it.
fn encrypt_nal(nal: &[u8]) -> Vec<u8> {
    let picture = encrypt(CodecId::H264, &of_length(4, nal), &avcc(4)).expect("readable");
    assert_eq!(picture[..4], (picture.len() as u32 - 4).to_be_bytes());
    picture[4..].to_vec()
}

/// What a player does, as the listings of the format have it.
fn decrypt_nal(nal: &[u8]) -> Vec<u8> {
    if nal.len() <= 48 {
        return nal.to_vec();
    }
    let (mut plain, mut zeros) = (Vec::new(), 0);
    for &byte in nal {
        let is_prevention = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        if !is_prevention {
            plain.push(byte);
        }
    }
    let mut cbc = Decryptor::<Aes128>::new(&KEY.key.into(), &KEY.vector.into());
    for at in (32..plain.len()).step_by(160) {
        if plain.len() - at > 16 {
            let block: &mut [u8; 16] = plain[at..].first_chunk_mut().expect("more than 16");
            cbc.decrypt_block(block.into());
        }
    }
    plain
}

/// A slice of this many bytes without a zero.
fn slice(size: usize) -> Vec<u8> {
    (0..size).map(|at| if at == 0 { 0x65 } else { (at * 7) as u8 | 1 }).collect()
}

// The blocks by `openssl enc -aes-128-cbc -nopad` of bytes 32 to 48 and 192 to 208.
#[test]
fn one_block_of_ten_is_encrypted_from_byte_32_on() {
    let plain = slice(32 + 160 + 16 + 5);
    let secret = encrypt_nal(&plain);
    let block = |value: u128| value.to_be_bytes();
    assert_eq!(secret[..32], plain[..32]);
    assert_eq!(secret[32..48], block(FIRST_BLOCK));
    assert_eq!(secret[48..192], plain[48..192]);
    assert_eq!(secret[192..208], block(SECOND_BLOCK));
    assert_eq!(secret[208..], plain[208..]);
    // Nothing would follow the second block.
    assert_eq!(encrypt_nal(&plain[..208])[192..], plain[192..208]);
}

#[test]
fn short_slices_and_other_units_stay_as_they_are() {
    assert_eq!(encrypt_nal(&slice(48)), slice(48));
    assert_ne!(encrypt_nal(&slice(49)), slice(49));
    for header in [0x06, 0x67, 0x68, 0x09, 0x0C, 0x42] {
        let mut unit = slice(500);
        unit[0] = header;
        // No start code is prevented twice in what is clear.
        unit[100..104].copy_from_slice(&[0, 0, 3, 1]);
        assert_eq!(encrypt_nal(&unit), unit, "{header:#x}");
    }
}

#[test]
fn players_find_the_slice_again_and_no_start_code_before() {
    for size in 33..600 {
        for content in 0..6_u8 {
            // From zeros alone, with their preventions, to anything.
            let mut plain = vec![0x41];
            while plain.len() < size {
                let byte = plain.len() as u8 & content;
                let must = plain.ends_with(&[0, 0]) && byte <= 3;
                plain.push(if must { 3 } else { byte });
            }
            plain.push(0x80);
            let secret = encrypt_nal(&plain);
            assert_eq!(decrypt_nal(&secret), plain, "{size} {content}");
            let is_bare = |bytes: &[u8]| bytes[..2] == [0, 0] && bytes[2] < 3;
            assert!(!secret.windows(3).any(is_bare), "{size} {content}");
        }
    }
}

#[test]
fn lengths_of_every_size_are_kept_and_a_unit_that_outgrows_its_own_is_left_out() {
    for size in 1..=4 {
        let sei = [6, 1, 2, 3];
        let picture = [of_length(size, &sei), of_length(size, &slice(100))].concat();
        let secret = encrypt(CodecId::H264, &picture, &avcc(size as u8)).expect("readable");
        assert_eq!(secret[..size + 4], of_length(size, &sei));
        assert_eq!(secret[size + 4..], of_length(size, &encrypt_nal(&slice(100))));
        for end in 1..picture.len() {
            let is_whole = end == size + 4;
            let cut = encrypt(CodecId::H264, &picture[..end], &avcc(size as u8));
            assert_eq!(cut.is_some(), is_whole, "{size}, cut at {end}");
        }
    }
    let mut zeros = [0, 0, 3].repeat(84);
    zeros[0] = 0x65;
    assert_eq!(encrypt(CodecId::H264, &of_length(1, &zeros), &avcc(1)), None);
    assert!(encrypt(CodecId::H264, &of_length(2, &zeros), &avcc(2)).is_some());
    assert_eq!(encrypt(CodecId::H264, &of_length(4, &zeros), &[1, 2]), None);
}

fn decrypt(range: &mut [u8]) {
    let mut cbc = Decryptor::<Aes128>::new(&KEY.key.into(), &KEY.vector.into());
    range.as_chunks_mut::<16>().0.iter_mut().for_each(|block| cbc.decrypt_block(block.into()));
}

#[test]
fn of_aac_the_whole_blocks_behind_the_first_are_encrypted() {
    for size in 0..70 {
        let plain = &slice(size)[..];
        let mut secret = encrypt(CodecId::Aac, plain, &[]).expect("any").to_vec();
        let clear = 16 + size.saturating_sub(16) / 16 * 16;
        assert_eq!(secret == plain, clear == 16, "{size}");
        assert_eq!(secret.get(clear..), plain.get(clear..));
        decrypt(secret.get_mut(16..).unwrap_or_default());
        assert_eq!(secret, plain);
    }
}

#[test]
fn of_ac3_every_frame_is_encrypted_by_itself() {
    // syncinfo of 48 kHz and 32 kbit/s: 128 bytes. An E-AC-3 frame of 100 bytes.
    for (codec, front, size) in [
        (CodecId::Ac3, [0x0B, 0x77, 1, 2, 0x00, 0x40], 128),
        (CodecId::Eac3, [0x0B, 0x77, 0x00, 49, 0x34, 0x86], 100),
    ] {
        let frame = [&front[..], &slice(size - 6)].concat();
        let mut secret = encrypt(codec, &frame.repeat(2), &[]).expect("frames").to_vec();
        assert_ne!(secret[..size], frame);
        assert_eq!(secret[..size], secret[size..], "the vector begins again");
        assert_eq!(secret[..16], frame[..16]);
        decrypt(&mut secret[16..size]);
        assert_eq!(secret[..size], frame);
        assert_eq!(encrypt(codec, &frame[..size - 1], &[]), None);
        assert_eq!(encrypt(codec, &frame.repeat(2)[..size + 5], &[]), None);
    }
}

#[test]
fn other_codecs_have_no_form() {
    for codec in [CodecId::H265, CodecId::Av1, CodecId::Mp3, CodecId::Opus] {
        assert_eq!(encrypt(codec, &slice(100), &avcc(4)), None, "{codec:?}");
    }
}

const FIRST_BLOCK: u128 = 0xad3a073aa5a2b4c0f7db766a1e84ac17;
const SECOND_BLOCK: u128 = 0x54b370ffc4bf8934e0eb1e0e58679243;
