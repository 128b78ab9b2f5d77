use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

use super::*;

const KEY: SampleKey = SampleKey { key: *b"sixteen byte key", vector: [0x5A; 16] };

/// Parameter sets and an IDR slice of a stream by x264 (CABAC, four references, weighted prediction),
/// without its data: its header ends within the last of these bytes.
const SPS: [u8; 24] =
    *b"\x67\x64\0\x0a\xac\xd9\x44\x26\xc0\x44\0\0\x03\0\x04\0\0\x03\0\xc8\x3c\x48\x96\x58";
const PPS: [u8; 6] = *b"\x68\xe9\x38\xf2\xc8\xb0";
const HEADER: [u8; 6] = *b"\x65\x88\x84\0\x2b\xff";

fn avcc(sets: [&[u8]; 2]) -> Vec<u8> {
    let [sps, pps] = sets;
    let length = |set: &[u8]| (set.len() as u16).to_be_bytes();
    let head = &[1, 0x64, 0, 0x0A, 0xFF, 0xE1][..];
    [head, &length(sps), sps, &[1], &length(pps), pps].concat()
}

fn cipher() -> FragmentCipher {
    FragmentCipher::new(&KEY, CodecId::H264, &avcc([&SPS, &PPS])).expect("readable")
}

/// A slice with this many bytes of data behind its header.
fn slice(data: usize) -> Vec<u8> {
    HEADER.into_iter().chain((0..data).map(|at| at as u8 | 1)).collect()
}

fn sample(units: &[&[u8]]) -> Vec<u8> {
    let lengths = units.iter().map(|unit| (unit.len() as u32).to_be_bytes());
    lengths.zip(units).flat_map(|(length, unit)| [&length[..], unit].concat()).collect()
}

/// What a reader of `cbcs` does.
fn decrypt(secret: &[u8], runs: &Subsamples, skipped: usize) -> Vec<u8> {
    let mut plain = secret.to_vec();
    let whole = Subsample { clear: 0, protected: secret.len() as u32 };
    let all: &[Subsample] = if runs.is_empty() { &[whole] } else { runs };
    let mut at = 0;
    for run in all {
        at += usize::from(run.clear);
        let end = at + run.protected as usize;
        let mut cbc = Decryptor::<Aes128>::new(&KEY.key.into(), &KEY.vector.into());
        let mut block_at = at;
        while let Some(block) = plain[block_at..end].first_chunk_mut::<16>() {
            cbc.decrypt_block(block.into());
            block_at = (block_at + 16 + skipped).min(end);
        }
        at = end;
    }
    assert_eq!(at, secret.len(), "the runs are the sample");
    plain
}

#[test]
fn of_slices_one_block_of_ten_is_encrypted_behind_the_header() {
    let sei = [6; 30];
    for data in 0..400 {
        let plain = sample(&[&sei, &slice(data), &slice(200)]);
        let (secret, runs) = cipher().encrypt(&plain).expect("readable");
        assert_eq!(decrypt(&secret, &runs, 144), plain, "{data}");
        let first = 4 + sei.len() + 4 + HEADER.len();
        let second = first + data + 4 + HEADER.len();
        // A slice without a whole block is clear.
        let clear = if data < 16 { second } else { first };
        assert_eq!(
            (usize::from(runs[0].clear), runs.len()),
            (clear, if data < 16 { 1 } else { 2 })
        );
        assert_eq!(secret[..clear], plain[..clear]);
        assert_ne!(secret[clear..clear + 16], plain[clear..clear + 16]);
        assert_ne!(secret[second..second + 16], plain[second..second + 16]);
        assert_eq!(secret[second + 16..second + 160], plain[second + 16..second + 160]);
    }
}

