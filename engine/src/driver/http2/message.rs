//! Messages of HTTP/2 as those of HTTP/1.1, and back: both mean the same (RFC 9110), and one session
//! answers both.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Request, Response, StatusCode};

/// The head of a request as HTTP/1.1 has it. It is the only one of its exchange: content without a
/// length goes up to the end of the stream.
///
/// What could be taken for the end of a line, a path or a field does not pass the `http` crate's types.
pub(super) fn request_head<T>(request: &Request<T>) -> Vec<u8> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    put(&[request.method().as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\n"]);
    put(&[b"Connection: close\r\n"]);
    // The pseudo-header stands in for the field (RFC 9113 8.3.1).
    if let Some(authority) = uri.authority() {
        put(&[b"Host: ", authority.as_str().as_bytes(), b"\r\n"]);
    }
    for (name, value) in request.headers() {
        let is_said = name == HOST && uri.authority().is_some();
        if !is_said && name != CONNECTION && name != TRANSFER_ENCODING {
            put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    put(&[b"\r\n"]);
    head
}

/// The head of a response, cut off the front of what an HTTP/1.1 session has written; the bytes behind it
/// are the body. `None`: it is none.
pub(super) fn response_head(message: &mut Bytes) -> Option<Response<()>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(message).ok()? else { return None };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.code?).ok()?;
    for field in head.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if !CONNECTION_SPECIFIC.contains(&name.as_str()) {
            response.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
    }
    let _ = message.split_to(length);
    Some(response)
}

/// Content is announced: a length, or, where there is none, a stream that does not end with its head.
pub(super) fn has_length(fields: &HeaderMap) -> bool {
    fields.contains_key(CONTENT_LENGTH)
}

/// Fields that a connection of HTTP/1.1 needs and one of HTTP/2 must not have (RFC 9113 8.2.2).
const CONNECTION_SPECIFIC: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "upgrade"];
/// Heads are seldom longer.
const HEAD_BYTES: usize = 512;
/// Our session writes fewer.
const FIELDS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(request: http::request::Builder) -> String {
        String::from_utf8(request_head(&request.body(()).unwrap())).unwrap()
    }

    #[test]
    fn a_request_becomes_the_only_one_of_a_connection() {
        let request = Request::get("https://tv.example:8443/live/news.m3u8?token=1")
            .header("user-agent", "AppleCoreMedia/1.0")
            .header("accept-encoding", "gzip")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        assert_eq!(
            head_of(request),
            "GET /live/news.m3u8?token=1 HTTP/1.1\r\nConnection: close\r\nHost: tv.example:8443\r\n\
             user-agent: AppleCoreMedia/1.0\r\naccept-encoding: gzip\r\ncookie: a=1\r\ncookie: b=2\r\n\r\n"
        );
    }

    #[test]
    fn the_authority_stands_in_for_host_and_nothing_rules_the_connection() {
        let request = Request::put("https://tv.example/live/a.ts")
            .header("host", "elsewhere.example")
            .header("connection", "keep-alive")
            .header("transfer-encoding", "chunked");
        let expected = "PUT /live/a.ts HTTP/1.1\r\nConnection: close\r\nHost: tv.example\r\n\r\n";
        assert_eq!(head_of(request), expected);
        let request = Request::get("/live/a.ts").header("host", "tv.example");
        let expected = "GET /live/a.ts HTTP/1.1\r\nConnection: close\r\nhost: tv.example\r\n\r\n";
        assert_eq!(head_of(request), expected);
    }

    #[test]
    fn no_request_hides_another_one() {
        for path in ["/a b", "/a\r\nX: y", "/a\nb", "/a\0b"] {
            assert!(path.parse::<http::Uri>().is_err(), "{path:?}");
        }
        for value in ["a\r\nX: y", "a\nb", "a\0b"] {
            assert!(HeaderValue::from_str(value).is_err(), "{value:?}");
        }
        for name in ["a b", "a:b", "a\r\nb", ""] {
            assert!(HeaderName::from_bytes(name.as_bytes()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_response_loses_what_is_its_connections_and_keeps_its_body() {
        let text = "HTTP/1.1 206 Partial Content\r\nServer: corelay\r\nContent-Range: bytes 0-3/9\r\n\
                    Content-Length: 4\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\r\nbody";
        let mut message = Bytes::from(text);
        let response = response_head(&mut message).expect("a head");
        assert_eq!(response.status(), 206);
        let names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["server", "content-range", "content-length"]);
        assert_eq!(message, "body");
    }

    #[test]
    fn what_is_no_head_stays_as_it_is() {
        for text in ["", "HTTP/1.1 200 OK\r\n", "FLV\x01", "HTTP/1.1 99 No\r\n\r\n"] {
            let mut message = Bytes::from(text);
            assert!(response_head(&mut message).is_none(), "{text:?}");
            assert_eq!(message, text);
        }
    }
}
