//! The server's side of the handshake.

use bytes::BytesMut;

use super::digest::{self, Digest, Scheme, Side};
use super::random::Random;
use super::{
    Collector, PACKET_BYTES, Packet, Progress, VERSION_FIELD, VERSION_PLAIN, check_version,
    put_packet, skip, take_byte,
};
use crate::rtmp::error::Error;

/// The server's side of the handshake; legal order: `push` until it is done.
///
/// C1 with a valid digest is answered with a digest of the same scheme. C1 without one is answered
/// plainly, also when its version field promises one: some encoders set the field and send no
/// digest. C2 is counted, not compared: clients are known that do not echo S1.
#[derive(Debug)]
pub struct ServerHandshake {
    random: Random,
    state: State,
}

#[derive(Debug)]
enum State {
    C0,
    C1(Collector),
    /// Bytes of C2 still to come.
    C2(usize),
    Done,
}

impl ServerHandshake {
    /// A handshake whose filler comes from `seed`.
    pub fn new(seed: [u8; 8]) -> Self {
        Self { random: Random::new(seed), state: State::C0 }
    }

    /// Takes the client's bytes and appends the answer to `out`.
    ///
    /// # Errors
    /// `Unsupported` for RTMPE, `Malformed` for a peer that does not speak RTMP; nothing is
    /// answered to either.
    pub fn push(&mut self, input: &[u8], out: &mut BytesMut) -> Result<Progress, Error> {
        let mut rest = input;
        loop {
            match &mut self.state {
                State::C0 => {
                    let Some(version) = take_byte(&mut rest) else { break };
                    check_version(version, rest)?;
                    self.state = State::C1(Collector::default());
                }
                State::C1(collector) => {
                    let Some(c1) = collector.take(&mut rest) else { break };
                    self.answer(c1, out);
                    self.state = State::C2(PACKET_BYTES);
                }
                State::C2(left) => {
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

    /// Writes S0, S1 and S2.
    fn answer(&mut self, c1: Box<Packet>, out: &mut BytesMut) {
        let has_digest = c1.get(VERSION_FIELD).is_some_and(|version| version != [0; 4]);
        let found = if has_digest { digest::find(&c1, Side::Client, Scheme::Zero) } else { None };
        out.reserve(1 + 2 * PACKET_BYTES);
        match found {
            Some((scheme, c1_digest)) => self.answer_digest(scheme, &c1_digest, out),
            None => {
                put_packet(out, Some(VERSION_PLAIN), &self.packet([0; 4]));
                put_packet(out, None, &c1);
            }
        }
    }

    fn answer_digest(&mut self, scheme: Scheme, c1_digest: &Digest, out: &mut BytesMut) {
        let mut s1 = self.packet(SERVER_VERSION);
        digest::imprint(&mut s1, Side::Server, scheme);
        put_packet(out, Some(VERSION_PLAIN), &s1);
        let mut s2 = [0; PACKET_BYTES];
        self.random.fill(&mut s2);
        digest::sign(&mut s2, Side::Server, c1_digest);
        put_packet(out, None, &s2);
    }

    /// S1 before its digest: time 0, a version, filler.
    fn packet(&mut self, version: [u8; 4]) -> Packet {
        let mut packet = [0; PACKET_BYTES];
        packet[VERSION_FIELD].copy_from_slice(&version);
        self.random.fill(&mut packet[8..]);
        packet
    }
}

/// The version in an S1 with digest. ffmpeg looks for a digest from 3 on, and Flash Player takes
/// H.264 from servers from 3.0.1 on; 4.5.0.1 is a release of Flash Media Server that every client
/// knows.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
