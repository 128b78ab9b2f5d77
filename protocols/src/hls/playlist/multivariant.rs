//! Multivariant playlists (RFC 8216 4.3.4; RFC 8216bis 4.4.6).

use std::fmt::{self, Write};

use super::super::presentation::{Bandwidth, Row, Summary};
use super::super::segment::{Content, Description, Rendition};
use super::language::{Language, language};

/// One stream of a multivariant playlist.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'a> {
    /// The name of the stream, as it is: it is encoded for the URI here.
    pub name: &'a str,
    /// What it has.
    pub summary: &'a Summary,
}

/// How the URIs of a multivariant playlist are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links<'a> {
    /// The playlist is `/APP/NAME/index.m3u8`, not `/APP/NAME.m3u8`.
    pub is_nested: bool,
    /// The query that is handed on to media playlists, without `?`, encoded as it came; may be
    /// empty.
    pub query: &'a str,
}

/// Writes the multivariant playlist of streams that show the same at different bit rates, the
/// smallest first: simple players begin with the first, and begin at once. Streams that cannot be
/// played yet are left out.
///
/// Nothing is said of captions, which may be inside the pictures: players look for themselves. The first
/// sound of a stream is inside its main rendition; further ones, and subtitles, are EXT-X-MEDIA
/// renditions.
pub fn multivariant(variants: &[Variant<'_>], links: &Links<'_>) -> String {
    let mut streams: Vec<_> = variants.iter().filter_map(Stream::new).collect();
    streams.sort_by_key(|stream| stream.bandwidth.peak);
    let mut text = String::from("#EXTM3U\n");
    if streams.iter().any(Stream::has_group) {
        // EXT-X-MEDIA (RFC 8216bis 8); nothing else here is younger than version 1.
        text.push_str("#EXT-X-VERSION:4\n");
    }
    for (index, stream) in streams.iter().enumerate() {
        stream.write_sounds(&mut text, index, links);
        stream.write_subtitles(&mut text, index, links);
    }
    for (index, stream) in streams.iter().enumerate() {
        stream.write(&mut text, index, links);
    }
    text
}

/// A variant that can be played.
struct Stream<'a> {
    name: &'a str,
    main: &'a Row,
    sounds: &'a [Row],
    subtitles: &'a [Row],
    /// Of the main rendition and the heaviest sound and subtitles that may go with it.
    bandwidth: Bandwidth,
}

impl<'a> Stream<'a> {
    fn new(variant: &Variant<'a>) -> Option<Self> {
        let (main, others) = variant.summary.renditions.split_first()?;
        if !main.rendition.is_main() {
            return None;
        }
        let is_sound = |row: &Row| matches!(row.rendition.content, Content::Audio(_));
        // They are in the order of their contents.
        let (sounds, subtitles) = others.split_at(others.partition_point(is_sound));
        let most = |of: fn(&Bandwidth) -> u64| {
            let heaviest = |rows: &[Row]| rows.iter().map(|row| of(&row.bandwidth)).max();
            let added =
                heaviest(sounds).unwrap_or_default() + heaviest(subtitles).unwrap_or_default();
            of(&main.bandwidth).saturating_add(added)
        };
        let bandwidth = Bandwidth { peak: most(|one| one.peak), average: most(|one| one.average) };
        Some(Self { name: variant.name, main, sounds, subtitles, bandwidth })
    }

    fn has_group(&self) -> bool {
        !self.sounds.is_empty() || !self.subtitles.is_empty()
    }

    fn write_sounds(&self, text: &mut String, index: usize, links: &Links<'_>) {
        if self.sounds.is_empty() {
            return;
        }
        let mut names = Vec::new();
        let mut languages = Vec::new();
        let rows = std::iter::once(self.main).chain(self.sounds);
        for (number, row) in rows.enumerate() {
            let description = &*row.description;
            let Language { tag: language, name: own_name } = language(&description.language);
            // In a group no two names are equal, and no two that are chosen by themselves sound
            // alike.
            let name = name(own_name, "Audio", number + 1, &names);
            let is_main = number == 0;
            let is_chosen = is_main || (!language.is_empty() && !languages.contains(&language));
            let _ =
                write!(text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio{index}\",NAME=\"{name}\"");
            if !language.is_empty() {
                let _ = write!(text, ",LANGUAGE=\"{language}\"");
            }
            let _ = write!(text, ",DEFAULT={},AUTOSELECT={}", yes(is_main), yes(is_chosen));
            if description.channels > 0 {
                let _ = write!(text, ",CHANNELS=\"{}\"", description.channels);
            }
            if !is_main {
                let _ = write!(text, ",URI=\"{}\"", self.uri(row.rendition, links));
            }
            text.push('\n');
            names.push(name);
            languages.push(language);
        }
    }

