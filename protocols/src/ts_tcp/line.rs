//! The line that names a stream, in front of its packets.

use super::Error;

/// The longest line, its end included, in bytes.
pub const LINE_BYTES_MAX: usize = 1_024;

/// `APP/NAME?QUERY`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamName {
    /// The application: everything before the last slash.
    pub app: String,
    /// The stream: what follows, up to the query.
    pub name: String,
    /// The query without `?`; empty if none.
    pub query: String,
}

impl StreamName {
    /// Splits `APP/NAME?QUERY`; `None` when it has no application or no name.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let (app, name) = path.rsplit_once('/')?;
        let app = app.trim_matches('/');
        let is_one = !app.is_empty() && !name.is_empty() && !text.chars().any(char::is_control);
        is_one.then(|| Self { app: app.to_owned(), name: name.to_owned(), query: query.to_owned() })
    }
}

/// What a connection starts with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Too few bytes to tell.
    Unclear,
    /// No line of ours.
    Packets,
    /// A line of so many bytes.
    Named { stream: StreamName, line_bytes: usize },
}

/// Looks at the first bytes of a connection.
pub(super) fn parse(bytes: &[u8]) -> Result<Start, Error> {
    let common = bytes.iter().zip(WORD).take_while(|(a, b)| a == b).count();
    if common < WORD.len() {
        return Ok(if common == bytes.len() { Start::Unclear } else { Start::Packets });
    }
    let head = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = head.iter().position(|&byte| byte == b'\n') else {
        let is_long = head.len() == LINE_BYTES_MAX;
        let error = Error::Malformed { what: "over 1,024 bytes without a line end" };
        return if is_long { Err(error) } else { Ok(Start::Unclear) };
    };
    let line = bytes.get(WORD.len()..end).unwrap_or_default();
    let text = std::str::from_utf8(line).map_err(|_| Error::Malformed { what: "not UTF-8" })?;
    let stream = StreamName::parse(text.trim())
        .ok_or(Error::Malformed { what: "no application or no stream name" })?;
    Ok(Start::Named { stream, line_bytes: end + 1 })
}

const WORD: &[u8] = b"corelay ";
