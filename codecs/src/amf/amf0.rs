//! AMF 0 (Adobe, 2007): the format of RTMP commands and of FLV metadata.

use super::reader::{Reader, References, Resolved};
use super::{Error, Limits, Object, Value, amf3};
use crate::ByteSink;

/// Decodes one value from the front of `input` and moves `input` behind it.
///
/// References are resolved within this one value.
///
/// # Errors
/// The input is not AMF0, ends early, or exceeds `limits`; `input` is then unchanged.
pub fn decode(input: &mut &[u8], limits: &Limits) -> Result<Value, Error> {
    let mut decoder = Decoder::new(input, limits);
    let value = decoder.value(0)?;
    *input = decoder.reader.rest();
    Ok(value)
}

/// Decodes all values of a message; references may cross from one to the next.
///
/// # Errors
/// As [`decode`]; the limits hold for all values together.
pub fn decode_all(input: &[u8], limits: &Limits) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(input, limits);
    let mut values = Vec::new();
    while !decoder.reader.rest().is_empty() {
        values.push(decoder.value(0)?);
    }
    Ok(values)
}

/// Encodes one value. What AMF0 does not have (byte arrays, vectors, dictionaries) is written in AMF3
/// behind the switch marker (3.1). A name or class longer than 65,535 bytes is cut at a character.
pub fn encode(value: &Value, out: &mut impl ByteSink) {
    match value {
        Value::Number(number) => encode_number(*number, out),
        Value::Integer(integer) => encode_number(f64::from(*integer), out),
        Value::Boolean(truth) => out.put(&[marker::BOOLEAN, u8::from(*truth)]),
        Value::String(text) => encode_str(text, out),
        Value::Object(object) => {
            match &object.class {
                Some(class) => {
                    out.put(&[marker::TYPED_OBJECT]);
                    encode_name(class, out);
                }
                None => out.put(&[marker::OBJECT]),
            }
            encode_properties(&object.properties, out);
        }
        Value::EcmaArray(array) => {
            out.put(&[marker::ECMA_ARRAY]);
            out.put(&count_u32(array.properties.len()).to_be_bytes());
            encode_properties(&array.properties, out);
        }
        Value::StrictArray(items) => {
            out.put(&[marker::STRICT_ARRAY]);
            out.put(&count_u32(items.len()).to_be_bytes());
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Null | Value::Cycle => out.put(&[marker::NULL]),
        Value::Undefined => out.put(&[marker::UNDEFINED]),
        Value::Unsupported => out.put(&[marker::UNSUPPORTED]),
        Value::Date { ms, time_zone } => {
            out.put(&[marker::DATE]);
            out.put(&ms.to_be_bytes());
            out.put(&time_zone.to_be_bytes());
        }
        Value::Xml(text) => encode_long(marker::XML_DOCUMENT, text, out),
        Value::ByteArray(_)
        | Value::VectorInt { .. }
        | Value::VectorUint { .. }
        | Value::VectorDouble { .. }
        | Value::VectorObject { .. }
        | Value::Dictionary { .. } => {
            out.put(&[marker::AMF3_SWITCH]);
            amf3::encode(value, out);
        }
    }
}

/// Encodes a number without making a [`Value`] of it.
pub fn encode_number(number: f64, out: &mut impl ByteSink) {
    out.put(&[marker::NUMBER]);
    out.put(&number.to_be_bytes());
}

/// Encodes text without making a [`Value`] of it.
pub fn encode_str(text: &str, out: &mut impl ByteSink) {
    match u16::try_from(text.len()) {
        Ok(length) => {
            out.put(&[marker::STRING]);
            out.put(&length.to_be_bytes());
            out.put(text.as_bytes());
        }
        Err(_) => encode_long(marker::LONG_STRING, text, out),
    }
}

fn encode_long(marker: u8, text: &str, out: &mut impl ByteSink) {
    let text = cut(text, u32::MAX as usize);
    out.put(&[marker]);
    out.put(&count_u32(text.len()).to_be_bytes());
    out.put(text.as_bytes());
}

fn encode_properties(properties: &[(String, Value)], out: &mut impl ByteSink) {
    for (name, value) in properties {
        encode_name(name, out);
        encode(value, out);
    }
    out.put(&[0, 0, marker::OBJECT_END]);
}

fn encode_name(name: &str, out: &mut impl ByteSink) {
    let name = cut(name, usize::from(u16::MAX));
    out.put(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.put(name.as_bytes());
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

struct Decoder<'a> {
    reader: Reader<'a>,
    references: References,
    amf3: amf3::Tables<'a>,
}

impl<'a> Decoder<'a> {
    fn new(input: &'a [u8], limits: &Limits) -> Self {
        Self {
            reader: Reader::new(input, limits),
            references: References::default(),
            amf3: amf3::Tables::default(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.reader.spend_value(depth)?;
        let starts_at = self.reader.at();
        match self.reader.u8("marker")? {
            marker::NUMBER => Ok(Value::Number(self.reader.f64("number")?)),
            marker::BOOLEAN => Ok(Value::Boolean(self.reader.u8("boolean")? != 0)),
            marker::STRING => Ok(Value::String(self.short_text("string")?)),
            marker::LONG_STRING => Ok(Value::String(self.long_text("long string")?)),
            marker::XML_DOCUMENT => Ok(Value::Xml(self.long_text("XML document")?)),
            marker::NULL => Ok(Value::Null),
            marker::UNDEFINED => Ok(Value::Undefined),
            marker::UNSUPPORTED => Ok(Value::Unsupported),
            marker::DATE => self.date(),
            marker::OBJECT => self.referable(starts_at, |own| own.object(false, depth)),
            marker::TYPED_OBJECT => self.referable(starts_at, |own| own.object(true, depth)),
            marker::ECMA_ARRAY => self.referable(starts_at, |own| own.ecma_array(depth)),
            marker::STRICT_ARRAY => self.referable(starts_at, |own| own.strict_array(depth)),
            marker::REFERENCE => self.reference(depth),
            marker::AMF3_SWITCH => self.amf3.value(&mut self.reader, depth),
            marker::MOVIE_CLIP | marker::RECORD_SET => Err(Error::Unsupported(
                "movie clips and record sets, which AMF0 reserves without a form",
            )),
            _ => Err(self.reader.malformed("marker")),
        }
    }

    fn referable(
        &mut self,
        starts_at: usize,
        read: impl FnOnce(&mut Self) -> Result<Value, Error>,
    ) -> Result<Value, Error> {
        let index = self.references.begin(starts_at);
        let value = read(self)?;
        self.references.end(index);
        Ok(value)
    }

    fn reference(&mut self, depth: usize) -> Result<Value, Error> {
        let index = usize::from(self.reader.u16("reference")?);
        match self.references.open_replay(index) {
            Resolved::Missing => Err(self.reader.malformed("reference to nothing")),
            Resolved::Cycle => Ok(Value::Cycle),
            Resolved::At(starts_at) => {
                let behind = self.reader.at();
                self.reader.seek(starts_at);
                self.amf3.freeze(true);
                let value = self.value(depth)?;
                self.reader.seek(behind);
                self.references.close_replay(index);
                self.amf3.freeze(self.references.replaying());
                Ok(value)
            }
        }
    }

    fn date(&mut self) -> Result<Value, Error> {
        let ms = self.reader.f64("date")?;
        let time_zone = self.reader.u16("time zone")?.cast_signed();
        Ok(Value::Date { ms, time_zone })
    }

    fn object(&mut self, typed: bool, depth: usize) -> Result<Value, Error> {
        let class = if typed { self.short_text("class name")? } else { String::new() };
        let properties = self.properties(depth, AtEnd::Refuse)?;
        Ok(Value::Object(Object { class: Some(class).filter(|name| !name.is_empty()), properties }))
    }

    fn ecma_array(&mut self, depth: usize) -> Result<Value, Error> {
        // The count is an approximation by the spec, and wrong in many files.
        self.reader.u32("ECMA array count")?;
        let properties = self.properties(depth, AtEnd::Accept)?;
        Ok(Value::EcmaArray(Object { class: None, properties }))
    }

    fn properties(&mut self, depth: usize, at_end: AtEnd) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            if matches!(at_end, AtEnd::Accept) && self.reader.rest().is_empty() {
                return Ok(properties);
            }
            let name = self.short_text("property name")?;
            if name.is_empty() && self.reader.rest().first() == Some(&marker::OBJECT_END) {
                self.reader.u8("object end")?;
                return Ok(properties);
            }
            properties.push((name, self.value(depth + 1)?));
        }
    }

    fn strict_array(&mut self, depth: usize) -> Result<Value, Error> {
        let count = self.reader.u32("strict array count")?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::StrictArray(items))
    }

    fn short_text(&mut self, what: &'static str) -> Result<String, Error> {
        let length = usize::from(self.reader.u16(what)?);
        self.reader.text(length, what)
    }

    fn long_text(&mut self, what: &'static str) -> Result<String, Error> {
        let length = self.reader.u32(what)?;
        let length = usize::try_from(length).map_err(|_| self.reader.malformed(what))?;
        self.reader.text(length, what)
    }
}

/// Whether the end of the input ends a list of properties. Several muxers write metadata as an ECMA
/// array with the right count and leave out its end marker.
#[derive(Clone, Copy)]
enum AtEnd {
    Accept,
    Refuse,
}

/// Type markers (AMF0 2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const MOVIE_CLIP: u8 = 0x04;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const RECORD_SET: u8 = 0x0e;
    pub(super) const XML_DOCUMENT: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
    pub(super) const AMF3_SWITCH: u8 = 0x11;
}
