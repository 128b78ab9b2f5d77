//! The value tree both AMF formats decode to.

use bytes::Bytes;

/// One AMF value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double (AMF0 2.2, AMF3 3.6).
    Number(f64),
    /// An integer of AMF3 (3.5), -2^28 to 2^28 - 1; others, and all in AMF0, are written as numbers.
    Integer(i32),
    /// True or false.
    Boolean(bool),
    /// Text, short or long.
    String(String),
    /// An object, anonymous or typed.
    Object(Object),
    /// Named values that announce themselves as an array (AMF0 2.10, AMF3 3.11 with an associative
    /// part; a dense part then follows under the names "0", "1", ...).
    EcmaArray(Object),
    /// Values without names (AMF0 2.12, AMF3 3.11 without an associative part).
    StrictArray(Vec<Self>),
    /// Null.
    Null,
    /// Undefined.
    Undefined,
    /// A type the sender could not serialise (AMF0 2.15); undefined in AMF3.
    Unsupported,
    /// A point in time (AMF0 2.13, AMF3 3.10).
    Date {
        /// Milliseconds since 1970-01-01 UTC.
        ms: f64,
        /// Time zone as sent, in minutes; reserved and always 0 by the spec; not in AMF3.
        time_zone: i16,
    },
    /// An XML document as text (AMF0 2.17, AMF3 3.9 and 3.13).
    Xml(String),
    /// Bytes (AMF3 3.14).
    ByteArray(Bytes),
    /// Signed integers (AMF3 3.15, vector-int).
    VectorInt {
        /// The length cannot change.
        fixed: bool,
        /// The integers.
        items: Vec<i32>,
    },
    /// Unsigned integers (AMF3 3.15, vector-uint).
    VectorUint {
        /// The length cannot change.
        fixed: bool,
        /// The integers.
        items: Vec<u32>,
    },
    /// Doubles (AMF3 3.15, vector-double).
    VectorDouble {
        /// The length cannot change.
        fixed: bool,
        /// The doubles.
        items: Vec<f64>,
    },
    /// Values of one class (AMF3 3.15, vector-object).
    VectorObject {
        /// The length cannot change.
        fixed: bool,
        /// Class of the items; `*` or empty for any.
        class: String,
        /// The items.
        items: Vec<Self>,
    },
    /// Values found by values (AMF3 3.16).
    Dictionary {
        /// Keys do not keep their objects alive.
        weak_keys: bool,
        /// Keys with their values, in the order received.
        entries: Vec<(Self, Self)>,
    },
    /// A reference to a value that encloses it, which a tree cannot hold; written as null.
    Cycle,
}

impl Value {
    /// Returns the text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Xml(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number, if this is a number or an integer.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Integer(integer) => Some(f64::from(*integer)),
            _ => None,
        }
    }

    /// Returns the truth, if this is a boolean, or a number (not 0 and not NaN is true).
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => Some(*truth),
            _ => self.as_number().map(|number| number != 0.0 && !number.is_nan()),
        }
    }

    /// Returns the named values, if this is an object or an ECMA array.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the property `name`, if this has named values and one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object().and_then(|object| object.get(name))
    }

    /// True for null and undefined.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

/// Named values in the order received; a name that is there twice is kept twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Class name of a typed object (AMF0 2.18, AMF3 3.12); never empty.
    pub class: Option<String>,
    /// The properties.
    pub properties: Vec<(String, Value)>,
}

impl Object {
    /// Makes an anonymous object without properties.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a property at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.properties.push((name.to_owned(), value.into()));
        self
    }

    /// Returns the value of `name`; of the last one if it is there more than once, as a script would.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value)
    }
}
