//! What viewers ask for while they watch: tracks, pauses, positions.

use corelay_codecs::container::flv::TagType;
use corelay_config::Start;

use super::media::*;
use super::rig::*;
use crate::hub::*;

fn select(rig: &mut Rig, viewer: usize, tracks: corelay_codecs::TrackFilter) {
    let (play, now) = (rig.peers[viewer].play.unwrap(), rig.now);
    let egress = Egress::new(Form::Rtmp, tracks);
    rig.hub_of(viewer).select(play, egress, now);
    rig.settle();
}

fn pause(rig: &mut Rig, viewer: usize) {
    let play = rig.peers[viewer].play.unwrap();
    rig.hub_of(viewer).pause(play);
    rig.settle();
}

fn resume(rig: &mut Rig, viewer: usize) {
    let play = rig.peers[viewer].play.unwrap();
    rig.hub_of(viewer).resume(play);
    rig.settle();
}

#[test]
fn a_viewer_gets_the_tracks_it_selects_from_the_newest_group_on() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let sent = program(0, 3, 5_000);
    rig.send(publisher, &sent[..60]);
    let viewer = rig.play(1, &key, Watch::form(Form::Rtmp));
    let others = [0, 1].map(|_| rig.play(1, &key, Watch::form(Form::Rtmp)));
    select(&mut rig, viewer, SOUND);
    let before = rig.frames(viewer).len();
    rig.send(publisher, &sent[60..80]);
    let got = rig.frames(viewer);
    assert!(got[before..].iter().all(|tag| tag.tag_type == TagType::Audio));
    assert_eq!(got.len() - before, 10);
    select(&mut rig, viewer, PICTURES);
    select(&mut rig, viewer, PICTURES);
    let got = rig.frames(viewer);
    assert!(is_key(&got[before + 10]), "pictures go on with a keyframe");
    select(&mut rig, viewer, ALL);
    let before = rig.frames(viewer).len();
    rig.send(publisher, &sent[80..]);
    assert_eq!(rig.frames(viewer).len() - before, sent.len() - 80);
    for other in others {
        assert_eq!(rig.frames(other), sent[53..]);
    }
}

#[test]
fn forms_that_nobody_uses_any_more_are_given_up_and_the_others_go_on() {
    let mut rig = Rig::with(1, |config| config.applications.default.linger_ms = 1_000);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers: Vec<_> = (0..4).map(|_| rig.play(0, &key, Watch::form(Form::Rtmp))).collect();
    select(&mut rig, viewers[1], SOUND);
    select(&mut rig, viewers[2], PICTURES);
    rig.send(publisher, &program(0, 1, 1_000));
    assert_eq!(rig.hubs[0].replicas[0].outlets().len(), 3);
    rig.stop(viewers[0]);
    rig.stop(viewers[3]);
    rig.pass(1_500);
    let in_use = |rig: &Rig| -> Vec<_> {
        rig.hubs[0].replicas[0].outlets().iter().map(|o| o.muxer().egress.tracks).collect()
    };
    assert_eq!(in_use(&rig).len(), 2);
    assert!(!in_use(&rig).contains(&ALL));
    rig.send(publisher, &group(1_000, 1_000));
    assert_eq!(rig.frames(viewers[1]).len(), 50);
    assert_eq!(rig.frames(viewers[2]).len(), 50);
    rig.stop(viewers[1]);
    rig.stop(viewers[2]);
    rig.unpublish(publisher);
    rig.pass(10_000);
    rig.assert_empty();
}

#[test]
fn a_paused_viewer_gets_nothing_and_goes_on_with_the_newest_group() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let sent = program(0, 3, 5_000);
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &sent[..40]);
    pause(&mut rig, viewer);
    let before = rig.frames(viewer).len();
    rig.send(publisher, &sent[40..120]);
    assert_eq!(rig.frames(viewer).len(), before);
    resume(&mut rig, viewer);
    assert_eq!(rig.frames(viewer)[before..], sent[103..120]);
    rig.send(publisher, &sent[120..]);
    assert_eq!(rig.frames(viewer)[before..], sent[103..]);
}

