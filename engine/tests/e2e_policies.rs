//! Who may publish and play, who wins, who waits, and what each is told.

mod support;

use std::time::Duration;

use support::amf::Amf;
use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, wait_until};

/// Reads on to the next status, whatever it is; returns its code.
fn next_status(rtmp: &mut Rtmp) -> String {
    rtmp.await_code(&["NetStream.", "NetConnection."]).expect("a status")
}

/// The code of a refusal.
fn refused(result: std::io::Result<Rtmp>) -> String {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_newest_publisher_wins_and_no_viewer_is_dropped() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    let mut old = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    for tag in &tags[..100] {
        old.send_tag(tag, tag.timestamp_ms).unwrap();
    }
    let first = player.collect(90);
    let new = Publisher::start(relay.rtmp(), "live", "test", tags.clone());
    let code = next_status(&mut old);
    assert!(code.starts_with("NetStream."), "{code}");
    assert!(old.is_closed_within(LIMIT), "the old publisher is still connected");
    let second = player.collect(200);
    let all = [first, second].concat();
    flv::assert_monotonic(&all, VIDEO);
    assert!(new.is_publishing());
    wait_until("publisher and player are left", LIMIT, || relay.connections() == 2);
}

#[test]
fn the_first_publisher_wins_where_the_policy_says_so() {
    let relay = Relay::start(r#"applications.default.takeover = "first_wins""#);
    let tags = Media::AudioVideo.tags();
    let first = Publisher::start(relay.rtmp(), "live", "test", tags.clone());
    let code = refused(Rtmp::publish(relay.rtmp(), "live", "test"));
    assert_eq!(code, "NetStream.Publish.BadName");
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    flv::assert_run(VIDEO, &tags, &player.collect(100));
    first.stop();
    // With the first gone, the name is free again.
    wait_until("the name is free", LIMIT, || Rtmp::publish(relay.rtmp(), "live", "test").is_ok());
}

#[test]
fn an_application_may_have_a_policy_of_its_own() {
    let relay = Relay::start(r#"applications.named.studio.takeover = "first_wins""#);
    let _studio = Rtmp::publish(relay.rtmp(), "studio", "test").unwrap();
    let _live = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    assert_eq!(refused(Rtmp::publish(relay.rtmp(), "studio", "test")), "NetStream.Publish.BadName");
    Rtmp::publish(relay.rtmp(), "live", "test").expect("live follows the default");
}

#[test]
fn a_viewer_outlasts_a_publisher_that_comes_back_within_the_grace() {
    let relay = Relay::start("applications.default.publisher_grace_ms = 20000");
    let tags = Media::AudioVideo.tags();
    let mut publisher = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    for tag in &tags[..100] {
        publisher.send_tag(tag, tag.timestamp_ms).unwrap();
    }
    let before = player.collect(100);
    drop(publisher);
    std::thread::sleep(Duration::from_millis(800));
    let _back = Publisher::start(relay.rtmp(), "live", "test", tags.clone());
    let after = player.collect(100);
    assert!(after.iter().any(|tag| tag.is_keyframe()), "the picture goes on");
    flv::assert_monotonic(&[before, after].concat(), VIDEO);
}

#[test]
fn a_publisher_that_sends_nothing_does_not_set_the_time_back() {
    let relay = Relay::start("applications.default.publisher_grace_ms = 20000");
    let tags = Media::AudioVideo.tags();
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    let mut publisher = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    for tag in &tags[..100] {
        publisher.send_tag(tag, tag.timestamp_ms).unwrap();
    }
    let before = player.collect(100);
    drop(publisher);
    // One that comes and goes, and one that is replaced, without a frame.
    drop(Rtmp::publish(relay.rtmp(), "live", "test").unwrap());
    let _silent = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    let _back = Publisher::start(relay.rtmp(), "live", "test", tags);
    let after = player.collect(100);
    for kind in [AUDIO, VIDEO] {
        flv::assert_monotonic(&[&before[..], &after].concat(), kind);
    }
}

#[test]
fn a_viewer_is_told_when_the_grace_is_over() {
    let relay = Relay::start("applications.default.publisher_grace_ms = 500");
    let mut publisher = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    for tag in &Media::AudioVideo.tags()[..50] {
        publisher.send_tag(tag, tag.timestamp_ms).unwrap();
    }
    player.await_picture().unwrap();
    publisher.command(1, "deleteStream", 0.0, &[Amf::Null, Amf::Number(1.0)]).unwrap();
    player.await_code(&["NetStream.Play.UnpublishNotify"]).unwrap();
}

#[test]
fn a_player_that_comes_first_waits_and_then_gets_everything() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    let mut player = Rtmp::play(relay.rtmp(), "live", "late").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let _publisher = Publisher::start(relay.rtmp(), "live", "late", tags.clone());
    assert_eq!(flv::assert_run(VIDEO, &tags, &player.collect(100)).first, 0);
}

#[test]
fn a_wait_that_is_over_ends_with_a_status() {
    let relay = Relay::start(
        "applications.default.play_wait_ms = 500
         applications.default.linger_ms = 500",
    );
    let mut player = Rtmp::play(relay.rtmp(), "live", "never").unwrap();
    player.await_code(&["NetStream.Play."]).unwrap();
    drop(player);
    relay.await_no_clients();
    wait_until("the stream is forgotten", LIMIT, || relay.stream("live", "never").is_none());
}

#[test]
fn without_a_wait_a_player_is_refused_at_once() {
    let relay = Relay::start("applications.default.play_wait_ms = 0");
    let code = refused(Rtmp::play(relay.rtmp(), "live", "never"));
    assert!(code.starts_with("NetStream.Play."), "{code}");
}

#[test]
fn in_strict_mode_only_listed_applications_are_served() {
    let relay = Relay::start(
        "applications.strict = true
         applications.named.tv.play = true",
    );
    Rtmp::publish(relay.rtmp(), "tv", "one").expect("tv is listed");
    let code = refused(Rtmp::connect(relay.rtmp(), "other"));
    assert!(code.starts_with("NetConnection.Connect."), "{code}");
}

#[test]
fn publishing_and_playing_can_be_forbidden() {
    let relay = Relay::start(
        "applications.named.watch.publish = false
         applications.named.drop.play = false",
    );
    let code = refused(Rtmp::publish(relay.rtmp(), "watch", "test"));
    assert!(code.starts_with("NetStream.Publish."), "{code}");
    let code = refused(Rtmp::play(relay.rtmp(), "drop", "test"));
    assert!(code.starts_with("NetStream.Play."), "{code}");
    Rtmp::publish(relay.rtmp(), "drop", "test").expect("publishing is allowed there");
}

#[test]
fn recording_is_refused_with_a_status_until_it_exists() {
    let relay = Relay::start("");
    let mut rtmp = Rtmp::connect(relay.rtmp(), "live").unwrap();
    rtmp.create_stream().unwrap();
    let arguments = [Amf::Null, Amf::Text("test"), Amf::Text("record")];
    rtmp.command(1, "publish", 5.0, &arguments).unwrap();
    let code = next_status(&mut rtmp);
    assert_ne!(code, "NetStream.Publish.Start");
    assert!(code.starts_with("NetStream."), "{code}");
}

#[test]
fn a_token_in_the_address_is_no_part_of_the_name() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", "test?token=abc&x=1", tags.clone());
    let mut player = Rtmp::play(relay.rtmp(), "live", "test?token=def").unwrap();
    flv::assert_run(VIDEO, &tags, &player.collect(60));
    assert!(relay.stream("live", "test").is_some());
}

#[test]
fn the_connections_of_one_address_are_limited() {
    let relay = Relay::start("limits.connections_per_ip_max = 3");
    let kept: Vec<Rtmp> = (0..3).map(|_| Rtmp::connect(relay.rtmp(), "live").unwrap()).collect();
    let mut fourth = Rtmp::tcp(relay.rtmp());
    assert!(fourth.is_closed_within(LIMIT), "a fourth connection was let in");
    relay.await_log(&["connections_per_ip_max"]);
    drop(kept);
    wait_until("one is let in again", LIMIT, || Rtmp::connect(relay.rtmp(), "live").is_ok());
}

#[test]
fn the_number_of_publishers_is_limited() {
    let relay = Relay::start("limits.publishers_max = 2");
    let _one = Rtmp::publish(relay.rtmp(), "live", "one").unwrap();
    let two = Rtmp::publish(relay.rtmp(), "live", "two").unwrap();
    let code = refused(Rtmp::publish(relay.rtmp(), "live", "three"));
    assert!(code.starts_with("NetStream.Publish."), "{code}");
    relay.await_log(&["publishers_max"]);
    drop(two);
    wait_until("there is room again", LIMIT, || {
        Rtmp::publish(relay.rtmp(), "live", "three").is_ok()
    });
}
