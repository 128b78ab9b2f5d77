//! H.265: the configuration record (ISO/IEC 14496-15 8.3.3.1) and the sequence parameter set
//! (ISO/IEC 23008-2 7.3.2.2 and E.2.1), read as far as the frame rate.
//!
//! scuffle-h265 reads more, but its arithmetic overflows on one damaged parameter set in eighty, so
//! it serves the tests only.

pub mod nal;
pub mod slice;

use super::CodecId;
use super::bits::{BitReader, unescape};
use super::h264::skip_vui_up_to_chroma_location;
use crate::access_unit::TrackInfo;

/// HEVCDecoderConfigurationRecord.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigurationRecord<'a> {
    /// general_profile_idc.
    pub profile_idc: u8,
    /// general_tier_flag: true for the High tier.
    pub high_tier: bool,
    /// general_level_idc: thirty times the level.
    pub level_idc: u8,
    /// Average frames per second; 0.0 when the record does not say.
    pub frame_rate: f64,
    /// Bytes of the length in front of each NAL unit of a frame: 1, 2 or 4.
    pub nal_length_size: u8,
    /// Video parameter sets, NAL unit header included.
    pub vps: Vec<&'a [u8]>,
    /// Sequence parameter sets, NAL unit header included.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets, NAL unit header included.
    pub pps: Vec<&'a [u8]>,
}

impl<'a> ConfigurationRecord<'a> {
    /// Reads a record; `None` when it is cut. Version 0 is accepted as 1, because encoders wrote it
    /// before the format was final.
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let (fixed, mut rest) = record.split_first_chunk::<23>()?;
        let &[version, profile, _, _, _, _, _, _, _, _, _, _, level_idc, ..] = fixed;
        let &[.., rate_high, rate_low, layers_and_length_size, array_count] = fixed;
        if version > 1 {
            return None;
        }
        let mut parsed = Self {
            profile_idc: profile & 0x1F,
            high_tier: profile & 0x20 != 0,
            level_idc,
            frame_rate: f64::from(u16::from_be_bytes([rate_high, rate_low])) / 256.0,
            nal_length_size: (layers_and_length_size & 0x03) + 1,
            vps: Vec::new(),
            sps: Vec::new(),
            pps: Vec::new(),
        };
        for _ in 0..array_count {
            let (&[nal_type, count_high, count_low], units) = rest.split_first_chunk::<3>()?;
            rest = units;
            for _ in 0..u16::from_be_bytes([count_high, count_low]) {
                let (size, units) = rest.split_first_chunk::<2>()?;
                let size = usize::from(u16::from_be_bytes(*size));
                let (unit, units) = units.split_at_checked(size)?;
                rest = units;
                match nal_type & 0x3F {
                    NAL_TYPE_VPS => parsed.vps.push(unit),
                    NAL_TYPE_SPS => parsed.sps.push(unit),
                    NAL_TYPE_PPS => parsed.pps.push(unit),
                    _ => {}
                }
            }
        }
        Some(parsed)
    }
}

/// What is wanted of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sps {
    /// general_profile_idc.
    pub profile_idc: u8,
    /// general_tier_flag: true for the High tier.
    pub high_tier: bool,
    /// general_level_idc: thirty times the level.
    pub level_idc: u8,
    /// Width after cropping, in pixels.
    pub width: u32,
    /// Height after cropping, in pixels.
    pub height: u32,
    /// Frames per second; 0.0 when the parameter set does not say.
    pub frame_rate: f64,
}

impl Sps {
    /// Reads a sequence parameter set that starts with its NAL unit header; `None` when it is none
    /// or is cut in front of the picture size.
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        let (&[header, _], payload) = nal_unit.split_first_chunk::<2>()?;
        if header >> 1 & 0x3F != NAL_TYPE_SPS {
            return None;
        }
        let rbsp = unescape(payload);
        let mut reader = BitReader::new(&rbsp);
        let _sps_video_parameter_set_id = reader.bits(4)?;
        let sub_layers_minus1 = reader.bits(3)?;
        let _temporal_id_nesting = reader.flag()?;
        let _profile_space = reader.bits(2)?;
        let high_tier = reader.flag()?;
        let profile_idc = reader.u8(5)?;
        reader.skip(PROFILE_COMPATIBILITY_AND_CONSTRAINT_BITS)?;
        let level_idc = reader.u8(8)?;
        skip_sub_layer_levels(&mut reader, sub_layers_minus1)?;
        let _sps_seq_parameter_set_id = reader.ue()?;
        let (width, height) = read_picture_size(&mut reader)?;
        let frame_rate = read_frame_rate(&mut reader, sub_layers_minus1).unwrap_or(0.0);
        Some(Self { profile_idc, high_tier, level_idc, width, height, frame_rate })
    }
}

