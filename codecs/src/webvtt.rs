//! WebVTT: subtitles as a text file (W3C Recommendation), cut into segments for HLS (RFC 8216 3.5).

use std::fmt::{self, Write};

use crate::teletext::{Colour, Text};

/// A text, and when it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue<'a> {
    /// In ticks of 90 kHz since the time that the segment's header names.
    pub start: i64,
    /// The same, behind `start`.
    pub end: i64,
    /// At least one line.
    pub text: &'a Text,
}

/// Writes a segment. The times of its cues count from `time`, a point of the media's timeline in ticks
/// of 90 kHz, of which 33 bits are written.
pub fn segment(time: i64, cues: &[Cue<'_>]) -> String {
    let mpegts = time.rem_euclid(1 << 33);
    let mut out = format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{mpegts},LOCAL:00:00:00.000\n");
    for cue in cues {
        let settings = if cue.text.is_at_top { " line:0" } else { "" };
        // Writing to a String does not fail.
        let _ = writeln!(out, "\n{} --> {}{settings}", Time(cue.start), Time(cue.end));
        for spans in &cue.text.lines {
            for span in spans {
                let _ = match class(span.colour) {
                    Some(class) => write!(out, "<c.{class}>{}</c>", Escaped(&span.text)),
                    None => write!(out, "{}", Escaped(&span.text)),
                };
            }
            out.push('\n');
        }
    }
    out
}

/// Ticks of 90 kHz as hours, minutes, seconds and milliseconds.
struct Time(i64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.max(0) / 90;
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        write!(f, "{:02}:{:02}:{seconds:02}.{millis:03}", minutes / 60, minutes % 60)
    }
}

/// Text without what would begin a tag or an escape.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            other => f.write_char(other),
        })
    }
}

/// The class that players give a colour by themselves (WebVTT 5); white is what they have anyway, and
/// black could not be read on their background.
fn class(colour: Colour) -> Option<&'static str> {
    Some(match colour {
        Colour::Black | Colour::White => return None,
        Colour::Red => "red",
        // The green of teletext has full intensity.
        Colour::Green => "lime",
        Colour::Yellow => "yellow",
        Colour::Blue => "blue",
        Colour::Magenta => "magenta",
        Colour::Cyan => "cyan",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::teletext::Span;

    fn span(colour: Colour, text: &str) -> Span {
        Span { colour, text: text.to_owned() }
    }

    #[test]
    fn a_segment_without_cues_is_its_header() {
        let header = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n";
        assert_eq!(segment(900_000, &[]), header);
        assert_eq!(segment((1 << 33) + 900_000, &[]), header, "33 bits");
        assert_eq!(segment(900_000 - (1 << 33), &[]), header);
    }

    #[test]
    fn cues_have_times_colours_and_no_tags_of_others() {
        let lines = vec![
            vec![span(Colour::White, "A <b> & "), span(Colour::Yellow, "-->")],
            vec![span(Colour::Green, "two")],
        ];
        let text = Text { lines, is_at_top: false };
        let top = Text { is_at_top: true, lines: vec![vec![span(Colour::White, "up")]] };
        let cues = [
            Cue { start: 45, end: 180_000, text: &text },
            Cue { start: 180_000, end: 90_000 * 3_661, text: &top },
        ];
        let written = segment(0, &cues);
        let (_, cues) = written.split_once("000\n").expect("a header");
        assert_eq!(
            cues,
            "\n00:00:00.000 --> 00:00:02.000\nA &lt;b&gt; &amp; <c.yellow>--&gt;</c>\n\
             <c.lime>two</c>\n\n00:00:02.000 --> 01:01:01.000 line:0\nup\n"
        );
    }
}
