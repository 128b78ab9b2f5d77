//! The rules that a media playlist must keep while it changes (RFC 8216,
//! draft-pantos-hls-rfc8216bis-22).
//!
//! A [`Checker`] watches one URL: it takes the successive texts with the times at which they were
//! loaded, and tells what is wrong with each, and with what has become of the one before. It uses
//! nothing of the code that it checks.
#![allow(dead_code, unused_imports, reason = "every test crate uses another part of this file")]

#[path = "hls_rules/multivariant.rs"]
mod multivariant;
#[path = "hls_rules/playlist.rs"]
mod playlist;

use std::collections::BTreeSet;

pub use multivariant::check_multivariant;
pub use playlist::{Attributes, Playlist, Segment};

/// A rule that a playlist breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// When the playlist was loaded.
    pub at_ms: u64,
    /// The name of the rule.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
}

/// Watches a playlist.
#[derive(Clone, Debug)]
pub struct Checker {
    /// How far the dates of two neighbours may differ from the duration between them.
    pub date_tolerance_ms: i64,
    /// A part may not be shorter than 85 % of PART-TARGET, except the last of a segment (RFC
    /// 8216bis 4.4.4.9). Streams whose frames do not fit into the part duration cannot keep it.
    pub short_parts: bool,
    /// A new segment must come within one and a half target durations (RFC 8216bis 6.2.1): to be
    /// asked only while the source is there, of a checker that is fed often.
    pub pace: bool,
    previous: Option<Playlist>,
    grown_ms: u64,
}

impl Default for Checker {
    fn default() -> Self {
        Self { date_tolerance_ms: 20, short_parts: false, pace: false, previous: None, grown_ms: 0 }
    }
}

