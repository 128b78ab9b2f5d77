//! RTP or transport stream packets alone: senders do not say, and some change it while they run.

use super::{Error, Packet};
use crate::container::mpegts::packet::{PACKET_SIZE, PACKET_WITH_PARITY_SIZE, SYNC_BYTE};

/// What a datagram of a transport stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing<'a> {
    /// Transport stream packets alone.
    Raw(&'a [u8]),
    /// RTP, whatever its payload type.
    Rtp(Packet<'a>),
    /// Neither.
    Other(Error),
}

impl<'a> Framing<'a> {
    /// Looks at a datagram. A sync byte (0x47) in front is version 1 of RTP, which nobody sends, so
    /// that there is no doubt.
    pub fn of(datagram: &'a [u8]) -> Self {
        if datagram.first() == Some(&SYNC_BYTE) {
            return Self::Raw(datagram);
        }
        Packet::parse(datagram).map_or_else(Self::Other, Self::Rtp)
    }

    /// The transport stream packets: n x 188 or n x 204 bytes that start with the sync byte, n at
    /// least 1; `None` when there are none.
    pub fn packets(self) -> Option<&'a [u8]> {
        let bytes = match self {
            Self::Raw(bytes) => bytes,
            Self::Rtp(packet) => packet.payload,
            Self::Other(_) => return None,
        };
        let is_whole = bytes.len().is_multiple_of(PACKET_SIZE)
            || bytes.len().is_multiple_of(PACKET_WITH_PARITY_SIZE);
        (is_whole && bytes.first() == Some(&SYNC_BYTE)).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::rtp::Header;

    #[test]
    fn rtp_and_raw_are_told_apart() {
        let raw = [0x47; 1_316];
        assert_eq!(Framing::of(&raw), Framing::Raw(&raw));
        let rtp = [&Header::default().to_bytes()[..], &raw].concat();
        let framing = Framing::of(&rtp);
        assert!(matches!(framing, Framing::Rtp(_)) && framing.packets() == Some(&raw[..]));
        assert_eq!(Framing::of(&[0; 20]), Framing::Other(Error::Version(0)));
        assert!(matches!(Framing::of(&[]), Framing::Other(_)));
    }

    #[test]
    fn only_whole_packets_are_packets() {
        let bytes = [0x47; 1_428];
        for (size, is_some) in [(188, true), (204, true), (1_428, true), (187, false), (0, false)] {
            let framing = Framing::Raw(bytes.get(..size).unwrap_or_default());
            assert_eq!(framing.packets().is_some(), is_some, "{size}");
        }
        assert_eq!(Framing::Raw(&[0; 188]).packets(), None);
    }
}
