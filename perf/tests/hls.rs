//! HLS and TLS in the bench, from end to end, with so few players and such short windows that nothing
//! is measured.

mod common;
#[path = "common/relay.rs"]
mod relay;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{perf, scratch};
use relay::relay_program;
use serde_json::Value;

/// Runs quick cases with 5 players and windows of two segments, and returns the report.
fn bench(output: &Path, cases: &[&str]) -> Value {
    let mut command = perf(&["bench", "--quick", "--players-max", "5", "--window", "4"]);
    for case in cases {
        command.args(["--only", case]);
    }
    command.arg("--corelay").arg(relay_program()).arg("--output").arg(output);
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "bench {cases:?}: {status}");
    serde_json::from_reader(File::open(output.join("report.json")).unwrap()).unwrap()
}

fn row<'a>(report: &'a Value, case: &str, server: &str) -> &'a Value {
    let rows = report["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["case"] == case && row["server"] == server);
    found.unwrap_or_else(|| panic!("no row of {server} in {case}: {report:#}"))
}

/// Players that all got what they asked for.
fn check(row: &Value) {
    assert!(row["errors"].as_array().unwrap().is_empty(), "{row:#}");
    for nothing in ["failed", "closed"] {
        assert_eq!(row[nothing], 0, "{nothing}: {row:#}");
    }
    assert!(row["cpu_s_per_gbit"].as_f64().unwrap() > 0.0, "{row:#}");
}

/// The bench needs one CPU for the servers and one for the load.
fn has_two_cpus() -> bool {
    let two = std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() >= 2);
    if !two {
        eprintln!("not tested: there is one CPU only");
    }
    two
}

#[test]
fn the_relay_and_nginx_serve_the_same_segments_and_playlists() {
    if !has_two_cpus() {
        return;
    }
    if Command::new("nginx").arg("-v").output().is_err() {
        return eprintln!("not tested: scripts/setup installs nginx");
    }
    let folder = scratch("hls");
    let report = bench(&folder, &["hls-segments", "hls-playlists"]);
    for server in ["corelay", "nginx"] {
        let segments = row(&report, "hls-segments", server);
        check(segments);
        let number = |name: &str| segments["hls"][name].as_f64().unwrap();
        // Two segments of 2 s each, one more or less at the edges, and later ones on a busy machine.
        assert!((1.0..=30.0).contains(&number("segments")), "{segments:#}");
        let mbit_s = segments["delivered_mbps"].as_f64().unwrap();
        assert!((1.0..35.0).contains(&mbit_s), "{segments:#}");
        let playlists = row(&report, "hls-playlists", server);
        check(playlists);
        assert!(playlists["hls"]["playlists_per_s"].as_f64().unwrap() > 10.0, "{playlists:#}");
        assert!(playlists["nginx_rate_ratio"].as_f64().unwrap() > 0.01, "{playlists:#}");
    }
    assert!(row(&report, "hls-segments", "corelay")["nginx_ratio"].is_number());
    let text = fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(text.contains("## hls-segments") && text.contains("playlist ms p50 / p99"), "{text}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn parts_arrive_when_their_last_frame_is_there() {
    if !has_two_cpus() {
        return;
    }
    let folder = scratch("low-latency");
    let report = bench(&folder, &["hls-latency"]);
    let row = row(&report, "hls-latency", "corelay");
    check(row);
    let latency = |name: &str| row["hls"]["part_latency_us"][name].as_f64().unwrap();
    let target_us = row["hls"]["part_target_ms"].as_f64().unwrap() * 1e3;
    // The last part of a segment may be a single frame. None is there before its frames are.
    assert!((0.5 * target_us..target_us + 10_000_000.0).contains(&latency("p50")), "{row:#}");
    assert!(latency("p50") <= latency("p99"), "{row:#}");
    assert_eq!(row["runs"][0]["hls"]["unstamped"], 0, "{row:#}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn players_by_tls_have_a_floor_with_encryption_and_stand_a_storm() {
    if !has_two_cpus() {
        return;
    }
    let folder = scratch("tls");
    let report = bench(&folder, &["tls-flv", "tls-handshakes"]);
    let flv = row(&report, "tls-flv", "corelay 40 ms");
    check(flv);
    assert_eq!(flv["protocol"], "https-flv");
    assert!((2.0..30.0).contains(&flv["delivered_mbps"].as_f64().unwrap()), "{flv:#}");
    assert!(flv["latency_us"]["p50"].as_f64().unwrap() < 30_000_000.0, "{flv:#}");
    assert!((0.1..100.0).contains(&flv["secure_ratio"].as_f64().unwrap()), "{flv:#}");
    check(row(&report, "tls-flv", "AES-128-GCM"));
    let storm = row(&report, "tls-handshakes", "corelay");
    check(storm);
    let handshakes = &storm["runs"][0]["handshakes"];
    assert!(handshakes["done"].as_u64().unwrap() > 10, "{storm:#}");
    assert_eq!(handshakes["failed"], 0, "{storm:#}");
    let text = fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(text.contains("x the floor and AES-128-GCM together"), "{text}");
    fs::remove_dir_all(folder).unwrap();
}
