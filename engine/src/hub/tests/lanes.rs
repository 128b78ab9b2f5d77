//! Lanes between cores that are full.

use corelay_codecs::container::flv::demux;

use super::media::*;
use super::rig::*;
use crate::hub::*;

fn small(media_slots: usize) -> Rig {
    Rig::with(2, |config| {
        config.cores.ring_media_slots = media_slots;
        config.applications.default.publisher_grace_ms = 0;
    })
}

/// Lets the publisher's core work alone while it sends.
fn send_alone(rig: &mut Rig, core: usize, publisher: usize, tags: &[demux::Tag]) {
    for tag in tags {
        rig.push(publisher, tag);
        rig.turn(core);
    }
}

#[test]
fn a_core_that_falls_behind_goes_on_at_an_entry_point_and_the_loss_is_counted() {
    let mut rig = small(64);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let far = rig.play(1, &key, Watch::form(Form::Rtmp));
    let near = rig.play(0, &key, Watch::form(Form::Rtmp));
    let sent = program(0, 5, 1_000);
    rig.send(publisher, &sent[..13]);
    send_alone(&mut rig, 0, publisher, &sent[13..113]);
    rig.settle();
    rig.send(publisher, &sent[113..]);
    let got = rig.frames(far);
    assert_eq!(got[..74], sent[3..77], "what fits the lane");
    assert_eq!(got[74..], sent[153..], "the next group");
    assert_eq!(rig.stats[0].ring_drops.load(), 76);
    assert_eq!(rig.frames(near), sent[3..]);
}

#[test]
fn a_configuration_that_is_lost_between_cores_comes_before_the_entry_point() {
    let mut rig = small(64);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let far = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 1_000));
    send_alone(&mut rig, 0, publisher, &group(1_000, 1_000));
    send_alone(&mut rig, 0, publisher, &group(2_000, 1_000));
    send_alone(&mut rig, 0, publisher, &[video_config(3_000, 44)]);
    rig.settle();
    let joins_in_between = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &group(3_000, 1_000));
    let joins_later = rig.play(1, &key, Watch::form(Form::Rtmp));
    for viewer in [far, joins_in_between, joins_later] {
        let got = rig.tags(viewer);
        let new = got.iter().rposition(|tag| tag.body == video_config(0, 44).body).unwrap();
        let key = got.iter().position(|tag| *tag == key_at(3_000)).unwrap();
        assert!(new < key);
        let between = &got[new..key];
        assert!(!between.iter().any(is_frame), "old frames behind the new configuration");
    }
}

#[test]
fn a_viewer_elsewhere_hears_of_the_end_although_the_lane_is_full() {
    let mut rig = small(16);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let far = rig.play(1, &key, Watch::form(Form::Rtmp));
    let sent = program(0, 1, 1_000);
    send_alone(&mut rig, 0, publisher, &sent);
    let (id, now) = (rig.peers[publisher].publisher.take().unwrap(), rig.now);
    rig.hubs[0].unpublish(id, now);
    rig.settle();
    assert_eq!(rig.peers[far].play_ended, None);
    rig.pass(200);
    assert_eq!(rig.peers[far].play_ended, Some(EndReason::PublisherLeft));
    assert!(rig.frames(far).len() >= 10, "it got what was on its way");
    rig.pass(20_000);
    rig.assert_empty();
}

#[test]
fn a_publisher_that_returns_before_the_end_was_told_keeps_its_viewers() {
    let mut rig = small(16);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let far = rig.play(1, &key, Watch::form(Form::Rtmp));
    send_alone(&mut rig, 0, publisher, &program(0, 1, 1_000));
    let (id, now) = (rig.peers[publisher].publisher.take().unwrap(), rig.now);
    rig.hubs[0].unpublish(id, now);
    rig.publish_as(publisher, &key);
    rig.pass(1_000);
    assert_eq!(rig.peers[far].play_ended, None);
    rig.send(publisher, &program(5_000, 1, 2_000));
    let frames = rig.frames(far);
    assert!(is_key(&frames[frames.len() - 50]));
    assert_eq!(frames[frames.len() - 1].body, group(5_000, 2_000)[49].body);
}

