//! The head of a frame (RFC 6455 5.2), and whole frames from server to client.
//!
//! ```text
//!  0               1               2 ..
//! |F|R R R|opcode |M| length 7    | 16 or 64 more bits of length | 32 bits of mask |
//! ```

use smallvec::SmallVec;

/// The head of one frame from the server: 2, 4 or 10 bytes.
pub type FrameHeader = SmallVec<[u8; 10]>;

/// What a frame carries (RFC 6455 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// More of the message before.
    Continuation,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// The closing handshake.
    Close,
    /// A question that a pong answers.
    Ping,
    /// The answer to a ping, or a sign of life.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// The opcode of four bits; `None` when they are reserved.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// True for close, ping and pong: at most 125 bytes, never fragmented (RFC 6455 5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of an unmasked binary frame that is a whole message of `payload_bytes`.
///
/// Cost: no allocation.
pub fn frame_header(payload_bytes: usize) -> FrameHeader {
    header(Opcode::Binary, payload_bytes)
}

/// Appends a whole unmasked frame to `out`.
///
/// The payload of a control frame must have at most [`CONTROL_BYTES_MAX`] bytes.
pub fn write_frame(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(!opcode.is_control() || payload.len() <= CONTROL_BYTES_MAX);
    out.extend_from_slice(&header(opcode, payload.len()));
    out.extend_from_slice(payload);
}

fn header(opcode: Opcode, payload_bytes: usize) -> FrameHeader {
    let mut header = FrameHeader::new();
    header.push(FIN | opcode.bits());
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(length @ 0..=LENGTH_7_MAX), _) => header.push(length),
        (_, Ok(length)) => {
            header.push(LENGTH_16);
            header.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            header.push(LENGTH_64);
            header.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    header
}

/// Payload bytes of a control frame (RFC 6455 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// The last, or only, frame of a message.
pub(super) const FIN: u8 = 0x80;
/// Bits that only an extension may set.
pub(super) const RESERVED: u8 = 0x70;
/// The payload is masked.
pub(super) const MASKED: u8 = 0x80;
/// The longest payload whose length fits the first two bytes.
pub(super) const LENGTH_7_MAX: u8 = 125;
/// 16 bits of length follow.
pub(super) const LENGTH_16: u8 = 126;
/// 64 bits of length follow.
pub(super) const LENGTH_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 6455 5.7 gives the frames of 256 bytes and 64 KiB; the others follow from 5.2.
    #[test]
    fn the_length_takes_the_shortest_form() {
        assert_eq!(frame_header(0)[..], [0x82, 0]);
        assert_eq!(frame_header(125)[..], [0x82, 125]);
        assert_eq!(frame_header(126)[..], [0x82, 126, 0, 126]);
        assert_eq!(frame_header(256)[..], [0x82, 0x7E, 0x01, 0x00]);
        assert_eq!(frame_header(65_535)[..], [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(frame_header(65_536)[..], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert!(!frame_header(65_536).spilled());
    }

    // RFC 6455 5.7: a single-frame unmasked text message.
    #[test]
    fn a_text_frame_is_the_one_of_the_specification() {
        let mut out = Vec::new();
        write_frame(Opcode::Text, b"Hello", &mut out);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]);
    }

    #[test]
    fn opcodes_survive_the_wire_and_reserved_ones_are_none() {
        let known: Vec<_> = (0..16).filter_map(Opcode::from_bits).collect();
        assert_eq!(known.len(), 6);
        assert!(known.iter().all(|opcode| Opcode::from_bits(opcode.bits()) == Some(*opcode)));
        assert_eq!(Opcode::from_bits(0x3), None);
        assert_eq!(Opcode::from_bits(0xB), None);
    }
}
