//! AAC frames in ADTS: ISO/IEC 14496-3 1.A.2.2, ISO/IEC 13818-7 6.2.
//!
//! ```text
//! | 12 sync | 1 version | 2 layer | 1 no CRC | 2 profile | 4 rate | 1 | 3 channels | 4 ..
//! .. | 13 frame size | 11 fullness | 2 raw blocks - 1 | 16 CRC, where there is one |
//! ```

use super::SAMPLE_RATES_HZ;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Audio object type, 1 to 4: 2 is AAC LC.
    pub object_type: u8,
    /// sampling_frequency_index, 0 to 12.
    pub sample_rate_index: u8,
    /// channel_configuration; 0 when a program config element in the frame tells the channels.
    pub channel_configuration: u8,
    /// Bytes of the header: 7, or 9 with a CRC.
    pub header_size: usize,
    /// Bytes of the frame, header included.
    pub frame_size: usize,
    /// AAC frames in it: 1 to 4. More than one cannot be taken apart without decoding.
    pub raw_blocks: u8,
}

impl Header {
    /// Bytes that [`parse`](Self::parse) needs.
    pub const SIZE: usize = 7;

    /// Reads the header at the front of a frame; `None` when it is not one.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let &[b0, b1, b2, b3, b4, b5, b6] = frame.first_chunk()?;
        if b0 != 0xFF || b1 & 0xF6 != 0xF0 {
            return None;
        }
        let sample_rate_index = b2 >> 2 & 0x0F;
        SAMPLE_RATES_HZ.get(usize::from(sample_rate_index))?;
        let header_size = if b1 & 1 == 1 { 7 } else { 9 };
        let frame_size = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        (frame_size > header_size).then_some(Self {
            object_type: (b2 >> 6) + 1,
            sample_rate_index,
            channel_configuration: (b2 & 1) << 2 | b3 >> 6,
            header_size,
            frame_size,
            raw_blocks: (b6 & 3) + 1,
        })
    }

    /// Samples per second of the core coder.
    pub fn sample_rate_hz(&self) -> u32 {
        SAMPLE_RATES_HZ.get(usize::from(self.sample_rate_index)).copied().unwrap_or(0)
    }

    /// AudioSpecificConfig of the frames: 1.6.2.1 with a GASpecificConfig of zeros.
    pub fn audio_specific_config(&self) -> [u8; 2] {
        let bits = u16::from(self.object_type) << 11
            | u16::from(self.sample_rate_index) << 7
            | u16::from(self.channel_configuration) << 3;
        bits.to_be_bytes()
    }
}

/// Samples of an AAC frame: 4.5.4.
pub const FRAME_SAMPLES: u32 = 1024;
