//! Media playlists (RFC 8216 4.3.2, 4.3.3; RFC 8216bis 4.4.3 to 4.4.5).

use std::fmt::Write;
use std::sync::Arc;

use super::super::encrypt::Method;
use super::super::presentation::{KeyTag, Settings, Window, ticks};
use super::super::segment::{Cue, DateRange, Opening, Part, Rendition, Segment, longest_segment};
use super::date::Date;

/// All that a media playlist says.
pub(in super::super) struct Media<'a> {
    pub(in super::super) settings: &'a Settings,
    pub(in super::super) rendition: Rendition,
    /// EXT-X-TARGETDURATION.
    pub(in super::super) target_s: u32,
    /// Has at least one segment.
    pub(in super::super) window: &'a Window,
    pub(in super::super) is_ended: bool,
    /// The other renditions of a low-latency presentation.
    pub(in super::super) reports: &'a [Report],
}

/// How far another rendition is (EXT-X-RENDITION-REPORT).
pub(in super::super) struct Report {
    pub(in super::super) rendition: Rendition,
    pub(in super::super) last_msn: u64,
    pub(in super::super) last_part: Option<usize>,
}

/// The Skip Boundary in ticks of 1/90,000 s (CAN-SKIP-UNTIL).
pub(in super::super) fn skip_boundary(target_s: u32) -> i64 {
    skip_until_s(target_s) * SECOND
}

