//! Descriptors by name: ISO/IEC 13818-1 2.6, ETSI EN 300 468 6.2.

use libmpegts::psi::{
    Desc0ARef, Desc09Ref, Desc48Ref, Desc52Ref, Desc56ItemRef, Desc56Ref, Desc59Ref, DescriptorRef,
    DescriptorsRef,
};
use libmpegts::utils::textcode;

/// One descriptor, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// descriptor_tag.
    pub tag: u8,
    /// Its name without "_descriptor"; "private" where the tag has no public meaning.
    pub name: &'static str,
    /// What it says: languages, pages, identifiers; hexadecimal bytes (the first 16) where the
    /// content is not known here.
    pub detail: String,
}

/// A page of teletext that is announced: ETSI EN 300 468 6.2.43.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TeletextPage {
    /// ISO 639 code, three letters.
    pub language: String,
    /// teletext_type (table 100): 1 the initial page, 2 subtitles, 5 subtitles for the hard of hearing.
    pub teletext_type: u8,
    /// Magazine 1 to 8, then two hexadecimal digits: page 888 is 0x888.
    pub number: u16,
}

impl TeletextPage {
    fn of(item: &Desc56ItemRef<'_>) -> Self {
        // Magazine 8 is written as 0; the page number is in BCD.
        let magazine = u16::from(item.magazine_number() + 7) % 8 + 1;
        Self {
            language: String::from_utf8_lossy(item.lang()).into_owned(),
            teletext_type: item.teletext_type(),
            number: magazine << 8 | u16::from(item.page_number()),
        }
    }
}

/// What the descriptors of one loop say, as far as it is used here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) descriptors: Vec<Descriptor>,
    pub(super) language: String,
    pub(super) registration: Option<[u8; 4]>,
    pub(super) has_ac3: bool,
    pub(super) has_eac3: bool,
    pub(super) has_aac: bool,
    pub(super) has_dts: bool,
    pub(super) has_teletext: bool,
    pub(super) teletext: Vec<TeletextPage>,
    pub(super) has_subtitles: bool,
    pub(super) has_ca: bool,
    /// channel_config_code of the Opus extension descriptor.
    pub(super) opus_channel_config: Option<u8>,
    pub(super) ca_systems: Vec<(u16, u16)>,
    /// service_type, provider and name.
    pub(super) service: Option<(u8, String, String)>,
    /// The loop ended inside of a descriptor.
    pub(super) is_cut: bool,
}

/// Reads a descriptor loop. What is behind a descriptor that is longer than the loop is lost.
pub(super) fn read(descriptors: Option<DescriptorsRef<'_>>) -> Summary {
    let mut summary = Summary::default();
    for descriptor in descriptors.into_iter().flatten() {
        match descriptor {
            Ok(descriptor) => summary.add(descriptor),
            Err(_) => summary.is_cut = true,
        }
    }
    summary
}

impl Summary {
    fn add(&mut self, descriptor: DescriptorRef<'_>) {
        let (tag, data) = (descriptor.tag(), descriptor.data());
        let detail = self.note(descriptor).unwrap_or_else(|| hex(data));
        let name = match (tag, data.first()) {
            (EXTENSION, Some(&EXTENSION_OPUS)) if self.registration == Some(*b"Opus") => "Opus",
            _ => name(tag),
        };
        self.descriptors.push(Descriptor { tag, name, detail });
    }

    /// Takes what is used, and returns the content in words where it is known.
    fn note(&mut self, descriptor: DescriptorRef<'_>) -> Option<String> {
        let data = descriptor.data();
        match descriptor.tag() {
            REGISTRATION => {
                let format = *data.first_chunk::<4>()?;
                self.registration = Some(format);
                Some(String::from_utf8_lossy(&format).into_owned())
            }
            CA => {
                let ca = Desc09Ref::try_from(descriptor).ok()?;
                self.has_ca = true;
                self.ca_systems.push((ca.ca_system_id(), ca.ca_pid()));
                Some(format!("system {:#06x}, PID {}", ca.ca_system_id(), ca.ca_pid()))
            }
            LANGUAGE => {
                let list = Desc0ARef::try_from(descriptor).ok()?;
                Some(self.languages(list.items().map(|item| (item.lang(), String::new()))))
            }
            TELETEXT => {
                self.has_teletext = true;
                let list = Desc56Ref::try_from(descriptor).ok()?;
                self.teletext.extend(list.items().map(|item| TeletextPage::of(&item)));
                Some(self.languages(list.items().map(|item| {
                    (item.lang(), format!(" page {:x}", TeletextPage::of(&item).number))
                })))
            }
            SUBTITLING => {
                self.has_subtitles = true;
                let list = Desc59Ref::try_from(descriptor).ok()?;
                Some(self.languages(list.items().map(|item| {
                    let (kind, page) = (item.subtitling_type(), item.composition_page_id());
                    (item.lang(), format!(" type {kind:#04x}, page {page}"))
                })))
            }
            STREAM_IDENTIFIER => {
                let tag = Desc52Ref::try_from(descriptor).ok()?.component_tag();
                Some(format!("component {tag}"))
            }
            SERVICE => {
                let service = Desc48Ref::try_from(descriptor).ok()?;
                let provider = textcode::decode(service.provider_name());
                let name = textcode::decode(service.service_name());
                let detail = format!("{name} ({provider})");
                self.service = Some((service.service_type(), provider, name));
                Some(detail)
            }
            EXTENSION => {
                if let &[EXTENSION_OPUS, channel_config, ..] = data {
                    self.opus_channel_config = Some(channel_config);
                }
                None
            }
            tag => {
                self.has_ac3 |= matches!(tag, AC3 | ATSC_AC3);
                self.has_eac3 |= matches!(tag, EAC3 | ATSC_EAC3);
                self.has_dts |= tag == DTS;
                self.has_aac |= tag == AAC;
                None
            }
        }
    }