#[test]
fn a_paused_viewer_stays_paused_when_it_selects_other_tracks() {
    for start in [Start::RandomAccess, Start::LiveEdge] {
        let mut rig = Rig::with(1, |config| config.applications.default.start = start);
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
        rig.send(publisher, &program(0, 1, 5_000));
        pause(&mut rig, viewer);
        let before = rig.tags(viewer).len();
        select(&mut rig, viewer, SOUND);
        rig.send(publisher, &group(1_000, 5_000));
        assert_eq!(rig.tags(viewer).len(), before);
        resume(&mut rig, viewer);
        assert!(rig.tags(viewer).len() > before);
    }
}

#[test]
fn a_seek_goes_to_the_newest_entry_point() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let sent = program(0, 2, 5_000);
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &sent[..70]);
    let before = rig.frames(viewer).len();
    resume(&mut rig, viewer);
    assert_eq!(rig.frames(viewer)[before..], sent[53..70]);
}

#[test]
fn a_viewer_that_readdresses_reads_nothing_before_its_configurations() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let watch = Watch { delivery: Delivery::Copied, ..Watch::form(Form::Rtmp) };
    let viewer = rig.play(0, &key, watch);
    rig.send(publisher, &program(0, 1, 1_000));
    let play = rig.peers[viewer].play.unwrap();
    rig.hubs[0].resume(play);
    assert!(rig.hubs[0].read(play, 1 << 20).is_empty());
    rig.settle();
    let got = rig.tags(viewer);
    assert_eq!(got[53].tag_type, TagType::Script, "what it needs comes first again");
    assert_eq!(got.len(), 2 * 53);
}

#[test]
fn a_viewer_whose_connection_encrypts_gets_what_all_others_get() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let watch = Watch { delivery: Delivery::Encrypted, ..Watch::form(Form::HttpFlv) };
    let viewers = [rig.play(0, &key, watch), rig.play(0, &key, Watch::form(Form::HttpFlv))];
    rig.send(publisher, &program(0, 3, 10_000));
    rig.settle();
    let [encrypted, shared] = viewers.map(|viewer| rig.peers[viewer].got.clone());
    assert!(encrypted.len() > 30_000);
    assert_eq!(encrypted, shared);
}

#[test]
fn a_viewer_inside_a_message_finishes_it_before_anything_else() {
    let others = [Delivery::Shared, Delivery::Encrypted];
    let acts = [pause, resume, |rig: &mut Rig, viewer: usize| select(rig, viewer, SOUND)];
    for (act, delivery) in acts.into_iter().flat_map(|act| others.map(|other| (act, other))) {
        let mut rig = Rig::new(1);
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let viewer = rig.play(0, &key, Watch { delivery, ..Watch::stuck(Form::Rtmp) });
        rig.send(publisher, &program(0, 1, 60_000));
        act(&mut rig, viewer);
        rig.peers[viewer].reads = true;
        rig.settle();
        rig.send(publisher, &group(1_000, 60_000));
        let got = rig.tags(viewer);
        assert!(got.iter().any(is_key), "the message it was in the middle of is whole");
    }
}

#[test]
fn a_viewer_that_stops_inside_a_message_gets_the_rest_of_it() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers = [0, 1].map(|_| rig.play(0, &key, Watch::stuck(Form::Rtmp)));
    let sent = program(0, 1, 60_000);
    rig.send(publisher, &sent[..6]);
    for viewer in viewers {
        rig.stop(viewer);
        rig.peers[viewer].reads = true;
        rig.clients_read();
        assert_eq!(rig.frames(viewer), sent[3..4]);
    }
}

#[test]
fn a_publisher_is_told_when_the_first_viewer_comes_and_when_the_last_core_has_stopped_receiving() {
    for publishes_at in 0..3 {
        let mut rig = Rig::with(3, |config| config.applications.default.linger_ms = 1_000);
        let key = rig.key(0);
        let early = rig.play(1, &key, Watch::form(Form::Rtmp));
        let publisher = rig.publish(publishes_at, &key);
        rig.settle();
        assert!(rig.peers[publisher].watched, "somebody waits already");
        rig.stop(early);
        rig.pass(900);
        assert!(rig.peers[publisher].watched, "the core goes on receiving for a while");
        rig.pass(300);
        assert!(!rig.peers[publisher].watched);
        let viewers = [0, 2].map(|core| rig.play(core, &key, Watch::form(Form::HttpFlv)));
        assert!(rig.peers[publisher].watched);
        rig.stop(viewers[0]);
        rig.pass(2_000);
        assert!(rig.peers[publisher].watched, "one core is left");
        let second = rig.publish(1, &key);
        assert!(rig.peers[second].watched, "a publisher that takes over is told too");
    }
}
