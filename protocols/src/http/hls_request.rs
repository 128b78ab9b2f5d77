//! A request for HTTP Live Streaming: what it asks for, and how (draft-pantos-hls-rfc8216bis
//! 6.2.5, RFC 9110 13 and 14).

use std::sync::Arc;

use super::etag::{is_none_match, is_strong_match};
use super::range::{ByteRange, Selection};
use crate::hls::{Form, Rendition};

/// A request for a playlist, or for what playlists name.
///
/// Its texts lie behind one another in one allocation: thousands of players ask every few seconds,
/// and some requests wait for what is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsRequest {
    /// What is asked for.
    pub resource: Resource,
    /// What the query says of it.
    pub directives: Directives,
    /// A HEAD request: its response has no body.
    pub head_only: bool,
    /// The body may come by gzip.
    pub accepts_gzip: bool,
    /// The part that is wanted; `None`: the whole.
    pub range: Option<ByteRange>,
    pub(super) texts: Texts,
}

/// What a URL of HTTP Live Streaming stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `/APP/NAME.m3u8`, `/APP/NAME/index.m3u8`: the playlist of playlists.
    Multivariant {
        /// It is the second: what is relative to it begins one folder deeper.
        nested: bool,
    },
    /// `/APP/NAME.hls/RENDITION/index.m3u8`.
    Playlist(Rendition),
    /// `/APP/NAME.hls/RENDITION/initN.mp4`, with its number.
    Init(Rendition, u32),
    /// `/APP/NAME.hls/RENDITION/MSN.ts`, `.m4s` or `.vtt`, with its media sequence number.
    Segment(Rendition, u64),
    /// `/APP/NAME.hls/RENDITION/MSN.PART.ts` or `.m4s`: that of its segment, and its place in it.
    Part(Rendition, u64, u32),
    /// `/APP/NAME.hls/RENDITION/keyN`, with its number.
    Key(Rendition, u64),
}

/// The parameters of the query that mean something here. A playlist has all of them, a
/// multivariant playlist `low_latency` and `form`; elsewhere none is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `low_latency`: parts are to be listed.
    pub low_latency: bool,
    /// `_HLS_msn=N`: answer when this segment is in the playlist.
    pub msn: Option<u64>,
    /// `_HLS_part=N`: answer when this part of it is. Only with `msn`.
    pub part: Option<u32>,
    /// `_HLS_skip`: what the client knows may be left out.
    pub skip: Option<Skip>,
    /// `form=ts`, `form=fmp4`: the container of the segments.
    pub form: Option<Form>,
}

/// What may be left out of a playlist (EXT-X-SKIP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// `_HLS_skip=YES`: segments.
    Segments,
    /// `_HLS_skip=v2`: segments, and date ranges as well.
    DateRanges,
}

impl HlsRequest {
    /// Application: `live`, `region/live`.
    pub fn app(&self) -> &str {
        self.texts.of(Text::App)
    }

    /// Stream name.
    pub fn name(&self) -> &str {
        self.texts.of(Text::Name)
    }

    /// The query as sent, without `?`. Empty if none.
    pub fn query(&self) -> &str {
        self.texts.of(Text::Query)
    }

    /// `Host` as sent, or the authority of an absolute target.
    pub fn host(&self) -> &str {
        self.texts.of(Text::Host)
    }

    /// `User-Agent` as sent. Empty if none.
    pub fn user_agent(&self) -> &str {
        self.texts.of(Text::UserAgent)
    }

    /// `Origin` as sent. Empty if none.
    pub fn origin(&self) -> &str {
        self.texts.of(Text::Origin)
    }

    /// `X-Forwarded-For` as sent. Anybody can send it: it is true only behind a proxy that sets it.
    pub fn forwarded_for(&self) -> Option<&str> {
        Some(self.texts.of(Text::ForwardedFor)).filter(|text| !text.is_empty())
    }

