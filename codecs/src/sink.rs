//! Where muxers write: anything that takes bytes in order.

use bytes::{BufMut, BytesMut};

/// An append-only destination of muxed bytes.
///
/// Muxers write through this trait so that the same code fills an egress log, a `Vec` in a test or
/// a file buffer. `put` never fails: the destination bounds itself.
pub trait ByteSink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

impl ByteSink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl ByteSink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}
