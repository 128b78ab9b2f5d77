//! What the tables say.

use libmpegts::psi::{CatSectionRef, PatSectionRef, PmtSectionRef, SdtSectionRef};

use super::Section;
use super::descriptor::{self, Descriptor, Summary, TeletextPage};
use crate::access_unit::TrackKind;
use crate::codec::CodecId;
use crate::container::mpegts::Pid;

/// One row of the PAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatEntry {
    /// program_number; 0 is the network information table.
    pub program_number: u16,
    /// Where its PMT (the NIT for program 0) is.
    pub pid: Pid,
}

/// Program association table: ISO/IEC 13818-1 2.4.4.4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pat {
    /// transport_stream_id.
    pub transport_stream_id: u16,
    /// version_number, 0 to 31.
    pub version: u8,
    /// In the order of the table, program 0 included.
    pub entries: Vec<PatEntry>,
}

/// One program, from its PMT: ISO/IEC 13818-1 2.4.4.9.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// program_number; the service_id of DVB.
    pub program_number: u16,
    /// Where the PMT is.
    pub pmt_pid: Pid,
    /// version_number, 0 to 31.
    pub version: u8,
    /// Where the clock is; [`Pid::NULL`] when there is none.
    pub pcr_pid: Pid,
    /// What is said of the program as a whole.
    pub descriptors: Vec<Descriptor>,
    /// A conditional access system is announced for the program or one of its streams.
    pub has_conditional_access: bool,
    /// In the order of the table.
    pub streams: Vec<EsInfo>,
}

/// One elementary stream of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EsInfo {
    /// Where it is.
    pub pid: Pid,
    /// stream_type as sent (ISO/IEC 13818-1 table 2-34).
    pub stream_type: u8,
    /// What stream_type and descriptors together mean.
    pub format: EsFormat,
    /// ISO 639 code of the first language, three letters; empty when not said.
    pub language: String,
    /// In the order of the table.
    pub descriptors: Vec<Descriptor>,
    /// The pages of teletext that are announced, in the order of the table.
    pub teletext: Vec<TeletextPage>,
    /// channel_config_code, where there is an Opus descriptor.
    pub opus_channel_config: Option<u8>,
}

/// How an elementary stream is coded and framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are those of the standards.
pub enum EsFormat {
    Mpeg1Video,
    Mpeg2Video,
    Mpeg4Video,
    H264,
    H265,
    H266,
    Av1,
    Jpeg2000,
    JpegXs,
    Vc1,
    /// MPEG-1 or MPEG-2 audio, layer I, II or III: its frames tell.
    MpegAudio,
    /// AAC in ADTS.
    AacAdts,
    /// AAC in LATM/LOAS.
    AacLatm,
    /// AAC without transport syntax.
    AacRaw,
    Ac3,
    Eac3,
    Ac4,
    Dts,
    Opus,
    /// Linear PCM as SMPTE 302M.
    Smpte302m,
    Teletext,
    DvbSubtitles,
    /// SCTE 35 cues, in sections.
    Scte35,
    /// SMPTE 336 metadata.
    Klv,
    /// Timed ID3.
    Id3,
    /// Private sections: HbbTV, DSM-CC and others.
    Sections,
    /// PES packets of unknown content.
    PrivatePes,
    /// Any other stream_type.
    Other,
}

