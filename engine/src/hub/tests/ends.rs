//! How plays end.

use super::media::*;
use super::rig::*;
use crate::hub::*;

#[test]
fn a_viewer_that_waits_in_vain_is_told_that_no_publisher_came() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let waits = |wait_ms| Watch { wait_ms, ..Watch::form(Form::Rtmp) };
    let viewers = [(0, 1_000), (1, 1_000), (0, 5_000), (1, 0)];
    let viewers = viewers.map(|(core, wait_ms)| (rig.play(core, &key, waits(wait_ms)), wait_ms));
    rig.pass(120);
    for (viewer, wait_ms) in viewers {
        let ended = (wait_ms == 0).then_some(EndReason::NoPublisher);
        assert_eq!(rig.peers[viewer].play_ended, ended, "waits {wait_ms}");
    }
    rig.pass(1_000);
    for (viewer, wait_ms) in viewers {
        let ended = (wait_ms <= 1_000).then_some(EndReason::NoPublisher);
        assert_eq!(rig.peers[viewer].play_ended, ended, "waits {wait_ms}");
    }
    rig.pass(20_000);
    rig.assert_empty();
}

#[test]
fn a_viewer_of_a_stream_that_the_owner_has_no_room_for_is_sent_home_and_may_come_back() {
    let mut rig = Rig::with(2, |config| config.limits.streams_max = 2);
    let (first, second) = (rig.key(0), {
        let names = (0..).map(|n| StreamKey::new("other", &format!("{n}")));
        names.into_iter().find(|key| key.owner(2).index() == 0).unwrap()
    });
    let publisher = rig.publish(0, &first);
    let watch = Watch { wait_ms: 500, ..Watch::form(Form::Rtmp) };
    let viewer = rig.play(1, &second, watch);
    let refused = rig.publish(1, &second);
    assert_eq!(rig.peers[refused].refused, Some(Refusal::TooMany));
    rig.pass(1_700);
    assert_eq!(rig.peers[viewer].play_ended, Some(EndReason::NoPublisher));
    rig.unpublish(publisher);
    rig.pass(6_000);
    let publisher = rig.publish(1, &second);
    let viewer = rig.play(1, &second, watch);
    rig.send(publisher, &program(0, 1, 1_000));
    assert_eq!(rig.frames(viewer).len(), 50);
}

#[test]
fn a_viewer_waits_longer_when_there_is_a_publisher_without_a_picture_yet() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let watch = Watch { wait_ms: 1_000, ..Watch::form(Form::Rtmp) };
    let viewer = rig.play(1, &key, watch);
    let publisher = rig.publish(1, &key);
    rig.send(publisher, &[metadata(1)]);
    rig.pass(3_000);
    assert_eq!(rig.peers[viewer].play_ended, None);
    rig.send(publisher, &program(0, 1, 1_000));
    assert_eq!(rig.frames(viewer).len(), 50);
}

#[test]
fn a_viewer_that_pauses_while_it_waits_is_started_later_or_sent_home() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let watch = Watch { wait_ms: 1_000, ..Watch::form(Form::Rtmp) };
    let resumes = rig.play(0, &key, watch);
    let other = rig.key(0);
    let other = StreamKey::new("elsewhere", &other.name);
    let forgets = rig.play(0, &other, watch);
    for viewer in [resumes, forgets] {
        let play = rig.peers[viewer].play.unwrap();
        rig.hubs[0].pause(play);
    }
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &program(0, 1, 1_000));
    assert_eq!(rig.peers[resumes].started, None);
    let play = rig.peers[resumes].play.unwrap();
    rig.hubs[0].resume(play);
    rig.pass(1_500);
    assert_eq!(rig.peers[resumes].started, Some((true, true)));
    assert_eq!(rig.frames(resumes).len(), 50);
    assert_eq!(rig.peers[forgets].play_ended, Some(EndReason::NoPublisher));
}

#[test]
fn viewers_stay_while_the_publisher_may_return_and_its_time_goes_on() {
    for core in [0, 1] {
        let mut rig = Rig::new(2);
        let key = rig.key(0);
        let viewers = [0, 1].map(|core| rig.play(core, &key, Watch::form(Form::Rtmp)));
        let first = rig.publish(core, &key);
        rig.send(first, &program(0, 1, 2_000));
        rig.unpublish(first);
        rig.pass(4_000);
        let second = rig.publish(1 - core, &key);
        rig.send(second, &program(500_000, 1, 2_000));
        for viewer in viewers {
            let frames = rig.frames(viewer);
            assert_eq!(rig.peers[viewer].play_ended, None);
            assert_eq!(frames.len(), 100);
            let times: Vec<_> = frames.iter().map(|tag| tag.timestamp_ms).collect();
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
            assert!((971..=1_040).contains(&times[50]), "it goes on at {}", times[50]);
            let is_new_config = |tag: &_| is_config(tag) && tag.timestamp_ms > 900;
            assert_eq!(rig.tags(viewer).iter().filter(|tag| is_new_config(tag)).count(), 2);
        }
        let joiner = rig.play(core, &key, Watch::form(Form::Rtmp));
        assert_eq!(rig.frames(joiner).len(), 50);
    }
}

#[test]
fn viewers_are_sent_home_when_the_publisher_does_not_return() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let viewers = [0, 1].map(|core| rig.play(core, &key, Watch::form(Form::HttpFlv)));
    let publisher = rig.publish(1, &key);
    rig.send(publisher, &program(0, 1, 2_000));
    rig.unpublish(publisher);
    rig.pass(4_900);
    assert!(viewers.iter().all(|viewer| rig.peers[*viewer].play_ended.is_none()));
    rig.pass(300);
    for viewer in viewers {
        assert_eq!(rig.peers[viewer].play_ended, Some(EndReason::PublisherLeft));
    }
    rig.pass(20_000);
    rig.assert_empty();
}

#[test]
fn everybody_is_told_when_the_server_stops() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let absent = StreamKey::new("live", "nobody");
    let viewers = [
        rig.play(0, &key, Watch::form(Form::Rtmp)),
        rig.play(1, &key, Watch::form(Form::HttpFlv)),
        rig.play(1, &key, Watch::stuck(Form::Rtmp)),
        rig.play(0, &absent, Watch::form(Form::Rtmp)),
    ];
    let publishers = [rig.publish(1, &key), rig.publish(0, &StreamKey::new("live", "other"))];
    rig.send(publishers[0], &program(0, 1, 20_000));
    for core in [1, 0] {
        let now = rig.now;
        rig.hubs[core].begin_stop(now);
        rig.turn(core);
    }
    rig.settle();
    for viewer in viewers {
        assert_eq!(rig.peers[viewer].play_ended, Some(EndReason::Stopping));
    }
    for publisher in publishers {
        assert_eq!(rig.peers[publisher].publish_ended, Some(EndReason::Stopping));
    }
    let late = rig.publish(0, &key);
    assert_eq!(rig.peers[late].refused, Some(Refusal::Stopping));
    rig.pass(30_000);
    rig.assert_empty();
}
