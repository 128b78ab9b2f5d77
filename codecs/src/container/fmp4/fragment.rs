//! A fragment: `moof`, which says what and when, and `mdat`, the samples (ISO/IEC 14496-12 8.8).

use bytes::Bytes;

use super::boxes::Writer;
use super::{Error, Subsample, Subsamples, protect};
use crate::access_unit::{AccessUnit, Timestamp, TrackKind, UnitKind};
use crate::chunk::Chunk;

/// A coded picture or audio frame of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Decoding time. A fragment tells that of its first sample (0 when it is before that), and the
    /// durations those of the others.
    pub dts: Timestamp,
    /// Presentation minus decoding time, in ticks.
    pub pts_offset: i32,
    /// Ticks until the track's next sample.
    pub duration: u32,
    /// Decoding can start here.
    pub random_access: bool,
    /// The coded bytes, as in a unit, or what encryption has made of them.
    pub payload: Bytes,
    /// What of them is encrypted, at most [`SUBSAMPLES_MAX`](super::SUBSAMPLES_MAX) runs; `None` in a
    /// track that is clear.
    pub protected: Option<Subsamples>,
}

impl Sample {
    /// A frame that lasts `duration` ticks; sound can always be decoded.
    pub fn of(unit: &AccessUnit, duration: u32) -> Self {
        let is_picture = unit.track.kind == TrackKind::Video;
        Self {
            dts: unit.dts,
            pts_offset: unit.pts_offset,
            duration,
            random_access: !is_picture || unit.kind == UnitKind::Frame { random_access: true },
            payload: unit.payload.clone(),
            protected: None,
        }
    }
}

/// Writes one fragment with the samples of each track_ID, each track's in decoding order and
/// without a gap. Tracks without samples are not mentioned; without any samples the chunk is empty.
///
/// `sequence` grows from fragment to fragment of a presentation.
///
/// # Errors
/// [`Error::LimitExceeded`] from 2 GiB on.
///
/// # Cost
/// A few allocations, whatever the number of samples. Payloads up to 1,024 bytes (sound) are
/// copied, larger ones are shared: each slice more costs 25 to 50 ns in every write to every
/// viewer, the copy 15 to 40 ns once (40 payloads of 300 or 1,000 bytes by writev on loopback,
/// Linux 6.18).
pub fn fragment(sequence: u32, tracks: &[(u32, &[Sample])]) -> Result<Chunk, Error> {
    let runs = || tracks.iter().filter(|(_, samples)| !samples.is_empty());
    let payloads = || runs().flat_map(|(_, samples)| *samples).map(|sample| &sample.payload);
    if runs().next().is_none() {
        return Ok(Chunk::default());
    }
    let layouts: Vec<_> = runs().map(|(_, samples)| Layout::of(samples)).collect();
    let traf_sizes = runs().zip(&layouts).map(|((_, samples), layout)| layout.size(samples));
    let moof_size = BOX_HEADER_SIZE + MFHD_SIZE + traf_sizes.sum::<usize>();
    let media_bytes: usize = payloads().map(Bytes::len).sum();
    let size = moof_size.saturating_add(BOX_HEADER_SIZE).saturating_add(media_bytes);
    // data_offset has a sign; with this, no size or offset in the fragment can overflow.
    if size > i32::MAX as usize {
        let (value, limit) = (size as u64, i32::MAX as u64);
        return Err(Error::LimitExceeded { what: "a fragment", value, limit });
    }
    let copied: usize = payloads().map(Bytes::len).filter(|bytes| *bytes <= COPIED_BYTES_MAX).sum();
    let mut out = Writer::with_capacity(moof_size + BOX_HEADER_SIZE + copied);
    let mut data_offset = moof_size + BOX_HEADER_SIZE;
    out.boxed(b"moof", |out| {
        out.full_box(b"mfhd", 0, 0, |out| out.u32(sequence));
        for ((track_id, samples), layout) in runs().zip(&layouts) {
            out.boxed(b"traf", |out| layout.track(out, *track_id, samples, data_offset as u32));
            data_offset += samples.iter().map(|sample| sample.payload.len()).sum::<usize>();
        }
    });
    debug_assert_eq!(out.len(), moof_size);
    out.u32((BOX_HEADER_SIZE + media_bytes) as u32);
    out.put(b"mdat");
    Ok(interleave(out, payloads()))
}

/// The small payloads go behind what is written, the others between its pieces.
fn interleave<'a>(mut out: Writer, payloads: impl Iterator<Item = &'a Bytes>) -> Chunk {
    let mut large = Vec::new();
    for payload in payloads {
        match payload.len() > COPIED_BYTES_MAX {
            true => large.push((out.len(), payload)),
            false => out.put(payload),
        }
    }
    let mut written = Bytes::from(out.into_vec());
    let mut chunk = Chunk::default();
    let mut start = 0;
    for (at, payload) in large {
        chunk.push(written.split_to(at - start));
        chunk.push(payload.clone());
        start = at;
    }
    chunk.push(written);
    chunk.shrink();
    chunk
}

