//! SCTE 35 splice_info_section: its pts_adjustment follows the clock (9.6).
//!
//! ```text
//! | 8 table id 0xFC | 4 | 12 length | 8 protocol | 1 encrypted | 6 | 33 pts_adjustment | ... CRC |
//! ```

use libmpegts::utils::crc32b;

use super::{clock, version};
use crate::container::mpegts::PACKET_SIZE;

/// What happened to the cues of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) is_rewritten: bool,
    /// Cues that are not whole in the packet, or damaged.
    pub(super) left: u64,
}

/// Adds `shift` ticks of 27 MHz to the times of the cues that start in a packet that starts a unit.
pub(super) fn shift(packet: &mut [u8; PACKET_SIZE], shift: i64) -> Outcome {
    let mut outcome = Outcome::default();
    let payload_at = match packet[3] & 0xF0 {
        0x10 => 4,
        0x30 => 5 + usize::from(packet[4]),
        _ => return outcome,
    };
    let Some(&pointer) = packet.get(payload_at) else { return outcome };
    let mut at = payload_at + 1 + usize::from(pointer);
    while let Some(&[TABLE_CUE, high, low]) = packet.get(at..).and_then(|rest| rest.first_chunk()) {
        let end = at + 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
        let is_shifted = packet.get_mut(at..end).is_some_and(|section| adjust(section, shift));
        outcome.is_rewritten |= is_shifted;
        outcome.left += u64::from(!is_shifted);
        at = end;
    }
    outcome
}

/// Changes a whole section; false when it is damaged.
fn adjust(section: &mut [u8], shift: i64) -> bool {
    if section.len() < SECTION_BYTES_MIN || crc32b(&*section) != 0 {
        return false;
    }
    let field = section.get_mut(ADJUSTMENT_AT..).and_then(|rest| rest.first_chunk_mut::<5>());
    if let Some(field) = field {
        let [flags, rest @ ..] = *field;
        let adjustment = u64::from(flags & 1) << 32 | u64::from(u32::from_be_bytes(rest));
        let adjusted = clock::shifted_time(adjustment, shift);
        let [_, _, _, high, rest @ ..] = adjusted.to_be_bytes();
        let [b0, b1, b2, b3] = rest;
        *field = [flags & 0xFE | high & 1, b0, b1, b2, b3];
    }
    version::set_crc(section);
    true
}

const TABLE_CUE: u8 = 0xFC;
const ADJUSTMENT_AT: usize = 4;
/// Header up to splice_command_type, descriptor_loop_length and CRC.
const SECTION_BYTES_MIN: usize = 20;
