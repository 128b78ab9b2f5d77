//! What the relay must reach, and whether it did.

use super::row::{Quantiles, Row};
use super::server::NGINX_WITHOUT_SENDFILE;
use super::tables::aligned;
use super::transport_cases::FORWARD;
use super::{hls_cases, tls_cases};

/// One target.
struct Target {
    what: &'static str,
    /// The most that is good.
    limit: f64,
    /// The figure; `None` when the case was not run.
    value: Option<f64>,
}

/// The table of targets.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![["target", "limit", "measured", ""].map(str::to_owned).to_vec()];
    for Target { what, limit, value } in targets(rows) {
        let Some(value) = value.filter(|value| value.is_finite()) else { continue };
        let verdict = if value <= limit { "reached" } else { "missed" };
        lines.push(vec![
            what.to_owned(),
            format!("{limit}"),
            format!("{value:.3}"),
            verdict.to_owned(),
        ]);
    }
    aligned(&lines)
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let find = |case: &str, server: &str| {
        rows.iter().find(|row| row.case == case && row.server == server && row.rounds > 0)
    };
    let fan_out = |server: &str| find("fan-out", server);
    let floor = |case: &str, server: &str| find(case, server)?.floor_ratio;
    let nginx = |case: &str, server: &str| find(case, server)?.nginx_ratio;
    let latency = |case: &str, quantile: fn(&Quantiles) -> f64| {
        Some(quantile(&find(case, "corelay")?.latency_us?) / 1e3)
    };
    let cost = |case: &str, server: &str| Some(find(case, server)?.cpu_s_per_gbit);
    let small = |players: &str| cost(&format!("players {players} small"), "corelay");
    let gap_p99 = |case: &str| Some(find(case, "corelay")?.interarrival_us?.p99);
    let target = |what, limit, value| Target { what, limit, value };
    let mut all = vec![
        target("RTMP at 40 ms, cost x floor", 1.15, floor("fan-out", "corelay 40 ms")),
        target("RTMP at 120 ms, cost x floor", 1.15, floor("fan-out", "corelay 120 ms")),
        target("RTMP at 350 ms, cost x floor", 1.15, floor("fan-out", "corelay 350 ms")),
        target("HTTP-FLV at 40 ms, cost x floor", 1.15, floor("http-flv", "corelay 40 ms")),
        target("HTTP-FLV at 120 ms, cost x floor", 1.15, floor("http-flv", "corelay 120 ms")),
        target("HTTP-FLV at 350 ms, cost x floor", 1.15, floor("http-flv", "corelay 350 ms")),
        target("HTTP-TS at 40 ms, cost x floor", 1.15, floor("http-ts", "corelay 40 ms")),
        target("HTTP-TS at 350 ms, cost x floor", 1.15, floor("http-ts", "corelay 350 ms")),
        target("RTMP at 40 ms, cost x nginx", 0.55, nginx("fan-out", "corelay 40 ms")),
        target("RTMP at 120 ms, cost x nginx", 0.3, nginx("fan-out", "corelay 120 ms")),
        target("RTMP at 350 ms, cost x nginx", 0.2, nginx("fan-out", "corelay 350 ms")),
        target("4 players, latency p50 ms", 0.3, latency("idle latency", |all| all.p50)),
        target("4 players, latency p99 ms", 0.7, latency("idle latency", |all| all.p99)),
        target("1,000 players, latency p50 ms", 5.0, latency("fan-out", |all| all.p50)),
        target("1,000 players, latency p99 ms", 12.0, latency("fan-out", |all| all.p99)),
        target("1,000 players, CPU-s/Gbit", 0.11, cost("fan-out", "corelay")),
        target(
            "KiB of RSS per RTMP player",
            4.0,
            fan_out("corelay").and_then(|row| row.kib_per_player),
        ),
        target(
            "KiB of RSS per HTTP-FLV player",
            4.0,
            find("http-flv", "corelay").and_then(|row| row.kib_per_player),
        ),
        target(
            "RSS with one stream, MiB",
            16.0,
            fan_out("corelay").map(|row| row.rss_before_kib / 1024.0),
        ),
        target(
            "10,000 players against 1,000 at 96 kbit/s, cost",
            1.1,
            small("10000").zip(small("1000")).map(|(many, few)| many / few),
        ),
        target(
            "10,000 players: failed, closed and dropped",
            0.0,
            find("players 10000 small", "corelay")
                .map(|row| (row.failed + row.closed + row.drops) as f64),
        ),
        target(
            "one slow tenth: healthy p99 gap against without",
            1.1,
            gap_p99("one slow tenth").zip(gap_p99("healthy")).map(|(with, without)| with / without),
        ),
        target(
            "two data cores against one, cost",
            1.1,
            cost("two cores", "corelay 2 cores")
                .zip(cost("two cores", "corelay 1 core"))
                .map(|(two, one)| two / one),
        ),
        target(
            "join storm, first keyframe p99 ms",
            50.0,
            find("join storm", "corelay").and_then(|row| Some(row.join_ms?.p99)),
        ),
        target("ingest of 100, cost x nginx", 0.4, nginx("ingest 100", "corelay")),
        target("ingest of 500, cost x nginx", 0.4, nginx("ingest 500", "corelay")),
        target("peers not beaten in cost and p50", 0.0, not_beaten(rows, |all| all.p50)),
        target("peers not beaten in cost and p99", 0.0, not_beaten(rows, |all| all.p99)),
    ];
    all.extend(of_transport_streams(&find));
    all.extend(of_hls_and_tls(&find));
    all
}

