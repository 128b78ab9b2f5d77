//! Whole-segment encryption (METHOD=AES-128, RFC 8216 4.3.2.4 and 5.2): AES-128 in CBC mode with PKCS7
//! padding; the initialisation vector is the media sequence number.

use std::sync::Arc;

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use corelay_codecs::Chunk;

use crate::hls::segment::{Part, Segment};

/// The segment, encrypted: one part with all of it.
///
/// # Cost
/// A copy of the segment, and one pass of AES over it.
pub fn encrypt(segment: &Segment, key: &[u8; 16]) -> Segment {
    let mut plain = Vec::with_capacity(segment.len() + BLOCK_BYTES);
    for slice in segment.parts.iter().flat_map(|part| part.chunk.slices()) {
        plain.extend_from_slice(slice);
    }
    let vector = u128::from(segment.msn).to_be_bytes();
    let cipher = cbc::Encryptor::<Aes128>::new(key.into(), &vector.into());
    let part = Part {
        msn: segment.msn,
        index: 0,
        is_independent: segment.parts.first().is_some_and(|part| part.is_independent),
        duration: segment.duration,
        chunk: Chunk::from(cipher.encrypt_padded_vec::<Pkcs7>(&plain)),
    };
    Segment { parts: vec![Arc::new(part)], ..segment.clone() }
}

const BLOCK_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use cbc::cipher::BlockModeDecrypt;

    #[test]
    fn a_segment_is_decrypted_by_its_number_and_the_key() {
        let piece = |index: u32, text: &[u8]| {
            let chunk = Chunk::from(text.to_vec());
            Arc::new(Part { msn: 77, index, is_independent: index == 0, duration: 9_000, chunk })
        };
        let segment = Segment {
            msn: 77,
            duration: 18_000,
            started_us: 5,
            is_discontinuity: false,
            discontinuities: 0,
            init: None,
            parts: vec![piece(0, b"the first part, "), piece(1, b"and the second")],
            date_ranges: Vec::new(),
        };
        let key = [7; 16];
        let encrypted = encrypt(&segment, &key);
        let bytes = encrypted.parts[0].chunk.to_vec();
        assert_eq!((encrypted.parts.len(), bytes.len()), (1, 32));
        // RFC 8216 5.2: the number as a 128-bit big-endian value.
        let mut vector = [0; 16];
        vector[15] = 77;
        let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), &vector.into());
        let plain = cipher.decrypt_padded_vec::<Pkcs7>(&bytes).unwrap();
        assert_eq!(plain, b"the first part, and the second");
        assert_eq!((encrypted.duration, encrypted.msn), (18_000, 77));
    }
}
