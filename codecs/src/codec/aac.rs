//! AAC: AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1).

pub mod adts;

use super::bits::BitReader;
use super::{CodecId, esds};
use crate::access_unit::TrackInfo;

/// AudioSpecificConfig.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// audioObjectType of the core coder: 2 is AAC LC.
    pub object_type: u8,
    /// Samples per second of the core coder.
    pub sample_rate_hz: u32,
    /// channelConfiguration; 0 when a program config element tells the channels.
    pub channel_configuration: u8,
    /// Channels of the core coder; 0 when unknown.
    pub channels: u8,
    /// Samples per second after spectral band replication; 0 when that is not signalled.
    pub sbr_sample_rate_hz: u32,
    /// frameLengthFlag: frames have 960 samples (480 in the low delay types), not 1,024 (512).
    pub has_short_frames: bool,
    /// Parametric stereo is signalled: one coded channel becomes two.
    pub parametric_stereo: bool,
}

impl AudioSpecificConfig {
    /// Reads a configuration; `None` when it is cut or has a reserved sampling frequency. SBR and
    /// PS are found in both places where they can be signalled explicitly (1.6.5.1).
    pub fn parse(config: &[u8]) -> Option<Self> {
        let mut reader = BitReader::new(config);
        let (mut parsed, is_hierarchical) = Self::read(&mut reader)?;
        // What is missing from here on only hides details.
        if parsed.read_ga_specific_config(&mut reader).is_some() && !is_hierarchical {
            parsed.read_sync_extension(&mut reader);
        }
        Some(parsed)
    }

    /// Reads a configuration in front of other fields, as LATM has it, where nothing may be missing
    /// and nothing follows that is not announced.
    pub(super) fn read_exactly(reader: &mut BitReader<'_>) -> Option<Self> {
        let (mut parsed, _) = Self::read(reader)?;
        parsed.read_ga_specific_config(reader)?;
        Some(parsed)
    }

    /// Samples of a frame of the core coder.
    pub fn frame_samples(&self) -> u32 {
        match (self.object_type, self.has_short_frames) {
            (OBJECT_LD | OBJECT_ELD, true) => 480,
            (OBJECT_LD | OBJECT_ELD, false) => 512,
            (_, true) => 960,
            (_, false) => adts::FRAME_SAMPLES,
        }
    }

    /// Up to the configuration of the core coder; the second value tells that SBR is signalled in
    /// front of it.
    fn read(reader: &mut BitReader<'_>) -> Option<(Self, bool)> {
        let mut object_type = read_object_type(reader)?;
        let mut parsed = Self {
            sample_rate_hz: read_sample_rate(reader)?,
            channel_configuration: reader.u8(4)?,
            ..Self::default()
        };
        parsed.channels = channels_of(parsed.channel_configuration);
        let is_hierarchical = matches!(object_type, OBJECT_SBR | OBJECT_PS);
        if is_hierarchical {
            parsed.parametric_stereo = object_type == OBJECT_PS;
            parsed.sbr_sample_rate_hz = read_sample_rate(reader)?;
            object_type = read_object_type(reader)?;
            if object_type == OBJECT_ER_BSAC {
                let _extension_channel_configuration = reader.bits(4)?;
            }
        }
        parsed.object_type = object_type;
        Some((parsed, is_hierarchical))
    }

    /// GASpecificConfig: 4.4.1. `None` where the object type has another one or it is cut.
    fn read_ga_specific_config(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        if !matches!(self.object_type, 1..=4 | 6 | 7 | 17 | 19..=23) {
            return None;
        }
        self.has_short_frames = reader.flag()?;
        if reader.flag()? {
            let _core_coder_delay = reader.bits(14)?;
        }
        let has_extension = reader.flag()?;
        if self.channel_configuration == 0 {
            self.channels = read_program_config_channels(reader)?;
        }
        if matches!(self.object_type, 6 | 20) {
            let _layer = reader.bits(3)?;
        }
        if has_extension {
            match self.object_type {
                OBJECT_ER_BSAC => reader.skip(16)?,
                17 | 19 | 20 | 23 => reader.skip(3)?,
                _ => {}
            }
            let _extension_flag_3 = reader.flag()?;
        }
        Some(())
    }

    /// The backward compatible signalling of SBR and PS behind everything else.
    fn read_sync_extension(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        if reader.bits_left() < 16 || reader.bits(11)? != SYNC_EXTENSION_SBR {
            return None;
        }
        if read_object_type(reader)? != OBJECT_SBR || !reader.flag()? {
            return None;
        }
        self.sbr_sample_rate_hz = read_sample_rate(reader)?;
        if reader.bits_left() >= 12 && reader.bits(11)? == SYNC_EXTENSION_PS {
            self.parametric_stereo = reader.flag()?;
        }
        Some(())
    }
}

