//! Flushes that take several turns, and those that wait.

use corelay_protocols::rtmp::MediaKind;
use corelay_protocols::rtmp::chunk::write_media;

use super::media::*;
use super::rig::*;
use crate::clock::Micros;
use crate::hub::*;

/// Nobody has the time for more than a few sends.
const AT_ONCE: Micros = Micros(0);

fn audience(rig: &mut Rig, key: &StreamKey, count: usize) -> Vec<usize> {
    (0..count).map(|_| rig.play(0, key, Watch::form(Form::Rtmp))).collect()
}

fn finish(rig: &mut Rig) -> usize {
    let turns = (1..).find(|_| rig.finish_turn(0, AT_ONCE) == Left::Nothing).unwrap();
    rig.clients_read();
    turns
}

#[test]
fn a_flush_that_runs_out_of_time_goes_on_where_it_stopped() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers = audience(&mut rig, &key, 100);
    rig.send(publisher, &program(0, 1, 1_000));
    let before = rig.stats[0].sends.load();
    rig.push(publisher, &inter(1_000, 1_000, 100));
    assert!(finish(&mut rig) >= 6);
    assert_eq!(rig.stats[0].sends.load() - before, 100, "one send for each viewer");
    assert!(viewers.iter().all(|viewer| rig.frames(*viewer).len() == 51));
}

#[test]
fn what_is_appended_while_a_flush_is_under_way_reaches_those_who_were_served_before() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers = audience(&mut rig, &key, 100);
    rig.send(publisher, &program(0, 1, 1_000));
    rig.push(publisher, &inter(1_000, 1_000, 100));
    assert_eq!(rig.finish_turn(0, AT_ONCE), Left::Now);
    rig.push(publisher, &inter(1_040, 1_040, 100));
    finish(&mut rig);
    for viewer in viewers {
        assert_eq!(rig.frames(viewer).len(), 52);
    }
}

#[test]
fn what_connections_send_counts_as_relayed_once_they_have_sent_it() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.play(0, &key, Watch { delivery: Delivery::Encrypted, ..Watch::form(Form::HttpFlv) });
    rig.send(publisher, &program(0, 1, 1_000));
    let hub = &mut rig.hubs[0];
    assert_eq!(hub.latency_us().len(), 0, "connections may still be at it");
    hub.connections_sent();
    let samples = hub.latency_us().len();
    assert!(samples > 0);
    hub.connections_sent();
    assert_eq!(hub.latency_us().len(), samples, "each flush counts once");
}

#[test]
fn the_end_of_a_stream_waits_for_a_flush_that_is_under_way() {
    let mut rig = Rig::with(1, |config| config.applications.default.publisher_grace_ms = 0);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers = audience(&mut rig, &key, 100);
    let stuck = rig.play(0, &key, Watch::stuck(Form::Rtmp));
    let sent = program(0, 1, 20_000);
    rig.send(publisher, &sent);
    rig.push(publisher, &inter(1_000, 1_000, 100));
    assert_eq!(rig.finish_turn(0, AT_ONCE), Left::Now);
    rig.push(publisher, &inter(1_040, 1_040, 100));
    // The connection has something of its own to say, which waits for the message in progress.
    rig.peers[stuck].say(own_message());
    rig.unpublish(publisher);
    for viewer in viewers {
        assert_eq!(rig.frames(viewer).len(), 52);
        assert_eq!(rig.peers[viewer].play_ended, Some(EndReason::PublisherLeft));
    }
    rig.peers[stuck].reads = true;
    rig.clients_read();
    assert_eq!(rig.frames(stuck).len(), 52, "who is behind gets what is left");
    let own = rig.tags(stuck).iter().position(|tag| *tag == metadata(99)).unwrap();
    assert!(own < 10, "and its connection's own words on the way");
}

/// A whole RTMP message.
fn own_message() -> Vec<u8> {
    let (mut bytes, stream) = (Vec::new(), SHARED_MESSAGE_STREAM);
    write_media(MediaKind::Data, 0, stream, &[], &metadata(99).body, 60_000, &mut bytes);
    bytes
}

#[test]
fn viewers_that_leave_during_a_flush_cost_nobody_a_frame() {
    for leaver in [0, 5, 14, 15, 16, 60, 98, 99] {
        let mut rig = Rig::new(1);
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let viewers = audience(&mut rig, &key, 100);
        rig.send(publisher, &program(0, 1, 1_000));
        rig.push(publisher, &inter(1_000, 1_000, 100));
        assert_eq!(rig.finish_turn(0, AT_ONCE), Left::Now);
        let (play, now) = (rig.peers[viewers[leaver]].play.take().unwrap(), rig.now);
        rig.hubs[0].stop(play, now);
        finish(&mut rig);
        for viewer in viewers.iter().filter(|viewer| **viewer != viewers[leaver]) {
            assert_eq!(rig.frames(*viewer).len(), 51, "{leaver} left");
        }
    }
}

#[test]
fn a_picture_that_comes_during_a_flush_does_not_wait_with_the_sound_behind_it() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers = audience(&mut rig, &key, 100);
    rig.send(publisher, &program(0, 1, 1_000));
    (0..50).for_each(|_| rig.hubs[0].set_busy(0.3));
    rig.push(publisher, &inter(1_000, 1_000, 100));
    assert_eq!(rig.finish_turn(0, AT_ONCE), Left::Now);
    rig.push(publisher, &inter(1_040, 1_040, 100));
    rig.push(publisher, &audio(1_041, 1_041));
    finish(&mut rig);
    for viewer in viewers {
        assert_eq!(rig.frames(viewer).len(), 53);
    }
}

#[test]
fn on_a_busy_core_sound_rides_with_the_next_picture_and_never_waits_longer_than_the_policy_allows()
{
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewer = rig.play(0, &key, Watch::form(Form::Rtmp));
    rig.send(publisher, &program(0, 1, 1_000));
    (0..50).for_each(|_| rig.hubs[0].set_busy(0.3));
    let before = rig.frames(viewer).len();
    rig.send(publisher, &[audio(1_000, 1_000)]);
    assert_eq!(rig.frames(viewer).len(), before);
    let due = rig.now.after_millis(60);
    assert_eq!(rig.finish_turn(0, Micros(u64::MAX - 1)), Left::Until(due));
    rig.send(publisher, &[inter(1_010, 1_010, 100)]);
    assert_eq!(rig.frames(viewer).len(), before + 2);
    rig.send(publisher, &[audio(1_020, 1_020)]);
    rig.pass(40);
    assert_eq!(rig.frames(viewer).len(), before + 2);
    rig.pass(20);
    assert_eq!(rig.frames(viewer).len(), before + 3, "60 ms are the most");
}

#[test]
fn a_viewer_whose_socket_fails_is_closed_and_the_others_go_on() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewers = audience(&mut rig, &key, 3);
    rig.send(publisher, &program(0, 1, 1_000));
    rig.peers[viewers[1]].hang_up();
    rig.send(publisher, &group(1_000, 1_000));
    let reason = CloseReason::SocketFailed(std::io::ErrorKind::BrokenPipe);
    assert_eq!(rig.peers[viewers[1]].closed, Some(reason));
    assert_eq!(rig.frames(viewers[0]).len(), 100);
    assert_eq!(rig.frames(viewers[2]).len(), 100);
}
