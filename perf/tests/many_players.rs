//! The load generator against the relay: many players of one stream on one data core.
//!
//! `CORELAY_PERF_PLAYERS` is the number of players, 200 when it is not set: an unoptimised relay on
//! a busy machine serves as many with ease. A release build is asked for 1,000.

mod common;
#[path = "common/relay.rs"]
mod relay;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{perf, scratch};
use corelay_perf::sys::process::{Usage, family};
use relay::relay_program;
use serde_json::Value;

const SETTINGS: &str = r#"
cores.data = [0]
rtmp.listen = ["127.0.0.1:0"]
http.listen = ["127.0.0.1:0"]
ts.listen = []
admin.listen = "127.0.0.1:0"
limits.connections_per_ip_max = 20000
logging.level = "warn"
"#;

const SECONDS: &str = "8";

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the relay and returns it with its RTMP and HTTP addresses.
fn start_relay(scratch: &Path) -> (Running, String, String) {
    let settings = scratch.join("corelay.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let mut child = Command::new(relay_program())
        .arg("--config")
        .arg(&settings)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let relay = Running(child);
    let mut lines = output.lines().map_while(Result::ok);
    let banner: Vec<String> = lines.by_ref().take_while(|line| line != "ready").collect();
    // The relay logs there too: somebody has to read it.
    std::thread::spawn(move || lines.for_each(drop));
    let address = |kind: &str| {
        let prefix = format!("listening {kind} ");
        let line = banner.iter().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no `{prefix}` in {banner:?}")).to_owned()
    };
    let (rtmp, http) = (address("rtmp"), address("http"));
    (relay, rtmp, http)
}

fn play(scratch: &Path, url: &str, players: u64) -> Value {
    let result = scratch.join("play.json");
    let players = players.to_string();
    let status = perf(&["play", "--url", url, "--players", &players, "--seconds", SECONDS])
        .args(["--sample", "10", "--ramp", "500", "--json"])
        .arg(&result)
        .status()
        .unwrap();
    assert!(status.success(), "play {url}: {status}");
    serde_json::from_reader(File::open(&result).unwrap()).unwrap()
}

/// What must hold for every run of players.
fn check(result: &Value, players: u64) {
    let number = |name: &str| result[name].as_u64().unwrap_or_else(|| panic!("{name}: {result:#}"));
    assert_eq!(number("joined"), players, "{result:#}");
    for nothing in ["failed", "closed", "frames_missed", "timestamp_errors"] {
        assert_eq!(number(nothing), 0, "{nothing}: {result:#}");
    }
    let bytes = |name: &str| result["bytes_per_player"][name].as_f64().unwrap();
    let median = bytes("median");
    assert!(bytes("min") > 0.6 * median && bytes("max") < 1.5 * median, "{result:#}");
    // 2 Mbit/s of video over the window, less one group of pictures on either side at most, and what a busy
    // machine brings before or behind it.
    let window_s = result["window_s"].as_f64().unwrap();
    let expected = 250_000.0 * window_s;
    assert!((0.4 * expected..1.6 * expected).contains(&median), "{expected} and {result:#}");
    assert!(result["latency_us"]["count"].as_u64().unwrap() > 100, "{result:#}");
}

#[test]
fn all_players_of_a_2_mbit_stream_are_served_alike_and_memory_stays_small() {
    let players = std::env::var("CORELAY_PERF_PLAYERS").map_or(200, |text| text.parse().unwrap());
    let scratch = scratch("alike");
    let (relay, rtmp, http) = start_relay(&scratch);
    let url = format!("rtmp://{rtmp}/live/a");
    let stamped = ["publish", "--url", &url, "--stamp", "--seconds", "120"];
    let publisher = Running(perf(&stamped).stdout(Stdio::null()).spawn().unwrap());

    check(&play(&scratch, &url, players), players);
    let usage = Usage::of(&family(relay.0.id())).unwrap();
    check(&play(&scratch, &format!("http://{http}/live/a.flv"), 20), 20);
    check(&play(&scratch, &format!("ws://{http}/live/a.flv"), 20), 20);

    // An unoptimised build has the same data in memory and a larger program around it.
    let limit_kib = if cfg!(debug_assertions) { 80_000 } else { 40_000 };
    let peak_kib = usage.rss_peak_kib;
    assert!(peak_kib < limit_kib, "{peak_kib} KiB for {players} players");
    drop((publisher, relay));
    std::fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn a_stream_that_nobody_publishes_lets_players_fail_and_not_hang() {
    let scratch = scratch("absent");
    let (_relay, _, http) = start_relay(&scratch);
    let result = scratch.join("play.json");
    let url = format!("http://{http}/live/absent.flv");
    let status = perf(&["play", "--url", &url, "--players", "3", "--seconds", "0.1", "--json"])
        .arg(&result)
        .status()
        .unwrap();
    assert!(status.success());
    let result: Value = serde_json::from_reader(File::open(&result).unwrap()).unwrap();
    assert_eq!((result["joined"].as_u64(), result["failed"].as_u64()), (Some(0), Some(3)));
    assert!(result["reasons"].to_string().contains("404"), "{result:#}");
    std::fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn players_that_come_and_go_all_get_a_keyframe() {
    let scratch = scratch("churn");
    let (_relay, rtmp, _) = start_relay(&scratch);
    let url = format!("rtmp://{rtmp}/live/a");
    let publish = ["publish", "--url", &url, "--seconds", "60"];
    let _publisher = Running(perf(&publish).stdout(Stdio::null()).spawn().unwrap());
    let result = scratch.join("play.json");
    let play = ["play", "--url", &url, "--players", "20", "--churn", "100", "--seconds", "3"];
    let status = perf(&play).arg("--json").arg(&result).status().unwrap();
    assert!(status.success());
    let result: Value = serde_json::from_reader(File::open(&result).unwrap()).unwrap();
    let number = |name: &str| result[name].as_u64().unwrap();
    assert!(number("rejoined") > 20, "{result:#}");
    assert_eq!((number("joined"), number("failed"), number("closed")), (20, 0, 0), "{result:#}");
    // Those that are underway when the run ends are no failures: the more of them, the busier the machine.
    assert!(number("left_early") < number("rejoined"), "{result:#}");
    std::fs::remove_dir_all(scratch).unwrap();
}