impl Media<'_> {
    /// The playlist without parts.
    pub(in super::super) fn render(&self) -> String {
        let mut text = Text::new(self.window.listed().len() * SEGMENT_BYTES);
        self.write_head(&mut text, 0);
        self.write_sequences(&mut text, false);
        self.write_segments(&mut text, 0, None);
        self.write_end(&mut text);
        text.0
    }

    /// The playlist with parts, for those that have some. Leaves `skip` segments out.
    pub(in super::super) fn render_low_latency(&self, skip: usize) -> String {
        let mut text = Text::new((self.window.listed().len() + 6) * SEGMENT_BYTES);
        self.write_head(&mut text, skip);
        self.write_control(&mut text);
        self.write_sequences(&mut text, true);
        if skip > 0 {
            text.line(format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skip}"));
        }
        if self.rendition.is_subtitles() {
            self.write_segments(&mut text, skip, None);
        } else {
            self.write_segments(&mut text, skip, Some(self.first_with_parts()));
            self.write_open(&mut text);
        }
        self.write_end(&mut text);
        for report in self.reports {
            text.report(report);
        }
        text.0
    }

    fn write_head(&self, text: &mut Text, skip: usize) {
        text.line(format_args!("#EXTM3U"));
        // RFC 8216bis 8: decimal durations, KEYFORMAT, EXT-X-MAP, EXT-X-GAP, EXT-X-SKIP; no higher than
        // what is used.
        let has_map = self.window.listed().any(|segment| segment.init.is_some());
        let has_gap = self.window.listed().any(Segment::is_empty);
        let version = match (skip > 0, has_gap, has_map) {
            (true, ..) => 9,
            (false, true, _) => 8,
            (false, false, true) => 6,
            (false, false, false) if self.key().is_some_and(has_format) => 5,
            (false, false, false) => 3,
        };
        text.line(format_args!("#EXT-X-VERSION:{version}"));
        text.line(format_args!("#EXT-X-TARGETDURATION:{}", self.target_s));
    }

    /// How the segments are encrypted. Subtitles have no samples that could be.
    fn key(&self) -> Option<&KeyTag> {
        let key = self.settings.key.as_ref();
        key.filter(|key| !self.rendition.is_subtitles() || key.method == Method::Aes128)
    }

    fn write_control(&self, text: &mut Text) {
        let part_target = Seconds(part_ticks(self.settings));
        let hold_back_s = u64::from(self.target_s) * 3;
        let skip_until_s = skip_until_s(self.target_s);
        if self.rendition.is_subtitles() {
            text.line(format_args!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={skip_until_s}.0,\
                 HOLD-BACK={hold_back_s}.0"
            ));
            return;
        }
        let part_hold_back = Seconds(part_target.0 * PART_HOLD_BACK);
        text.line(format_args!(
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={skip_until_s}.0,\
             HOLD-BACK={hold_back_s}.0,PART-HOLD-BACK={part_hold_back}"
        ));
        text.line(format_args!("#EXT-X-PART-INF:PART-TARGET={part_target}"));
    }

    fn write_sequences(&self, text: &mut Text, low_latency: bool) {
        let mut listed = self.window.listed();
        let Some(first) = listed.clone().next() else { return };
        text.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", first.msn));
        let before = first.discontinuities.saturating_sub(u64::from(first.is_discontinuity));
        let has_parts = low_latency && !self.rendition.is_subtitles();
        let open = self.window.open_segment().filter(|_| has_parts);
        let has_discontinuity = listed.clone().any(|segment| segment.is_discontinuity)
            || open.is_some_and(|open| open.opening.is_discontinuity);
        if before > 0 || has_discontinuity {
            text.line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{before}"));
        }
        let is_independent =
            |parts: &[Arc<Part>]| parts.first().is_some_and(|part| part.is_independent);
        let open_is = open.is_none_or(|open| open.parts.is_empty() || is_independent(&open.parts));
        if open_is && listed.all(|segment| is_independent(&segment.parts)) {
            text.line(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
        }
    }

    /// Writes all segments but the first `skip`, from number `parts_from` on with their parts.
    fn write_segments(&self, text: &mut Text, skip: usize, parts_from: Option<u64>) {
        let mut listed = self.window.listed().skip(skip).peekable();
        let Some(first_msn) = listed.peek().map(|segment| segment.msn) else { return };
        for range in self.window.ranges_before(first_msn) {
            text.date_range(range);
        }
        let (mut init, mut key) = (None, self.key());
        for segment in listed {
            let is_other_init = init.is_some() && segment.init.is_some() && segment.init != init;
            if is_other_init && self.settings.is_encrypted_by(Method::Aes128) {
                // The key would apply to the EXT-X-MAP tags behind it too (RFC 8216bis 4.4.4.4).
                text.line(format_args!("#EXT-X-KEY:METHOD=NONE"));
                key = self.key();
            }
            text.opening(&opening(segment), &mut init);
            if let Some(key) = key.take() {
                text.key(key);
            }
            if parts_from.is_some_and(|from| segment.msn >= from) {
                segment.parts.iter().for_each(|part| self.write_part(text, part));
            }
            for range in self.window.ranges_of(segment.msn) {
                text.date_range(range);
            }
            // Packagers cut before a segment is too long. Should one not, then a wrong duration is
            // the smaller evil: players refuse a playlist whose segments are longer than its target
            // duration.
            let duration = segment.duration.clamp(0, longest_segment(self.target_s));
            text.line(format_args!("#EXTINF:{},", Seconds(duration)));
            if segment.is_empty() {
                // A further sound that is silent for a time (RFC 8216bis 4.4.4.7).
                text.line(format_args!("#EXT-X-GAP"));
            }
            text.line(format_args!("{}.{}", segment.msn, self.rendition.extension()));
        }
    }

    /// Writes the parts of the segment that is not complete, and the one that is to come.
    fn write_open(&self, text: &mut Text) {
        if let Some(open) = self.window.open_segment().filter(|open| !open.parts.is_empty()) {
            let mut init = self.window.listed().next_back().and_then(|segment| segment.init);
            text.opening(&open.opening, &mut init);
            open.parts.iter().for_each(|part| self.write_part(text, part));
        }
        if let Some((msn, index)) = self.window.next_part().filter(|_| !self.is_ended) {
            let extension = self.rendition.extension();
            text.line(format_args!(
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{msn}.{index}.{extension}\""
            ));
        }
    }

    fn write_part(&self, text: &mut Text, part: &Part) {
        let duration = Seconds(part.duration.clamp(0, part_ticks(self.settings)));
        let (msn, index) = (part.msn, part.index);
        let extension = self.rendition.extension();
        let independent = if part.is_independent { ",INDEPENDENT=YES" } else { "" };
        text.line(format_args!(
            "#EXT-X-PART:DURATION={duration},URI=\"{msn}.{index}.{extension}\"{independent}"
        ));
    }

    fn write_end(&self, text: &mut Text) {
        if self.is_ended {
            text.line(format_args!("#EXT-X-ENDLIST"));
        }
    }

    /// The first segment whose parts are told: those within three target durations of the end
    /// (RFC 8216bis 6.2.2).
    fn first_with_parts(&self) -> u64 {
        let window = self.window;
        let most = i64::from(self.target_s) * 3 * SECOND;
        let open_parts = window.open_segment().into_iter().flat_map(|open| &open.parts);
        let mut from_end: i64 = open_parts.map(|part| ticks(part.duration)).sum();
        let with_parts = window.listed().rev().take_while(|segment| {
            from_end += ticks(segment.duration);
            from_end <= most
        });
        let after_last = |last: &Segment| last.msn.saturating_add(1);
        let none = window.listed().next_back().map_or(0, after_last);
        with_parts.last().map_or(none, |segment| segment.msn)
    }
}