    /// `session=ID`: whose request it is. 1 to 64 letters, digits, `-` and `_`; anything else is
    /// none.
    pub fn session(&self) -> Option<&str> {
        let is_id = |id: &&str| {
            matches!(id.len(), 1..=SESSION_BYTES_MAX)
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        pairs(self.query()).rfind(|(key, _)| *key == "session").map(|(_, id)| id).filter(is_id)
    }

    /// The query without the parameters that are meant for this server: what goes into the URLs of
    /// the media playlists, tokens above all. Nothing in it ends a quoted string or a line, and no
    /// variable of a playlist begins in it. Empty if nothing is left.
    pub fn passed_on(&self) -> String {
        let mut passed_on = String::new();
        let pairs = self.query().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs.filter(|pair| !is_ours(pair.split('=').next().unwrap_or_default())) {
            if !passed_on.is_empty() {
                passed_on.push('&');
            }
            push_escaped(pair, &mut passed_on);
        }
        passed_on
    }

    /// True when the client's copy of what has this entity tag is good (If-None-Match).
    pub fn is_current(&self, etag: &str) -> bool {
        let field = self.texts.of(Text::IfNoneMatch);
        !field.is_empty() && is_none_match(field, etag)
    }

    /// What is wanted of a representation whose parts can be asked for.
    pub(super) fn select(&self, etag: &str, length: u64) -> Selection {
        let if_range = self.texts.of(Text::IfRange);
        match self.range {
            Some(range) if if_range.is_empty() || is_strong_match(if_range, etag) => {
                range.of(length)
            }
            _ => Selection::Whole,
        }
    }
}

impl Directives {
    /// Reads the query of a playlist.
    ///
    /// # Errors
    /// What is wrong with it: a number that is none, a part of no segment.
    pub(super) fn of_playlist(query: &str) -> Result<Self, &'static str> {
        let mut directives = Self::of_multivariant(query);
        for (key, value) in pairs(query) {
            match key {
                "_HLS_msn" => {
                    directives.msn = Some(number(value).ok_or("_HLS_msn is no number")?);
                }
                "_HLS_part" => {
                    directives.part = Some(number(value).ok_or("_HLS_part is no number")?);
                }
                "_HLS_skip" => directives.skip = Skip::parse(value),
                _ => {}
            }
        }
        if directives.part.is_some() && directives.msn.is_none() {
            return Err("_HLS_part without _HLS_msn");
        }
        Ok(directives)
    }

    /// Reads the query of a multivariant playlist, where what is not known is not for us.
    pub(super) fn of_multivariant(query: &str) -> Self {
        let mut directives = Self::default();
        for (key, value) in pairs(query) {
            if key.eq_ignore_ascii_case("low_latency") {
                directives.low_latency = is_set(value);
            } else if key == "form" {
                directives.form = Rendition::parse(value).filter(|r| r.is_main()).map(|r| r.form);
            }
        }
        directives
    }
}

impl Skip {
    fn parse(value: &str) -> Option<Self> {
        match value {
            "YES" => Some(Self::Segments),
            "v2" => Some(Self::DateRanges),
            _ => None,
        }
    }
}

/// Texts behind one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    text: Arc<str>,
    /// Where each of them ends.
    ends: [u32; TEXTS],
}

/// Their order.
#[derive(Clone, Copy)]
enum Text {
    App,
    Name,
    Query,
    Host,
    UserAgent,
    Origin,
    ForwardedFor,
    IfNoneMatch,
    IfRange,
}

impl Texts {
    /// Takes them in the order of [`Text`]; what is not UTF-8 in them is replaced.
    pub(super) fn new(texts: [&[u8]; TEXTS]) -> Self {
        let mut text = String::with_capacity(texts.iter().map(|text| text.len()).sum());
        let ends = texts.map(|one| {
            match std::str::from_utf8(one) {
                Ok(one) => text.push_str(one),
                Err(_) => text.push_str(&String::from_utf8_lossy(one)),
            }
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        });
        Self { text: text.into(), ends }
    }

