//! The content of a request: where it ends, and its data without the framing (RFC 9112 6 and 7.1).
//!
//! Invariants
//! - Framing is read to the letter: a line ends with CR LF and nothing else, so that no proxy in
//!   front can see another end of a chunk than this server does.
//! - Nothing is held back: the data of an input are handed out with it.

use super::error::Refusal;

/// Takes the framing off a content.
#[derive(Debug)]
pub(super) struct ContentReader {
    state: State,
    /// Bytes taken so far, framing included.
    at: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data, so many bytes.
    Length(u64),
    /// Data until the connection ends.
    UntilClose,
    /// The size of a chunk, of which so many digits have come.
    Size {
        value: u64,
        digits: u8,
    },
    /// Spaces behind a size.
    Space {
        value: u64,
        line_bytes: u16,
    },
    /// An extension of a chunk, which is passed over.
    Extension {
        value: u64,
        line_bytes: u16,
    },
    /// The line feed behind a size.
    SizeEnd {
        value: u64,
    },
    /// Data of a chunk, so many bytes.
    Data(u64),
    /// The carriage return, then the line feed, behind a chunk's data.
    DataReturn,
    DataEnd,
    /// A field behind the last chunk, which is passed over; at its start or not.
    Trailer {
        bytes: u16,
        at_start: bool,
    },
    /// The line feed behind a field, or behind the empty line that ends it all.
    TrailerEnd {
        bytes: u16,
        is_last: bool,
    },
    /// Everything is there.
    Complete,
}

impl ContentReader {
    /// Content of so many bytes.
    pub(super) fn of_length(bytes: u64) -> Self {
        let state = if bytes == 0 { State::Complete } else { State::Length(bytes) };
        Self { state, at: 0 }
    }

    /// Content in chunks.
    pub(super) fn chunked() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, at: 0 }
    }

    /// Content that ends with the connection.
    pub(super) fn until_close() -> Self {
        Self { state: State::UntilClose, at: 0 }
    }

    /// True once everything is there.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// True when the end of the connection is the end of the content.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Bytes taken so far, framing included.
    pub(super) fn taken(&self) -> u64 {
        self.at
    }

    /// Takes content off the front of `input`, up to its end, and appends the data in it to `data`.
    ///
    /// # Errors
    /// 400 when the framing is wrong, 400 or 431 when a part of it that is passed over is too long.
    pub(super) fn push(&mut self, input: &mut &[u8], data: &mut Vec<u8>) -> Result<(), Refusal> {
        while !input.is_empty() && !self.is_complete() {
            match self.state {
                State::UntilClose => {
                    self.take_data(input, u64::MAX, data);
                }
                State::Length(left) => {
                    let left = left - self.take_data(input, left, data);
                    self.state = if left == 0 { State::Complete } else { State::Length(left) };
                }
                State::Data(left) => {
                    let left = left - self.take_data(input, left, data);
                    self.state = if left == 0 { State::DataReturn } else { State::Data(left) };
                }
                _ => self.take_framing(input)?,
            }
        }
        Ok(())
    }

    /// Moves up to `left` bytes of data, and tells how many.
    fn take_data(&mut self, input: &mut &[u8], left: u64, data: &mut Vec<u8>) -> u64 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (taken, rest) = input.split_at(count);
        data.extend_from_slice(taken);
        *input = rest;
        self.at += count as u64;
        count as u64
    }

    fn take_framing(&mut self, input: &mut &[u8]) -> Result<(), Refusal> {
        while let Some((byte, rest)) = input.split_first() {
            self.state = step(self.state, *byte).map_err(|wrong| wrong.refusal(self.at))?;
            self.at += 1;
            *input = rest;
            if matches!(self.state, State::Data(_) | State::Complete) {
                break;
            }
        }
        Ok(())
    }
}

