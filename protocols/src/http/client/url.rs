//! `http` URLs: where a request goes, and where a redirect leads (RFC 3986, RFC 9110 4.2.1).
//!
//! Invariants
//! - Nothing in a [`Url`] can end a line or a word of a request: its parts are visible ASCII.

use std::fmt;

use super::error::Error;

/// An `http` URL without user name and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Reads `http://host[:port][/path][?query][#fragment]`. An IPv6 address stands in brackets.
    /// Characters of the path that no request line can carry are percent-encoded.
    ///
    /// # Errors
    /// [`Error::Redirect`] with what is wrong, for the text stands in a response or comes from
    /// somebody who checked it before.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text.as_bytes(), None)
    }

    /// Reads the value of a `Location` field of a response to a request for this URL, which may be
    /// relative (RFC 9110 10.2.2, RFC 3986 5.2).
    ///
    /// # Errors
    /// [`Error::Redirect`] with what is wrong.
    pub fn resolve(&self, location: &[u8]) -> Result<Self, Error> {
        Self::read(location, Some(self))
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535; 80 if the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, with the leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn read(text: &[u8], base: Option<&Self>) -> Result<Self, Error> {
        parse(text, base).map_err(|why| Error::Redirect {
            location: String::from_utf8_lossy(text)
                .chars()
                .filter(|c| !c.is_control())
                .take(LOCATION_CHARS_MAX)
                .collect(),
            why,
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", Authority(self), self.path)
    }
}

/// The value of a `Host` field: the port only where it is not 80 (RFC 9110 7.2).
pub(super) struct Authority<'a>(pub(super) &'a Url);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url { host, port, .. } = self.0;
        match host.contains(':') {
            true => write!(f, "[{host}]")?,
            false => f.write_str(host)?,
        }
        if *port == DEFAULT_PORT { Ok(()) } else { write!(f, ":{port}") }
    }
}

fn parse(text: &[u8], base: Option<&Url>) -> Result<Url, &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("it is longer than 4096 bytes");
    }
    if text.iter().any(u8::is_ascii_control) {
        return Err("it has control characters");
    }
    let text = text.trim_ascii().split(|byte| *byte == b'#').next().unwrap_or_default();
    let (authority_and_path, base) = match (after_scheme(text)?, base) {
        (Some(rest), _) => (rest.strip_prefix(b"//").ok_or("it has no host")?, None),
        (None, None) => return Err("it does not begin with http://"),
        (None, Some(base)) => match text.strip_prefix(b"//") {
            Some(rest) => (rest, None),
            None => (text, Some(base)),
        },
    };
    if let Some(base) = base {
        return Ok(Url {
            path: relative(&encoded(authority_and_path), &base.path),
            ..base.clone()
        });
    }
    let path_at = authority_and_path.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let path_at = path_at.unwrap_or(authority_and_path.len());
    let (authority, path) = authority_and_path.split_at(path_at);
    let (host, port) = host_and_port(authority)?;
    let slash = if path.starts_with(b"/") { "" } else { "/" };
    Ok(Url { host, port, path: format!("{slash}{}", encoded(path)) })
}

/// What follows `http:`; `None` when no scheme is named.
fn after_scheme(text: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = text.iter().take_while(|byte| is_scheme(byte)).count();
    let (scheme, rest) = text.split_at(length);
    match rest.strip_prefix(b":") {
        None => Ok(None),
        Some(rest) if scheme.eq_ignore_ascii_case(b"http") => Ok(Some(rest)),
        Some(_) if scheme.eq_ignore_ascii_case(b"https") => Err("TLS is not spoken here"),
        Some(_) => Err("its scheme is not http"),
    }
}