#[test]
fn a_publisher_that_overtakes_the_end_of_the_one_before_is_waited_for() {
    let mut rig = small(64);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let far = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 1_000));
    // The end goes by one lane and the beginning by the other, which is read first.
    let (id, now) = (rig.peers[publisher].publisher.take().unwrap(), rig.now);
    rig.hubs[0].unpublish(id, now);
    rig.publish_as(publisher, &key);
    assert_eq!(rig.peers[far].play_ended, Some(EndReason::PublisherLeft));
    rig.send(publisher, &[metadata(1)]);
    let watch = Watch { wait_ms: 300, ..Watch::form(Form::Rtmp) };
    let patient = rig.play(1, &key, watch);
    rig.pass(1_000);
    assert_eq!(rig.peers[patient].play_ended, None);
    rig.send(publisher, &program(5_000, 1, 2_000));
    assert_eq!(rig.frames(patient).len(), 50);
}

#[test]
fn a_publisher_whose_owner_is_behind_goes_on_with_a_keyframe_and_what_it_said_before() {
    let mut rig = small(64);
    let key = rig.key(1);
    let publisher = rig.publish(0, &key);
    let viewers = [0, 1].map(|core| rig.play(core, &key, Watch::form(Form::Rtmp)));
    rig.send(publisher, &program(0, 1, 1_000));
    let lost: Vec<_> = group(1_000, 1_000).into_iter().chain(group(2_000, 1_000)).collect();
    send_alone(&mut rig, 0, publisher, &lost);
    // Said into the full lane: metadata and a configuration do not end the wait for a keyframe.
    send_alone(&mut rig, 0, publisher, &[metadata(8), video_config(2_990, 55)]);
    rig.settle();
    rig.send(publisher, &[metadata(9), inter(2_995, 2_995, 400)]);
    rig.send(publisher, &group(3_000, 1_000));
    for viewer in viewers {
        let got = rig.tags(viewer);
        assert!(!got.contains(&inter(2_995, 2_995, 400)));
        let new = got.iter().position(|tag| tag.body == video_config(0, 55).body).unwrap();
        assert!(new < got.iter().position(|tag| *tag == key_at(3_000)).unwrap());
        assert_eq!(rig.frames(viewer).len(), 50 + 64 + 50);
        assert!(got.contains(&metadata(9)) && !got.contains(&metadata(8)));
    }
    assert_eq!(rig.stats[0].ring_drops.load(), 36 + 2 + 2);
}

#[test]
fn a_stream_of_sound_alone_goes_on_after_a_full_lane() {
    for owner in [0, 1] {
        let mut rig = small(16);
        let key = rig.key(owner);
        let publisher = rig.publish(0, &key);
        let far = rig.play(1, &key, Watch::form(Form::Rtmp));
        rig.send(publisher, &[audio_config(0, 1), audio(0, 0)]);
        let sent: Vec<_> = (1..40).map(|k| audio(k * 20, k * 20)).collect();
        send_alone(&mut rig, 0, publisher, &sent);
        rig.settle();
        rig.send(publisher, &[audio(800, 800), audio(820, 820)]);
        let got = rig.frames(far);
        assert_eq!(got.len(), 1 + 16 + 2);
        assert_eq!(got[17..], [audio(800, 800), audio(820, 820)]);
    }
}

#[test]
fn a_snapshot_that_comes_late_on_a_full_control_lane_leaves_no_gap() {
    let mut rig = Rig::with(2, |config| config.cores.ring_control_slots = 2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let sent: Vec<_> = (0..3).flat_map(|n| group(n * 1_000, 1_000)).collect();
    rig.send(publisher, &program(0, 0, 0));
    rig.send(publisher, &sent[..20]);
    let viewer = rig.connect(1, Watch::form(Form::Rtmp));
    let names = (0..).map(|n| StreamKey::new("live", &format!("other{n}")));
    for name in names.filter(|name| name.owner(2).index() == 0).take(2) {
        let other = rig.connect(1, Watch::form(Form::Rtmp));
        rig.play_without_turn(other, &name);
    }
    rig.play_without_turn(viewer, &key);
    // The answers to the first two fill the lane; the third waits on the owner's side.
    rig.turn(0);
    rig.hubs[1].ring_bells();
    rig.turn(0);
    assert_eq!(rig.stats[0].control_delayed.load(), 1);
    // Units overtake it: first those of a stream that is not known yet, then those behind a gap.
    sent[20..25].iter().for_each(|tag| rig.push(publisher, tag));
    rig.turn(1);
    rig.turn(0);
    sent[25..30].iter().for_each(|tag| rig.push(publisher, tag));
    rig.turn(1);
    sent[30..32].iter().for_each(|tag| rig.push(publisher, tag));
    rig.settle();
    rig.send(publisher, &sent[32..]);
    assert_eq!(rig.frames(viewer), sent, "every frame once, in order");
}

fn key_at(ms: u32) -> demux::Tag {
    key(ms, ms, 1_000)
}
