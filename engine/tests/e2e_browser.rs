//! Chromium with mpegts.js plays FLV and transport streams, over HTTP and WebSocket, from the relay.

mod support;

use std::sync::Mutex;
use std::time::Duration;

use support::ffmpeg;
use support::media::Media;
use support::peer;
use support::relay::Relay;

/// Two browsers at a time would only keep each other waiting.
static ONE_BROWSER: Mutex<()> = Mutex::new(());

/// Opens a page in Chromium that plays the address, until it has advanced some seconds.
fn play_in_browser(relay: &Relay, url: &str) {
    let _one = ONE_BROWSER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let rig = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web");
    let modules = format!("{rig}/node_modules/mpegts.js");
    assert!(std::path::Path::new(&modules).exists(), "mpegts.js is missing: run scripts/setup");
    let script = format!("{rig}/play.mjs");
    let played = peer::run(relay.scratch(), "node", &[&script, url, "3"], Duration::from_secs(120));
    let report: serde_json::Value = serde_json::from_str(played.stdout.trim()).expect("JSON");
    assert_eq!(report["error"], serde_json::Value::Null, "{report}");
    assert!(report["pictures"].as_u64() >= Some(60), "pictures decoded: {report}");
    assert!(report["advanced_s"].as_f64() >= Some(3.0), "the picture moves: {report}");
    assert_eq!(report["width"], 320, "{report}");
    assert_eq!(report["audio"], true, "sound was decoded: {report}");
}

/// Publishes with ffmpeg, and plays what `url` makes of the relay.
fn publish_and_play(url: impl Fn(&Relay) -> String) {
    let relay = Relay::start("");
    let rtmp = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &rtmp);
    relay.await_publisher("live", "test");
    play_in_browser(&relay, &url(&relay));
}

#[test]
fn chromium_plays_http_flv() {
    publish_and_play(|relay| relay.flv_url("live", "test"));
}

#[test]
fn chromium_plays_websocket_flv() {
    publish_and_play(|relay| relay.ws_url("live", "test"));
}

#[test]
fn chromium_plays_http_ts() {
    publish_and_play(|relay| relay.ts_url("live", "test"));
}

#[test]
fn chromium_plays_websocket_ts() {
    publish_and_play(|relay| relay.ts_url("live", "test").replace("http:", "ws:"));
}
