//! Pictures as NAL units: from lengths in front of each unit to start codes (ISO/IEC 14496-10,
//! 23008-2 and 23090-3, Annex B each).
//!
//! What a decoder needs to start stands in front of every picture at which it may: the access unit
//! delimiter, which transport streams demand of every picture (ISO/IEC 13818-1 2.14.1), and the
//! parameter sets, unless the picture brings them.

use smallvec::SmallVec;

use super::NotCarried;
use super::pes::Pieces;
use crate::codec::{CodecId, h264, h265};

/// Which of the three NAL unit syntaxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    H264,
    H265,
    H266,
}

/// How a track's pictures are turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NalCoding {
    syntax: Syntax,
    /// Bytes of the length in front of each unit: 1 to 4.
    length_size: usize,
    /// Parameter sets of the configuration record, with start codes.
    parameter_sets: Vec<u8>,
}

impl NalCoding {
    /// Reads a configuration record.
    pub(super) fn from_config(codec: CodecId, record: &[u8]) -> Option<Self> {
        match codec {
            CodecId::H264 => {
                let record = h264::ConfigurationRecord::parse(record)?;
                let sets = [record.sps, record.pps];
                Some(Self::new(Syntax::H264, record.nal_length_size, &sets.concat()))
            }
            CodecId::H265 => {
                let record = h265::ConfigurationRecord::parse(record)?;
                let sets = [record.vps, record.sps, record.pps];
                Some(Self::new(Syntax::H265, record.nal_length_size, &sets.concat()))
            }
            CodecId::H266 => {
                let (length_size, sets) = h266_parameter_sets(record)?;
                Some(Self::new(Syntax::H266, length_size, &sets))
            }
            _ => None,
        }
    }

    fn new(syntax: Syntax, length_size: u8, sets: &[&[u8]]) -> Self {
        let mut parameter_sets = Vec::new();
        for set in sets.iter().filter(|set| !set.is_empty()) {
            parameter_sets.extend_from_slice(LONG_START_CODE);
            parameter_sets.extend_from_slice(set);
        }
        Self { syntax, length_size: usize::from(length_size), parameter_sets }
    }

    /// The picture as slices with start codes.
    pub(super) fn pieces<'a>(
        &'a self,
        picture: &'a [u8],
        random_access: bool,
    ) -> Result<Pieces<'a>, NotCarried> {
        let units = self.units(picture)?;
        let mut pieces = Pieces::new();
        pieces.push(self.syntax.delimiter(random_access));
        let brings_sets =
            units.iter().any(|unit| self.syntax.role(unit) == Role::SequenceParameterSet);
        if random_access && !brings_sets {
            pieces.push(&self.parameter_sets);
        }
        for unit in units.iter().filter(|unit| self.syntax.role(unit) != Role::Delimiter) {
            // The longer start code stands in front of parameter sets (B.1.2).
            let is_slice = self.syntax.role(unit) == Role::Other;
            pieces.push(if is_slice { START_CODE } else { LONG_START_CODE });
            pieces.push(unit);
        }
        Ok(pieces)
    }

    /// The units of a picture, without their lengths; empty ones are left out.
    fn units<'a>(&self, picture: &'a [u8]) -> Result<SmallVec<[&'a [u8]; 20]>, NotCarried> {
        let mut units = SmallVec::new();
        let mut rest = picture;
        while !rest.is_empty() {
            let cut = NotCarried::Malformed("NAL unit longer than the picture");
            let (length, after) = rest.split_at_checked(self.length_size).ok_or(cut)?;
            let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
            let (unit, after) = after.split_at_checked(length).ok_or(cut)?;
            if !unit.is_empty() {
                units.push(unit);
            }
            rest = after;
        }
        if units.is_empty() {
            return Err(NotCarried::Malformed("picture without a NAL unit"));
        }
        Ok(units)
    }
}

/// What a unit is to the multiplex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Delimiter,
    SequenceParameterSet,
    OtherParameterSet,
    Other,
}

