//! Encrypted samples: common encryption in its scheme `cbcs` (ISO/IEC 23001-7:2016 10.4), which is
//! SAMPLE-AES of HLS in this container. What is encrypted, and how, is told here; somebody else does it.
//!
//! - One key and one constant initialisation vector for a track: `tenc` in its sample entry says so.
//! - Of pictures, one block of ten in each protected range; of sound, all whole blocks of each sample.
//! - Which ranges of a sample are clear is in `senc` of each fragment.

use smallvec::SmallVec;

use super::boxes::Writer;
use crate::access_unit::TrackKind;

/// How the samples of a track are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Names the key; players that have just one key do not look at it.
    pub key_id: [u8; 16],
    /// The initialisation vector of every protected range.
    pub vector: [u8; 16],
}

/// A clear run of bytes and a protected one behind it, in which the vector begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Clear bytes.
    pub clear: u16,
    /// Protected bytes; what is not a whole block is clear all the same.
    pub protected: u32,
}

/// The runs of a sample, which together are the sample; none: it is one protected run.
pub type Subsamples = SmallVec<[Subsample; 2]>;

/// ProtectionSchemeInfoBox of a sample entry of type `original` (ISO/IEC 14496-12 8.12).
pub(super) fn scheme(
    out: &mut Writer,
    protection: &Protection,
    original: [u8; 4],
    kind: TrackKind,
) {
    out.boxed(b"sinf", |out| {
        out.boxed(b"frma", |out| out.put(&original));
        out.full_box(b"schm", 0, 0, |out| {
            out.put(b"cbcs");
            out.u32(0x0001_0000);
        });
        out.boxed(b"schi", |out| track_encryption(out, protection, kind));
    });
}

/// TrackEncryptionBox: ISO/IEC 23001-7 8.2. Version 1 has the pattern: encrypted and skipped blocks.
fn track_encryption(out: &mut Writer, protection: &Protection, kind: TrackKind) {
    const IS_PROTECTED: u8 = 1;
    const VECTOR_IS_CONSTANT: u8 = 0;
    let pattern = if kind == TrackKind::Video { 1 << 4 | 9 } else { 0 };
    out.full_box(b"tenc", 1, 0, |out| {
        out.put(&[0, pattern, IS_PROTECTED, VECTOR_IS_CONSTANT]);
        out.put(&protection.key_id);
        out.put(&[protection.vector.len() as u8]);
        out.put(&protection.vector);
    });
}

/// Bytes of what [`samples`] writes.
pub(super) fn samples_size<'a>(samples: impl Iterator<Item = &'a [Subsample]> + Clone) -> usize {
    let count = samples.clone().count();
    let entries: usize = samples.clone().map(entry_size).sum();
    let has_ranges = samples.clone().any(|runs| !runs.is_empty());
    let told = if has_ranges { SAIZ_SIZE + count + SAIO_SIZE + entries } else { 0 };
    SENC_SIZE + told
}

/// The clear and protected runs of the samples of a track fragment, for readers of either kind: `senc`
/// (ISO/IEC 23001-7 7.2), and `saiz` and `saio`, which say where its entries are (ISO/IEC 14496-12 8.7.8
/// and 8.7.9). `out` begins with the `moof`.
///
/// Samples that are one run each leave nothing to say but their number.
pub(super) fn samples<'a>(
    out: &mut Writer,
    samples: impl Iterator<Item = &'a [Subsample]> + Clone,
) {
    const HAS_SUBSAMPLES: u32 = 2;
    let count = samples.clone().count() as u32;
    let has_ranges = samples.clone().any(|runs| !runs.is_empty());
    if has_ranges {
        out.full_box(b"saiz", 0, 0, |out| {
            out.put(&[0]); // no common size
            out.u32(count);
            samples.clone().for_each(|runs| out.put(&[entry_size(runs) as u8]));
        });
        let entries_at = out.len() + SAIO_SIZE + SENC_SIZE;
        out.full_box(b"saio", 0, 0, |out| {
            out.u32(1);
            out.u32(entries_at as u32);
        });
    }
    out.full_box(b"senc", 0, if has_ranges { HAS_SUBSAMPLES } else { 0 }, |out| {
        out.u32(count);
        for runs in samples.filter(|_| has_ranges) {
            out.u16(runs.len() as u16);
            for run in runs {
                out.u16(run.clear);
                out.u32(run.protected);
            }
        }
    });
}

/// Bytes of a sample's entry in `senc`; [`SUBSAMPLES_MAX`] keeps it to what `saiz` can say.
fn entry_size(runs: &[Subsample]) -> usize {
    2 + 6 * runs.len()
}

/// The most runs of a sample: the size of its entry is a byte.
pub const SUBSAMPLES_MAX: usize = 42;

const SAIZ_SIZE: usize = 12 + 1 + 4;
const SAIO_SIZE: usize = 12 + 4 + 4;
const SENC_SIZE: usize = 12 + 4;

#[cfg(test)]
mod tests;
