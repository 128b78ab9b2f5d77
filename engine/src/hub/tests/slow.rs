//! Viewers that do not keep up.

use bytes::Bytes;
use corelay_codecs::container::flv::demux::Tag;
use corelay_config::Config;

use super::media::*;
use super::rig::*;
use crate::hub::*;
use crate::stats::SkipReason;

fn patient(config: &mut Config) {
    config.applications.default.skips_max = 1_000;
}

/// Where in `sent` each frame that was received stands.
fn places(sent: &[Tag], got: &[Tag]) -> Vec<usize> {
    let of = |body: &Bytes| sent.iter().position(|tag| tag.body == *body).expect("it was sent");
    got.iter().map(|tag| of(&tag.body)).collect()
}

/// Frames come in order, and each that does not follow the one before it is a keyframe.
fn assert_whole_groups(sent: &[Tag], got: &[Tag]) -> usize {
    let places = places(sent, got);
    let mut skips = 0;
    for pair in places.windows(2) {
        assert!(pair[1] > pair[0], "frame {} after {}", pair[1], pair[0]);
        if pair[1] != pair[0] + 1 {
            assert!(is_key(&sent[pair[1]]), "it goes on in the middle of a group");
            skips += 1;
        }
    }
    skips
}

#[test]
fn a_slow_viewer_skips_whole_groups_only_and_gets_whole_messages_only() {
    for (form, core) in [(Form::Rtmp, 0), (Form::HttpFlv, 1), (Form::WebSocketFlv, 0)] {
        let mut rig = Rig::with(2, |config| {
            patient(config);
            config.applications.default.behind_bytes_max = 150_000;
        });
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let quick = rig.play(core, &key, Watch::form(form));
        let slow = rig.play(core, &key, Watch::stuck(form));
        let sent: Vec<_> = (0..20).flat_map(|n| group(n * 1_000, 30_000)).collect();
        rig.send(publisher, &program(0, 0, 0));
        for (k, tag) in sent.iter().enumerate() {
            rig.send(publisher, std::slice::from_ref(tag));
            // It reads too little, so that it is cut off at all kinds of places.
            if k % 5 == 0 {
                rig.sip(slow, 6_000);
            }
        }
        rig.peers[slow].reads = true;
        rig.pass(1_000);
        assert_eq!(rig.frames(quick), sent, "who keeps up misses nothing");
        let got = rig.frames(slow);
        let skips = assert_whole_groups(&sent, &got);
        assert!(skips >= 2, "{skips} skips");
        assert!(rig.stats[core].skips[SkipReason::BehindBytes as usize].load() >= skips as u64);
        assert_eq!(got.last(), sent.last(), "it has caught up");
    }
}