fn host_and_port(authority: &[u8]) -> Result<(String, u16), &'static str> {
    let text = str::from_utf8(authority).map_err(|_| "its host is no name")?;
    if text.contains('@') {
        return Err("it has a user name");
    }
    let (host, port, allowed) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("its bracket is not closed")?;
            let port = port.strip_prefix(':').or(port.is_empty().then_some(""));
            (host, port.ok_or("its port has no colon")?, &b":."[..])
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, port, &b"-._"[..]),
            None => (text, "", &b"-._"[..]),
        },
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || allowed.contains(&byte);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_allowed) {
        return Err("its host is no name");
    }
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        "" => Some(DEFAULT_PORT),
        _ => port.parse().ok().filter(|port| *port > 0 && is_number),
    };
    Ok((host.to_owned(), port.ok_or("its port is none")?))
}

/// Percent-encodes what is not visible ASCII; what is encoded already stays.
fn encoded(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for &byte in path {
        match byte {
            0x21..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// A reference without host, seen from `base` (RFC 3986 5.2.2 to 5.2.4).
fn relative(reference: &str, base: &str) -> String {
    let base_path = base.split('?').next().unwrap_or_default();
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    if path.is_empty() {
        return format!("{}{query}", if query.is_empty() { base } else { base_path });
    }
    if path.starts_with('/') {
        return format!("{}{query}", without_dots(path));
    }
    let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{}{query}", without_dots(&format!("{folder}/{path}")))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

const DEFAULT_PORT: u16 = 80;
/// What common servers accept of a request line, and more than anybody redirects to.
const URL_BYTES_MAX: usize = 4096;
/// RFC 1035 2.3.4.
const HOST_BYTES_MAX: usize = 253;
/// Of a text that stands in a log line.
const LOCATION_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> &'static str {
        match Url::parse(text) {
            Err(Error::Redirect { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_url_reads_back_as_it_was_written() {
        for (text, host, port, path) in [
            ("http://h/a.ts", "h", 80, "/a.ts"),
            ("http://h:8080/a/b.ts?t=1", "h", 8080, "/a/b.ts?t=1"),
            ("http://10.0.0.1:8080/", "10.0.0.1", 8080, "/"),
            ("http://[2001:db8::1]:81/x", "2001:db8::1", 81, "/x"),
            ("http://[::1]/x", "::1", 80, "/x"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path), "{text}");
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn what_stands_in_the_url_cannot_leave_its_line() {
        for (text, path) in [
            ("HTTP://h?x=1#frag", "/?x=1"),
            ("http://h:80", "/"),
            ("http://h/a b\u{e4}%20", "/a%20b%C3%A4%20"),
        ] {
            assert_eq!(Url::parse(text).expect(text).path(), path, "{text}");
        }
        assert_eq!(why("http://h/a\r\nX: 1"), "it has control characters");
        assert_eq!(why("http://h\u{e4}/"), "its host is no name");
        assert_eq!(why("http://a b/"), "its host is no name");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_its_reason() {
        for (text, expected) in [
            ("https://h/a", "TLS is not spoken here"),
            ("rtmp://h/a", "its scheme is not http"),
            ("h/a", "it does not begin with http://"),
            ("http:/h", "it has no host"),
            ("http:///a", "its host is no name"),
            ("http://u:p@h/", "it has a user name"),
            ("http://h:0/", "its port is none"),
            ("http://h:+8/", "its port is none"),
            ("http://h:65536/", "its port is none"),
            ("http://[::1/", "its bracket is not closed"),
            ("http://[::1]8/", "its port has no colon"),
        ] {
            assert_eq!(why(text), expected, "{text}");
        }
        let long = format!("http://h/{}", "a".repeat(URL_BYTES_MAX));
        let Err(Error::Redirect { location, .. }) = Url::parse(&long) else { panic!("too long") };
        assert_eq!(location.len(), LOCATION_CHARS_MAX);
    }

    #[test]
    fn references_are_resolved_as_the_specification_shows() {
        // RFC 3986 5.4.1 and 5.4.2, with the base http://a/b/c/d;p?q.
        let base = Url::parse("http://a/b/c/d;p?q").expect("a URL");
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("http://h:81/x", "http://h:81/x"),
        ] {
            let url = base.resolve(reference.as_bytes()).expect(reference);
            assert_eq!(url.to_string(), expected, "{reference}");
        }
    }
}
