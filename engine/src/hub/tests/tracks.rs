//! Streams that are not one picture track and one sound track from beginning to end.

use bytes::Bytes;
use corelay_codecs::amf::{self, Value, amf0};
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::{self, Tag};
use corelay_codecs::{TrackKind, UnitKind};

use super::media::*;
use super::rig::*;
use crate::hub::*;

#[test]
fn sound_alone_starts_at_the_newest_frame_and_says_so() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let waiting = rig.play(1, &key, Watch::form(Form::HttpFlv));
    let sent: Vec<_> = (0..100).map(|k| audio(k * 20, k * 20)).collect();
    rig.send(publisher, &[metadata(1), audio_config(0, 2)]);
    rig.send(publisher, &sent[..50]);
    let late = [0, 1].map(|core| rig.play(core, &key, Watch::form(Form::HttpFlv)));
    rig.send(publisher, &sent[50..]);
    assert_eq!(rig.frames(waiting), sent);
    for viewer in late {
        assert_eq!(rig.peers[viewer].started, Some((false, true)));
        assert_eq!(rig.frames(viewer), sent[49..]);
        assert_eq!(rig.tags(viewer)[1], audio_config(980, 2));
    }
}

#[test]
fn pictures_alone_start_at_the_keyframe_and_say_so() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let pictures = |tag: &Tag| tag.tag_type == TagType::Video;
    let sent: Vec<_> = program(0, 2, 2_000).into_iter().filter(pictures).collect();
    rig.send(publisher, &sent);
    let viewer = rig.play(0, &key, Watch::form(Form::HttpFlv));
    assert_eq!(rig.peers[viewer].started, Some((false, true)).map(|(a, v)| (v, a)));
    assert_eq!(rig.frames(viewer), sent[26..]);
}

#[test]
fn a_stream_whose_pictures_stop_can_be_joined_at_its_sound() {
    let mut rig = Rig::with(2, |config| config.applications.default.log_ms_max = 3_000);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &program(0, 1, 1_000));
    let sound = |range: std::ops::Range<u32>| range.map(|k| audio(1_000 + k * 20, k)).collect();
    let sent: Vec<Tag> = sound(0..140);
    rig.send(publisher, &sent);
    let early = rig.play(1, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(early).len(), 50 + 140, "the last picture is not that old");
    let sent: Vec<Tag> = sound(140..200);
    rig.send(publisher, &sent);
    let late = rig.play(1, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(late), sent[59..]);
    rig.send(publisher, &group(6_000, 1_000));
    let joiner = rig.play(1, &key, Watch::form(Form::Rtmp));
    assert!(is_key(&rig.frames(joiner)[0]));
}

#[test]
fn only_the_sound_of_a_stream_starts_at_once_and_has_no_picture() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let sent = program(0, 2, 2_000);
    rig.send(publisher, &sent[..60]);
    for (core, tracks) in [(0, SOUND), (1, SOUND), (1, PICTURES)] {
        let egress = Egress::new(Form::HttpFlv, tracks);
        let viewer = rig.play(core, &key, Watch { egress, ..Watch::form(Form::HttpFlv) });
        let wanted = if tracks.audio { TagType::Audio } else { TagType::Video };
        let got = rig.frames(viewer);
        assert!(!got.is_empty() && got.iter().all(|tag| tag.tag_type == wanted));
        assert_eq!(rig.tags(viewer).iter().filter(|tag| is_config(tag)).count(), 1);
    }
}

#[test]
fn a_stream_that_changes_its_codec_goes_on_and_joiners_get_the_new_configuration() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewer = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 2_000));
    // Enhanced RTMP: the same track goes on in HEVC (hvc1): SequenceStart, then CodedFramesX.
    let hevc_config = tag(TagType::Video, 1_000, b"\x90hvc1configuration".to_vec());
    let hevc_key = tag(TagType::Video, 1_000, b"\x93hvc1picture".to_vec());
    let hevc_inter = tag(TagType::Video, 1_040, b"\xa3hvc1another".to_vec());
    let change = [hevc_config.clone(), hevc_key.clone(), hevc_inter.clone()];
    rig.send(publisher, &change);
    let got = rig.tags(viewer);
    assert_eq!(got[got.len() - 3..], change);
    let joiner = rig.play(0, &key, Watch::form(Form::Rtmp));
    let got = rig.tags(joiner);
    assert_eq!(got[got.len() - 2..], change[1..]);
    assert!(got.contains(&hevc_config) && !got.contains(&video_config(1_000, 1)));
    let tracks = &rig.hubs[0].stream_snapshots(rig.now)[0].tracks;
    assert_eq!(tracks.iter().find(|t| t.kind == "video").unwrap().codec, "HEVC");
}

