//! Frames from client to server, read in place (RFC 6455 5).
//!
//! A viewer has nothing to say but control frames. Its data messages are checked, counted and
//! passed over; text is not checked to be UTF-8, because nobody reads it.

use std::mem;

use smallvec::SmallVec;

use super::frame::{FIN, LENGTH_7_MAX, LENGTH_16, LENGTH_64, MASKED, Opcode, RESERVED};
use crate::http::Error;

/// Something whole that a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// To be answered by a pong with the same payload.
    Ping(Vec<u8>),
    /// The answer to a ping, or a sign of life.
    Pong(Vec<u8>),
    /// The closing handshake: the code, `None` when the client gave none. Nothing follows it.
    Close(Option<u16>),
    /// A text or binary message, all its fragments; its payload was passed over.
    Message {
        /// Text or binary.
        opcode: Opcode,
        /// Payload bytes.
        payload_bytes: u64,
    },
}

/// Takes the frames of one client apart, wherever the transport has split them.
///
/// Call [`push`](Self::push) until it returns `None`, which it does when the input is used up.
#[derive(Clone, Debug)]
pub struct FrameReader {
    message_bytes_max: u64,
    /// Bytes taken so far: the position of an error.
    position: u64,
    /// The head of the frame, as far as it has come.
    head: SmallVec<[u8; HEAD_BYTES_MAX]>,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message whose fragments are being read: its kind and its bytes so far.
    message: Option<(Opcode, u64)>,
    /// The payload of a control frame, unmasked, as far as it has come.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    payload_left: u64,
}

impl FrameReader {
    /// A reader at the start of a frame, for messages of at most `message_bytes_max` bytes.
    pub fn new(message_bytes_max: u64) -> Self {
        Self {
            message_bytes_max,
            position: 0,
            head: SmallVec::new(),
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input` until something is whole; `None`: all were taken.
    ///
    /// # Errors
    /// `Violation` for what RFC 6455 forbids, an unmasked frame above all (5.1); `LimitExceeded`
    /// for a message over the limit, at the frame head that announces it.
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Error> {
        loop {
            let Some(frame) = &mut self.frame else {
                let Some(frame) = self.read_head(input)? else { return Ok(None) };
                self.frame = Some(frame);
                continue;
            };
            let length = usize::try_from(frame.payload_left).unwrap_or(usize::MAX).min(input.len());
            let (payload, rest) = input.split_at(length);
            if frame.opcode.is_control() {
                let mask = frame.mask.iter().cycle().skip(self.control.len() % frame.mask.len());
                self.control.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
            *input = rest;
            self.position += length as u64;
            frame.payload_left -= length as u64;
            if frame.payload_left > 0 {
                return Ok(None);
            }
            let frame = *frame;
            self.frame = None;
            if let Some(incoming) = self.finish(frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Bytes taken so far.
    pub fn bytes_read(&self) -> u64 {
        self.position
    }

    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Error> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.position += 1;
            self.head.push(*byte);
            if let [first, second] = self.head[..] {
                self.check_first_bytes(first, second)?;
            }
            if let Some(frame) = parse_head(&self.head) {
                self.check_length(frame.payload_left)?;
                self.head.clear();
                self.join_message(frame)?;
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn check_first_bytes(&self, first: u8, second: u8) -> Result<(), Error> {
        if first & RESERVED != 0 {
            return Err(Error::Violation("a reserved bit of a WebSocket frame is set"));
        }
        let Some(opcode) = Opcode::from_bits(first & OPCODE) else {
            return Err(Error::Malformed { at: self.position - 2, what: "WebSocket opcode" });
        };
        if second & MASKED == 0 {
            return Err(Error::Violation("a WebSocket frame from a client must be masked"));
        }
        if opcode.is_control() && (first & FIN == 0 || second & !MASKED > LENGTH_7_MAX) {
            return Err(Error::Violation("a WebSocket control frame is fragmented or too long"));
        }
        Ok(())
    }

    fn check_length(&self, payload_bytes: u64) -> Result<(), Error> {
        let shortest_head = match payload_bytes {
            0..=125 => 6,
            126..=0xFFFF => 8,
            _ => HEAD_BYTES_MAX,
        };
        if self.head.len() != shortest_head {
            return Err(Error::Violation("a WebSocket length is not in its shortest form"));
        }
        if payload_bytes >> 63 != 0 {
            return Err(Error::Malformed { at: self.position, what: "WebSocket payload length" });
        }
        Ok(())
    }

    /// Adds a data frame to the message it belongs to (RFC 6455 5.4).
    fn join_message(&mut self, frame: Frame) -> Result<(), Error> {
        let (opcode, bytes) = match (frame.opcode, self.message) {
            (opcode, _) if opcode.is_control() => return Ok(()),
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Continuation, None) => {
                return Err(Error::Violation("a WebSocket continuation without a message"));
            }
            (opcode, None) => (opcode, 0),
            (_, Some(_)) => {
                return Err(Error::Violation("a WebSocket message inside another one"));
            }
        };
        let (value, limit) = (frame.payload_left.saturating_add(bytes), self.message_bytes_max);
        if value > limit {
            let setting = "websocket_message_bytes_max";
            return Err(Error::LimitExceeded { setting, value, limit });
        }
        self.message = Some((opcode, value));
        Ok(())
    }

    /// What is whole now that the payload of `frame` has come to its end.
    fn finish(&mut self, frame: Frame) -> Result<Option<Incoming>, Error> {
        let control = mem::take(&mut self.control);
        Ok(match frame.opcode {
            Opcode::Ping => Some(Incoming::Ping(control)),
            Opcode::Pong => Some(Incoming::Pong(control)),
            Opcode::Close => Some(Incoming::Close(close_code(&control)?)),
            _ if !frame.fin => None,
            _ => self
                .message
                .take()
                .map(|(opcode, payload_bytes)| Incoming::Message { opcode, payload_bytes }),
        })
    }
}

/// Reads a frame head; `None` while it is incomplete.
fn parse_head(head: &[u8]) -> Option<Frame> {
    let (&[first, second], rest) = head.split_first_chunk()?;
    let (payload_left, rest) = match second & !MASKED {
        LENGTH_16 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        LENGTH_64 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        length => (u64::from(length), rest),
    };
    let mask = *rest.first_chunk()?;
    Some(Frame {
        fin: first & FIN != 0,
        opcode: Opcode::from_bits(first & OPCODE)?,
        mask,
        payload_left,
    })
}

/// Reads the payload of a close frame (RFC 6455 5.5.1, 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Error::Violation("a WebSocket close code of one byte")),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Error::Violation("a WebSocket close code that may not be sent"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Error::Violation("a WebSocket close reason that is not UTF-8"));
    }
    Ok(Some(code))
}

/// Two bytes, the longest length, the mask.
const HEAD_BYTES_MAX: usize = 2 + 8 + 4;
/// The opcode's bits of the first byte.
const OPCODE: u8 = 0x0F;

#[cfg(test)]
mod tests;
