//! AV1: the configuration record (AV1 in ISO-BMFF 2.3.3) and the sequence header OBU (AV1 5.5).

pub mod unit;

use super::CodecId;
use super::bits::BitReader;
use crate::access_unit::TrackInfo;

/// Reads the parameters from av1C: profile and level from its fixed part, the rest from the
/// sequence header among its OBUs, where there is one.
pub fn from_config(record: &[u8]) -> Option<TrackInfo> {
    let (&[marker_and_version, profile_and_level, _, _], obus) = record.split_first_chunk::<4>()?;
    if marker_and_version != 0x81 {
        return None;
    }
    let mut info = TrackInfo {
        codec: CodecId::Av1,
        profile: profile_name(profile_and_level >> 5),
        level: level_name(profile_and_level & 0x1F),
        ..TrackInfo::default()
    };
    if let Some(from_obus) = from_frame(obus) {
        info.update(from_obus);
    }
    Some(info)
}

/// Content of `av1C` in MP4: the record as it is.
pub fn mp4_config(record: &[u8]) -> Option<Vec<u8>> {
    from_config(record).map(|_| record.to_vec())
}

/// Name by RFC 6381 (AV1 in ISO-BMFF 5), without the colours, which a decoder finds in the stream.
///
/// ```text
/// | 1 marker | 7 version | 3 profile | 5 level | 1 tier | 1 high bit depth | 1 twelve bit | ..
/// ```
pub fn rfc6381(record: &[u8]) -> Option<String> {
    from_config(record)?;
    let &[_, profile_and_level, fields, _] = record.first_chunk()?;
    let (profile, level) = (profile_and_level >> 5, profile_and_level & 0x1F);
    let tier = if fields & 0x80 == 0 { 'M' } else { 'H' };
    let bits = match fields >> 5 & 0x03 {
        0b11 => 12,
        0b10 => 10,
        _ => 8,
    };
    Some(format!("av01.{profile}.{level:02}{tier}.{bits:02}"))
}

/// Reads the parameters from the sequence header in a temporal unit; `None` where there is none.
pub fn from_frame(obus: &[u8]) -> Option<TrackInfo> {
    let header = SequenceHeader::parse(sequence_header_obu(obus)?)?;
    Some(TrackInfo {
        codec: CodecId::Av1,
        profile: profile_name(header.profile),
        level: level_name(header.level_index),
        width: header.width,
        height: header.height,
        frame_rate: header.frame_rate,
        ..TrackInfo::default()
    })
}

/// The payload of the first sequence header in a row of OBUs with sizes (5.3).
fn sequence_header_obu(mut obus: &[u8]) -> Option<&[u8]> {
    loop {
        let (&header, rest) = obus.split_first()?;
        let has_extension = header & 0x04 != 0;
        let has_size = header & 0x02 != 0;
        let rest = if has_extension { rest.get(1..)? } else { rest };
        let (payload, rest) = if has_size {
            let (size, rest) = leb128(rest)?;
            rest.split_at_checked(size)?
        } else {
            (rest, &[][..])
        };
        if header >> 3 & 0x0F == OBU_SEQUENCE_HEADER {
            return Some(payload);
        }
        obus = rest;
    }
}

/// leb128(): 4.10.5.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

#[derive(Debug)]
struct SequenceHeader {
    profile: u8,
    level_index: u8,
    width: u32,
    height: u32,
    frame_rate: f64,
}

impl SequenceHeader {
    /// sequence_header_obu() up to the frame size: 5.5.1.
    fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = BitReader::new(payload);
        let profile = reader.u8(3)?;
        let _still_picture = reader.flag()?;
        let reduced = reader.flag()?;
        let (level_index, frame_rate) = if reduced {
            (reader.u8(5)?, 0.0)
        } else {
            read_timing_and_operating_points(&mut reader)?
        };
        let width_bits = reader.bits(4)? + 1;
        let height_bits = reader.bits(4)? + 1;
        let width = reader.bits(width_bits)? + 1;
        let height = reader.bits(height_bits)? + 1;
        Some(Self { profile, level_index, width, height, frame_rate })
    }
}

/// The level of the first operating point and the frame rate (0.0 when there is no timing).
fn read_timing_and_operating_points(reader: &mut BitReader<'_>) -> Option<(u8, f64)> {
    let mut frame_rate = 0.0;
    let mut buffer_delay_bits = None;
    if reader.flag()? {
        frame_rate = read_timing_info(reader)?;
        if reader.flag()? {
            buffer_delay_bits = Some(reader.bits(5)? as usize + 1);
            let _num_units_in_decoding_tick = reader.bits(32)?;
            let _removal_and_presentation_time_lengths = reader.bits(10)?;
        }
    }
    let initial_display_delay_present = reader.flag()?;
    let operating_points = reader.bits(5)? + 1;
    let mut first_level = None;
    for _ in 0..operating_points {
        let _operating_point_idc = reader.bits(12)?;
        let level_index = reader.u8(5)?;
        first_level.get_or_insert(level_index);
        if level_index > 7 {
            let _tier = reader.flag()?;
        }
        if let Some(bits) = buffer_delay_bits
            && reader.flag()?
        {
            reader.skip(2 * bits + 1)?; // delays and low delay mode
        }
        if initial_display_delay_present && reader.flag()? {
            let _initial_display_delay_minus1 = reader.bits(4)?;
        }
    }
    Some((first_level?, frame_rate))
}

/// timing_info(): 5.5.3. A rate can be told only when pictures are equally spaced.
fn read_timing_info(reader: &mut BitReader<'_>) -> Option<f64> {
    let num_units_in_display_tick = reader.bits(32)?;
    let time_scale = reader.bits(32)?;
    if !reader.flag()? {
        return Some(0.0);
    }
    // uvlc() is ue(v) (4.10.3).
    let ticks_per_picture = f64::from(reader.ue()?) + 1.0;
    let ticks = f64::from(num_units_in_display_tick) * ticks_per_picture;
    Some(if ticks > 0.0 { f64::from(time_scale) / ticks } else { 0.0 })
}

/// 6.4.1.
fn profile_name(profile: u8) -> String {
    match profile {
        0 => "Main".to_owned(),
        1 => "High".to_owned(),
        2 => "Professional".to_owned(),
        _ => format!("{profile}"),
    }
}

/// Annex A.3: index 0 is level 2.0, four minor levels to each major one; 31 is "no limits".
fn level_name(level_index: u8) -> String {
    match level_index {
        31 => String::new(),
        _ => format!("{}.{}", 2 + (level_index >> 2), level_index & 3),
    }
}

const OBU_SEQUENCE_HEADER: u8 = 1;

#[cfg(test)]
mod tests;
