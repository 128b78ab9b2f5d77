//! Playlists, as far as a player of live streams needs them (RFC 8216 4; RFC 8216bis 4.4).

use std::time::Duration;

/// What a server has answered with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Playlist {
    /// A multivariant playlist: the URI of its first variant.
    Multivariant(String),
    /// A media playlist.
    Media(MediaPlaylist),
}

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MediaPlaylist {
    /// EXT-X-TARGETDURATION.
    pub(super) target_duration: Duration,
    /// PART-TARGET; `None` without parts.
    pub(super) part_target: Option<Duration>,
    /// The sequence number of the first segment listed.
    pub(super) first: u64,
    /// The URIs of the segments.
    pub(super) segments: Vec<String>,
    /// Segments that a delta update leaves out: they count, but have no URI here.
    pub(super) skipped: u64,
    /// Parts listed behind the last segment.
    pub(super) parts: u64,
    /// The initialisation segment.
    pub(super) map: Option<String>,
    /// The part that comes next.
    pub(super) hint: Option<String>,
}

impl MediaPlaylist {
    /// The sequence number of the segment behind the last one listed.
    pub(super) fn end(&self) -> u64 {
        self.first + self.skipped + self.segments.len() as u64
    }

    /// The URI of a segment, if it is listed.
    pub(super) fn uri(&self, number: u64) -> Option<&str> {
        let index = number.checked_sub(self.first + self.skipped)?;
        self.segments.get(usize::try_from(index).ok()?).map(String::as_str)
    }
}

/// Reads a playlist.
///
/// # Errors
/// It is none, or one that no live player can use.
pub(super) fn parse(text: &[u8]) -> Result<Playlist, String> {
    let text = std::str::from_utf8(text).map_err(|_| "a playlist is no text".to_owned())?;
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        return Err("a playlist does not begin with #EXTM3U".to_owned());
    }
    let mut media = MediaPlaylist::default();
    let (mut is_variant, mut has_duration) = (false, false);
    for line in lines.filter(|line| !line.is_empty()) {
        let Some(tag) = line.strip_prefix('#') else {
            if is_variant {
                return Ok(Playlist::Multivariant(line.to_owned()));
            }
            media.segments.push(line.to_owned());
            media.parts = 0;
            continue;
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "EXT-X-STREAM-INF" => is_variant = true,
            "EXT-X-TARGETDURATION" => {
                has_duration = true;
                media.target_duration = seconds(value)?;
            }
            "EXT-X-MEDIA-SEQUENCE" => media.first = number(value)?,
            "EXT-X-SKIP" => media.skipped = number(attribute(value, "SKIPPED-SEGMENTS"))?,
            "EXT-X-PART-INF" => media.part_target = Some(seconds(attribute(value, "PART-TARGET"))?),
            "EXT-X-PART" => media.parts += 1,
            "EXT-X-MAP" => media.map = Some(attribute(value, "URI").to_owned()),
            "EXT-X-PRELOAD-HINT" if attribute(value, "TYPE") == "PART" => {
                media.hint = Some(attribute(value, "URI").to_owned());
            }
            _ => {}
        }
    }
    if has_duration {
        Ok(Playlist::Media(media))
    } else {
        Err("a playlist has neither variants nor a target duration".to_owned())
    }
}

/// The value of an attribute, without its quotes; empty if there is none.
fn attribute<'a>(list: &'a str, name: &str) -> &'a str {
    let mut rest = list;
    while !rest.is_empty() {
        let Some((own, behind)) = rest.split_once('=') else { break };
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) = quoted.split_once('"').unwrap_or((quoted, ""));
                (value, behind.strip_prefix(',').unwrap_or(behind))
            }
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        if own.trim() == name {
            return value;
        }
        rest = behind;
    }
    ""
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` in a playlist is no number"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("`{text}` in a playlist is no length of time"))
}

/// The path of a URI in the playlist at `base` (RFC 3986 5.2), on the same server.
pub(super) fn resolve(base: &str, uri: &str) -> String {
    if let Some((_, rest)) = uri.split_once("://") {
        return rest.find('/').map_or("/", |at| rest.split_at(at).1).to_owned();
    }
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let (path, _) = base.split_at(base.find('?').unwrap_or(base.len()));
    let mut folder: Vec<&str> = path.split('/').collect();
    folder.pop();
    let mut rest = uri;
    while let Some(behind) = rest.strip_prefix("../") {
        // The root has no parent.
        if folder.len() > 1 {
            folder.pop();
        }
        rest = behind;
    }
    format!("{}/{rest}", folder.join("/"))
}

/// A path with more in its query.
pub(super) fn with_query(path: &str, more: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by hand after the examples of RFC 8216bis 9.
    const LOW_LATENCY: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.02,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-SKIP:SKIPPED-SEGMENTS=3
#EXT-X-MAP:URI=\"init1.mp4\"
#EXTINF:4.00008,
269.m4s
#EXT-X-PART:DURATION=0.33334,URI=\"270.0.m4s\",INDEPENDENT=YES
#EXTINF:4.00008,
270.m4s
#EXT-X-PART:DURATION=0.33334,URI=\"271.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33334,URI=\"271.1.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"no.mp4\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"271.2.m4s?a=b,c\"
";

    #[test]
    fn segments_parts_and_what_comes_next_are_found() {
        let Playlist::Media(media) = parse(LOW_LATENCY.as_bytes()).unwrap() else { panic!() };
        assert_eq!(media.target_duration, Duration::from_secs(4));
        assert_eq!(media.part_target, Some(Duration::from_micros(333_340)));
        assert_eq!((media.first, media.skipped, media.end(), media.parts), (266, 3, 271, 2));
        assert_eq!((media.uri(269), media.uri(270)), (Some("269.m4s"), Some("270.m4s")));
        assert_eq!((media.uri(268), media.uri(271)), (None, None));
        assert_eq!(media.map.as_deref(), Some("init1.mp4"));
        assert_eq!(media.hint.as_deref(), Some("271.2.m4s?a=b,c"));
    }

    #[test]
    fn the_first_variant_is_taken() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=1\nhigh/index.m3u8?t=1\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2\nlow.m3u8\n";
        let variant = Playlist::Multivariant("high/index.m3u8?t=1".to_owned());
        assert_eq!(parse(text.as_bytes()), Ok(variant));
    }

    #[test]
    fn what_is_no_playlist_is_refused() {
        let wrong: [&[u8]; 5] = [
            b"",
            b"<html>",
            b"#EXTM3U\na.ts\n",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:x\n",
            b"#EXTM3U\n\xFF",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn uris_are_relative_to_their_playlist() {
        let base = "/live/a.m3u8?token=1";
        assert_eq!(resolve(base, "a.hls/ts/index.m3u8?b=/"), "/live/a.hls/ts/index.m3u8?b=/");
        assert_eq!(resolve("/live/a/index.m3u8", "../a.hls/x.ts"), "/live/a.hls/x.ts");
        assert_eq!(resolve("/a.m3u8", "../../x.ts"), "/x.ts");
        assert_eq!(resolve(base, "/x.ts"), "/x.ts");
        assert_eq!(resolve(base, "http://h:1/y/x.ts"), "/y/x.ts");
        assert_eq!(with_query("/a?b", "c=1"), "/a?b&c=1");
        assert_eq!(with_query("/a", "c=1"), "/a?c=1");
    }
}
