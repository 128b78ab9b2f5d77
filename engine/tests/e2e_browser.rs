//! Chromium plays from the relay: FLV and transport streams by mpegts.js, over HTTP and WebSocket, and
//! HLS by hls.js.

#[allow(dead_code, unreachable_pub)]
#[path = "support/headend.rs"]
mod headend;
#[allow(dead_code, unreachable_pub)]
#[path = "support/line.rs"]
mod line;
mod support;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use headend::{Headend, Sound};
use line::Line;
use support::media::Media;
use support::peer::{self, Peer};
use support::relay::Relay;
use support::secured::Secured;
use support::witness::Publisher;
use support::{LIMIT, Scratch, ffmpeg, hls, wait_until};

/// Two browsers at a time would only keep each other waiting.
static ONE_BROWSER: Mutex<()> = Mutex::new(());

/// Opens a page in Chromium that plays the address, until it has advanced some seconds: its report.
fn watch(scratch: &Scratch, url: &str, seconds: u32, options: &[&str]) -> Value {
    let _one = ONE_BROWSER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let rig = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web");
    for library in ["mpegts.js", "hls.js"] {
        let modules = format!("{rig}/node_modules/{library}");
        let is_there = std::path::Path::new(&modules).exists();
        assert!(is_there, "{library} is missing: run scripts/setup");
    }
    let (script, seconds) = (format!("{rig}/play.mjs"), seconds.to_string());
    let args = [&[&script, url, &seconds], options].concat();
    let played = peer::run(scratch, "node", &args, Duration::from_secs(120));
    let report: Value = serde_json::from_str(played.stdout.trim()).expect("JSON");
    assert_eq!(report["error"], Value::Null, "{report}");
    report
}

/// The same, and the picture moves and is heard.
fn play_in_browser(scratch: &Scratch, url: &str) -> Value {
    let report = watch(scratch, url, 3, &[]);
    assert!(report["pictures"].as_u64() >= Some(60), "pictures decoded: {report}");
    assert!(report["advanced_s"].as_f64() >= Some(3.0), "the picture moves: {report}");
    assert_eq!(report["width"], 320, "{report}");
    assert_eq!(report["audio"], true, "sound was decoded: {report}");
    report
}

/// Publishes with ffmpeg, and plays what `url` makes of the relay.
fn publish_and_play(url: impl Fn(&Relay) -> String) -> Value {
    let relay = Relay::start("hls.segment_ms = 1000");
    let rtmp = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &rtmp);
    relay.await_publisher("live", "test");
    play_in_browser(relay.scratch(), &url(&relay))
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

#[test]
fn chromium_plays_hls_in_both_forms() {
    for form in ["ts", "fmp4"] {
        let query = format!("?form={form}");
        let report = publish_and_play(|relay| hls::url(relay, "live", "test", &query));
        assert!(report["segments"].as_u64() >= Some(3), "{report}");
        assert_eq!(report["parts"], 0, "{report}");
    }
}

#[test]
fn chromium_plays_low_latency_hls_part_by_part() {
    let query = "?form=fmp4&low_latency";
    let report = publish_and_play(|relay| hls::url(relay, "live", "test", query));
    assert!(report["parts"].as_u64() >= Some(6), "{report}");
    // The figure is for a human: a busy machine falls behind.
    assert!(report["latency_s"].is_number(), "{report}");
}

#[test]
fn chromium_plays_encrypted_frames_part_by_part() {
    let scratch = Scratch::new("browser");
    let key = scratch.file("hls.key");
    std::fs::write(&key, b"sixteen byte key").expect("scratch is writable");
    let settings = format!(
        "hls.segment_ms = 1000\nhls.key = \"{}\"\nhls.encryption = \"sample-aes\"\n",
        key.display()
    );
    let relay = Relay::start(&settings);
    let rtmp = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &rtmp);
    relay.await_publisher("live", "test");
    // hls.js decrypts H.264 and AAC of transport streams by itself.
    let url = hls::url(&relay, "live", "test", "?form=ts&low_latency");
    let report = play_in_browser(relay.scratch(), &url);
    assert!(report["parts"].as_u64() >= Some(6), "{report}");
}

#[test]
fn chromium_plays_low_latency_hls_by_https_with_http_2() {
    let secured = Secured::start("hls.segment_ms = 1000");
    let relay = &secured.relay;
    let rtmp = relay.rtmp_url("live", "test");
    let _publisher = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &rtmp);
    relay.await_publisher("live", "test");
    let url = format!("https://127.0.0.1:{}/live/test.m3u8?low_latency", relay.https_port());
    let report = play_in_browser(relay.scratch(), &url);
    assert!(report["parts"].as_u64() >= Some(6), "{report}");
    assert!(relay.metric("corelay_http2_connections_total", "") >= Some(1.0));
}