impl Checker {
    /// Takes the text that was loaded at `at_ms`. Gives what is wrong with it.
    pub fn take(&mut self, at_ms: u64, text: &str) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut wrong = |rule, what| found.push(Violation { at_ms, rule, what });
        match Playlist::parse(text) {
            Err(what) => wrong("format", what),
            Ok(mut playlist) => {
                self.check_alone(&playlist, &mut wrong);
                check_with_m3u8_rs(text, &playlist, &mut wrong);
                if let Err(what) = playlist.expand(self.previous.as_ref()) {
                    wrong("skip", what);
                }
                self.check_dates(&playlist, &mut wrong);
                if let Some(previous) = &self.previous {
                    check_change(previous, &playlist, &mut wrong);
                }
                self.check_pace(at_ms, &playlist, &mut wrong);
                self.previous = Some(playlist);
            }
        }
        found
    }

    /// The newest playlist.
    pub fn playlist(&self) -> Option<&Playlist> {
        self.previous.as_ref()
    }

    /// The source has come back: what was ended goes on.
    pub fn reopen(&mut self) {
        if let Some(previous) = &mut self.previous {
            previous.is_ended = false;
        }
    }

    /// What a playlist must say by itself.
    fn check_alone(&self, playlist: &Playlist, wrong: &mut impl FnMut(&'static str, String)) {
        check_version(playlist, wrong);
        let Some(target_s) = playlist.target_s.filter(|target_s| *target_s > 0) else {
            wrong("target duration", "there is none".to_owned());
            return;
        };
        for segment in &playlist.segments {
            // Rounded halves go up.
            if (segment.duration + 0.5).floor() > target_s as f64 {
                wrong("target duration", format!("{} is longer than {target_s} s", segment.uri));
            }
        }
        if let Some(playlist_type) = &playlist.playlist_type {
            wrong("playlist type", format!("{playlist_type}, of a window"));
        }
        let has_discontinuity = playlist.all().any(|segment| segment.is_discontinuity);
        if has_discontinuity && playlist.discontinuity_sequence.is_none() {
            wrong("discontinuity sequence", "there is none".to_owned());
        }
        for segment in playlist.all().filter(|segment| segment.uri.ends_with(".m4s")) {
            if segment.map.is_none() {
                wrong("map", format!("{} has none", segment.uri));
            }
        }
        let mut uris = BTreeSet::new();
        let segments = playlist.segments.iter().map(|segment| &segment.uri);
        for uri in segments.chain(playlist.parts().map(|part| &part.uri)) {
            if !uris.insert(uri) {
                wrong("uri", format!("{uri} stands twice"));
            }
        }
        self.check_parts(playlist, target_s as f64, wrong);
        check_control(playlist, target_s as f64, wrong);
        check_hints(playlist, &uris, wrong);
        check_ranges(playlist, wrong);
    }

    fn check_parts(
        &self,
        playlist: &Playlist,
        target: f64,
        wrong: &mut impl FnMut(&'static str, String),
    ) {
        let mut from_end: f64 = playlist.open.parts.iter().map(|part| part.duration).sum();
        for segment in playlist.segments.iter().rev() {
            from_end += segment.duration;
            if segment.parts.is_empty() {
                continue;
            }
            let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
            if (sum - segment.duration).abs() > PARTS_TOLERANCE_S {
                let what = format!("{}: {sum} s of {} s", segment.uri, segment.duration);
                wrong("parts of a segment", what);
            }
            if from_end > 3.0 * target + PARTS_TOLERANCE_S {
                wrong("old parts", format!("{} is {from_end} s before the end", segment.uri));
            }
        }
        let Some(part_target) = playlist.part_target else {
            if playlist.parts().next().is_some() {
                wrong("part target", "there is none".to_owned());
            }
            return;
        };
        for part in playlist.parts().filter(|part| part.duration > part_target) {
            wrong("part target", format!("{} has {} s", part.uri, part.duration));
        }
        for segment in playlist.all() {
            let (last, others) = segment
                .parts
                .split_last()
                .map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
            let is_short = |duration: f64| duration < 0.85 * part_target;
            if let Some(part) = others.iter().find(|part| is_short(part.duration))
                && self.short_parts
            {
                wrong("short part", format!("{} has {} s", part.uri, part.duration));
            }
            let first = others.first().or(last);
            if playlist.is_independent && first.is_some_and(|first| !first.is_independent) {
                wrong("independent segments", format!("segment {} is not", segment.msn));
            }
        }
    }

    /// Every segment has a date, and the dates go with the durations.
    fn check_dates(&self, playlist: &Playlist, wrong: &mut impl FnMut(&'static str, String)) {
        let mut expected: Option<i64> = None;
        let open = Some(&playlist.open).filter(|open| !open.parts.is_empty());
        for segment in playlist.segments.iter().chain(open) {
            let Some(date_ms) = segment.date_ms else {
                wrong("date", format!("segment {} has none", segment.msn));
                return;
            };
            let off = expected.map_or(0, |expected| date_ms - expected);
            if !segment.is_discontinuity && off.abs() > self.date_tolerance_ms {
                wrong("date", format!("segment {} is {off} ms off", segment.msn));
            }
            expected = Some(date_ms + (segment.duration * 1000.0).round() as i64);
        }
    }

    fn check_pace(
        &mut self,
        at_ms: u64,
        playlist: &Playlist,
        wrong: &mut impl FnMut(&'static str, String),
    ) {
        let newest = |playlist: &Playlist| playlist.segments.last().map(|segment| segment.msn);
        let before = self.previous.as_ref().and_then(newest);
        let limit_ms = playlist.target_s.unwrap_or_default() * 1500;
        let passed_ms = at_ms.saturating_sub(self.grown_ms);
        if before.is_some() && passed_ms > limit_ms && self.pace && !playlist.is_ended {
            wrong("pace", format!("nothing new for {passed_ms} ms"));
        }
        if newest(playlist) != before {
            self.grown_ms = at_ms;
        }
    }
}

/// What renditions of one presentation must have in common (RFC 8216bis 6.2.4).
pub fn compare(at_ms: u64, one: &Playlist, other: &Playlist) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |what| found.push(Violation { at_ms, rule: "renditions", what });
    // PART-HOLD-BACK is of those with parts.
    let control = |playlist: &Playlist| {
        let mut control = playlist.server_control.clone().unwrap_or_default();
        control.remove("PART-HOLD-BACK");
        control
    };
    if one.target_s != other.target_s || control(one) != control(other) {
        wrong("target duration or server control differ".to_owned());
    }
    for segment in &one.segments {
        let Some(same) = other.segments.iter().find(|same| same.msn == segment.msn) else {
            continue;
        };
        if segment.discontinuities != same.discontinuities {
            wrong(format!("discontinuities of {} differ", segment.msn));
        }
    }
    found
}

/// RFC 8216bis 8: as high as needed, and no higher.
fn check_version(playlist: &Playlist, wrong: &mut impl FnMut(&'static str, String)) {
    let has_map = playlist.segments.iter().any(|segment| segment.map.is_some());
    let has_gap = playlist.segments.iter().any(|segment| segment.is_gap);
    let keys = playlist.segments.iter().filter_map(|segment| segment.key.as_ref());
    let has_key_format = keys.into_iter().any(|key| key.contains_key("KEYFORMAT"));
    let needed = match (playlist.skipped.is_some(), has_gap, has_map) {
        (true, ..) => 9,
        (_, true, _) => 8,
        (.., true) => 6,
        _ if has_key_format => 5,
        _ => 3,
    };
    if playlist.version != Some(needed) {
        wrong("version", format!("{:?}, not {needed}", playlist.version));
    }
}

/// RFC 8216bis 4.4.3.8.
fn check_control(playlist: &Playlist, target: f64, wrong: &mut impl FnMut(&'static str, String)) {
    let control = playlist.server_control.clone().unwrap_or_default();
    let mut at_least = |name: &str, least: Option<f64>| {
        let value = control.get(name).map(|value| value.parse::<f64>());
        let is_enough = match (&value, least) {
            (None, None) => true,
            (Some(Ok(value)), Some(least)) => *value >= least,
            _ => false,
        };
        if !is_enough {
            wrong("server control", format!("{name} {value:?}, not {least:?}"));
        }
    };
    let has_parts = playlist.part_target.is_some();
    at_least("PART-HOLD-BACK", playlist.part_target.map(|part_target| 3.0 * part_target));
    for (name, targets) in [("HOLD-BACK", 3.0), ("CAN-SKIP-UNTIL", 6.0)] {
        if control.contains_key(name) || has_parts {
            at_least(name, Some(targets * target));
        }
    }
    if playlist.skipped.is_some() && !control.contains_key("CAN-SKIP-UNTIL") {
        wrong("skip", "not offered".to_owned());
    }
}

/// RFC 8216bis 4.4.5.3, 6.2.6.
fn check_hints(
    playlist: &Playlist,
    uris: &BTreeSet<&String>,
    wrong: &mut impl FnMut(&'static str, String),
) {
    let expected = usize::from(playlist.part_target.is_some() && !playlist.is_ended);
    if playlist.hints.len() != expected {
        wrong("preload hint", format!("{} instead of {expected}", playlist.hints.len()));
    }
    for hint in &playlist.hints {
        let uri = hint.get("URI").filter(|uri| !uris.contains(uri));
        if uri.is_none() || hint.get("TYPE").is_none_or(|value| value != "PART") {
            wrong("preload hint", format!("{hint:?}"));
        }
    }
}

/// RFC 8216bis 4.4.5.1.
fn check_ranges(playlist: &Playlist, wrong: &mut impl FnMut(&'static str, String)) {
    for (index, range) in playlist.date_ranges.iter().enumerate() {
        let has = |name| range.get(name).is_some_and(|value| !value.is_empty());
        let is_dated = range.get("START-DATE").and_then(|date| playlist::date_ms(date)).is_some();
        if !has("ID") || !is_dated {
            wrong("date range", format!("{range:?}"));
        }
        let is_hex = |value: &str| {
            value.strip_prefix("0x").is_some_and(|hex| {
                hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        let cues = CUES.iter().filter_map(|name| range.get(*name));
        if cues.clone().count() != 1 || !cues.clone().all(|value| is_hex(value)) {
            wrong("date range", format!("cues of {range:?}"));
        }
        let others = playlist.date_ranges.iter().skip(index + 1);
        for other in others.filter(|other| other.get("ID") == range.get("ID")) {
            let differs = |(name, value): (&String, &String)| {
                other.get(name).is_some_and(|other| other != value)
            };
            if range.iter().any(differs) {
                wrong("date range", format!("{range:?} and {other:?} differ"));
            }
        }
    }
}

/// What may become of a playlist (RFC 8216bis 6.2.1, 6.2.2).
fn check_change(
    previous: &Playlist,
    playlist: &Playlist,
    wrong: &mut impl FnMut(&'static str, String),
) {
    if previous.target_s != playlist.target_s
        || previous.part_target != playlist.part_target
        || previous.server_control != playlist.server_control
    {
        wrong("constant", "target duration, part target or server control changed".to_owned());
    }
    let (before, now) = (previous.media_sequence, playlist.media_sequence);
    if now < before {
        wrong("media sequence", format!("{before}, then {now}"));
    }
    let after = |playlist: &Playlist| playlist.media_sequence + playlist.segments.len() as u64;
    if now > after(previous) {
        wrong("media sequence", format!("{} was never listed", now - 1));
    }
    if after(playlist) < after(previous) {
        wrong("removed", format!("{}, {} ...", after(playlist), after(playlist) + 1));
    }
    let discontinuities = |playlist: &Playlist| playlist.discontinuity_sequence.unwrap_or(0);
    if discontinuities(playlist) < discontinuities(previous) {
        wrong("discontinuity sequence", "it decreases".to_owned());
    }
    let least = 3.0 * playlist.target_s.unwrap_or_default() as f64;
    let removed = previous.segments.iter().take_while(|segment| segment.msn < now);
    if removed.count() > 0 && playlist.duration() < least - 1e-3 && !playlist.is_ended {
        wrong("removed", format!("only {} s are left", playlist.duration()));
    }
    if previous.is_ended && (!playlist.is_ended || after(playlist) != after(previous)) {
        wrong("end", "it goes on".to_owned());
    }
    check_same_segments(previous, playlist, wrong);
    check_same_ranges(previous, playlist, wrong);
}

/// A segment that was listed is not changed, and neither are its parts.
fn check_same_segments(
    previous: &Playlist,
    playlist: &Playlist,
    wrong: &mut impl FnMut(&'static str, String),
) {
    for old in previous.all() {
        let Some(new) = playlist.all().find(|new| new.msn == old.msn) else { continue };
        let is_complete = !old.uri.is_empty();
        let said = |segment: &Segment| {
            let Segment { is_discontinuity, date_ms, discontinuities, .. } = *segment;
            (is_discontinuity, date_ms, discontinuities, segment.map.clone(), segment.key.clone())
        };
        let is_same = (old.uri == new.uri && old.duration == new.duration) || !is_complete;
        // Nothing is said of an open segment before its first part.
        let is_told = is_complete || !old.parts.is_empty();
        if !is_same || (is_told && said(old) != said(new)) {
            wrong("changed segment", format!("{old:?}, then {new:?}"));
        }
        let parts = new.parts.iter().zip(&old.parts);
        let parts_end = new.parts.len() < old.parts.len() && !new.parts.is_empty();
        let open_left = new.uri.is_empty() && new.parts.is_empty() && !old.parts.is_empty();
        if parts.clone().any(|(new, old)| new != old) || parts_end || open_left {
            wrong("changed part", format!("{:?}, then {:?}", old.parts, new.parts));
        }
        if is_complete && old.parts.is_empty() && !new.parts.is_empty() && !is_delta(previous) {
            wrong("changed part", format!("those of {} are back", old.uri));
        }
    }
}

/// Parts before the skip boundary are not known of.
fn is_delta(playlist: &Playlist) -> bool {
    playlist.skipped.is_some()
}

/// A range stays while any of it is listed, and is not changed.
fn check_same_ranges(
    previous: &Playlist,
    playlist: &Playlist,
    wrong: &mut impl FnMut(&'static str, String),
) {
    let first_ms = playlist.segments.first().and_then(|segment| segment.date_ms);
    for old in &previous.date_ranges {
        let cue = |range: &Attributes| CUES.map(|name| range.contains_key(name));
        let is_same = |new: &&Attributes| new.get("ID") == old.get("ID") && cue(new) == cue(old);
        match playlist.date_ranges.iter().find(is_same) {
            Some(new) if new != old => wrong("date range", format!("{old:?}, then {new:?}")),
            Some(_) => {}
            None => {
                if range_end_ms(old, previous).zip(first_ms).is_some_and(|(end, first)| end > first)
                {
                    wrong("date range", format!("{old:?} is gone too early"));
                }
            }
        }
    }
}

/// When a range ends, if that is said: how long it was may stand in the tag of its end.
fn range_end_ms(range: &Attributes, playlist: &Playlist) -> Option<i64> {
    let start_ms = playlist::date_ms(range.get("START-DATE")?)?;
    let same_id = playlist.date_ranges.iter().filter(|other| other.get("ID") == range.get("ID"));
    let duration = same_id.filter_map(|other| other.get("DURATION")).next();
    let length = duration.or(range.get("PLANNED-DURATION"))?;
    Some(start_ms + (length.parse::<f64>().ok()? * 1000.0) as i64)
}

/// An independent parser must see the same.
fn check_with_m3u8_rs(
    text: &str,
    playlist: &Playlist,
    wrong: &mut impl FnMut(&'static str, String),
) {
    let parsed = match m3u8_rs::parse_playlist_res(text.as_bytes()) {
        Ok(m3u8_rs::Playlist::MediaPlaylist(parsed)) => parsed,
        other => {
            wrong("m3u8-rs", format!("{other:?}"));
            return;
        }
    };
    let is_same = |(ours, theirs): (&Segment, &m3u8_rs::MediaSegment)| {
        ours.uri == theirs.uri
            && (ours.duration - f64::from(theirs.duration)).abs() < 1e-3
            && ours.is_discontinuity == theirs.discontinuity
            && ours.date_ms == theirs.program_date_time.map(|date| date.timestamp_millis())
    };
    if parsed.version.map(|version| version as u64) != playlist.version
        || parsed.target_duration != playlist.target_s.unwrap_or_default()
        || parsed.media_sequence != playlist.media_sequence
        || parsed.discontinuity_sequence != playlist.discontinuity_sequence.unwrap_or_default()
        || parsed.end_list != playlist.is_ended
        || parsed.independent_segments != playlist.is_independent
        || parsed.segments.len() != playlist.segments.len()
        || !playlist.segments.iter().zip(&parsed.segments).all(is_same)
    {
        wrong("m3u8-rs", format!("it sees {parsed:?}"));
    }
}

/// The attributes of which an EXT-X-DATERANGE for SCTE-35 has one (RFC 8216bis 4.4.5.1.1).
const CUES: [&str; 3] = ["SCTE35-OUT", "SCTE35-IN", "SCTE35-CMD"];

/// Durations have five decimals; a segment may have dozens of parts.
const PARTS_TOLERANCE_S: f64 = 0.002;
