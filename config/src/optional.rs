//! What may be left empty: `""` in the file, `None` in the structs.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::section::{Section, Value};

/// Reads the value of `key`; `None` where the text is empty.
pub(crate) fn value<'a>(section: &mut Section<'a>, key: &'static str) -> Option<Value<'a>> {
    section.value(key).filter(|value| value.word() != Some(""))
}

/// Reads the path of a file; `remedy` says what would be right where it is something else.
pub(crate) fn path(section: &mut Section<'_>, key: &'static str, remedy: &str) -> Option<PathBuf> {
    value(section, key).and_then(|value| value.text(remedy)).map(PathBuf::from)
}

/// Writes `None` as the empty text that it is in the file, for `#[serde(serialize_with)]`.
pub(crate) fn serialize<T: Serialize, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}
