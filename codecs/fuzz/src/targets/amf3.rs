//! AMF3 values. Byte 0 selects the limits.

use corelay_codecs::amf::{amf0, amf3};

use super::amf0::{ENOUGH, check_front, depth, limits_for};

/// What is decoded respects the limits, and is the same after it is written and read once more.
pub fn run(data: &[u8]) {
    let [selector, input @ ..] = data else { return };
    let limits = limits_for(*selector);
    check_front(input, &limits, amf3::decode);
    let Ok(values) = amf3::decode_all(input, &limits) else { return };
    for value in &values {
        assert!(depth(value) <= limits.depth_max);
        let mut once = Vec::new();
        amf3::encode(value, &mut once);
        let again = amf3::decode_all(&once, &ENOUGH).unwrap();
        let mut twice = Vec::new();
        again.iter().for_each(|value| amf3::encode(value, &mut twice));
        assert_eq!((again.len(), once), (1, twice));
        amf0::encode(value, &mut Vec::new());
    }
}
