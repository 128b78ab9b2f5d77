//! The initialisation segment: `ftyp` and `moov` (ISO/IEC 14496-12 8.2, 23000-19 7.3.1).

use bytes::Bytes;

use super::boxes::Writer;
use super::protect::{self, Protection};
use super::{Error, TIMESCALE_HZ};
use crate::access_unit::{TrackInfo, TrackKind};
use crate::codec::{CodecId, Mp4Row};

/// A track of a presentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// track_ID, from 1; the fragments name the track by it.
    pub id: u32,
    /// Codec of all its samples.
    pub codec: CodecId,
    /// Size of the pictures, or rate and channels of the sound.
    pub info: TrackInfo,
    /// The decoder configuration record, as in a unit of kind Config; empty when the codec has
    /// none.
    pub config: Bytes,
    /// Any frame, where the codec has no configuration record (MP3, AC-3, E-AC-3); else not looked
    /// at, and may be empty.
    pub first_frame: Bytes,
    /// ISO 639-2/T code of three letters; anything else is written as undetermined.
    pub language: String,
    /// How its samples are encrypted; `None`: they are not.
    pub protection: Option<Protection>,
}

/// True when the codec has a form in fragmented MP4 that players of HLS take.
pub fn fits(codec: CodecId) -> bool {
    codec.row().mp4.is_some()
}

/// Writes the initialisation segment of these tracks.
///
/// # Errors
/// [`Error::Unsupported`] names the first codec that does not [fit](fits), [`Error::Malformed`] the
/// first whose configuration cannot be read. [`Error::Violation`] when there is no track, track_IDs
/// are 0 or not distinct, or pictures have no size that 16 bits can say.
pub fn init_segment(tracks: &[Track]) -> Result<Bytes, Error> {
    let ids = || tracks.iter().map(|track| track.id);
    if tracks.is_empty() {
        return Err(Error::Violation("a movie without tracks"));
    }
    if ids().enumerate().any(|(index, id)| id == 0 || ids().take(index).any(|other| other == id)) {
        return Err(Error::Violation("track_ID 0, or of two tracks"));
    }
    let entries = tracks.iter().map(SampleEntry::of).collect::<Result<Vec<_>, _>>()?;
    let mut out = Writer::default();
    file_type(&mut out, tracks.len());
    out.boxed(b"moov", |out| {
        movie_header(out, ids().max().unwrap_or(0));
        for entry in &entries {
            out.boxed(b"trak", |out| track(out, entry));
        }
        out.boxed(b"mvex", |out| ids().for_each(|id| track_extends(out, id)));
    });
    let size = out.len() as u64;
    if size > u64::from(u32::MAX) {
        let limit = u32::MAX.into();
        return Err(Error::LimitExceeded { what: "an initialisation segment", value: size, limit });
    }
    Ok(out.into_vec().into())
}

/// A track, checked.
struct SampleEntry<'a> {
    track: &'a Track,
    row: &'static Mp4Row,
    /// Content of the configuration box.
    config: Vec<u8>,
    /// Pixels; 0 without pictures.
    width: u16,
    /// Pixels; 0 without pictures.
    height: u16,
}

impl<'a> SampleEntry<'a> {
    fn of(track: &'a Track) -> Result<Self, Error> {
        let codec = track.codec;
        let row = codec.row().mp4.as_ref().ok_or(Error::Unsupported(codec))?;
        let (source, what) = match codec.row().from_config {
            Some(_) => (&track.config, "configuration record"),
            None => (&track.first_frame, "first frame"),
        };
        let config = (row.config)(source).ok_or(Error::Malformed { codec, what })?;
        let is_video = codec.kind() == TrackKind::Video;
        let size = |pixels: u32| match u16::try_from(pixels) {
            Ok(pixels) if pixels > 0 || !is_video => Ok(pixels),
            _ => Err(Error::Violation("pictures of no size, or of more than 65,535 pixels a side")),
        };
        let (width, height) = if is_video { (track.info.width, track.info.height) } else { (0, 0) };
        Ok(Self { track, row, config, width: size(width)?, height: size(height)? })
    }

    fn is_video(&self) -> bool {
        self.track.codec.kind() == TrackKind::Video
    }
}

/// A CMAF track is a file of its own; pictures and sound together are plain fragmented MP4.
fn file_type(out: &mut Writer, tracks: usize) {
    out.boxed(b"ftyp", |out| {
        out.put(b"iso6");
        out.u32(0);
        out.put(b"iso6");
        out.put(b"mp41");
        if tracks == 1 {
            out.put(b"cmfc");
        }
    });
}

/// mvhd: 8.2.2. Its duration is 0, as that of the tracks: it is what the fragments say.
fn movie_header(out: &mut Writer, highest_id: u32) {
    out.full_box(b"mvhd", 0, 0, |out| {
        out.zeros(8); // creation and modification time
        out.u32(TIMESCALE_HZ);
        out.u32(0);
        out.u32(0x0001_0000); // rate 1.0
        out.u16(0x0100); // volume 1.0
        out.zeros(10);
        matrix(out);
        out.zeros(24);
        out.u32(highest_id.saturating_add(1));
    });
}

