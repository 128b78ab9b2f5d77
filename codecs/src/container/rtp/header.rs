//! The fixed header, and what may stand around the payload: RFC 3550 5.1 and 5.3.1.
//!
//! ```text
//! | 2 version | 1 padding | 1 extension | 4 CSRC count | 1 marker | 7 payload type |
//! | 16 sequence number | 32 timestamp | 32 SSRC | CSRC count x 32 |
//! | extension: 16 profile, 16 length in words, words | payload | padding, its count last |
//! ```

use super::Error;

/// Payload type of MPEG transport streams: RFC 3551 table 5.
pub const MP2T_PAYLOAD_TYPE: u8 = 33;

/// The fixed header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Marker; for transport streams a discontinuity of the timestamp (RFC 2250 2.1).
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number; wraps.
    pub sequence: u16,
    /// Time in ticks of the payload type's clock; wraps.
    pub timestamp: u32,
    /// Synchronisation source: the sender, by a random number.
    pub ssrc: u32,
}

/// One RTP packet, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// Number of contributing sources, 0 to 15.
    pub csrc_count: u8,
    /// Profile and words of the header extension, if there is one.
    pub extension: Option<(u16, &'a [u8])>,
    /// Without padding; may be empty.
    pub payload: &'a [u8],
}

impl Header {
    /// Bytes of the fixed header.
    pub const SIZE: usize = 12;

    /// The header as sent: version 2, no padding, no extension, no contributing sources.
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let second = (self.marker as u8) << 7 | self.payload_type & 0x7F;
        [VERSION << 6, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }
}

impl<'a> Packet<'a> {
    /// Reads a datagram as an RTP packet.
    ///
    /// # Errors
    /// [`Error::Version`], or [`Error::Malformed`] where it ends too early, or the padding is longer
    /// than what there is.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        let end = datagram.len();
        let too_short = |what| Error::Malformed { at: end, what };
        let version = datagram.first().map(|first| first >> 6);
        match version {
            Some(VERSION) => {}
            Some(version) => return Err(Error::Version(version)),
            None => return Err(too_short("version")),
        }
        let (fixed, rest) =
            datagram.split_first_chunk::<{ Header::SIZE }>().ok_or(too_short("fixed header"))?;
        let &[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = fixed;
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        let csrc_count = first & 0x0F;
        let rest = rest.get(usize::from(csrc_count) * 4..).ok_or(too_short("CSRC list"))?;
        let (extension, rest) = match first & 0x10 {
            0 => (None, rest),
            _ => read_extension(rest).ok_or(too_short("header extension"))?,
        };
        let payload = match first & 0x20 {
            0 => rest,
            _ => without_padding(rest)
                .ok_or(Error::Malformed { at: end.saturating_sub(1), what: "padding count" })?,
        };
        Ok(Self { header, csrc_count, extension, payload })
    }
}

/// Profile and words of an extension, and what follows.
type Extended<'a> = (Option<(u16, &'a [u8])>, &'a [u8]);

fn read_extension(bytes: &[u8]) -> Option<Extended<'_>> {
    let (&[p0, p1, w0, w1], rest) = bytes.split_first_chunk()?;
    let size = usize::from(u16::from_be_bytes([w0, w1])) * 4;
    let (words, rest) = rest.split_at_checked(size)?;
    Some((Some((u16::from_be_bytes([p0, p1]), words)), rest))
}

/// The last byte counts the padding, itself included.
fn without_padding(bytes: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*bytes.last()?);
    if padding == 0 { None } else { bytes.get(..bytes.len().checked_sub(padding)?) }
}

const VERSION: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand after RFC 3550 5.1: padding, extension, two contributing sources, marker,
    /// payload type 33, sequence 0x1234, timestamp 0x01020304, SSRC 0xDEADBEEF.
    const GOLDEN: [u8; 37] = [
        0xB2, 0xA1, 0x12, 0x34, 1, 2, 3, 4, 0xDE, 0xAD, 0xBE, 0xEF, 0, 0, 0, 1, 0, 0, 0, 2, 0xBE,
        0xDE, 0, 1, 9, 8, 7, 6, 0x47, 0x40, 0, 0x10, 0xAA, 0, 0, 0, 4,
    ];

    #[test]
    fn a_packet_with_everything_is_read() {
        let packet = Packet::parse(&GOLDEN).expect("golden");
        let header = Header {
            marker: true,
            payload_type: MP2T_PAYLOAD_TYPE,
            sequence: 0x1234,
            timestamp: 0x0102_0304,
            ssrc: 0xDEAD_BEEF,
        };
        assert_eq!((packet.header, packet.csrc_count), (header, 2));
        assert_eq!(packet.extension, Some((0xBEDE, &[9, 8, 7, 6][..])));
        assert_eq!(packet.payload, [0x47, 0x40, 0, 0x10, 0xAA]);
    }

    #[test]
    fn a_written_header_reads_back() {
        for sequence in [0, 1, 0xFFFF] {
            let header =
                Header { marker: true, payload_type: 33, sequence, timestamp: 7, ssrc: u32::MAX };
            let bytes = [&header.to_bytes()[..], &[0x47; 188]].concat();
            let packet = Packet::parse(&bytes).expect("our own");
            assert_eq!((packet.header, packet.payload), (header, &[0x47; 188][..]));
            assert_eq!((packet.csrc_count, packet.extension), (0, None));
        }
    }

    #[test]
    fn a_packet_cut_at_any_byte_is_refused_or_shorter() {
        for end in 0..GOLDEN.len() {
            match Packet::parse(&GOLDEN[..end]) {
                Ok(packet) => assert!(packet.payload.len() < 9, "{end}"),
                Err(Error::Malformed { at, .. }) => assert!(at <= end, "{end}"),
                Err(error) => panic!("{end}: {error}"),
            }
        }
        let error = Packet::parse(&GOLDEN[..11]).expect_err("11 bytes");
        assert_eq!(error.to_string(), "malformed RTP packet at byte 11: fixed header");
    }

    #[test]
    fn other_versions_and_impossible_lengths_are_refused() {
        let mut bytes = GOLDEN;
        bytes[0] = 0x47;
        assert_eq!(Packet::parse(&bytes), Err(Error::Version(1)));
        let mut bytes = GOLDEN;
        bytes[36] = 10;
        let error = Error::Malformed { at: 36, what: "padding count" };
        assert_eq!(Packet::parse(&bytes), Err(error));
        bytes[36] = 0;
        assert_eq!(Packet::parse(&bytes), Err(error));
        bytes[36] = 9;
        assert_eq!(Packet::parse(&bytes).expect("all padding").payload, []);
        let mut bytes = GOLDEN;
        bytes[23] = 5;
        assert!(matches!(Packet::parse(&bytes), Err(Error::Malformed { at: 37, .. })));
        assert!(matches!(Packet::parse(&[]), Err(Error::Malformed { at: 0, .. })));
    }
}
