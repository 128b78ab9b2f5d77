//! H.264: the configuration record (ISO/IEC 14496-15 5.3.3.1) and the sequence parameter set
//! (ISO/IEC 14496-10 7.3.2.1.1 and E.1.1).
//!
//! The parameter set is read only as far as its parameters are wanted, and accepted although it
//! breaks the limits of the level it declares or has bytes behind its end: encoders in the field do
//! both, and h264-reader, which the tests compare with, refuses both.

pub mod nal;
pub mod slice;

use super::CodecId;
use super::bits::{BitReader, unescape};
use crate::access_unit::TrackInfo;

/// AVCDecoderConfigurationRecord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationRecord<'a> {
    /// profile_idc.
    pub profile_idc: u8,
    /// The constraint_set flags, set 0 in the highest bit.
    pub constraint_flags: u8,
    /// level_idc: ten times the level.
    pub level_idc: u8,
    /// Bytes of the length in front of each NAL unit of a frame: 1 to 4.
    pub nal_length_size: u8,
    /// Sequence parameter sets, NAL unit header included.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets, NAL unit header included.
    pub pps: Vec<&'a [u8]>,
}

impl<'a> ConfigurationRecord<'a> {
    /// Reads a record; `None` when it is cut or of another version. What follows the picture
    /// parameter sets is not needed and not read.
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = record.split_first_chunk::<6>()?;
        let &[1, profile_idc, constraint_flags, level_idc, length_size, sps_count] = fixed else {
            return None;
        };
        let (sps, rest) = nal_units(rest, sps_count & 0x1F)?;
        let (&pps_count, rest) = rest.split_first()?;
        let (pps, _) = nal_units(rest, pps_count)?;
        let nal_length_size = (length_size & 0x03) + 1;
        Some(Self { profile_idc, constraint_flags, level_idc, nal_length_size, sps, pps })
    }
}

/// Takes `count` NAL units with 16-bit lengths from the front.
fn nal_units(mut bytes: &[u8], count: u8) -> Option<(Vec<&[u8]>, &[u8])> {
    let mut units = Vec::new();
    for _ in 0..count {
        let (size, rest) = bytes.split_first_chunk::<2>()?;
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        units.push(unit);
        bytes = rest;
    }
    Some((units, bytes))
}

/// What is wanted of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sps {
    /// profile_idc.
    pub profile_idc: u8,
    /// The constraint_set flags, set 0 in the highest bit.
    pub constraint_flags: u8,
    /// level_idc: ten times the level.
    pub level_idc: u8,
    /// Width after cropping, in pixels.
    pub width: u32,
    /// Height after cropping, in pixels.
    pub height: u32,
    /// Frames (two fields) per second; 0.0 when the parameter set does not say.
    pub frame_rate: f64,
}

impl Sps {
    /// Reads a sequence parameter set that starts with its NAL unit header; `None` when it is none
    /// or is cut in front of the picture size.
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        let (header, payload) = nal_unit.split_first()?;
        if header & 0x1F != NAL_TYPE_SPS {
            return None;
        }
        let rbsp = unescape(payload);
        let mut reader = BitReader::new(&rbsp);
        let profile_idc = reader.u8(8)?;
        let constraint_flags = reader.u8(8)?;
        let level_idc = reader.u8(8)?;
        let _seq_parameter_set_id = reader.ue()?;
        let chroma_format_idc = read_chroma(&mut reader, profile_idc)?;
        skip_frame_num_and_order(&mut reader)?;
        let (width, height) = read_picture_size(&mut reader, chroma_format_idc)?;
        let frame_rate = read_frame_rate(&mut reader).unwrap_or(0.0);
        Some(Self { profile_idc, constraint_flags, level_idc, width, height, frame_rate })
    }
}

