//! AC-3 and E-AC-3: the front of a synchronisation frame (ETSI TS 102 366 4.3 and E.1.2).

pub mod mp4;

use super::CodecId;
use super::bits::BitReader;
use crate::access_unit::TrackInfo;

/// Reads the parameters from an AC-3 frame, or an E-AC-3 frame that is called AC-3.
pub fn from_ac3_frame(frame: &[u8]) -> Option<TrackInfo> {
    Some(TrackInfo { codec: CodecId::Ac3, ..from_frame(frame)? })
}

/// Reads the parameters from an E-AC-3 frame, or an AC-3 frame that is called E-AC-3. Channels of
/// dependent substreams are not counted.
pub fn from_eac3_frame(frame: &[u8]) -> Option<TrackInfo> {
    Some(TrackInfo { codec: CodecId::Eac3, ..from_frame(frame)? })
}

/// The front of a synchronisation frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncFrame {
    /// Enhanced AC-3.
    pub is_enhanced: bool,
    /// Bytes of the frame.
    pub size: usize,
    /// Samples of the frame: 1,536, or 256, 512 or 768 in E-AC-3.
    pub samples: u32,
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// The frame adds to the one before it and has no time of its own: a dependent substream, or
    /// an independent one other than the first (E.2.3.1.1, E.2.3.1.2).
    pub is_part_of_last: bool,
}

impl SyncFrame {
    /// Bytes that [`parse`](Self::parse) needs.
    pub const SIZE: usize = 6;

    /// Reads the front of a frame; `None` when it is none.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let &[0x0B, 0x77, b2, b3, b4, b5] = frame.first_chunk()? else {
            return None;
        };
        let bsid = b5 >> 3;
        match bsid {
            0..=10 => Self::ac3(b4, bsid),
            11..=16 => Self::eac3([b2, b3, b4]),
            _ => None,
        }
    }

    /// syncinfo(): 4.3.1; sizes by table 4.13.
    fn ac3(b4: u8, bsid: u8) -> Option<Self> {
        let rate_hz = *SAMPLE_RATES_HZ.get(usize::from(b4 >> 6))?;
        let code = b4 & 0x3F;
        let bit_rate_kbps = *AC3_BIT_RATES_KBPS.get(usize::from(code >> 1))?;
        // 1,536 samples in words of 16 bits; only at 44.1 kHz it does not come out even.
        let words = bit_rate_kbps * 96_000 / rate_hz;
        let odd = u32::from(rate_hz == 44_100 && code & 1 == 1);
        Some(Self {
            is_enhanced: false,
            size: 2 * (words + odd) as usize,
            samples: 1536,
            sample_rate_hz: rate_hz >> bsid.saturating_sub(8),
            is_part_of_last: false,
        })
    }

    /// bsi(): E.1.2.2.
    fn eac3([b2, b3, b4]: [u8; 3]) -> Option<Self> {
        const RESERVED: u8 = 3;
        let (stream_type, substream) = (b2 >> 6, b2 >> 3 & 7);
        let words = usize::from(u16::from_be_bytes([b2 & 7, b3])) + 1;
        let (sample_rate_hz, blocks) = match SAMPLE_RATES_HZ.get(usize::from(b4 >> 6)) {
            Some(&rate_hz) => (rate_hz, [1, 2, 3, 6][usize::from(b4 >> 4 & 3)]),
            None => (SAMPLE_RATES_HZ.get(usize::from(b4 >> 4 & 3))? / 2, 6),
        };
        (stream_type != RESERVED).then_some(Self {
            is_enhanced: true,
            size: 2 * words,
            samples: 256 * blocks,
            sample_rate_hz,
            is_part_of_last: stream_type == DEPENDENT || substream != 0,
        })
    }
}

fn from_frame(frame: &[u8]) -> Option<TrackInfo> {
    // Both syntaxes have bsid at the same place, to be told apart by it.
    let &[0x0B, 0x77, _, _, _, bsid, ..] = frame else {
        return None;
    };
    let rest = frame.get(2..)?;
    let (sample_rate_hz, channels) = match bsid >> 3 {
        bsid @ 0..=10 => read_ac3(rest, bsid)?,
        11..=16 => read_eac3(rest)?,
        _ => return None,
    };
    Some(TrackInfo { sample_rate_hz, channels, ..TrackInfo::default() })
}

/// syncinfo() behind the sync word, then bsi().
fn read_ac3(rest: &[u8], bsid: u8) -> Option<(u32, u8)> {
    let mut reader = BitReader::new(rest);
    let _crc1 = reader.bits(16)?;
    let sample_rate_hz = *SAMPLE_RATES_HZ.get(reader.bits(2)? as usize)?;
    let _frame_size_code = reader.bits(6)?;
    let _bsid_and_bsmod = reader.bits(8)?;
    let (acmod, has_lfe) = read_channel_mode(&mut reader)?;
    // bsid 9 and 10 are the half and quarter rate variants in common use.
    let divisor = 1 << bsid.saturating_sub(8);
    Some((sample_rate_hz / divisor, channels_of(acmod, has_lfe)?))
}

/// acmod, the mix levels that depend on it, and lfeon (4.3.2).
fn read_channel_mode(reader: &mut BitReader<'_>) -> Option<(u8, bool)> {
    let acmod = reader.u8(3)?;
    let has_center = acmod & 1 != 0 && acmod != 1;
    let has_surround = acmod & 4 != 0;
    let is_stereo = acmod == 2;
    for has_two_bits in [has_center, has_surround, is_stereo] {
        reader.skip(if has_two_bits { 2 } else { 0 })?;
    }
    Some((acmod, reader.flag()?))
}

/// bsi() of E-AC-3.
fn read_eac3(rest: &[u8]) -> Option<(u32, u8)> {
    let mut reader = BitReader::new(rest);
    let _stream_type_substream_and_size = reader.bits(16)?;
    let rate_code = reader.bits(2)? as usize;
    let blocks_or_rate_code_2 = reader.bits(2)? as usize;
    let sample_rate_hz = match SAMPLE_RATES_HZ.get(rate_code) {
        Some(&rate) => rate,
        None => SAMPLE_RATES_HZ.get(blocks_or_rate_code_2)? / 2,
    };
    let acmod = reader.u8(3)?;
    let has_lfe = reader.flag()?;
    Some((sample_rate_hz, channels_of(acmod, has_lfe)?))
}

fn channels_of(acmod: u8, has_lfe: bool) -> Option<u8> {
    Some(CHANNELS.get(usize::from(acmod))? + u8::from(has_lfe))
}

/// strmtyp of a substream that adds channels to the one before it (E.1.3.1.1).
const DEPENDENT: u8 = 1;
/// By half of frmsizecod (table 4.13).
const AC3_BIT_RATES_KBPS: [u32; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
const SAMPLE_RATES_HZ: [u32; 3] = [48_000, 44_100, 32_000];
/// Full-bandwidth channels by acmod (table 4.3).
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

#[cfg(test)]
mod tests;