fn of_transport_streams<'a>(find: &dyn Fn(&str, &str) -> Option<&'a Row>) -> Vec<Target> {
    let forward = find(FORWARD, "corelay");
    let delivery = forward.and_then(|row| row.delivery.as_ref());
    let target = |what, limit, value| Target { what, limit, value };
    let beyond_1_ms =
        |case: &str| Some(1.0 - find(case, "corelay")?.delivery.as_ref()?.within_1_ms?);
    let analysis = |what: &str| find("analysis", what)?.ns_per_packet;
    vec![
        target("UDP forward, lost and altered", 0.0, {
            delivery.map(|delivery| (delivery.lost + delivery.altered) as f64)
        }),
        target("UDP forward, share of a core", 0.25, forward.map(|row| row.cpu_share)),
        target("UDP forward, cost x multicat", 0.35, forward.and_then(|row| row.multicat_ratio)),
        target("UDP forward, residence p50 us", 100.0, {
            delivery.and_then(|delivery| delivery.residence_p50_us)
        }),
        target("UDP forward, residence p99 us", 1_000.0, {
            delivery.and_then(|delivery| delivery.residence_p99_us)
        }),
        target("UDP paced, 1 output: share beyond 1 ms", 0.001, beyond_1_ms("udp-paced 1")),
        target("UDP paced, 20 outputs: share beyond 1 ms", 0.001, beyond_1_ms("udp-paced 20")),
        target("UDP paced, 100 outputs: share beyond 1 ms", 0.001, beyond_1_ms("udp-paced 100")),
        target("analysis of 1 stream, ns a packet", 30.0, analysis("corelay, 1 stream")),
        target("analysis of 100 streams, ns a packet", 30.0, analysis("corelay, 100 streams")),
    ]
}

fn of_hls_and_tls<'a>(find: &dyn Fn(&str, &str) -> Option<&'a Row>) -> Vec<Target> {
    let target = |what, limit, value| Target { what, limit, value };
    let relay = |case: &str| find(case, "corelay");
    let faults = |row: &Row| row.hls.as_ref().map(|hls| (row.failed + hls.errors) as f64);
    let gap = |case: &str| Some(relay(case)?.interarrival_us?.p999);
    vec![
        target("HLS segments, cost x nginx", 1.0, {
            relay(hls_cases::SEGMENTS).and_then(|row| row.nginx_ratio)
        }),
        target("HLS segments, failed and wrong", 0.0, {
            relay(hls_cases::SEGMENTS).and_then(faults)
        }),
        target("HLS playlists, nginx's requests per CPU-s x ours", 0.667, {
            relay(hls_cases::PLAYLISTS).and_then(|row| Some(1.0 / row.nginx_rate_ratio?))
        }),
        target("HLS playlists, the same without sendfile", 0.667, {
            find(hls_cases::PLAYLISTS, NGINX_WITHOUT_SENDFILE)
                .zip(relay(hls_cases::PLAYLISTS))
                .and_then(|(nginx, own)| Some(nginx.nginx_rate_ratio? / own.nginx_rate_ratio?))
        }),
        target("LL-HLS, p99 of parts beyond their target, ms", 20.0, {
            relay(hls_cases::LATENCY).and_then(|row| row.hls.as_ref()?.beyond_part_target_ms())
        }),
        target("200 streams in segments: memory added x held", 1.05, {
            relay(hls_cases::MEMORY).and_then(|row| row.held_ratio)
        }),
        target("HTTPS-FLV at 40 ms, cost x (floor + AES)", 1.3, {
            find(tls_cases::FLV, "corelay 40 ms").and_then(|row| row.secure_ratio)
        }),
        target("RTMPS at 40 ms, cost x (floor + AES)", 1.3, {
            find(tls_cases::RTMPS, "corelay 40 ms").and_then(|row| row.secure_ratio)
        }),
        target("1,000 handshakes/s: p99.9 gap against without", 2.0, {
            gap(tls_cases::STORM).zip(gap(tls_cases::ALONE)).map(|(with, without)| with / without)
        }),
    ]
}

