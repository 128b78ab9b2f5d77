//! AC-3 and E-AC-3: the front of a synchronisation frame (ETSI TS 102 366 4.3 and E.1.2).

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
    let acmod = reader.u8(3)?;
    let has_center = acmod & 1 != 0 && acmod != 1;
    let has_surround = acmod & 4 != 0;
    let is_stereo = acmod == 2;
    for has_two_bits in [has_center, has_surround, is_stereo] {
        reader.skip(if has_two_bits { 2 } else { 0 })?;
    }
    let has_lfe = reader.flag()?;
    // bsid 9 and 10 are the half and quarter rate variants in common use.
    let divisor = 1 << bsid.saturating_sub(8);
    Some((sample_rate_hz / divisor, channels_of(acmod, has_lfe)?))
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

const SAMPLE_RATES_HZ: [u32; 3] = [48_000, 44_100, 32_000];
/// Full-bandwidth channels by acmod (table 4.3).
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

#[cfg(test)]
mod tests;
