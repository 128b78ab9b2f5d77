//! SAMPLE-AES in fragmented MP4: the scheme `cbcs` (ISO/IEC 23001-7:2016 10.4).
//!
//! - H.264 and HEVC: of each slice all up to its data is clear, then one block of ten is encrypted. Units of other
//!   types are clear.
//! - Sound: all whole blocks of each frame.
//!
//! Pictures of other codecs are left out.

use bytes::Bytes;
use corelay_codecs::codec::{h264, h265};
use corelay_codecs::container::fmp4::{Protection, SUBSAMPLES_MAX, Subsample, Subsamples};
use corelay_codecs::{CodecId, TrackKind};

use super::sample::{BLOCK_BYTES, Cipher, SampleKey, next_unit};

/// Encrypts the samples of one track.
#[derive(Debug)]
pub(in super::super) struct FragmentCipher {
    cipher: Cipher,
    coding: Coding,
}

/// Where the protected ranges of a sample are.
#[derive(Debug)]
enum Coding {
    /// In NAL units behind lengths of so many bytes.
    Nal(usize, Slices),
    Sound,
}

/// What reads the headers of slices.
#[derive(Debug)]
enum Slices {
    H264(h264::slice::SliceReader),
    H265(h265::slice::SliceReader),
}

impl FragmentCipher {
    /// The cipher of a track with this configuration record; `None` when it cannot be encrypted.
    pub(in super::super) fn new(key: &SampleKey, codec: CodecId, config: &[u8]) -> Option<Self> {
        let coding = match codec {
            CodecId::H264 => {
                let record = h264::ConfigurationRecord::parse(config)?;
                let mut reader = h264::slice::SliceReader::default();
                record.sps.iter().chain(&record.pps).for_each(|unit| reader.learn(unit));
                Coding::Nal(record.nal_length_size.into(), Slices::H264(reader))
            }
            CodecId::H265 => {
                let record = h265::ConfigurationRecord::parse(config)?;
                let mut reader = h265::slice::SliceReader::default();
                record.sps.iter().chain(&record.pps).for_each(|unit| reader.learn(unit));
                Coding::Nal(record.nal_length_size.into(), Slices::H265(reader))
            }
            _ if codec.kind() == TrackKind::Audio => Coding::Sound,
            _ => return None,
        };
        Some(Self { cipher: Cipher::new(key), coding })
    }

    /// What the initialisation segment says of it.
    pub(in super::super) fn protection(key: &SampleKey) -> Protection {
        Protection { key_id: key.key_id(), vector: key.vector }
    }

    /// The sample, encrypted, and where; `None` when it cannot be read, or has more slices than the format
    /// can tell of.
    ///
    /// Cost: a copy.
    pub(in super::super) fn encrypt(&mut self, payload: &[u8]) -> Option<(Bytes, Subsamples)> {
        let mut sample = payload.to_vec();
        let mut runs = Subsamples::new();
        let Coding::Nal(length_size, slices) = &mut self.coding else {
            self.cipher.encrypt(&mut sample);
            return Some((sample.into(), runs));
        };
        let (mut rest, mut clear) = (payload, 0);
        while !rest.is_empty() {
            let unit = next_unit(&mut rest, *length_size)?;
            slices.learn(unit);
            let end = payload.len() - rest.len();
            let range = slices.protected_range(unit)?;
            clear += *length_size + unit.len() - range;
            if range > 0 {
                self.cipher.encrypt_pattern(sample.get_mut(end - range..end)?, BLOCK_BYTES);
                push_run(&mut runs, clear, range);
                clear = 0;
            }
        }
        if clear > 0 {
            push_run(&mut runs, clear, 0);
        }
        (runs.len() <= SUBSAMPLES_MAX).then(|| (sample.into(), runs))
    }
}

impl Slices {
    /// Takes parameter sets out of the samples.
    fn learn(&mut self, unit: &[u8]) {
        match self {
            Self::H264(reader) => reader.learn(unit),
            Self::H265(reader) => reader.learn(unit),
        }
    }

    /// Bytes at the end of a NAL unit that are protected; `None` for a slice that cannot be read.
    fn protected_range(&self, unit: &[u8]) -> Option<usize> {
        let header_size = match self {
            Self::H264(_) if !h264::slice::SliceReader::is_slice(unit) => return Some(0),
            Self::H265(_) if !h265::slice::SliceReader::is_slice(unit) => return Some(0),
            Self::H264(reader) => reader.header_size(unit)?,
            Self::H265(reader) => reader.header_size(unit)?,
        };
        let range = unit.len().saturating_sub(header_size);
        Some(if range >= BLOCK_BYTES { range } else { 0 })
    }
}

/// Adds a clear run of any length and a protected one.
fn push_run(runs: &mut Subsamples, mut clear: usize, protected: usize) {
    while clear > usize::from(u16::MAX) {
        runs.push(Subsample { clear: u16::MAX, protected: 0 });
        clear -= usize::from(u16::MAX);
    }
    // Units are shorter than messages, whose length has 24 bits, and `clear` has 16 here.
    runs.push(Subsample { clear: clear as u16, protected: protected as u32 });
}

#[cfg(test)]
mod tests;