/// Peers of the fan-out that no setting of the relay beats: it is dearer than they are, or later.
/// `None` without peers.
fn not_beaten(rows: &[Row], quantile: fn(&Quantiles) -> f64) -> Option<f64> {
    let fan_out = rows.iter().filter(|row| row.case == "fan-out" && row.rounds > 0);
    let point = |row: &Row| Some((row.cpu_s_per_gbit, quantile(&row.latency_us?)));
    let (relay, peers): (Vec<_>, Vec<_>) = fan_out.partition(|row| row.is_corelay());
    let relay: Vec<(f64, f64)> = relay.into_iter().filter_map(point).collect();
    let peers: Vec<(f64, f64)> = peers.into_iter().filter_map(point).collect();
    let is_beaten = |(cost, latency): &&(f64, f64)| {
        relay.iter().any(|(own_cost, own_latency)| own_cost <= cost && own_latency <= latency)
    };
    let left = peers.len() - peers.iter().filter(is_beaten).count();
    (!relay.is_empty() && !peers.is_empty()).then_some(left as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::delivery::Delivery;

    #[test]
    fn targets_of_cases_that_were_not_run_are_left_out() {
        let mut row = Row {
            case: "ingest 100".to_owned(),
            server: "corelay".to_owned(),
            rounds: 1,
            cpu_s_per_gbit: 0.3,
            nginx_ratio: Some(0.41),
            ..Row::default()
        };
        let missed = table(std::slice::from_ref(&row));
        assert_eq!(missed.lines().count(), 3);
        assert!(missed.contains("missed"), "{missed}");
        row.nginx_ratio = Some(0.4);
        assert!(table(&[row]).contains("reached"));
    }

    #[test]
    fn datagrams_are_judged_by_what_came_of_them() {
        let delivery = Delivery { lost: 1, within_1_ms: Some(0.998), ..Delivery::default() };
        let row = |case: &str| Row {
            case: case.to_owned(),
            server: "corelay".to_owned(),
            rounds: 1,
            cpu_share: 0.2,
            delivery: Some(delivery.clone()),
            ..Row::default()
        };
        let text = table(&[row(FORWARD), row("udp-paced 20")]);
        let verdict = |what: &str| {
            let line = text.lines().find(|line| line.contains(what)).unwrap();
            line.contains("reached")
        };
        assert!(!verdict("lost and altered") && verdict("share of a core"), "{text}");
        assert!(!verdict("20 outputs"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    #[test]
    fn a_peer_is_beaten_by_a_setting_that_is_both_cheaper_and_sooner() {
        let row = |server: &str, cost, p50| Row {
            case: "fan-out".to_owned(),
            server: server.to_owned(),
            rounds: 1,
            cpu_s_per_gbit: cost,
            latency_us: Some(Quantiles { p50, ..Quantiles::default() }),
            ..Row::default()
        };
        let relay = [row("corelay", 0.1, 5_000.0), row("corelay 350 ms", 0.04, 170_000.0)];
        let left = |peer: Row| {
            let rows = [relay[0].clone(), relay[1].clone(), peer];
            not_beaten(&rows, |all| all.p50)
        };
        assert_eq!(left(row("nginx-rtmp", 0.3, 7_000.0)), Some(0.0));
        assert_eq!(left(row("peer", 0.06, 160_000.0)), Some(1.0));
        assert_eq!(left(row("peer", 0.3, 1_000.0)), Some(1.0));
        assert_eq!(not_beaten(&relay, |all| all.p50), None);
    }
}
