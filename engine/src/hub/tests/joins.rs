//! Where viewers start.

use corelay_codecs::container::flv::{TagType, demux};
use corelay_config::Start;

use super::media::*;
use super::rig::*;
use crate::hub::*;

#[test]
fn a_late_joiner_gets_metadata_and_configurations_and_the_newest_group_at_stream_time() {
    for core in [0, 1] {
        let mut rig = Rig::new(2);
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let sent = program(70_000, 3, 8_000);
        rig.send(publisher, &sent[..sent.len() - 20]);
        let viewer = rig.play(core, &key, Watch::form(Form::HttpFlv));
        let got = rig.tags(viewer);
        assert_eq!(got[0].tag_type, TagType::Script);
        assert_eq!((got[1].body.clone(), got[1].timestamp_ms), (sent[1].body.clone(), 2_000));
        assert_eq!((got[2].body.clone(), got[2].timestamp_ms), (sent[2].body.clone(), 2_000));
        assert!(is_key(&got[3]));
        let bodies = |tags: &[demux::Tag]| tags.iter().map(|t| t.body.clone()).collect::<Vec<_>>();
        assert_eq!(bodies(&got[3..]), bodies(&sent[sent.len() - 50..sent.len() - 20]));
        let times: Vec<_> = got[3..].iter().map(|tag| tag.timestamp_ms).collect();
        let expected = |tag: &demux::Tag| tag.timestamp_ms - 70_000;
        assert_eq!(times, sent[sent.len() - 50..][..30].iter().map(expected).collect::<Vec<_>>());
        rig.send(publisher, &sent[sent.len() - 20..]);
        assert_eq!(rig.frames(viewer).len(), 50);
    }
}

#[test]
fn a_second_form_on_the_same_core_starts_with_the_present_group() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let first = rig.play(0, &key, Watch::form(Form::Rtmp));
    let sent = program(0, 2, 3_000);
    rig.send(publisher, &sent[..80]);
    for form in [Form::HttpFlv, Form::WebSocketFlv] {
        let second = rig.play(0, &key, Watch::form(form));
        assert_eq!(rig.frames(second), sent[53..80]);
    }
    assert_eq!(rig.frames(first), sent[3..80]);
}

#[test]
fn every_viewer_that_waits_before_the_publisher_starts_with_its_first_picture() {
    for start in [Start::RandomAccess, Start::LiveEdge] {
        let mut rig = Rig::with(2, |config| config.applications.default.start = start);
        let key = rig.key(1);
        let mut viewers: Vec<_> =
            (0..8).map(|n| rig.play(n % 2, &key, Watch::form(Form::HttpFlv))).collect();
        rig.pass(500);
        let publisher = rig.publish(0, &key);
        viewers.extend([0, 1].map(|core| rig.play(core, &key, Watch::form(Form::HttpFlv))));
        rig.pass(500);
        let sent = program(0, 1, 3_000);
        rig.send(publisher, &sent);
        for viewer in viewers {
            assert_eq!(rig.peers[viewer].started, Some((true, true)), "what the FLV header says");
            assert_eq!(rig.frames(viewer), sent[3..]);
        }
    }
}

#[test]
fn at_the_live_edge_a_joiner_gets_the_configurations_and_what_comes_next() {
    let mut rig = Rig::with(2, |config| config.applications.default.start = Start::LiveEdge);
    let key = rig.key(1);
    let publisher = rig.publish(1, &key);
    let sent = program(0, 2, 3_000);
    rig.send(publisher, &sent[..80]);
    for core in [0, 1] {
        let first = rig.play(core, &key, Watch::form(Form::HttpFlv));
        let second = rig.play(core, &key, Watch::form(Form::HttpFlv));
        for viewer in [first, second] {
            let got = rig.tags(viewer);
            assert_eq!(rig.peers[viewer].started, Some((true, true)));
            assert_eq!(got.len(), 3, "metadata and configurations");
            assert!(got[1].timestamp_ms >= 1_500, "at {}", got[1].timestamp_ms);
        }
    }
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &sent[80..]);
    assert_eq!(rig.frames(viewer), sent[80..]);
}

#[test]
fn a_track_that_is_announced_in_the_middle_of_a_group_keeps_no_joiner_waiting() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let sent = [
        video_config(0, 1),
        key_at(0),
        inter(40, 40, 500),
        audio_config(50, 2),
        audio(60, 60),
        inter(80, 80, 500),
    ];
    rig.send(publisher, &sent);
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(viewer).len(), 4);
    assert!(rig.tags(viewer).iter().take(3).any(|tag| *tag == audio_config(0, 2)));
}

#[test]
fn nobody_starts_on_pictures_from_before_a_change_of_the_configuration() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let watching = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 2_000));
    rig.send(publisher, &[video_config(1_000, 9), inter(1_000, 1_000, 300)]);
    let early = [0, 1].map(|core| rig.play(core, &key, Watch::form(Form::Rtmp)));
    assert!(early.iter().all(|viewer| rig.peers[*viewer].started.is_none()));
    rig.send(publisher, &[key_at(1_040), inter(1_080, 1_080, 300)]);
    for viewer in early {
        let got = rig.tags(viewer);
        assert!(got.contains(&video_config(1_040, 9)));
        assert_eq!(rig.frames(viewer), [key_at(1_040), inter(1_080, 1_080, 300)]);
    }
    let configs = rig.tags(watching).into_iter().filter(is_config);
    assert_eq!(configs.count(), 3, "who watches is told of the change in the stream");
}

#[test]
fn nobody_starts_on_what_is_left_of_a_publisher_that_is_gone() {
    let mut rig = Rig::with(2, |config| config.applications.default.publisher_grace_ms = 500);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewer = rig.play(1, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 2_000));
    rig.unpublish(publisher);
    rig.pass(1_000);
    assert_eq!(rig.peers[viewer].play_ended, Some(EndReason::PublisherLeft));
    let after = rig.play(1, &key, Watch { wait_ms: 1_000, ..Watch::form(Form::Rtmp) });
    rig.pass(500);
    assert_eq!(rig.peers[after].started, None);
    rig.pass(700);
    assert_eq!(rig.peers[after].play_ended, Some(EndReason::NoPublisher));
}

fn key_at(ms: u32) -> demux::Tag {
    key(ms, ms, 1_000)
}

#[test]
fn sound_before_the_first_picture_reaches_the_viewers_that_waited() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let viewer = rig.play(1, &key, Watch::form(Form::HttpFlv));
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &[metadata(1), video_config(0, 1), audio_config(0, 1)]);
    let sent = [audio(0, 1), audio(23, 2), key_frame(40), inter(80, 2, 100), audio(90, 3)];
    rig.send(publisher, &sent);
    assert_eq!(rig.frames(viewer), sent);
    let late = rig.play(1, &key, Watch::form(Form::HttpFlv));
    assert_eq!(rig.frames(late), sent[2..], "whoever comes later starts with the picture");
}

fn key_frame(ms: u32) -> demux::Tag {
    key(ms, 1, 1_000)
}