impl EsFormat {
    /// Name for people: "AAC (LATM)".
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpeg1Video => "MPEG-1 video",
            Self::Mpeg2Video => "MPEG-2 video",
            Self::Mpeg4Video => "MPEG-4 part 2",
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::H266 => "H.266",
            Self::Av1 => "AV1",
            Self::Jpeg2000 => "JPEG 2000",
            Self::JpegXs => "JPEG XS",
            Self::Vc1 => "VC-1",
            Self::MpegAudio => "MPEG audio",
            Self::AacAdts => "AAC (ADTS)",
            Self::AacLatm => "AAC (LATM)",
            Self::AacRaw => "AAC (raw)",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Ac4 => "AC-4",
            Self::Dts => "DTS",
            Self::Opus => "Opus",
            Self::Smpte302m => "PCM (SMPTE 302M)",
            Self::Teletext => "teletext",
            Self::DvbSubtitles => "DVB subtitles",
            Self::Scte35 => "SCTE-35",
            Self::Klv => "KLV metadata",
            Self::Id3 => "timed ID3",
            Self::Sections => "private sections",
            Self::PrivatePes => "private data",
            Self::Other => "unknown",
        }
    }

    /// Pictures, sound, or data.
    pub fn kind(self) -> TrackKind {
        match self {
            Self::Mpeg1Video
            | Self::Mpeg2Video
            | Self::Mpeg4Video
            | Self::H264
            | Self::H265
            | Self::H266
            | Self::Av1
            | Self::Jpeg2000
            | Self::JpegXs
            | Self::Vc1 => TrackKind::Video,
            Self::MpegAudio
            | Self::AacAdts
            | Self::AacLatm
            | Self::AacRaw
            | Self::Ac3
            | Self::Eac3
            | Self::Ac4
            | Self::Dts
            | Self::Opus
            | Self::Smpte302m => TrackKind::Audio,
            _ => TrackKind::Data,
        }
    }

    /// The codec; [`CodecId::Unknown`] for what is not in the table, and for MPEG audio until a
    /// frame told its layer.
    pub fn codec(self) -> CodecId {
        match self {
            Self::H264 => CodecId::H264,
            Self::H265 => CodecId::H265,
            Self::H266 => CodecId::H266,
            Self::Av1 => CodecId::Av1,
            Self::AacAdts | Self::AacLatm | Self::AacRaw => CodecId::Aac,
            Self::Ac3 => CodecId::Ac3,
            Self::Eac3 => CodecId::Eac3,
            Self::Opus => CodecId::Opus,
            _ => CodecId::Unknown,
        }
    }

    /// ISO/IEC 13818-1 table 2-34; the user private range by the registrations in use (ATSC A/52,
    /// SCTE 35, SMPTE RP 227, Blu-ray), 0x06 by its descriptors.
    fn of(stream_type: u8, summary: &Summary) -> Self {
        match stream_type {
            0x01 => Self::Mpeg1Video,
            0x02 => Self::Mpeg2Video,
            0x03 | 0x04 => Self::MpegAudio,
            0x05 => Self::Sections,
            0x06 => Self::of_private_pes(summary),
            0x0A..=0x0D => Self::Sections,
            0x0F => Self::AacAdts,
            0x10 => Self::Mpeg4Video,
            0x11 => Self::AacLatm,
            0x15 if summary.registration == Some(*b"KLVA") => Self::Klv,
            0x15 => Self::Id3,
            0x1B => Self::H264,
            0x1C => Self::AacRaw,
            0x21 => Self::Jpeg2000,
            0x24 => Self::H265,
            0x32 => Self::JpegXs,
            0x33 => Self::H266,
            0x81 => Self::Ac3,
            0x84 | 0x87 => Self::Eac3,
            0x82 | 0x85 | 0x8A => Self::Dts,
            0x86 => Self::Scte35,
            0xEA => Self::Vc1,
            0x80.. => Self::registered(summary).unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }

    fn of_private_pes(summary: &Summary) -> Self {
        match () {
            () if summary.has_teletext => Self::Teletext,
            () if summary.has_subtitles => Self::DvbSubtitles,
            () if summary.has_eac3 => Self::Eac3,
            () if summary.has_ac3 => Self::Ac3,
            () if summary.has_dts => Self::Dts,
            () => match Self::registered(summary) {
                Some(format) => format,
                None if summary.has_aac => Self::AacLatm,
                None => Self::PrivatePes,
            },
        }
    }

    /// By the format identifier of the registration descriptor.
    fn registered(summary: &Summary) -> Option<Self> {
        Some(match &summary.registration? {
            b"HEVC" => Self::H265,
            b"VVC " => Self::H266,
            b"AV01" => Self::Av1,
            b"AC-3" => Self::Ac3,
            b"EAC3" => Self::Eac3,
            b"AC-4" => Self::Ac4,
            b"Opus" => Self::Opus,
            b"BSSD" => Self::Smpte302m,
            b"DTS1" | b"DTS2" | b"DTS3" => Self::Dts,
            b"VC-1" => Self::Vc1,
            b"KLVA" => Self::Klv,
            b"ID3 " => Self::Id3,
            b"CUEI" => Self::Scte35,
            _ => return None,
        })
    }
}

