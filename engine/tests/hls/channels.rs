//! Channels of the configuration: on demand, and with two inputs.

use std::thread;
use std::time::Duration;

use super::feed::{Carriage, Feed, TX0, TX1};
use super::headend::{Headend, Settings};
use super::hls_rules::Playlist;
use super::packets::{cut, is_random_access};
use super::support::hls::{Viewer, media_path, watch_until};
use super::support::netns::{self, Network};
use super::support::relay::Relay;
use super::support::{LIMIT, wait_until};
use super::{SHORT, violations};

fn headend(seed: u64) -> Headend {
    let rates = Settings { rate_bps: 2_500_000, video_bps: 1_000_000, ..Settings::default() };
    Headend::new(Settings { seed, ..rates })
}

#[test]
fn a_channel_on_demand_is_open_while_it_is_asked_for() {
    let name = "channels::a_channel_on_demand_is_open_while_it_is_asked_for";
    netns::inside(name, |network: &Network| {
        let relay = Relay::start(&format!(
            "{SHORT}hls.linger_ms = 1000
             [[channel]]
             name = \"iptv/one\"
             input = [\"udp://rx0@239.1.6.1:1234\"]
             open = \"demand\"
             linger_ms = 300"
        ));
        let sender = network.sender();
        let _feed = Feed::start(sender, TX0, "239.1.6.1:1234", Carriage::Raw, headend(1));
        let is_open = || relay.api("/api/v1/channels")["channels"][0]["open"] == true;
        thread::sleep(Duration::from_millis(500));
        assert!(!is_open(), "nobody watches");
        for _ in 0..2 {
            let path = media_path(relay.http(), "/iptv/one.m3u8");
            let viewer = Viewer::follow(relay.http(), &path);
            let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 2);
            assert!(is_open());
            viewer.stop();
            for (name, bytes) in watched.segments.values() {
                assert!(is_random_access(&cut(bytes)[2]), "{name}");
            }
            wait_until("the channel is closed", LIMIT, || !is_open());
            let held = || relay.metric("corelay_memory_bytes", "pool=\"hls\"");
            wait_until("memory is given back", LIMIT, || held() == Some(0.0));
        }
    });
}

#[test]
fn another_input_begins_behind_a_discontinuity() {
    let name = "channels::another_input_begins_behind_a_discontinuity";
    netns::inside(name, |network: &Network| {
        let relay = Relay::start(&format!(
            "{SHORT}[[channel]]
             name = \"iptv/two\"
             input = [\"udp://rx0@239.1.7.1:1234\", \"udp://rx1@239.1.7.2:1234\"]"
        ));
        let sender = network.sender();
        let first = Feed::start(sender, TX0, "239.1.7.1:1234", Carriage::Raw, headend(2));
        let _second = Feed::start(sender, TX1, "239.1.7.2:1234", Carriage::Raw, headend(3));
        let address = relay.http();
        let path = media_path(address, "/iptv/two.m3u8");
        let viewer = Viewer::follow(address, &path);
        watch_until(address, &path, |watched| watched.segments.len() >= 3);
        first.mute();
        watch_until(address, &path, |watched| {
            let playlist = Playlist::parse(watched.last()).unwrap();
            let at = playlist.segments.iter().position(|segment| segment.is_discontinuity);
            at.is_some_and(|at| playlist.segments.len() > at + 2)
        });
        let watched = viewer.stop();
        assert_eq!(violations(&watched), [], "{}", watched.last());
        let count = super::publishers::discontinuities(&watched).len();
        assert_eq!(count, 1, "{}", watched.last());
        assert!(!watched.has_line("#EXT-X-ENDLIST"));
    });
}
