//! Writing AMF3. No references are written: every reader must accept values in full.

use super::{WRAPPED, WRAPPER_CLASSES, marker};
use crate::ByteSink;
use crate::amf::{Object, Value};

/// Encodes one value. Texts, byte arrays and lists are cut at 2^28 - 1 units, the most AMF3 can say.
/// A property of an ECMA array without a name is left out, since the empty name ends the list (3.11).
pub fn encode(value: &Value, out: &mut impl ByteSink) {
    match value {
        Value::Undefined | Value::Unsupported => out.put(&[marker::UNDEFINED]),
        Value::Null | Value::Cycle => out.put(&[marker::NULL]),
        Value::Boolean(false) => out.put(&[marker::FALSE]),
        Value::Boolean(true) => out.put(&[marker::TRUE]),
        Value::Number(number) => encode_double(*number, out),
        Value::Integer(integer) if (INTEGER_MIN..=INTEGER_MAX).contains(integer) => {
            out.put(&[marker::INTEGER]);
            encode_u29(integer.cast_unsigned() & U29_MAX, out);
        }
        Value::Integer(integer) => encode_double(f64::from(*integer), out),
        Value::String(text) => {
            out.put(&[marker::STRING]);
            encode_text(text, out);
        }
        Value::Xml(text) => {
            out.put(&[marker::XML]);
            encode_text(text, out);
        }
        Value::ByteArray(bytes) => {
            let length = encode_count(marker::BYTE_ARRAY, bytes.len(), out);
            out.put(bytes.get(..length).unwrap_or_default());
        }
        Value::Date { ms, .. } => {
            out.put(&[marker::DATE, 1]);
            out.put(&ms.to_be_bytes());
        }
        Value::StrictArray(items) => {
            let count = encode_count(marker::ARRAY, items.len(), out);
            encode_text("", out);
            items.iter().take(count).for_each(|item| encode(item, out));
        }
        Value::EcmaArray(array) => {
            encode_count(marker::ARRAY, 0, out);
            let named = array.properties.iter().filter(|(name, _)| !name.is_empty());
            encode_dynamic(named, out);
        }
        Value::Object(object) => encode_object(object, out),
        Value::VectorInt { fixed, items } => {
            let count = encode_vector(marker::VECTOR_INT, items.len(), *fixed, out);
            items.iter().take(count).for_each(|item| out.put(&item.to_be_bytes()));
        }
        Value::VectorUint { fixed, items } => {
            let count = encode_vector(marker::VECTOR_UINT, items.len(), *fixed, out);
            items.iter().take(count).for_each(|item| out.put(&item.to_be_bytes()));
        }
        Value::VectorDouble { fixed, items } => {
            let count = encode_vector(marker::VECTOR_DOUBLE, items.len(), *fixed, out);
            items.iter().take(count).for_each(|item| out.put(&item.to_be_bytes()));
        }
        Value::VectorObject { fixed, class, items } => {
            let count = encode_vector(marker::VECTOR_OBJECT, items.len(), *fixed, out);
            encode_text(class, out);
            items.iter().take(count).for_each(|item| encode(item, out));
        }
        Value::Dictionary { weak_keys, entries } => {
            let count = encode_vector(marker::DICTIONARY, entries.len(), *weak_keys, out);
            for (key, value) in entries.iter().take(count) {
                encode(key, out);
                encode(value, out);
            }
        }
    }
}

fn encode_object(object: &Object, out: &mut impl ByteSink) {
    out.put(&[marker::OBJECT]);
    let class = object.class.as_deref().unwrap_or_default();
    if let Some(wrapped) = wrapped(class, object) {
        encode_u29(TRAITS_EXTERNALIZABLE, out);
        encode_text(class, out);
        encode(wrapped, out);
    } else if object.properties.iter().any(|(name, _)| name.is_empty()) {
        // Only a sealed member may have an empty name.
        let count = object.properties.len().min(SEALED_MAX);
        encode_u29(TRAITS_SEALED | saturating_u29(count) << 4, out);
        encode_text(class, out);
        let members = || object.properties.iter().take(count);
        members().for_each(|(name, _)| encode_text(name, out));
        members().for_each(|(_, value)| encode(value, out));
    } else {
        encode_u29(TRAITS_DYNAMIC, out);
        encode_text(class, out);
        encode_dynamic(object.properties.iter(), out);
    }
}

/// Returns what an object of a wrapper class wraps.
fn wrapped<'a>(class: &str, object: &'a Object) -> Option<&'a Value> {
    match object.properties.as_slice() {
        [(name, value)] if name == WRAPPED && WRAPPER_CLASSES.contains(&class) => Some(value),
        _ => None,
    }
}

fn encode_dynamic<'a>(
    properties: impl Iterator<Item = &'a (String, Value)>,
    out: &mut impl ByteSink,
) {
    for (name, value) in properties {
        encode_text(name, out);
        encode(value, out);
    }
    encode_text("", out);
}

fn encode_double(number: f64, out: &mut impl ByteSink) {
    out.put(&[marker::DOUBLE]);
    out.put(&number.to_be_bytes());
}

fn encode_text(text: &str, out: &mut impl ByteSink) {
    let text = text.get(..text.floor_char_boundary(COUNT_MAX)).unwrap_or(text);
    encode_u29(saturating_u29(text.len()) << 1 | 1, out);
    out.put(text.as_bytes());
}

fn encode_vector(marker: u8, count: usize, flag: bool, out: &mut impl ByteSink) -> usize {
    let count = encode_count(marker, count, out);
    out.put(&[u8::from(flag)]);
    count
}

fn encode_count(marker: u8, count: usize, out: &mut impl ByteSink) -> usize {
    let count = count.min(COUNT_MAX);
    out.put(&[marker]);
    encode_u29(saturating_u29(count) << 1 | 1, out);
    count
}

/// Writes an unsigned 29-bit integer (1.3.1): seven bits a byte, eight in the fourth.
fn encode_u29(value: u32, out: &mut impl ByteSink) {
    let septet = |shift: u32| (value >> shift & 0x7f) as u8;
    match value {
        0..=0x7f => out.put(&[septet(0)]),
        0x80..=0x3fff => out.put(&[septet(7) | 0x80, septet(0)]),
        0x4000..=0x1f_ffff => out.put(&[septet(14) | 0x80, septet(7) | 0x80, septet(0)]),
        _ => {
            out.put(&[septet(22) | 0x80, septet(15) | 0x80, septet(8) | 0x80, (value & 0xff) as u8])
        }
    }
}

fn saturating_u29(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(U29_MAX).min(U29_MAX)
}

const INTEGER_MIN: i32 = -(1 << 28);
const INTEGER_MAX: i32 = (1 << 28) - 1;
const U29_MAX: u32 = (1 << 29) - 1;
/// One bit of a count says that it is not a reference.
const COUNT_MAX: usize = (1 << 28) - 1;
/// Four bits of a member count are flags.
const SEALED_MAX: usize = (1 << 25) - 1;
const TRAITS_SEALED: u32 = 0b0011;
const TRAITS_EXTERNALIZABLE: u32 = 0b0111;
const TRAITS_DYNAMIC: u32 = 0b1011;
