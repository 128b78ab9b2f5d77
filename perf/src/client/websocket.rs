//! WebSocket frames from a server (RFC 6455 5).

use bytes::Bytes;

/// Takes frames apart, split anywhere.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    frame: Option<Frame>,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    left: u64,
}

impl Frames {
    /// Passes on the data in `input`, and the answers to pings.
    pub(super) fn take(
        &mut self,
        mut input: &[u8],
        mut answer: impl FnMut(Bytes),
        mut data: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let Some(frame) = &mut self.frame else {
                let Some((byte, rest)) = input.split_first() else { return Ok(()) };
                input = rest;
                self.head.push(*byte);
                self.frame = parse_head(&self.head)?;
                continue;
            };
            let now = usize::try_from(frame.left).unwrap_or(usize::MAX).min(input.len());
            let (bytes, rest) = input.split_at(now);
            input = rest;
            frame.left -= now as u64;
            let Frame { opcode, left } = *frame;
            match opcode {
                opcode::CONTINUATION | opcode::BINARY => data(bytes)?,
                opcode::CLOSE => return Err("the server closed the WebSocket".to_owned()),
                _ => self.control.extend_from_slice(bytes),
            }
            if left > 0 {
                return Ok(());
            }
            if opcode == opcode::PING {
                answer(pong(&self.control));
            }
            self.control.clear();
            self.head.clear();
            self.frame = None;
        }
    }
}

/// A frame's head; `None` until it is whole.
fn parse_head(head: &[u8]) -> Result<Option<Frame>, String> {
    let [first, second, rest @ ..] = head else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err("the server masked a frame".to_owned());
    }
    let left = match (second & 0x7F, rest.len()) {
        (length @ 0..=125, _) => u64::from(length),
        (126, 2) => rest.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        (127, 8) => rest.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        _ => return Ok(None),
    };
    let opcode = first & 0x0F;
    if opcode > opcode::BINARY && left > 125 {
        return Err("a control frame is too long".to_owned());
    }
    Ok(Some(Frame { opcode, left }))
}

/// Masked, as a client must, by zero, which leaves the payload as it is.
fn pong(payload: &[u8]) -> Bytes {
    let length = u8::try_from(payload.len()).unwrap_or(125) & 0x7F;
    let mut frame = vec![0x80 | opcode::PONG, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame.into()
}

/// RFC 6455 11.8.
mod opcode {
    pub(super) const CONTINUATION: u8 = 0;
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(input: &[u8], split: usize) -> Result<(Vec<u8>, Vec<Bytes>), String> {
        let (mut frames, mut out, mut answers) = (Frames::default(), Vec::new(), Vec::new());
        for part in [&input[..split], &input[split..]] {
            frames.take(
                part,
                |bytes| answers.push(bytes),
                |bytes| {
                    out.extend_from_slice(bytes);
                    Ok(())
                },
            )?;
        }
        Ok((out, answers))
    }

    #[test]
    fn data_are_joined_and_pings_answered_wherever_the_input_is_split() {
        let mut input = vec![0x02, 2, b'a', b'b', 0x89, 3, 1, 2, 3, 0x80, 126, 1, 0];
        input.extend([b'c'; 256]);
        input.extend([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, b'd', 0x82, 0]);
        let expected = [&b"ab"[..], &[b'c'; 256], b"d"].concat();
        for split in 0..=input.len() {
            let (data, answers) = take(&input, split).unwrap();
            assert_eq!(data, expected, "{split}");
            assert_eq!(answers, [&[0x8A, 0x83, 0, 0, 0, 0, 1, 2, 3][..]], "{split}");
        }
    }

    #[test]
    fn a_close_and_masked_frames_end_it() {
        assert!(take(&[0x88, 0], 1).is_err());
        assert!(take(&[0x82, 0x81, 0, 0, 0, 0, 1], 1).is_err());
        assert!(take(&[0x89, 126, 1, 0], 1).is_err());
    }
}
