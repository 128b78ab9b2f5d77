//! VP9: the configuration record ("VP Codec ISO Media File Format Binding") and the uncompressed
//! frame header (VP9 bitstream specification 6.2).

use super::CodecId;
use super::bits::BitReader;
use crate::access_unit::TrackInfo;

/// Reads profile and level from vpcC. Some senders keep the version and flags of the MP4 box in
/// front of the record: they are passed over.
pub fn from_config(record: &[u8]) -> Option<TrackInfo> {
    let &[profile, level, ..] = without_box_header(record)?;
    Some(TrackInfo {
        codec: CodecId::Vp9,
        profile: format!("{profile}"),
        level: level_name(level),
        ..TrackInfo::default()
    })
}

/// Content of `vpcC` in MP4, with version and flags in front.
pub fn mp4_config(record: &[u8]) -> Option<Vec<u8>> {
    let &[fixed @ .., _, _] = without_box_header(record)?;
    // VP9 has no initialisation data.
    Some([&[1, 0, 0, 0], &fixed[..], &[0, 0]].concat())
}

/// Name by RFC 6381 ("VP Codec ISO Media File Format Binding", codecs parameter string), with the
/// colours only where they are not BT.709 (or unspecified) of limited range and 4:2:0.
pub fn rfc6381(record: &[u8]) -> Option<String> {
    let &[profile, level, depth, primaries, transfer, matrix, ..] = without_box_header(record)?;
    // A record that does not know its level asks for the lowest: a player that has not enough for
    // the pictures says so when it sees them, one that is asked for too much never begins.
    let level = if level == 0 { LEVEL_1 } else { level };
    let (bits, chroma, full_range) = (depth >> 4, depth >> 1 & 0x07, depth & 0x01);
    let name = format!("vp09.{profile:02}.{level:02}.{bits:02}");
    match (chroma, primaries, transfer, matrix, full_range) {
        (0 | 1, 1 | 2, 1 | 2, 1 | 2, 0) => Some(name),
        _ => Some(format!(
            "{name}.{chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}.{full_range:02}"
        )),
    }
}

/// Some senders keep the version and flags of the MP4 box in front of the record.
fn without_box_header(record: &[u8]) -> Option<&[u8; RECORD_SIZE]> {
    match record {
        [1, 0, 0, 0, rest @ ..] if rest.len() >= RECORD_SIZE => rest,
        _ => record,
    }
    .first_chunk()
}

/// Reads profile and picture size from a key frame; `None` for other frames.
pub fn from_frame(frame: &[u8]) -> Option<TrackInfo> {
    let mut reader = BitReader::new(frame);
    if reader.bits(2)? != FRAME_MARKER {
        return None;
    }
    let profile = u8::from(reader.flag()?) | u8::from(reader.flag()?) << 1;
    if profile == 3 {
        let _reserved = reader.flag()?;
    }
    let show_existing_frame = reader.flag()?;
    let is_key_frame = !show_existing_frame && !reader.flag()?;
    if !is_key_frame {
        return None;
    }
    let _show_frame_and_error_resilient = reader.bits(2)?;
    if reader.bits(24)? != SYNC_CODE {
        return None;
    }
    skip_color_config(&mut reader, profile)?;
    Some(TrackInfo {
        codec: CodecId::Vp9,
        profile: format!("{profile}"),
        width: reader.bits(16)? + 1,
        height: reader.bits(16)? + 1,
        ..TrackInfo::default()
    })
}

/// color_config(): 6.2.2.
fn skip_color_config(reader: &mut BitReader<'_>, profile: u8) -> Option<()> {
    const CS_RGB: u32 = 7;
    if profile >= 2 {
        let _ten_or_twelve_bit = reader.flag()?;
    }
    let has_subsampling = profile & 1 == 1;
    if reader.bits(3)? != CS_RGB {
        let _color_range = reader.flag()?;
        reader.skip(if has_subsampling { 3 } else { 0 })
    } else {
        reader.skip(if has_subsampling { 1 } else { 0 })
    }
}

/// The record writes level 4.1 as 41; 0 is undefined.
fn level_name(level: u8) -> String {
    match (level / 10, level % 10) {
        (0, 0) => String::new(),
        (major, 0) => format!("{major}"),
        (major, minor) => format!("{major}.{minor}"),
    }
}

/// Profile, level, depth and sampling, three colour bytes, two bytes of initialisation data size.
const RECORD_SIZE: usize = 8;
/// 1.0: the lowest level.
const LEVEL_1: u8 = 10;
const FRAME_MARKER: u32 = 2;
const SYNC_CODE: u32 = 0x49_8342;

#[cfg(test)]
mod tests;