fn track(out: &mut Writer, entry: &SampleEntry<'_>) {
    out.full_box(b"tkhd", 0, TRACK_ENABLED_AND_IN_MOVIE, |out| {
        out.zeros(8); // creation and modification time
        out.u32(entry.track.id);
        out.zeros(4 + 4 + 8 + 2 + 2); // duration, layer, alternate group
        out.u16(if entry.is_video() { 0 } else { 0x0100 });
        out.zeros(2);
        matrix(out);
        out.u32(u32::from(entry.width) << 16);
        out.u32(u32::from(entry.height) << 16);
    });
    out.boxed(b"mdia", |out| {
        out.full_box(b"mdhd", 0, 0, |out| {
            out.zeros(8);
            out.u32(TIMESCALE_HZ);
            out.u32(0);
            out.u16(packed_language(&entry.track.language));
            out.zeros(2);
        });
        let (handler, name) = match entry.is_video() {
            true => (b"vide", "VideoHandler"),
            false => (b"soun", "SoundHandler"),
        };
        out.full_box(b"hdlr", 0, 0, |out| {
            out.zeros(4);
            out.put(handler);
            out.zeros(12);
            out.text(name);
        });
        out.boxed(b"minf", |out| media_information(out, entry));
    });
}

fn media_information(out: &mut Writer, entry: &SampleEntry<'_>) {
    match entry.is_video() {
        true => out.full_box(b"vmhd", 0, 1, |out| out.zeros(8)),
        false => out.full_box(b"smhd", 0, 0, |out| out.zeros(4)),
    }
    out.boxed(b"dinf", |out| {
        out.full_box(b"dref", 0, 0, |out| {
            out.u32(1);
            out.full_box(b"url ", 0, DATA_IN_THIS_FILE, |_| {});
        });
    });
    out.boxed(b"stbl", |out| {
        out.full_box(b"stsd", 0, 0, |out| {
            out.u32(1);
            let kind = match (&entry.track.protection, entry.is_video()) {
                (None, _) => &entry.row.sample_entry,
                (Some(_), true) => b"encv",
                (Some(_), false) => b"enca",
            };
            out.boxed(kind, |out| sample_entry(out, entry));
        });
        // The samples are in the fragments: the tables are there, and empty.
        for kind in [b"stts", b"stsc"] {
            out.full_box(kind, 0, 0, |out| out.u32(0));
        }
        out.full_box(b"stsz", 0, 0, |out| out.zeros(8));
        out.full_box(b"stco", 0, 0, |out| out.u32(0));
    });
}

fn sample_entry(out: &mut Writer, entry: &SampleEntry<'_>) {
    out.zeros(6);
    out.u16(1); // data_reference_index
    match entry.is_video() {
        true => visual(out, entry),
        false => audio(out, &entry.track.info),
    }
    out.boxed(&entry.row.config_box, |out| out.put(&entry.config));
    if let Some(protection) = &entry.track.protection {
        protect::scheme(out, protection, entry.row.sample_entry, entry.track.codec.kind());
    }
}

/// VisualSampleEntry: 12.1.3.
fn visual(out: &mut Writer, entry: &SampleEntry<'_>) {
    out.zeros(16);
    out.u16(entry.width);
    out.u16(entry.height);
    out.u32(RESOLUTION_72_DPI);
    out.u32(RESOLUTION_72_DPI);
    out.zeros(4);
    out.u16(1); // frames per sample
    out.zeros(32); // name of the encoder
    out.u16(0x0018); // depth: colour without alpha
    out.u16(u16::MAX);
}

/// AudioSampleEntry: 12.2.3. A rate that 16 bits cannot say is halved until they can, as the
/// mapping of FLAC has it; decoders take the truth from the configuration.
fn audio(out: &mut Writer, info: &TrackInfo) {
    let mut rate = info.sample_rate_hz;
    while rate > u32::from(u16::MAX) {
        rate /= 2;
    }
    out.zeros(8);
    out.u16(u16::from(info.channels.max(1)));
    out.u16(16); // bits per sample
    out.zeros(4);
    out.u32(rate << 16);
}

/// trex: 8.8.3. The fragments leave nothing to the defaults but the sample description.
fn track_extends(out: &mut Writer, track_id: u32) {
    out.full_box(b"trex", 0, 0, |out| {
        out.u32(track_id);
        out.u32(1);
        out.zeros(12);
    });
}

/// The transformation that leaves everything where it is (8.2.2.2).
fn matrix(out: &mut Writer) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        out.u32(value);
    }
}

/// Three letters of five bits, counted from 0x60 (8.4.2.3).
fn packed_language(language: &str) -> u16 {
    let letters = match language.as_bytes() {
        code @ [_, _, _] if code.iter().all(u8::is_ascii_lowercase) => code,
        _ => b"und",
    };
    letters.iter().fold(0, |packed, letter| packed << 5 | u16::from(letter & 0x1F))
}

const TRACK_ENABLED_AND_IN_MOVIE: u32 = 3;
const DATA_IN_THIS_FILE: u32 = 1;
const RESOLUTION_72_DPI: u32 = 0x0048_0000;

#[cfg(test)]
mod tests;