impl Syntax {
    fn role(self, unit: &[u8]) -> Role {
        let header = |index: usize| unit.get(index).copied().unwrap_or_default();
        match (self, header(0) & 0x1F, header(0) >> 1 & 0x3F, header(1) >> 3) {
            (Self::H264, 9, ..) | (Self::H265, _, 35, _) | (Self::H266, .., 20) => Role::Delimiter,
            (Self::H264, 7, ..) | (Self::H265, _, 33, _) | (Self::H266, .., 15) => {
                Role::SequenceParameterSet
            }
            (Self::H264, 8, ..) | (Self::H265, _, 32 | 34, _) | (Self::H266, .., 14 | 16) => {
                Role::OtherParameterSet
            }
            _ => Role::Other,
        }
    }

    /// An access unit delimiter that allows every kind of slice, start code in front.
    fn delimiter(self, random_access: bool) -> &'static [u8] {
        match (self, random_access) {
            // primary_pic_type 7, then the trailing bits (7.3.2.4).
            (Self::H264, _) => &[0, 0, 0, 1, 0x09, 0xF0],
            // pic_type 2 (7.3.2.5).
            (Self::H265, _) => &[0, 0, 0, 1, 0x46, 0x01, 0x50],
            // aud_irap_or_gdr_flag, aud_pic_type 2 (7.3.2.10).
            (Self::H266, true) => &[0, 0, 0, 1, 0x00, 0xA1, 0xA8],
            (Self::H266, false) => &[0, 0, 0, 1, 0x00, 0xA1, 0x28],
        }
    }
}

/// Length size and parameter sets of a VvcDecoderConfigurationRecord: ISO/IEC 14496-15 11.2.4.2.
fn h266_parameter_sets(record: &[u8]) -> Option<(u8, Vec<&[u8]>)> {
    let (&first, mut rest) = record.split_first()?;
    let length_size = (first >> 1 & 0x03) + 1;
    if first & 1 != 0 {
        rest = skip_h266_profile(rest)?;
    }
    let (&arrays, mut rest) = rest.split_first()?;
    let mut sets = Vec::new();
    for _ in 0..arrays {
        let (&header, after) = rest.split_first()?;
        rest = after;
        let nal_type = header & 0x1F;
        // Decoding capability and operating point information come alone, without a count.
        let count = if matches!(nal_type, 12 | 13) { 1 } else { take_u16(&mut rest)? };
        for _ in 0..count {
            let size = usize::from(take_u16(&mut rest)?);
            let (unit, after) = rest.split_at_checked(size)?;
            rest = after;
            if matches!(nal_type, 14..=16) {
                sets.push(unit);
            }
        }
    }
    Some((length_size, sets))
}

/// The part with profile, tier, level and picture size: returns what follows it.
fn skip_h266_profile(record: &[u8]) -> Option<&[u8]> {
    let (&[_, layers, _, constraint_bytes, ..], rest) = record.split_first_chunk::<6>()?;
    let sub_layers = layers >> 4 & 0x07;
    let mut rest = rest.get(usize::from(constraint_bytes & 0x3F)..)?;
    if sub_layers > 1 {
        let (&levels_present, after) = rest.split_first()?;
        rest = after.get(levels_present.count_ones() as usize..)?;
    }
    let (&sub_profiles, after) = rest.split_first()?;
    // Width, height and frame rate end it.
    after.get(4 * usize::from(sub_profiles) + 6..)
}

fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    let (value, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u16::from_be_bytes(*value))
}

const START_CODE: &[u8] = &[0, 0, 1];
const LONG_START_CODE: &[u8] = &[0, 0, 0, 1];

#[cfg(test)]
mod tests {
    use super::*;

    /// avcC by hand: High, level 4.0, 4-byte lengths, an SPS of two bytes and a PPS of two.
    const AVCC: &[u8] =
        &[1, 100, 0, 40, 0xFF, 0xE1, 0, 2, 0x67, 0xAA, 1, 0, 2, 0x68, 0xBB, 0xFD, 0xF8, 0xF8, 0];

    fn annex_b(coding: &NalCoding, picture: &[u8], random_access: bool) -> Vec<u8> {
        coding.pieces(picture, random_access).expect("readable").concat()
    }

