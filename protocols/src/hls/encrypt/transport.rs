//! SAMPLE-AES in MPEG-TS (Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming, 2.2 and 2.3).
//!
//! - H.264: of each slice (NAL unit types 1 and 5) the first 32 bytes are clear, then one block of ten is
//!   encrypted, as long as anything follows it. That is done to the NAL unit as it is in the byte stream;
//!   start codes that come of it are prevented once more, over the whole unit.
//! - AAC, AC-3 and E-AC-3: of each frame the first 16 bytes (those behind the ADTS header) are clear, then
//!   all whole blocks are encrypted.
//!
//! Other codecs have no such form: the multiplex does not carry them.

use corelay_codecs::codec::ac3::SyncFrame;
use corelay_codecs::codec::h264;
use corelay_codecs::{AccessUnit, CodecId, FlvBody};

use super::sample::{BLOCK_BYTES, Cipher, SampleKey, next_unit};

/// Encrypts frames on their way into a multiplex.
#[derive(Debug)]
pub(in super::super) struct TransportCipher {
    cipher: Cipher,
}

impl TransportCipher {
    pub(in super::super) fn new(key: &SampleKey) -> Self {
        Self { cipher: Cipher::new(key) }
    }

    /// The frame, encrypted; `config` is the configuration record of its track. `None` for what cannot be
    /// read.
    ///
    /// Cost: two copies of a picture, one of sound.
    pub(in super::super) fn encrypt(&self, unit: &AccessUnit, config: &[u8]) -> Option<AccessUnit> {
        let payload = match unit.codec {
            CodecId::H264 => {
                let record = h264::ConfigurationRecord::parse(config)?;
                self.picture(&unit.payload, usize::from(record.nal_length_size))?
            }
            CodecId::Aac => self.frame(&unit.payload),
            CodecId::Ac3 | CodecId::Eac3 => self.sync_frames(&unit.payload)?,
            _ => return None,
        };
        Some(AccessUnit { payload: payload.into(), flv: FlvBody::Build, ..unit.clone() })
    }

    /// NAL units behind lengths of `length_size` bytes.
    fn picture(&self, mut rest: &[u8], length_size: usize) -> Option<Vec<u8>> {
        let mut picture = Vec::with_capacity(rest.len() + rest.len() / 64 + BLOCK_BYTES);
        let mut scratch = Vec::new();
        while !rest.is_empty() {
            let unit = next_unit(&mut rest, length_size)?;
            let start = picture.len() + length_size;
            picture.resize(start, 0);
            match is_protected(unit) {
                true => {
                    scratch.clear();
                    scratch.extend_from_slice(unit);
                    self.cipher.encrypt_pattern(scratch.get_mut(LEADER_BYTES..)?, BLOCK_BYTES + 1);
                    escape(&scratch, &mut picture);
                }
                false => picture.extend_from_slice(unit),
            }
            let length = ((picture.len() - start) as u64).to_be_bytes();
            let (beyond, length) = length.split_at_checked(length.len() - length_size)?;
            if beyond.iter().any(|byte| *byte != 0) {
                // The unit has grown above what its length can say.
                return None;
            }
            picture.get_mut(start - length_size..start)?.copy_from_slice(length);
        }
        Some(picture)
    }

    fn frame(&self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        if let Some(range) = frame.get_mut(FRAME_LEADER_BYTES..) {
            self.cipher.encrypt(range);
        }
        frame
    }

    /// The synchronisation frames of an access unit, each by itself.
    fn sync_frames(&self, unit: &[u8]) -> Option<Vec<u8>> {
        let mut unit = unit.to_vec();
        let mut rest = &mut unit[..];
        while !rest.is_empty() {
            let size = SyncFrame::parse(rest)?.size;
            let (frame, after) = rest.split_at_mut_checked(size)?;
            if let Some(range) = frame.get_mut(FRAME_LEADER_BYTES..) {
                self.cipher.encrypt(range);
            }
            rest = after;
        }
        Some(unit)
    }
}

/// Slices that are long enough for a block and something behind it.
fn is_protected(unit: &[u8]) -> bool {
    let is_slice = matches!(h264::nal::nal_type(unit), h264::nal::TYPE_SLICE | h264::nal::TYPE_IDR);
    is_slice && unit.len() > LEADER_BYTES + BLOCK_BYTES
}

/// Puts a 3 behind two zeros in front of a byte below 4 (ISO/IEC 14496-10 7.4.1.1). The last byte of the
/// unit is clear, so that it needs none behind it.
fn escape(unit: &[u8], out: &mut Vec<u8>) {
    let (mut zeros, mut copied) = (0, 0);
    for (at, &byte) in unit.iter().enumerate() {
        if zeros >= 2 && byte <= 3 {
            out.extend_from_slice(unit.get(copied..at).unwrap_or_default());
            out.push(3);
            (copied, zeros) = (at, 0);
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    out.extend_from_slice(unit.get(copied..).unwrap_or_default());
}

/// Clear bytes of a slice, with the NAL unit header.
const LEADER_BYTES: usize = 32;
/// Clear bytes of a frame of sound.
const FRAME_LEADER_BYTES: usize = 16;

#[cfg(test)]
mod tests;
