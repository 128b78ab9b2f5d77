//! What a session does with the frames of a WebSocket viewer (RFC 6455 5.5).

use std::mem;

use super::{REPLIES_QUEUED_MAX, Session, State, Timer, Wait};
use crate::http::error::Error;
use crate::http::websocket::{Incoming, Opcode, close_code, write_frame};

impl Session {
    pub(super) fn read_frames(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let closing = matches!(self.state, State::Closing(_));
        let (State::WebSocket(reader) | State::Closing(reader)) = &mut self.state else {
            return Ok(());
        };
        match reader.push(input) {
            Ok(Some(Incoming::Ping(payload))) if !closing => self.pong(&payload),
            Ok(Some(Incoming::Close(code))) => {
                if !closing {
                    let code = code.map(u16::to_be_bytes);
                    let payload = code.as_ref().map_or(&[][..], |code| code);
                    write_frame(Opcode::Close, payload, self.output.buffer());
                }
                self.finish();
            }
            Ok(_) => {}
            Err(error) => {
                if !closing {
                    let code = close_code_of(&error).to_be_bytes();
                    write_frame(Opcode::Close, &code, self.output.buffer());
                }
                self.end();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Answers a ping. While answers are queued that nobody fetches, further pings go unanswered,
    /// as RFC 6455 5.5.3 allows.
    fn pong(&mut self, payload: &[u8]) {
        if self.replies_queued < REPLIES_QUEUED_MAX {
            self.replies_queued += 1;
            write_frame(Opcode::Pong, payload, self.output.buffer());
        }
    }

    pub(super) fn close(&mut self, code: u16) {
        match mem::replace(&mut self.state, State::Ended) {
            State::WebSocket(reader) => {
                write_frame(Opcode::Close, &code.to_be_bytes(), self.output.buffer());
                self.state = State::Closing(reader);
                self.timer = Some(Timer { wait: Wait::Close, at: None });
            }
            _ => self.finish(),
        }
    }
}

fn close_code_of(error: &Error) -> u16 {
    match error {
        Error::LimitExceeded { .. } => close_code::MESSAGE_TOO_BIG,
        _ => close_code::PROTOCOL_ERROR,
    }
}
