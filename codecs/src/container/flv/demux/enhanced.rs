//! What Enhanced RTMP puts in front of audio and video alike: packet modifiers, the FourCC and the
//! multitrack framing (E-RTMP v2, ExAudioTagHeader and ExVideoTagHeader).
//!
//! ```text
//! single:      | .. packet type | ModEx* | FourCC | data |
//! OneTrack:    | .. Multitrack  | ModEx* | 0, packet type | FourCC | track id | data |
//! ManyTracks:  | .. Multitrack  | ModEx* | 1, packet type | FourCC | (track id | size | data)* |
//! .. ManyCodecs: .. Multitrack  | ModEx* | 2, packet type | (FourCC | track id | size | data)* |
//! ```

use bytes::Bytes;
use smallvec::SmallVec;

use super::reader::Reader;
use super::{Content, Error, Units};
use crate::access_unit::{AccessUnit, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::CodecId;
use crate::container::flv::header::{mod_ex_type, multitrack_type, packet_type};

/// The E-RTMP frame of one body, taken off.
pub(super) struct Packet {
    /// What every track of the body carries.
    pub(super) packet_type: u8,
    /// To add to the presentation time, in ns (ModEx TimestampOffsetNano).
    pub(super) pts_offset_ns: u32,
    /// One part per track, in wire order; empty when the framing is not one that we know.
    pub(super) parts: SmallVec<[Part; 1]>,
}

/// One track's share of a body.
pub(super) struct Part {
    pub(super) index: u8,
    /// `Unknown` when the FourCC is not in the codec table or belongs to another kind of track.
    pub(super) codec: CodecId,
    pub(super) data: Bytes,
}

/// The packet type behind all modifiers, their effect, and a reader that stands behind them.
pub(super) struct Head<'a> {
    pub(super) packet_type: u8,
    pub(super) pts_offset_ns: u32,
    reader: Reader<'a>,
}

/// Reads the packet type and all packet modifiers.
pub(super) fn read_head(body: &Bytes) -> Result<Head<'_>, Error> {
    let mut reader = Reader::new(body, 0);
    let mut packet_type = reader.u8("packet type")? & 0x0F;
    let mut pts_offset_ns = 0;
    while packet_type == packet_type::MOD_EX {
        let size = match reader.u8("modExDataSize")? {
            0xFF => usize::from(reader.u16("modExDataSize16")?) + 1,
            size => usize::from(size) + 1,
        };
        let data = reader.take(size, "modExData")?;
        let types = reader.u8("packet type after ModEx")?;
        packet_type = types & 0x0F;
        if let (mod_ex_type::TIMESTAMP_OFFSET_NANO, Some(&[a, b, c])) =
            (types >> 4, data.first_chunk::<3>())
        {
            pts_offset_ns = u32::from_be_bytes([0, a, b, c]);
        }
    }
    Ok(Head { packet_type, pts_offset_ns, reader })
}

impl Head<'_> {
    /// Takes the rest of the framing off.
    ///
    /// # Errors
    /// When the body ends inside the framing or has more tracks than there are track ids.
    pub(super) fn read_packet(mut self, kind: TrackKind) -> Result<Packet, Error> {
        let multitrack = match kind {
            TrackKind::Audio => packet_type::AUDIO_MULTITRACK,
            _ => packet_type::VIDEO_MULTITRACK,
        };
        let (packet_type, parts) = if self.packet_type == multitrack {
            read_tracks(kind, multitrack, &mut self.reader)?
        } else {
            let codec = read_codec(kind, &mut self.reader)?;
            let part = Part { index: 0, codec, data: self.reader.rest() };
            (self.packet_type, SmallVec::from_buf([part]))
        };
        Ok(Packet { packet_type, pts_offset_ns: self.pts_offset_ns, parts })
    }
}

fn read_tracks(
    kind: TrackKind,
    multitrack: u8,
    reader: &mut Reader<'_>,
) -> Result<(u8, SmallVec<[Part; 1]>), Error> {
    let types = reader.u8("multitrack type")?;
    let (multitrack_type, packet_type) = (types >> 4, types & 0x0F);
    let mut parts = SmallVec::new();
    if packet_type == multitrack || packet_type == packet_type::MOD_EX {
        return Ok((packet_type, parts));
    }
    let mut codec = match multitrack_type {
        multitrack_type::ONE_TRACK | multitrack_type::MANY_TRACKS => read_codec(kind, reader)?,
        multitrack_type::MANY_TRACKS_MANY_CODECS => CodecId::Unknown,
        _ => return Ok((packet_type, parts)),
    };
    if multitrack_type == multitrack_type::ONE_TRACK {
        let index = reader.u8("trackId")?;
        parts.push(Part { index, codec, data: reader.rest() });
        return Ok((packet_type, parts));
    }
    while !reader.is_empty() {
        if parts.len() == TRACKS_MAX {
            return Err(Error::Violation("more tracks in a multitrack body than track ids"));
        }
        if multitrack_type == multitrack_type::MANY_TRACKS_MANY_CODECS {
            codec = read_codec(kind, reader)?;
        }
        let index = reader.u8("trackId")?;
        let size = reader.u24("sizeOfTrack")? as usize;
        parts.push(Part { index, codec, data: reader.take(size, "track data")? });
    }
    Ok((packet_type, parts))
}

fn read_codec(kind: TrackKind, reader: &mut Reader<'_>) -> Result<CodecId, Error> {
    let fourcc = reader.fourcc("FourCC")?;
    Ok(CodecId::from_fourcc(fourcc).filter(|id| id.kind() == kind).unwrap_or_default())
}

/// The units of a packet: `content_of` says what each part means. The first unit carries the body.
pub(super) fn units(
    kind: TrackKind,
    dts: Timestamp,
    body: Bytes,
    packet: Packet,
    content_of: impl Fn(u8, &Part) -> Result<Content, Error>,
) -> Result<Units, Error> {
    let pts_offset = ticks_of_ns(packet.pts_offset_ns);
    let mut units = Units::with_capacity(packet.parts.len());
    for part in packet.parts {
        let content = content_of(packet.packet_type, &part)?;
        let pts_offset = match content.kind {
            UnitKind::Frame { .. } => content.pts_offset.saturating_add(pts_offset),
            _ => 0,
        };
        units.push(AccessUnit {
            track: TrackId { kind, index: part.index },
            kind: content.kind,
            codec: part.codec,
            dts,
            pts_offset,
            payload: content.payload,
            flv: FlvBody::Covered,
        });
    }
    match units.first_mut() {
        Some(first) => first.flv = FlvBody::Verbatim(body),
        None => return Ok(super::opaque(kind, dts, body)),
    }
    Ok(units)
}

/// Nanoseconds in 90 kHz ticks, rounded down; at most 2^24 ns, so it fits.
fn ticks_of_ns(ns: u32) -> i32 {
    (u64::from(ns) * 9 / 100_000) as i32
}

/// A track id is one byte. Without this bound, tracks of size 0 would make a unit per 4 bytes of
/// input.
const TRACKS_MAX: usize = 256;
