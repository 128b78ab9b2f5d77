//! Whether decoding can start at a picture, by what stands in front of its first slice.

use crate::codec::annexb::find_start_code;
use crate::codec::{h264, h265};
use crate::container::mpegts::psi::EsFormat;

/// What is read of a coding to find its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    H264,
    H265,
    /// MPEG-1 and MPEG-2 video.
    Mpeg12,
    /// Anything else: only random_access_indicator tells.
    #[default]
    Unread,
}

impl Coding {
    pub(super) fn of(format: EsFormat) -> Self {
        match format {
            EsFormat::H264 => Self::H264,
            EsFormat::H265 => Self::H265,
            EsFormat::Mpeg1Video | EsFormat::Mpeg2Video => Self::Mpeg12,
            _ => Self::Unread,
        }
    }

    /// What the byte behind a start code says; `None` when it says nothing.
    fn entry(self, code: u8) -> Option<bool> {
        match self {
            Self::H264 if code & 0x80 == 0 => match code & 0x1F {
                h264::nal::TYPE_SPS | h264::nal::TYPE_IDR => Some(true),
                h264::nal::TYPE_SLICE | h264::nal::TYPE_PARTITION_A => Some(false),
                _ => None,
            },
            Self::H265 if code & 0x80 == 0 => match code >> 1 & 0x3F {
                h265::nal::TYPE_IRAP_FIRST..=h265::nal::TYPE_IRAP_LAST
                | h265::nal::TYPE_VPS
                | h265::nal::TYPE_SPS => Some(true),
                0..=h265::nal::TYPE_VCL_LAST => Some(false),
                _ => None,
            },
            Self::Mpeg12 => match code {
                SEQUENCE_HEADER => Some(true),
                // A picture, its slices, or a group of pictures without sequence header.
                0x00..=0xAF | GROUP_OF_PICTURES => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Reads the front of one PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    coding: Coding,
    packets: u8,
    /// Bytes of the PES header that have not come.
    header_bytes: usize,
    /// The last bytes before the next packet, the newest last; the front is not zero when fewer
    /// came.
    tail: [u8; 3],
}

impl Search {
    pub(super) fn new(coding: Coding) -> Self {
        Self { coding, packets: 0, header_bytes: 0, tail: [0xFF; 3] }
    }

    /// Takes the payload of the PES packet's next packet. Tells whether it is an entry; `None` to
    /// go on.
    pub(super) fn push(&mut self, payload: &[u8]) -> Option<bool> {
        if self.coding == Coding::Unread || self.packets >= PACKETS_MAX {
            return Some(false);
        }
        if self.packets == 0 {
            let &[0, 0, 1, _, _, _, flags, _, header_size, ..] = payload else {
                return Some(false);
            };
            if flags & 0x30 != 0 {
                return Some(false); // scrambled at PES level: the start codes are not to be seen
            }
            self.header_bytes = PES_HEADER_BYTES + usize::from(header_size);
        }
        self.packets += 1;
        let header_bytes = self.header_bytes.min(payload.len());
        self.header_bytes -= header_bytes;
        self.search(payload.get(header_bytes..).unwrap_or_default())
    }

    fn search(&mut self, bytes: &[u8]) -> Option<bool> {
        // Start codes over the border: three bytes of each side.
        let mut border = [0xFF; 6];
        let head = bytes.get(..bytes.len().min(3)).unwrap_or_default();
        let size = self.tail.len() + head.len();
        for (place, byte) in border.iter_mut().zip(self.tail.iter().chain(head)) {
            *place = *byte;
        }
        let border = border.get(..size).unwrap_or_default();
        let found = self.read_codes(border).or_else(|| self.read_codes(bytes));
        let kept = if bytes.len() < 3 { border } else { bytes };
        self.tail = kept.last_chunk().copied().unwrap_or(self.tail);
        found
    }

    fn read_codes(&self, bytes: &[u8]) -> Option<bool> {
        let mut from = 0;
        while let Some(at) = find_start_code(bytes, from) {
            from = at + 3;
            let found = self.coding.entry(*bytes.get(from)?);
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// Packets of a picture that are read at most: delimiter, parameter sets and messages in front of
/// the first slice take one or two.
const PACKETS_MAX: u8 = 8;
/// A PES header up to and with its length.
const PES_HEADER_BYTES: usize = 9;
const SEQUENCE_HEADER: u8 = 0xB3;
const GROUP_OF_PICTURES: u8 = 0xB8;
