//! Taking media out of messages: audio, video, data, and aggregates of them.

use bytes::{Bytes, BytesMut};
use corelay_codecs::amf::{Limits, Value, amf0, amf3};

use super::chunk::Message;
use super::command::{from_amf, without_format_byte};
use super::error::Error;
use super::event::{MediaKind, MediaMessage};
use super::message::{Aggregate, type_id};

/// True for the types that [`unpack`] takes.
pub(super) fn carries_media(message: &Message) -> bool {
    matches!(
        message.type_id,
        type_id::AUDIO
            | type_id::VIDEO
            | type_id::DATA_AMF0
            | type_id::DATA_AMF3
            | type_id::AGGREGATE
    )
}

/// Gives each media message in `message` to `each`, and returns how many were left out: those without
/// a body (Flash Media Live Encoder opens its audio with one) and data that are not to be passed on.
///
/// # Errors
/// An aggregate or AMF3 data cannot be parsed, or exceed `limits`; `at` is for the error.
pub(super) fn unpack(
    message: Message,
    limits: &Limits,
    at: u64,
    mut each: impl FnMut(MediaMessage),
) -> Result<u64, Error> {
    if message.type_id != type_id::AGGREGATE {
        let Message { type_id, timestamp_ms, payload, .. } = message;
        let media = single(type_id, timestamp_ms, payload, limits, at)?;
        let left_out = u64::from(media.is_none());
        media.into_iter().for_each(each);
        return Ok(left_out);
    }
    let mut aggregate = Aggregate::new(message.payload, message.timestamp_ms);
    let mut left_out = 0;
    for parts in 0.. {
        let Some(part) = aggregate.next_part(at)? else { break };
        if parts >= AGGREGATE_PARTS_MAX {
            return Err(Error::Unsupported("an aggregate message of more than 4,096 parts"));
        }
        match single(part.type_id, part.timestamp_ms, part.payload, limits, at)? {
            Some(media) => each(media),
            None => left_out += 1,
        }
    }
    Ok(left_out)
}

fn single(
    type_id: u8,
    timestamp_ms: u32,
    payload: Bytes,
    limits: &Limits,
    at: u64,
) -> Result<Option<MediaMessage>, Error> {
    let (kind, payload) = match type_id {
        type_id::AUDIO => (MediaKind::Audio, payload),
        type_id::VIDEO => (MediaKind::Video, payload),
        type_id::DATA_AMF0 => (MediaKind::Data, unwrap_data_frame(payload)),
        type_id::DATA_AMF3 => (MediaKind::Data, unwrap_data_frame(to_amf0(payload, limits, at)?)),
        _ => return Ok(None),
    };
    let media = MediaMessage { kind, timestamp_ms, payload };
    Ok(Some(media).filter(|media| !media.payload.is_empty()))
}

/// Removes the handler name `@setDataFrame`, which tells a Flash server to keep the data for late
/// joiners. Nothing is left of other handlers (`@clearDataFrame`) and of data without a name.
fn unwrap_data_frame(payload: Bytes) -> Bytes {
    let mut rest = &payload[..];
    let Ok(Value::String(name)) = amf0::decode(&mut rest, &NAME_LIMITS) else {
        return Bytes::new();
    };
    match name.as_str() {
        "@setDataFrame" => payload.slice_ref(rest),
        _ if name.starts_with('@') => Bytes::new(),
        _ => payload,
    }
}

/// Turns the body of an AMF3 data message into AMF0, which every player can read. Nearly always that
/// is AMF0 that switches to AMF3 value by value; a body that begins with an AMF3 text is AMF3
/// throughout.
fn to_amf0(payload: Bytes, limits: &Limits, at: u64) -> Result<Bytes, Error> {
    let payload = without_format_byte(payload);
    let values = match payload.first() {
        Some(&AMF3_STRING) => amf3::decode_all(&payload, limits),
        _ => amf0::decode_all(&payload, limits),
    };
    let mut out = BytesMut::with_capacity(2 * payload.len());
    let values = values.map_err(|error| from_amf(error, at))?;
    values.iter().for_each(|value| amf0::encode(value, &mut out));
    Ok(out.freeze())
}

/// The marker that AMF3 begins text with (AMF3 3.1); in AMF0 it is undefined, which is no name.
const AMF3_STRING: u8 = 0x06;

