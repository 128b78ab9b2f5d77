//! Names: application, instance, stream, query and virtual host, in every form that clients send.
//!
//! | sent | app | query | vhost | stream name |
//! |---|---|---|---|---|
//! | app `live`, tcUrl `rtmp://h:1935/live`, stream `a?token=t` | live | | h | a |
//! | app `live?vhost=v` or `live...vhost...v`, stream `a` | live | vhost=v | v | a |
//! | app `live/`, stream `/a/` | live | | h | a |
//! | app `live/inst`, stream `a` | live | | h | inst/a |
//! | app `live/_definst_`, stream `mp4:a` | live | | h | a |
//!
//! An instance becomes the front of the stream name: clients split `rtmp://h/live/inst/a` in different
//! places, and this way all of them mean the same stream. `_definst_` is what Flash servers call no
//! instance.
//!
//! Invariants
//! - Names are compared as bytes; nothing is percent-decoded, since no RTMP server does.
//! - A name that passes [`check_name`] has no empty, `.` or `..` segment and no control character, so it
//!   is fit for a path, a log line and a URL.

/// The longest application or stream name, in bytes. Longer than any real one; a name costs memory on
/// every core and stands in every log line.
pub const NAME_BYTES_MAX: usize = 512;

/// Where a connection goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Application name.
    pub app: String,
    /// Instance of the application; empty if none.
    pub instance: String,
    /// Query of the application part and of the tcUrl, without `?`; empty if none.
    pub query: String,
    /// Virtual host; empty if neither query nor tcUrl names one.
    pub vhost: String,
}

/// Reads the fields `app` and `tcUrl` of the command `connect`; an empty `app` is taken from `tcUrl`.
#[must_use]
pub fn parse_target(app: &str, tc_url: &str) -> Target {
    let tc = parse_tc_url(tc_url);
    let (path, query) = split_query(if app.is_empty() { &tc.path } else { app });
    let path = path.trim_matches('/');
    let (app, instance) = path.split_once('/').unwrap_or((path, ""));
    let instance = instance.trim_matches('/');
    let instance = if instance == DEFAULT_INSTANCE { "" } else { instance };
    let query = join_queries(query, tc.query);
    let vhost = query_value(&query, "vhost").filter(|vhost| !vhost.is_empty());
    let vhost = vhost.map_or(tc.host, str::to_owned);
    Target { app: app.to_owned(), instance: instance.to_owned(), query, vhost }
}

/// A stream as `publish` and `play` name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamName {
    /// Type prefix (`flv`, `mp4`, `mp3`, `id3`); empty if none.
    pub prefix: String,
    /// Name without prefix and query.
    pub name: String,
    /// Query without `?`; empty if none.
    pub query: String,
}

/// Reads the stream name of `publish` and `play`, of a connection to `instance`.
#[must_use]
pub fn parse_stream_name(text: &str, instance: &str) -> StreamName {
    let (path, query) = split_query(text.trim_start_matches('/'));
    let (prefix, path) = match path.split_once(':') {
        Some((prefix, path)) if TYPE_PREFIXES.contains(&prefix) => (prefix, path),
        _ => ("", path),
    };
    let path = path.trim_matches('/');
    let name = match instance {
        "" => path.to_owned(),
        _ if path.is_empty() => String::new(),
        _ => format!("{instance}/{path}"),
    };
    StreamName { prefix: prefix.to_owned(), name, query }
}

/// Checks that a name is fit to be one.
///
/// # Errors
/// What is wrong with it, for the peer and the log.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return Err("the name is longer than 512 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("the name has control characters");
    }
    if name.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("the name has an empty, '.' or '..' segment");
    }
    Ok(())
}

/// Returns the value of `key` in `query`: of the first one if it is there more than once, and empty if
/// it has none.
#[must_use]
pub fn query_value<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        (own == key).then_some(value)
    })
}

