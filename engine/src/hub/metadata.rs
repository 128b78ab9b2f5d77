//! `onMetaData` for viewers that join later: what the publisher said, completed by what its media says.

use bytes::Bytes;
use corelay_codecs::amf::{self, Value, amf0};
use corelay_codecs::{AccessUnit, CodecId, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};
use corelay_config::Policy;

use super::feed::Track;

/// A metadata unit with this payload.
pub fn unit(payload: Bytes) -> AccessUnit {
    AccessUnit {
        track: TrackId::DATA,
        kind: UnitKind::Metadata,
        codec: CodecId::Amf0,
        dts: Timestamp::default(),
        pts_offset: 0,
        payload,
        flv: FlvBody::Build,
    }
}

/// The payload of enriched metadata: AMF0 `onMetaData` and an ECMA array. `None` when what the publisher
/// said cannot be read or is larger than the policy allows: then it goes out as it came.
pub fn enrich(said: Option<&[u8]>, tracks: &[Track], policy: &Policy) -> Option<Bytes> {
    let mut fields = match said {
        Some(bytes) if bytes.len() > policy.metadata_bytes_max => return None,
        Some(bytes) => read(bytes)?,
        None => Vec::new(),
    };
    for track in tracks.iter().filter(|track| track.index == 0) {
        add_track(&mut fields, track);
    }
    set(&mut fields, "server", Value::String(SERVER.into()));
    let mut payload = Vec::new();
    amf0::encode(&Value::String("onMetaData".into()), &mut payload);
    amf0::encode(&Value::EcmaArray(amf::Object { class: None, properties: fields }), &mut payload);
    Some(payload.into())
}

fn read(bytes: &[u8]) -> Option<Vec<(String, Value)>> {
    let values = amf0::decode_all(bytes, &amf::Limits::default()).ok()?;
    values.into_iter().find_map(|value| match value {
        Value::Object(object) | Value::EcmaArray(object) => Some(object.properties),
        _ => None,
    })
}

fn add_track(fields: &mut Vec<(String, Value)>, track: &Track) {
    let info = &track.info;
    let row = info.codec.row();
    let mut number = |name: &str, value: f64| {
        if value > 0.0 {
            set(fields, name, Value::Number(value));
        }
    };
    match track.kind {
        TrackKind::Video => {
            number("width", f64::from(info.width));
            number("height", f64::from(info.height));
            number("framerate", info.frame_rate);
            number("videocodecid", codec_number(row));
        }
        TrackKind::Audio => {
            number("audiosamplerate", f64::from(info.sample_rate_hz));
            number("audiochannels", f64::from(info.channels));
            number("audiocodecid", codec_number(row));
        }
        TrackKind::Data => {}
    }
}

/// FLV's number of a codec: the legacy id, or the FourCC as a number (Enhanced RTMP v2, "Metadata").
fn codec_number(row: &corelay_codecs::codec::CodecRow) -> f64 {
    match (row.flv_ids.first(), row.fourcc) {
        (Some(id), _) => f64::from(*id),
        (None, Some(fourcc)) => f64::from(u32::from_be_bytes(fourcc)),
        (None, None) => 0.0,
    }
}

/// Adds a field that the publisher did not give.
fn set(fields: &mut Vec<(String, Value)>, name: &str, value: Value) {
    if fields.iter().all(|(have, _)| have != name) {
        fields.push((name.to_owned(), value));
    }
}

const SERVER: &str = concat!("corelay/", env!("CARGO_PKG_VERSION"));