/// The sub-layer part of profile_tier_level(): 7.3.3.
fn skip_sub_layer_levels(reader: &mut BitReader<'_>, sub_layers_minus1: u32) -> Option<()> {
    if sub_layers_minus1 == 0 {
        return Some(());
    }
    let mut bits = 0;
    for layer in 0..8 {
        let (profile_present, level_present) = (reader.flag()?, reader.flag()?);
        if layer < sub_layers_minus1 {
            bits += if profile_present { 88 } else { 0 };
            bits += if level_present { 8 } else { 0 };
        }
    }
    reader.skip(bits)
}

fn read_picture_size(reader: &mut BitReader<'_>) -> Option<(u32, u32)> {
    let chroma_format_idc = reader.ue()?;
    if chroma_format_idc == 3 {
        let _separate_colour_plane = reader.flag()?;
    }
    let (width, height) = (reader.ue()?, reader.ue()?);
    if !reader.flag()? {
        return Some((width, height));
    }
    let unit_x = if matches!(chroma_format_idc, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma_format_idc == 1 { 2 } else { 1 };
    let (left, right) = (reader.ue()?, reader.ue()?);
    let (top, bottom) = (reader.ue()?, reader.ue()?);
    let crop_x = left.checked_add(right)?.checked_mul(unit_x)?;
    let crop_y = top.checked_add(bottom)?.checked_mul(unit_y)?;
    Some((width.checked_sub(crop_x)?, height.checked_sub(crop_y)?))
}

/// Reads on from the bit depths to the timing fields of the video usability information.
fn read_frame_rate(reader: &mut BitReader<'_>, sub_layers_minus1: u32) -> Option<f64> {
    reader.skip_golomb(2)?; // bit depths minus8
    let poc_lsb_bits = reader.ue()?.checked_add(4).filter(|&bits| bits <= 16)?;
    let layers = if reader.flag()? { sub_layers_minus1 + 1 } else { 1 };
    reader.skip_golomb(3 * layers)?; // sub layer ordering
    reader.skip_golomb(6)?; // block sizes and depths
    if reader.flag()? && reader.flag()? {
        skip_scaling_lists(reader)?;
    }
    let _amp_and_sao = reader.bits(2)?;
    if reader.flag()? {
        let _pcm_bit_depths = reader.bits(8)?;
        reader.skip_golomb(2)?;
        let _pcm_loop_filter_disabled = reader.flag()?;
    }
    let _short_term_ref_pic_sets = read_short_term_ref_pic_sets(reader)?;
    if reader.flag()? {
        let pictures = reader.ue().filter(|&pictures| pictures <= 32)?;
        reader.skip((pictures * (poc_lsb_bits + 1)) as usize)?;
    }
    let _temporal_mvp_and_intra_smoothing = reader.bits(2)?;
    if !reader.flag()? {
        return None;
    }
    read_vui_timing(reader)
}

/// vui_parameters() up to vui_time_scale: E.2.1.
fn read_vui_timing(reader: &mut BitReader<'_>) -> Option<f64> {
    skip_vui_up_to_chroma_location(reader)?;
    let _neutral_chroma_field_seq_and_frame_field_info = reader.bits(3)?;
    if reader.flag()? {
        reader.skip_golomb(4)?; // default display window
    }
    if !reader.flag()? {
        return None;
    }
    let num_units_in_tick = reader.bits(32)?;
    let time_scale = reader.bits(32)?;
    (num_units_in_tick > 0).then(|| f64::from(time_scale) / f64::from(num_units_in_tick))
}

/// scaling_list_data(): 7.3.4.
fn skip_scaling_lists(reader: &mut BitReader<'_>) -> Option<()> {
    for size_id in 0..4 {
        for _matrix in 0..(if size_id == 3 { 2 } else { 6 }) {
            if !reader.flag()? {
                let _pred_matrix_id_delta = reader.ue()?;
                continue;
            }
            let coefficients = 64.min(1 << (4 + 2 * size_id));
            let dc = if size_id > 1 { 1 } else { 0 };
            reader.skip_golomb(dc + coefficients)?;
        }
    }
    Some(())
}

/// Every st_ref_pic_set() of the parameter set: 7.3.7. A predicted set's size depends on the
/// picture distances of the set before it, so those are computed.
fn read_short_term_ref_pic_sets(reader: &mut BitReader<'_>) -> Option<Vec<RefPicSet>> {
    let count = reader.ue().filter(|&count| count <= 64)?;
    let mut sets: Vec<RefPicSet> = Vec::new();
    for _ in 0..count {
        let is_predicted = !sets.is_empty() && reader.flag()?;
        let next = match sets.last().filter(|_| is_predicted) {
            Some(previous) => previous.read_predicted(reader)?,
            None => RefPicSet::read_explicit(reader)?,
        };
        sets.push(next);
    }
    Some(sets)
}

/// Picture order count distances of a short-term reference picture set, nearest first (7.4.8).
#[derive(Clone, Debug, Default)]
struct RefPicSet {
    /// DeltaPocS0: below 0.
    before: Vec<i32>,
    /// DeltaPocS1: above 0.
    after: Vec<i32>,
}

impl RefPicSet {
    fn read_explicit(reader: &mut BitReader<'_>) -> Option<Self> {
        let before_count = reader.ue().filter(|&count| count <= REF_PICS_MAX)?;
        let after_count = reader.ue().filter(|&count| count <= REF_PICS_MAX)?;
        let mut read = |count: u32, sign: i32| {
            let mut delta_poc = 0;
            let mut read_next = || {
                let distance = reader.ue().filter(|&minus1| minus1 < 1 << 15)? as i32 + 1;
                let _used_by_curr_pic = reader.flag()?;
                delta_poc += sign * distance;
                Some(delta_poc)
            };
            (0..count).map(|_| read_next()).collect::<Option<Vec<_>>>()
        };
        Some(Self { before: read(before_count, -1)?, after: read(after_count, 1)? })
    }

    /// A set coded as a change of this one: equations 7-61 and 7-62.
    fn read_predicted(&self, reader: &mut BitReader<'_>) -> Option<Self> {
        let is_negative = reader.flag()?;
        let distance = reader.ue().filter(|&minus1| minus1 < 1 << 15)? as i32 + 1;
        let delta_rps = if is_negative { -distance } else { distance };
        let candidates = self.before.len() + self.after.len() + 1;
        let mut use_delta = Vec::with_capacity(candidates);
        for _ in 0..candidates {
            let used_by_curr_pic = reader.flag()?;
            use_delta.push(used_by_curr_pic || reader.flag()?);
        }
        // Every distance of the old set, moved, with the flag that says whether it stays.
        let moved = |pocs: &[i32], first_flag: usize| -> Vec<(i32, bool)> {
            let flags = use_delta.iter().skip(first_flag);
            pocs.iter().zip(flags).map(|(poc, &used)| (poc + delta_rps, used)).collect()
        };
        let before = moved(&self.before, 0);
        let after = moved(&self.after, self.before.len());
        let itself = [(delta_rps, use_delta.last().copied().unwrap_or(false))];
        let kept = |nearest: &[(i32, bool)], farther: &[(i32, bool)], sign: i32| -> Vec<i32> {
            let all = nearest.iter().rev().chain(&itself).chain(farther);
            all.filter(|(poc, used)| *used && poc.signum() == sign).map(|(poc, _)| *poc).collect()
        };
        let next = Self { before: kept(&after, &before, -1), after: kept(&before, &after, 1) };
        let fits = next.before.len() + next.after.len() <= REF_PICS_MAX as usize;
        fits.then_some(next)
    }
}

/// Reads the parameters from a configuration record; without a readable parameter set, what the
/// record itself says.
pub fn from_config(record: &[u8]) -> Option<TrackInfo> {
    let record = ConfigurationRecord::parse(record)?;
    let mut info = TrackInfo {
        codec: CodecId::H265,
        profile: profile_name(record.profile_idc),
        level: level_name(record.level_idc),
        frame_rate: record.frame_rate,
        ..TrackInfo::default()
    };
    if let Some(sps) = record.sps.first().and_then(|sps| Sps::parse(sps)) {
        info.profile = profile_name(sps.profile_idc);
        info.level = level_name(sps.level_idc);
        (info.width, info.height) = (sps.width, sps.height);
        if sps.frame_rate > 0.0 {
            info.frame_rate = sps.frame_rate;
        }
    }
    Some(info)
}

/// Content of `hvcC` in MP4 for a sample entry `hvc1`, the only one that Apple plays: the record,
/// with its parameter sets said to be complete, which encoders that write no MP4 leave open.
pub fn mp4_config(record: &[u8]) -> Option<Vec<u8>> {
    let parsed = ConfigurationRecord::parse(record)?;
    if parsed.vps.is_empty() || parsed.sps.is_empty() || parsed.pps.is_empty() {
        return None;
    }
    let (fixed, mut rest) = record.split_first_chunk::<23>()?;
    let &[_, after_version @ .., array_count] = fixed;
    let mut content = [&[1], &after_version[..], &[array_count]].concat();
    for _ in 0..array_count {
        let (&[nal_type, count_high, count_low], units) = rest.split_first_chunk()?;
        content.extend_from_slice(&[nal_type | ARRAY_COMPLETENESS, count_high, count_low]);
        rest = units;
        for _ in 0..u16::from_be_bytes([count_high, count_low]) {
            let size = 2 + usize::from(u16::from_be_bytes(*rest.first_chunk()?));
            let (unit, units) = rest.split_at_checked(size)?;
            content.extend_from_slice(unit);
            rest = units;
        }
    }
    Some(content)
}

/// Name by RFC 6381 (ISO/IEC 14496-15 Annex E.3): profile space and profile, compatibility flags
/// from the lowest, tier and level, constraint bytes up to the last that is not zero.
pub fn rfc6381(record: &[u8]) -> Option<String> {
    let ConfigurationRecord { profile_idc, high_tier, level_idc, .. } =
        ConfigurationRecord::parse(record)?;
    let &[_, profile, c0, c1, c2, c3, constraints @ ..] = record.first_chunk::<12>()?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
    let tier = if high_tier { 'H' } else { 'L' };
    let mut name = format!("hvc1.{space}{profile_idc}.{compatibility:X}.{tier}{level_idc}");
    let told = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in constraints.iter().take(told) {
        name.push_str(&format!(".{byte:X}"));
    }
    Some(name)
}

/// Annex A.3, G.11, H.11 and I.11.
fn profile_name(profile_idc: u8) -> String {
    let name = match profile_idc {
        1 => "Main",
        2 => "Main 10",
        3 => "Main Still Picture",
        4 => "Rext",
        5 => "High Throughput",
        6 => "Multiview Main",
        7 => "Scalable Main",
        8 => "3D Main",
        9 => "Screen-Extended",
        10 => "Scalable Rext",
        11 => "High Throughput Screen-Extended",
        _ => return format!("{profile_idc}"),
    };
    name.to_owned()
}

fn level_name(level_idc: u8) -> String {
    match (level_idc / 30, level_idc % 30 / 3) {
        (major, 0) => format!("{major}"),
        (major, minor) => format!("{major}.{minor}"),
    }
}

/// No further parameter sets of the type stand in the frames.
const ARRAY_COMPLETENESS: u8 = 0x80;
const NAL_TYPE_VPS: u8 = 32;
const NAL_TYPE_SPS: u8 = 33;
const NAL_TYPE_PPS: u8 = 34;

/// general_profile_compatibility_flag (32) and the constraint flags (48): 7.3.3.
const PROFILE_COMPATIBILITY_AND_CONSTRAINT_BITS: usize = 32 + 48;

/// A decoded picture buffer holds 16 pictures (A.4.2).
const REF_PICS_MAX: u32 = 16;

#[cfg(test)]
mod tests;
