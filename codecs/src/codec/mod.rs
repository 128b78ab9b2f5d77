//! What a codec is called, how containers signal it, and what its parameters say.
//!
//! One file per codec reads its configuration record or frame header; the table [`CODECS`] has one
//! row per codec. To add one: a file here, a variant of [`CodecId`], a row in the same place.
//!
//! Invariants
//! - The rows stand in the order of the variants, so [`CodecId::row`] is an index.
//! - No parser panics or allocates in proportion to a number the peer sent: at most to the input's
//!   size.

pub mod aac;
pub mod ac3;
pub mod annexb;
pub mod av1;
mod bits;
mod esds;
pub mod flac;
pub mod flash_video;
pub mod g711;
pub mod h264;
pub mod h265;
pub mod h266;
pub mod latm;
pub mod mp3;
pub mod opus;
pub mod speex;
pub mod vp8;
pub mod vp9;

use crate::access_unit::{AccessUnit, TrackInfo, TrackKind, UnitKind};

/// A codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodecId {
    /// Not in the table.
    #[default]
    Unknown,
    /// H.264, AVC: ISO/IEC 14496-10.
    H264,
    /// H.265, HEVC: ISO/IEC 23008-2.
    H265,
    /// H.266, VVC: ISO/IEC 23090-3.
    H266,
    /// AV1.
    Av1,
    /// VP8: RFC 6386.
    Vp8,
    /// VP9.
    Vp9,
    /// Sorenson Spark, a dialect of H.263.
    SorensonH263,
    /// Flash screen video.
    ScreenVideo,
    /// Flash screen video, version 2.
    ScreenVideo2,
    /// On2 VP6.
    Vp6,
    /// On2 VP6 with an alpha channel.
    Vp6Alpha,
    /// Motion JPEG.
    Jpeg,
    /// AAC: ISO/IEC 14496-3.
    Aac,
    /// MPEG-1/2/2.5 layer III: ISO/IEC 11172-3, 13818-3.
    Mp3,
    /// MPEG-1/2 layer II (and I): ISO/IEC 11172-3, 13818-3. FLV cannot carry it.
    Mp2,
    /// Opus: RFC 6716.
    Opus,
    /// FLAC: RFC 9639.
    Flac,
    /// AC-3: ETSI TS 102 366.
    Ac3,
    /// Enhanced AC-3: ETSI TS 102 366 Annex E.
    Eac3,
    /// Speex.
    Speex,
    /// G.711 A-law.
    G711A,
    /// G.711 mu-law.
    G711U,
    /// Linear PCM, little endian.
    PcmLe,
    /// Linear PCM in the byte order of the machine that made it.
    PcmNative,
    /// Flash ADPCM.
    Adpcm,
    /// Nellymoser Asao.
    Nellymoser,
    /// Data messages in AMF0.
    Amf0,
}

/// What is fixed about a codec.
#[derive(Debug)]
pub struct CodecRow {
    /// The codec.
    pub id: CodecId,
    /// Name for people: "H.264".
    pub name: &'static str,
    /// Name in the API, as SRS writes it: "H264".
    pub api_name: &'static str,
    /// Kind of track that it makes.
    pub kind: TrackKind,
    /// FourCC in Enhanced RTMP, where it has one.
    pub fourcc: Option<[u8; 4]>,
    /// Legacy FLV numbers: CodecID of video, SoundFormat of audio; the preferred one first.
    pub flv_ids: &'static [u8],
    /// Reads a configuration record; `None` for codecs that have none.
    pub from_config: Option<Describe>,
    /// Reads a frame, for what the configuration record does not say.
    pub from_frame: Option<Describe>,
    /// How fragmented MP4 carries it; `None` when players of HLS take no such thing.
    pub mp4: Option<Mp4Row>,
    /// What playlists call it; see [`rfc6381`].
    pub playlist_name: Name,
}

/// What MP4 says of a codec.
#[derive(Debug)]
pub struct Mp4Row {
    /// Type of its sample entry (ISO/IEC 14496-12 8.5.2): `avc1`.
    pub sample_entry: [u8; 4],
    /// Type of the box in the sample entry that configures the decoder: `avcC`.
    pub config_box: [u8; 4],
    /// Makes that box's content of the configuration record, or of a frame where
    /// [`CodecRow::from_config`] is `None`; `None` when it cannot be read.
    pub config: fn(&[u8]) -> Option<Vec<u8>>,
}

