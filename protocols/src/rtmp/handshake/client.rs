//! The client's side of the handshake.

use bytes::BytesMut;

use super::digest::{self, Digest, Scheme, Side};
use super::random::Random;
use super::{
    Collector, PACKET_BYTES, Packet, Progress, VERSION_FIELD, VERSION_PLAIN, check_version,
    put_packet, skip, take_byte,
};
use crate::rtmp::error::Error;

/// How the client introduces itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// The handshake of the specification; every server takes it.
    Plain,
    /// With a digest of scheme 1: old servers refuse H.264 without a digest. A server that answers
    /// plainly gets a plain C2.
    #[default]
    Digest,
}

/// The client's side of the handshake; legal order: `start`, then `push` until it is done.
///
/// A server whose digest or signature is wrong is tolerated, as every client does;
/// [`ClientHandshake::is_verified`] tells.
#[derive(Debug)]
pub struct ClientHandshake {
    random: Random,
    style: Style,
    state: State,
    /// The digest in C1, which S2 answers.
    c1_digest: Option<Digest>,
    verified: bool,
}

#[derive(Debug)]
enum State {
    S0,
    S1(Collector),
    /// S2 with a signature to check.
    S2Signed(Collector, Digest),
    /// Bytes of an S2 that merely echoes, still to come.
    S2(usize),
    Done,
}

impl ClientHandshake {
    /// A handshake whose filler comes from `seed`.
    pub fn new(seed: [u8; 8], style: Style) -> Self {
        let random = Random::new(seed);
        Self { random, style, state: State::S0, c1_digest: None, verified: false }
    }

    /// Appends C0 and C1 to `out`.
    pub fn start(&mut self, out: &mut BytesMut) {
        let mut c1 = [0; PACKET_BYTES];
        self.random.fill(&mut c1[8..]);
        if self.style == Style::Digest {
            c1[VERSION_FIELD].copy_from_slice(&CLIENT_VERSION);
            self.c1_digest = Some(digest::imprint(&mut c1, Side::Client, Scheme::One));
        }
        put_packet(out, Some(VERSION_PLAIN), &c1);
    }

    /// Takes the server's bytes and appends C2 to `out`.
    ///
    /// # Errors
    /// `Unsupported` for RTMPE, `Malformed` for a peer that does not speak RTMP.
    pub fn push(&mut self, input: &[u8], out: &mut BytesMut) -> Result<Progress, Error> {
        let mut rest = input;
        loop {
            match &mut self.state {
                State::S0 => {
                    let Some(version) = take_byte(&mut rest) else { break };
                    check_version(version, rest)?;
                    self.state = State::S1(Collector::default());
                }
                State::S1(collector) => {
                    let Some(s1) = collector.take(&mut rest) else { break };
                    self.state = self.answer(s1, out);
                }
                State::S2Signed(collector, c1_digest) => {
                    let Some(s2) = collector.take(&mut rest) else { break };
                    self.verified = digest::is_signed(&s2, Side::Server, c1_digest);
                    self.state = State::Done;
                }
                State::S2(left) => {
                    *left = skip(&mut rest, *left);
                    if *left > 0 {
                        break;
                    }
                    self.state = State::Done;
                }
                State::Done => break,
            }
        }
        let done = matches!(self.state, State::Done);
        Ok(Progress { consumed: input.len() - rest.len(), done })
    }

    /// The server sent a valid digest in S1 and a valid signature in S2.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Writes C2; how to go on.
    fn answer(&mut self, s1: Box<Packet>, out: &mut BytesMut) -> State {
        let found = self.c1_digest.and_then(|c1_digest| {
            let (_, s1_digest) = digest::find(&s1, Side::Server, Scheme::One)?;
            Some((c1_digest, s1_digest))
        });
        let Some((c1_digest, s1_digest)) = found else {
            put_packet(out, None, &s1);
            return State::S2(PACKET_BYTES);
        };
        let mut c2 = [0; PACKET_BYTES];
        self.random.fill(&mut c2);
        digest::sign(&mut c2, Side::Client, &s1_digest);
        put_packet(out, None, &c2);
        State::S2Signed(Collector::default(), c1_digest)
    }
}

/// The version that Flash clients with a digest of scheme 1 send.
const CLIENT_VERSION: [u8; 4] = [128, 0, 7, 2];