#[test]
fn several_tracks_in_one_message_reach_joiners_of_every_kind() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let config = many_tracks(0, 0, true, &[(0, 1), (1, 2)]);
    let key_frames = many_tracks(0, 1, true, &[(0, 3), (1, 4)]);
    let inter_frames = many_tracks(40, 1, false, &[(0, 5), (1, 6)]);
    rig.send(publisher, &[config.clone(), key_frames.clone(), inter_frames.clone()]);
    let first = rig.play(0, &key, Watch::form(Form::Rtmp));
    for (core, form) in [(0, Form::HttpFlv), (1, Form::Rtmp)] {
        let joiner = rig.play(core, &key, Watch::form(form));
        assert_eq!(rig.frames(joiner), [key_frames.clone(), inter_frames.clone()]);
        assert!(rig.tags(joiner).contains(&config));
    }
    assert_eq!(rig.frames(first), [key_frames, inter_frames]);
}

#[test]
fn a_track_whose_configuration_came_in_a_message_with_others_keeps_it_when_those_change() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let both = many_tracks(0, 0, true, &[(0, 1), (1, 2)]);
    let first_alone = many_tracks(10, 0, true, &[(0, 9)]);
    let frames = many_tracks(40, 1, true, &[(0, 3), (1, 4)]);
    rig.send(publisher, &[both.clone(), first_alone, frames]);
    let joiner = rig.play(0, &key, Watch::form(Form::Rtmp));
    let units = |tag: Tag| demux::parse_tag(tag.tag_type, 0, tag.body).unwrap();
    let known: Vec<_> = rig.tags(joiner).into_iter().flat_map(units).collect();
    let config_of = |index: u8, units: &[corelay_codecs::AccessUnit]| {
        let of = |unit: &&corelay_codecs::AccessUnit| {
            unit.track.index == index && unit.kind == UnitKind::Config
        };
        units.iter().rfind(of).map(|unit| unit.payload.clone())
    };
    assert!(config_of(1, &known).is_some());
    assert_eq!(config_of(1, &known), config_of(1, &units(both)));
    assert_eq!(config_of(0, &known).unwrap()[..4], 9u32.to_be_bytes());
}

#[test]
fn keyframes_of_a_second_track_are_no_place_to_start() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let second = |ms, is_key| many_tracks(ms, 1, is_key, &[(1, ms)]);
    let sent =
        [video_config(0, 1), key_at(0), inter(40, 40, 200), second(50, true), inter(80, 80, 200)];
    rig.send(publisher, &sent);
    let joiner = rig.play(0, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(joiner), sent[1..]);
}

#[test]
fn tracks_beyond_the_limit_are_left_out() {
    let mut rig = Rig::with(1, |config| config.applications.default.tracks_max = 3);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 1_000));
    for index in 1..200 {
        rig.send(publisher, &[many_tracks(1_000, 0, true, &[(index, 7)])]);
    }
    let got = rig.tags(viewer);
    let configs: Vec<_> = got.iter().filter(|tag| is_config(tag)).collect();
    assert_eq!(configs.len(), 3);
    assert_eq!(configs[2].body, many_tracks(0, 0, true, &[(1, 7)]).body);
    assert_eq!(rig.hubs[0].streams[0].feed.prologue().units().len(), 4);
}

/// Codec parameters: avcC of x264, 320x180; the first frame of libvpx-vp9 at 642x358; AAC of ffmpeg.
pub const AVCC: &[u8] =
    b"\x01\x42\xc0\x0c\xff\xe1\x00\x19\x67\x42\xc0\x0c\xd9\x01\x41\x9f\x9f\x01\x10\
\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x42\xa4\x80\x01\x00\x05\x68\xcb\x83\xcb\x20";
const VP9_KEY: &[u8] = b"\x82\x49\x83\x42\x00\x28\x10\x16\x56\x06\x38\x24\x1c\x18\x4a\x10";

