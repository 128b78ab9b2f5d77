use bytes::Bytes;
use mp4_atom::{Any, DecodeMaybe as _};

use super::*;
use crate::access_unit::{Timestamp, TrackInfo};
use crate::codec::{CodecId, hex};
use crate::container::fmp4::{Sample, Track, fragment, init_segment};

const PROTECTION: Protection = Protection { key_id: [0xAA; 16], vector: [0xBB; 16] };

/// Where the bytes are.
fn find(all: &[u8], part: &[u8]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

fn init(codec: CodecId, config: &str, protection: Option<Protection>) -> Bytes {
    let info = TrackInfo { codec, width: 640, height: 360, channels: 2, ..TrackInfo::default() };
    let info = TrackInfo { sample_rate_hz: 48_000, ..info };
    let (config, first_frame) = (hex(config).into(), Bytes::new());
    let language = String::new();
    init_segment(&[Track { id: 1, codec, info, config, first_frame, language, protection }])
        .expect("readable")
}

const AVCC: &str = "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f162d9601000668\
                    ebe3cb22c0fdf8f800";

// Written by hand from ISO/IEC 14496-12 8.12 and 23001-7 8.2.
#[test]
fn a_sample_entry_says_how_its_samples_are_encrypted() {
    for (codec, config, kind, original, pattern) in [
        (CodecId::H264, AVCC, b"encv", "61766331", "19"),
        (CodecId::Aac, "1190", b"enca", "6d703461", "00"),
    ] {
        let clear = init(codec, config, None);
        let secret = init(codec, config, Some(PROTECTION));
        let scheme = hex(&format!(
            "00000061 73696e66 0000000c 66726d61 {original} \
             00000014 7363686d 00000000 63626373 00010000 00000039 73636869 \
             00000031 74656e63 01000000 00{pattern}0100 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
             10 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        ));
        let size = scheme.len();
        let at = find(&secret, &scheme).expect("the scheme");
        // All else is as it was, but for the name of the entry and the sizes around it.
        assert_eq!(secret.len(), clear.len() + size);
        assert_eq!(secret[at + size..], clear[at..]);
        assert!(find(&secret, kind).is_some() && find(&clear, kind).is_none());
        assert_eq!(find(&secret[..at], &hex(original)), None, "{codec:?}");
    }
}

fn sample(size: usize, runs: Option<&[(u16, u32)]>) -> Sample {
    let run = |&(clear, protected): &(u16, u32)| Subsample { clear, protected };
    Sample {
        dts: Timestamp(0),
        pts_offset: 0,
        duration: 1,
        random_access: true,
        payload: vec![0x55; size].into(),
        protected: runs.map(|runs| runs.iter().map(run).collect()),
    }
}

// Written by hand from ISO/IEC 14496-12 8.7.8, 8.7.9 and 23001-7 7.2.
#[test]
fn runs_are_told_in_a_box_and_where_it_is_in_two_more() {
    let picture = [sample(100, Some(&[(36, 64)])), sample(90, Some(&[(9, 16), (65, 0)]))];
    let sound = [sample(50, Some(&[]))];
    let file = fragment(7, &[(1, &picture), (2, &sound), (3, &[sample(5, None)])]).expect("short");
    let file = file.to_vec();
    let senc = hex("00000026 73656e63 00000002 00000002 0001 0024 00000040 \
                    0002 0009 00000010 0041 00000000");
    let at = find(&file, &senc).expect("senc");
    let entries_at = (at + 16) as u32;
    let before = [
        hex("00000013 7361697a 00000000 00 00000002 08 0e"),
        hex("00000014 7361696f 00000000 00000001"),
        entries_at.to_be_bytes().to_vec(),
    ];
    assert!(file[..at].ends_with(&before.concat()));
    // Of sound there is nothing to say but that it is.
    let whole = hex("00000010 73656e63 00000000 00000001");
    assert!(find(&file, &whole).is_some_and(|whole| whole > at));
    for (kind, count) in [(b"senc", 2), (b"saiz", 1), (b"saio", 1)] {
        assert_eq!(file.windows(4).filter(|window| window == kind).count(), count);
    }
    // The samples are where the fragment says.
    let mut rest = &file[..];
    let Ok(Some(Any::Moof(moof))) = Any::decode_maybe(&mut rest) else { panic!("no moof") };
    let sizes = [190, 50, 5];
    for (traf, size) in moof.traf.iter().zip(sizes) {
        let at = traf.trun[0].data_offset.expect("told") as usize;
        assert!(file[at..at + size].iter().all(|byte| *byte == 0x55));
    }
    assert_eq!(moof.traf.len(), 3);
}

#[test]
fn as_many_runs_as_there_can_be_are_told() {
    let runs = vec![(1, 16); SUBSAMPLES_MAX];
    let file = fragment(1, &[(1, &[sample(17 * 42, Some(&runs))])]).expect("short").to_vec();
    let saiz = find(&file, b"saiz").expect("there");
    assert_eq!(file[saiz + 13], 2 + 6 * 42);
    // The entry is within the box around it.
    let senc = find(&file, b"senc").expect("there") - 4;
    let size = u32::from_be_bytes(*file[senc..].first_chunk().expect("more"));
    assert_eq!(size, 16 + 2 + 6 * 42);
}