/// The lines of a playlist.
struct Text(String);

impl Text {
    fn new(bytes: usize) -> Self {
        Self(String::with_capacity(HEAD_BYTES + bytes))
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    /// What stands before a segment or its first part. `init` is the EXT-X-MAP in force.
    fn opening(&mut self, opening: &Opening, init: &mut Option<u32>) {
        if opening.is_discontinuity {
            self.line(format_args!("#EXT-X-DISCONTINUITY"));
        }
        if let Some(number) = opening.init.filter(|number| *init != Some(*number)) {
            *init = Some(number);
            self.line(format_args!("#EXT-X-MAP:URI=\"init{number}.mp4\""));
        }
        if opening.started_us > 0 {
            self.line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", Date(opening.started_us)));
        }
    }

    fn key(&mut self, key: &KeyTag) {
        let uri = plain(&key.uri);
        match key.method {
            Method::Aes128 => self.line(format_args!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"")),
            Method::SampleAes { vector } => {
                let vector = u128::from_be_bytes(vector);
                self.line(format_args!(
                    "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"{uri}\",IV=0x{vector:032X},\
                     KEYFORMAT=\"identity\""
                ));
            }
        }
    }

    fn date_range(&mut self, range: &DateRange) {
        let id = plain(&range.id);
        let start = Date(range.start_us);
        let _ = write!(self.0, "#EXT-X-DATERANGE:ID=\"{id}\",START-DATE=\"{start}\"");
        for (name, millis) in
            [("DURATION", range.duration_ms), ("PLANNED-DURATION", range.planned_ms)]
        {
            if let Some(millis) = millis {
                let _ = write!(self.0, ",{name}={}.{:03}", millis / 1000, millis % 1000);
            }
        }
        let name = match range.cue {
            Cue::Out => "SCTE35-OUT",
            Cue::In => "SCTE35-IN",
            Cue::Command => "SCTE35-CMD",
        };
        let _ = write!(self.0, ",{name}=0x");
        for byte in &range.section {
            let _ = write!(self.0, "{byte:02X}");
        }
        self.0.push('\n');
    }

    fn report(&mut self, report: &Report) {
        let Report { rendition, last_msn, last_part } = report;
        let _ = write!(
            self.0,
            "#EXT-X-RENDITION-REPORT:URI=\"../{rendition}/index.m3u8\",LAST-MSN={last_msn}"
        );
        if let Some(index) = last_part {
            let _ = write!(self.0, ",LAST-PART={index}");
        }
        self.0.push('\n');
    }
}

/// The tag says KEYFORMAT, whose only value here is its default.
fn has_format(key: &KeyTag) -> bool {
    matches!(key.method, Method::SampleAes { .. })
}

/// What may stand in a quoted string (RFC 8216 4.2).
fn plain(text: &str) -> String {
    text.chars().filter(|c| *c != '"' && !c.is_control()).collect()
}

/// Ticks of 1/90,000 s, never negative, shown as seconds with five decimals.
struct Seconds(i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimals = self.0 / 9 * 10 + (self.0 % 9 * 10 + 4) / 9;
        write!(f, "{}.{:05}", decimals / 100_000, decimals % 100_000)
    }
}

/// What the segment says of its beginning.
fn opening(segment: &Segment) -> Opening {
    let Segment { msn, started_us, is_discontinuity, discontinuities, init, .. } = *segment;
    Opening { msn, started_us, is_discontinuity, discontinuities, init }
}

/// PART-TARGET in ticks.
fn part_ticks(settings: &Settings) -> i64 {
    i64::from(settings.part_ms) * 90
}

/// RFC 8216bis 4.4.3.8: at least six target durations.
fn skip_until_s(target_s: u32) -> i64 {
    i64::from(target_s) * 6
}

const SECOND: i64 = 90_000;

/// PART-HOLD-BACK in parts: at least two, and better three (RFC 8216bis 4.4.3.8).
const PART_HOLD_BACK: i64 = 3;

/// What the lines of a playlist need about, so that it is written without growing.
const HEAD_BYTES: usize = 512;
const SEGMENT_BYTES: usize = 128;