    #[test]
    fn an_idr_gets_delimiter_and_parameter_sets_in_front() {
        let coding = NalCoding::from_config(CodecId::H264, AVCC).expect("readable");
        let picture = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 2, 0x65, 2];
        let expected = [
            0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1, 0x67, 0xAA, 0, 0, 0, 1, 0x68, 0xBB, 0, 0, 1, 0x65, 1,
            0, 0, 1, 0x65, 2,
        ];
        assert_eq!(annex_b(&coding, &picture, true), expected);
        let inter = [0, 0, 0, 2, 0x41, 1];
        assert_eq!(annex_b(&coding, &inter, false), [0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 1]);
    }

    #[test]
    fn parameter_sets_and_delimiters_of_the_picture_are_not_doubled() {
        let coding = NalCoding::from_config(CodecId::H264, AVCC).expect("readable");
        let picture = [
            0, 0, 0, 2, 9, 0x10, 0, 0, 0, 2, 0x67, 0xCC, 0, 0, 0, 2, 0x68, 0xDD, 0, 0, 0, 0, 0, 0,
            0, 2, 0x65, 1,
        ];
        let expected =
            [0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1, 0x67, 0xCC, 0, 0, 0, 1, 0x68, 0xDD, 0, 0, 1, 0x65, 1];
        assert_eq!(annex_b(&coding, &picture, true), expected);
    }

    #[test]
    fn lengths_of_one_to_four_bytes_are_read_and_wrong_ones_refused() {
        for length_size in 1..=4_u8 {
            let mut avcc = AVCC.to_vec();
            avcc[4] = 0xFC | (length_size - 1);
            let coding = NalCoding::from_config(CodecId::H264, &avcc).expect("readable");
            let mut picture = vec![0; usize::from(length_size) - 1];
            picture.extend_from_slice(&[2, 0x41, 1]);
            assert_eq!(annex_b(&coding, &picture, false)[6..], [0, 0, 1, 0x41, 1]);
            for end in 0..picture.len() {
                assert!(coding.pieces(&picture[..end], false).is_err());
            }
        }
    }

    #[test]
    fn h265_and_h266_records_give_their_parameter_sets_in_order() {
        // hvcC: 22 bytes that do not matter here, three arrays of one unit each.
        let mut hvcc = vec![1; 22];
        hvcc[21] = 0x03;
        hvcc.extend_from_slice(&[3, 0x21, 0, 1, 0, 2, 0x42, 1, 0x20, 0, 1, 0, 2, 0x40, 1]);
        hvcc.extend_from_slice(&[0x22, 0, 1, 0, 2, 0x44, 1]);
        let coding = NalCoding::from_config(CodecId::H265, &hvcc).expect("readable");
        let sets = [0, 0, 0, 1, 0x40, 1, 0, 0, 0, 1, 0x42, 1, 0, 0, 0, 1, 0x44, 1];
        assert_eq!(coding.parameter_sets, sets);
        let picture = annex_b(&coding, &[0, 0, 0, 2, 0x26, 1], true);
        assert_eq!(picture[..7], [0, 0, 0, 1, 0x46, 1, 0x50]);
        assert_eq!(picture[7..25], sets);

        // vvcC: the one of the codec's own test, with two arrays behind it.
        let mut vvcc = vec![0xFF, 0x00, 0x11, 0x5F, 0x01, 0x02, 67, 0x80, 0x00];
        vvcc.extend_from_slice(&[0x07, 0x80, 0x04, 0x38, 0x32, 0x00]);
        vvcc.extend_from_slice(&[2, 0x8F, 0, 1, 0, 2, 0x00, 0x79, 0x90, 0, 1, 0, 2, 0x00, 0x81]);
        let coding = NalCoding::from_config(CodecId::H266, &vvcc).expect("readable");
        assert_eq!(coding.length_size, 4);
        assert_eq!(coding.parameter_sets, [0, 0, 0, 1, 0, 0x79, 0, 0, 0, 1, 0, 0x81]);
        for end in 0..vvcc.len() {
            assert_eq!(NalCoding::from_config(CodecId::H266, &vvcc[..end]), None, "cut at {end}");
        }
    }
}