/// A complete URL, as given to a client session: `rtmp://host[:port]/app[/instance]/stream[?query]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamUrl {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port; 1935 if the URL has none.
    pub port: u16,
    /// What `connect` sends as `app`.
    pub app: String,
    /// What `connect` sends as `tcUrl`.
    pub tc_url: String,
    /// What `publish` or `play` sends: the stream with its query.
    pub stream: String,
}

impl StreamUrl {
    /// Reads a URL: the last path segment is the stream, what is before it the application.
    ///
    /// Returns `None` if it is not `rtmp://` or lacks host, application or stream, or the port is none.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("rtmp://")?;
        let (authority, path_query) = rest.split_once('/')?;
        let (path, query) = path_query.split_at(path_query.find('?').unwrap_or(path_query.len()));
        let (app, name) = path.trim_end_matches('/').rsplit_once('/')?;
        let (host, port) = split_authority(authority);
        let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().ok()? };
        if host.is_empty() || app.is_empty() || name.is_empty() {
            return None;
        }
        Some(Self {
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            tc_url: format!("rtmp://{authority}/{app}"),
            stream: format!("{name}{query}"),
        })
    }
}

struct TcUrl {
    host: String,
    path: String,
    query: String,
}

fn parse_tc_url(url: &str) -> TcUrl {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let (host, _) = split_authority(authority);
    let (_, query) = split_query(path);
    TcUrl { host: host.to_ascii_lowercase(), path: path.trim_matches('/').to_owned(), query }
}

/// Splits `[user@]host[:port]`; the host may be an address in brackets, which are taken off.
fn split_authority(authority: &str) -> (&str, &str) {
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    if let Some((host, rest)) = host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.trim_start_matches(':'));
    }
    host_port.split_once(':').unwrap_or((host_port, ""))
}

/// Splits off the query: behind `?`, or in the form `name...key...value` for encoders that cannot have
/// a `?` in a name.
fn split_query(text: &str) -> (&str, String) {
    if let Some((path, query)) = text.split_once('?') {
        return (path, query.to_owned());
    }
    match text.split_once("...") {
        Some((path, pairs)) if pairs.contains("...") => {
            let parts: Vec<&str> = pairs.split("...").collect();
            let pairs: Vec<String> = parts.chunks(2).map(|pair| pair.join("=")).collect();
            (path, pairs.join("&"))
        }
        _ => (text, String::new()),
    }
}

/// Joins the queries of `app` and `tcUrl`, which are mostly the same one.
fn join_queries(app: String, tc: String) -> String {
    if tc.is_empty() || app == tc {
        app
    } else if app.is_empty() {
        tc
    } else {
        format!("{app}&{tc}")
    }
}

const DEFAULT_PORT: u16 = 1935;
const DEFAULT_INSTANCE: &str = "_definst_";
const TYPE_PREFIXES: [&str; 4] = ["flv", "mp4", "mp3", "id3"];

#[cfg(test)]
mod tests {
    use super::*;

    fn target(app: &str, instance: &str, query: &str, vhost: &str) -> Target {
        let own = str::to_owned;
        Target { app: own(app), instance: own(instance), query: own(query), vhost: own(vhost) }
    }

