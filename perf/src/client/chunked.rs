//! The chunked transfer coding (RFC 9112 7.1), as SRS and others send live streams.

/// Takes chunks apart, split anywhere.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// The size so far, and whether its digits are over (an extension may follow).
    #[default]
    Start,
    Size {
        bytes: u64,
        digits_over: bool,
    },
    Data {
        left: u64,
    },
    /// Behind the data of a chunk, before the line feed.
    Behind,
}

impl Chunked {
    /// Passes on the data in `input`.
    pub(super) fn take(
        &mut self,
        mut input: &[u8],
        mut data: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        while !input.is_empty() {
            if let State::Data { left } = self.state {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let (bytes, rest) = input.split_at(now);
                data(bytes)?;
                input = rest;
                let left = left - now as u64;
                self.state = if left == 0 { State::Behind } else { State::Data { left } };
                continue;
            }
            let Some((byte, rest)) = input.split_first() else { break };
            input = rest;
            self.take_framing(*byte)?;
        }
        Ok(())
    }

    fn take_framing(&mut self, byte: u8) -> Result<(), String> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        self.state = match (&self.state, digit, byte) {
            (State::Start, Some(digit), _) => State::Size { bytes: digit, digits_over: false },
            (State::Size { bytes, digits_over: false }, Some(digit), _) => {
                if *bytes > CHUNK_BYTES_MAX {
                    return Err("a chunk is too large".to_owned());
                }
                State::Size { bytes: bytes << 4 | digit, digits_over: false }
            }
            (State::Size { bytes: 0, .. }, _, b'\n') => {
                return Err("the server ended the body".to_owned());
            }
            (State::Size { bytes, .. }, _, b'\n') => State::Data { left: *bytes },
            (State::Size { bytes, .. }, ..) => State::Size { bytes: *bytes, digits_over: true },
            (State::Behind, _, b'\n') => State::Start,
            (State::Behind, _, b'\r') => State::Behind,
            _ => return Err("the chunked body is malformed".to_owned()),
        };
        Ok(())
    }
}

/// Far more than a live server gathers; it keeps the size from overflowing.
const CHUNK_BYTES_MAX: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn take(input: &[u8]) -> Result<Vec<u8>, String> {
        let (mut chunked, mut out) = (Chunked::default(), Vec::new());
        for byte in input {
            chunked.take(&[*byte], |bytes| {
                out.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        Ok(out)
    }

    // The example of RFC 9112 7.1, cut before its last chunk.
    #[test]
    fn chunks_are_joined() {
        assert_eq!(take(b"4\r\nWiki\r\n5;a=b\r\npedia\r\n").unwrap(), b"Wikipedia");
    }

    #[test]
    fn the_last_chunk_and_nonsense_end_the_body() {
        assert!(take(b"4\r\nWiki\r\n0\r\n").unwrap_err().contains("ended"));
        assert!(take(b"x").is_err());
        assert!(take(b"1\r\nab").is_err());
        assert!(take(b"ffffffffffffffffff").is_err());
    }
}