/// GetAudioObjectType(): 5 bits, or 6 more when they are all ones.
fn read_object_type(reader: &mut BitReader<'_>) -> Option<u8> {
    match reader.u8(5)? {
        31 => Some(32 + reader.u8(6)?),
        object_type => Some(object_type),
    }
}

/// An index into the table, or 24 bits of hertz behind the index 15.
fn read_sample_rate(reader: &mut BitReader<'_>) -> Option<u32> {
    match reader.bits(4)? {
        15 => reader.bits(24),
        index => SAMPLE_RATES_HZ.get(index as usize).copied(),
    }
}

/// program_config_element(): 4.5.1.1, as far as it counts channels.
fn read_program_config_channels(reader: &mut BitReader<'_>) -> Option<u8> {
    let _element_instance_tag_object_type_and_rate = reader.bits(10)?;
    let (front, side, back) = (reader.bits(4)?, reader.bits(4)?, reader.bits(4)?);
    let low_frequency = reader.bits(2)?;
    let (associated_data, coupling) = (reader.bits(3)?, reader.bits(4)?);
    skip_if_present(reader, 4)?; // mono mixdown
    skip_if_present(reader, 4)?; // stereo mixdown
    skip_if_present(reader, 3)?; // matrix mixdown
    let mut channels = low_frequency as u8;
    for _ in 0..front + side + back {
        let is_pair = reader.flag()?;
        let _element_tag = reader.bits(4)?;
        channels += if is_pair { 2 } else { 1 };
    }
    let (low_frequency, associated_data) = (low_frequency as usize, associated_data as usize);
    reader.skip(4 * low_frequency + 4 * associated_data + 5 * coupling as usize)?;
    reader.align();
    let comment_bytes = reader.bits(8)? as usize;
    reader.skip(comment_bytes * 8)?;
    Some(channels)
}

fn skip_if_present(reader: &mut BitReader<'_>, bits: usize) -> Option<()> {
    if reader.flag()? { reader.skip(bits) } else { Some(()) }
}

/// Table 1.19.
fn channels_of(channel_configuration: u8) -> u8 {
    match channel_configuration {
        1..=6 => channel_configuration,
        7 | 12 | 14 => 8,
        11 => 7,
        13 => 24,
        _ => 0,
    }
}

/// Reads the parameters from an AudioSpecificConfig: rate and channels as a decoder puts them out.
pub fn from_config(config: &[u8]) -> Option<TrackInfo> {
    let config = AudioSpecificConfig::parse(config)?;
    let has_sbr = config.sbr_sample_rate_hz != 0;
    Some(TrackInfo {
        codec: CodecId::Aac,
        profile: profile_name(config.object_type, has_sbr, config.parametric_stereo),
        sample_rate_hz: if has_sbr { config.sbr_sample_rate_hz } else { config.sample_rate_hz },
        channels: if config.parametric_stereo { 2 } else { config.channels },
        ..TrackInfo::default()
    })
}

/// Content of `esds` in MP4.
pub fn mp4_config(config: &[u8]) -> Option<Vec<u8>> {
    const MPEG_4_AUDIO: u8 = 0x40;
    AudioSpecificConfig::parse(config)?;
    esds::sound(MPEG_4_AUDIO, config)
}

/// Name by RFC 6381 3.3: the audio object type, that of SBR or PS where they are signalled in
/// either place.
pub fn rfc6381(config: &[u8]) -> Option<String> {
    let config = AudioSpecificConfig::parse(config)?;
    let object_type = match (config.parametric_stereo, config.sbr_sample_rate_hz) {
        (true, _) => OBJECT_PS,
        (false, 0) => config.object_type,
        (false, _) => OBJECT_SBR,
    };
    Some(format!("mp4a.40.{object_type}"))
}

/// Table 1.17, by the names in common use.
fn profile_name(object_type: u8, has_sbr: bool, has_parametric_stereo: bool) -> String {
    let name = match object_type {
        _ if has_parametric_stereo => "HEv2",
        2 if has_sbr => "HE",
        1 => "Main",
        2 => "LC",
        3 => "SSR",
        4 => "LTP",
        6 => "Scalable",
        17 => "ER LC",
        23 => "LD",
        39 => "ELD",
        42 => "xHE",
        _ => return format!("{object_type}"),
    };
    name.to_owned()
}

const OBJECT_SBR: u8 = 5;
const OBJECT_PS: u8 = 29;
const OBJECT_ER_BSAC: u8 = 22;
const OBJECT_LD: u8 = 23;
const OBJECT_ELD: u8 = 39;
const SYNC_EXTENSION_SBR: u32 = 0x2B7;
const SYNC_EXTENSION_PS: u32 = 0x548;

/// Table 1.18; 13 and 14 are reserved.
const SAMPLE_RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

#[cfg(test)]
mod tests;
