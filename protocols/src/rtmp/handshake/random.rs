//! Filler for handshake packets.

/// SplitMix64: eight bytes of state, one addition and two multiplications per word.
///
/// It fills packets so that no two connections send the same; it is not a source of secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(seed))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let word = self.word().to_le_bytes();
            for (place, byte) in part.iter_mut().zip(word) {
                *place = byte;
            }
        }
    }

    /// The next word; the multipliers are those of Steele, Lea and Flood (OOPSLA 2014).
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}