    /// A list in words; the first language becomes the stream's.
    fn languages<'a>(&mut self, items: impl Iterator<Item = (&'a [u8], String)>) -> String {
        let mut words = Vec::new();
        for (code, detail) in items {
            let code = String::from_utf8_lossy(code).into_owned();
            words.push(format!("{code}{detail}"));
            if self.language.is_empty() {
                self.language = code;
            }
        }
        words.join(", ")
    }
}

fn hex(data: &[u8]) -> String {
    let digits: Vec<_> = data.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let rest = if data.len() > 16 { " ..." } else { "" };
    digits.join(" ") + rest
}

/// ISO/IEC 13818-1 table 2-45, ETSI EN 300 468 table 12, ATSC A/52 and A/65, SCTE 35.
fn name(tag: u8) -> &'static str {
    match tag {
        0x02 => "video_stream",
        0x03 => "audio_stream",
        0x04 => "hierarchy",
        REGISTRATION => "registration",
        0x06 => "data_stream_alignment",
        0x08 => "video_window",
        CA => "CA",
        LANGUAGE => "ISO_639_language",
        0x0B => "system_clock",
        0x0C => "multiplex_buffer_utilization",
        0x0D => "copyright",
        0x0E => "maximum_bitrate",
        0x0F => "private_data_indicator",
        0x10 => "smoothing_buffer",
        0x11 => "STD",
        0x1B => "MPEG-4_video",
        0x1C => "MPEG-4_audio",
        0x1D => "IOD",
        0x25 => "metadata_pointer",
        0x26 => "metadata",
        0x28 => "AVC_video",
        0x2A => "AVC_timing_and_HRD",
        0x2B => "MPEG-2_AAC_audio",
        0x38 => "HEVC_video",
        0x39 => "VVC_video",
        0x3F => "MPEG_extension",
        0x40 => "network_name",
        0x41 => "service_list",
        0x45 => "VBI_data",
        0x46 => "VBI_teletext",
        0x47 => "bouquet_name",
        SERVICE => "service",
        0x49 => "country_availability",
        0x4A => "linkage",
        0x4D => "short_event",
        0x50 => "component",
        0x51 => "mosaic",
        STREAM_IDENTIFIER => "stream_identifier",
        0x53 => "CA_identifier",
        0x54 => "content",
        0x55 => "parental_rating",
        TELETEXT => "teletext",
        SUBTITLING => "subtitling",
        0x5D => "multilingual_service_name",
        0x5F => "private_data_specifier",
        0x64 => "data_broadcast",
        0x66 => "data_broadcast_id",
        AC3 => "AC-3",
        0x6B => "ancillary_data",
        0x6F => "application_signalling",
        0x71 => "service_identifier",
        0x73 => "default_authority",
        EAC3 => "enhanced_AC-3",
        DTS => "DTS",
        AAC => "AAC",
        0x7E => "FTA_content_management",
        EXTENSION => "extension",
        ATSC_AC3 => "ATSC_AC-3",
        0x86 => "caption_service",
        0x87 => "content_advisory",
        0x8A => "cue_identifier",
        0xA0 => "extended_channel_name",
        0xA1 => "service_location",
        ATSC_EAC3 => "ATSC_E-AC-3",
        0x00..=0x3F => "reserved",
        _ => "private",
    }
}

const REGISTRATION: u8 = 0x05;
const CA: u8 = 0x09;
const LANGUAGE: u8 = 0x0A;
const SERVICE: u8 = 0x48;
const STREAM_IDENTIFIER: u8 = 0x52;
const TELETEXT: u8 = 0x56;
const SUBTITLING: u8 = 0x59;
const AC3: u8 = 0x6A;
const EAC3: u8 = 0x7A;
const DTS: u8 = 0x7B;
const AAC: u8 = 0x7C;
const EXTENSION: u8 = 0x7F;
const ATSC_AC3: u8 = 0x81;
const ATSC_EAC3: u8 = 0xCC;
/// descriptor_tag_extension of Opus, in the user defined range.
const EXTENSION_OPUS: u8 = 0x80;
