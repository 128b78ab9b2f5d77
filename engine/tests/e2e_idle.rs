//! What cores do without work, and with work that can wait.

mod support;

use std::time::{Duration, Instant};

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, wait_until};

fn units_received(relay: &Relay) -> f64 {
    relay.metric("corelay_units_in_total", "").unwrap()
}

#[test]
fn a_publisher_that_nobody_watches_is_read_in_gulps_and_at_once_when_somebody_comes() {
    let relay = Relay::start("cores.unwatched_read_ms = 1000");
    let sent = Media::AudioVideo.tags();
    let publisher = Publisher::start(relay.rtmp(), "live", "test", sent.clone());
    wait_until("the first gulp", LIMIT, || units_received(&relay) > 10.0);

    let (begun, mut gulps, mut last) = (Instant::now(), 0, units_received(&relay));
    while begun.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(20));
        let now = units_received(&relay);
        gulps += u32::from(now != last);
        last = now;
    }
    assert!((2..=10).contains(&gulps), "{gulps} gulps in 3 s of 60 frames a second");

    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    let mut received = player.collect(60);
    let caught_up = Instant::now();
    received.extend(player.collect(60));
    assert!(caught_up.elapsed() < Duration::from_secs(3));
    flv::assert_run(VIDEO, &sent, &received);
    flv::assert_run(AUDIO, &sent, &received);

    let (begun, mut steps, mut last) = (Instant::now(), 0, units_received(&relay));
    while begun.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(20));
        let now = units_received(&relay);
        steps += u32::from(now != last);
        last = now;
    }
    assert!(steps > 20, "{steps} steps in 2 s of 60 frames a second");
    publisher.stop();
    drop(player);
    relay.await_no_clients();
}

#[test]
fn a_spinning_core_serves_and_counts_what_it_works_only() {
    let relay = Relay::start("cores.idle = \"spin\"\ncores.spin_us = 1000000");
    let sent = Media::AudioVideo.tags();
    let publisher = Publisher::start(relay.rtmp(), "live", "test", sent.clone());
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    let received = player.collect(120);
    flv::assert_run(VIDEO, &sent, &received);
    let busy = relay.metric("corelay_core_busy_ratio", "").unwrap();
    assert!(busy < 0.5, "two frames of work every 40 ms are no load: {busy}");
    publisher.stop();
}
