//! ID3 tags: what HLS carries as timed metadata.
//!
//! Specification: ID3v2.4.0, main structure (3.1, 4) and native frames (4.2.6 TXXX, 4.27 PRIV).
//!
//! ```text
//! tag    | "ID3" | 4 | 0 | flags 0 | size: 4 x 7 bits | frames |
//! frame  | 4 characters | size: 4 x 7 bits | flags 00 00 | content |
//! TXXX   | encoding 3 (UTF-8) | description | 0 | text |
//! PRIV   | owner | 0 | data |
//! ```
//!
//! Invariants
//! - A tag is at most [`TAG_BYTES_MAX`] long: it fits one PES packet.

use std::fmt::Write;

use bytes::Bytes;

use crate::amf::{Limits, Object, Value, amf0};

/// Longest tag, in bytes, header included.
pub const TAG_BYTES_MAX: usize = 60 * 1024;

/// A tag that is being written.
///
/// A frame that would make it longer than [`TAG_BYTES_MAX`] is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    frames: Vec<u8>,
}

impl Tag {
    /// A tag without frames.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under a name of its own: TXXX. A zero character ends the name.
    #[must_use]
    pub fn with_text(mut self, description: &str, text: &str) -> Self {
        let content = [&[ENCODING_UTF_8], until_zero(description), &[0], text.as_bytes()];
        self.add(*b"TXXX", &content);
        self
    }

    /// Adds bytes of an owner, who is named by a URL or an e-mail address: PRIV. A zero character
    /// ends the name.
    #[must_use]
    pub fn with_private(mut self, owner: &str, data: &[u8]) -> Self {
        self.add(*b"PRIV", &[until_zero(owner), &[0], data]);
        self
    }

    /// True without frames; such a tag is not to be sent (3.1: at least one frame).
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The whole tag.
    pub fn to_bytes(&self) -> Bytes {
        let header = [&b"ID3\x04\x00\x00"[..], &size_bytes(self.frames.len()), &self.frames];
        Bytes::from(header.concat())
    }

    fn add(&mut self, id: [u8; 4], content: &[&[u8]]) {
        let size = content.iter().map(|part| part.len()).sum::<usize>();
        if HEADER_BYTES + self.frames.len() + HEADER_BYTES + size > TAG_BYTES_MAX {
            return;
        }
        self.frames.extend_from_slice(&id);
        self.frames.extend_from_slice(&size_bytes(size));
        self.frames.extend_from_slice(&[0, 0]);
        content.iter().for_each(|part| self.frames.extend_from_slice(part));
    }
}

/// The tag of an RTMP data message, as in [`UnitKind::Data`](crate::UnitKind::Data): a TXXX frame for
/// each of its values, named as the message is (`onTextData`, `onCuePoint`, `onFI`), with the value
/// as JSON; one without text for a message without values.
///
/// `None` for what is no event (`onMetaData`, `@setDataFrame` and other calls to the server), for
/// bytes that are no AMF0 message, and for more than a tag holds. What AMF has and JSON has not
/// becomes text: dates as milliseconds since 1970, bytes in hexadecimal digits.
pub fn from_amf(payload: &[u8]) -> Option<Bytes> {
    let values = amf0::decode_all(payload, &AMF_LIMITS).ok()?;
    let (name, values) = values.split_first()?;
    let name = name.as_str().filter(|name| is_event(name))?;
    let mut tag = Tag::new();
    let mut text = String::new();
    for value in values {
        text.clear();
        write_json(value, &mut text);
        tag = tag.with_text(name, &text);
    }
    if values.is_empty() {
        tag = tag.with_text(name, "");
    }
    (!tag.is_empty()).then(|| tag.to_bytes())
}

/// Names with `@` and `|` are for servers.
fn is_event(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['@', '|']) && name != "onMetaData"
}

fn until_zero(text: &str) -> &[u8] {
    text.split('\0').next().unwrap_or_default().as_bytes()
}

