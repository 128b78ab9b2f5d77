//! NAL units of a byte stream: what tells access units apart, and the configuration record that is
//! made of their parameter sets (ISO/IEC 14496-10 7.3 and 7.4.1.2, ISO/IEC 14496-15 5.3.3.1).

use super::{PROFILES_WITH_CHROMA, skip_frame_num_tail, skip_scaling_lists};
use crate::codec::bits::{BitReader, unescape};

/// nal_unit_type: slice of a picture that is no IDR picture.
pub const TYPE_SLICE: u8 = 1;
/// First data partition of a slice.
pub const TYPE_PARTITION_A: u8 = 2;
/// Slice of an IDR picture.
pub const TYPE_IDR: u8 = 5;
/// Supplemental enhancement information.
pub const TYPE_SEI: u8 = 6;
/// Sequence parameter set.
pub const TYPE_SPS: u8 = 7;
/// Picture parameter set.
pub const TYPE_PPS: u8 = 8;
/// Access unit delimiter.
pub const TYPE_AUD: u8 = 9;
/// Filler data.
pub const TYPE_FILLER: u8 = 12;

/// nal_unit_type of a unit; 0 when it is empty.
pub fn nal_type(nal_unit: &[u8]) -> u8 {
    nal_unit.first().map_or(0, |header| header & 0x1F)
}

/// What a byte stream needs of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpsFields {
    /// seq_parameter_set_id, 0 to 31.
    pub id: u32,
    /// profile_idc.
    pub profile_idc: u8,
    /// chroma_format_idc.
    pub chroma_format_idc: u8,
    /// bit_depth_luma_minus8.
    pub bit_depth_luma_minus8: u8,
    /// bit_depth_chroma_minus8.
    pub bit_depth_chroma_minus8: u8,
    /// separate_colour_plane_flag.
    pub has_separate_planes: bool,
    /// Bits of frame_num: 4 to 16.
    pub frame_num_bits: u32,
    /// frame_mbs_only_flag: there are no fields.
    pub is_frames_only: bool,
}

impl SpsFields {
    /// Reads a sequence parameter set that starts with its NAL unit header; `None` when it is none
    /// or is cut.
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        let (_, payload) = nal_unit.split_first().filter(|_| nal_type(nal_unit) == TYPE_SPS)?;
        let rbsp = unescape(payload);
        let mut reader = BitReader::new(&rbsp);
        let profile_idc = reader.u8(8)?;
        let _constraints_and_level = reader.bits(16)?;
        let mut fields = Self {
            id: reader.ue().filter(|&id| id < 32)?,
            profile_idc,
            chroma_format_idc: 1,
            bit_depth_luma_minus8: 0,
            bit_depth_chroma_minus8: 0,
            has_separate_planes: false,
            frame_num_bits: 0,
            is_frames_only: true,
        };
        if PROFILES_WITH_CHROMA.contains(&profile_idc) {
            fields.read_chroma(&mut reader)?;
        }
        fields.frame_num_bits = reader.ue()?.checked_add(4).filter(|&bits| bits <= 16)?;
        skip_frame_num_tail(&mut reader)?;
        reader.skip_golomb(2)?; // width and height
        fields.is_frames_only = reader.flag()?;
        Some(fields)
    }

    fn read_chroma(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        let small = |value: u32, max: u32| u8::try_from(value).ok().filter(|_| value <= max);
        self.chroma_format_idc = small(reader.ue()?, 3)?;
        self.has_separate_planes = self.chroma_format_idc == 3 && reader.flag()?;
        self.bit_depth_luma_minus8 = small(reader.ue()?, 6)?;
        self.bit_depth_chroma_minus8 = small(reader.ue()?, 6)?;
        let _qpprime_y_zero_transform_bypass = reader.flag()?;
        skip_scaling_lists(reader, u32::from(self.chroma_format_idc))
    }
}

/// pic_parameter_set_id and seq_parameter_set_id of a picture parameter set.
pub fn pps_ids(nal_unit: &[u8]) -> Option<(u32, u32)> {
    let payload = nal_unit.get(1..)?;
    let rbsp = unescape(payload.get(..payload.len().min(SLICE_START_BYTES))?);
    let mut reader = BitReader::new(&rbsp);
    Some((reader.ue().filter(|&id| id < 256)?, reader.ue().filter(|&id| id < 32)?))
}

