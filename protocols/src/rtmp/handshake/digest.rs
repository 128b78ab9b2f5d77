//! Digests in handshake packets: where they are and what they cover.
//!
//! Not in Adobe's specification; this is the form that Flash Player, Flash Media Server and their
//! successors exchange. All HMACs are HMAC-SHA256 (RFC 2104).
//!
//! ```text
//!  scheme 0   time(4) version(4) [offset(4) .. digest(32) ..](764) key block(764)
//!  scheme 1   time(4) version(4) key block(764) [offset(4) .. digest(32) ..](764)
//! ```
//! The digest lies at (sum of the four offset bytes) mod 728 behind them. It covers the packet
//! without itself. S2 and C2 end in a signature over their first 1504 bytes, keyed with an HMAC of
//! the digest that the peer sent.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{PACKET_BYTES, Packet};

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// An HMAC-SHA256 value.
pub type Digest = [u8; DIGEST_BYTES];

/// Where a packet keeps its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the first 764-byte block.
    Zero,
    /// In the second 764-byte block.
    One,
}

/// Who made a packet: the key of its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client: "Genuine Adobe Flash Player 001".
    Client,
    /// The server: "Genuine Adobe Flash Media Server 001".
    Server,
}

impl Side {
    /// The key of the digest in C1 or S1: the text.
    fn digest_key(self) -> &'static [u8] {
        match self {
            Self::Client => CLIENT_TEXT,
            Self::Server => SERVER_TEXT,
        }
    }

    /// The key of the signature in C2 or S2, which answers `digest` of the other side.
    fn signature_key(self, digest: &Digest) -> Digest {
        let key = [self.digest_key(), &KEY_TAIL].concat();
        hmac(&key, &[digest])
    }
}

/// Finds the digest of `packet`, made by `side`; `first` is the scheme to try first.
pub fn find(packet: &Packet, side: Side, first: Scheme) -> Option<(Scheme, Digest)> {
    let second = if first == Scheme::Zero { Scheme::One } else { Scheme::Zero };
    [first, second].into_iter().find_map(|scheme| {
        let (before, digest, after) = split(packet, scheme)?;
        let expected = hmac(side.digest_key(), &[before, after]);
        (*digest == expected).then_some((scheme, expected))
    })
}

/// Puts `side`'s digest into `packet` at the place of `scheme`, and returns it.
pub fn imprint(packet: &mut Packet, side: Side, scheme: Scheme) -> Digest {
    let Some((before, _, after)) = split(packet, scheme) else {
        return Digest::default();
    };
    let digest = hmac(side.digest_key(), &[before, after]);
    let at = before.len();
    if let Some(place) = packet.get_mut(at..at + DIGEST_BYTES) {
        place.copy_from_slice(&digest);
    }
    digest
}

/// Signs `packet`, made by `side` in answer to the other side's `digest`, in its last 32 bytes.
pub fn sign(packet: &mut Packet, side: Side, digest: &Digest) {
    let (body, signature) = packet.split_at_mut(PACKET_BYTES - DIGEST_BYTES);
    signature.copy_from_slice(&hmac(&side.signature_key(digest), &[body]));
}

/// Tells whether `packet` is signed by `side` in answer to `digest`.
pub fn is_signed(packet: &Packet, side: Side, digest: &Digest) -> bool {
    let (body, signature) = packet.split_at(PACKET_BYTES - DIGEST_BYTES);
    signature == hmac(&side.signature_key(digest), &[body])
}

/// The packet before, at and after the digest of `scheme`.
fn split(packet: &Packet, scheme: Scheme) -> Option<(&[u8], &Digest, &[u8])> {
    let offset_at = match scheme {
        Scheme::Zero => 8,
        Scheme::One => 772,
    };
    let offset_bytes = packet.get(offset_at..offset_at + 4)?;
    let offset: usize = offset_bytes.iter().map(|byte| usize::from(*byte)).sum();
    let (before, rest) = packet.split_at_checked(offset_at + 4 + offset % OFFSET_MODULUS)?;
    let (digest, after) = rest.split_first_chunk()?;
    Some((before, digest, after))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A block of 764 bytes less its 4 offset bytes less the digest: the digest never leaves its block.
const OFFSET_MODULUS: usize = 764 - 4 - DIGEST_BYTES;

const CLIENT_TEXT: &[u8] = b"Genuine Adobe Flash Player 001";
const SERVER_TEXT: &[u8] = b"Genuine Adobe Flash Media Server 001";

/// What follows the text in the keys of the signatures: the same constant in every implementation.
const KEY_TAIL: [u8; 32] = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57,
    0x6E, 0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
];
