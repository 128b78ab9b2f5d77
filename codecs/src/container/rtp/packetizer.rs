//! Headers for transport streams that leave as RTP: RFC 2250 2, RFC 3551 6.

use super::{Header, MP2T_PAYLOAD_TYPE};

/// Ticks per second of a transport stream's RTP timestamps: RFC 3551 table 5.
pub const MP2T_CLOCK_HZ: u32 = 90_000;

/// Numbers and dates the packets of one flow.
///
/// [`header`](Self::header) once for every datagram, in the order in which they leave.
#[derive(Clone, Debug)]
pub struct Packetizer {
    ssrc: u32,
    sequence: u16,
    timestamp_offset: u32,
    last_us: u64,
    has_discontinuity: bool,
}

impl Packetizer {
    /// Packets of the source `ssrc`, the first one with `sequence` and, at time 0,
    /// `timestamp_offset`. All three should be random (RFC 3550 5.1), so that a receiver sees a new
    /// flow for what it is.
    pub const fn new(ssrc: u32, sequence: u16, timestamp_offset: u32) -> Self {
        Self { ssrc, sequence, timestamp_offset, last_us: 0, has_discontinuity: false }
    }

    /// The header of the next datagram, which leaves at `at_us`: its timestamp is the time at which
    /// its first byte is sent, and never goes back.
    pub fn header(&mut self, at_us: u64) -> [u8; Header::SIZE] {
        self.last_us = self.last_us.max(at_us);
        let header = Header {
            marker: std::mem::take(&mut self.has_discontinuity),
            payload_type: MP2T_PAYLOAD_TYPE,
            sequence: self.sequence,
            timestamp: ticks(self.last_us).wrapping_add(self.timestamp_offset),
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        header.to_bytes()
    }

    /// The next packet's timestamp does not continue the clock of the ones before: its marker is
    /// set (RFC 2250 2.1).
    pub const fn mark_discontinuity(&mut self) {
        self.has_discontinuity = true;
    }

    /// The source, as given.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Sequence number of the next packet.
    pub const fn sequence(&self) -> u16 {
        self.sequence
    }
}

/// Microseconds in ticks of 90 kHz, wrapped at 32 bits. Exact: 100 us are 9 ticks.
const fn ticks(us: u64) -> u32 {
    (us / 100).wrapping_mul(9).wrapping_add(us % 100 * 9 / 100) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::rtp::Packet;

    fn read(bytes: [u8; Header::SIZE]) -> Header {
        Packet::parse(&bytes).expect("our own header").header
    }

    #[test]
    fn sequence_and_time_go_on_and_wrap() {
        let mut packetizer = Packetizer::new(0xDEAD_BEEF, 0xFFFF, 7);
        let first = read(packetizer.header(1_000_000));
        let expected = Header {
            marker: false,
            payload_type: 33,
            sequence: 0xFFFF,
            timestamp: 90_007,
            ssrc: 0xDEAD_BEEF,
        };
        assert_eq!(first, expected);
        let second = read(packetizer.header(1_000_100));
        assert_eq!((second.sequence, second.timestamp), (0, 90_016));
        // 2^32 ticks are 47,721.858... s.
        let wrapped = read(packetizer.header(47_721_858_845));
        assert_eq!((wrapped.sequence, wrapped.timestamp), (1, 7));
        assert_eq!((packetizer.ssrc(), packetizer.sequence()), (0xDEAD_BEEF, 2));
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut packetizer = Packetizer::new(1, 0, 0);
        assert_eq!(read(packetizer.header(2_000)).timestamp, 180);
        assert_eq!(read(packetizer.header(1_000)).timestamp, 180);
        assert_eq!(read(packetizer.header(u64::MAX)).ssrc, 1);
    }

    #[test]
    fn one_packet_tells_of_a_discontinuity() {
        let mut packetizer = Packetizer::new(1, 0, 0);
        assert!(!read(packetizer.header(0)).marker);
        packetizer.mark_discontinuity();
        assert!(read(packetizer.header(1)).marker);
        assert!(!read(packetizer.header(2)).marker);
    }
}
