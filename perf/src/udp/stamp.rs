//! What a datagram says of itself, carried by a packet that a relay has no reason to touch.
//!
//! The last of the seven packets of a datagram has a PID of its own, which the PMT lists as private
//! data. Its payload is one PES packet of private_stream_2 (ISO/IEC 13818-1 2.4.3.7: no timestamps):
//!
//! ```text
//!  TS header 4 | 00 00 01 BF length 2 | "corelay\x1F" | channel 4 | sequence 8 | sent 8 | 0 .. | digest 8
//! ```
//!
//! The digest is over all that the datagram holds before it, so the receiver can tell whether the
//! seven packets are those that were sent, also when a relay has put them into other datagrams.

use corelay_codecs::container::mpegts::packet::PACKET_SIZE;

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the channel, from 0.
    pub channel: u32,
    /// Number of the datagram in its channel, from 0.
    pub sequence: u64,
    /// When it was given to the socket, in nanoseconds of `CLOCK_REALTIME`.
    pub sent_ns: u64,
}

/// Fills in the packet behind its 4-byte header, except for the digest.
pub fn write(stamp: Stamp, packet: &mut [u8; PACKET_SIZE]) {
    let Stamp { channel, sequence, sent_ns } = stamp;
    let (_, payload) = packet.split_at_mut(PREFIX_AT);
    let fields: [&[u8]; 4] =
        [&PREFIX, &channel.to_be_bytes(), &sequence.to_be_bytes(), &sent_ns.to_be_bytes()];
    let mut rest = payload;
    for field in fields {
        let (place, behind) = rest.split_at_mut(field.len());
        place.copy_from_slice(field);
        rest = behind;
    }
    rest.fill(0);
}

/// The stamp, if the packet has one.
pub fn read(packet: &[u8; PACKET_SIZE]) -> Option<Stamp> {
    let fields = packet.get(PREFIX_AT..)?.strip_prefix(&PREFIX)?;
    let (channel, fields) = fields.split_first_chunk()?;
    let (sequence, fields) = fields.split_first_chunk()?;
    Some(Stamp {
        channel: u32::from_be_bytes(*channel),
        sequence: u64::from_be_bytes(*sequence),
        sent_ns: u64::from_be_bytes(*fields.first_chunk()?),
    })
}

/// A digest of packets in their order, for telling whether they are the same: no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// The digest of nothing.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Takes a packet in.
    pub fn add(&mut self, packet: &[u8; PACKET_SIZE]) {
        self.add_bytes(packet);
    }

    /// Takes in the packet with the stamp, and writes the digest at its end.
    pub fn seal(mut self, packet: &mut [u8; PACKET_SIZE]) {
        let Some((before, digest)) = packet.split_last_chunk_mut() else { return };
        self.add_bytes(before);
        *digest = self.0.to_be_bytes();
    }

    /// Whether the packet with the stamp ends with the digest of all that was taken in and itself.
    pub fn is_sealed_by(mut self, packet: &[u8; PACKET_SIZE]) -> bool {
        let Some((before, digest)) = packet.split_last_chunk() else { return false };
        self.add_bytes(before);
        *digest == self.0.to_be_bytes()
    }

    /// Four lanes, so that no multiplication waits for the one before.
    fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let (rows, odd) = words.as_chunks::<4>();
        let mut lanes = [self.0, 1, 2, 3];
        for row in rows {
            for (lane, word) in lanes.iter_mut().zip(row) {
                *lane = mix(*lane, u64::from_le_bytes(*word));
            }
        }
        let mut all = lanes.into_iter().reduce(mix).unwrap_or_default();
        for word in odd {
            all = mix(all, u64::from_le_bytes(*word));
        }
        for byte in rest {
            all = mix(all, u64::from(*byte));
        }
        self.0 = all;
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

fn mix(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(ODD).rotate_left(29)
}

/// Behind the TS header.
const PREFIX_AT: usize = 4;
/// A PES packet of stream_id 0xBF with 178 bytes of data, which begin with a word of ours.
const PREFIX: [u8; 14] = *b"\x00\x00\x01\xBF\x00\xB2corelay\x1F";
/// The fraction of the golden ratio, which is odd: the multiplication loses nothing.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { channel: 7, sequence: u64::MAX - 1, sent_ns: 0x0123_4567_89AB };

    fn packet(seed: u8) -> [u8; PACKET_SIZE] {
        std::array::from_fn(|at| (at as u8).wrapping_mul(31).wrapping_add(seed))
    }

    fn sealed() -> ([[u8; PACKET_SIZE]; 2], [u8; PACKET_SIZE]) {
        let before = [packet(1), packet(2)];
        let mut last = packet(3);
        write(STAMP, &mut last);
        digest(&before).seal(&mut last);
        (before, last)
    }

    fn digest(packets: &[[u8; PACKET_SIZE]]) -> Digest {
        let mut digest = Digest::new();
        packets.iter().for_each(|packet| digest.add(packet));
        digest
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_leaves_the_header_alone() {
        let (_, last) = sealed();
        assert_eq!(read(&last), Some(STAMP));
        assert_eq!(last[..4], packet(3)[..4]);
        assert_eq!(read(&packet(3)), None);
    }

    #[test]
    fn a_byte_that_differs_and_an_order_that_differs_are_seen() {
        let (before, last) = sealed();
        assert!(digest(&before).is_sealed_by(&last));
        for at in 0..PACKET_SIZE {
            let mut wrong = before;
            wrong[1][at] ^= 1;
            assert!(!digest(&wrong).is_sealed_by(&last), "{at}");
            let mut wrong = last;
            wrong[at] ^= 0x80;
            assert!(!digest(&before).is_sealed_by(&wrong), "{at}");
        }
        let [first, second] = before;
        assert!(!digest(&[second, first]).is_sealed_by(&last));
        assert!(!digest(&[first]).is_sealed_by(&last));
    }
}
