//! The part of a response that a client asks for (RFC 9110 14).

use std::ops::Range;

/// One range of bytes, as asked for: the length of what it is a range of is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From the byte `first` to the byte `last`, both inclusive; `last` is [`u64::MAX`] for the
    /// rest.
    From {
        /// Counted from 0.
        first: u64,
        /// Not before `first`.
        last: u64,
    },
    /// So many bytes at the end.
    Last(u64),
}

/// What a range is of something of a known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything: 200.
    Whole,
    /// These bytes, at least one: 206.
    Part(Range<u64>),
    /// No byte of it: 416.
    None,
}

impl ByteRange {
    /// Reads a `Range` field. `None` when it is to be ignored, as RFC 9110 14.2 allows: another
    /// unit than bytes, several ranges, or no range at all.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (unit, range) = std::str::from_utf8(field).ok()?.trim_ascii().split_once('=')?;
        let (first, last) = range.trim_ascii().split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(|first| Self::From { first, last: u64::MAX }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    /// What it selects of `length` bytes.
    pub fn of(self, length: u64) -> Selection {
        match self {
            Self::From { first, last } if first < length => {
                Selection::Part(first..last.saturating_add(1).min(length))
            }
            // Nothing of nothing: there are no bytes that a Content-Range could name.
            Self::Last(1..) if length == 0 => Selection::Whole,
            Self::Last(bytes @ 1..) => Selection::Part(length.saturating_sub(bytes)..length),
            Self::From { .. } | Self::Last(0) => Selection::None,
        }
    }
}

/// Digits only; more than 64 bits hold means more bytes than there can be.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn select(field: &str, length: u64) -> Option<Selection> {
        ByteRange::parse(field.as_bytes()).map(|range| range.of(length))
    }

    /// The examples of RFC 9110 14.1.2 and 14.4, and their neighbours.
    #[test]
    fn one_range_selects_bytes_inclusively() {
        for (field, bytes) in [
            ("bytes=0-499", 0..500),
            ("bytes=500-999", 500..1_000),
            ("bytes=-500", 9_500..10_000),
            ("bytes=9500-", 9_500..10_000),
            ("bytes=0-0", 0..1),
            ("bytes=-1", 9_999..10_000),
            ("bytes=0-", 0..10_000),
            ("bytes=9999-9999", 9_999..10_000),
            ("bytes=9000-99999", 9_000..10_000),
            ("bytes=-99999", 0..10_000),
            ("BYTES=0-499", 0..500),
            ("  bytes= 0-499 ", 0..500),
            ("bytes=0-99999999999999999999999", 0..10_000),
            ("bytes=-99999999999999999999999", 0..10_000),
        ] {
            assert_eq!(select(field, 10_000), Some(Selection::Part(bytes)), "{field}");
        }
    }

    #[test]
    fn a_range_behind_the_end_selects_nothing() {
        for field in
            ["bytes=10000-", "bytes=10000-20000", "bytes=-0", "bytes=99999999999999999999-"]
        {
            assert_eq!(select(field, 10_000), Some(Selection::None), "{field}");
        }
        assert_eq!(select("bytes=0-", 0), Some(Selection::None));
        assert_eq!(select("bytes=-5", 0), Some(Selection::Whole));
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "bytes=+0-1",
            "bytes=0--1",
            "bytes=0 - 1",
            "bytes=0x0-1",
            "bytes 0-1",
            "bytes =0-1",
            "items=0-1",
            "bytes=0-1;",
            "bytes=\u{660}-1",
        ] {
            assert_eq!(select(field, 10), None, "{field}");
        }
        assert_eq!(ByteRange::parse(b"bytes=0-\xff"), None);
    }

    proptest! {
        #[test]
        fn every_part_is_within_and_not_empty(field in "bytes=[0-9]{0,4}-[0-9]{0,4}", length: u16) {
            let length = u64::from(length);
            if let Some(Selection::Part(part)) = select(&field, length) {
                prop_assert!(part.start < part.end && part.end <= length, "{:?}", part);
            }
        }
    }
}