/// What all samples of a run have in common stands once, in `tfhd`; the rest with each sample, in
/// `trun`.
struct Layout {
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
    /// Nothing is presented at another time than it is decoded.
    has_no_offsets: bool,
    is_protected: bool,
}

impl Layout {
    fn of(samples: &[Sample]) -> Self {
        Self {
            duration: common(samples, |sample| sample.duration),
            size: common(samples, size),
            flags: common(samples, flags),
            has_no_offsets: samples.iter().all(|sample| sample.pts_offset == 0),
            is_protected: samples.iter().any(|sample| sample.protected.is_some()),
        }
    }

    /// Bytes of the `traf` of these samples.
    fn size(&self, samples: &[Sample]) -> usize {
        let defaults = [self.duration, self.size, self.flags].iter().flatten().count();
        let fields = 3 - defaults + usize::from(!self.has_no_offsets);
        let protection = if self.is_protected { protect::samples_size(runs(samples)) } else { 0 };
        TRAF_SIZE + 4 * defaults + 4 * fields * samples.len() + protection
    }

    fn track(&self, out: &mut Writer, track_id: u32, samples: &[Sample], data_offset: u32) {
        let mut header = tfhd::DEFAULT_BASE_IS_MOOF;
        let mut run = trun::DATA_OFFSET;
        for (default, in_header, in_run) in [
            (self.duration, tfhd::DURATION, trun::DURATION),
            (self.size, tfhd::SIZE, trun::SIZE),
            (self.flags, tfhd::FLAGS, trun::FLAGS),
        ] {
            header |= if default.is_some() { in_header } else { 0 };
            run |= if default.is_none() { in_run } else { 0 };
        }
        run |= if self.has_no_offsets { 0 } else { trun::OFFSET };
        let decode_time = samples.first().map_or(0, |sample| sample.dts.0.max(0));
        out.full_box(b"tfhd", 0, header, |out| {
            out.u32(track_id);
            [self.duration, self.size, self.flags].into_iter().flatten().for_each(|v| out.u32(v));
        });
        out.full_box(b"tfdt", 1, 0, |out| out.u64(decode_time as u64));
        // Version 1: the offsets have a sign.
        out.full_box(b"trun", 1, run, |out| {
            out.u32(samples.len() as u32);
            out.u32(data_offset);
            samples.iter().for_each(|sample| self.sample(out, sample));
        });
        if self.is_protected {
            protect::samples(out, runs(samples));
        }
    }

    fn sample(&self, out: &mut Writer, sample: &Sample) {
        if self.duration.is_none() {
            out.u32(sample.duration);
        }
        if self.size.is_none() {
            out.u32(size(sample));
        }
        if self.flags.is_none() {
            out.u32(flags(sample));
        }
        if !self.has_no_offsets {
            out.put(&sample.pts_offset.to_be_bytes());
        }
    }
}

/// What is encrypted of each sample.
fn runs(samples: &[Sample]) -> impl Iterator<Item = &[Subsample]> + Clone {
    samples.iter().map(|sample| sample.protected.as_deref().unwrap_or_default())
}

/// The value that all samples have.
fn common(samples: &[Sample], value: fn(&Sample) -> u32) -> Option<u32> {
    let first = samples.first().map(value)?;
    samples.iter().all(|sample| value(sample) == first).then_some(first)
}

fn size(sample: &Sample) -> u32 {
    sample.payload.len() as u32
}

/// sample_depends_on and sample_is_non_sync_sample: 8.8.3.1.
fn flags(sample: &Sample) -> u32 {
    match sample.random_access {
        true => 0x0200_0000,
        false => 0x0101_0000,
    }
}

/// 8.8.7.1.
mod tfhd {
    pub(super) const DURATION: u32 = 0x00_0008;
    pub(super) const SIZE: u32 = 0x00_0010;
    pub(super) const FLAGS: u32 = 0x00_0020;
    pub(super) const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
}

/// 8.8.8.1.
mod trun {
    pub(super) const DATA_OFFSET: u32 = 0x00_0001;
    pub(super) const DURATION: u32 = 0x00_0100;
    pub(super) const SIZE: u32 = 0x00_0200;
    pub(super) const FLAGS: u32 = 0x00_0400;
    pub(super) const OFFSET: u32 = 0x00_0800;
}

/// Longer than a frame of AAC at the usual rates, shorter than most pictures: what is copied takes
/// memory for as long as the fragment is kept.
const COPIED_BYTES_MAX: usize = 1024;
const BOX_HEADER_SIZE: usize = 8;
const MFHD_SIZE: usize = 16;
/// traf, and in it tfhd without defaults, tfdt, trun without samples.
const TRAF_SIZE: usize = 8 + 16 + 20 + 20;

#[cfg(test)]
mod tests;
