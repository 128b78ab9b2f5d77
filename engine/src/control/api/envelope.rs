//! What every reply of the API is wrapped in, and how lists are cut into pages; both as in SRS.

use std::hash::Hasher;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rustc_hash::FxHasher;
use serde::Serialize;

/// Who answers. Clients tell by it that a server was restarted or another one answers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Identity {
    /// Stays the same on this host.
    server: String,
    /// Is new with every start.
    service: String,
    /// The process id, as text.
    pid: String,
}

/// A reply: the identity, a code, and its body's fields beside them.
#[derive(Debug, Serialize)]
struct Envelope<'a, T> {
    code: u16,
    #[serde(flatten)]
    identity: &'a Identity,
    #[serde(flatten)]
    body: T,
}

/// A body without fields.
#[derive(Debug, Serialize)]
struct Nothing {}

/// Why a request gets no answer. The numbers are those of SRS where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No such path.
    NoSuchPath,
    /// The path can be read only.
    ReadOnly,
    /// No stream has that id.
    NoSuchStream,
    /// No connection has that id.
    NoSuchClient,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Index of the first entry.
    pub start: usize,
    /// Entries at most.
    pub count: usize,
}

impl Identity {
    /// The identity of this process.
    pub(super) fn of_this_process() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let pid = std::process::id();
        Self {
            server: id(&[host.trim().as_bytes()]),
            service: id(&[&pid.to_le_bytes(), &started.as_nanos().to_le_bytes()]),
            pid: pid.to_string(),
        }
    }

    /// Wraps a body.
    pub(super) fn reply<T: Serialize>(&self, body: T) -> Response {
        Json(Envelope { code: 0, identity: self, body }).into_response()
    }

    /// Wraps a refusal.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response {
        let (status, code) = match refusal {
            Refusal::NoSuchPath => (StatusCode::NOT_FOUND, 404),
            Refusal::ReadOnly => (StatusCode::METHOD_NOT_ALLOWED, 405),
            Refusal::NoSuchStream => (StatusCode::NOT_FOUND, 2_048),
            Refusal::NoSuchClient => (StatusCode::NOT_FOUND, 2_049),
        };
        (status, Json(Envelope { code, identity: self, body: Nothing {} })).into_response()
    }
}

impl Page {
    /// Reads `start` and `count` of a query; what is missing or no number is the default, what is
    /// too small the smallest that makes sense.
    pub(super) fn from_query(query: &[(String, String)]) -> Self {
        let number = |key: &str| {
            let value = query.iter().find(|(name, _)| name == key);
            value.and_then(|(_, value)| value.parse::<i64>().ok())
        };
        let at_least = |number: i64, least: i64| usize::try_from(number.max(least)).unwrap_or(0);
        Self {
            start: at_least(number("start").unwrap_or(0), 0),
            count: at_least(number("count").unwrap_or(COUNT), 1),
        }
    }

    /// Cuts the page out of a list.
    pub(super) fn cut<T>(self, list: &[T]) -> &[T] {
        let rest = list.get(self.start..).unwrap_or_default();
        rest.get(..self.count).unwrap_or(rest)
    }
}

fn id(parts: &[&[u8]]) -> String {
    let mut hasher = FxHasher::default();
    parts.iter().for_each(|part| hasher.write(part));
    format!("{:016x}", hasher.finish())
}

/// Entries of a page when the query does not say.
const COUNT: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &[(&str, &str)]) -> Page {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Page::from_query(&query.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_page_is_read_leniently() {
        assert_eq!(page(&[]), Page { start: 0, count: 10 });
        assert_eq!(page(&[("count", "5"), ("start", "20")]), Page { start: 20, count: 5 });
        assert_eq!(page(&[("start", "-3"), ("count", "0")]), Page { start: 0, count: 1 });
        assert_eq!(page(&[("start", "x"), ("count", "")]), Page { start: 0, count: 10 });
        assert_eq!(page(&[("other", "1"), ("count", "3")]), Page { start: 0, count: 3 });
        let far = page(&[("start", "9223372036854775807"), ("count", "9223372036854775807")]);
        assert_eq!(far.cut(&[1, 2]), &[] as &[i32]);
    }

    #[test]
    fn a_page_is_what_the_list_has_of_it() {
        let list = [0, 1, 2, 3, 4];
        assert_eq!(Page { start: 1, count: 2 }.cut(&list), &[1, 2]);
        assert_eq!(Page { start: 3, count: 10 }.cut(&list), &[3, 4]);
        assert_eq!(Page { start: 5, count: 10 }.cut(&list), &[] as &[i32]);
        assert_eq!(Page { start: 6, count: 1 }.cut(&list), &[] as &[i32]);
    }

    #[test]
    fn an_envelope_holds_the_body_beside_its_own_fields() {
        #[derive(Serialize)]
        struct Body {
            streams: Vec<u8>,
        }
        let identity = Identity { server: "s".into(), service: "t".into(), pid: "1".into() };
        let body = Body { streams: vec![1, 2] };
        let text = serde_json::to_string(&Envelope { code: 0, identity: &identity, body }).unwrap();
        assert_eq!(text, r#"{"code":0,"server":"s","service":"t","pid":"1","streams":[1,2]}"#);
    }

    #[test]
    fn the_server_keeps_its_id_and_the_service_gets_a_new_one() {
        let (one, other) = (Identity::of_this_process(), Identity::of_this_process());
        assert_eq!(one.server, other.server);
        assert_ne!(one.service, other.service);
        assert_eq!(one.pid, std::process::id().to_string());
    }
}
