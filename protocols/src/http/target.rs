//! The request target: which resource is meant (RFC 9112 3.2, RFC 3986 3.3).
//!
//! Invariants
//! - Names that leave here are UTF-8, not empty, free of control characters, and no segment is `.`,
//!   `..` or hides a slash: they are safe as stream names, log fields and parts of a file name.

use std::borrow::Cow;

use corelay_codecs::TrackFilter;
use smallvec::SmallVec;

use super::error::Refusal;
use super::event::{Container, Scheme};
use super::hls_request::{is_set, pairs};
use super::hls_target::{self, HlsTarget, Place};
use super::relay::{self, RelayTarget};
use super::settings::Settings;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `/`: the page that says what this server is.
    Root,
    /// `/crossdomain.xml`: Flash asks this before it reads from another host.
    CrossDomain,
    /// `/APP/NAME.EXTENSION`.
    Stream(StreamTarget),
    /// A playlist of HTTP Live Streaming, or what one names.
    Hls(HlsTarget<'a>),
    /// `/udp/GROUP`, `/rtp/GROUP`, and whatever stands below them; or what is wrong with the group.
    Relay(Result<RelayTarget, &'static str>),
    /// `/status`, `/status/`: what is being relayed.
    Status,
    /// A well-formed path with nothing behind it.
    Unknown,
}

/// The stream that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamTarget {
    pub(super) app: String,
    pub(super) name: String,
    pub(super) query: String,
    pub(super) container: Container,
    pub(super) tracks: TrackFilter,
}

/// Splits an absolute-form target into authority and origin-form (RFC 9112 3.2.2); other forms have
/// no authority.
pub(super) fn split_authority(target: &str) -> (Option<&str>, &str) {
    if target.starts_with('/') {
        return (None, target);
    }
    let Some(rest) = strip_scheme(target) else { return (None, target) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    (Some(authority), if path.is_empty() { "/" } else { path })
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    ["http", "https", "ws", "wss"].iter().any(|s| scheme.eq_ignore_ascii_case(s)).then_some(rest)
}

/// Reads an origin-form target: path and query.
///
/// # Errors
/// 400 for a path that no URL has or that tries to leave its place, 414 for names that are too
/// long. Below `NAME.hls/` such a path is [`Target::Unknown`].
pub(super) fn parse<'a>(origin_form: &'a str, settings: &Settings) -> Result<Target<'a>, Refusal> {
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    let Some(path) = path.strip_prefix('/') else {
        return Err(Refusal::violation(400, "the request target is not a path"));
    };
    if origin_form.contains('#') {
        return Err(Refusal::violation(400, "a fragment (#) in the request target"));
    }
    match path {
        "" => return Ok(Target::Root),
        "crossdomain.xml" => return Ok(Target::CrossDomain),
        _ => {}
    }
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match decode_segment(first)?.as_ref() {
        "udp" => return parse_relay(Scheme::Udp, rest, query),
        "rtp" => return parse_relay(Scheme::Rtp, rest, query),
        "status" if rest.is_empty() => return Ok(Target::Status),
        _ => {}
    }
    let mut segments = Segments::new();
    for segment in path.split('/') {
        match decode_segment(segment) {
            Ok(segment) => segments.push(segment),
            Err(_) if hls_target::holds(&segments) => return Ok(Target::Unknown),
            Err(refusal) => return Err(refusal),
        }
    }
    match hls_target::parse(path, &segments, query, settings)? {
        Place::Hls(target) => Ok(Target::Hls(target)),
        Place::Nowhere => Ok(Target::Unknown),
        Place::Elsewhere => parse_stream(&segments, query, settings),
    }
}

fn parse_stream<'a>(
    segments: &[Cow<'_, str>],
    query: &str,
    settings: &Settings,
) -> Result<Target<'a>, Refusal> {
    let Some((last, app)) = segments.split_last() else { return Ok(Target::Unknown) };
    let Some((name, extension)) = last.rsplit_once('.') else { return Ok(Target::Unknown) };
    let Some(container) = Container::of_extension(extension) else { return Ok(Target::Unknown) };
    if app.is_empty() {
        return Ok(Target::Unknown);
    }
    if name.is_empty() || is_dots(name) {
        return Err(Refusal::violation(400, "an empty, `.` or `..` stream name"));
    }
    let app = app.join("/");
    check_names(&app, name, settings)?;
    let (name, query, tracks) = (name.to_owned(), query.to_owned(), parse_tracks(query));
    Ok(Target::Stream(StreamTarget { app, name, query, container, tracks }))
}

