//! Channels that are open while somebody watches: those of the configuration, and groups by URL.

use std::thread;
use std::time::{Duration, Instant};

use super::feed::{Carriage, Feed, TX0};
use super::support::netns::{self, Network};
use super::support::relay::Relay;
use super::support::{LIMIT, http, wait_until};
use super::{assert_view, channel, headend, start};

/// Whether the receiving host is a member of a group of IPv4.
fn is_member(group: [u8; 4]) -> bool {
    let [a, b, c, d] = group;
    let wanted = format!("{d:02X}{c:02X}{b:02X}{a:02X}");
    std::fs::read_to_string("/proc/net/igmp").unwrap().contains(&wanted)
}

/// Sockets of UDP on a port of the receiving host.
fn sockets_on(port: u16) -> usize {
    let wanted = format!(":{port:04X} ");
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    table.lines().filter(|line| line[..22].contains(&wanted)).count()
}

#[test]
fn a_channel_on_demand_is_joined_while_it_is_watched() {
    netns::inside(
        "demand::a_channel_on_demand_is_joined_while_it_is_watched",
        |network: &Network| {
            let relay = Relay::start(
                "iptv.linger_ms = 600000
             [[channel]]
             name = \"iptv/one\"
             input = [\"udp://rx0@239.1.4.1:1234\"]
             open = \"demand\"
             linger_ms = 800",
            );
            let feed = Feed::start(
                network.sender(),
                TX0,
                "239.1.4.1:1234",
                Carriage::Raw,
                headend(5, 3_000_000),
            );
            thread::sleep(Duration::from_millis(500));
            let is_joined = || is_member([239, 1, 4, 1]) && sockets_on(1234) == 1;
            assert!(!is_member([239, 1, 4, 1]) && sockets_on(1234) == 0, "nobody watches");
            let mut views = Vec::new();
            for _ in 0..2 {
                let mut viewer = http::Viewer::open(relay.http(), "/iptv/one.ts");
                assert!(is_joined(), "there with the first viewer");
                assert!(viewer.read_to(300_000), "the stream ended early");
                views.push(viewer.bytes.clone());
                let left = Instant::now();
                drop(viewer);
                thread::sleep(Duration::from_millis(300));
                assert!(is_joined() || left.elapsed().as_millis() > 700, "it lingers");
                wait_until("the group is left", LIMIT, || {
                    !is_member([239, 1, 4, 1]) && sockets_on(1234) == 0
                });
                assert!(left.elapsed() > Duration::from_millis(700), "{:?}", left.elapsed());
            }
            let sent = feed.stop();
            views.iter().for_each(|view| assert_view(view, &sent));
        },
    );
}

#[test]
fn groups_are_served_as_udpxy_does() {
    netns::inside("demand::groups_are_served_as_udpxy_does", |network: &Network| {
        let settings = "iptv.linger_ms = 500
             iptv.udpxy.allow = [\"239.3.0.0/16\"]
             iptv.udpxy.interface = \"rx0\"
             ";
        let one = channel("iptv/one", "udp://rx0@239.1.5.1:4000", &[]);
        let relay = start(&format!("{settings}{one}"), 1);
        let sender = network.sender();
        let send =
            |to, carriage, seed| Feed::start(sender, TX0, to, carriage, headend(seed, 3_000_000));
        let feeds = [
            send("239.3.0.1:5000", Carriage::Raw, 1),
            send("239.3.0.2:5001", Carriage::Rtp, 2),
            send("239.1.5.1:4000", Carriage::Raw, 3),
        ];
        let open = |path: &str| {
            let viewer = http::Viewer::open(relay.http(), path);
            assert_eq!(viewer.head.status, 200, "{path}");
            assert_eq!(viewer.head.header("content-type"), Some("video/mp2t"));
            viewer
        };
        let paths = [
            "/udp/239.3.0.1:5000",
            "/udp/239.3.0.1:5000",
            "/rtp/239.3.0.2:5001",
            "/udp/239.1.5.1:4000",
        ];
        let viewers = paths.map(open).map(|mut viewer| {
            thread::spawn(move || {
                viewer.read_to(500_000);
                viewer
            })
        });
        wait_until("all are watched", LIMIT, || {
            let channels = relay.api("/api/v1/channels");
            let channels = channels["channels"].as_array().unwrap();
            channels.len() == 3 && channels.iter().all(|one| one["open"] == true)
        });
        wait_until("all viewers are there", LIMIT, || relay.connections() == 4);
        assert_eq!(sockets_on(5000), 1, "two viewers share one socket");
        assert_eq!((sockets_on(5001), sockets_on(4000)), (1, 1));
        let channels = relay.api("/api/v1/channels");
        let shown: Vec<_> = (channels["channels"].as_array().unwrap().iter())
            .map(|one| (one["name"].as_str().unwrap(), one["relay"] == true))
            .collect();
        let expected =
            [("iptv/one", false), ("rtp/239.3.0.2:5001", true), ("udp/239.3.0.1:5000", true)];
        assert_eq!(shown, expected);
        let status = http::get(relay.http(), "/status");
        assert_eq!(status.status, 200);
        // A connection shows the page of its core.
        assert!(status.text().contains("what its viewers watch"), "{}", status.text());
        for path in ["/udp/239.4.0.1:5000", "/udp/239.1.5.1:4001", "/rtp/224.0.0.1"] {
            assert_eq!(http::get(relay.http(), path).status, 403, "{path}");
        }
        assert_eq!(http::get(relay.http(), "/udp/nonsense").status, 400);
        let views = viewers.map(|viewer| viewer.join().unwrap());
        let [raw, rtp, configured] = feeds.map(Feed::stop);
        for (view, sent) in views.iter().zip([&raw, &raw, &rtp, &configured]) {
            assert_view(&view.bytes, sent);
        }
        drop(views);
        wait_until("the relays are gone", LIMIT, || {
            relay.api("/api/v1/channels")["total"] == 1 && sockets_on(5000) + sockets_on(5001) == 0
        });
        assert!(!is_member([239, 3, 0, 1]) && is_member([239, 1, 5, 1]));
    });
}
