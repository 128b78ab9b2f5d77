//! What a presentation is made of: renditions, segments, parts.
//!
//! All of it is immutable once made, and shared by the cores that serve it.

use std::sync::Arc;

use bytes::Bytes;
use corelay_codecs::Chunk;

/// The container of a presentation's segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// MPEG-TS (RFC 8216 3.2).
    Ts,
    /// Fragmented MP4 (RFC 8216 3.3, CMAF).
    Fmp4,
}

/// One media playlist of a presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rendition {
    /// The container of the presentation. Subtitles are text files beside either.
    pub form: Form,
    /// What it carries.
    pub content: Content,
}

/// What a rendition carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Pictures with the first sound, or whatever there is.
    Main,
    /// A further audio track by itself: its index, above 0.
    Audio(u8),
    /// Subtitles in WebVTT: their number, from 1.
    Subtitles(u8),
}

/// What a decoder of fragmented MP4 must be given before segments (EXT-X-MAP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Names it among the initialisation segments of the stream.
    pub number: u32,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
}

/// A part of a segment (EXT-X-PART). The parts of a segment, one behind the other, are the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The media sequence number of its segment.
    pub msn: u64,
    /// Its place in the segment, from 0.
    pub index: u32,
    /// Decoding can start at its first picture.
    pub is_independent: bool,
    /// In ticks of 1/90,000 s; never negative.
    pub duration: i64,
    /// The bytes.
    pub chunk: Chunk,
}

/// A segment (EXTINF).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its media sequence number.
    pub msn: u64,
    /// In ticks of 1/90,000 s: from its first picture to that of the next one.
    pub duration: i64,
    /// When its first sample was received, in microseconds since 1970 (EXT-X-PROGRAM-DATE-TIME).
    pub started_us: u64,
    /// What comes before it has other timestamps, codecs or another source (EXT-X-DISCONTINUITY).
    pub is_discontinuity: bool,
    /// Discontinuities of the presentation up to and with this segment.
    pub discontinuities: u64,
    /// The [`Init`] that its samples need; `None` for MPEG-TS.
    pub init: Option<u32>,
    /// Its bytes.
    pub parts: Vec<Arc<Part>>,
    /// Events that begin in it (EXT-X-DATERANGE).
    pub date_ranges: Vec<DateRange>,
}

/// An event of the programme (EXT-X-DATERANGE, RFC 8216bis 4.4.5.1), from a cue of SCTE-35.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    /// Names it: the beginning and the end of a break have the same.
    pub id: String,
    /// In microseconds since 1970.
    pub start_us: u64,
    /// Milliseconds, when it is known how long the event really was.
    pub duration_ms: Option<u64>,
    /// Milliseconds, when it is only known how long it is to be.
    pub planned_ms: Option<u64>,
    /// What the cue is.
    pub cue: Cue,
    /// The splice_info_section, whole.
    pub section: Bytes,
}

/// What a cue of SCTE-35 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// A break begins (SCTE35-OUT).
    Out,
    /// It ends (SCTE35-IN).
    In,
    /// Anything else (SCTE35-CMD).
    Command,
}

/// What a rendition carries, for the multivariant playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// RFC 6381 names of its codecs, pictures first: `avc1.64001f`, `mp4a.40.2`.
    pub codecs: Vec<String>,
    /// Pixels; 0 without pictures.
    pub width: u32,
    /// Pixels; 0 without pictures.
    pub height: u32,
    /// Frames per second; 0 when unknown.
    pub frame_rate: f64,
    /// Channels of the sound; 0 when unknown.
    pub channels: u8,
    /// RFC 5646 or ISO 639-2 code of the sound or the subtitles; empty when unknown.
    pub language: String,
    /// Subtitles that tell of sounds too.
    pub is_for_hard_of_hearing: bool,
}

/// What is known of a segment when it is opened. Each field is what the [`Segment`] will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its media sequence number.
    pub msn: u64,
    /// When its first sample was received, in microseconds since 1970.
    pub started_us: u64,
    /// What comes before it has other timestamps, codecs or another source.
    pub is_discontinuity: bool,
    /// Discontinuities of the presentation up to and with this segment.
    pub discontinuities: u64,
    /// The [`Init`] that its samples need; `None` for MPEG-TS.
    pub init: Option<u32>,
}

/// What happens to a presentation. A presentation is the sum of its events, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A rendition is there, or carries something else now.
    Described(Rendition, Arc<Description>),
    /// The segments that follow need this.
    Init(Rendition, Arc<Init>),
    /// A segment is opened. A low-latency playlist must tell of a discontinuity, a date and an EXT-X-MAP
    /// before the first part to which they apply, long before there is a [`Segment`].
    Opened(Rendition, Opening),
    /// The open segment has grown.
    Part(Rendition, Arc<Part>),
    /// The open segment is complete: its parts are those that came before.
    Segment(Rendition, Arc<Segment>),
}

