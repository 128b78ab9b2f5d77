//! The cursor values are decoded from, and what is left of the limits.

use super::{Error, Limits};

/// The input, the position in it, and what was spent of the limits.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    limits: Limits,
    values: usize,
    bytes: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8], limits: &Limits) -> Self {
        Self { input, at: 0, limits: *limits, values: 0, bytes: 0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// The offset of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes to an offset got from [`Self::at`].
    pub(super) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { at: self.at, what }
    }

    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let Some(head) = self.rest().get(..count) else {
            return Err(self.malformed(what));
        };
        self.at += count;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let Some(head) = self.rest().first_chunk::<N>() else {
            return Err(self.malformed(what));
        };
        self.at += N;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn f64(&mut self, what: &'static str) -> Result<f64, Error> {
        self.array(what).map(f64::from_be_bytes)
    }

    /// Reads `length` bytes of text and counts them.
    pub(super) fn text(&mut self, length: usize, what: &'static str) -> Result<String, Error> {
        let bytes = self.take(length, what)?;
        self.own_text(bytes)
    }

    /// Counts text and makes it owned.
    pub(super) fn own_text(&mut self, bytes: &[u8]) -> Result<String, Error> {
        self.spend_bytes(bytes.len())?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Counts one value that stands at `depth`.
    pub(super) fn spend_value(&mut self, depth: usize) -> Result<(), Error> {
        if depth > self.limits.depth_max {
            return Err(Error::LimitExceeded { limit: "depth_max", max: self.limits.depth_max });
        }
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(Error::LimitExceeded { limit: "values_max", max: self.limits.values_max });
        }
        Ok(())
    }

    /// Counts bytes of text or data.
    pub(super) fn spend_bytes(&mut self, count: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > self.limits.bytes_max {
            return Err(Error::LimitExceeded { limit: "bytes_max", max: self.limits.bytes_max });
        }
        Ok(())
    }
}

/// The values a later reference may name, by where they start in the input.
///
/// A reference is resolved by reading its target again, so nothing is kept twice, and the limits count
/// the copy by themselves. While a target is being read it is open: a reference to it is a cycle.
#[derive(Debug, Default)]
pub(super) struct References {
    targets: Vec<Target>,
    replays: usize,
}

#[derive(Debug)]
struct Target {
    starts_at: usize,
    open: bool,
}

/// What a reference leads to.
pub(super) enum Resolved {
    /// A value that starts at this offset.
    At(usize),
    /// A value that encloses the reference.
    Cycle,
    /// Nothing.
    Missing,
}

impl References {
    /// Notes the start of a value that can be referred to; `None` while a target is read again, since
    /// its inner values have their numbers already.
    pub(super) fn begin(&mut self, starts_at: usize) -> Option<usize> {
        if self.replays > 0 {
            return None;
        }
        self.targets.push(Target { starts_at, open: true });
        Some(self.targets.len() - 1)
    }

    /// Notes the end of the value that [`Self::begin`] numbered.
    pub(super) fn end(&mut self, index: Option<usize>) {
        if let Some(target) = index.and_then(|index| self.targets.get_mut(index)) {
            target.open = false;
        }
    }

    /// Opens target `index` to be read again; after `At`, [`Self::close_replay`] must follow.
    pub(super) fn open_replay(&mut self, index: usize) -> Resolved {
        match self.targets.get_mut(index) {
            None => Resolved::Missing,
            Some(target) if target.open => Resolved::Cycle,
            Some(target) => {
                target.open = true;
                self.replays += 1;
                Resolved::At(target.starts_at)
            }
        }
    }

    /// Closes a target opened by [`Self::open_replay`].
    pub(super) fn close_replay(&mut self, index: usize) {
        self.replays = self.replays.saturating_sub(1);
        self.end(Some(index));
    }

    /// True while a target is read again.
    pub(super) fn replaying(&self) -> bool {
        self.replays > 0
    }
}
