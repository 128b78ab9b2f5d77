//! One FLV tag body: the first byte chooses the tag type, the rest is the body.

use bytes::Bytes;
use corelay_codecs::codec::track_info;
use corelay_codecs::container::flv::{TagType, demux, mux};
use corelay_codecs::{AccessUnit, CodecId, FlvBody, UnitKind};

/// Whatever is accepted has units whose bytes go out again unchanged, and whose rebuilt bodies mean
/// the same.
pub fn run(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let tag_type = [TagType::Audio, TagType::Video, TagType::Script][usize::from(choice % 3)];
    let body = Bytes::copy_from_slice(body);
    let Ok(units) = demux::parse_tag(tag_type, 1_000, body.clone()) else {
        return;
    };
    assert_eq!(units.is_empty(), body.is_empty(), "a body has a unit");
    for (index, unit) in units.iter().enumerate() {
        match &unit.flv {
            FlvBody::Verbatim(bytes) if index == 0 => assert!(body.ends_with(bytes)),
            FlvBody::Covered if index > 0 => assert_eq!(mux::tag_body(unit), None),
            other => panic!("unit {index} has {other:?}"),
        }
        if let Some(info) = track_info(unit) {
            assert_eq!(info.codec, unit.codec);
        }
        check_rebuilt(unit);
    }
}

fn check_rebuilt(unit: &AccessUnit) {
    let Some(body) = mux::build_body(unit).filter(|body| !body.is_empty()) else {
        return;
    };
    let bytes = Bytes::from([&body.header[..], &body.payload].concat());
    let units = demux::parse_tag(body.tag_type, 1_000, bytes).expect("our own bytes");
    let [back] = &units[..] else {
        panic!("{} units from one", units.len());
    };
    assert_eq!((back.track, back.codec, back.kind), (unit.track, unit.codec, unit.kind));
    if unit.kind != UnitKind::EndOfSequence {
        assert_eq!(back.payload, unit.payload);
    }
    if matches!(unit.codec, CodecId::H264 | CodecId::H265 | CodecId::H266) {
        // A composition time at its limit cannot take a packet modifier's 16 ms as well.
        let lost_ms = unit.pts().as_millis() - back.pts().as_millis();
        assert!((0..=16).contains(&lost_ms), "{lost_ms} ms are lost");
    }
}
