use mp4_atom::{Decode as _, Header, Moof};
use proptest::prelude::*;

use super::*;
use crate::codec::hex;

const PICTURE: usize = COPIED_BYTES_MAX + 1;

fn sample(dts: i64, duration: u32, random_access: bool, payload: &[u8]) -> Sample {
    let payload = Bytes::copy_from_slice(payload);
    Sample { dts: Timestamp(dts), pts_offset: 0, duration, random_access, payload, protected: None }
}

/// What a reader sees of a sample.
#[derive(Debug, PartialEq)]
struct Seen {
    dts: u64,
    pts_offset: i32,
    duration: u32,
    random_access: bool,
    payload: Vec<u8>,
}

impl Seen {
    fn of(samples: &[Sample]) -> Vec<Self> {
        let mut dts = samples.first().map_or(0, |sample| sample.dts.0.max(0) as u64);
        let seen = samples.iter().map(|sample| {
            let duration = sample.duration;
            dts += u64::from(duration);
            Self {
                dts: dts - u64::from(duration),
                pts_offset: sample.pts_offset,
                duration,
                random_access: sample.random_access,
                payload: sample.payload.to_vec(),
            }
        });
        seen.collect()
    }
}

/// The sequence number and the samples of each track, as mp4-atom reads them.
fn read(chunk: &Chunk) -> (u32, Vec<(u32, Vec<Seen>)>) {
    let bytes = chunk.to_vec();
    let mut rest = &bytes[..];
    let moof = Moof::decode(&mut rest).expect("readable");
    let header = Header::decode(&mut rest).expect("readable");
    assert_eq!((header.kind.to_string().as_str(), header.size), ("mdat", Some(rest.len())));
    let tracks = moof.traf.iter().map(|traf| {
        let [run] = traf.trun.as_slice() else { panic!("one run") };
        let (defaults, mut dts) =
            (&traf.tfhd, traf.tfdt.as_ref().map_or(0, |t| t.base_media_decode_time));
        let mut at = usize::try_from(run.data_offset.expect("told")).expect("not negative");
        let samples = run.entries.iter().map(|entry| {
            let duration = entry.duration.or(defaults.default_sample_duration).expect("told");
            let size = entry.size.or(defaults.default_sample_size).expect("told") as usize;
            let flags = entry.flags.or(defaults.default_sample_flags).expect("told");
            let payload = bytes[at..at + size].to_vec();
            at += size;
            dts += u64::from(duration);
            Seen {
                dts: dts - u64::from(duration),
                pts_offset: entry.cts.unwrap_or(0),
                duration,
                random_access: flags & 0x0001_0000 == 0,
                payload,
            }
        });
        (defaults.track_id, samples.collect())
    });
    (moof.mfhd.sequence_number, tracks.collect())
}

#[test]
fn a_fragment_of_three_samples_is_these_bytes() {
    // Written by hand from ISO/IEC 14496-12 8.8. The two pictures differ in everything but the
    // duration, the sound has nothing to differ from.
    let expected = hex(concat!(
        "000000c0 6d6f6f66 00000010 6d666864 00000000 00000007", // moof, mfhd
        "0000005c 74726166",                                     // traf
        "00000014 74666864 00020008 00000001 00000e10",          // tfhd: duration
        "00000014 74666474 01000000 00000001 00000000",          // tfdt: 2^32
        "0000002c 7472756e 01000e01 00000002 000000c8",          // trun: size, flags, offset
        "00000002 02000000 00001c20 00000001 01010000 fffff1f0",
        "0000004c 74726166",                                              // traf
        "0000001c 74666864 00020038 00000002 00000780 00000003 02000000", // tfhd: all
        "00000014 74666474 01000000 00000000 00000005",                   // tfdt
        "00000014 7472756e 01000001 00000001 000000cb",                   // trun
        "0000000e 6d646174 a1a2 a3 b1b2b3",                               // mdat
    ));
    let mut pictures = [
        sample(1 << 32, 3600, true, &[0xA1, 0xA2]),
        sample((1 << 32) + 3600, 3600, false, &[0xA3]),
    ];
    (pictures[0].pts_offset, pictures[1].pts_offset) = (7200, -3600);
    let sound = [sample(5, 1920, true, &[0xB1, 0xB2, 0xB3])];
    let chunk = fragment(7, &[(1, &pictures), (2, &sound)]).expect("short");
    assert_eq!(chunk.to_vec(), expected);
}

#[test]
fn pictures_are_shared_and_sound_is_gathered_in_one_slice() {
    let pictures: Vec<_> = (0..3).map(|n| sample(3600 * n, 3600, n == 0, &[1; PICTURE])).collect();
    let sound: Vec<_> = (0..40).map(|n| sample(1920 * n, 1920, true, &[2; 300])).collect();
    let chunk = fragment(1, &[(1, &pictures), (2, &sound)]).expect("short");
    let slices = chunk.slices();
    assert_eq!(slices.len(), 5, "what is in front, three pictures, all the sound");
    for (slice, picture) in slices[1..4].iter().zip(&pictures) {
        assert_eq!(slice.as_ptr(), picture.payload.as_ptr());
    }
    assert_eq!(slices[4].len(), 40 * 300);
    assert_eq!(read(&chunk).1, [(1, Seen::of(&pictures)), (2, Seen::of(&sound))]);
}

