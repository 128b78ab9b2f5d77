//! Several publishers for one name.

use corelay_config::Takeover;

use super::media::*;
use super::rig::*;
use crate::hub::*;

#[test]
fn the_newest_publisher_wins_and_no_viewer_is_dropped() {
    for (first_at, second_at) in [(0, 1), (1, 0), (1, 2), (0, 0)] {
        let mut rig = Rig::new(3);
        let key = rig.key(0);
        let viewers = [0, 1, 2].map(|core| rig.play(core, &key, Watch::form(Form::Rtmp)));
        let first = rig.publish(first_at, &key);
        rig.send(first, &program(0, 1, 2_000));
        let second = rig.publish(second_at, &key);
        assert_eq!(rig.peers[first].publish_ended, Some(EndReason::TakenOver));
        assert!(rig.peers[second].accepted);
        rig.send(second, &program(9_000_000, 1, 2_000));
        for viewer in viewers {
            assert_eq!(rig.frames(viewer).len(), 100);
            assert_eq!(rig.peers[viewer].play_ended, None);
        }
        rig.unpublish(second);
        rig.pass(30_000);
        rig.assert_empty();
    }
}

#[test]
fn the_first_publisher_wins_where_the_policy_says_so() {
    for second_at in [0, 1] {
        let mut rig =
            Rig::with(2, |config| config.applications.default.takeover = Takeover::FirstWins);
        let key = rig.key(0);
        let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
        let first = rig.publish(0, &key);
        let second = rig.publish(second_at, &key);
        assert_eq!(rig.peers[second].refused, Some(Refusal::NameTaken));
        assert_eq!(rig.peers[first].publish_ended, None);
        rig.send(first, &program(0, 1, 2_000));
        assert_eq!(rig.frames(viewer).len(), 50);
        rig.unpublish(first);
        let third = rig.publish(second_at, &key);
        assert!(rig.peers[third].accepted, "the name is free");
    }
}

#[test]
fn a_publisher_that_leaves_and_returns_at_once_is_not_its_own_rival() {
    let mut rig = Rig::with(2, |config| config.applications.default.takeover = Takeover::FirstWins);
    let key = rig.key(0);
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    let peer = rig.publish(1, &key);
    for tag in &program(0, 1, 2_000) {
        rig.push(peer, tag);
    }
    // Both requests and all media are on their way in one batch.
    let old = rig.peers[peer].publisher.take().unwrap();
    let now = rig.now;
    rig.hubs[1].unpublish(old, now);
    rig.publish_as(peer, &key);
    assert_eq!((rig.peers[peer].accepted, rig.peers[peer].refused), (true, None));
    rig.send(peer, &program(0, 1, 2_000));
    assert!(rig.frames(viewer).len() >= 50);
}

#[test]
fn ids_of_earlier_publications_do_nothing() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let viewer = rig.play(1, &key, Watch::form(Form::Rtmp));
    let first = rig.publish(1, &key);
    let stale = rig.peers[first].publisher.unwrap();
    let second = rig.publish(0, &key);
    rig.send(second, &program(0, 1, 2_000));
    let fresh = rig.publish(1, &StreamKey::new("live", "somewhere else"));
    let id = rig.peers[fresh].publisher.unwrap();
    assert_eq!((id.core, id.slot), (stale.core, stale.slot), "the place is used again");

    rig.peers[first].publisher = Some(stale);
    rig.send(first, &[key_frame()]);
    rig.unpublish(first);
    rig.pass(1_000);
    assert_eq!(rig.frames(viewer).len(), 50, "media of the earlier publication is ignored");
    rig.send(second, &[key_frame()]);
    assert_eq!(rig.frames(viewer).len(), 51, "and so is its end");
    assert!(rig.peers[fresh].publish_ended.is_none());
    assert_eq!(rig.count(|stats| &stats.publishers), 2);
}

fn key_frame() -> corelay_codecs::container::flv::demux::Tag {
    key(1_000, 7_777, 1_000)
}