/// A size in four bytes of seven bits (6.2).
fn size_bytes(size: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (size >> shift) as u8 & 0x7F)
}

/// Depth is bounded by the decoder.
fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => write_number(*number, out),
        Value::Integer(integer) => write_number(f64::from(*integer), out),
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::String(text) | Value::Xml(text) => write_text(text, out),
        Value::Object(object) | Value::EcmaArray(object) => write_object(object, out),
        Value::StrictArray(items) | Value::VectorObject { items, .. } => {
            write_list(items, out, write_json);
        }
        Value::VectorInt { items, .. } => {
            write_list(items, out, |item, out| write_number(f64::from(*item), out));
        }
        Value::VectorUint { items, .. } => {
            write_list(items, out, |item, out| write_number(f64::from(*item), out));
        }
        Value::VectorDouble { items, .. } => {
            write_list(items, out, |item, out| write_number(*item, out));
        }
        Value::Date { ms, .. } => write_number(*ms, out),
        Value::ByteArray(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write_text(&digits, out);
        }
        Value::Dictionary { entries, .. } => write_list(entries, out, |(key, value), out| {
            write_list(&[key, value], out, |item, out| write_json(item, out));
        }),
        Value::Null | Value::Undefined | Value::Unsupported | Value::Cycle => out.push_str("null"),
    }
}

fn write_list<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_object(object: &Object, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in object.properties.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_json(value, out);
    }
    out.push('}');
}