pub(super) fn check_names(app: &str, name: &str, settings: &Settings) -> Result<(), Refusal> {
    let longest = app.len().max(name.len());
    if longest > settings.name_bytes_max {
        return Err(Refusal::limit(414, "name_bytes_max", longest, settings.name_bytes_max));
    }
    Ok(())
}

/// Reads what stands below `/udp/` or `/rtp/`: a group, and behind it whatever a player appends.
fn parse_relay<'a>(scheme: Scheme, path: &str, query: &str) -> Result<Target<'a>, Refusal> {
    let place = match path.split('/').next().unwrap_or_default() {
        "" => Cow::Borrowed(""),
        segment => decode_segment(segment)?,
    };
    Ok(Target::Relay(relay::parse_place(&place).map(|(address, sources)| {
        let query = query.to_owned();
        RelayTarget { scheme, address, sources, query }
    })))
}

fn decode_segment(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    let is_plain = segment.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%');
    if is_plain && !segment.is_empty() && !is_dots(segment) {
        return Ok(Cow::Borrowed(segment));
    }
    let decoded = percent_decode(segment)
        .ok_or(Refusal::violation(400, "a percent sign without two hexadecimal digits"))?;
    let decoded = String::from_utf8(decoded)
        .map_err(|_| Refusal::violation(400, "a path that is not UTF-8"))?;
    if decoded.is_empty() || is_dots(&decoded) {
        return Err(Refusal::violation(400, "an empty, `.` or `..` path segment"));
    }
    if decoded.contains(|c: char| c == '/' || c.is_control()) {
        return Err(Refusal::violation(400, "an encoded slash or control character in the path"));
    }
    Ok(Cow::Owned(decoded))
}

