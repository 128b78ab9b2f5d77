//! A media playlist, taken apart line by line.

use std::collections::BTreeMap;

/// Attributes of a tag, without the quotes of quoted strings.
pub type Attributes = BTreeMap<String, String>;

/// What a playlist says. Durations are seconds, dates milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playlist {
    pub version: Option<u64>,
    pub target_s: Option<u64>,
    pub media_sequence: u64,
    pub discontinuity_sequence: Option<u64>,
    pub is_independent: bool,
    pub is_ended: bool,
    pub playlist_type: Option<String>,
    pub server_control: Option<Attributes>,
    pub part_target: Option<f64>,
    pub skipped: Option<u64>,
    /// Those that are listed; after [`Playlist::expand`] also those that were skipped.
    pub segments: Vec<Segment>,
    /// What stands behind the last complete segment.
    pub open: Segment,
    pub hints: Vec<Attributes>,
    pub date_ranges: Vec<Attributes>,
    pub reports: Vec<Attributes>,
}

/// A segment with what applies to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    pub msn: u64,
    pub uri: String,
    pub duration: f64,
    pub is_discontinuity: bool,
    pub is_gap: bool,
    /// Its Discontinuity Sequence Number (RFC 8216 4.3.3.3).
    pub discontinuities: u64,
    /// The EXT-X-MAP in force.
    pub map: Option<String>,
    /// The EXT-X-KEY in force; `None` after METHOD=NONE.
    pub key: Option<Attributes>,
    pub date_ms: Option<i64>,
    pub parts: Vec<Part>,
}

/// A part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub uri: String,
    pub duration: f64,
    pub is_independent: bool,
}

