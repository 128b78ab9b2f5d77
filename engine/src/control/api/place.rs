//! URLs without their secrets.

use std::borrow::Cow;

/// A URL without its query, where keys and passwords are. What follows a `#` stays: settings.
///
/// A user name has no place in a URL of the configuration; one that a client sent is left out too,
/// and told by its colon from the interface in `udp://eth1@239.1.1.1`.
pub(in crate::control) fn shown(url: &str) -> Cow<'_, str> {
    let (place, options) = match url.find('#') {
        Some(at) => url.split_at(at),
        None => (url, ""),
    };
    let (place, has_query) = match place.split_once('?') {
        Some((place, _)) => (place, true),
        None => (place, false),
    };
    let begin = place.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = place.split_at(begin);
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let user = user.filter(|user| user.contains(':') && !scheme.starts_with("udp"));
    let user = user.filter(|_| !scheme.starts_with("rtp:"));
    if !has_query && user.is_none() {
        return Cow::Borrowed(url);
    }
    let rest = user.map_or(rest, |user| rest.get(user.len() + 1..).unwrap_or_default());
    let query = if has_query { "?..." } else { "" };
    Cow::Owned(format!("{scheme}{rest}{query}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_never_shown_and_options_are() {
        for (url, expected) in [
            ("http://h:81/x.ts?token=secret#pnr=3", "http://h:81/x.ts?...#pnr=3"),
            ("rtmp://h/live/a?key=secret", "rtmp://h/live/a?..."),
            ("rtmp://h/live/a?key=secret?secret", "rtmp://h/live/a?..."),
            ("http://user:secret@h/x.ts", "http://h/x.ts"),
            ("rtmp://user:se@cret@h/live?secret", "rtmp://h/live?..."),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn a_place_without_secrets_is_shown_as_it_is() {
        for url in [
            "udp://eth1@239.1.1.1:1234#src=10.0.0.5&pnr=3",
            "udp://[fe80::1]@[ff3e::1]:1234",
            "rtp://10.0.0.1@239.1.1.1:5000",
            "tcp://[2001:db8::1]:9999",
            "http://h/a@b:c.ts",
            "rtmp://host/live",
            "",
        ] {
            assert_eq!(shown(url), url);
        }
    }
}
