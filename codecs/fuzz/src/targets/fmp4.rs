//! Fragmented MP4 of any tracks and samples.
//!
//! ```text
//! | tracks | codec, size, configuration or frame | .. | kind, duration, offset, size | ..
//! ```
//!
//! A sample's kind: its track, whether it is a key frame and whether it is encrypted, and in the
//! highest bit whether it ends its fragment.

use bytes::Bytes;
use corelay_codecs::codec::CODECS;
use corelay_codecs::container::fmp4::event::{DURATION_UNKNOWN, SCHEME_ID3};
use corelay_codecs::container::fmp4::{
    Event, Protection, Sample, Subsample, Track, event_message, fragment, init_segment,
};
use corelay_codecs::{Timestamp, TrackInfo};
use mp4_atom::{Any, Decode as _, DecodeMaybe as _};

/// Boxes contain each other, and mp4-atom reads every fragment with the samples that went in.
pub fn run(data: &[u8]) {
    let Some((&count, mut rest)) = data.split_first() else { return };
    let tracks: Vec<_> = (0..count % 4).filter_map(|index| track(index, &mut rest)).collect();
    if let Ok(segment) = init_segment(&tracks) {
        check_boxes(&segment);
    }
    let mut samples = vec![Vec::new(); 4];
    for (sequence, &[kind, duration, offset, size]) in (0..).zip(rest.as_chunks().0) {
        let track: &mut Vec<Sample> = &mut samples[usize::from(kind & 0x03)];
        let last = track.last();
        track.push(Sample {
            dts: last
                .map_or(Timestamp(i64::from(sequence)), |last| last.dts + i64::from(last.duration)),
            pts_offset: i32::from(offset as i8),
            duration: u32::from(duration),
            random_access: kind & 0x04 != 0,
            payload: vec![kind; usize::from(size) * 8].into(),
            protected: (kind & 0x08 != 0).then(|| {
                let run = Subsample { clear: u16::from(size), protected: u32::from(size) * 7 };
                vec![run; usize::from(kind & 0x07)].into()
            }),
        });
        if kind & 0x80 != 0 {
            check_fragment(sequence, &samples);
            samples.iter_mut().for_each(Vec::clear);
        }
    }
    check_fragment(0, &samples);
    let event = Event {
        scheme: SCHEME_ID3,
        value: &String::from_utf8_lossy(rest),
        at: Timestamp(i64::from(count)),
        duration: DURATION_UNKNOWN,
        id: 0,
        data,
    };
    let read = mp4_atom::Emsg::decode(&mut &event_message(&event)[..]).expect("readable");
    assert_eq!(read.message_data, data);
}

fn track(index: u8, rest: &mut &[u8]) -> Option<Track> {
    let (&[choice, size], data) = rest.split_first_chunk()?;
    let (source, data) = data.split_at_checked(usize::from(size))?;
    *rest = data;
    let row = &CODECS[usize::from(choice) % CODECS.len()];
    let mut info = TrackInfo { codec: row.id, ..TrackInfo::default() };
    for describe in [row.from_config, row.from_frame].into_iter().flatten() {
        info.update(describe(source).unwrap_or_default());
    }
    let source = Bytes::copy_from_slice(source);
    Some(Track {
        id: u32::from(index) + 1,
        codec: row.id,
        info,
        config: source.clone(),
        first_frame: source,
        language: String::new(),
        protection: (size & 1 != 0).then_some(Protection { key_id: [1; 16], vector: [2; 16] }),
    })
}

/// Every box ends where the one around it ends, or before.
fn check_boxes(mut bytes: &[u8]) {
    while let Some((size, _)) = bytes.split_first_chunk() {
        let size = u32::from_be_bytes(*size) as usize;
        let (whole, rest) = bytes.split_at(size);
        match &whole[4..8] {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" | b"mvex" | b"dinf" => {
                check_boxes(&whole[8..]);
            }
            b"stsd" | b"dref" => check_boxes(&whole[16..]),
            _ => {}
        }
        bytes = rest;
    }
    assert!(bytes.is_empty());
}

fn check_fragment(sequence: u32, samples: &[Vec<Sample>]) {
    let runs: Vec<_> = (0..).zip(samples).map(|(id, samples)| (id, &samples[..])).collect();
    let file = fragment(sequence, &runs).expect("short").to_vec();
    let mut rest = &file[..];
    let Some(first) = Any::decode_maybe(&mut rest).expect("readable") else {
        return assert!(file.is_empty() && samples.iter().all(Vec::is_empty));
    };
    let Any::Moof(moof) = first else { panic!("{first:?}") };
    assert!(matches!(Any::decode(&mut rest), Ok(Any::Mdat(_))) && rest.is_empty());
    assert_eq!(moof.mfhd.sequence_number, sequence);
    for traf in &moof.traf {
        let (_, samples) = runs[traf.tfhd.track_id as usize];
        let mut at = traf.trun[0].data_offset.expect("told") as usize;
        assert_eq!(traf.trun[0].entries.len(), samples.len());
        for (sample, entry) in samples.iter().zip(&traf.trun[0].entries) {
            let size = entry.size.or(traf.tfhd.default_sample_size).expect("told") as usize;
            assert_eq!(file[at..at + size], sample.payload);
            assert_eq!(entry.cts.unwrap_or(0), sample.pts_offset);
            let duration = entry.duration.or(traf.tfhd.default_sample_duration);
            assert_eq!(duration, Some(sample.duration));
            at += size;
        }
    }
}
