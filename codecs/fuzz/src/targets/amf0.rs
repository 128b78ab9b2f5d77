//! AMF0 messages. Byte 0 selects the limits.

use corelay_codecs::amf::{Limits, Value, amf0, amf3};

/// What is decoded respects the limits, and is the same after it is written and read once more.
pub fn run(data: &[u8]) {
    let [selector, input @ ..] = data else { return };
    let limits = limits_for(*selector);
    check_front(input, &limits, amf0::decode);
    let Ok(values) = amf0::decode_all(input, &limits) else { return };
    for value in &values {
        assert!(depth(value) <= limits.depth_max);
        let mut once = Vec::new();
        amf0::encode(value, &mut once);
        let again = amf0::decode_all(&once, &ENOUGH).unwrap();
        let mut twice = Vec::new();
        again.iter().for_each(|value| amf0::encode(value, &mut twice));
        assert_eq!((again.len(), once), (1, twice));
        amf3::encode(value, &mut Vec::new());
    }
}

/// No limit: what was decoded within limits may need more when written in full.
pub(super) const ENOUGH: Limits =
    Limits { depth_max: 1000, values_max: usize::MAX, bytes_max: usize::MAX };

pub(super) fn limits_for(selector: u8) -> Limits {
    match selector & 3 {
        0 => Limits::default(),
        1 => Limits { depth_max: 2, values_max: 20, bytes_max: 100 },
        2 => Limits { depth_max: 0, values_max: 1, bytes_max: 10 },
        _ => Limits { depth_max: 200, values_max: 2_000, bytes_max: 1 << 16 },
    }
}

/// Decoding one value moves the input behind it, or nowhere.
pub(super) fn check_front<E>(
    input: &[u8],
    limits: &Limits,
    decode: fn(&mut &[u8], &Limits) -> Result<Value, E>,
) {
    let mut rest = input;
    match decode(&mut rest, limits) {
        Ok(_) => assert!(rest.len() < input.len() && input.ends_with(rest)),
        Err(_) => assert_eq!(rest, input),
    }
}

/// Containers around the deepest value.
pub(super) fn depth(value: &Value) -> usize {
    let deepest = |values: &mut dyn Iterator<Item = &Value>| values.map(depth).max();
    let inner = match value {
        Value::Object(object) | Value::EcmaArray(object) => {
            deepest(&mut object.properties.iter().map(|(_, value)| value))
        }
        Value::StrictArray(items) | Value::VectorObject { items, .. } => deepest(&mut items.iter()),
        Value::Dictionary { entries, .. } => {
            deepest(&mut entries.iter().flat_map(|(key, value)| [key, value]))
        }
        _ => None,
    };
    inner.map_or(0, |inner| inner + 1)
}
