//! Packagers that encrypt every frame (SAMPLE-AES): what is cut where, and that nothing stays readable.

mod hls_packager_support;

use bytes::Bytes;
use corelay_codecs::{AccessUnit, CodecId, Timestamp, TrackId, TsBlock};
use corelay_protocols::hls::encrypt::SampleKey;
use corelay_protocols::hls::packager::Settings;
use corelay_protocols::hls::{Form, Packager, Segment};
use hls_packager_support::*;

const KEY: SampleKey = SampleKey { key: [7; 16], vector: [9; 16] };

/// Bytes that come nowhere else, and no zeros.
fn noise(seed: i64, size: usize) -> impl Iterator<Item = u8> {
    let mut state = seed as u64;
    (0..size).map(move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8 | 1
    })
}

/// A picture of one slice whose header can be read: an IDR slice of the stream of [`AVC_X264`].
fn picture(dts: i64, size: usize) -> AccessUnit {
    let data = noise(dts, size);
    let slice: Vec<u8> = hex("65888400 2bff").iter().copied().chain(data).collect();
    let payload = [&(slice.len() as u32).to_be_bytes()[..], &slice].concat();
    AccessUnit { payload: payload.into(), ..hls_packager_support::picture(dts, true, 1) }
}

/// avcC of a stream by x264 with CABAC and weighted prediction.
const AVC_X264: &str = "0164000affe1001867 64000aacd94426c044000003000400000300c83c489658 \
                        01000668e938f2c8b0";

/// av1C of `ffmpeg -f lavfi -i testsrc2 -c:v libsvtav1 x.mp4`.
const AV1C: &str = "81010c000a0b0000000cc4ff6700be0010";

fn frames() -> Vec<(AccessUnit, bool)> {
    let sound = Publisher { frame_rate: 0, to_ms: 6_000, ..Publisher::default() }.frames();
    let noisy = |(unit, _): (AccessUnit, bool)| {
        let payload = noise(unit.dts.0 + 1, unit.payload.len()).collect();
        (AccessUnit { payload, ..unit }, false)
    };
    let mut frames: Vec<_> = sound.into_iter().map(noisy).collect();
    frames.extend((0..150).map(|n| (picture(n * 3_600, 2_000), n % 25 == 0)));
    frames.sort_by_key(|(unit, _)| (unit.dts, unit.track));
    frames
}

fn made(form: Form, sample_key: Option<SampleKey>) -> Made {
    let mut made = Made::new(Settings { form, sample_key, ..Settings::default() });
    made.push(&config(TrackId::VIDEO, CodecId::H264, AVC_X264), false);
    made.push(&aac(), false);
    made.push_all(&frames());
    made.finish();
    made
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn encrypted_segments_are_cut_as_clear_ones_are_and_show_nothing() {
    for form in [Form::Ts, Form::Fmp4] {
        let (clear, secret) = (made(form, None), made(form, Some(KEY)));
        assert_eq!(secret.durations_ms(), clear.durations_ms());
        assert_eq!(secret.packager.stats(), clear.packager.stats());
        assert_eq!(secret.packager.stats().frames_left_out, 0);
        for (clear, secret) in clear.main().iter().zip(secret.main()) {
            let parts = |segment: &Segment| {
                segment.parts.iter().map(|part| part.duration).collect::<Vec<_>>()
            };
            assert_eq!(parts(secret), parts(clear));
            let bytes = |segment: &Segment| {
                segment.parts.iter().flat_map(|part| part.chunk.to_vec()).collect::<Vec<_>>()
            };
            let (clear, secret) = (bytes(clear), bytes(secret));
            let frames = frames();
            let mut found = 0;
            let sounds = frames.iter().filter(|(unit, _)| unit.track == TrackId::AUDIO);
            for (unit, _) in sounds.step_by(14) {
                // A block that the cuts of packets seldom go through.
                let block = &unit.payload[32..48];
                found += u32::from(has(&clear, block));
                assert!(!has(&secret, block) || !has(&clear, block), "{form:?} {:?}", unit.dts);
            }
            assert!(found > 3, "{found}");
        }
    }
}

#[test]
fn the_containers_say_what_is_encrypted() {
    let first = |made: &Made| made.main()[0].parts[0].chunk.to_vec();
    let (clear, secret) = (made(Form::Ts, None), made(Form::Ts, Some(KEY)));
    let announcements: [&[u8]; 3] = [b"\x0F\x04zavc", b"\x0F\x04aacd", b"apadzaac"];
    for announcement in announcements {
        assert!(has(&first(&secret), announcement) && !has(&first(&clear), announcement));
    }
    let secret = made(Form::Fmp4, Some(KEY));
    let init = &secret.inits[&FMP4][0].bytes;
    for name in [b"encv", b"enca", b"cbcs", b"tenc"] {
        assert!(has(init, name), "{name:?}");
    }
    assert!(has(init, &KEY.key_id()) && has(init, &KEY.vector) && !has(init, &KEY.key));
    assert!(has(&first(&secret), b"senc"));
}

#[test]
fn what_has_no_encrypted_form_is_left_out_and_never_clear() {
    let mp3 = AccessUnit {
        codec: CodecId::Mp3,
        payload: Bytes::from_static(&[0xFF, 0xFB, 0x90, 0x64]),
        ..sound(TrackId::AUDIO, 0, 1)
    };
    let av1 = AccessUnit { codec: CodecId::Av1, ..picture(0, 500) };
    for (form, left_out) in [
        (Form::Ts, &[CodecId::Av1, CodecId::Mp3][..]),
        // Sound of any codec has a form there.
        (Form::Fmp4, &[CodecId::Av1]),
    ] {
        let mut made = Made::new(Settings { form, sample_key: Some(KEY), ..Settings::default() });
        made.push(&config(TrackId::VIDEO, CodecId::Av1, AV1C), false);
        for n in 0..200 {
            let dts = Timestamp(n * 3_600);
            made.push(&AccessUnit { dts, ..av1.clone() }, n % 25 == 0);
            made.push(&AccessUnit { dts, ..mp3.clone() }, true);
        }
        let codecs: Vec<_> = made.packager.left_out().iter().map(|(_, codec)| *codec).collect();
        assert_eq!(codecs, left_out, "{form:?}");
        made.finish();
        assert_eq!(made.main().is_empty(), form == Form::Ts);
    }
}

#[test]
fn packets_of_a_transport_stream_are_not_passed_on_clear() {
    let settings = Settings { sample_key: Some(KEY), ..Settings::default() };
    let mut packager = Packager::new(settings, 0);
    let block = TsBlock::new(Bytes::from(vec![0x47; 188])).unwrap_or_default();
    for _ in 0..100 {
        packager.push_packets(&block, &Bytes::new(), true, 0);
    }
    packager.finish();
    assert_eq!((packager.poll_event(), packager.held_bytes()), (None, 0));
}