#[test]
fn a_viewer_that_lost_the_thread_waits_for_the_next_keyframe_and_never_goes_back() {
    let mut rig = Rig::with(1, |config| {
        patient(config);
        config.applications.default.behind_bytes_max = 64 << 10;
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let slow = rig.play(0, &key, Watch::stuck(Form::Rtmp));
    rig.send(publisher, &program(0, 0, 0));
    // One long group, of which it soon is too far behind to stay.
    let mut sent = vec![key_at(0)];
    sent.extend((1..100).map(|k| inter(k * 40, k * 40, 2_000)));
    rig.send(publisher, &sent);
    rig.peers[slow].reads = true;
    rig.pass(500);
    let before = rig.frames(slow).len();
    assert!(before < 60, "{before}");
    assert_eq!(rig.count(|stats| &stats.skips[SkipReason::BehindBytes as usize]), 1);
    let joiner = rig.play(0, &key, Watch::form(Form::Rtmp));
    assert_eq!(rig.frames(joiner), sent, "who comes now may start where the slow one may not");
    sent.extend([inter(4_000, 4_000, 100), key_at(4_040), inter(4_080, 4_080, 100)]);
    rig.send(publisher, &sent[100..]);
    let got = rig.frames(slow);
    assert_eq!(got[before..], sent[101..]);
    assert_eq!(assert_whole_groups(&sent, &got), 1);
}

#[test]
fn a_viewer_too_far_behind_in_time_skips() {
    let mut rig = Rig::with(1, |config| {
        patient(config);
        config.applications.default.behind_ms_max = 2_500;
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let slow = rig.play(0, &key, Watch::stuck(Form::HttpFlv));
    let sent = program(0, 6, 8_000);
    rig.send(publisher, &sent);
    assert!(rig.count(|stats| &stats.skips[SkipReason::BehindTime as usize]) >= 1);
    let log = rig.hubs[0].replicas[0].outlets()[0].log();
    assert!(log.span_ms() <= 3_600, "{} ms are kept for it", log.span_ms());
    rig.peers[slow].reads = true;
    rig.pass(200);
    assert!(assert_whole_groups(&sent[3..], &rig.frames(slow)) >= 1);
}

#[test]
fn a_skip_across_a_change_of_the_configuration_brings_the_new_one_first() {
    // The configuration changes once; afterwards it is repeated, as some encoders do with each keyframe.
    for repeats in [false, true] {
        let mut rig = Rig::with(1, |config| {
            patient(config);
            config.applications.default.behind_bytes_max = 100_000;
        });
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let slow = rig.play(0, &key, Watch::stuck(Form::Rtmp));
        rig.send(publisher, &program(0, 2, 20_000));
        rig.send(publisher, &[video_config(2_000, 77)]);
        let sent = group(2_000, 20_000);
        rig.send(publisher, &sent[..1]);
        if repeats {
            rig.send(publisher, &[metadata(5), video_config(2_010, 77)]);
        }
        rig.send(publisher, &sent[1..]);
        assert_eq!(rig.count(|stats| &stats.skips[SkipReason::BehindBytes as usize]), 2);
        rig.peers[slow].reads = true;
        rig.pass(200);
        let got = rig.tags(slow);
        let config = got.iter().position(|tag| tag.body == video_config(0, 77).body);
        let first = got.iter().position(|tag| sent.contains(tag));
        assert!(config.is_some() && config < first, "{config:?} {first:?}, repeats: {repeats}");
    }
}

#[test]
fn a_viewer_that_skips_too_often_is_closed_with_the_reason() {
    let mut rig = Rig::with(1, |config| {
        let policy = &mut config.applications.default;
        (policy.skips_max, policy.skips_window_ms) = (2, 60_000);
        policy.behind_bytes_max = 64 << 10;
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let stuck = rig.play(0, &key, Watch::stuck(Form::Rtmp));
    let quick = rig.play(0, &key, Watch::form(Form::Rtmp));
    let mut ms = 0;
    rig.send(publisher, &program(0, 0, 0));
    while rig.peers[stuck].closed.is_none() {
        assert!(ms < 60_000, "it is never closed");
        rig.send(publisher, &group(ms, 30_000));
        ms += 1_000;
        rig.pass(20);
    }
    let reason = CloseReason::TooSlow { skips: 3, window_ms: 60_000 };
    assert_eq!(rig.peers[stuck].closed, Some(reason));
    assert_eq!(rig.frames(quick).len() as u32, ms / 20);
}

#[test]
fn skips_are_forgiven_when_they_are_far_apart() {
    let mut rig = Rig::with(1, |config| {
        let policy = &mut config.applications.default;
        (policy.skips_max, policy.skips_window_ms) = (1, 5_000);
        policy.behind_bytes_max = 64 << 10;
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let slow = rig.play(0, &key, Watch::stuck(Form::Rtmp));
    rig.send(publisher, &program(0, 0, 0));
    for round in 0..4 {
        rig.send(publisher, &group(round * 1_000, 22_000));
        rig.peers[slow].reads = true;
        rig.pass(6_000);
        rig.peers[slow].reads = false;
    }
    assert!(rig.count(|stats| &stats.skips[SkipReason::BehindBytes as usize]) >= 3);
    assert_eq!(rig.peers[slow].closed, None);
}

#[test]
fn a_log_keeps_no_more_than_its_limits_whatever_its_viewers_do() {
    let mut rig = Rig::with(1, |config| {
        let policy = &mut config.applications.default;
        policy.skips_max = 1_000;
        (policy.log_bytes_max, policy.log_ms_max) = (400_000, 3_000);
        (policy.behind_bytes_max, policy.behind_ms_max) = (1 << 30, 600_000);
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let slow = rig.play(0, &key, Watch::stuck(Form::Rtmp));
    rig.send(publisher, &program(0, 0, 0));
    for (round, key_bytes) in [(0, 60_000), (1, 2_000)] {
        for k in 0..12 {
            rig.send(publisher, &group(round * 12_000 + k * 1_000, key_bytes));
            let log = rig.hubs[0].replicas[0].outlets()[0].log();
            assert!(log.edge() - log.tail() <= 400_000, "{}", log.edge() - log.tail());
            assert!(log.span_ms() <= 3_000, "{}", log.span_ms());
        }
    }
    assert!(rig.count(|stats| &stats.skips[SkipReason::LogLimit as usize]) >= 2);
    rig.peers[slow].reads = true;
    rig.pass(100);
    rig.tags(slow);
}

#[test]
fn viewers_that_are_cut_off_in_the_same_message_share_one_copy_of_it() {
    let mut rig = Rig::with(1, patient);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers: Vec<_> = (0..3).map(|_| rig.play(0, &key, Watch::stuck(Form::Rtmp))).collect();
    rig.send(publisher, &program(0, 1, 500_000));
    for viewer in &viewers {
        let play = rig.peers[*viewer].play.unwrap();
        rig.hubs[0].pause(play);
    }
    let notices = rig.hubs[0].take_notices();
    let rests: Vec<&Bytes> = notices
        .iter()
        .filter_map(|(_, notice)| if let Notice::Rest(rest) = notice { Some(rest) } else { None })
        .collect();
    assert_eq!(rests.len(), 3);
    let ends: Vec<_> = rests.iter().map(|rest| rest.as_ptr_range().end).collect();
    assert!(rests[0].len() > 300_000 && ends.iter().all(|end| *end == ends[0]));
}

fn key_at(ms: u32) -> Tag {
    key(ms, ms, 1_500)
}