    fn of(&self, which: Text) -> &str {
        let at = which as usize;
        let end_of = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        let start = at.checked_sub(1).map_or(0, end_of);
        self.text.get(start..end_of(at)).unwrap_or_default()
    }
}

/// The pairs of a query; a key alone has an empty value.
pub(super) fn pairs(query: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// True for the value of a flag that is set: `key`, `key=`, `key=1`, `key=true`.
pub(super) fn is_set(value: &str) -> bool {
    value.is_empty() || value == "1" || value.eq_ignore_ascii_case("true")
}

fn is_ours(key: &str) -> bool {
    matches!(key, "session" | "form")
        || key.starts_with("_HLS_")
        || key.eq_ignore_ascii_case("low_latency")
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Appends what a query may hold as it is (RFC 3986 3.4), and the rest in percent-encoding.
fn push_escaped(text: &str, out: &mut String) {
    for byte in text.bytes() {
        let stays = byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(&byte);
        if stays {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| {
                char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase()
            }));
        }
    }
}

/// The longest id of a viewer's session.
const SESSION_BYTES_MAX: usize = 64;
/// How many [`Text`]s there are.
const TEXTS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> HlsRequest {
        HlsRequest {
            resource: Resource::Multivariant { nested: false },
            directives: Directives::default(),
            head_only: false,
            accepts_gzip: false,
            range: None,
            texts: Texts::new(["live", "news", query, "", "p", "", "", "", ""].map(str::as_bytes)),
        }
    }

    #[test]
    fn texts_are_kept_apart() {
        let texts = ["a", "bc", "", "def", "é", "", "g", "h", ""];
        let all = Texts::new(texts.map(str::as_bytes));
        let which = [
            Text::App,
            Text::Name,
            Text::Query,
            Text::Host,
            Text::UserAgent,
            Text::Origin,
            Text::ForwardedFor,
            Text::IfNoneMatch,
            Text::IfRange,
        ];
        assert_eq!(which.map(|which| all.of(which)), texts);
        let replaced = Texts::new([b"a", b"\xff", b"b", b"", b"", b"", b"", b"", b""]);
        assert_eq!([Text::Name, Text::Query].map(|which| replaced.of(which)), ["\u{fffd}", "b"]);
    }

    #[test]
    fn the_last_session_counts_and_one_that_is_no_id_is_none() {
        let long = "a".repeat(SESSION_BYTES_MAX);
        for (query, id) in [
            ("session=aZ09_-", Some("aZ09_-")),
            ("a=b&session=x&session=y", Some("y")),
            ("session=x&session=", None),
            ("session", None),
            ("Session=x", None),
            ("session=a%20b", None),
            ("session=a\"b", None),
            ("session=caf\u{e9}", None),
            ("", None),
        ] {
            assert_eq!(request(query).session(), id, "{query}");
        }
        let id = long.as_str();
        assert_eq!(request(&format!("session={id}")).session(), Some(id));
        assert_eq!(request(&format!("session={id}a")).session(), None);
    }

    #[test]
    fn what_others_read_is_passed_on_and_nothing_of_it_breaks_a_playlist() {
        for (query, passed_on) in [
            ("", ""),
            ("token=x&y=%20", "token=x&y=%20"),
            ("low_latency&token=x&session=a&form=ts&_HLS_msn=1&_HLS_new=2", "token=x"),
            ("LOW_LATENCY=1&&a&&b=&", "a&b="),
            ("sessions=1&forms=2&hls=3&low_latency2", "sessions=1&forms=2&hls=3&low_latency2"),
            ("token=a\"b,c=d{$e}\\<\u{e9}>", "token=a%22b,c=d%7B$e%7D%5C%3C%C3%A9%3E"),
            ("a=b=c?d/e:f@g", "a=b=c?d/e:f@g"),
        ] {
            assert_eq!(request(query).passed_on(), passed_on, "{query}");
        }
    }
}
