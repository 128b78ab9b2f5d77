//! What cores do without work, and with work that can wait.

mod support;

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, wait_until};

fn units_received(relay: &Relay) -> f64 {
    relay.metric("corelay_units_in_total", "").unwrap()
}

/// How many units come between two readings of the counter that differ, `count` times in a row.
fn steps(relay: &Relay, count: usize) -> Vec<f64> {
    let (mut steps, mut last) = (Vec::new(), units_received(relay));
    wait_until("units go on", LIMIT, || {
        let now = units_received(relay);
        steps.extend(Some(now - last).filter(|&step| step > 0.0));
        last = now;
        steps.len() >= count
    });
    steps
}

#[test]
fn a_publisher_that_nobody_watches_is_read_in_gulps_and_at_once_when_somebody_comes() {
    let relay = Relay::start("cores.unwatched_read_ms = 1000");
    let sent = Media::AudioVideo.tags();
    let publisher = Publisher::start(relay.rtmp(), "live", "test", sent.clone());
    wait_until("the first gulp", LIMIT, || units_received(&relay) > 10.0);

    // Each is a second of 60 frames; it counts twice when it is seen half taken.
    let gulps = steps(&relay, 3);
    assert!(gulps.iter().sum::<f64>() > 60.0, "{gulps:?}");

    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    let received = player.collect(120);
    flv::assert_run(VIDEO, &sent, &received);
    flv::assert_run(AUDIO, &sent, &received);

    let mut sips = steps(&relay, 21);
    sips.sort_by(f64::total_cmp);
    assert!(sips[10] < 20.0, "half of them: {sips:?}");
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
    // Two frames of work every 40 ms are no load. A stall of the machine counts as work, but does not last.
    let busy = || relay.metric("corelay_core_busy_ratio", "").unwrap();
    wait_until("the core is hardly busy", LIMIT, || busy() < 0.5);
    publisher.stop();
}
