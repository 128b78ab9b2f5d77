//! AC-3 and E-AC-3 in MP4: what the sample entry tells (ETSI TS 102 366 Annex F).

use super::{DEPENDENT, SyncFrame, read_channel_mode};
use crate::codec::bits::BitReader;

/// AC3SpecificBox, of a frame (F.4).
///
/// ```text
/// | 2 fscod | 5 bsid | 3 bsmod | 3 acmod | 1 lfeon | 5 bit_rate_code | 5 reserved |
/// ```
pub fn ac3_config(frame: &[u8]) -> Option<Vec<u8>> {
    if SyncFrame::parse(frame)?.is_enhanced {
        return None;
    }
    let mut reader = BitReader::new(frame.get(4..)?);
    let sample_rate_code = reader.bits(2)?;
    let bit_rate_code = reader.bits(6)? >> 1;
    let (bsid, bsmod) = (reader.bits(5)?, reader.bits(3)?);
    let (acmod, has_lfe) = read_channel_mode(&mut reader)?;
    let fields = sample_rate_code << 22 | bsid << 17 | bsmod << 14;
    let channels = u32::from(acmod) << 11 | u32::from(has_lfe) << 10;
    let [_, content @ ..] = (fields | channels | bit_rate_code << 5).to_be_bytes();
    Some(content.to_vec())
}

/// EC3SpecificBox, of all frames of an access unit (F.6): each independent substream with what its
/// dependent ones add.
///
/// ```text
/// | 13 data_rate | 3 num_ind_sub |, then for each
/// | 2 fscod | 5 bsid | 1 | 1 asvc | 3 bsmod | 3 acmod | 1 lfeon | 3 | 4 num_dep_sub | ..
/// .. | 9 chan_loc where there are dependent ones, else 1 |
/// ```
///
/// bsmod is always 0, a complete main service: it stands far behind in the frame, and decoders read
/// it there.
pub fn eac3_config(unit: &[u8]) -> Option<Vec<u8>> {
    let mut substreams: Vec<Substream> = Vec::new();
    let mut bits_per_second = 0;
    let mut rest = unit;
    while let Some(header) = SyncFrame::parse(rest).filter(|header| header.is_enhanced) {
        bits_per_second +=
            8 * header.size as u64 * u64::from(header.sample_rate_hz) / u64::from(header.samples);
        match (Front::read(rest)?, substreams.last_mut()) {
            (front, Some(substream)) if front.is_dependent => substream.add(&front),
            (front, _) if front.is_dependent => return None,
            (front, _) => substreams.push(Substream { front, dependent: 0, locations: 0 }),
        }
        rest = rest.get(header.size..).unwrap_or(&[]);
    }
    let last = u8::try_from(substreams.len().checked_sub(1)?).ok().filter(|last| *last < 8)?;
    let data_rate = u16::try_from(bits_per_second / 1000).unwrap_or(u16::MAX).min(0x1FFF);
    let mut content = (data_rate << 3 | u16::from(last)).to_be_bytes().to_vec();
    for substream in &substreams {
        substream.write(&mut content);
    }
    Some(content)
}

/// An independent substream.
struct Substream {
    front: Front,
    /// How many dependent ones it has, up to 15.
    dependent: u32,
    /// Where their channels are: chan_loc.
    locations: u32,
}

impl Substream {
    fn add(&mut self, dependent: &Front) {
        self.dependent = (self.dependent + 1).min(15);
        self.locations |= dependent.locations;
    }

    fn write(&self, content: &mut Vec<u8>) {
        let Front { sample_rate_code, bsid, acmod, has_lfe, .. } = self.front;
        let fields = sample_rate_code << 30 | bsid << 25 | u32::from(acmod) << 17;
        let fields = fields | u32::from(has_lfe) << 16 | self.dependent << 9 | self.locations;
        let size = if self.dependent > 0 { 4 } else { 3 };
        content.extend(fields.to_be_bytes().iter().take(size));
    }
}

/// The front of bsi() (E.1.2.2).
struct Front {
    is_dependent: bool,
    sample_rate_code: u32,
    bsid: u32,
    acmod: u8,
    has_lfe: bool,
    /// Of a dependent substream, in the order of chan_loc.
    locations: u32,
}

impl Front {
    fn read(frame: &[u8]) -> Option<Self> {
        let mut reader = BitReader::new(frame.get(2..)?);
        let is_dependent = reader.u8(2)? == DEPENDENT;
        let _substream_and_frame_size = reader.bits(14)?;
        let sample_rate_code = reader.bits(2)?;
        let _blocks_or_rate_code_2 = reader.bits(2)?;
        let (acmod, has_lfe) = (reader.u8(3)?, reader.flag()?);
        let bsid = reader.bits(5)?;
        let programs = if acmod == 0 { 2 } else { 1 };
        for _ in 0..programs {
            let _dialogue_normalisation = reader.bits(5)?;
            if reader.flag()? {
                let _compression_gain = reader.bits(8)?;
            }
        }
        let has_channel_map = is_dependent && reader.flag()?;
        let locations = if has_channel_map { locations(reader.bits(16)?) } else { 0 };
        Some(Self { is_dependent, sample_rate_code, bsid, acmod, has_lfe, locations })
    }
}

/// chan_loc of a chanmap: the pairs and channels beyond 5.1 (tables E.1.4 and F.6.1), which chanmap
/// numbers from the highest bit and chan_loc from the lowest.
fn locations(channel_map: u32) -> u32 {
    const LC_RC_PAIR: u32 = 5;
    const LFE_2: u32 = 14;
    let is_there = |bit: u32| channel_map >> (15 - bit) & 1;
    let beyond = (0..8).fold(0, |locations, at| locations | is_there(LC_RC_PAIR + at) << at);
    beyond | is_there(LFE_2) << 8
}

#[cfg(test)]
mod tests;
