//! The ceiling over all logs.

use super::media::*;
use super::rig::*;
use crate::hub::*;
use crate::stats::SkipReason;

const CEILING: usize = 2 << 20;

fn short_of_memory() -> Rig {
    Rig::with(2, |config| {
        config.memory.logs_bytes_max = CEILING;
        let policy = &mut config.applications.default;
        policy.skips_max = 10_000;
        (policy.log_bytes_max, policy.log_ms_max) = (64 << 20, 600_000);
        (policy.behind_bytes_max, policy.behind_ms_max) = (64 << 20, 600_000);
    })
}

#[test]
fn over_the_ceiling_logs_above_their_share_shed_and_the_others_are_left_alone() {
    let mut rig = short_of_memory();
    let keys: Vec<_> = (0..4).map(|n| StreamKey::new("live", &format!("stream{n}"))).collect();
    let publishers: Vec<_> = keys.iter().map(|key| rig.publish(0, key)).collect();
    let slow: Vec<_> = keys.iter().map(|key| rig.play(1, key, Watch::stuck(Form::Rtmp))).collect();
    let quick = rig.play(1, &keys[0], Watch::form(Form::Rtmp));
    let (mut sent, mut most) = (0, 0);
    for second in 0..24 {
        for (n, publisher) in publishers.iter().enumerate() {
            // The first stream has twenty times the rate of the others.
            let key_bytes = if n == 0 { 60_000 } else { 3_000 };
            if second == 0 {
                rig.send(*publisher, &program(0, 0, 0));
            }
            rig.send(*publisher, &group(second * 1_000, key_bytes));
        }
        sent += 50;
        rig.pass(100);
        most = most.max(rig.budget.used());
        if second == 20 {
            assert!(rig.count(|stats| &stats.skips[SkipReason::Memory as usize]) >= 2);
        }
    }
    assert!(most > CEILING as u64 / 2, "the test presses hard enough: {most}");
    assert!(most < CEILING as u64 + 400_000, "{most}");
    assert_eq!(rig.frames(quick).len(), sent, "the live edge is not touched");
    for viewer in &slow {
        rig.peers[*viewer].reads = true;
    }
    rig.pass(200);
    let missed = |viewer: &usize| sent - rig.frames(*viewer).len();
    assert!(missed(&slow[0]) >= 250, "{} frames", missed(&slow[0]));
    for viewer in &slow[1..] {
        assert_eq!(missed(viewer), 0, "a small log keeps everything");
    }
}

#[test]
fn memory_is_back_when_everybody_is_gone() {
    let mut rig = short_of_memory();
    let keys: Vec<_> = (0..6).map(|n| StreamKey::new("live", &format!("stream{n}"))).collect();
    for round in 0..3 {
        let publishers: Vec<_> =
            keys.iter().enumerate().map(|(n, key)| rig.publish(n % 2, key)).collect();
        let mut viewers = Vec::new();
        for (n, key) in keys.iter().enumerate() {
            viewers.push(rig.play(n % 2, key, Watch::stuck(Form::HttpFlv)));
            viewers.push(rig.play((n + 1) % 2, key, Watch::form(Form::WebSocketFlv)));
        }
        for publisher in &publishers {
            rig.send(*publisher, &program(round * 10_000, 3, 50_000));
        }
        assert!(rig.budget.used() > 500_000);
        viewers.into_iter().for_each(|viewer| rig.stop(viewer));
        publishers.into_iter().for_each(|publisher| rig.unpublish(publisher));
        rig.pass(20_000);
        rig.assert_empty();
    }
}

#[test]
fn a_stream_without_viewers_is_charged_for_what_it_keeps_for_joiners() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &program(0, 1, 50_000));
    let used = rig.budget.used();
    assert!((170_000..200_000).contains(&used), "{used}");
    rig.send(publisher, &[key_at(1_000)]);
    assert!(rig.budget.used() < 2_000, "{}", rig.budget.used());
}

fn key_at(ms: u32) -> corelay_codecs::container::flv::demux::Tag {
    key(ms, ms, 1_000)
}
