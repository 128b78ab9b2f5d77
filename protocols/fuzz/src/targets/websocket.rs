//! WebSocket frames of a client that sends anything.
//!
//! Byte 0: the size of the pieces in which the rest arrives, 0 for one piece.

use corelay_protocols::http::Error;
use corelay_protocols::http::websocket::{FrameReader, Incoming, Opcode};

/// What is read must not depend on how the input is cut, and it must be read again from frames that
/// are written anew.
pub fn run(data: &[u8]) {
    let [piece_bytes, input @ ..] = data else { return };
    let whole = read(input, input.len());
    assert_eq!(whole, read(input, usize::from(*piece_bytes)));
    let written: Vec<u8> = whole.0.iter().flat_map(client_frame).collect();
    assert_eq!(read(&written, 7), (whole.0, None));
}

/// Everything that is whole, and the error that ended it.
fn read(input: &[u8], piece_bytes: usize) -> (Vec<Incoming>, Option<Error>) {
    let mut reader = FrameReader::new(MESSAGE_BYTES_MAX);
    let (mut all, mut bytes_given) = (Vec::new(), 0);
    for mut piece in input.chunks(piece_bytes.max(1)) {
        bytes_given += piece.len() as u64;
        loop {
            match reader.push(&mut piece) {
                Ok(Some(incoming)) => all.push(incoming),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
        assert_eq!(reader.bytes_read(), bytes_given);
    }
    (all, None)
}

/// A frame with a mask of zeros, in its shortest form.
fn client_frame(incoming: &Incoming) -> Vec<u8> {
    let (opcode, payload) = match incoming {
        Incoming::Ping(payload) => (Opcode::Ping, payload.clone()),
        Incoming::Pong(payload) => (Opcode::Pong, payload.clone()),
        Incoming::Close(code) => {
            (Opcode::Close, code.map_or(vec![], |code| code.to_be_bytes().to_vec()))
        }
        Incoming::Message { opcode, payload_bytes } => (*opcode, vec![0; *payload_bytes as usize]),
    };
    let mut frame = vec![0x80 | opcode.bits()];
    if payload.len() <= 125 {
        frame.push(0x80 | payload.len() as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&payload);
    frame
}

const MESSAGE_BYTES_MAX: u64 = 1_000;
