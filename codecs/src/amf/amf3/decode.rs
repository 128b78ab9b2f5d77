//! Reading AMF3.

use bytes::Bytes;

use super::{WRAPPED, WRAPPER_CLASSES, marker};
use crate::amf::reader::{Reader, References, Resolved};
use crate::amf::{Error, Limits, Object, Value};

/// Decodes one value from the front of `input` and moves `input` behind it.
///
/// References are resolved within this one value.
///
/// # Errors
/// The input is not AMF3, ends early, holds an externalizable object of an unknown class, or exceeds
/// `limits`; `input` is then unchanged.
pub fn decode(input: &mut &[u8], limits: &Limits) -> Result<Value, Error> {
    let mut reader = Reader::new(input, limits);
    let value = Tables::default().value(&mut reader, 0)?;
    *input = reader.rest();
    Ok(value)
}

/// Decodes all values of a message; references may cross from one to the next.
///
/// # Errors
/// As [`decode`]; the limits hold for all values together.
pub fn decode_all(input: &[u8], limits: &Limits) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::new(input, limits);
    let mut tables = Tables::default();
    let mut values = Vec::new();
    while !reader.rest().is_empty() {
        values.push(tables.value(&mut reader, 0)?);
    }
    Ok(values)
}

/// The three reference tables of a message (AMF3 2.2).
#[derive(Default)]
pub(in crate::amf) struct Tables<'a> {
    strings: Vec<&'a [u8]>,
    traits: Vec<Traits<'a>>,
    objects: References,
    frozen: bool,
}

#[derive(Clone)]
struct Traits<'a> {
    class: &'a [u8],
    kind: TraitsKind,
    members: Vec<&'a [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TraitsKind {
    Sealed,
    Dynamic,
    Externalizable,
}

impl<'a> Tables<'a> {
    /// Stops or resumes numbering: an AMF0 reference reads AMF3 values again that have their numbers.
    pub(in crate::amf) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Decodes the next value of `reader`, which stands at `depth`.
    pub(in crate::amf) fn value(
        &mut self,
        reader: &mut Reader<'a>,
        depth: usize,
    ) -> Result<Value, Error> {
        reader.spend_value(depth)?;
        let starts_at = reader.at();
        match reader.u8("marker")? {
            marker::UNDEFINED => Ok(Value::Undefined),
            marker::NULL => Ok(Value::Null),
            marker::FALSE => Ok(Value::Boolean(false)),
            marker::TRUE => Ok(Value::Boolean(true)),
            marker::INTEGER => Ok(Value::Integer(sign_extend(read_u29(reader, "integer")?))),
            marker::DOUBLE => Ok(Value::Number(reader.f64("double")?)),
            marker::STRING => {
                let text = self.text(reader, "string")?;
                Ok(Value::String(reader.own_text(text)?))
            }
            kind @ marker::XML_DOCUMENT..=marker::DICTIONARY => {
                self.referable(reader, kind, starts_at, depth)
            }
            _ => Err(reader.malformed("marker")),
        }
    }

    /// Reads a value that is either in full or a reference to an earlier one.
    fn referable(
        &mut self,
        reader: &mut Reader<'a>,
        kind: u8,
        starts_at: usize,
        depth: usize,
    ) -> Result<Value, Error> {
        let head = read_u29(reader, "length or reference")?;
        if head & 1 == 0 {
            return self.reference(reader, head >> 1, depth);
        }
        let index = if self.frozen { None } else { self.objects.begin(starts_at) };
        let count = (head >> 1) as usize;
        let value = match kind {
            marker::XML | marker::XML_DOCUMENT => Value::Xml(reader.text(count, "XML")?),
            marker::DATE => Value::Date { ms: reader.f64("date")?, time_zone: 0 },
            marker::ARRAY => self.array(reader, count, depth)?,
            marker::BYTE_ARRAY => {
                let bytes = reader.take(count, "byte array")?;
                reader.spend_bytes(count)?;
                Value::ByteArray(Bytes::copy_from_slice(bytes))
            }
            marker::OBJECT => self.object(reader, head, depth)?,
            marker::DICTIONARY => self.dictionary(reader, count, depth)?,
            _ => self.vector(reader, kind, count, depth)?,
        };
        self.objects.end(index);
        Ok(value)
    }

    fn reference(
        &mut self,
        reader: &mut Reader<'a>,
        index: u32,
        depth: usize,
    ) -> Result<Value, Error> {
        let index = index as usize;
        match self.objects.open_replay(index) {
            Resolved::Missing => Err(reader.malformed("reference to nothing")),
            Resolved::Cycle => Ok(Value::Cycle),
            Resolved::At(starts_at) => {
                let behind = reader.at();
                reader.seek(starts_at);
                let value = self.value(reader, depth)?;
                reader.seek(behind);
                self.objects.close_replay(index);
                Ok(value)
            }
        }
    }

