//! Video tag bodies: legacy (Annex E.4.3) and Enhanced RTMP.

use bytes::Bytes;

use super::enhanced::{self, Part};
use super::reader::Reader;
use super::{Content, Error, Units, opaque, single};
use crate::access_unit::{Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::CodecId;
use crate::container::flv::header::{
    EX_VIDEO_HEADER, avc_packet_type, frame_type, packet_type as packet,
};

/// Reads a video tag body that is not empty.
pub(super) fn parse(dts: Timestamp, body: Bytes) -> Result<Units, Error> {
    let first = body.first().copied().unwrap_or_default();
    if first & EX_VIDEO_HEADER != 0 {
        return parse_enhanced(dts, body, first >> 4 & 0x07);
    }
    let frame_type = first >> 4;
    let codec = CodecId::from_flv_video_id(first & 0x0F).unwrap_or_default();
    if frame_type == frame_type::COMMAND || codec == CodecId::Unknown {
        return Ok(opaque(TrackKind::Video, dts, body));
    }
    let content = match codec {
        CodecId::H264 | CodecId::H265 => nal_content(frame_type, &body)?,
        _ => Content::new(frame(frame_type), body.slice(1..)),
    };
    Ok(single(TrackId::VIDEO, codec, dts, body, content))
}

/// The layout that AVC brought: packet type, composition time, data.
fn nal_content(frame_type: u8, body: &Bytes) -> Result<Content, Error> {
    let mut reader = Reader::new(body, 1);
    let packet_type = reader.u8("AVCPacketType")?;
    if packet_type == avc_packet_type::END_OF_SEQUENCE {
        // Some encoders leave the composition time of an end of sequence out.
        return Ok(Content::new(UnitKind::EndOfSequence, Bytes::new()));
    }
    let composition_time_ms = reader.i24("CompositionTime")?;
    Ok(match packet_type {
        avc_packet_type::SEQUENCE_HEADER => Content::new(UnitKind::Config, reader.rest()),
        avc_packet_type::NALU => coded_frames(frame_type, composition_time_ms, reader.rest()),
        _ => Content::new(UnitKind::Opaque, body.clone()),
    })
}

fn parse_enhanced(dts: Timestamp, body: Bytes, frame_type: u8) -> Result<Units, Error> {
    let head = enhanced::read_head(&body)?;
    if frame_type == frame_type::COMMAND && head.packet_type != packet::TRACK_METADATA {
        return Ok(opaque(TrackKind::Video, dts, body));
    }
    let packet = head.read_packet(TrackKind::Video)?;
    enhanced::units(TrackKind::Video, dts, body, packet, |packet_type, part| {
        enhanced_content(frame_type, packet_type, part)
    })
}

fn enhanced_content(frame_type: u8, packet_type: u8, part: &Part) -> Result<Content, Error> {
    let data = part.data.clone();
    Ok(match (packet_type, part.codec) {
        (packet::TRACK_METADATA, _) => Content::new(UnitKind::TrackMetadata, data),
        (_, CodecId::Unknown) => Content::new(UnitKind::Opaque, data),
        (packet::SEQUENCE_START, _) => Content::new(UnitKind::Config, data),
        (packet::SEQUENCE_END, _) => Content::new(UnitKind::EndOfSequence, data),
        (packet::CODED_FRAMES, CodecId::H264 | CodecId::H265 | CodecId::H266) => {
            let mut reader = Reader::new(&part.data, 0);
            let composition_time_ms = reader.i24("compositionTimeOffset")?;
            coded_frames(frame_type, composition_time_ms, reader.rest())
        }
        (packet::CODED_FRAMES | packet::VIDEO_CODED_FRAMES_X, _) => {
            Content::new(frame(frame_type), data)
        }
        (packet::VIDEO_MPEG2TS_SEQUENCE_START, CodecId::Av1) => av1_descriptor(data),
        _ => Content::new(UnitKind::Opaque, data),
    })
}

/// The AV1 video descriptor of MPEG-2 TS (tag 0x80, length, then the fields of av1C) as the
/// configuration record that it contains.
fn av1_descriptor(data: Bytes) -> Content {
    match data.first_chunk::<2>() {
        Some(&[0x80, size]) if size >= 4 && data.len() >= 2 + usize::from(size) => {
            Content::new(UnitKind::Config, data.slice(2..2 + usize::from(size)))
        }
        _ => Content::new(UnitKind::Opaque, data),
    }
}

fn coded_frames(frame_type: u8, composition_time_ms: i32, payload: Bytes) -> Content {
    // 24 bits of milliseconds: the product fits 32 bits.
    let pts_offset = composition_time_ms * Timestamp::TICKS_PER_MS as i32;
    Content { kind: frame(frame_type), pts_offset, payload }
}

fn frame(frame_type: u8) -> UnitKind {
    let random_access = matches!(frame_type, frame_type::KEY | frame_type::GENERATED_KEY);
    UnitKind::Frame { random_access }
}
