//! The body of a response, as its framing says (RFC 9112 6 and 7.1).
//!
//! Invariants
//! - Data are slices of what was pushed; nothing is held back and nothing is copied.
//! - However the input is cut, the same bytes come out.

use bytes::Bytes;

use super::error::Error;

/// Takes the framing off a body.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// Bytes taken so far, framing included.
    taken: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Data until the connection ends.
    UntilClose,
    /// So many bytes of data.
    Length(u64),
    /// The size of a chunk, `digits` of which have come.
    Size { value: u64, digits: u32 },
    /// The rest of the line with this size.
    SizeEnd { value: u64, line_bytes: usize },
    /// So many bytes of a chunk's data.
    Data(u64),
    /// The line break behind a chunk's data.
    DataEnd { has_return: bool },
    /// The fields behind the last chunk, which are passed over.
    Trailer { line_bytes: usize, bytes: usize },
    /// Everything is there.
    Complete,
}

impl Body {
    /// A body that ends with the connection.
    pub(super) fn until_close() -> Self {
        Self { state: State::UntilClose, taken: 0 }
    }

    /// A body of so many bytes.
    pub(super) fn of_length(bytes: u64) -> Self {
        let state = if bytes == 0 { State::Complete } else { State::Length(bytes) };
        Self { state, taken: 0 }
    }

    /// A body in chunks.
    pub(super) fn chunked() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, taken: 0 }
    }

    /// True once everything is there.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// True when the end of the connection is the end of the body.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Bytes taken so far, framing included.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes what arrived, and hands out the data in it. What follows a complete body is dropped.
    pub(super) fn push(
        &mut self,
        mut piece: Bytes,
        mut on_data: impl FnMut(Bytes),
    ) -> Result<(), Error> {
        while !piece.is_empty() && !self.is_complete() {
            match self.state {
                State::UntilClose => {
                    self.taken += piece.len() as u64;
                    on_data(std::mem::take(&mut piece));
                }
                State::Length(left) => {
                    on_data(self.split_data(&mut piece, left, State::Length, State::Complete));
                }
                State::Data(left) => {
                    let end = State::DataEnd { has_return: false };
                    on_data(self.split_data(&mut piece, left, State::Data, end));
                }
                _ => self.take_framing(&mut piece)?,
            }
        }
        Ok(())
    }

    /// Takes up to `left` bytes of data.
    fn split_data(
        &mut self,
        piece: &mut Bytes,
        left: u64,
        more: fn(u64) -> State,
        end: State,
    ) -> Bytes {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let left = left - count as u64;
        self.state = if left == 0 { end } else { more(left) };
        self.taken += count as u64;
        piece.split_to(count)
    }

    /// Takes bytes between the data of two chunks.
    fn take_framing(&mut self, piece: &mut Bytes) -> Result<(), Error> {
        let mut count = 0;
        for &byte in piece.iter() {
            self.state = step(self.state, byte, self.taken)?;
            self.taken += 1;
            count += 1;
            if matches!(self.state, State::Data(_) | State::Complete) {
                break;
            }
        }
        let _framing = piece.split_to(count);
        Ok(())
    }
}

/// One byte of framing. `at` is its position in the body.
fn step(state: State, byte: u8, at: u64) -> Result<State, Error> {
    let malformed = |what| Err(Error::Malformed { at, what });
    match (state, byte) {
        (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
            let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
            // Leading zeros do not count, or a size could go on for ever.
            if digits >= SIZE_DIGITS_MAX {
                return malformed("chunk size");
            }
            Ok(State::Size { value: value << 4 | digit, digits: digits + 1 })
        }
        (State::Size { digits: 0, .. }, _) => malformed("chunk size"),
        (State::Size { value, .. }, b'\n') => Ok(chunk(value)),
        (State::Size { value, .. }, b'\r' | b';' | b' ' | b'\t') => {
            Ok(State::SizeEnd { value, line_bytes: 0 })
        }
        (State::Size { .. }, _) => malformed("chunk size"),
        (State::SizeEnd { value, .. }, b'\n') => Ok(chunk(value)),
        (State::SizeEnd { line_bytes, .. }, _) if line_bytes >= LINE_BYTES_MAX => {
            Err(Error::Unsupported("a chunk extension of more than 4,096 bytes"))
        }
        (State::SizeEnd { value, line_bytes }, _) => {
            Ok(State::SizeEnd { value, line_bytes: line_bytes + 1 })
        }
        (State::DataEnd { .. }, b'\n') => Ok(State::Size { value: 0, digits: 0 }),
        (State::DataEnd { has_return: false }, b'\r') => Ok(State::DataEnd { has_return: true }),
        (State::DataEnd { .. }, _) => malformed("end of a chunk"),
        (State::Trailer { bytes, .. }, _) if bytes >= TRAILER_BYTES_MAX => {
            Err(Error::Unsupported("fields of more than 16,384 bytes behind the body"))
        }
        (State::Trailer { line_bytes: 0, .. }, b'\n') => Ok(State::Complete),
        (State::Trailer { bytes, .. }, b'\n') => {
            Ok(State::Trailer { line_bytes: 0, bytes: bytes + 1 })
        }
        (State::Trailer { line_bytes, bytes }, b'\r') => {
            Ok(State::Trailer { line_bytes, bytes: bytes + 1 })
        }
        (State::Trailer { line_bytes, bytes }, _) => {
            Ok(State::Trailer { line_bytes: line_bytes + 1, bytes: bytes + 1 })
        }
        (State::UntilClose | State::Length(_) | State::Data(_) | State::Complete, _) => Ok(state),
    }
}

