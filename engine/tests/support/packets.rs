//! Transport stream packets, as far as the tests of channels read them (ISO/IEC 13818-1 2.4.3).

use crate::headend::{CLOCK_WRAP, PACKET_SIZE};

/// One packet.
pub type Packet = [u8; PACKET_SIZE];

/// Cuts bytes into packets.
///
/// # Panics
/// When there is something else than packets.
pub fn cut(bytes: &[u8]) -> &[Packet] {
    let (packets, rest) = bytes.as_chunks::<PACKET_SIZE>();
    assert!(rest.is_empty(), "{} bytes are no packet", rest.len());
    assert!(packets.iter().all(|packet| packet[0] == 0x47), "a packet without sync byte");
    packets
}

pub fn pid(packet: &Packet) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1F, packet[2]])
}

/// A PES packet or a section begins here.
pub fn starts_unit(packet: &Packet) -> bool {
    packet[1] & 0x40 != 0
}

pub fn counter(packet: &Packet) -> u8 {
    packet[3] & 0x0F
}

/// random_access_indicator.
pub fn is_random_access(packet: &Packet) -> bool {
    packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x40 != 0
}

/// discontinuity_indicator.
pub fn is_discontinuity(packet: &Packet) -> bool {
    packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0
}

/// Payload and nothing else in front of it, in the middle of a unit: nobody changes it.
pub fn is_middle(packet: &Packet) -> bool {
    packet[3] & 0x30 == 0x10 && !starts_unit(packet)
}

/// The clock, in ticks of 27 MHz.
pub fn pcr(packet: &Packet) -> Option<u64> {
    if packet[3] & 0x20 == 0 || packet[4] < 7 || packet[5] & 0x10 == 0 {
        return None;
    }
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&packet[6..12]);
    let field = u64::from_be_bytes(bytes);
    Some((field >> 15) * 300 + (field & 0x1FF))
}

/// The decoding time of the PES packet that begins here, in ticks of 27 MHz.
pub fn dts(packet: &Packet) -> Option<u64> {
    if !starts_unit(packet) || packet[3] & 0xC0 != 0 {
        return None;
    }
    let from = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    let pes = packet.get(from..)?;
    let [0, 0, 1, _, _, _, _, flags, _, times @ ..] = pes else { return None };
    let at = match flags >> 6 {
        2 => 0,
        3 => 5,
        _ => return None,
    };
    let time = times.get(at..at + 5)?;
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|place| u64::from(time[place]));
    Some(((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1) * 300)
}

/// From one time to a later one, in ticks of 27 MHz; negative when it is earlier.
pub fn since(earlier: u64, later: u64) -> i64 {
    let passed = (later + CLOCK_WRAP - earlier) % CLOCK_WRAP;
    if passed < CLOCK_WRAP / 2 { passed as i64 } else { passed as i64 - CLOCK_WRAP as i64 }
}
