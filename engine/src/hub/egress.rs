//! How one kind of viewer is fed: a container and its protocol framing. Viewers are grouped by it, and a
//! unit is muxed once per egress in use on a core, never per viewer.

use corelay_codecs::container::flv::header::TAG_BODY_BYTES_MAX;
use corelay_codecs::container::flv::{self, TagType};
use corelay_codecs::{AccessUnit, ByteSink, Timestamp, TrackFilter, UnitKind};
use corelay_protocols::http::websocket;
use corelay_protocols::rtmp::{MediaKind, MessageStreamId, chunk};

use super::unit::{Prologue, Unit};

/// The framing of an egress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// RTMP messages in chunks of the server's outgoing chunk size, on message stream 1.
    Rtmp,
    /// FLV tags.
    HttpFlv,
    /// One FLV tag per binary WebSocket message.
    WebSocketFlv,
}

impl Form {
    /// The name in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::HttpFlv => "http_flv",
            Self::WebSocketFlv => "ws_flv",
        }
    }
}

/// A form and the tracks it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Egress {
    /// The framing.
    pub form: Form,
    /// The tracks.
    pub tracks: TrackFilter,
}

/// The message stream that all RTMP viewers share; another one is rewritten per viewer.
pub const SHARED_MESSAGE_STREAM: MessageStreamId = MessageStreamId(1);

/// Writes units in the form of an egress. Its output depends on nothing but the units.
#[derive(Clone, Copy, Debug)]
pub struct Muxer {
    /// The form and the tracks.
    pub egress: Egress,
    /// RTMP chunk size towards all viewers, in bytes.
    pub chunk_size: u32,
}

impl Muxer {
    /// True when this egress carries the unit at all.
    pub fn carries(&self, unit: &AccessUnit) -> bool {
        self.egress.tracks.passes(unit.track.kind)
    }

    /// Writes one unit at stream time `at` as one or no whole message. False when it has none: its track
    /// is filtered out, it travels with another unit, or FLV cannot express it.
    pub fn write(&self, unit: &AccessUnit, at: Timestamp, out: &mut impl ByteSink) -> bool {
        if !self.carries(unit) {
            return false;
        }
        let Some(tag) = flv::mux::tag_body(unit) else { return false };
        // Neither framing can say more than 24 bits of length; nothing may be written by halves.
        if tag.len() > TAG_BODY_BYTES_MAX {
            return false;
        }
        // FLV and RTMP times are 32 bits of milliseconds and wrap by definition. Metadata has no time:
        // it stands at 0, because players take later metadata for a data track.
        let time = if unit.kind == UnitKind::Metadata { 0 } else { at.as_millis() as u32 };
        match self.egress.form {
            Form::Rtmp => {
                let kind = media_kind(tag.tag_type);
                let (stream, size) = (SHARED_MESSAGE_STREAM, self.chunk_size);
                chunk::write_media(kind, time, stream, &tag.header, &tag.payload, size, out);
            }
            Form::HttpFlv => {
                flv::mux::write_tag(tag.tag_type, time, &tag.header, &tag.payload, out);
            }
            Form::WebSocketFlv => {
                out.put(&websocket::frame_header(tag.len() + TAG_OVERHEAD_BYTES));
                flv::mux::write_tag(tag.tag_type, time, &tag.header, &tag.payload, out);
            }
        }
        true
    }

    /// Writes what a decoder must know before a frame at `at`, for a viewer that starts there.
    pub fn write_prologue(&self, prologue: &Prologue, at: Timestamp, out: &mut impl ByteSink) {
        let is_metadata = |unit: &Unit| unit.access_unit.kind == UnitKind::Metadata;
        let (metadata, others): (Vec<_>, Vec<_>) =
            prologue.units().iter().partition(|unit| is_metadata(unit));
        for unit in metadata.into_iter().chain(others) {
            self.write(&unit.access_unit, at, out);
        }
    }
}

/// FLV's tag header and the previous-tag-size behind the body (Adobe FLV 10.1, E.4.1).
const TAG_OVERHEAD_BYTES: usize = 11 + 4;

fn media_kind(tag_type: TagType) -> MediaKind {
    match tag_type {
        TagType::Audio => MediaKind::Audio,
        TagType::Video => MediaKind::Video,
        TagType::Script => MediaKind::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use corelay_codecs::{CodecId, FlvBody, TrackFilter, TrackId};

    fn unit(kind: UnitKind, body: Bytes) -> AccessUnit {
        AccessUnit {
            track: TrackId::VIDEO,
            kind,
            codec: CodecId::H264,
            dts: Timestamp(0),
            pts_offset: 0,
            payload: body.clone(),
            flv: FlvBody::Verbatim(body),
        }
    }

    const FORMS: [Form; 3] = [Form::Rtmp, Form::HttpFlv, Form::WebSocketFlv];

    fn written(form: Form, tracks: TrackFilter, unit: &AccessUnit) -> Option<usize> {
        let muxer = Muxer { egress: Egress { form, tracks }, chunk_size: 4_096 };
        let mut out = Vec::new();
        muxer.write(unit, Timestamp::from_millis(5), &mut out).then_some(out.len())
    }

    #[test]
    fn what_no_framing_can_carry_is_left_out_whole() {
        let fits = unit(UnitKind::Opaque, vec![0x27; TAG_BODY_BYTES_MAX].into());
        let is_too_large = unit(UnitKind::Opaque, vec![0x27; TAG_BODY_BYTES_MAX + 1].into());
        let carried_by_another = AccessUnit { flv: FlvBody::Covered, ..fits.clone() };
        for form in FORMS {
            assert!(written(form, TrackFilter::ALL, &fits).unwrap() > TAG_BODY_BYTES_MAX);
            assert_eq!(written(form, TrackFilter::ALL, &is_too_large), None);
            assert_eq!(written(form, TrackFilter::ALL, &carried_by_another), None);
        }
    }

    #[test]
    fn tracks_that_are_not_wanted_are_left_out() {
        let picture = unit(UnitKind::Frame { random_access: true }, Bytes::from_static(b"\x17"));
        for form in FORMS {
            let without = TrackFilter { video: false, audio: true };
            assert_eq!(written(form, without, &picture), None);
            assert!(written(form, TrackFilter { video: true, audio: false }, &picture).is_some());
        }
    }
}