/// chroma_format_idc, with separate colour planes as 0 because they are sampled like monochrome.
fn read_chroma(reader: &mut BitReader<'_>, profile_idc: u8) -> Option<u32> {
    if !PROFILES_WITH_CHROMA.contains(&profile_idc) {
        return Some(1);
    }
    let chroma_format_idc = reader.ue()?;
    let separate_colour_planes = chroma_format_idc == 3 && reader.flag()?;
    let _bit_depth_luma_minus8 = reader.ue()?;
    let _bit_depth_chroma_minus8 = reader.ue()?;
    let _qpprime_y_zero_transform_bypass = reader.flag()?;
    skip_scaling_lists(reader, chroma_format_idc)?;
    Some(if separate_colour_planes { 0 } else { chroma_format_idc })
}

/// seq_scaling_matrix_present_flag and what follows it.
fn skip_scaling_lists(reader: &mut BitReader<'_>, chroma_format_idc: u32) -> Option<()> {
    if reader.flag()? {
        let lists = if chroma_format_idc == 3 { 12 } else { 8 };
        for list in 0..lists {
            if reader.flag()? {
                skip_scaling_list(reader, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(())
}

/// scaling_list(): 7.3.2.1.1.1.
fn skip_scaling_list(reader: &mut BitReader<'_>, size: u32) -> Option<()> {
    let (mut last_scale, mut next_scale) = (8, 8);
    for _ in 0..size {
        if next_scale != 0 {
            next_scale = (last_scale + reader.se()? % 256 + 256) % 256;
        }
        if next_scale != 0 {
            last_scale = next_scale;
        }
    }
    Some(())
}

fn skip_frame_num_and_order(reader: &mut BitReader<'_>) -> Option<()> {
    let _log2_max_frame_num_minus4 = reader.ue()?;
    skip_frame_num_tail(reader)
}

/// What follows log2_max_frame_num_minus4 up to the picture size.
fn skip_frame_num_tail(reader: &mut BitReader<'_>) -> Option<()> {
    match reader.ue()? {
        0 => reader.skip_golomb(1)?,
        1 => {
            let _delta_pic_order_always_zero = reader.flag()?;
            reader.skip_golomb(2)?;
            let frames_in_cycle = reader.ue()?;
            if frames_in_cycle > 255 {
                return None;
            }
            reader.skip_golomb(frames_in_cycle)?;
        }
        _ => {}
    }
    let _max_num_ref_frames = reader.ue()?;
    let _gaps_in_frame_num_allowed = reader.flag()?;
    Some(())
}

fn read_picture_size(reader: &mut BitReader<'_>, chroma_format_idc: u32) -> Option<(u32, u32)> {
    let width_in_mbs = reader.ue()?.checked_add(1)?;
    let height_in_map_units = reader.ue()?.checked_add(1)?;
    let frame_mbs_only = reader.flag()?;
    let fields = if frame_mbs_only { 1 } else { 2 };
    if !frame_mbs_only {
        let _mb_adaptive_frame_field = reader.flag()?;
    }
    let _direct_8x8_inference = reader.flag()?;
    let width = width_in_mbs.checked_mul(16)?;
    let height = height_in_map_units.checked_mul(16)?.checked_mul(fields)?;
    if !reader.flag()? {
        return Some((width, height));
    }
    let unit_x = if matches!(chroma_format_idc, 1 | 2) { 2 } else { 1 };
    let unit_y = fields * if chroma_format_idc == 1 { 2 } else { 1 };
    let (left, right) = (reader.ue()?, reader.ue()?);
    let (top, bottom) = (reader.ue()?, reader.ue()?);
    let crop_x = left.checked_add(right)?.checked_mul(unit_x)?;
    let crop_y = top.checked_add(bottom)?.checked_mul(unit_y)?;
    Some((width.checked_sub(crop_x)?, height.checked_sub(crop_y)?))
}

/// The timing fields of the video usability information (E.1.1).
fn read_frame_rate(reader: &mut BitReader<'_>) -> Option<f64> {
    if !reader.flag()? {
        return None;
    }
    skip_vui_up_to_chroma_location(reader)?;
    if !reader.flag()? {
        return None;
    }
    let num_units_in_tick = reader.bits(32)?;
    let time_scale = reader.bits(32)?;
    (num_units_in_tick > 0).then(|| f64::from(time_scale) / (2.0 * f64::from(num_units_in_tick)))
}

/// Aspect ratio, overscan, signal type and chroma location, which H.264 (E.1.1) and H.265 (E.2.1)
/// share.
pub(super) fn skip_vui_up_to_chroma_location(reader: &mut BitReader<'_>) -> Option<()> {
    const EXTENDED_SAR: u32 = 255;
    if reader.flag()? && reader.bits(8)? == EXTENDED_SAR {
        reader.skip(32)?;
    }
    if reader.flag()? {
        let _overscan_appropriate = reader.flag()?;
    }
    if reader.flag()? {
        let _video_format_and_full_range = reader.bits(4)?;
        if reader.flag()? {
            reader.skip(24)?;
        }
    }
    if reader.flag()? {
        reader.skip_golomb(2)?;
    }
    Some(())
}

/// Reads the parameters from a configuration record; without a readable parameter set, what the
/// record itself says.
pub fn from_config(record: &[u8]) -> Option<TrackInfo> {
    let record = ConfigurationRecord::parse(record)?;
    let mut info = TrackInfo {
        codec: CodecId::H264,
        profile: profile_name(record.profile_idc, record.constraint_flags),
        level: level_name(record.level_idc, record.constraint_flags),
        ..TrackInfo::default()
    };
    if let Some(sps) = record.sps.first().and_then(|sps| Sps::parse(sps)) {
        info.profile = profile_name(sps.profile_idc, sps.constraint_flags);
        info.level = level_name(sps.level_idc, sps.constraint_flags);
        (info.width, info.height) = (sps.width, sps.height);
        info.frame_rate = sps.frame_rate;
    }
    Some(info)
}

/// Content of `avcC` in MP4: the record as it is, when a decoder can start with it.
pub fn mp4_config(record: &[u8]) -> Option<Vec<u8>> {
    let parsed = ConfigurationRecord::parse(record)?;
    let has_parameter_sets = !parsed.sps.is_empty() && !parsed.pps.is_empty();
    has_parameter_sets.then(|| record.to_vec())
}

/// Name by RFC 6381 3.3: profile, constraints and level in hexadecimal digits.
pub fn rfc6381(record: &[u8]) -> Option<String> {
    let ConfigurationRecord { profile_idc, constraint_flags, level_idc, .. } =
        ConfigurationRecord::parse(record)?;
    Some(format!("avc1.{profile_idc:02x}{constraint_flags:02x}{level_idc:02x}"))
}

/// Annex A.2.
fn profile_name(profile_idc: u8, constraint_flags: u8) -> String {
    let set = |number: u32| constraint_flags & 0x80 >> number != 0;
    let name = match profile_idc {
        66 if set(1) => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 if set(4) && set(5) => "Constrained High",
        100 if set(4) => "Progressive High",
        100 => "High",
        110 if set(3) => "High 10 Intra",
        110 => "High 10",
        122 if set(3) => "High 4:2:2 Intra",
        122 => "High 4:2:2",
        244 if set(3) => "High 4:4:4 Intra",
        244 => "High 4:4:4 Predictive",
        44 => "CAVLC 4:4:4 Intra",
        83 => "Scalable Baseline",
        86 => "Scalable High",
        118 => "Multiview High",
        128 => "Stereo High",
        _ => return format!("{profile_idc}"),
    };
    name.to_owned()
}

/// Table A-1; level 1b is level 11 with constraint set 3 in the older profiles, 9 in the newer.
fn level_name(level_idc: u8, constraint_flags: u8) -> String {
    let is_1b = level_idc == 9 || (level_idc == 11 && constraint_flags & 0x10 != 0);
    match (is_1b, level_idc / 10, level_idc % 10) {
        (true, ..) => "1b".to_owned(),
        (_, major, 0) => format!("{major}"),
        (_, major, minor) => format!("{major}.{minor}"),
    }
}

const NAL_TYPE_SPS: u8 = 7;

/// Profiles whose parameter sets have chroma_format_idc and what follows it (7.3.2.1.1).
const PROFILES_WITH_CHROMA: [u8; 13] =
    [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

#[cfg(test)]
mod tests;