impl Playlist {
    /// Takes a playlist apart.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some("#EXTM3U") {
            return Err("the first line is not #EXTM3U".to_owned());
        }
        if !text.ends_with('\n') {
            return Err("the last line is not complete".to_owned());
        }
        let mut playlist = Self::default();
        let mut singles = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if ONCE.contains(&name) {
                if singles.contains(&name) {
                    return Err(format!("{name} stands twice"));
                }
                singles.push(name);
            }
            playlist.take_line(line, name, value).ok_or_else(|| format!("cannot read {line:?}"))?;
        }
        playlist.number();
        Ok(playlist)
    }

    fn take_line(&mut self, line: &str, name: &str, value: &str) -> Option<()> {
        match name {
            "#EXT-X-VERSION" => self.version = Some(value.parse().ok()?),
            "#EXT-X-TARGETDURATION" => self.target_s = Some(value.parse().ok()?),
            "#EXT-X-MEDIA-SEQUENCE" => self.media_sequence = value.parse().ok()?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity_sequence = Some(value.parse().ok()?);
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => self.is_independent = true,
            "#EXT-X-ENDLIST" => self.is_ended = true,
            "#EXT-X-PLAYLIST-TYPE" => self.playlist_type = Some(value.to_owned()),
            "#EXT-X-SERVER-CONTROL" => self.server_control = Some(attributes(value)?),
            "#EXT-X-PART-INF" => {
                self.part_target = Some(attributes(value)?.get("PART-TARGET")?.parse().ok()?);
            }
            "#EXT-X-SKIP" => {
                self.skipped = Some(attributes(value)?.get("SKIPPED-SEGMENTS")?.parse().ok()?);
            }
            "#EXT-X-DISCONTINUITY" => self.open.is_discontinuity = true,
            "#EXT-X-GAP" => self.open.is_gap = true,
            "#EXT-X-MAP" => {
                // The key in force would need an initialisation vector (RFC 8216bis 4.4.4.5).
                if self.open.key.as_ref().is_some_and(|key| !key.contains_key("IV")) {
                    return None;
                }
                self.open.map = Some(attributes(value)?.get("URI")?.clone());
            }
            "#EXT-X-KEY" => {
                let key = attributes(value)?;
                self.open.key = match key.get("METHOD")?.as_str() {
                    "NONE" => None,
                    _ => key.contains_key("URI").then_some(Some(key))?,
                };
            }
            "#EXT-X-PROGRAM-DATE-TIME" => self.open.date_ms = Some(date_ms(value)?),
            "#EXT-X-PART" => self.open.parts.push(part(&attributes(value)?)?),
            "#EXT-X-PRELOAD-HINT" => self.hints.push(attributes(value)?),
            "#EXT-X-DATERANGE" => self.date_ranges.push(attributes(value)?),
            "#EXT-X-RENDITION-REPORT" => self.reports.push(attributes(value)?),
            "#EXTINF" => self.open.duration = decimal(value.strip_suffix(',')?)?,
            _ if line.starts_with('#') => return None,
            _ => {
                if line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return None;
                }
                let (map, key) = (self.open.map.clone(), self.open.key.clone());
                let mut segment = std::mem::take(&mut self.open);
                segment.uri = line.to_owned();
                (self.open.map, self.open.key) = (map, key);
                self.segments.push(segment);
            }
        }
        Some(())
    }

    /// Gives segments the numbers that follow from their places.
    fn number(&mut self) {
        let mut msn = self.media_sequence.wrapping_add(self.skipped.unwrap_or_default());
        let mut discontinuities = self.discontinuity_sequence.unwrap_or_default();
        for segment in self.segments.iter_mut().chain([&mut self.open]) {
            discontinuities = discontinuities.wrapping_add(u64::from(segment.is_discontinuity));
            segment.msn = msn;
            segment.discontinuities = discontinuities;
            msn = msn.wrapping_add(1);
        }
    }

    /// Puts back the segments that a delta update leaves out (RFC 8216bis 6.3.7).
    pub fn expand(&mut self, previous: Option<&Self>) -> Result<(), String> {
        let Some(skipped) = self.skipped else { return Ok(()) };
        let known = previous.map_or(&[][..], |previous| &previous.segments);
        let missing = self.media_sequence..self.media_sequence + skipped;
        let mut segments: Vec<_> =
            known.iter().filter(|segment| missing.contains(&segment.msn)).cloned().collect();
        if segments.len() as u64 != skipped {
            return Err(format!("{skipped} are skipped, {} of them known", segments.len()));
        }
        for segment in &mut segments {
            // A client forgets them, or has them still; the delta cannot say.
            segment.parts.clear();
        }
        segments.append(&mut self.segments);
        self.segments = segments;
        let is_discontinuity = |segment: &&Segment| segment.is_discontinuity;
        let inside = self.segments.iter().take(skipped as usize).filter(is_discontinuity).count();
        for segment in self.segments.iter_mut().skip(skipped as usize).chain([&mut self.open]) {
            segment.discontinuities += inside as u64;
        }
        Ok(())
    }

    /// Seconds of the complete segments.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// The complete segments and the open one.
    pub fn all(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().chain([&self.open])
    }

    /// All parts that are told, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.all().flat_map(|segment| &segment.parts)
    }
}

fn part(attributes: &Attributes) -> Option<Part> {
    Some(Part {
        uri: attributes.get("URI")?.clone(),
        duration: decimal(attributes.get("DURATION")?)?,
        is_independent: attributes.get("INDEPENDENT").is_some_and(|value| value == "YES"),
    })
}

/// Takes an attribute list apart (RFC 8216 4.2): no spaces, no name twice.
pub fn attributes(mut list: &str) -> Option<Attributes> {
    let mut attributes = Attributes::new();
    while !list.is_empty() {
        let (name, rest) = list.split_once('=')?;
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, rest) = quoted.split_once('"')?;
                (value, rest.strip_prefix(',').or_else(|| rest.is_empty().then_some(""))?)
            }
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        if attributes.insert(name.to_owned(), value.to_owned()).is_some() {
            return None;
        }
        list = rest;
    }
    (!attributes.is_empty()).then_some(attributes)
}

/// A number without sign and exponent.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_decimal)
}

/// Reads `2026-11-22T15:58:03.123Z`.
pub fn date_ms(text: &str) -> Option<i64> {
    let shape = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        shape => byte == *shape,
    };
    if text.len() != shape.len() || !text.bytes().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days from 1 March of the year 0.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(((days - 719_468) * 86_400 + seconds) * 1000 + number(20, 23)?)
}

/// Tags that may stand once in a playlist (RFC 8216 4.3.3, RFC 8216bis 4.4.3).
const ONCE: [&str; 9] = [
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-ENDLIST",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-PART-INF",
    "#EXT-X-SKIP",
];
