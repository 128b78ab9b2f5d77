//! Segments of fragmented MP4, as mp4-atom reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelay_protocols::hls::{Init, Segment};
use mp4_atom::{Any, DecodeMaybe as _, Moof, Moov};

/// A sample, with times in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub dts: i64,
    pub pts: i64,
    pub duration: i64,
    pub random_access: bool,
    pub payload: Vec<u8>,
}

/// What is in a chunk of a rendition.
#[derive(Debug, Default)]
pub struct Content {
    /// By track_ID.
    pub samples: BTreeMap<u32, Vec<Sample>>,
    /// sequence_numbers.
    pub sequences: Vec<u32>,
    /// Data of the event messages.
    pub messages: Vec<Vec<u8>>,
}

pub fn moov(init: &Init) -> Moov {
    let mut rest = &init.bytes[..];
    while let Some(atom) = Any::decode_maybe(&mut rest).expect("readable") {
        if let Any::Moov(moov) = atom {
            return moov;
        }
    }
    panic!("no moov");
}

pub fn content(segment: &Segment) -> Content {
    let mut content = Content::default();
    for part in &segment.parts {
        content.add(&part.chunk.to_vec());
    }
    content
}

/// The samples of a track in all segments.
pub fn samples(segments: &[Arc<Segment>], track_id: u32) -> Vec<Sample> {
    let of_track = |segment: &Arc<Segment>| content(segment).samples.remove(&track_id);
    segments.iter().filter_map(of_track).flatten().collect()
}

impl Content {
    pub fn add(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let mut moof_at = 0;
        loop {
            let at = bytes.len() - rest.len();
            match Any::decode_maybe(&mut rest).expect("readable") {
                None => break,
                Some(Any::Emsg(message)) => self.messages.push(message.message_data),
                Some(Any::Moof(moof)) => {
                    moof_at = at;
                    self.add_fragment(&moof, &bytes[moof_at..]);
                }
                Some(Any::Mdat(_)) => assert!(moof_at > 0 || at > 0),
                Some(other) => panic!("{other:?}"),
            }
        }
        assert!(rest.is_empty());
    }

    fn add_fragment(&mut self, moof: &Moof, bytes: &[u8]) {
        self.sequences.push(moof.mfhd.sequence_number);
        for traf in &moof.traf {
            let [run] = traf.trun.as_slice() else { panic!("one run") };
            let defaults = &traf.tfhd;
            let mut dts = traf.tfdt.as_ref().expect("tfdt").base_media_decode_time as i64;
            let mut at = run.data_offset.expect("told") as usize;
            let samples = self.samples.entry(defaults.track_id).or_default();
            for entry in &run.entries {
                let duration = entry.duration.or(defaults.default_sample_duration).expect("told");
                let size = entry.size.or(defaults.default_sample_size).expect("told") as usize;
                let flags = entry.flags.or(defaults.default_sample_flags).expect("told");
                samples.push(Sample {
                    dts,
                    pts: dts + i64::from(entry.cts.unwrap_or(0)),
                    duration: duration.into(),
                    random_access: flags & 0x0001_0000 == 0,
                    payload: bytes[at..at + size].to_vec(),
                });
                at += size;
                dts += i64::from(duration);
            }
        }
    }
}
