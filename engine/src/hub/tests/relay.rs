//! What goes in comes out: on every core, in every form, byte for byte.

use corelay_codecs::container::flv::TagType;

use super::media::*;
use super::rig::*;
use crate::hub::*;

const FORMS: [Form; 3] = [Form::Rtmp, Form::HttpFlv, Form::WebSocketFlv];

#[test]
fn viewers_on_every_core_get_what_a_publisher_on_any_core_sends() {
    for (cores, owner, at) in (1..=3)
        .flat_map(|n| (0..n).map(move |owner| (n, owner)))
        .flat_map(|(n, owner)| (0..n).map(move |at| (n, owner, at)))
    {
        let mut rig = Rig::new(cores);
        let key = rig.key(owner);
        let watch = |(core, form)| (core, Watch::form(form));
        let all = (0..cores).flat_map(|core| FORMS.map(|form| watch((core, form))));
        let viewers: Vec<_> = all.map(|(core, watch)| rig.play(core, &key, watch)).collect();
        let publisher = rig.publish(at, &key);
        assert!(rig.peers[publisher].accepted);
        let sent = program(0, 2, 40_000);
        rig.send(publisher, &sent);
        let frames: Vec<_> = sent.iter().filter(|tag| is_frame(tag)).cloned().collect();
        for viewer in viewers {
            let got = rig.tags(viewer);
            let kinds: Vec<_> = got.iter().take(3).map(|tag| tag.tag_type).collect();
            assert_eq!(kinds, [TagType::Script, TagType::Video, TagType::Audio]);
            assert_eq!(got[1..3], sent[1..3], "configurations");
            assert_eq!(got[3..], frames, "{cores} cores, owner {owner}, publisher at {at}");
            assert_eq!(rig.peers[viewer].started, Some((true, true)));
        }
        assert_eq!(rig.count(|stats| &stats.ring_drops), 0);
    }
}

#[test]
fn the_last_units_arrive_although_the_publisher_says_goodbye_right_behind_them() {
    for (at, owner, viewers_at) in [(0, 1, 1), (0, 1, 0), (0, 1, 2), (0, 0, 2)] {
        let mut rig = Rig::with(3, |config| config.applications.default.publisher_grace_ms = 0);
        let key = rig.key(owner);
        let viewer = rig.play(viewers_at, &key, Watch::form(Form::Rtmp));
        let publisher = rig.publish(at, &key);
        let sent = program(0, 1, 5_000);
        for tag in &sent {
            rig.push(publisher, tag);
        }
        rig.unpublish(publisher);
        assert_eq!(rig.tags(viewer).last(), sent.last());
        assert_eq!(rig.peers[viewer].play_ended, Some(EndReason::PublisherLeft));
        rig.pass(20_000);
        rig.assert_empty();
    }
}

#[test]
fn a_viewer_that_readdresses_gets_whole_chunks_in_order() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let watch = Watch { delivery: Delivery::Copied, ..Watch::form(Form::Rtmp) };
    let viewer = rig.play(1, &key, watch);
    let publisher = rig.publish(0, &key);
    let sent = program(0, 2, 90_000);
    rig.send(publisher, &sent);
    let late = rig.play(1, &key, watch);
    let frames: Vec<_> = sent.iter().filter(|tag| is_frame(tag)).cloned().collect();
    assert_eq!(rig.frames(viewer), frames);
    assert_eq!(rig.frames(late), frames[50..]);
    assert_eq!(rig.tags(late)[1..3].iter().filter(|tag| is_config(tag)).count(), 2);
}

#[test]
fn the_first_viewer_of_a_core_subscribes_it_and_the_last_one_unsubscribes_it_after_a_linger() {
    let mut rig = Rig::with(2, |config| config.applications.default.linger_ms = 3_000);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &program(0, 1, 1_000));
    assert_eq!(rig.hubs[1].replicas.len(), 0);
    let first = rig.play(1, &key, Watch::form(Form::Rtmp));
    let second = rig.play(1, &key, Watch::form(Form::HttpFlv));
    assert_eq!(rig.hubs[0].streams[0].cores().len(), 1);
    rig.stop(first);
    rig.stop(second);
    rig.pass(2_800);
    assert_eq!(rig.hubs[0].streams[0].cores().len(), 1, "it lingers");
    rig.pass(400);
    assert_eq!(rig.hubs[0].streams[0].cores().len(), 0);
    assert_eq!(rig.hubs[1].replicas.len(), 0);
    let back = rig.play(1, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(back).len(), 50, "the group comes from the owner again");
}

#[test]
fn a_viewer_that_comes_back_while_the_core_lingers_starts_at_once() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let first = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 1_000));
    rig.stop(first);
    rig.pass(1_000);
    let back = rig.play(1, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(back).len(), 50);
    rig.pass(60_000);
    assert_eq!(rig.hubs[1].replicas.len(), 1, "nobody leaves a stream that is watched");
}