#[test]
fn clear_units_of_any_length_are_told_and_no_run_of_them_is_too_long() {
    for size in [65_000, 65_534, 65_535, 65_536, 200_000] {
        let filler = vec![12; size];
        let plain = sample(&[&slice(50), &filler, &slice(50), &filler]);
        let (secret, runs) = cipher().encrypt(&plain).expect("readable");
        assert_eq!(decrypt(&secret, &runs, 144), plain, "{size}");
        assert_eq!(runs.iter().filter(|run| run.protected > 0).count(), 2);
    }
}

#[test]
fn sound_is_encrypted_whole_but_for_its_last_bytes() {
    let mut cipher = FragmentCipher::new(&KEY, CodecId::Aac, &[]).expect("sound");
    for size in 0..70 {
        let plain = slice(size);
        let (secret, runs) = cipher.encrypt(&plain).expect("any");
        let whole = plain.len() / 16 * 16;
        assert!(runs.is_empty());
        assert_eq!(secret[whole..], plain[whole..]);
        assert_eq!(secret == plain, whole == 0);
        assert_eq!(decrypt(&secret, &runs, 0), plain);
    }
}

#[test]
fn what_cannot_be_read_or_told_is_left_out() {
    let plain = sample(&[&slice(50)]);
    for end in 1..plain.len() {
        assert_eq!(cipher().encrypt(&plain[..end]), None, "cut at {end}");
    }
    let slice = slice(20);
    let many = |count| cipher().encrypt(&sample(&vec![&slice[..]; count]));
    assert_eq!(many(SUBSAMPLES_MAX).map(|(_, runs)| runs.len()), Some(SUBSAMPLES_MAX));
    assert_eq!(many(SUBSAMPLES_MAX + 1), None);
    // A slice whose parameter sets did not come; they may come with it.
    let bare = avcc([&[0x67], &[0x68]]);
    let mut cipher = FragmentCipher::new(&KEY, CodecId::H264, &bare).expect("readable");
    assert_eq!(cipher.encrypt(&plain), None);
    assert!(cipher.encrypt(&sample(&[&SPS, &PPS, &slice])).is_some());
    assert!(cipher.encrypt(&plain).is_some());
    for codec in [CodecId::H266, CodecId::Av1, CodecId::Vp9] {
        assert!(FragmentCipher::new(&KEY, codec, &avcc([&SPS, &PPS])).is_none(), "{codec:?}");
    }
    assert!(FragmentCipher::new(&KEY, CodecId::H264, &[]).is_none());
}

// Parameter sets and the header of the first slice of a stream by x265 (ffmpeg 5.1.9).
#[test]
fn of_hevc_the_header_is_clear_too() {
    let sets: [&[u8]; 2] = [
        b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3c\xa0\x18\x20\x20\x59\x65\x65\x92\x4c\xaf\x01\x68\x08\x00\x00\x03\x00\x08\x00\x00\x03\x00\xc8\x40",
        b"\x44\x01\xc1\x72\xb6\x62\x40",
    ];
    let mut hvcc = vec![1; 21];
    hvcc.extend_from_slice(&[0xFF, 2]);
    for (set, nal_type) in sets.into_iter().zip([33, 34]) {
        hvcc.extend_from_slice(&[nal_type, 0, 1, 0, set.len() as u8]);
        hvcc.extend_from_slice(set);
    }
    let header = b"\x28\x01\xaf\x1d\x44\xc8";
    let slice = [&header[..], &[0x77; 300]].concat();
    let sei = [0x4E; 40];
    let mut cipher = FragmentCipher::new(&KEY, CodecId::H265, &hvcc).expect("readable");
    let plain = sample(&[&sei, &slice]);
    let (secret, runs) = cipher.encrypt(&plain).expect("readable");
    let clear = 4 + sei.len() + 4 + header.len();
    assert_eq!(runs[..], [Subsample { clear: clear as u16, protected: 300 }]);
    assert_eq!(secret[..clear], plain[..clear]);
    assert_eq!(decrypt(&secret, &runs, 144), plain);
    assert_ne!(secret[clear..clear + 16], plain[clear..clear + 16]);
}