/// The name of a codec by RFC 6381.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// HLS has no such thing.
    None,
    /// There is only one.
    Fixed(&'static str),
    /// It says what the configuration record says; `None` when that cannot be read.
    Of(fn(&[u8]) -> Option<String>),
    /// It says what is known of the track.
    By(fn(&TrackInfo) -> &'static str),
}

/// Says what a configuration record or frame tells of its track; `None` when it cannot be read.
pub type Describe = fn(&[u8]) -> Option<TrackInfo>;

impl CodecId {
    /// The codec's row.
    pub fn row(self) -> &'static CodecRow {
        CODECS.get(self as usize).unwrap_or(&UNKNOWN)
    }

    /// Name for people: "H.264".
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Name in the API, as SRS writes it: "H264".
    pub fn api_name(self) -> &'static str {
        self.row().api_name
    }

    /// True when FLV and RTMP have a way to carry the codec.
    pub fn fits_flv(self) -> bool {
        self.row().fourcc.is_some() || !self.row().flv_ids.is_empty()
    }

    /// Kind of track that the codec makes.
    pub fn kind(self) -> TrackKind {
        self.row().kind
    }

    /// The codec with this Enhanced RTMP FourCC.
    pub fn from_fourcc(fourcc: [u8; 4]) -> Option<Self> {
        CODECS.iter().find(|row| row.fourcc == Some(fourcc)).map(|row| row.id)
    }

    /// The codec with this legacy FLV CodecID (FLV 10.1 E.4.3.1; 12 is unofficial H.265).
    pub fn from_flv_video_id(id: u8) -> Option<Self> {
        Self::from_flv_id(TrackKind::Video, id)
    }

    /// The codec with this legacy FLV SoundFormat (FLV 10.1 E.4.2.1).
    pub fn from_flv_audio_id(id: u8) -> Option<Self> {
        Self::from_flv_id(TrackKind::Audio, id)
    }

    fn from_flv_id(kind: TrackKind, id: u8) -> Option<Self> {
        CODECS.iter().find(|row| row.kind == kind && row.flv_ids.contains(&id)).map(|row| row.id)
    }
}

/// What a unit tells of its track: from its configuration record, or from a frame; at least the
/// codec.
///
/// The two complete each other ([`TrackInfo::update`]): VP9's record has no picture size, its key
/// frames have. `None` for units that are neither, and when the codec is unknown.
///
/// Cost: parses the record or the frame's first bytes and allocates the names; for the first units
/// of a track, not for each.
pub fn track_info(unit: &AccessUnit) -> Option<TrackInfo> {
    let row = unit.codec.row();
    let describe = match unit.kind {
        UnitKind::Config => row.from_config,
        UnitKind::Frame { .. } => row.from_frame,
        _ => return None,
    };
    if unit.codec == CodecId::Unknown {
        return None;
    }
    let described = describe.and_then(|describe| describe(&unit.payload));
    Some(described.unwrap_or_else(|| TrackInfo { codec: unit.codec, ..TrackInfo::default() }))
}

/// What a playlist calls a track with this configuration record (RFC 6381 3.3, and the mapping of
/// each codec to MP4): `avc1.64001f`, `mp4a.40.2`, `ac-3`. `None` when the record cannot be read
/// and for codecs that have no such name in HLS; codecs without a record need none.
pub fn rfc6381(info: &TrackInfo, config: &[u8]) -> Option<String> {
    match info.codec.row().playlist_name {
        Name::None => None,
        Name::Fixed(name) => Some(name.to_owned()),
        Name::Of(name) => name(config),
        Name::By(name) => Some(name(info).to_owned()),
    }
}

const UNKNOWN: CodecRow = CodecRow {
    id: CodecId::Unknown,
    name: "unknown",
    api_name: "Other",
    kind: TrackKind::Data,
    fourcc: None,
    flv_ids: &[],
    from_config: None,
    from_frame: None,
    mp4: None,
    playlist_name: Name::None,
};

const fn video(id: CodecId, name: &'static str, api_name: &'static str) -> CodecRow {
    CodecRow { id, name, api_name, kind: TrackKind::Video, ..UNKNOWN }
}

const fn audio(id: CodecId, name: &'static str, api_name: &'static str) -> CodecRow {
    CodecRow { id, name, api_name, kind: TrackKind::Audio, ..UNKNOWN }
}

