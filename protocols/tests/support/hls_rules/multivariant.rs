//! The rules of multivariant playlists (RFC 8216 4.3.4; RFC 8216bis 4.4.6).

use std::collections::BTreeSet;

use super::playlist::{Attributes, attributes};

/// Tells what is wrong with a multivariant playlist.
pub fn check_multivariant(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !matches!(
        m3u8_rs::parse_playlist_res(text.as_bytes()),
        Ok(m3u8_rs::Playlist::MasterPlaylist(_))
    ) {
        wrong.push("m3u8-rs cannot read it".to_owned());
    }
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        wrong.push("the first line is not #EXTM3U".to_owned());
    }
    let mut version = 1;
    let mut media: Vec<Attributes> = Vec::new();
    let mut variants: Vec<(Attributes, &str)> = Vec::new();
    while let Some(line) = lines.next() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match (name, attributes(value)) {
            ("#EXT-X-VERSION", _) => version = value.parse().unwrap_or(0),
            ("#EXT-X-MEDIA", Some(row)) => media.push(row),
            ("#EXT-X-STREAM-INF", Some(row)) => {
                variants.push((row, lines.next().unwrap_or_default()));
            }
            _ => wrong.push(format!("cannot read {line:?}")),
        }
    }
    check_media(&media, version, &mut wrong);
    for (row, uri) in &variants {
        check_variant(row, uri, &media, &mut wrong);
    }
    let is_none =
        |row: &Attributes| row.get("CLOSED-CAPTIONS").is_some_and(|value| value == "NONE");
    let nones = variants.iter().filter(|(row, _)| is_none(row)).count();
    if nones != 0 && nones != variants.len() {
        wrong.push("CLOSED-CAPTIONS=NONE of some variants".to_owned());
    }
    wrong
}

fn check_variant(row: &Attributes, uri: &str, media: &[Attributes], wrong: &mut Vec<String>) {
    let number = |name: &str| row.get(name).map(|value| value.parse::<u64>().unwrap_or(0));
    let peak = number("BANDWIDTH").unwrap_or(0);
    if peak == 0 || number("AVERAGE-BANDWIDTH").is_some_and(|average| average > peak) {
        wrong.push(format!("bandwidth of {row:?}"));
    }
    let is_uri = !uri.is_empty() && uri.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_uri || uri.starts_with('#') || uri.contains(['"', '<', '>', '\\']) {
        wrong.push(format!("the URI {uri:?}"));
    }
    let in_group = |kind: &str, group: &String| {
        let is_of = |media: &Attributes| media.get("TYPE").is_some_and(|of| of == kind);
        media.iter().any(|media| is_of(media) && media.get("GROUP-ID") == Some(group))
    };
    for kind in ["AUDIO", "SUBTITLES"] {
        if row.get(kind).is_some_and(|group| !in_group(kind, group)) {
            wrong.push(format!("no group for {row:?}"));
        }
    }
}

fn check_media(media: &[Attributes], version: u64, wrong: &mut Vec<String>) {
    if version < if media.is_empty() { 1 } else { 4 } {
        wrong.push(format!("version {version}"));
    }
    let mut names = BTreeSet::new();
    let mut chosen = BTreeSet::new();
    let mut defaults = BTreeSet::new();
    for row in media {
        let is = |name: &str| row.get(name).is_some_and(|value| value == "YES");
        let (group, name) = (row.get("GROUP-ID"), row.get("NAME"));
        let is_complete = match row.get("TYPE").map(String::as_str) {
            Some("AUDIO") => !row.contains_key("FORCED"),
            // They are nowhere else.
            Some("SUBTITLES") => row.contains_key("URI") && !row.contains_key("CHANNELS"),
            _ => false,
        };
        if group.is_none() || name.is_none() || !is_complete {
            wrong.push(format!("incomplete {row:?}"));
        }
        if !names.insert((group, name)) {
            wrong.push(format!("the name of {row:?} stands twice"));
        }
        let choice = ["LANGUAGE", "CHARACTERISTICS", "FORCED"].map(|name| row.get(name));
        if is("AUTOSELECT") && !chosen.insert((group, choice)) {
            wrong.push(format!("the language of {row:?} is chosen twice"));
        }
        if is("DEFAULT") && (!is("AUTOSELECT") || !defaults.insert(group)) {
            wrong.push(format!("the default {row:?}"));
        }
    }
}
