//! The handshake: three fixed-size packets each way (Adobe RTMP 1.0, 5.2), and the digest form that
//! Flash Player 9 and Flash Media Server 3 added to it.
//!
//! ```text
//!  client                                   server
//!  C0 version(1) C1 time(4) version(4) random(1528)  ->
//!                                           <- S0(1) S1(1536) S2(1536)
//!  C2(1536)                                 ->
//! ```
//! In the plain form the version field of C1 is zero and S2 and C2 echo C1 and S1. In the digest
//! form the version field is not zero, C1 and S1 carry an HMAC at a place computed from four of
//! their bytes ([`digest`]), and S2 and C2 are signed with it.
//!
//! Invariants
//! - Nothing behind the handshake is consumed: a peer may send its first chunk with C2.
//! - The buffer of a packet is allocated when its first byte arrives and freed when it is answered;
//!   a connection that says nothing costs nothing here.
//! - The random bytes come from the caller's seed by a small generator ([`random`]). They fill the
//!   packets; no secret depends on them, and the digest keys are public constants: the digest
//!   proves that both sides know the convention, not who they are. So digests are compared with
//!   `==`; a comparison in constant time would protect nothing.

use bytes::BytesMut;

use super::error::Error;

pub mod client;
pub mod digest;
pub mod random;
pub mod server;

pub use client::{ClientHandshake, Style};
pub use server::ServerHandshake;

/// Bytes of C1, S1, C2 and S2.
pub const PACKET_BYTES: usize = 1536;

/// The version of plain RTMP: C0 and S0.
pub const VERSION_PLAIN: u8 = 3;

/// What a `push` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belong to the handshake.
    pub consumed: usize,
    /// The handshake is complete: the rest of the input is chunk stream.
    pub done: bool,
}

/// C1, S1, C2 or S2.
type Packet = [u8; PACKET_BYTES];

/// Bytes of a packet's version field.
const VERSION_FIELD: std::ops::Range<usize> = 4..8;

/// Collects one packet, however it is cut.
#[derive(Debug, Default)]
struct Collector {
    bytes: Vec<u8>,
}

impl Collector {
    /// Takes what the packet lacks from the front of `input`; the packet when it is complete.
    fn take(&mut self, input: &mut &[u8]) -> Option<Box<Packet>> {
        if !input.is_empty() {
            self.bytes.reserve_exact(PACKET_BYTES - self.bytes.len());
        }
        let (now, later) = input.split_at(input.len().min(PACKET_BYTES - self.bytes.len()));
        self.bytes.extend_from_slice(now);
        *input = later;
        if self.bytes.len() < PACKET_BYTES {
            return None;
        }
        std::mem::take(&mut self.bytes).into_boxed_slice().try_into().ok()
    }
}

/// Takes one byte from the front of `input`.
fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

/// Takes up to `left` bytes from the front of `input`; how many are still left.
fn skip(input: &mut &[u8], left: usize) -> usize {
    let taken = left.min(input.len());
    *input = input.get(taken..).unwrap_or_default();
    left - taken
}

/// Writes a version byte and a packet.
fn put_packet(out: &mut BytesMut, version: Option<u8>, packet: &Packet) {
    out.extend_from_slice(version.as_slice());
    out.extend_from_slice(packet);
}

/// Checks C0 or S0; `rest` is what came with it, which tells what an alien peer is.
fn check_version(version: u8, rest: &[u8]) -> Result<(), Error> {
    let what = match version {
        VERSION_PLAIN => return Ok(()),
        6 | 8 | 9 => return Err(Error::Unsupported("RTMPE, the encrypted handshake")),
        _ if is_http(version, rest) => "handshake: not RTMP but HTTP on the RTMP port",
        0x16 => "handshake: not RTMP but TLS on the RTMP port (RTMPS has its own)",
        b'G' if rest.get(187) == Some(&b'G') => "handshake: not RTMP but a transport stream",
        _ => "handshake: not RTMP",
    };
    Err(Error::Malformed { at: 0, what })
}

/// The first bytes are those of an HTTP method or of an HTTP reply; three tell them apart from
/// chance.
fn is_http(first: u8, rest: &[u8]) -> bool {
    let Some(rest) = rest.get(..2) else { return false };
    let starts = [b"GET", b"POS", b"PUT", b"HEA", b"OPT", b"DEL", b"CON", b"PRI", b"HTT"];
    starts.iter().any(|start| start[0] == first && start[1..] == *rest)
}

#[cfg(test)]
mod tests;
