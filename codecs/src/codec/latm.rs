//! AAC in LATM, framed by LOAS: ISO/IEC 14496-3 1.7.
//!
//! ```text
//! | 11 sync 0x2B7 | 13 size | AudioMuxElement: 1 same config | StreamMuxConfig | size | payload |
//! ```
//!
//! Read is what broadcast uses: one program, one layer, frames of any size (frameLengthType 0),
//! one or more frames in an element. Anything else is [`Error::Unsupported`].

use super::aac::AudioSpecificConfig;
use super::bits::BitReader;

/// Bytes of the LOAS header.
pub const HEADER_SIZE: usize = 3;

/// Size of the AudioSyncStream() element at the front of `bytes`, header included; `None` when
/// there is no sync word.
pub fn element_size(bytes: &[u8]) -> Option<usize> {
    let &[b0, b1, b2] = bytes.first_chunk()?;
    let is_sync = b0 == 0x56 && b1 & 0xE0 == 0xE0;
    is_sync.then(|| HEADER_SIZE + usize::from(u16::from_be_bytes([b1 & 0x1F, b2])))
}

/// Why an element could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is cut, or contradicts itself.
    #[error("malformed LATM: {0}")]
    Malformed(&'static str),
    /// Legal, and not read here.
    #[error("unsupported LATM: {0}")]
    Unsupported(&'static str),
    /// It refers to a configuration that has not come yet.
    #[error("LATM without configuration")]
    NoConfig,
}

/// The configuration of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Config {
    /// AudioSpecificConfig, filled up with zero bits to a whole byte.
    bytes: Vec<u8>,
    audio: AudioSpecificConfig,
    /// Frames in each element: 1 to 64.
    frames: usize,
}

/// Reads elements in order: the configuration comes with some of them only.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    config: Option<Config>,
}

impl Reader {
    /// The AudioSpecificConfig that is in force, in whole bytes, and what it says.
    pub fn config(&self) -> Option<(&[u8], AudioSpecificConfig)> {
        self.config.as_ref().map(|config| (config.bytes.as_slice(), config.audio))
    }

    /// Reads one element, without its LOAS header, and hands out its raw AAC frames. They start at
    /// any bit, so they are copied.
    ///
    /// # Errors
    /// See [`Error`]; frames in front of the fault were handed out.
    pub fn read(&mut self, element: &[u8], mut on_frame: impl FnMut(Vec<u8>)) -> Result<(), Error> {
        let mut reader = BitReader::new(element);
        let uses_same_config = reader.flag().ok_or(Error::Malformed("AudioMuxElement"))?;
        if !uses_same_config {
            self.config = None;
            self.config = Some(read_config(element, &mut reader)?);
        }
        let config = self.config.as_ref().ok_or(Error::NoConfig)?;
        for _ in 0..config.frames {
            let size = read_payload_length(&mut reader);
            let size = size.filter(|&size| size * 8 <= reader.bits_left());
            let size = size.ok_or(Error::Malformed("PayloadLengthInfo"))?;
            on_frame(reader.bytes(size).ok_or(Error::Malformed("PayloadMux"))?);
        }
        Ok(())
    }
}

/// PayloadLengthInfo() of one stream: 1.7.3.1.
fn read_payload_length(reader: &mut BitReader<'_>) -> Option<usize> {
    let mut size = 0;
    loop {
        let part = reader.bits(8)? as usize;
        size += part;
        if part < 255 {
            return Some(size);
        }
    }
}

/// StreamMuxConfig(): 1.7.3.1.
fn read_config(element: &[u8], reader: &mut BitReader<'_>) -> Result<Config, Error> {
    const CUT: Error = Error::Malformed("StreamMuxConfig");
    let is_version_1 = reader.flag().ok_or(CUT)?;
    if is_version_1 {
        if reader.flag().ok_or(CUT)? {
            return Err(Error::Unsupported("audioMuxVersionA 1"));
        }
        let _tara_buffer_fullness = read_latm_value(reader).ok_or(CUT)?;
    }
    if !reader.flag().ok_or(CUT)? {
        return Err(Error::Unsupported("streams without the same time framing"));
    }
    let frames = reader.bits(6).ok_or(CUT)? as usize + 1;
    if reader.bits(4).ok_or(CUT)? != 0 || reader.bits(3).ok_or(CUT)? != 0 {
        return Err(Error::Unsupported("several programs or layers"));
    }
    let config_bits =
        if is_version_1 { Some(read_latm_value(reader).ok_or(CUT)? as usize) } else { None };
    let from = reader.position();
    let audio = AudioSpecificConfig::read_exactly(&mut reader.clone());
    let to = match config_bits {
        Some(bits) => from + bits,
        None => end_of_config(reader).ok_or(Error::Unsupported("AudioSpecificConfig"))?,
    };
    let bytes = copy_bits(element, from, to).ok_or(CUT)?;
    reader.skip(to.saturating_sub(reader.position())).ok_or(CUT)?;
    // Read again, by itself, for what is signalled behind the core's configuration.
    let audio = AudioSpecificConfig::parse(&bytes).or(audio);
    let audio = audio.ok_or(Error::Unsupported("AudioSpecificConfig"))?;
    skip_config_tail(reader, is_version_1)?;
    Ok(Config { bytes, audio, frames })
}

/// frameLengthType up to the CRC. Other data stands behind the frames, so its size is not needed.
fn skip_config_tail(reader: &mut BitReader<'_>, is_version_1: bool) -> Result<(), Error> {
    const CUT: Error = Error::Malformed("StreamMuxConfig");
    if reader.bits(3).ok_or(CUT)? != 0 {
        return Err(Error::Unsupported("frames of fixed size"));
    }
    let _latm_buffer_fullness = reader.bits(8).ok_or(CUT)?;
    if reader.flag().ok_or(CUT)? {
        if is_version_1 {
            let _other_data_bits = read_latm_value(reader).ok_or(CUT)?;
        } else {
            while reader.flag().ok_or(CUT)? {
                let _other_data_bits = reader.bits(8).ok_or(CUT)?;
            }
            let _other_data_bits = reader.bits(8).ok_or(CUT)?;
        }
    }
    if reader.flag().ok_or(CUT)? {
        let _crc_check_sum = reader.bits(8).ok_or(CUT)?;
    }
    Ok(())
}

/// Reads over an AudioSpecificConfig whose size is not given, and returns its end in bits.
fn end_of_config(reader: &mut BitReader<'_>) -> Option<usize> {
    AudioSpecificConfig::read_exactly(reader)?;
    Some(reader.position())
}

/// LatmGetValue(): 1.7.3.1.
fn read_latm_value(reader: &mut BitReader<'_>) -> Option<u32> {
    let bytes = reader.bits(2)? + 1;
    reader.bits(8 * bytes)
}

/// The bits from `from` to `to`, filled up with zeros to whole bytes.
fn copy_bits(bytes: &[u8], from: usize, to: usize) -> Option<Vec<u8>> {
    let mut reader = BitReader::new(bytes);
    reader.skip(from)?;
    let count = to.checked_sub(from).filter(|&count| count <= reader.bits_left())?;
    let mut copy = reader.bytes(count / 8)?;
    let rest = count % 8;
    if rest > 0 {
        copy.push(reader.u8(rest as u32)? << (8 - rest));
    }
    Some(copy)
}

#[cfg(test)]
mod tests;