    #[test]
    fn every_form_of_the_application_is_understood() {
        let cases = [
            ("live", "rtmp://h:1935/live", target("live", "", "", "h")),
            ("live", "rtmp://H.Example/live", target("live", "", "", "h.example")),
            ("live", "rtmp://[::1]:1935/live", target("live", "", "", "::1")),
            ("live", "rtmp://[fe80::1]/live", target("live", "", "", "fe80::1")),
            ("live", "rtmp://user:pass@h:1935/live", target("live", "", "", "h")),
            ("live/", "rtmp://h/live/", target("live", "", "", "h")),
            ("/live", "rtmp://h", target("live", "", "", "h")),
            ("live/inst", "rtmp://h/live/inst", target("live", "inst", "", "h")),
            ("live/a/b", "rtmp://h/live/a/b", target("live", "a/b", "", "h")),
            ("live/_definst_", "rtmp://h/live/_definst_", target("live", "", "", "h")),
            ("", "rtmp://h/live", target("live", "", "", "h")),
            ("", "rtmp://h/live?vhost=v", target("live", "", "vhost=v", "v")),
            ("live?vhost=v", "rtmp://h/live?vhost=v", target("live", "", "vhost=v", "v")),
            ("live?token=t", "rtmp://h/live", target("live", "", "token=t", "h")),
            ("live", "rtmp://h/live?token=t", target("live", "", "token=t", "h")),
            ("live?a=1", "rtmp://h/live?b=2", target("live", "", "a=1&b=2", "h")),
            ("live...vhost...v.w", "rtmp://h/live", target("live", "", "vhost=v.w", "v.w")),
            (
                "live...vhost...v...token...t",
                "rtmp://h/live...vhost...v...token...t",
                target("live", "", "vhost=v&token=t", "v"),
            ),
            ("live?vhost=", "rtmp://h/live", target("live", "", "vhost=", "h")),
            ("li...ve", "rtmp://h/li...ve", target("li...ve", "", "", "h")),
            ("live", "", target("live", "", "", "")),
            ("live", "nonsense", target("live", "", "", "")),
            ("", "", target("", "", "", "")),
        ];
        for (app, tc_url, expected) in cases {
            assert_eq!(parse_target(app, tc_url), expected, "{app} {tc_url}");
        }
    }

    #[test]
    fn every_form_of_the_stream_name_is_understood() {
        let cases = [
            ("a", "", ("", "a", "")),
            ("a?token=t&x=1", "", ("", "a", "token=t&x=1")),
            ("a?", "", ("", "a", "")),
            ("/a/b/", "", ("", "a/b", "")),
            ("mp4:a.mp4?t=1", "", ("mp4", "a.mp4", "t=1")),
            ("flv:a", "i", ("flv", "i/a", "")),
            ("cam:1", "", ("", "cam:1", "")),
            ("a...vhost...v", "", ("", "a", "vhost=v")),
            ("wait...what", "", ("", "wait...what", "")),
            ("a", "i/j", ("", "i/j/a", "")),
            ("", "i", ("", "", "")),
            ("?token=t", "", ("", "", "token=t")),
        ];
        for (text, instance, (prefix, name, query)) in cases {
            let own = str::to_owned;
            let expected = StreamName { prefix: own(prefix), name: own(name), query: own(query) };
            assert_eq!(parse_stream_name(text, instance), expected, "{text}");
        }
    }

    #[test]
    fn clients_that_split_the_path_differently_mean_the_same_stream() {
        let instance = parse_target("live/inst", "rtmp://h/live/inst").instance;
        let split_late = parse_stream_name("a", &instance);
        let split_early = parse_stream_name("inst/a", "");
        assert_eq!(split_late, split_early);
    }

    #[test]
    fn names_unfit_for_a_path_or_a_log_are_refused() {
        for name in ["a", "a/b", "ü", "a b", "a..b", &"a".repeat(NAME_BYTES_MAX)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "..", "a/../b", "./a", "a//b", "a\nb", "a\0", "a/", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn query_value_is_found_by_its_whole_key() {
        assert_eq!(query_value("atoken=1&token=2&token=3&flag", "token"), Some("2"));
        assert_eq!(query_value("a=1&flag", "flag"), Some(""));
        assert_eq!(query_value("a=1", "b"), None);
        assert_eq!(query_value("", "b"), None);
    }

    #[test]
    fn stream_url_is_split_before_its_last_segment() {
        let url = StreamUrl::parse("rtmp://[::1]:1936/live/inst/a?token=t/u").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 1936));
        assert_eq!((url.app.as_str(), url.stream.as_str()), ("live/inst", "a?token=t/u"));
        assert_eq!(url.tc_url, "rtmp://[::1]:1936/live/inst");
        assert_eq!(StreamUrl::parse("rtmp://h/live/a").unwrap().port, 1935);
        for wrong in [
            "http://h/live/a",
            "rtmp://h/live",
            "rtmp:///live/a",
            "rtmp://h:x/live/a",
            "rtmp://h//a",
        ] {
            assert_eq!(StreamUrl::parse(wrong), None, "{wrong}");
        }
    }
}
