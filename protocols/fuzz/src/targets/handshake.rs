//! Both sides of the handshake against any peer.
//!
//! Byte 0: bit 0 client or server, bit 1 the client's style. Byte 1: the size of the pieces in
//! which the rest arrives, 0 for one piece.

use bytes::BytesMut;
use corelay_protocols::rtmp::Error;
use corelay_protocols::rtmp::handshake::{ClientHandshake, Progress, ServerHandshake, Style};

/// The outcome must not depend on how the input is cut, and nothing behind the handshake is taken.
pub fn run(data: &[u8]) {
    let [mode, piece_bytes, input @ ..] = data else { return };
    let whole = exchange(*mode, input, input.len());
    if let Ok((progress, _)) = &whole {
        assert!(progress.consumed <= 1 + 2 * 1536);
        assert_eq!(progress.done, progress.consumed == 1 + 2 * 1536);
        let pieces = exchange(*mode, input, usize::from(*piece_bytes).max(1));
        assert_eq!(whole, pieces);
    }
}

/// All that was consumed and answered.
fn exchange(mode: u8, input: &[u8], piece_bytes: usize) -> Result<(Progress, BytesMut), Error> {
    let mut out = BytesMut::new();
    let mut side = Side::new(mode, &mut out);
    let mut total = Progress { consumed: 0, done: false };
    for piece in input.chunks(piece_bytes.max(1)) {
        let progress = side.push(piece, &mut out)?;
        assert!(progress.done || progress.consumed == piece.len());
        total = Progress { consumed: total.consumed + progress.consumed, done: progress.done };
    }
    Ok((total, out))
}

enum Side {
    Client(ClientHandshake),
    Server(ServerHandshake),
}

impl Side {
    fn new(mode: u8, out: &mut BytesMut) -> Self {
        if mode & 1 == 0 {
            return Self::Server(ServerHandshake::new([7; 8]));
        }
        let style = if mode & 2 == 0 { Style::Plain } else { Style::Digest };
        let mut client = ClientHandshake::new([7; 8], style);
        client.start(out);
        Self::Client(client)
    }

    fn push(&mut self, input: &[u8], out: &mut BytesMut) -> Result<Progress, Error> {
        match self {
            Self::Client(client) => client.push(input, out),
            Self::Server(server) => server.push(input, out),
        }
    }
}
