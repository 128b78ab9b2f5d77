//! Audio tag bodies: legacy (Annex E.4.2) and Enhanced RTMP.

use bytes::Bytes;

use super::enhanced::{self, Part};
use super::reader::Reader;
use super::{Content, Error, Units, opaque, single};
use crate::access_unit::{Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::CodecId;
use crate::container::flv::header::{
    SOUND_FORMAT_EX_HEADER, aac_packet_type, packet_type as packet,
};

/// Every audio frame can be decoded by itself.
const FRAME: UnitKind = UnitKind::Frame { random_access: true };

/// Reads an audio tag body that is not empty.
pub(super) fn parse(dts: Timestamp, body: Bytes) -> Result<Units, Error> {
    let sound_format = body.first().copied().unwrap_or_default() >> 4;
    if sound_format == SOUND_FORMAT_EX_HEADER {
        return parse_enhanced(dts, body);
    }
    let codec = CodecId::from_flv_audio_id(sound_format).unwrap_or_default();
    let content = match codec {
        CodecId::Unknown => return Ok(opaque(TrackKind::Audio, dts, body)),
        CodecId::Aac => aac_content(&body)?,
        _ => Content::new(FRAME, body.slice(1..)),
    };
    Ok(single(TrackId::AUDIO, codec, dts, body, content))
}

fn aac_content(body: &Bytes) -> Result<Content, Error> {
    let mut reader = Reader::new(body, 1);
    Ok(match reader.u8("AACPacketType")? {
        aac_packet_type::SEQUENCE_HEADER => Content::new(UnitKind::Config, reader.rest()),
        aac_packet_type::RAW => Content::new(FRAME, reader.rest()),
        _ => Content::new(UnitKind::Opaque, body.clone()),
    })
}

fn parse_enhanced(dts: Timestamp, body: Bytes) -> Result<Units, Error> {
    let packet = enhanced::read_head(&body)?.read_packet(TrackKind::Audio)?;
    enhanced::units(TrackKind::Audio, dts, body, packet, |packet_type, part| {
        Ok(enhanced_content(packet_type, part))
    })
}

fn enhanced_content(packet_type: u8, part: &Part) -> Content {
    let kind = match (packet_type, part.codec) {
        (packet::TRACK_METADATA, _) => UnitKind::TrackMetadata,
        (_, CodecId::Unknown) => UnitKind::Opaque,
        (packet::SEQUENCE_START, _) => UnitKind::Config,
        (packet::CODED_FRAMES, _) => FRAME,
        (packet::SEQUENCE_END, _) => UnitKind::EndOfSequence,
        _ => UnitKind::Opaque,
    };
    Content::new(kind, part.data.clone())
}