#[test]
fn chromium_plays_sound_alone_by_hls() {
    let relay = Relay::start("hls.segment_ms = 1000");
    let tags = Media::AudioOnly.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", tags);
    relay.await_publisher("live", "test");
    let url = hls::url(&relay, "live", "test", "");
    let report = watch(relay.scratch(), &url, 3, &["sound_only"]);
    assert_eq!((&report["audio"], &report["width"]), (&true.into(), &0.into()), "{report}");
}

#[test]
fn chromium_plays_av1_by_hls() {
    let relay = Relay::start("hls.segment_ms = 1000");
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", Media::Av1.tags());
    relay.await_publisher("live", "test");
    let report = watch(relay.scratch(), &hls::url(&relay, "live", "test", ""), 3, &[]);
    assert!(report["pictures"].as_u64() >= Some(60), "pictures decoded: {report}");
    assert_eq!(report["width"], 320, "{report}");
}

#[test]
fn chromium_shows_the_subtitles_of_a_headend_in_both_forms() {
    for form in ["ts", "fmp4"] {
        let relay = Relay::start("hls.segment_ms = 1000");
        let sounds = vec![Sound::Aac];
        let settings = headend::Settings { has_subtitles: true, sounds, ..Default::default() };
        let line = Line::start(&relay, Headend::new(settings));
        relay.await_publisher("iptv", "news");
        let url = hls::url(&relay, "iptv", "news", &format!("?form={form}"));
        let report = watch(relay.scratch(), &url, 3, &["subtitles"]);
        line.stop();
        let tracks = serde_json::json!([{ "name": "Deutsch", "lang": "de" }]);
        assert_eq!(report["subtitle_tracks"], tracks, "{report}");
        for cue in report["cues"].as_array().expect("a list") {
            let time = |name: &str| cue[name].as_f64().expect("a time");
            let lines: Vec<&str> = cue["text"].as_str().expect("text").lines().collect();
            let ["Gr\u{fc}\u{df}e"] = lines[1..] else { panic!("{report}") };
            let pts = lines[0].trim_start_matches("<c.yellow>").trim_end_matches("</c>");
            let pts: f64 = pts.parse().expect("a presentation time");
            let at_s = (pts - report["init_pts"].as_f64().expect("a time")) / 90_000.0;
            // The beginning may have been cut with a segment; packets keep their clock, units do not.
            let is_inside = (at_s - 0.01..at_s + 1.01).contains(&time("startTime"));
            assert!(form != "ts" || is_inside, "{at_s}: {report}");
            assert!((0.01..1.02).contains(&(time("endTime") - time("startTime"))), "{report}");
        }
    }
}

#[test]
fn chromium_goes_on_when_the_publisher_comes_back() {
    let relay = Relay::start("hls.segment_ms = 1000");
    let publish = || Publisher::start(relay.rtmp(), "live", "test", Media::AudioVideo.tags());
    let publisher = publish();
    relay.await_publisher("live", "test");
    let url = hls::url(&relay, "live", "test", "");
    let scratch = Scratch::new("browser");
    let page = thread::spawn(move || watch(&scratch, &url, 9, &[]));
    let has_viewer = || {
        relay
            .clients()
            .iter()
            .any(|one| one["send_bytes"].as_u64() > Some(300_000) && one["type"] == "hls-play")
    };
    wait_until("the page plays", LIMIT * 2, has_viewer);
    publisher.stop();
    thread::sleep(Duration::from_millis(300));
    let _publisher = publish();
    let report = page.join().expect("the page goes on");
    let parts = report["discontinuities"].as_array().expect("a list");
    assert!(parts.len() >= 2, "on both sides of the discontinuity: {report}");
}

#[test]
fn chromium_switches_between_the_variants_of_a_group() {
    let relay = Relay::start(
        "hls.segment_ms = 1000
         [[hls.group]]
         name = \"live/news\"
         members = [\"news_low\", \"news_high\"]",
    );
    let low = relay.rtmp_url("live", "news_low");
    let _low = ffmpeg::publish_forever(relay.scratch(), Media::AudioVideo, &low);
    let _high = publish_larger(&relay, &relay.rtmp_url("live", "news_high"));
    for name in ["news_low", "news_high"] {
        relay.await_publisher("live", name);
    }
    let url = hls::url(&relay, "live", "news", "");
    let report = watch(relay.scratch(), &url, 4, &["switch_level"]);
    let levels = report["levels"].as_array().expect("a list");
    let heights: Vec<_> = levels.iter().map(|level| level["height"].as_u64().unwrap()).collect();
    assert_eq!(heights, [180, 270], "{report}");
    assert_eq!((&report["left_width"], &report["width"]), (&320.into(), &480.into()), "{report}");
}

/// Publishes pictures of another size with ffmpeg.
fn publish_larger(relay: &Relay, url: &str) -> Peer {
    let picture = "testsrc2=size=480x270:rate=25";
    let args = ["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", picture, "-f", "lavfi"];
    let sound = ["-i", "sine=frequency=330:sample_rate=44100", "-c:a", "aac", "-ac", "2"];
    let video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
    let args = [&args[..], &sound, &video, &["-f", "flv", url]].concat();
    Peer::spawn(relay.scratch(), "ffmpeg", &args)
}