/// Conditional access table: ISO/IEC 13818-1 2.4.4.7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cat {
    /// version_number, 0 to 31.
    pub version: u8,
    /// CA_system_id and the PID of its management messages.
    pub systems: Vec<(u16, Pid)>,
}

/// One service of the service description table: ETSI EN 300 468 5.2.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// service_id; the program_number of the PAT.
    pub service_id: u16,
    /// service_type (table 87): 1 is television, 2 radio; 0 when not said.
    pub service_type: u8,
    /// service_name.
    pub name: String,
    /// service_provider_name.
    pub provider: String,
    /// running_status (table 6): 4 is running, 0 undefined.
    pub running_status: u8,
    /// free_CA_mode: a stream of it may be scrambled.
    pub is_scrambled: bool,
}

/// The rows of one section of a PAT.
pub(super) fn read_pat(section: Section<'_>) -> Option<Vec<PatEntry>> {
    let pat = PatSectionRef::try_from(section.bytes()).ok()?;
    let rows = pat.programs().map_while(Result::ok);
    let entry = |program_number, pid| PatEntry { program_number, pid: Pid::new(pid) };
    Some(rows.map(|row| entry(row.program_number(), row.pid())).collect())
}

/// The program of a PMT section; the second value tells that a loop in it was cut.
pub(super) fn read_pmt(section: Section<'_>, pmt_pid: Pid) -> Option<(Program, bool)> {
    let pmt = PmtSectionRef::try_from(section.bytes()).ok()?;
    let summary = descriptor::read(pmt.program_descriptors());
    let mut is_cut = summary.is_cut;
    let mut program = Program {
        program_number: pmt.program_number(),
        pmt_pid,
        version: pmt.version(),
        pcr_pid: Pid::new(pmt.pcr_pid()),
        has_conditional_access: summary.has_ca,
        descriptors: summary.descriptors,
        streams: Vec::new(),
    };
    for stream in pmt.streams() {
        let Ok(stream) = stream else {
            is_cut = true;
            break;
        };
        let summary = descriptor::read(stream.stream_descriptors());
        is_cut |= summary.is_cut;
        program.has_conditional_access |= summary.has_ca;
        program.streams.push(EsInfo {
            pid: Pid::new(stream.elementary_pid()),
            stream_type: stream.stream_type(),
            format: EsFormat::of(stream.stream_type(), &summary),
            language: summary.language,
            descriptors: summary.descriptors,
            teletext: summary.teletext,
            opus_channel_config: summary.opus_channel_config,
        });
    }
    Some((program, is_cut))
}

/// The systems of one section of a CAT.
pub(super) fn read_cat(section: Section<'_>) -> Option<Vec<(u16, Pid)>> {
    let cat = CatSectionRef::try_from(section.bytes()).ok()?;
    let systems = descriptor::read(cat.descriptors()).ca_systems;
    Some(systems.into_iter().map(|(system, pid)| (system, Pid::new(pid))).collect())
}

/// The services of one section of an SDT.
pub(super) fn read_sdt(section: Section<'_>) -> Option<Vec<Service>> {
    let sdt = SdtSectionRef::try_from(section.bytes()).ok()?;
    let service = |row: libmpegts::psi::SdtServiceRef<'_>| {
        let summary = descriptor::read(row.service_descriptors());
        let (service_type, provider, name) = summary.service.unwrap_or_default();
        Service {
            service_id: row.service_id(),
            service_type,
            name,
            provider,
            running_status: row.running_status(),
            is_scrambled: row.free_ca_mode(),
        }
    };
    Some(sdt.services().map_while(Result::ok).map(service).collect())
}
