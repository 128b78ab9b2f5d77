//! Commands: AMF messages with a name and a transaction (Adobe RTMP 1.0, 7.2).

use bytes::{Buf, Bytes};
use corelay_codecs::amf::{self, Limits, Object, Value, amf0};

use super::error::Error;

/// A command message.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What to do, or `_result`, `_error`, `onStatus`.
    pub name: String,
    /// Number that the answer carries; 0 asks for no answer.
    pub transaction_id: f64,
    /// The command object, or null.
    pub object: Value,
    /// Further arguments.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Makes a command.
    #[must_use]
    pub fn new(name: &str, transaction_id: f64, object: Value, arguments: Vec<Value>) -> Self {
        Self { name: name.to_owned(), transaction_id, object, arguments }
    }

    /// Reads the body of a command message.
    ///
    /// A missing transaction id is taken as 0 and a missing command object as null, since clients leave
    /// them out of commands like `closeStream`.
    ///
    /// # Errors
    /// The body is not AMF or has no name, or exceeds `limits`; `at` is for the error.
    pub fn parse(payload: &[u8], limits: &Limits, at: u64) -> Result<Self, Error> {
        let values = amf0::decode_all(payload, limits).map_err(|error| from_amf(error, at))?;
        let mut values = values.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(Error::Malformed { at, what: "command name" });
        };
        let transaction_id = values.next().and_then(|id| id.as_number()).unwrap_or(0.0);
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self { name, transaction_id, object, arguments: values.collect() })
    }

    /// The body of this message in AMF0.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(128);
        amf0::encode_str(&self.name, &mut body);
        amf0::encode_number(self.transaction_id, &mut body);
        amf0::encode(&self.object, &mut body);
        self.arguments.iter().for_each(|argument| amf0::encode(argument, &mut body));
        body
    }

    /// The argument at `index` behind the command object.
    #[must_use]
    pub fn argument(&self, index: usize) -> Option<&Value> {
        self.arguments.get(index)
    }

    /// The text argument at `index` behind the command object.
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&str> {
        self.argument(index).and_then(Value::as_str)
    }
}

/// Removes the format byte that AMF3 messages begin with: the values behind it are AMF0, which switches
/// to AMF3 value by value. Senders without the format byte are known, so it is optional.
#[must_use]
pub fn without_format_byte(mut payload: Bytes) -> Bytes {
    if payload.first() == Some(&0) {
        payload.advance(1);
    }
    payload
}

/// The information object of a status (7.2.2).
#[must_use]
pub fn information(level: &str, code: &str, description: &str) -> Object {
    Object::new().with("level", level).with("code", code).with("description", description)
}

/// Turns an AMF error into one of the session.
#[must_use]
pub fn from_amf(error: amf::Error, at: u64) -> Error {
    match error {
        amf::Error::Malformed { what, .. } => Error::Malformed { at, what },
        amf::Error::Unsupported(what) => Error::Unsupported(what),
        amf::Error::LimitExceeded { limit, max } => Error::LimitExceeded {
            setting: match limit {
                "depth_max" => "amf_depth_max",
                "values_max" => "amf_values_max",
                _ => "message_bytes_max",
            },
            value: 0,
            limit: max as u64,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_reads_back_as_it_was() {
        let object = Value::Object(Object::new().with("app", "live"));
        let command = Command::new("connect", 1.0, object, vec![Value::Null, Value::from("x")]);
        assert_eq!(Command::parse(&command.body(), &Limits::default(), 0), Ok(command));
    }

    #[test]
    fn command_without_transaction_and_object_gets_zero_and_null() {
        let mut body = Vec::new();
        amf0::encode_str("closeStream", &mut body);
        let command = Command::parse(&body, &Limits::default(), 0).unwrap();
        assert_eq!((command.transaction_id, command.object), (0.0, Value::Null));
        assert!(command.arguments.is_empty());
    }

    #[test]
    fn command_without_a_name_is_malformed() {
        let mut body = Vec::new();
        amf0::encode_number(1.0, &mut body);
        for body in [&body[..], &[]] {
            let error = Command::parse(body, &Limits::default(), 7);
            assert_eq!(error, Err(Error::Malformed { at: 7, what: "command name" }));
        }
    }

    #[test]
    fn format_byte_is_removed_once_and_only_if_there() {
        assert_eq!(without_format_byte(Bytes::from_static(&[0, 2, 0, 0])), [2, 0, 0][..]);
        assert_eq!(without_format_byte(Bytes::from_static(&[2, 0, 0])), [2, 0, 0][..]);
        assert_eq!(without_format_byte(Bytes::new()), [][..]);
    }

    #[test]
    fn exceeded_amf_limit_names_the_setting_that_raises_it() {
        let deep: Vec<u8> = [0x0a, 0, 0, 0, 1].repeat(10_000);
        let error = Command::parse(&deep, &Limits::default(), 0).unwrap_err();
        let Error::LimitExceeded { setting, limit, .. } = error else { panic!("{error}") };
        assert_eq!((setting, limit), ("amf_depth_max", 32));
    }
}
