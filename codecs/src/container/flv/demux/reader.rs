//! A cursor over a tag body that says what was missing.

use bytes::Bytes;

use super::Error;

/// Reads big-endian fields from the front of a body.
pub(super) struct Reader<'a> {
    body: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts `at` bytes into the body.
    pub(super) fn new(body: &'a Bytes, at: usize) -> Self {
        Self { body, at }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.body.len()
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let bytes = self.body.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let array = *bytes.ok_or(Error::Malformed { at: self.body.len() as u64, what })?;
        self.at += N;
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// A signed 24-bit number (SI24).
    pub(super) fn i24(&mut self, what: &'static str) -> Result<i32, Error> {
        self.array(what).map(|[a, b, c]| i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(super) fn fourcc(&mut self, what: &'static str) -> Result<[u8; 4], Error> {
        self.array(what)
    }

    pub(super) fn take(&mut self, size: usize, what: &'static str) -> Result<Bytes, Error> {
        let end = self.at.checked_add(size).filter(|&end| end <= self.body.len());
        let end = end.ok_or(Error::Malformed { at: self.body.len() as u64, what })?;
        let taken = self.body.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    /// Everything that was not read.
    pub(super) fn rest(&self) -> Bytes {
        self.body.slice(self.at.min(self.body.len())..)
    }
}