/// A part of 16 bytes becomes an event of some hundred; Flash servers put a second or less into one
/// aggregate.
const AGGREGATE_PARTS_MAX: usize = 4096;

/// Enough for a name, which is all that is decoded of a data message.
const NAME_LIMITS: Limits = Limits { depth_max: 0, values_max: 1, bytes_max: 1 << 16 };

#[cfg(test)]
mod tests {
    use corelay_codecs::amf::Object;

    use super::*;
    use crate::rtmp::event::MessageStreamId;

    fn unpacked(type_id: u8, payload: impl Into<Bytes>) -> Result<(Vec<MediaMessage>, u64), Error> {
        let message = Message {
            chunk_stream_id: 4,
            timestamp_ms: 100,
            type_id,
            message_stream_id: MessageStreamId(1),
            payload: payload.into(),
        };
        assert!(carries_media(&message));
        let mut media = Vec::new();
        let left_out = unpack(message, &Limits::default(), 0, |one| media.push(one))?;
        Ok((media, left_out))
    }

    fn amf0_bytes(values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| amf0::encode(value, &mut bytes));
        bytes
    }

    fn metadata() -> Value {
        Value::EcmaArray(Object::new().with("width", 160.0))
    }

    #[test]
    fn set_data_frame_is_taken_off_without_a_copy() {
        let values = [Value::from("@setDataFrame"), Value::from("onMetaData"), metadata()];
        let payload = Bytes::from(amf0_bytes(&values));
        let (media, left_out) = unpacked(type_id::DATA_AMF0, payload.clone()).unwrap();
        assert_eq!(left_out, 0);
        let own = &media.first().unwrap().payload;
        assert_eq!(own[..], amf0_bytes(&values[1..]));
        assert!(payload.as_ptr_range().contains(&own.as_ptr()));
    }

    #[test]
    fn data_without_a_name_or_for_another_handler_or_empty_are_left_out() {
        for values in [
            vec![],
            vec![metadata()],
            vec![Value::from("@clearDataFrame"), Value::from("onMetaData")],
            vec![Value::from("@setDataFrame")],
        ] {
            let (media, left_out) = unpacked(type_id::DATA_AMF0, amf0_bytes(&values)).unwrap();
            assert_eq!((media, left_out), (vec![], 1), "{values:?}");
        }
        assert_eq!(unpacked(type_id::AUDIO, Bytes::new()).unwrap(), (vec![], 1));
    }

    #[test]
    fn amf3_data_become_amf0_in_each_form_they_have() {
        let plain = amf0_bytes(&[Value::from("onMetaData"), metadata()]);
        let mut with_format_byte = vec![0];
        with_format_byte.extend_from_slice(&plain);

        let mut switching = vec![0];
        amf0::encode_str("onMetaData", &mut switching);
        switching.push(0x11);
        amf3::encode(&metadata(), &mut switching);

        let mut amf3_throughout = Vec::new();
        amf3::encode(&Value::from("onMetaData"), &mut amf3_throughout);
        amf3::encode(&metadata(), &mut amf3_throughout);

        for payload in [plain.clone(), with_format_byte, switching, amf3_throughout] {
            let (media, _) = unpacked(type_id::DATA_AMF3, payload).unwrap();
            assert_eq!(media.first().unwrap().payload, plain);
        }
    }

    #[test]
    fn aggregate_of_too_many_parts_is_refused() {
        let mut part = [0; 16];
        part[0] = type_id::AUDIO;
        part[3] = 1;
        let fits = part.repeat(AGGREGATE_PARTS_MAX);
        assert_eq!(unpacked(type_id::AGGREGATE, fits).unwrap().0.len(), AGGREGATE_PARTS_MAX);
        let result = unpacked(type_id::AGGREGATE, part.repeat(AGGREGATE_PARTS_MAX + 1));
        assert!(matches!(result, Err(Error::Unsupported(_))));
    }

    #[test]
    fn aggregate_inside_an_aggregate_is_left_out() {
        let mut part = [0; 16];
        part[0] = type_id::AGGREGATE;
        part[3] = 1;
        assert_eq!(unpacked(type_id::AGGREGATE, part.to_vec()).unwrap(), (vec![], 1));
    }
}
