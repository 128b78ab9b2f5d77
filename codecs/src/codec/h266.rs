//! H.266: the front of the configuration record (ISO/IEC 14496-15 11.2.4.2), which has all that is
//! wanted here.

use super::CodecId;
use super::bits::BitReader;
use crate::access_unit::TrackInfo;

/// Reads the parameters from a VvcDecoderConfigurationRecord; `None` when it is cut. A record
/// without the profile, tier and level part tells the codec only.
pub fn from_config(record: &[u8]) -> Option<TrackInfo> {
    let mut reader = BitReader::new(record);
    let _reserved = reader.bits(5)?;
    let _length_size_minus1 = reader.bits(2)?;
    let mut info = TrackInfo { codec: CodecId::H266, ..TrackInfo::default() };
    if !reader.flag()? {
        return Some(info);
    }
    let _output_layer_set = reader.bits(9)?;
    let sub_layers = reader.bits(3)?;
    let _constant_frame_rate_and_chroma_format = reader.bits(4)?;
    let _bit_depth_and_reserved = reader.bits(8)?;
    let (profile_idc, level_idc) = read_profile_tier_level(&mut reader, sub_layers)?;
    info.profile = profile_name(profile_idc);
    info.level = level_name(level_idc);
    info.width = reader.bits(16)?;
    info.height = reader.bits(16)?;
    info.frame_rate = f64::from(reader.bits(16)?) / 256.0;
    Some(info)
}

/// VvcPTLRecord.
fn read_profile_tier_level(reader: &mut BitReader<'_>, sub_layers: u32) -> Option<(u8, u8)> {
    let _reserved = reader.bits(2)?;
    let constraint_info_bytes = reader.bits(6)? as usize;
    let profile_idc = reader.u8(7)?;
    let _tier = reader.flag()?;
    let level_idc = reader.u8(8)?;
    // The two flags in front are part of these bytes.
    reader.skip(constraint_info_bytes * 8)?;
    if sub_layers > 1 {
        // One flag per sub-layer below the highest, filled up to a byte.
        let level_present = reader.bits(8)?;
        reader.skip(level_present.count_ones() as usize * 8)?;
    }
    let sub_profiles = reader.bits(8)? as usize;
    reader.skip(sub_profiles * 32)?;
    Some((profile_idc, level_idc))
}

/// ISO/IEC 23090-3 Annex A.3.
fn profile_name(profile_idc: u8) -> String {
    let name = match profile_idc {
        1 => "Main 10",
        2 => "Main 12",
        10 => "Main 12 Intra",
        17 => "Multilayer Main 10",
        33 => "Main 10 4:4:4",
        34 => "Main 12 4:4:4",
        36 => "Main 16 4:4:4",
        65 => "Main 10 Still Picture",
        97 => "Main 10 4:4:4 Still Picture",
        _ => return format!("{profile_idc}"),
    };
    name.to_owned()
}

/// Level major.minor is 16 * major + 3 * minor (A.4).
fn level_name(level_idc: u8) -> String {
    match (level_idc / 16, level_idc % 16 / 3) {
        (major, 0) => format!("{major}"),
        (major, minor) => format!("{major}.{minor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by hand from ISO/IEC 14496-15 11.2.4.2: 4-byte lengths, 1 sub-layer, 4:2:0, 10 bit,
    // one byte of constraint information, Main 10, Main tier, level 4.1 (67), 1920x1080, 50 fps, no
    // arrays.
    const RECORD: &[u8] = &[
        0xFF,
        0x00,
        0x11,
        0x40 | 0x1F,
        0x01,
        0x02,
        67,
        0x80,
        0x00,
        0x07,
        0x80,
        0x04,
        0x38,
        0x32,
        0x00,
        0x00,
    ];

    #[test]
    fn the_record_tells_profile_level_size_and_rate() {
        let info = from_config(RECORD).expect("readable");
        assert_eq!((info.profile.as_str(), info.level.as_str()), ("Main 10", "4.1"));
        assert_eq!((info.width, info.height, info.frame_rate), (1920, 1080, 50.0));
    }

    #[test]
    fn a_cut_record_is_refused_and_one_without_profile_tells_the_codec() {
        for end in 0..RECORD.len() - 1 {
            assert_eq!(from_config(&RECORD[..end]), None, "cut at {end}");
        }
        let bare = from_config(&[0xFE, 0x00]).expect("readable");
        assert_eq!(bare, TrackInfo { codec: CodecId::H266, ..TrackInfo::default() });
    }
}