fn chunk(size: u64) -> State {
    match size {
        0 => State::Trailer { line_bytes: 0, bytes: 0 },
        size => State::Data(size),
    }
}

/// As many as a 64-bit number has.
const SIZE_DIGITS_MAX: u32 = 16;
/// Extensions are nearly unknown in the field.
const LINE_BYTES_MAX: usize = 4096;
/// As much as a head has by default.
const TRAILER_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &mut Body, input: &[u8], piece_bytes: usize) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        for piece in input.chunks(piece_bytes) {
            body.push(Bytes::copy_from_slice(piece), |bytes| {
                assert!(!bytes.is_empty(), "an empty piece of data");
                data.extend_from_slice(&bytes);
            })?;
        }
        Ok(data)
    }

    fn chunked(input: &[u8]) -> Result<(Vec<u8>, bool), Error> {
        let mut body = Body::chunked();
        let data = decode(&mut body, input, input.len().max(1))?;
        let whole = (data, body.is_complete());
        for piece_bytes in 1..input.len() {
            let mut body = Body::chunked();
            let data = decode(&mut body, input, piece_bytes)?;
            assert_eq!((data, body.is_complete()), whole, "in pieces of {piece_bytes}");
        }
        Ok(whole)
    }

    #[test]
    fn chunks_with_extensions_and_trailers_give_their_data() {
        // RFC 9112 7.1, written by hand.
        let input =
            b"4\r\nWiki\r\nA;x=\"y\"\r\npedia in\r\n\r\n00E \r\n14 bytes so far\r\n".to_vec();
        let input = [&input[..], b"0\r\nExpires: never\r\nX:\r\n\r\nmore"].concat();
        // The third chunk says 14 and has 15: the break behind it is not one.
        assert_eq!(chunked(&input), Err(Error::Malformed { at: 50, what: "end of a chunk" }));
        let input = b"4\r\nWiki\r\nA;x=\"y\"\r\npedia in\r\n\r\n00E \r\n14 bytes so fa\r\n";
        let input = [&input[..], b"0\r\nExpires: never\r\nX:\r\n\r\nmore"].concat();
        let expected = b"Wikipedia in\r\n14 bytes so fa".to_vec();
        assert_eq!(chunked(&input), Ok((expected, true)));
    }

    #[test]
    fn lines_that_end_with_a_line_feed_alone_are_taken() {
        assert_eq!(chunked(b"3\nabc\n0\n\n"), Ok((b"abc".to_vec(), true)));
    }

    #[test]
    fn a_body_is_complete_at_its_last_byte_and_not_before() {
        let input = b"3\r\nabc\r\n0\r\n\r\n";
        for length in 0..input.len() {
            let (data, complete) = chunked(&input[..length]).expect("a good beginning");
            assert!(!complete && b"abc".starts_with(&data), "{length}");
        }
        let mut body = Body::of_length(3);
        assert_eq!(decode(&mut body, b"ab", 1), Ok(b"ab".to_vec()));
        assert!(!body.is_complete());
        assert_eq!(decode(&mut body, b"cd", 2), Ok(b"c".to_vec()), "what follows is dropped");
        assert!(body.is_complete() && Body::of_length(0).is_complete());
        assert_eq!(body.taken(), 3);
        let mut body = Body::until_close();
        assert_eq!(decode(&mut body, b"anything", 3), Ok(b"anything".to_vec()));
        assert!(body.ends_with_connection() && !body.is_complete());
    }

    #[test]
    fn what_is_no_chunk_is_refused_where_it_stands() {
        for (input, at, what) in [
            (&b"\r\n"[..], 0, "chunk size"),
            (b"x", 0, "chunk size"),
            (b"-1\r\n", 0, "chunk size"),
            (b"0x3\r\nabc", 1, "chunk size"),
            (b"3\r\nabcd\r\n", 6, "end of a chunk"),
            (b"3\r\nabc\r\r", 7, "end of a chunk"),
            (b"10000000000000000\r\n", 16, "chunk size"),
            (b"00000000000000001\r\n", 16, "chunk size"),
        ] {
            assert_eq!(chunked(input), Err(Error::Malformed { at, what }), "{input:?}");
        }
        assert_eq!(chunked(b"FFFFFFFFFFFFFFFF\r\nab"), Ok((b"ab".to_vec(), false)));
    }

    #[test]
    fn lines_without_end_are_refused() {
        let extension = [b"3;".to_vec(), vec![b'x'; LINE_BYTES_MAX + 1]].concat();
        assert!(matches!(
            decode(&mut Body::chunked(), &extension, 100),
            Err(Error::Unsupported(_))
        ));
        let fields = [b"0\r\n".to_vec(), b"X: y\r\n".repeat(TRAILER_BYTES_MAX / 6 + 1)].concat();
        assert!(matches!(decode(&mut Body::chunked(), &fields, 100), Err(Error::Unsupported(_))));
    }
}