/// The front of a slice header (7.3.3), as far as it tells pictures apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceStart {
    /// first_mb_in_slice is 0: the slice starts a picture.
    pub is_first: bool,
    /// slice_type says that the slice is intra coded.
    pub is_intra: bool,
    /// pic_parameter_set_id.
    pub pps_id: u32,
    /// Where frame_num starts, in bits from the end of the NAL unit header.
    frame_num_at: usize,
}

impl SliceStart {
    /// Reads the slice header of a NAL unit of which the first bytes are enough; `None` when it is
    /// cut.
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        let rbsp = slice_start(nal_unit)?;
        let mut reader = BitReader::new(&rbsp);
        let before = reader.bits_left();
        let is_first = reader.ue()? == 0;
        let is_intra = matches!(reader.ue()? % 5, 2 | 4);
        let pps_id = reader.ue()?;
        Some(Self { is_first, is_intra, pps_id, frame_num_at: before - reader.bits_left() })
    }

    /// frame_num, and whether the picture is a field: the bottom one when the flag is set.
    pub fn field(&self, nal_unit: &[u8], sps: &SpsFields) -> Option<(u32, Option<bool>)> {
        let rbsp = slice_start(nal_unit)?;
        let mut reader = BitReader::new(&rbsp);
        reader.skip(self.frame_num_at + if sps.has_separate_planes { 2 } else { 0 })?;
        let frame_num = reader.bits(sps.frame_num_bits)?;
        let is_field = !sps.is_frames_only && reader.flag()?;
        Some((frame_num, if is_field { Some(reader.flag()?) } else { None }))
    }
}

fn slice_start(nal_unit: &[u8]) -> Option<Vec<u8>> {
    let payload = nal_unit.get(1..)?;
    Some(unescape(payload.get(..payload.len().min(SLICE_START_BYTES))?))
}

/// True when a SEI unit has a recovery point message (D.1.8): decoding can start at its picture.
pub fn has_recovery_point(sei: &[u8]) -> bool {
    let mut rest = sei.get(1..).unwrap_or_default();
    while rest.len() > 2 {
        let (Some((payload_type, after_type)), true) = (sei_number(rest), rest[0] != 0x80) else {
            return false;
        };
        if payload_type == SEI_RECOVERY_POINT {
            return true;
        }
        let Some((size, after_size)) = sei_number(after_type) else {
            return false;
        };
        rest = after_size.get(size..).unwrap_or_default();
    }
    false
}

/// A number of sei_message(): bytes of 255, and one less, that are added.
fn sei_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|&&byte| byte == 0xFF).count();
    let last = bytes.get(full)?;
    Some((full * 255 + usize::from(*last), bytes.get(full + 1..)?))
}

/// AVCDecoderConfigurationRecord with 4-byte lengths, of parameter sets with their NAL unit
/// headers; `None` without a readable sequence parameter set, or when one exceeds 65,535 bytes or
/// there are more than the record can count (31 and 255).
pub fn configuration_record(sps: &[&[u8]], pps: &[&[u8]]) -> Option<Vec<u8>> {
    let first = *sps.first()?;
    let fields = SpsFields::parse(first)?;
    let &[_, profile_idc, constraint_flags, level_idc] = first.first_chunk::<4>()?;
    let counts = u8::try_from(sps.len()).ok().zip(u8::try_from(pps.len()).ok());
    let (sps_count, pps_count) = counts.filter(|&(sps_count, _)| sps_count < 32)?;
    let mut record = vec![1, profile_idc, constraint_flags, level_idc, 0xFC | 3, 0xE0 | sps_count];
    let put = |units: &[&[u8]], record: &mut Vec<u8>| {
        for unit in units {
            record.extend_from_slice(&u16::try_from(unit.len()).ok()?.to_be_bytes());
            record.extend_from_slice(unit);
        }
        Some(())
    };
    put(sps, &mut record)?;
    record.push(pps_count);
    put(pps, &mut record)?;
    if !matches!(profile_idc, 66 | 77 | 88) && PROFILES_WITH_CHROMA.contains(&profile_idc) {
        record.push(0xFC | fields.chroma_format_idc);
        record.push(0xF8 | fields.bit_depth_luma_minus8);
        record.push(0xF8 | fields.bit_depth_chroma_minus8);
        record.push(0); // no extensions of sequence parameter sets
    }
    Some(record)
}

/// Bytes in which everything that is read of a slice header lies: three Exp-Golomb numbers, the
/// colour plane, frame_num and the field flags take 15 at most where their values are legal.
pub const SLICE_START_BYTES: usize = 24;
const SEI_RECOVERY_POINT: usize = 6;
