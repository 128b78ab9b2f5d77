//! FLV tags as publishers send them. The payloads mean nothing to a decoder; each is unlike all others.

use bytes::Bytes;
use corelay_codecs::amf::{Object, Value, amf0};
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::Tag;

pub fn tag(tag_type: TagType, timestamp_ms: u32, body: Vec<u8>) -> Tag {
    Tag { tag_type, timestamp_ms, body: Bytes::from(body) }
}

/// A body of `bytes` bytes: `head`, then the number, then filling made of it.
fn body(head: &[u8], number: u32, bytes: usize) -> Vec<u8> {
    let mut body = head.to_vec();
    body.extend_from_slice(&number.to_be_bytes());
    let filling = number.wrapping_mul(0x9e37_79b9).to_le_bytes();
    body.extend(filling.iter().cycle().take(bytes.saturating_sub(body.len())));
    body
}

pub fn metadata(number: u32) -> Tag {
    let mut bytes = Vec::new();
    amf0::encode(&Value::from("onMetaData"), &mut bytes);
    let fields = Object::new().with("width", 640.0).with("number", f64::from(number));
    amf0::encode(&Value::EcmaArray(fields), &mut bytes);
    tag(TagType::Script, 0, bytes)
}

pub fn video_config(ms: u32, number: u32) -> Tag {
    tag(TagType::Video, ms, body(&[0x17, 0, 0, 0, 0], number, 40))
}

pub fn key(ms: u32, number: u32, bytes: usize) -> Tag {
    tag(TagType::Video, ms, body(&[0x17, 1, 0, 0, 0], number, bytes))
}

pub fn inter(ms: u32, number: u32, bytes: usize) -> Tag {
    tag(TagType::Video, ms, body(&[0x27, 1, 0, 0, 0], number, bytes))
}

pub fn audio_config(ms: u32, number: u32) -> Tag {
    tag(TagType::Audio, ms, body(&[0xaf, 0], number, 8))
}

pub fn audio(ms: u32, number: u32) -> Tag {
    tag(TagType::Audio, ms, body(&[0xaf, 1], number, 200))
}

/// Enhanced RTMP, several tracks of H.264 in one message (ManyTracks): each a number and a key or not.
pub fn many_tracks(ms: u32, packet_type: u8, is_key: bool, tracks: &[(u8, u32)]) -> Tag {
    let frame_type = if is_key { 1 } else { 2 };
    let mut bytes = vec![0x80 | frame_type << 4 | 6, 0x10 | packet_type];
    bytes.extend_from_slice(b"avc1");
    for (index, number) in tracks {
        let composition: &[u8] = if packet_type == 1 { &[0, 0, 0] } else { &[] };
        let data = body(composition, *number, 30);
        bytes.push(*index);
        bytes.extend_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&data);
    }
    tag(TagType::Video, ms, bytes)
}

pub fn is_config(tag: &Tag) -> bool {
    match (tag.tag_type, &tag.body[..]) {
        (TagType::Video, [0x17, 0, ..]) | (TagType::Audio, [0xaf, 0, ..]) => true,
        (TagType::Video, [first, second, ..]) => first & 0x8f == 0x86 && second & 0x0f == 0,
        _ => false,
    }
}

pub fn is_key(tag: &Tag) -> bool {
    tag.tag_type == TagType::Video && matches!(tag.body[..], [0x17, 1, ..])
}

pub fn is_frame(tag: &Tag) -> bool {
    tag.tag_type != TagType::Script && !is_config(tag)
}

/// A publisher's whole output: metadata, configurations, then `gops` groups of one second: a keyframe of
/// `key_bytes` and 24 other pictures of a tenth of that, with a sound frame after each.
pub fn program(first_ms: u32, gops: u32, key_bytes: usize) -> Vec<Tag> {
    let mut tags = vec![metadata(first_ms), video_config(first_ms, 1), audio_config(first_ms, 2)];
    tags.extend((0..gops).flat_map(|gop| group(first_ms + gop * 1_000, key_bytes)));
    tags
}

/// One group of pictures: one second.
pub fn group(first_ms: u32, key_bytes: usize) -> Vec<Tag> {
    let frame = |k: u32| {
        let ms = first_ms + k * 40;
        let picture = match k {
            0 => key(ms, ms, key_bytes),
            _ => inter(ms, ms, key_bytes / 10),
        };
        [picture, audio(ms + 10, ms + 10)]
    };
    (0..25).flat_map(frame).collect()
}