/// True for the two names that mean a place relative to another (RFC 3986 3.3).
pub(super) fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// Decodes `%XX` (RFC 3986 2.1); `None` when a `%` stands alone. `+` is a plus sign in a path.
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            _ => byte,
        });
    }
    Some(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// `onlyAudio` and `onlyVideo` of the query. A page that sets both wants its player to choose: it
/// gets everything rather than nothing.
fn parse_tracks(query: &str) -> TrackFilter {
    let only_audio = has_flag(query, "onlyAudio");
    let only_video = has_flag(query, "onlyVideo");
    match (only_audio, only_video) {
        (true, false) => TrackFilter { video: false, audio: true },
        (false, true) => TrackFilter { video: true, audio: false },
        _ => TrackFilter::ALL,
    }
}

/// True when the query holds `key`, `key=`, `key=1` or `key=true`; the last of several counts.
fn has_flag(query: &str, key: &str) -> bool {
    let last = pairs(query).rfind(|(name, _)| name.eq_ignore_ascii_case(key));
    last.is_some_and(|(_, value)| is_set(value))
}

/// The segments of a path, decoded. Most paths have no more.
type Segments<'a> = SmallVec<[Cow<'a, str>; 8]>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(origin_form: &str) -> StreamTarget {
        match parse(origin_form, &Settings::default()) {
            Ok(Target::Stream(stream)) => stream,
            other => panic!("{origin_form} is {other:?}"),
        }
    }

    fn status(origin_form: &str) -> u16 {
        parse(origin_form, &Settings::default()).expect_err(origin_form).status
    }

    #[test]
    fn the_last_segment_is_the_name_and_the_ones_before_are_the_application() {
        let target = stream("/live/test.flv");
        assert_eq!((target.app.as_str(), target.name.as_str()), ("live", "test"));
        let target = stream("/a/b/c/name.with.dots.flv?token=x&y=%20");
        assert_eq!((target.app.as_str(), target.name.as_str()), ("a/b/c", "name.with.dots"));
        assert_eq!(target.query, "token=x&y=%20");
        assert_eq!(target.container, Container::Flv);
    }

    #[test]
    fn escapes_are_decoded_and_plus_is_a_plus() {
        let target = stream("/caf%C3%A9/a%20b+c.flv");
        assert_eq!((target.app.as_str(), target.name.as_str()), ("café", "a b+c"));
        assert_eq!(stream("/live/%e5%a4%ae.flv").name, "央");
        assert_eq!(stream("/live/%2e%2Eflv.flv").name, "..flv");
    }

    #[test]
    fn names_that_leave_their_place_are_refused() {
        for path in [
            "/../x.flv",
            "/live/../x.flv",
            "/live/./x.flv",
            "/live/%2e%2e/x.flv",
            "/live/%2E/x.flv",
            "/live//x.flv",
            "//live/x.flv",
            "/live/a%2fb.flv",
            "/live/a%00b.flv",
            "/live/a%0ab.flv",
            "/live/a%7f.flv",
            "/live/a%c2%85.flv",
            "/live/%ff.flv",
            "/live/%zz.flv",
            "/live/%4",
            "/live/%.flv",
            "/live/.flv",
            "/live/..flv",
            "/live/...flv",
            "/live/",
            "live/x.flv",
            "*",
            "",
            "?",
            "/live/x.flv#t",
            "/live/x.flv?a#t",
            "/udp/%zz",
            "/udp/../x",
            "//udp/239.1.1.1",
        ] {
            assert_eq!(status(path), 400, "{path}");
        }
    }

    #[test]
    fn names_longer_than_the_limit_are_refused_and_the_limit_is_inclusive() {
        let settings = Settings { name_bytes_max: 4, ..Settings::default() };
        assert!(parse("/aaaa/bbbb.flv", &settings).is_ok());
        assert!(parse("/%61aaa/bbb%62.flv", &settings).is_ok());
        assert_eq!(parse("/aaaaa/b.flv", &settings).map_err(|r| r.status), Err(414));
        assert_eq!(parse("/aa/aa/b.flv", &settings).map_err(|r| r.status), Err(414));
        assert_eq!(parse("/a/bbbbb.flv", &settings).map_err(|r| r.status), Err(414));
    }

    #[test]
    fn other_paths_are_pages_or_nothing() {
        let parse = |path| parse(path, &Settings::default());
        assert_eq!(parse("/"), Ok(Target::Root));
        assert_eq!(parse("/?a=b"), Ok(Target::Root));
        assert_eq!(parse("/crossdomain.xml"), Ok(Target::CrossDomain));
        for path in
            ["/x.flv", "/favicon.ico", "/live/x", "/live/x.FLV", "/live/x.flv.bak", "/a.b/c"]
        {
            assert_eq!(parse(path), Ok(Target::Unknown), "{path}");
        }
    }

    #[test]
    fn relays_stand_below_udp_and_rtp() {
        let parse = |path| parse(path, &Settings::default());
        let relay = |scheme, address: &str, sources: &[&str], query: &str| {
            let address = address.parse().expect("an address");
            let sources = sources.iter().map(|s| s.parse().expect("an address")).collect();
            Ok(Target::Relay(Ok(RelayTarget { scheme, address, sources, query: query.to_owned() })))
        };
        let udp = |address, query| relay(Scheme::Udp, address, &[], query);
        for path in [
            "/udp/239.1.1.1:5000",
            "/udp/239.1.1.1:5000/",
            "/udp/239.1.1.1:5000//",
            "/udp/239.1.1.1:5000/news.ts",
            "/%75dp/239%2E1.1.1%3a5000",
        ] {
            assert_eq!(parse(path), udp("239.1.1.1:5000", ""), "{path}");
        }
        assert_eq!(parse("/udp/239.1.1.1?token=a"), udp("239.1.1.1:1234", "token=a"));
        let rtp = |sources| relay(Scheme::Rtp, "[ff3e::1]:7", sources, "");
        assert_eq!(parse("/rtp/[ff3e::1]:7"), rtp(&[]));
        assert_eq!(parse("/rtp/%5Bff3e%3A%3A1%5D:7"), rtp(&[]));
        assert_eq!(parse("/rtp/fd00::5%40[ff3e::1]:7"), rtp(&["fd00::5"]));
        // Applications of these names are not to be had here: what stands there is a wrong group.
        for path in ["/udp", "/udp/", "/udp//", "/rtp/news.ts", "/udp/inner/news.ts"] {
            assert_eq!(parse(path), Ok(Target::Relay(Err("the group is no address"))), "{path}");
        }
        assert_eq!(stream("/live/udp/x.ts").app, "live/udp");
        assert_eq!(stream("/udp2/x.ts").app, "udp2");
        assert_eq!(parse("/UDP/239.1.1.1"), Ok(Target::Unknown));
    }

    #[test]
    fn the_status_is_a_page_and_an_application_may_have_its_name() {
        let parse = |path| parse(path, &Settings::default());
        for path in ["/status", "/status/", "/status?a=b", "/%73tatus/"] {
            assert_eq!(parse(path), Ok(Target::Status), "{path}");
        }
        assert_eq!(stream("/status/news.ts").app, "status");
        assert_eq!(parse("/status/news"), Ok(Target::Unknown));
    }

    #[test]
    fn track_flags_are_found_anywhere_in_the_query() {
        let audio = TrackFilter { video: false, audio: true };
        let video = TrackFilter { video: true, audio: false };
        for (query, expected) in [
            ("", TrackFilter::ALL),
            ("onlyAudio", audio),
            ("onlyAudio=", audio),
            ("onlyAudio=1", audio),
            ("onlyaudio=TRUE", audio),
            ("token=t&onlyVideo=1", video),
            ("onlyVideo=0", TrackFilter::ALL),
            ("onlyVideo=1&onlyVideo=0", TrackFilter::ALL),
            ("onlyVideo=false&onlyAudio=true", audio),
            ("onlyVideo&onlyAudio", TrackFilter::ALL),
            ("xonlyVideo=1", TrackFilter::ALL),
        ] {
            assert_eq!(parse_tracks(query), expected, "{query}");
        }
    }

    #[test]
    fn an_absolute_target_is_split_into_authority_and_path() {
        assert_eq!(split_authority("http://h:80/a/b.flv?c"), (Some("h:80"), "/a/b.flv?c"));
        assert_eq!(split_authority("HTTPS://h"), (Some("h"), "/"));
        assert_eq!(split_authority("ws://h?x"), (Some("h"), "?x"));
        assert_eq!(split_authority("/a?u=http://h/"), (None, "/a?u=http://h/"));
        assert_eq!(split_authority("ftp://h/"), (None, "ftp://h/"));
        assert_eq!(split_authority("*"), (None, "*"));
    }

    proptest! {
        #[test]
        fn every_name_survives_escaping_and_parsing(
            app in "[^/\\p{C}]{1,8}(/[^/\\p{C}]{1,8}){0,2}",
            name in "[^/\\p{C}]{1,12}",
        ) {
            prop_assume!(app.split('/').chain([name.as_str()]).all(|segment| !is_dots(segment)));
            let escape = |text: &str| -> String {
                text.split('/')
                    .map(|s| s.bytes().map(|b| format!("%{b:02x}")).collect::<String>())
                    .collect::<Vec<_>>()
                    .join("/")
            };
            let target = stream(&format!("/{}/{}.flv", escape(&app), escape(&name)));
            prop_assert_eq!((target.app, target.name), (app, name));
        }

        #[test]
        fn no_path_gets_through_with_a_segment_that_is_unsafe(
            path in "/[a%./2efFlv0-9\\x00]{0,24}\\.flv",
        ) {
            if let Ok(Target::Stream(target)) = parse(&path, &Settings::default()) {
                let full = format!("{}/{}", target.app, target.name);
                prop_assert!(full.split('/').all(|s| !s.is_empty()), "{}", full);
                prop_assert!(!full.split('/').any(is_dots), "{}", full);
                prop_assert!(!full.contains(char::is_control) && !target.name.contains('/'));
            }
        }
    }
}
