//! Paths of HTTP Live Streaming.
//!
//! | path | is |
//! |---|---|
//! | `/APP/NAME.m3u8`, `/APP/NAME/index.m3u8` | the multivariant playlist |
//! | `/APP/NAME.hls/RENDITION/index.m3u8` | a media playlist |
//! | `/APP/NAME.hls/RENDITION/MSN.EXTENSION` | a segment of it |
//! | `/APP/NAME.hls/RENDITION/MSN.PART.EXTENSION` | a part of a segment |
//! | `/APP/NAME.hls/RENDITION/initN.mp4` | what its decoder needs first |
//! | `/APP/NAME.hls/RENDITION/keyN` | what it is encrypted with |

use std::borrow::Cow;
use std::str::FromStr;

use super::error::Refusal;
use super::hls_request::{Directives, Resource};
use super::settings::Settings;
use super::target::{check_names, is_dots};
use crate::hls::{Form, Rendition};

/// What a path of HTTP Live Streaming names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HlsTarget<'a> {
    pub(super) app: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) resource: Resource,
    pub(super) query: &'a str,
    /// Or what is wrong with the query.
    pub(super) directives: Result<Directives, &'static str>,
}

/// Where a path leads.
pub(super) enum Place<'a> {
    /// To something of HTTP Live Streaming.
    Hls(HlsTarget<'a>),
    /// To nothing: nobody else may have what stands below `NAME.hls/`.
    Nowhere,
    /// Elsewhere.
    Elsewhere,
}

/// Finds out whether the `segments` of `path`, decoded, are for HTTP Live Streaming.
///
/// # Errors
/// As [`super::target::parse`].
pub(super) fn parse<'a>(
    path: &'a str,
    segments: &[Cow<'a, str>],
    query: &'a str,
    settings: &Settings,
) -> Result<Place<'a>, Refusal> {
    let Some((app, name, resource)) = split(segments) else {
        let is_taken = is_below_playlists(segments);
        return Ok(if is_taken { Place::Nowhere } else { Place::Elsewhere });
    };
    if app.is_empty() {
        return Ok(Place::Nowhere);
    }
    if name.is_empty() || is_dots(&name) {
        if !matches!(resource, Resource::Multivariant { .. }) {
            return Ok(Place::Nowhere);
        }
        return Err(Refusal::violation(400, "an empty, `.` or `..` stream name"));
    }
    let app = join(path, app);
    check_names(&app, &name, settings)?;
    let directives = match resource {
        Resource::Playlist(_) => Directives::of_playlist(query),
        Resource::Multivariant { .. } => Ok(Directives::of_multivariant(query)),
        _ => Ok(Directives::default()),
    };
    Ok(Place::Hls(HlsTarget { app, name, resource, query, directives }))
}

/// Application, name of the stream, and what of it.
type Split<'a, 's> = (&'s [Cow<'a, str>], Cow<'a, str>, Resource);

fn split<'a, 's>(segments: &'s [Cow<'a, str>]) -> Option<Split<'a, 's>> {
    if let [app @ .., folder, rendition, file] = segments
        && let Some(name) = without_suffix(folder, FOLDER_SUFFIX)
    {
        return Some((app, name, parse_file(Rendition::parse(rendition)?, file)?));
    }
    match segments {
        _ if is_below_playlists(segments) => None,
        [app @ .., name, file] if file == INDEX && !app.is_empty() => {
            Some((app, name.clone(), Resource::Multivariant { nested: true }))
        }
        [app @ .., file] => {
            let name = without_suffix(file, ".m3u8")?;
            Some((app, name, Resource::Multivariant { nested: false }))
        }
        [] => None,
    }
}

/// True for what stands in a folder `NAME.hls`, however deep.
fn is_below_playlists(segments: &[Cow<'_, str>]) -> bool {
    segments.split_last().is_some_and(|(_, folders)| holds(folders))
}

/// True where whatever stands in the last of these `folders` is of HTTP Live Streaming or nothing: a name
/// there that no file can have is that of no file, where elsewhere it is a fault of the request.
pub(super) fn holds(folders: &[Cow<'_, str>]) -> bool {
    folders.iter().any(|folder| folder.ends_with(FOLDER_SUFFIX))
}

fn parse_file(rendition: Rendition, file: &str) -> Option<Resource> {
    if file == INDEX {
        return Some(Resource::Playlist(rendition));
    }
    if let Some(key) = file.strip_prefix("key") {
        return number(key).map(|key| Resource::Key(rendition, key));
    }
    let (stem, extension) = file.rsplit_once('.')?;
    if let Some(init) = stem.strip_prefix("init") {
        let has_inits = rendition.form == Form::Fmp4 && !rendition.is_subtitles();
        let fits = has_inits && extension == "mp4";
        return number(init).filter(|_| fits).map(|init| Resource::Init(rendition, init));
    }
    if extension != rendition.extension() {
        return None;
    }
    match stem.split_once('.') {
        Some(_) if rendition.is_subtitles() => None,
        Some((msn, part)) => Some(Resource::Part(rendition, number(msn)?, number(part)?)),
        None => Some(Resource::Segment(rendition, number(stem)?)),
    }
}

/// Digits without a leading zero: everything has one name, so that caches in front hold it once.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (digits == "0" || !digits.starts_with('0'))).then(|| digits.parse().ok())?
}

fn without_suffix<'a>(segment: &Cow<'a, str>, suffix: &str) -> Option<Cow<'a, str>> {
    match segment {
        Cow::Borrowed(text) => text.strip_suffix(suffix).map(Cow::Borrowed),
        Cow::Owned(text) => text.strip_suffix(suffix).map(|text| Cow::Owned(text.to_owned())),
    }
}

/// The first segments of `path` with the slashes between them.
fn join<'a>(path: &'a str, segments: &[Cow<'a, str>]) -> Cow<'a, str> {
    let bytes = segments.iter().map(|segment| segment.len() + 1).sum::<usize>();
    let is_plain = segments.iter().all(|segment| matches!(segment, Cow::Borrowed(_)));
    match path.get(..bytes.saturating_sub(1)) {
        Some(plain) if is_plain => Cow::Borrowed(plain),
        _ => Cow::Owned(segments.join("/")),
    }
}

/// Ends the folder that holds what the playlists of a stream name.
const FOLDER_SUFFIX: &str = ".hls";
/// The file name of a playlist in a folder of its own.
const INDEX: &str = "index.m3u8";

#[cfg(test)]
mod tests;
