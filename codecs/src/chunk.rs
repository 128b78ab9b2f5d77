//! Immutable muxed bytes as a short list of slices.

use bytes::Bytes;

/// Muxed bytes that many viewers share, in the slices in which they are held: what a muxer wrote, and the
/// publisher's payloads between. A clone copies the list, not the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    slices: Vec<Bytes>,
    bytes: usize,
}

impl Chunk {
    /// Appends bytes; nothing when there are none.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.slices.push(bytes);
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The slices in order; none is empty.
    pub fn slices(&self) -> &[Bytes] {
        &self.slices
    }

    /// The bytes in one piece.
    ///
    /// # Cost
    /// One copy of all of them.
    pub fn to_vec(&self) -> Vec<u8> {
        self.slices.concat()
    }

    /// Gives back what the list has reserved and does not need: the chunk is complete.
    pub fn shrink(&mut self) {
        self.slices.shrink_to_fit();
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        let mut chunk = Self::default();
        chunk.push(bytes);
        chunk
    }
}

impl Extend<Bytes> for Chunk {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, slices: I) {
        slices.into_iter().for_each(|bytes| self.push(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_keep_their_order_and_their_memory() {
        let payload = Bytes::from(vec![7; 100]);
        let mut chunk = Chunk::from(b"head".to_vec());
        chunk.extend([Bytes::new(), payload.clone()]);
        assert_eq!((chunk.len(), chunk.slices().len()), (104, 2));
        assert_eq!(chunk.slices()[1].as_ptr(), payload.as_ptr());
        assert_eq!(chunk.to_vec(), [&b"head"[..], &payload].concat());
        assert!(Chunk::from(Vec::new()).is_empty());
    }
}
