//! A row of transport-stream packets, as received.

use bytes::Bytes;

use crate::container::mpegts::{Error, PACKET_SIZE, Packet};

/// Whole transport-stream packets of 188 bytes each, which nobody has opened.
///
/// The bytes are shared: a clone is a reference count. Whether the packets start with sync bytes is
/// known to who made the block (`mpegts::align` only makes blocks that do); it is not checked here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TsBlock(Bytes);

impl TsBlock {
    /// Takes whole packets.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the size is no multiple of 188 bytes; the position is that of the
    /// incomplete packet.
    pub fn new(bytes: Bytes) -> Result<Self, Error> {
        let rest = bytes.len() % PACKET_SIZE;
        if rest != 0 {
            let at = (bytes.len() - rest) as u64;
            return Err(Error::Malformed { at, what: "TS packets, n x 188 bytes" });
        }
        Ok(Self(bytes))
    }

    /// The packets in order.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = Packet<'_>> + Clone {
        self.0.as_chunks::<PACKET_SIZE>().0.iter().map(Packet::new)
    }

    /// The bytes of all packets.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes of all packets.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Number of packets.
    pub fn packet_count(&self) -> usize {
        self.0.len() / PACKET_SIZE
    }

    /// True when there is no packet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The packets from `packet_index` on, without a copy; empty when there are fewer.
    pub fn skip(&self, packet_index: usize) -> Self {
        let at = packet_index.saturating_mul(PACKET_SIZE).min(self.0.len());
        Self(self.0.slice(at..))
    }
}

impl AsRef<[u8]> for TsBlock {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_whole_number_of_packets() {
        assert!(TsBlock::new(Bytes::new()).expect("no packet").is_empty());
        let block = TsBlock::new(Bytes::from(vec![0x47; 376])).expect("two packets");
        assert_eq!((block.packet_count(), block.packets().len()), (2, 2));
        let cut = TsBlock::new(Bytes::from(vec![0x47; 375]));
        assert_eq!(cut, Err(Error::Malformed { at: 188, what: "TS packets, n x 188 bytes" }));
    }

    #[test]
    fn skipping_packets_copies_nothing_and_ends_empty() {
        let block = TsBlock::new(Bytes::from(vec![0x47; 376])).expect("two packets");
        let rest = block.skip(1);
        assert_eq!(rest.packet_count(), 1);
        assert_eq!(rest.bytes().as_ptr(), block.bytes()[188..].as_ptr());
        assert!(block.skip(2).is_empty() && block.skip(usize::MAX).is_empty());
    }
}