    /// Players show none unless somebody asks for them, or wants subtitles of a language always.
    fn write_subtitles(&self, text: &mut String, index: usize, links: &Links<'_>) {
        let mut names = Vec::new();
        let mut chosen = Vec::new();
        for (number, row) in (1..).zip(self.subtitles) {
            let Description { language: ref code, is_for_hard_of_hearing, .. } = *row.description;
            let Language { tag, name: own_name } = language(code);
            let own_name = match is_for_hard_of_hearing && !tag.is_empty() {
                true => format!("{own_name} (CC)"),
                false => own_name.to_owned(),
            };
            let name = name(&own_name, "Subtitles", number, &names);
            let is_chosen = !tag.is_empty() && !chosen.contains(&(tag, is_for_hard_of_hearing));
            let _ = write!(
                text,
                "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles{index}\",NAME=\"{name}\""
            );
            if !tag.is_empty() {
                let _ = write!(text, ",LANGUAGE=\"{tag}\"");
            }
            let _ = write!(text, ",DEFAULT=NO,AUTOSELECT={},FORCED=NO", yes(is_chosen));
            if is_for_hard_of_hearing {
                let _ = write!(text, ",CHARACTERISTICS=\"{HARD_OF_HEARING}\"");
            }
            let _ = writeln!(text, ",URI=\"{}\"", self.uri(row.rendition, links));
            names.push(name);
            chosen.push((tag, is_for_hard_of_hearing));
        }
    }

    fn write(&self, text: &mut String, index: usize, links: &Links<'_>) {
        let Description { width, height, frame_rate, .. } = *self.main.description;
        let Bandwidth { peak, average } = self.bandwidth;
        let _ = write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={}", peak.max(1));
        if average > 0 {
            let _ = write!(text, ",AVERAGE-BANDWIDTH={average}");
        }
        let codecs = self.codecs();
        if !codecs.is_empty() {
            let _ = write!(text, ",CODECS=\"{}\"", codecs.join(","));
        }
        if width > 0 && height > 0 {
            let _ = write!(text, ",RESOLUTION={width}x{height}");
        }
        if frame_rate.is_finite() && frame_rate > 0.0 {
            let _ = write!(text, ",FRAME-RATE={frame_rate:.3}");
        }
        if !self.sounds.is_empty() {
            let _ = write!(text, ",AUDIO=\"audio{index}\"");
        }
        if !self.subtitles.is_empty() {
            let _ = write!(text, ",SUBTITLES=\"subtitles{index}\"");
        }
        let _ = writeln!(text, "\n{}", self.uri(self.main.rendition, links));
    }

    /// Every codec of pictures and sound, once. None at all when those of one rendition are not known:
    /// players take the list for complete. Files of WebVTT have no name here (RFC 6381 names what is in
    /// MP4).
    fn codecs(&self) -> Vec<&str> {
        let mut codecs: Vec<&str> = Vec::new();
        for row in std::iter::once(self.main).chain(self.sounds) {
            let of_row = &row.description.codecs;
            if of_row.is_empty() || !of_row.iter().all(|codec| is_plain(codec)) {
                return Vec::new();
            }
            for codec in of_row {
                if !codecs.contains(&codec.as_str()) {
                    codecs.push(codec);
                }
            }
        }
        codecs
    }

    fn uri(&self, rendition: Rendition, links: &Links<'_>) -> String {
        let up = if links.is_nested { "../" } else { "" };
        let name = Encoded { text: self.name, kept: b"-._~" };
        let mut uri = format!("{up}{name}.hls/{rendition}/index.m3u8");
        if !links.query.is_empty() {
            let _ = write!(uri, "?{}", Encoded { text: links.query, kept: QUERY });
        }
        uri
    }
}

/// Text of a URI: letters, digits and the bytes of `kept` as they are, all others percent-encoded
/// (RFC 3986 2.1). A name keeps none that has a meaning: `a:b` would be a scheme.
struct Encoded<'a> {
    text: &'a str,
    kept: &'static [u8],
}

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.text.bytes() {
            match byte.is_ascii_alphanumeric() || self.kept.contains(&byte) {
                true => f.write_char(char::from(byte))?,
                false => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// What a query may contain beside letters and digits (RFC 3986 3.4), with `%` of what is encoded
/// already.
const QUERY: &[u8] = b"-._~!$&'()*+,;=:@/?%";

/// A name that none of the others has: that of the language, or of the kind with the number.
fn name(language: &str, kind: &str, number: usize, others: &[String]) -> String {
    let name = match language {
        "" => format!("{kind} {number}"),
        language => language.to_owned(),
    };
    match others.contains(&name) {
        true => format!("{name} {number}"),
        false => name,
    }
}

/// Fits between quotes, in a list.
fn is_plain(codec: &str) -> bool {
    !codec.is_empty()
        && codec.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",".contains(&byte))
}

/// RFC 8216 4.3.4.1: what is said, and what else is heard.
const HARD_OF_HEARING: &str =
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";

fn yes(is: bool) -> &'static str {
    if is { "YES" } else { "NO" }
}
