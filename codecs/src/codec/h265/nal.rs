//! NAL units of a byte stream: what tells access units apart, and the configuration record that is
//! made of their parameter sets (ISO/IEC 23008-2 7.3 and 7.4.2.4, ISO/IEC 14496-15 8.3.3.1).

use super::skip_sub_layer_levels;
use crate::codec::bits::{BitReader, unescape};

/// nal_unit_type: the first of the intra random access point pictures (BLA, IDR, CRA).
pub const TYPE_IRAP_FIRST: u8 = 16;
/// The last of them that is in use; 22 and 23 are reserved.
pub const TYPE_IRAP_LAST: u8 = 21;
/// The last of the slice types.
pub const TYPE_VCL_LAST: u8 = 31;
/// Video parameter set.
pub const TYPE_VPS: u8 = 32;
/// Sequence parameter set.
pub const TYPE_SPS: u8 = 33;
/// Picture parameter set.
pub const TYPE_PPS: u8 = 34;
/// Access unit delimiter.
pub const TYPE_AUD: u8 = 35;
/// Filler data.
pub const TYPE_FILLER: u8 = 38;
/// Supplemental enhancement information in front of the slices.
pub const TYPE_PREFIX_SEI: u8 = 39;

/// nal_unit_type of a unit; 63 (unspecified) when it is empty.
pub fn nal_type(nal_unit: &[u8]) -> u8 {
    nal_unit.first().map_or(63, |header| header >> 1 & 0x3F)
}

/// nuh_layer_id of a unit; 0 is the base layer.
pub fn layer_id(nal_unit: &[u8]) -> u8 {
    nal_unit.first_chunk::<2>().map_or(0, |[high, low]| (high & 1) << 5 | low >> 3)
}

/// True for what starts an access unit behind the slices of the one before (7.4.2.4.4).
pub fn is_in_front_of_slices(nal_type: u8) -> bool {
    matches!(nal_type, TYPE_VPS..=TYPE_AUD | TYPE_PREFIX_SEI | 41..=44 | 48..=55)
}

/// first_slice_segment_in_pic_flag: the slice starts a picture.
pub fn is_first_slice(nal_unit: &[u8]) -> bool {
    nal_unit.get(2).is_some_and(|byte| byte & 0x80 != 0)
}

/// video_parameter_set_id of a video parameter set.
pub fn vps_id(nal_unit: &[u8]) -> Option<u32> {
    nal_unit.get(2).map(|byte| u32::from(byte >> 4))
}

/// pic_parameter_set_id of a picture parameter set.
pub fn pps_id(nal_unit: &[u8]) -> Option<u32> {
    let payload = nal_unit.get(2..)?;
    let rbsp = unescape(payload.get(..payload.len().min(8))?);
    BitReader::new(&rbsp).ue().filter(|&id| id < 64)
}

/// What a configuration record needs of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpsFields {
    /// sps_seq_parameter_set_id, 0 to 15.
    pub id: u32,
    /// Sub-layers: 1 to 7.
    pub temporal_layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub is_temporally_nested: bool,
    /// profile_tier_level() from its start to general_level_idc.
    pub general_profile_tier_level: [u8; 12],
    /// chroma_format_idc, 0 to 3.
    pub chroma_format_idc: u8,
    /// bit_depth_luma_minus8, 0 to 8.
    pub bit_depth_luma_minus8: u8,
    /// bit_depth_chroma_minus8, 0 to 8.
    pub bit_depth_chroma_minus8: u8,
}

impl SpsFields {
    /// Reads a sequence parameter set that starts with its NAL unit header; `None` when it is none
    /// or is cut.
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        let payload = nal_unit.get(2..).filter(|_| nal_type(nal_unit) == TYPE_SPS)?;
        let rbsp = unescape(payload);
        let general_profile_tier_level = *rbsp.get(1..)?.first_chunk::<12>()?;
        let mut reader = BitReader::new(&rbsp);
        let _sps_video_parameter_set_id = reader.bits(4)?;
        let sub_layers_minus1 = reader.u8(3)?;
        let is_temporally_nested = reader.flag()?;
        reader.skip(8 * general_profile_tier_level.len())?;
        skip_sub_layer_levels(&mut reader, u32::from(sub_layers_minus1))?;
        let id = reader.ue().filter(|&id| id < 16)?;
        let small = |value: u32, max: u32| u8::try_from(value).ok().filter(|_| value <= max);
        let chroma_format_idc = small(reader.ue()?, 3)?;
        if chroma_format_idc == 3 {
            let _separate_colour_plane = reader.flag()?;
        }
        reader.skip_golomb(2)?; // width and height
        if reader.flag()? {
            reader.skip_golomb(4)?; // conformance window
        }
        Some(Self {
            id,
            temporal_layers: sub_layers_minus1 + 1,
            is_temporally_nested,
            general_profile_tier_level,
            chroma_format_idc,
            bit_depth_luma_minus8: small(reader.ue()?, 8)?,
            bit_depth_chroma_minus8: small(reader.ue()?, 8)?,
        })
    }
}

/// HEVCDecoderConfigurationRecord with 4-byte lengths, of parameter sets with their NAL unit
/// headers; `None` without a readable sequence parameter set, or when one exceeds 65,535 bytes.
pub fn configuration_record(vps: &[&[u8]], sps: &[&[u8]], pps: &[&[u8]]) -> Option<Vec<u8>> {
    let fields = SpsFields::parse(sps.first()?)?;
    let mut record = vec![1];
    record.extend_from_slice(&fields.general_profile_tier_level);
    record.extend_from_slice(&[0xF0, 0x00, 0xFC]); // segmentation and parallelism: unknown
    record.push(0xFC | fields.chroma_format_idc);
    record.push(0xF8 | fields.bit_depth_luma_minus8);
    record.push(0xF8 | fields.bit_depth_chroma_minus8);
    record.extend_from_slice(&[0, 0]); // average frame rate: unknown
    record.push(fields.temporal_layers << 3 | u8::from(fields.is_temporally_nested) << 2 | 3);
    let arrays = [(TYPE_VPS, vps), (TYPE_SPS, sps), (TYPE_PPS, pps)];
    record.push(arrays.iter().filter(|(_, units)| !units.is_empty()).count() as u8);
    for (nal_type, units) in arrays.into_iter().filter(|(_, units)| !units.is_empty()) {
        record.push(ARRAY_COMPLETE | nal_type);
        record.extend_from_slice(&u16::try_from(units.len()).ok()?.to_be_bytes());
        for unit in units {
            record.extend_from_slice(&u16::try_from(unit.len()).ok()?.to_be_bytes());
            record.extend_from_slice(unit);
        }
    }
    Some(record)
}

/// array_completeness: no such parameter set is in the frames.
const ARRAY_COMPLETE: u8 = 0x80;