/// JSON has no infinity and no NaN.
fn write_number(number: f64, out: &mut String) {
    if !number.is_finite() {
        return out.push_str("null");
    }
    // Writing to a String does not fail.
    let _ = match number.abs() {
        0.0 | 1e-6..1e16 => write!(out, "{number}"),
        _ => write!(out, "{number:e}"),
    };
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1F' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Of the tag, and of a frame.
const HEADER_BYTES: usize = 10;
const ENCODING_UTF_8: u8 = 3;
/// More than any cue or caption has, and little enough that its text fits a tag in most cases.
const AMF_LIMITS: Limits = Limits { depth_max: 8, values_max: 512, bytes_max: 16 << 10 };

#[cfg(test)]
mod tests {
    use super::*;

    /// What the message would be in RTMP.
    fn message(values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| amf0::encode(value, &mut bytes));
        bytes
    }

    /// Identifier and content of every frame, read as the specification says.
    fn frames(tag: &[u8]) -> Vec<(String, Vec<u8>)> {
        let size = |bytes: &[u8]| {
            assert!(bytes.iter().all(|byte| byte & 0x80 == 0));
            bytes.iter().fold(0, |size, &byte| size << 7 | usize::from(byte))
        };
        assert_eq!(&tag[..6], b"ID3\x04\x00\x00");
        assert_eq!(tag.len(), 10 + size(&tag[6..10]));
        let mut rest = &tag[10..];
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let content = &rest[10..10 + size(&rest[4..8])];
            frames.push((String::from_utf8_lossy(&rest[..4]).into_owned(), content.to_vec()));
            rest = &rest[10 + content.len()..];
        }
        frames
    }

    fn texts(values: &[Value]) -> Option<Vec<String>> {
        let tag = from_amf(&message(values))?;
        let text = |(id, content): (String, Vec<u8>)| {
            assert_eq!((id.as_str(), content[0]), ("TXXX", 3));
            String::from_utf8(content[1..].to_vec()).expect("UTF-8").replace('\0', "=")
        };
        Some(frames(&tag).into_iter().map(text).collect())
    }

    // Written by hand from ID3v2.4.0 main structure 3.1 and native frames 4.2.6 and 4.27.
    #[test]
    fn a_tag_is_the_bytes_that_the_specification_asks_for() {
        let tag = Tag::new().with_text("a", "bc").with_private("x.org", &[0, 0xFF]).to_bytes();
        let expected = b"ID3\x04\x00\x00\x00\x00\x00\x21\
            TXXX\x00\x00\x00\x05\x00\x00\x03a\x00bc\
            PRIV\x00\x00\x00\x08\x00\x00x.org\x00\x00\xFF";
        assert_eq!(tag[..], expected[..]);
    }

    #[test]
    fn sizes_have_seven_bits_a_byte() {
        let tag = Tag::new().with_text("d", &"x".repeat(300)).to_bytes();
        assert_eq!(tag[6..10], [0, 0, 2, 57]);
        assert_eq!(frames(&tag)[0].1.len(), 303);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let tag = Tag::new().with_text("a", "b").with_private("o", &[7; TAG_BYTES_MAX]);
        assert_eq!(frames(&tag.to_bytes()).len(), 1);
        let full = Tag::new().with_private("", &vec![7; TAG_BYTES_MAX - 21]);
        assert_eq!(full.to_bytes().len(), TAG_BYTES_MAX);
        assert!(Tag::new().with_private("", &vec![7; TAG_BYTES_MAX - 20]).is_empty());
    }

    #[test]
    fn a_data_message_is_one_text_for_each_value() {
        let object = Object::new()
            .with("text", "Say \"hi\"\\\n")
            .with("n", 1.5)
            .with("on", true)
            .with("list", Value::StrictArray(vec![Value::Null, Value::Number(3.0)]));
        let json = r#"onTextData={"text":"Say \"hi\"\\\n","n":1.5,"on":true,"list":[null,3]}"#;
        assert_eq!(texts(&["onTextData".into(), object.into()]), Some(vec![json.to_owned()]));
        let two = texts(&["onCuePoint".into(), "a".into(), 2.0.into()]);
        assert_eq!(two, Some(vec!["onCuePoint=\"a\"".to_owned(), "onCuePoint=2".to_owned()]));
        assert_eq!(texts(&["onFI".into()]), Some(vec!["onFI=".to_owned()]));
    }

    #[test]
    fn numbers_and_characters_are_those_of_json() {
        let values = [f64::NAN, f64::INFINITY, -0.25, 1e300, 1_700_000_000_000.0, 0.0, 1e-9];
        let list = Value::StrictArray(values.map(Value::Number).to_vec());
        let json = "n=[null,null,-0.25,1e300,1700000000000,0,1e-9]";
        assert_eq!(texts(&["n".into(), list]), Some(vec![json.to_owned()]));
        let text = texts(&["n".into(), "\u{1}\t\u{1F600}".into()]);
        assert_eq!(text, Some(vec!["n=\"\\u0001\\t\u{1F600}\"".to_owned()]));
        let bytes = Value::ByteArray(Bytes::from_static(&[0, 0xAB]));
        assert_eq!(texts(&["n".into(), bytes]), Some(vec!["n=\"00ab\"".to_owned()]));
    }

    #[test]
    fn what_is_no_event_has_no_tag() {
        for name in ["onMetaData", "@setDataFrame", "@clearDataFrame", "|RtmpSampleAccess", ""] {
            assert_eq!(texts(&[name.into(), 1.0.into()]), None, "{name}");
        }
        assert_eq!(texts(&[1.0.into()]), None, "no name");
        assert_eq!(from_amf(&[]), None);
        let whole = message(&["onFI".into(), "12:00".into()]);
        for end in 0..whole.len() {
            // Cut behind the name there is a message without values.
            assert_eq!(from_amf(&whole[..end]).is_some(), end == 7, "{end}");
        }
    }

    #[test]
    fn more_than_a_tag_holds_is_no_tag() {
        assert_eq!(texts(&["big".into(), "x".repeat(17 << 10).into()]), None);
        // Six characters for each of these.
        assert_eq!(texts(&["big".into(), "\u{1}".repeat(12 << 10).into()]), None);
    }
}
