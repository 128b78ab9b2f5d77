//! What all forms of SAMPLE-AES share: AES-128 in CBC mode without padding, over the whole blocks of a
//! range that begins with the initialisation vector again.

use aes::Aes128Enc;
use cbc::Encryptor;
use cbc::cipher::{BlockModeEncrypt, InnerIvInit, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The key and the initialisation vector of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SampleKey {
    /// The key.
    pub key: [u8; 16],
    /// The vector of every frame.
    pub vector: [u8; 16],
}

impl SampleKey {
    /// The key with the vector of a stream, by its name.
    ///
    /// The vector follows from key and name (the front of their HMAC with SHA-256): players keep it when
    /// the server is started again, no two streams have the same, and nobody without the key can choose
    /// pictures that give it away.
    pub fn of_stream(key: [u8; 16], name: &str) -> Self {
        Self { key, vector: derived(&key, name) }
    }

    /// Names the key where a container asks for a name; follows from the key too.
    pub fn key_id(&self) -> [u8; 16] {
        derived(&self.key, "")
    }
}

/// The front of the HMAC of a name.
fn derived(key: &[u8; 16], name: &str) -> [u8; 16] {
    let mut front = [0; 16];
    // A key of any length is taken.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(name.as_bytes());
        let tag = mac.finalize().into_bytes();
        front.iter_mut().zip(&tag[..]).for_each(|(byte, of_tag)| *byte = *of_tag);
    }
    front
}

impl std::fmt::Debug for SampleKey {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SampleKey").field("vector", &self.vector).finish_non_exhaustive()
    }
}

/// The cipher of a stream.
#[derive(Clone)]
pub(super) struct Cipher {
    aes: Aes128Enc,
    vector: [u8; BLOCK_BYTES],
}

impl Cipher {
    pub(super) fn new(key: &SampleKey) -> Self {
        Self { aes: Aes128Enc::new(&key.key.into()), vector: key.vector }
    }

    /// Encrypts the whole blocks of a range.
    pub(super) fn encrypt(&self, range: &mut [u8]) {
        let mut cbc = self.begin();
        for block in range.as_chunks_mut().0 {
            cbc.encrypt_block(block.into());
        }
    }

    /// Encrypts one block of ten, the first of them, where `least` bytes are left.
    pub(super) fn encrypt_pattern(&self, range: &mut [u8], least: usize) {
        let mut cbc = self.begin();
        for ten in range.chunks_mut(PATTERN_BLOCKS * BLOCK_BYTES) {
            if ten.len() >= least
                && let Some(block) = ten.first_chunk_mut()
            {
                cbc.encrypt_block(block.into());
            }
        }
    }

    fn begin(&self) -> Encryptor<Aes128Enc> {
        Encryptor::inner_iv_init(self.aes.clone(), &self.vector.into())
    }
}

impl std::fmt::Debug for Cipher {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").finish_non_exhaustive()
    }
}

/// Takes the next NAL unit behind a length of `length_size` bytes; `None` when it is cut.
pub(super) fn next_unit<'a>(rest: &mut &'a [u8], length_size: usize) -> Option<&'a [u8]> {
    let (length, after) = rest.split_at_checked(length_size)?;
    let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    let (unit, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(unit)
}

pub(super) const BLOCK_BYTES: usize = 16;
const PATTERN_BLOCKS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    // NIST SP 800-38A F.2.1, CBC-AES128.Encrypt: key, vector, two blocks and what they become.
    fn nist() -> (SampleKey, [[u8; 16]; 2], [[u8; 16]; 2]) {
        let block = |value: u128| value.to_be_bytes();
        let key = SampleKey {
            key: block(0x2b7e151628aed2a6abf7158809cf4f3c),
            vector: block(0x000102030405060708090a0b0c0d0e0f),
        };
        let plain = [0x6bc1bee22e409f96e93d7e117393172a, 0xae2d8a571e03ac9c9eb76fac45af8e51];
        let secret = [0x7649abac8119b246cee98e9b12e9197d, 0x5086cb9b507219ee95db113a917678b2];
        (key, plain.map(block), secret.map(block))
    }

    #[test]
    fn whole_blocks_are_encrypted_and_the_rest_stays_clear() {
        let (key, plain, secret) = nist();
        let mut range = [&plain.concat()[..], &[7; 15]].concat();
        let cipher = Cipher::new(&key);
        cipher.encrypt(&mut range);
        assert_eq!(range, [&secret.concat()[..], &[7; 15]].concat());
        // It begins again.
        let mut range = plain[0];
        cipher.encrypt(&mut range);
        assert_eq!(range, secret[0]);
    }

    #[test]
    fn a_pattern_encrypts_one_block_of_ten_and_chains_them() {
        let (key, plain, secret) = nist();
        let cipher = Cipher::new(&key);
        let range = |tail: &[u8]| [&plain[0][..], &[9; 144], &plain[1], tail].concat();
        let expected = |tail: &[u8]| [&secret[0][..], &[9; 144], &secret[1], tail].concat();
        for (least, tail) in [(16, &[][..]), (17, &[5]), (17, &[5; 144])] {
            let mut encrypted = range(tail);
            cipher.encrypt_pattern(&mut encrypted, least);
            assert_eq!(encrypted, expected(tail), "{least} {}", tail.len());
        }
        let mut short = range(&[]);
        cipher.encrypt_pattern(&mut short, 17);
        assert_eq!(short, [&secret[0][..], &[9; 144], &plain[1]].concat(), "a last block alone");
    }

    #[test]
    fn every_stream_has_a_vector_that_stays_the_same() {
        let vector = |key, name| SampleKey::of_stream([key; 16], name).vector;
        assert_eq!(vector(1, "live/a"), vector(1, "live/a"));
        assert_ne!(vector(1, "live/a"), vector(1, "live/b"));
        assert_ne!(vector(1, "live/a"), vector(2, "live/a"));
        // printf live/a | openssl dgst -sha256 -mac HMAC -macopt hexkey:01010101010101010101010101010101
        assert_eq!(u128::from_be_bytes(vector(1, "live/a")), VECTOR);
    }
    const VECTOR: u128 = 0xb3bca9159c006a96f09d7476b3f16a35;

    #[test]
    fn keys_are_not_shown() {
        let key = SampleKey { key: [0xAB; 16], vector: [1; 16] };
        assert!(!format!("{key:?} {:?}", Cipher::new(&key)).contains("171"));
    }
}
