//! FLV bytes into access units.
//!
//! [`parse_tag`] reads one tag body, which is also the body of an RTMP audio, video or data
//! message. [`Demuxer`] cuts a byte stream into tags.
//!
//! Invariants
//! - Payloads are slices of the body; nothing is copied.
//! - A body yields at most 256 units, one per E-RTMP track id.
//! - A body that is not empty yields at least one unit, so its bytes are always forwarded.

mod audio;
mod enhanced;
mod reader;
mod script;
mod stream;
mod video;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::{Error, TagType};
use crate::access_unit::{AccessUnit, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::CodecId;

pub use stream::{Demuxer, Tag};

/// The units of one tag body; one, except in E-RTMP multitrack bodies.
pub type Units = SmallVec<[AccessUnit; 1]>;

/// Reads one FLV tag body, or the body of an RTMP message of type 8, 9 or 18.
///
/// `timestamp_ms` is the tag's time on the stream's timeline, already unwrapped to 64 bits; it
/// becomes the decoding time of every unit. An empty body has no unit. `@setDataFrame` in front of
/// a data message is an instruction to a server, not part of the stream: it is taken off.
///
/// # Errors [`Error::Malformed`] when the body ends inside a field, [`Error::Violation`] when a
/// multitrack body has more tracks than there are track ids.
pub fn parse_tag(tag_type: TagType, timestamp_ms: i64, body: Bytes) -> Result<Units, Error> {
    if body.is_empty() {
        return Ok(Units::new());
    }
    let dts = Timestamp::from_millis(timestamp_ms);
    match tag_type {
        TagType::Audio => audio::parse(dts, body),
        TagType::Video => video::parse(dts, body),
        TagType::Script => script::parse(dts, body),
    }
}

/// One unit that carries its whole tag body.
fn single(track: TrackId, codec: CodecId, dts: Timestamp, body: Bytes, content: Content) -> Units {
    let Content { kind, pts_offset, payload } = content;
    smallvec![AccessUnit {
        track,
        kind,
        codec,
        dts,
        pts_offset,
        payload,
        flv: FlvBody::Verbatim(body),
    }]
}

/// A body that means nothing to us: forwarded whole.
fn opaque(kind: TrackKind, dts: Timestamp, body: Bytes) -> Units {
    let content = Content::new(UnitKind::Opaque, body.clone());
    single(TrackId { kind, index: 0 }, CodecId::Unknown, dts, body, content)
}

/// What one track's share of a body means.
struct Content {
    kind: UnitKind,
    pts_offset: i32,
    payload: Bytes,
}

impl Content {
    fn new(kind: UnitKind, payload: Bytes) -> Self {
        Self { kind, pts_offset: 0, payload }
    }
}

#[cfg(test)]
mod tests;