/// What is wrong with a byte of framing.
enum Wrong {
    Byte(&'static str),
    ChunkLine,
    Trailer,
}

impl Wrong {
    fn refusal(self, at: u64) -> Refusal {
        match self {
            Self::Byte(what) => Refusal::malformed(usize::try_from(at).unwrap_or(usize::MAX), what),
            Self::ChunkLine => Refusal::unsupported(400, "a line of a chunk over 4 KiB"),
            Self::Trailer => Refusal::unsupported(431, "fields behind the content over 8 KiB"),
        }
    }
}

/// One byte between the data of two chunks.
fn step(state: State, byte: u8) -> Result<State, Wrong> {
    let wrong = |what| Err(Wrong::Byte(what));
    Ok(match (state, byte) {
        (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
            if digits >= SIZE_DIGITS_MAX {
                return wrong("chunk size");
            }
            let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
            State::Size { value: value << 4 | digit, digits: digits + 1 }
        }
        (State::Size { digits: 0, .. }, _) => return wrong("chunk size"),
        (State::Size { value, .. }, b' ' | b'\t') => State::Space { value, line_bytes: 0 },
        (State::Size { value, .. }, b';') => State::Extension { value, line_bytes: 0 },
        (State::Size { value, .. } | State::Space { value, .. }, b'\r') => State::SizeEnd { value },
        (State::Space { value, line_bytes }, b';') => State::Extension { value, line_bytes },
        (State::Space { value, line_bytes }, b' ' | b'\t') => {
            State::Space { value, line_bytes: longer(line_bytes)? }
        }
        (State::Size { .. } | State::Space { .. }, _) => return wrong("chunk size"),
        (State::Extension { value, .. }, b'\r') => State::SizeEnd { value },
        (State::Extension { value, line_bytes }, _) if is_text(byte) => {
            State::Extension { value, line_bytes: longer(line_bytes)? }
        }
        (State::Extension { .. }, _) => return wrong("chunk extension"),
        (State::SizeEnd { value: 0 }, b'\n') => State::Trailer { bytes: 0, at_start: true },
        (State::SizeEnd { value }, b'\n') => State::Data(value),
        (State::SizeEnd { .. }, _) => return wrong("end of a chunk's size"),
        (State::DataReturn, b'\r') => State::DataEnd,
        (State::DataEnd, b'\n') => State::Size { value: 0, digits: 0 },
        (State::DataReturn | State::DataEnd, _) => return wrong("end of a chunk"),
        (State::Trailer { bytes, at_start }, b'\r') => {
            State::TrailerEnd { bytes, is_last: at_start }
        }
        (State::Trailer { bytes, .. }, _) if is_text(byte) => {
            let bytes = Some(bytes + 1).filter(|bytes| *bytes <= TRAILER_BYTES_MAX);
            State::Trailer { bytes: bytes.ok_or(Wrong::Trailer)?, at_start: false }
        }
        (State::TrailerEnd { is_last: true, .. }, b'\n') => State::Complete,
        (State::TrailerEnd { bytes, .. }, b'\n') => State::Trailer { bytes, at_start: true },
        (State::Trailer { .. } | State::TrailerEnd { .. }, _) => {
            return wrong("field behind the content");
        }
        (State::Length(_) | State::UntilClose | State::Data(_) | State::Complete, _) => state,
    })
}

fn longer(line_bytes: u16) -> Result<u16, Wrong> {
    Some(line_bytes + 1).filter(|bytes| *bytes <= CHUNK_LINE_BYTES_MAX).ok_or(Wrong::ChunkLine)
}

/// What may stand in a line: no control character but the tabulator (RFC 9110 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// As many as a 64-bit number has; leading zeros count, or a size could go on for ever.
const SIZE_DIGITS_MAX: u8 = 16;
/// Extensions are nearly unknown in the field.
const CHUNK_LINE_BYTES_MAX: u16 = 4 << 10;
/// As much as a whole request head has by default.
const TRAILER_BYTES_MAX: u16 = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Error;

    /// Data, whether they are all, and what is left of the input.
    fn read(input: &[u8], piece_bytes: usize) -> Result<(Vec<u8>, bool, Vec<u8>), Refusal> {
        let (mut reader, mut data, mut left) = (ContentReader::chunked(), Vec::new(), Vec::new());
        for mut piece in input.chunks(piece_bytes.max(1)) {
            reader.push(&mut piece, &mut data)?;
            left.extend_from_slice(piece);
        }
        assert_eq!(reader.taken(), (input.len() - left.len()) as u64);
        Ok((data, reader.is_complete(), left))
    }

    /// The same, however the input is cut.
    #[track_caller]
    fn chunked(input: &[u8]) -> Result<(Vec<u8>, bool, Vec<u8>), Refusal> {
        let whole = read(input, input.len());
        for piece_bytes in 1..input.len() {
            assert_eq!(read(input, piece_bytes), whole, "in pieces of {piece_bytes}");
        }
        whole
    }