impl Event {
    /// The rendition to which it happens.
    pub const fn rendition(&self) -> Rendition {
        match self {
            Self::Described(rendition, _)
            | Self::Init(rendition, _)
            | Self::Opened(rendition, _)
            | Self::Part(rendition, _)
            | Self::Segment(rendition, _) => *rendition,
        }
    }
}

impl Segment {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.chunk.len()).sum()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Fmp4 => "fmp4",
        }
    }
}

impl Rendition {
    /// The main rendition of a form.
    pub const fn main(form: Form) -> Self {
        Self { form, content: Content::Main }
    }

    /// The rendition of an audio track; the first one, 0, is in the main rendition.
    pub const fn audio(form: Form, index: u8) -> Self {
        match index {
            0 => Self::main(form),
            index => Self { form, content: Content::Audio(index) },
        }
    }

    /// A rendition of subtitles, by its number from 1.
    pub const fn subtitles(form: Form, number: u8) -> Self {
        Self { form, content: Content::Subtitles(number) }
    }

    /// True for the main rendition of a form.
    pub const fn is_main(self) -> bool {
        matches!(self.content, Content::Main)
    }

    /// True for subtitles: they have segments, and no parts.
    pub const fn is_subtitles(self) -> bool {
        matches!(self.content, Content::Subtitles(_))
    }

    /// The extension of segments and parts.
    pub const fn extension(self) -> &'static str {
        match (self.content, self.form) {
            (Content::Subtitles(_), _) => "vtt",
            (_, Form::Ts) => "ts",
            (_, Form::Fmp4) => "m4s",
        }
    }

    /// The media type of segments and parts.
    pub const fn media_type(self) -> &'static str {
        match (self.content, self.form) {
            (Content::Subtitles(_), _) => "text/vtt",
            (_, Form::Ts) => "video/mp2t",
            (_, Form::Fmp4) => "video/mp4",
        }
    }

    /// The rendition of a name in a URL: `ts`, `fmp4`, `fmp4-audio1`, `ts-subtitles1`.
    pub fn parse(name: &str) -> Option<Self> {
        let (form, content) = match name.split_once('-') {
            None => (name, Content::Main),
            Some((form, content)) => (form, Content::parse(content)?),
        };
        let form = [Form::Ts, Form::Fmp4].into_iter().find(|known| known.name() == form)?;
        let rendition = Self { form, content };
        // `fmp4-audio01` would be a second name of the same thing.
        (rendition.to_string() == name).then_some(rendition)
    }
}

impl std::fmt::Display for Rendition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.form.name())?;
        match self.content {
            Content::Main => Ok(()),
            Content::Audio(index) => write!(f, "-audio{index}"),
            Content::Subtitles(number) => write!(f, "-subtitles{number}"),
        }
    }
}

impl Content {
    fn parse(name: &str) -> Option<Self> {
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0);
        match name.strip_prefix("audio") {
            Some(index) => number(index).map(Self::Audio),
            None => number(name.strip_prefix("subtitles")?).map(Self::Subtitles),
        }
    }
}

/// The target duration of a presentation in seconds (EXT-X-TARGETDURATION), which is constant: as long as
/// its first segment, which shows how long the publisher's groups of pictures are, or as segments are to
/// be, `segment_ms`. A segment that would become longer than [`longest_segment`] is cut anywhere.
pub fn target_duration_s(segment_ms: u32, first_duration: i64) -> u32 {
    let first_s = u32::try_from(first_duration.max(0).div_euclid(90_000)).unwrap_or(u32::MAX);
    let rounded_up = first_s.saturating_add(u32::from(first_duration.rem_euclid(90_000) > 0));
    rounded_up.max(segment_ms.div_ceil(1_000))
}

/// The longest segment that a target duration allows, in ticks of 1/90,000 s: it must not be longer when
/// both are rounded to seconds (RFC 8216 4.3.3.1).
pub fn longest_segment(target_duration_s: u32) -> i64 {
    i64::from(target_duration_s) * 90_000 + 44_999
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendition_has_one_name_in_urls() {
        for (name, rendition) in [
            ("ts", Rendition::main(Form::Ts)),
            ("fmp4", Rendition::audio(Form::Fmp4, 0)),
            ("fmp4-audio12", Rendition::audio(Form::Fmp4, 12)),
            ("ts-subtitles1", Rendition::subtitles(Form::Ts, 1)),
        ] {
            assert_eq!(Rendition::parse(name), Some(rendition));
            assert_eq!(rendition.to_string(), name);
        }
        for wrong in ["", "mp4", "TS", "ts-audio0", "ts-audio01", "ts-audio256", "fmp4-audio"] {
            assert_eq!(Rendition::parse(wrong), None, "{wrong}");
        }
        for wrong in ["ts-", "ts-subtitles", "ts-subtitles0", "subtitles1", "ts-audio1-subtitles1"]
        {
            assert_eq!(Rendition::parse(wrong), None, "{wrong}");
        }
    }
}
