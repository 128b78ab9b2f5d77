//! Viewers as the API counts them, and what a stream without viewers costs.

use super::hls_rules::Playlist;
use super::support::hls::{media_path, variants, watch_until};
use super::support::relay::Relay;
use super::support::{LIMIT, http, wait_until};
use super::{last, publish};

/// Viewers of HLS in transport streams that the API shows for `live/test`, on all cores.
fn viewers(relay: &Relay) -> u64 {
    let stream = relay.stream("live", "test").expect("it is published");
    let cores = stream["viewers"].as_array().expect("by core");
    cores.iter().filter_map(|core| core["by_form"]["hls_ts"].as_u64()).sum()
}

/// Bytes of segments that are held.
fn held(relay: &Relay) -> f64 {
    relay.metric("corelay_memory_bytes", "pool=\"hls\"").unwrap_or_default()
}

fn sessions(relay: &Relay) -> Vec<serde_json::Value> {
    relay.clients().into_iter().filter(|client| client["type"] == "hls-play").collect()
}

#[test]
fn a_viewer_of_both_cores_counts_once_until_it_is_silent() {
    let (relay, _publisher) = publish("hls.session_timeout_ms = 2000\n");
    assert_eq!(sessions(&relay).len(), 0);
    let paths = [(); 2].map(|()| media_path(relay.http(), "/live/test.m3u8"));
    assert_ne!(paths[0], paths[1], "each has a session of its own");
    // The kernel gives each connection to a core of its choice.
    for _ in 0..10 {
        for path in &paths {
            assert_eq!(http::get(relay.http(), path).status, 200, "{path}");
        }
    }
    let found = sessions(&relay);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|one| one["url"] == "/live/test" && one["publish"] == false));
    wait_until("nobody is left", LIMIT, || sessions(&relay).is_empty());
    assert_eq!(viewers(&relay), 0);
}

#[test]
fn one_that_names_no_session_is_known_by_its_address_and_name() {
    let (relay, _publisher) = publish("");
    let (_, path) = variants(relay.http(), "/live/test.m3u8").remove(0);
    let bare = path.split('?').next().unwrap();
    for agent in ["one", "one", "two"] {
        let head = format!("GET {bare} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        let request = format!("{head}User-Agent: {agent}\r\n\r\n");
        assert_eq!(http::request(relay.http(), &request).status, 200);
    }
    let found = sessions(&relay);
    let mut agents: Vec<_> = found.iter().filter_map(|one| one["agent"].as_str()).collect();
    agents.sort_unstable();
    assert_eq!(agents, ["one", "two"], "{found:#?}");
    wait_until("both are viewers", LIMIT, || viewers(&relay) >= 2);
}

#[test]
fn memory_is_given_back_when_nobody_has_asked_for_a_time() {
    let (relay, _publisher) = publish("hls.linger_ms = 1000\nhls.session_timeout_ms = 1000\n");
    let held = || held(&relay);
    assert_eq!(held(), 0.0, "nobody has asked");
    let path = media_path(relay.http(), "/live/test.m3u8");
    // One who asks so seldom that it is given back in between asks again.
    let ask = || http::get(relay.http(), &path);
    wait_until("three segments are held", LIMIT, || ask().status == 200 && held() > 120_000.0);
    wait_until("it is given back", LIMIT, || held() == 0.0);
    // And it is made anew for who comes back.
    wait_until("it is there again", LIMIT, || ask().status == 200 && held() > 0.0);
}

#[test]
fn a_stream_that_is_always_packaged_is_there_at_once() {
    let (relay, _publisher) = publish("hls.always_on = true\n");
    // What nobody has asked for is made.
    wait_until("three segments are held", LIMIT, || held(&relay) > 120_000.0);
    let text = http::get(relay.http(), "/live/test.hls/ts/index.m3u8").text();
    let playlist = Playlist::parse(&text).expect("a playlist");
    assert!(playlist.segments.len() >= 2, "{text}");
    let absent = http::get(relay.http(), "/live/nobody.m3u8");
    assert_eq!(absent.status, 404, "{}", absent.text());
}

#[test]
fn members_of_a_group_are_variants_of_one_playlist() {
    let settings = "[[hls.group]]
        name = \"live/*\"
        members = [\"*\", \"*_720\"]";
    let (relay, _publisher) = publish(settings);
    let tags = super::endless_tags();
    let _other = super::Publisher::start(relay.rtmp(), "live", "test_720", tags);
    relay.await_publisher("live", "test_720");
    let variants = variants(relay.http(), "/live/test.m3u8");
    let paths: Vec<&str> =
        variants.iter().map(|(_, path)| path.split('?').next().unwrap()).collect();
    let expected = ["/live/test.hls/ts/index.m3u8", "/live/test_720.hls/ts/index.m3u8"];
    assert_eq!(paths, expected, "{variants:?}");
    // The dates of segments tell which of them go together, whenever each playlist was loaded.
    let newest = variants.iter().map(|(_, path)| {
        let watched = watch_until(relay.http(), path, |watched| watched.segments.len() >= 2);
        let playlist = last(&watched);
        let segment = playlist.segments.last().expect("segments");
        (segment.msn as i64, segment.date_ms.expect("a date"))
    });
    let newest: Vec<(i64, i64)> = newest.collect();
    let [(one, one_ms), (other, other_ms)] = newest[..] else { panic!("{newest:?}") };
    let off = (one - other) - (one_ms - other_ms) / 1_000;
    assert!(off.abs() <= 2, "numbers go together: {newest:?}");
}