    #[test]
    fn chunks_with_extensions_and_fields_behind_them_give_their_data() {
        // RFC 9112 7.1, written by hand.
        let input = b"4\r\nWiki\r\nA;x=\"y\"\r\npedia in\r\n\r\n00e \t;z\r\n14 bytes so fa\r\n\
                      0;last\r\nExpires: never\r\nX:\t\r\n\r\nGET";
        let data = b"Wikipedia in\r\n14 bytes so fa".to_vec();
        assert_eq!(chunked(input), Ok((data, true, b"GET".to_vec())));
        assert_eq!(chunked(b"0\r\n\r\n"), Ok((vec![], true, vec![])));
    }

    #[test]
    fn content_is_complete_at_its_last_byte_and_not_before() {
        let input = b"3\r\nabc\r\n0\r\nA: b\r\n\r\n";
        for length in 0..input.len() {
            let (data, is_complete, left) = chunked(&input[..length]).expect("a good beginning");
            assert!(!is_complete && left.is_empty() && b"abc".starts_with(&data), "{length}");
        }
        let (mut reader, mut data) = (ContentReader::of_length(3), Vec::new());
        let mut input = &b"ab"[..];
        reader.push(&mut input, &mut data).expect("any byte");
        assert!(!reader.is_complete() && !reader.ends_with_connection());
        let mut input = &b"cd"[..];
        reader.push(&mut input, &mut data).expect("any byte");
        assert!(reader.is_complete());
        assert_eq!((&data[..], input, reader.taken()), (&b"abc"[..], &b"d"[..], 3));
        assert!(ContentReader::of_length(0).is_complete());
        let mut reader = ContentReader::until_close();
        let mut input = &b"anything"[..];
        reader.push(&mut input, &mut data).expect("any byte");
        assert_eq!((&data[..], input), (&b"abcanything"[..], &b""[..]));
        assert!(reader.ends_with_connection() && !reader.is_complete());
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused_where_it_stands() {
        for (input, at, what) in [
            (&b"\r\n"[..], 0, "chunk size"),
            (b"x", 0, "chunk size"),
            (b"-1\r\n", 0, "chunk size"),
            (b" 3\r\nabc", 0, "chunk size"),
            (b"0x3\r\nabc", 1, "chunk size"),
            (b"3 3\r\nabc", 2, "chunk size"),
            (b"3\nabc\r\n", 1, "chunk size"),
            (b"3 \nabc\r\n", 2, "chunk size"),
            (b"3;a\nabc\r\n", 3, "chunk extension"),
            (b"3;\0\r\nabc\r\n", 2, "chunk extension"),
            (b"3\r\rabc", 2, "end of a chunk's size"),
            (b"3;a\rb\n", 4, "end of a chunk's size"),
            (b"3\r\nabcd\r\n", 6, "end of a chunk"),
            (b"3\r\nabc\n", 6, "end of a chunk"),
            (b"3\r\nabc\r\r", 7, "end of a chunk"),
            (b"0\r\nA: b\n\r\n", 7, "field behind the content"),
            (b"0\r\n\n", 3, "field behind the content"),
            (b"0\r\n\r\r", 4, "field behind the content"),
            (b"10000000000000000\r\n", 16, "chunk size"),
            (b"00000000000000001\r\n", 16, "chunk size"),
        ] {
            assert_eq!(chunked(input), Err(Refusal::malformed(at, what)), "{input:?}");
        }
        let (data, is_complete, _) = chunked(b"FFFFFFFFFFFFFFFF\r\nab").expect("a large chunk");
        assert_eq!((&data[..], is_complete), (&b"ab"[..], false));
    }

    #[test]
    fn lines_without_end_are_refused_and_the_limit_is_inclusive() {
        let read = |input: &[u8]| read(input, 1_000).map(|(_, is_complete, _)| is_complete);
        let is_unsupported = |result: Result<bool, Refusal>, status| {
            let refusal = result.expect_err("too long");
            refusal.status == status && matches!(refusal.error, Error::Unsupported(_))
        };
        for start in ["0;", "0 "] {
            let line = |bytes: usize| [start.as_bytes(), &vec![b' '; bytes], b"\r\n\r\n"].concat();
            assert_eq!(read(&line(4 << 10)), Ok(true));
            assert!(is_unsupported(read(&line((4 << 10) + 1)), 400));
        }
        let fields = |count: usize| [b"0\r\n", &b"A: bcde\r\n".repeat(count)[..], b"\r\n"].concat();
        assert_eq!(read(&fields((8 << 10) / 7)), Ok(true));
        assert!(is_unsupported(read(&fields((8 << 10) / 7 + 1)), 431));
    }
}