#[test]
fn what_all_samples_have_in_common_is_told_once() {
    let bytes_of = |samples: &[Sample]| {
        let payloads: usize = samples.iter().map(|sample| sample.payload.len()).sum();
        fragment(1, &[(1, samples)]).expect("short").len() - payloads
    };
    let mut sound: Vec<_> = (0..50).map(|n| sample(1920 * n, 1920, true, &[0; 192])).collect();
    assert_eq!(bytes_of(&sound), 16 + 16 + 64 + 12 + 8 - 8, "nothing for each sample");
    sound[7].payload = Bytes::from_static(&[0; 191]);
    assert_eq!(bytes_of(&sound), 96 + 8 + 50 * 4, "the sizes");
    sound[8].pts_offset = 1;
    assert_eq!(bytes_of(&sound), 96 + 8 + 50 * 8, "and the offsets");
    (sound[9].duration, sound[9].random_access) = (1921, false);
    assert_eq!(bytes_of(&sound), 96 + 50 * 16, "everything");
}

#[test]
fn tracks_without_samples_are_not_mentioned() {
    let sound = [sample(0, 1920, true, &[1])];
    let chunk = fragment(1, &[(1, &[]), (2, &sound), (3, &[])]).expect("short");
    assert_eq!(read(&chunk).1, [(2, Seen::of(&sound))]);
    assert!(fragment(1, &[(1, &[])]).expect("short").is_empty());
    assert!(fragment(1, &[]).expect("short").is_empty());
}

#[test]
fn a_time_before_zero_is_zero() {
    let sound = [sample(-1, 1920, true, &[1]), sample(1919, 1920, true, &[1])];
    let (_, tracks) = read(&fragment(1, &[(1, &sound)]).expect("short"));
    assert_eq!(tracks[0].1.iter().map(|seen| seen.dts).collect::<Vec<_>>(), [0, 1920]);
}

#[test]
fn a_fragment_beyond_2_gib_is_refused() {
    let payload = Bytes::from(vec![0; 1 << 26]);
    let mut samples = vec![Sample { payload, ..sample(0, 1, true, &[]) }; 31];
    let fits = fragment(1, &[(1, &samples)]).expect("short enough");
    assert!(fits.len() > 31 << 26);
    samples.push(samples[0].clone());
    assert!(matches!(
        fragment(1, &[(1, &samples)]),
        Err(Error::LimitExceeded { what: "a fragment", limit: 0x7FFF_FFFF, .. })
    ));
}

#[test]
fn a_sample_of_sound_can_always_be_decoded() {
    use crate::access_unit::{FlvBody, TrackId};
    let mut unit = AccessUnit {
        track: TrackId::VIDEO,
        kind: UnitKind::Frame { random_access: false },
        codec: crate::CodecId::H264,
        dts: Timestamp(90),
        pts_offset: 180,
        payload: Bytes::from_static(&[1]),
        flv: FlvBody::Build,
    };
    let expected = Sample { pts_offset: 180, ..sample(90, 3600, false, &[1]) };
    assert_eq!(Sample::of(&unit, 3600), expected);
    unit.track = TrackId::AUDIO;
    assert!(Sample::of(&unit, 3600).random_access);
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sizes = prop_oneof![0..4_usize, Just(COPIED_BYTES_MAX), Just(PICTURE)];
    let offsets = prop_oneof![Just(0), any::<i32>()];
    let durations = prop_oneof![Just(3600), any::<u32>()];
    let one = (sizes, offsets, durations, any::<bool>(), any::<u8>());
    let all = (prop::collection::vec(one, 0..20), 0..i64::MAX / 2);
    all.prop_map(|(samples, dts)| {
        let samples =
            samples.into_iter().map(|(size, pts_offset, duration, random_access, byte)| Sample {
                pts_offset,
                ..sample(dts, duration, random_access, &vec![byte; size])
            });
        samples.collect()
    })
}

proptest! {
    #[test]
    fn an_independent_reader_finds_every_sample(
        sequence in any::<u32>(),
        tracks in prop::collection::vec((any::<u32>(), samples()), 1..4),
    ) {
        let runs: Vec<_> = tracks.iter().map(|(id, samples)| (*id, &samples[..])).collect();
        let chunk = fragment(sequence, &runs).expect("short");
        let expected: Vec<_> = runs
            .iter()
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(id, samples)| (*id, Seen::of(samples)))
            .collect();
        if expected.is_empty() {
            prop_assert!(chunk.is_empty());
        } else {
            prop_assert_eq!(read(&chunk), (sequence, expected));
        }
    }
}