fn with(head: &[u8], rest: &[u8]) -> Vec<u8> {
    [head, rest].concat()
}

fn fields(metadata: &Bytes) -> Vec<(String, Value)> {
    let values = amf0::decode_all(metadata, &amf::Limits::default()).unwrap();
    match values.into_iter().nth(1) {
        Some(Value::EcmaArray(object)) => object.properties,
        other => panic!("{other:?}"),
    }
}

fn number(metadata: &Bytes, name: &str) -> Option<f64> {
    fields(metadata).into_iter().find_map(|(have, value)| match value {
        Value::Number(number) if have == name => Some(number),
        _ => None,
    })
}

#[test]
fn late_joiners_get_metadata_that_follow_what_the_configuration_says() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let aac = tag(TagType::Audio, 0, vec![0xaf, 0, 0x12, 0x10]);
    let avc = tag(TagType::Video, 0, with(&[0x17, 0, 0, 0, 0], AVCC));
    rig.send(publisher, &[aac, avc, key_at(0)]);
    let metadata_for = |rig: &mut Rig, core| {
        let joiner = rig.play(core, &key, Watch::form(Form::Rtmp));
        let got = rig.tags(joiner);
        assert_eq!((got[0].tag_type, got[0].timestamp_ms), (TagType::Script, 0));
        assert_eq!(got.iter().filter(|tag| tag.tag_type == TagType::Script).count(), 1);
        got[0].body.clone()
    };
    let said = metadata_for(&mut rig, 1);
    assert_eq!(number(&said, "width"), Some(320.0));
    assert_eq!(number(&said, "framerate"), Some(25.0));
    assert_eq!(number(&said, "audiosamplerate"), Some(44_100.0));
    // The picture changes its codec and size: nothing of the old one is said any more.
    let vp9 = |ms| tag(TagType::Video, ms, with(b"\x91vp09", VP9_KEY));
    rig.send(publisher, &[vp9(40)]);
    let said = metadata_for(&mut rig, 0);
    assert_eq!((number(&said, "width"), number(&said, "height")), (Some(642.0), Some(358.0)));
    assert_eq!(number(&said, "framerate"), None);
    // What the publisher itself says stands.
    rig.send(publisher, &[metadata(5), vp9(80)]);
    let said = metadata_for(&mut rig, 1);
    assert_eq!((number(&said, "width"), number(&said, "number")), (Some(640.0), Some(5.0)));
    assert_eq!(number(&said, "height"), Some(358.0));
}

#[test]
fn a_picture_size_that_only_frames_tell_is_learned_and_survives_the_next_configuration() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    // vpcC of ffmpeg, which says nothing of the size.
    let config = |ms| {
        let record = b"\x01\x00\x00\x00\x00\x1f\x82\x02\x02\x02\x00\x00";
        tag(TagType::Video, ms, with(b"\x90vp09", record))
    };
    let frame = tag(TagType::Video, 0, with(b"\x91vp09", VP9_KEY));
    rig.send(publisher, &[config(0), frame, config(40)]);
    let track = &rig.hubs[0].stream_snapshots(rig.now)[0].tracks[0];
    assert_eq!((track.width, track.height, track.level.as_str()), (642, 358, "3.1"));
}

#[test]
fn a_stream_in_a_snapshot_has_the_totals_of_its_publisher() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.play(0, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 2, 1_000));
    let stream = &rig.hubs[0].stream_snapshots(rig.now)[0];
    assert_eq!((stream.units, stream.frames, stream.live_ms), (103, 50, 1_970));
    let viewers = &rig.hubs[0].viewer_snapshots()[0];
    assert_eq!(viewers.by_form, [("rtmp", 1)]);
    assert!(viewers.log_bytes > 0 && viewers.log_ms >= 900);
    let kinds: Vec<_> = rig.hubs[0].streams[0].feed.tracks().iter().map(|t| t.kind).collect();
    assert_eq!(kinds, [TrackKind::Video, TrackKind::Audio]);
}

fn key_at(ms: u32) -> Tag {
    key(ms, ms, 1_000)
}