    /// Reads text or a reference to text (1.3.2); not counted yet.
    fn text(&mut self, reader: &mut Reader<'a>, what: &'static str) -> Result<&'a [u8], Error> {
        let head = read_u29(reader, what)?;
        let number = (head >> 1) as usize;
        if head & 1 == 0 {
            return self.strings.get(number).copied().ok_or_else(|| reader.malformed(what));
        }
        let text = reader.take(number, what)?;
        if !text.is_empty() && self.numbering() {
            self.strings.push(text);
        }
        Ok(text)
    }

    fn numbering(&self) -> bool {
        !self.frozen && !self.objects.replaying()
    }

    fn array(
        &mut self,
        reader: &mut Reader<'a>,
        count: usize,
        depth: usize,
    ) -> Result<Value, Error> {
        let mut properties = self.dynamic_members(reader, depth)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(reader, depth + 1)?);
        }
        if properties.is_empty() {
            return Ok(Value::StrictArray(items));
        }
        let dense = items.into_iter().enumerate().map(|(index, item)| (index.to_string(), item));
        properties.extend(dense);
        Ok(Value::EcmaArray(Object { class: None, properties }))
    }

    fn object(&mut self, reader: &mut Reader<'a>, head: u32, depth: usize) -> Result<Value, Error> {
        let traits = self.traits(reader, head)?;
        let class = reader.own_text(traits.class)?;
        let mut properties = Vec::new();
        if traits.kind == TraitsKind::Externalizable {
            if !WRAPPER_CLASSES.contains(&class.as_str()) {
                return Err(Error::Unsupported("an externalizable object of an unknown class"));
            }
            properties.push((WRAPPED.to_owned(), self.value(reader, depth + 1)?));
        }
        for name in traits.members {
            let name = reader.own_text(name)?;
            properties.push((name, self.value(reader, depth + 1)?));
        }
        if traits.kind == TraitsKind::Dynamic {
            properties.append(&mut self.dynamic_members(reader, depth)?);
        }
        Ok(Value::Object(Object { class: Some(class).filter(|name| !name.is_empty()), properties }))
    }

    /// Reads traits or a reference to traits; the flags are in the head of the object (3.12).
    fn traits(&mut self, reader: &mut Reader<'a>, head: u32) -> Result<Traits<'a>, Error> {
        if head & 0b11 == 0b01 {
            let index = (head >> 2) as usize;
            return self.traits.get(index).cloned().ok_or_else(|| reader.malformed("traits"));
        }
        let kind = match head & 0b1100 {
            0b0000 => TraitsKind::Sealed,
            0b1000 => TraitsKind::Dynamic,
            _ => TraitsKind::Externalizable,
        };
        let class = self.text(reader, "class name")?;
        let mut members = Vec::new();
        let member_count = if kind == TraitsKind::Externalizable { 0 } else { head >> 4 };
        for _ in 0..member_count {
            reader.spend_value(0)?;
            members.push(self.text(reader, "member name")?);
        }
        let traits = Traits { class, kind, members };
        if self.numbering() {
            self.traits.push(traits.clone());
        }
        Ok(traits)
    }

    /// Reads names with values up to the empty name.
    fn dynamic_members(
        &mut self,
        reader: &mut Reader<'a>,
        depth: usize,
    ) -> Result<Vec<(String, Value)>, Error> {
        let mut members = Vec::new();
        loop {
            let name = self.text(reader, "property name")?;
            if name.is_empty() {
                return Ok(members);
            }
            let name = reader.own_text(name)?;
            members.push((name, self.value(reader, depth + 1)?));
        }
    }

    fn dictionary(
        &mut self,
        reader: &mut Reader<'a>,
        count: usize,
        depth: usize,
    ) -> Result<Value, Error> {
        let weak_keys = reader.u8("dictionary flags")? != 0;
        let mut entries = Vec::new();
        for _ in 0..count {
            let key = self.value(reader, depth + 1)?;
            entries.push((key, self.value(reader, depth + 1)?));
        }
        Ok(Value::Dictionary { weak_keys, entries })
    }

    fn vector(
        &mut self,
        reader: &mut Reader<'a>,
        kind: u8,
        count: usize,
        depth: usize,
    ) -> Result<Value, Error> {
        let fixed = reader.u8("vector flags")? != 0;
        match kind {
            marker::VECTOR_INT => {
                let items = scalars(reader, count)?.map(i32::from_be_bytes).collect();
                Ok(Value::VectorInt { fixed, items })
            }
            marker::VECTOR_UINT => {
                let items = scalars(reader, count)?.map(u32::from_be_bytes).collect();
                Ok(Value::VectorUint { fixed, items })
            }
            marker::VECTOR_DOUBLE => {
                let items = scalars(reader, count)?.map(f64::from_be_bytes).collect();
                Ok(Value::VectorDouble { fixed, items })
            }
            _ => {
                let class = self.text(reader, "vector class")?;
                let class = reader.own_text(class)?;
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(self.value(reader, depth + 1)?);
                }
                Ok(Value::VectorObject { fixed, class, items })
            }
        }
    }
}

/// Takes `count` scalars of `N` bytes each.
fn scalars<'a, const N: usize>(
    reader: &mut Reader<'a>,
    count: usize,
) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, Error> {
    let length = count.checked_mul(N).ok_or_else(|| reader.malformed("vector"))?;
    let bytes = reader.take(length, "vector")?;
    reader.spend_bytes(length)?;
    Ok(bytes.as_chunks::<N>().0.iter().copied())
}

/// Reads an unsigned 29-bit integer (1.3.1).
fn read_u29(reader: &mut Reader<'_>, what: &'static str) -> Result<u32, Error> {
    let mut value = 0;
    for _ in 0..3 {
        let byte = reader.u8(what)?;
        value = value << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value << 8 | u32::from(reader.u8(what)?))
}

/// Takes a 29-bit integer in two's complement.
fn sign_extend(value: u32) -> i32 {
    (value << 3).cast_signed() >> 3
}