const fn mp4(
    sample_entry: [u8; 4],
    config_box: [u8; 4],
    config: fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<Mp4Row> {
    Some(Mp4Row { sample_entry, config_box, config })
}

/// Every codec, in the order of [`CodecId`].
#[rustfmt::skip]
pub static CODECS: &[CodecRow] = &[
    UNKNOWN,
    CodecRow {
        fourcc: Some(*b"avc1"), flv_ids: &[7], from_config: Some(h264::from_config),
        mp4: mp4(*b"avc1", *b"avcC", h264::mp4_config), playlist_name: Name::Of(h264::rfc6381),
        ..video(CodecId::H264, "H.264", "H264")
    },
    CodecRow {
        fourcc: Some(*b"hvc1"), flv_ids: &[12], from_config: Some(h265::from_config),
        mp4: mp4(*b"hvc1", *b"hvcC", h265::mp4_config), playlist_name: Name::Of(h265::rfc6381),
        ..video(CodecId::H265, "H.265", "HEVC")
    },
    CodecRow {
        fourcc: Some(*b"vvc1"), from_config: Some(h266::from_config),
        ..video(CodecId::H266, "H.266", "VVC")
    },
    CodecRow {
        fourcc: Some(*b"av01"), from_config: Some(av1::from_config),
        from_frame: Some(av1::from_frame),
        mp4: mp4(*b"av01", *b"av1C", av1::mp4_config), playlist_name: Name::Of(av1::rfc6381),
        ..video(CodecId::Av1, "AV1", "AV1")
    },
    CodecRow {
        fourcc: Some(*b"vp08"), from_config: Some(vp8::from_config),
        from_frame: Some(vp8::from_frame), ..video(CodecId::Vp8, "VP8", "VP8")
    },
    CodecRow {
        fourcc: Some(*b"vp09"), from_config: Some(vp9::from_config),
        from_frame: Some(vp9::from_frame),
        mp4: mp4(*b"vp09", *b"vpcC", vp9::mp4_config), playlist_name: Name::Of(vp9::rfc6381),
        ..video(CodecId::Vp9, "VP9", "VP9")
    },
    CodecRow {
        flv_ids: &[2], from_frame: Some(flash_video::from_sorenson_h263),
        ..video(CodecId::SorensonH263, "Sorenson H.263", "H263")
    },
    CodecRow {
        flv_ids: &[3], from_frame: Some(flash_video::from_screen_video),
        ..video(CodecId::ScreenVideo, "Screen video", "ScreenVideo")
    },
    CodecRow {
        flv_ids: &[6], from_frame: Some(flash_video::from_screen_video_2),
        ..video(CodecId::ScreenVideo2, "Screen video 2", "ScreenVideo2")
    },
    CodecRow { flv_ids: &[4], ..video(CodecId::Vp6, "VP6", "VP6") },
    CodecRow { flv_ids: &[5], ..video(CodecId::Vp6Alpha, "VP6 with alpha", "VP6A") },
    CodecRow { flv_ids: &[1], ..video(CodecId::Jpeg, "JPEG", "JPEG") },
    CodecRow {
        fourcc: Some(*b"mp4a"), flv_ids: &[10], from_config: Some(aac::from_config),
        mp4: mp4(*b"mp4a", *b"esds", aac::mp4_config), playlist_name: Name::Of(aac::rfc6381),
        ..audio(CodecId::Aac, "AAC", "AAC")
    },
    CodecRow {
        fourcc: Some(*b".mp3"), flv_ids: &[2, 14], from_frame: Some(mp3::from_frame),
        mp4: mp4(*b"mp4a", *b"esds", mp3::mp4_config), playlist_name: Name::By(mp3::rfc6381),
        ..audio(CodecId::Mp3, "MP3", "MP3")
    },
    CodecRow {
        from_frame: Some(mp3::from_mp2_frame), playlist_name: Name::By(mp3::rfc6381),
        ..audio(CodecId::Mp2, "MP2", "MP2")
    },
    CodecRow {
        fourcc: Some(*b"Opus"), from_config: Some(opus::from_config),
        mp4: mp4(*b"Opus", *b"dOps", opus::mp4_config), playlist_name: Name::Fixed("opus"),
        ..audio(CodecId::Opus, "Opus", "Opus")
    },
    CodecRow {
        fourcc: Some(*b"fLaC"), from_config: Some(flac::from_config),
        mp4: mp4(*b"fLaC", *b"dfLa", flac::mp4_config), playlist_name: Name::Fixed("fLaC"),
        ..audio(CodecId::Flac, "FLAC", "FLAC")
    },
    CodecRow {
        fourcc: Some(*b"ac-3"), from_frame: Some(ac3::from_ac3_frame),
        mp4: mp4(*b"ac-3", *b"dac3", ac3::mp4::ac3_config), playlist_name: Name::Fixed("ac-3"),
        ..audio(CodecId::Ac3, "AC-3", "AC3")
    },
    CodecRow {
        fourcc: Some(*b"ec-3"), from_frame: Some(ac3::from_eac3_frame),
        mp4: mp4(*b"ec-3", *b"dec3", ac3::mp4::eac3_config), playlist_name: Name::Fixed("ec-3"),
        ..audio(CodecId::Eac3, "E-AC-3", "EAC3")
    },
    CodecRow {
        flv_ids: &[11], from_frame: Some(speex::from_frame),
        ..audio(CodecId::Speex, "Speex", "Speex")
    },
    CodecRow {
        flv_ids: &[7], from_frame: Some(g711::from_a_law_frame),
        ..audio(CodecId::G711A, "G.711 A-law", "G711A")
    },
    CodecRow {
        flv_ids: &[8], from_frame: Some(g711::from_mu_law_frame),
        ..audio(CodecId::G711U, "G.711 mu-law", "G711U")
    },
    CodecRow { flv_ids: &[3], ..audio(CodecId::PcmLe, "PCM", "PCM") },
    CodecRow { flv_ids: &[0], ..audio(CodecId::PcmNative, "PCM, native byte order", "PCM") },
    CodecRow { flv_ids: &[1], ..audio(CodecId::Adpcm, "ADPCM", "ADPCM") },
    CodecRow { flv_ids: &[6, 4, 5], ..audio(CodecId::Nellymoser, "Nellymoser", "Nellymoser") },
    CodecRow { id: CodecId::Amf0, name: "AMF0", api_name: "AMF0", ..UNKNOWN },
];

#[cfg(test)]
mod tests;

/// Bytes written as hexadecimal digits, for golden vectors.
#[cfg(test)]
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
