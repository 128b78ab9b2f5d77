//! `/api/v1/summaries` and `/api/v1/versions`: the server as a whole. SRS's fields are in `self`.

use std::collections::BTreeMap;
use std::sync::Arc;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::certificates::Certificate;
use super::process::Usage;
use crate::control::metrics::latency;
use crate::shard::ShardSnapshot;
use crate::stats::{Cell, CoreStats, Failure, SkipReason};

/// What a summary is made of.
#[derive(Debug)]
pub(in crate::control) struct Whole {
    /// The counters of every core.
    pub(in crate::control) stats: Vec<Arc<CoreStats>>,
    /// The cores that answered.
    pub(in crate::control) shards: Vec<ShardSnapshot>,
    /// Memory and processor time.
    pub(in crate::control) usage: Usage,
    /// Milliseconds since the server started.
    pub(in crate::control) uptime_ms: u64,
    /// Milliseconds since 1970.
    pub(in crate::control) now_ms: u64,
    /// Cores that were rung because they stood still.
    pub(in crate::control) rescues: u64,
    /// Bytes used of the budget of logs.
    pub(in crate::control) budget_used: u64,
    /// Bytes of that budget.
    pub(in crate::control) budget_max: u64,
    /// What is shown by TLS.
    pub(in crate::control) certificates: Vec<Certificate>,
}

/// The reply's `data`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    ok: bool,
    now_ms: u64,
    #[serde(rename = "self")]
    own: Own,
    uptime_ms: u64,
    cpu_s: f64,
    memory: Memory,
    totals: Totals,
    cores: Vec<Core>,
    drops: Drops,
    watchdog_rescues: u64,
    relay_latency_us: Latency,
}

#[derive(Debug, Serialize)]
struct Own {
    version: &'static str,
    pid: u32,
    mem_kbyte: u64,
    /// Seconds.
    srs_uptime: u64,
}

#[derive(Debug, Serialize)]
struct Memory {
    resident_bytes: u64,
    /// Segments of egress logs, all cores.
    logs_bytes: u64,
    /// Groups of pictures kept by the owners of streams.
    gop_bytes: u64,
    /// Both together, as the ceiling counts them.
    budget_used_bytes: u64,
    /// The ceiling, `memory.logs_bytes_max`.
    budget_max_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Totals {
    connections: u64,
    publishers: u64,
    viewers: u64,
    streams: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug, Serialize)]
struct Core {
    core: usize,
    /// It answered within a second.
    answers: bool,
    /// Share of time that its thread ran, 0 to 1.
    busy: f64,
    flush_interval_ms: f64,
    connections: u64,
    accepted: u64,
    publishers: u64,
    viewers: u64,
    streams: u64,
    bytes_in: u64,
    bytes_out: u64,
    units_in: u64,
    sends: u64,
    blocked: u64,
    ring_drops: u64,
    control_delayed: u64,
    log_bytes: u64,
    heartbeat: u64,
}

#[derive(Debug, Serialize)]
struct Drops {
    /// Units that found a ring between cores full.
    ring: u64,
    /// Skips of slow viewers.
    skips: BTreeMap<&'static str, u64>,
    /// Connections ended for a fault, and newcomers refused.
    failures: BTreeMap<&'static str, u64>,
    malformed_tags: u64,
    log_lines: u64,
}

#[derive(Debug, Serialize)]
struct Latency {
    count: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

/// `data` of `/api/v1/versions`.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    revision: u32,
    version: &'static str,
    name: &'static str,
}

impl Summary {
    /// Sums up.
    pub(super) fn of(whole: &Whole) -> Self {
        let Whole { stats, shards, usage, .. } = whole;
        let sum = |of: fn(&CoreStats) -> &Cell| stats.iter().map(|core| of(core).load()).sum();
        let logs_bytes = sum(|core| &core.log_bytes);
        Self {
            ok: shards.len() == stats.len(),
            now_ms: whole.now_ms,
            own: Own {
                version: VERSION,
                pid: std::process::id(),
                mem_kbyte: usage.resident_bytes / 1_024,
                srs_uptime: whole.uptime_ms / 1_000,
            },
            uptime_ms: whole.uptime_ms,
            cpu_s: usage.cpu_seconds,
            memory: Memory {
                resident_bytes: usage.resident_bytes,
                logs_bytes,
                gop_bytes: whole.budget_used.saturating_sub(logs_bytes),
                budget_used_bytes: whole.budget_used,
                budget_max_bytes: whole.budget_max,
            },
            totals: Totals {
                connections: sum(|core| &core.connections),
                publishers: sum(|core| &core.publishers),
                viewers: sum(|core| &core.viewers),
                streams: sum(|core| &core.streams),
                bytes_in: sum(|core| &core.bytes_in),
                bytes_out: sum(|core| &core.bytes_out),
            },
            cores: (0..).zip(stats).map(|(index, core)| one(index, core, shards)).collect(),
            drops: drops(stats),
            watchdog_rescues: whole.rescues,
            relay_latency_us: Latency::of(&latency::merged(shards)),
        }
    }
}

impl Version {
    /// The version of this program.
    pub(super) fn of_this_program() -> Self {
        let part = |text: &str| text.parse().unwrap_or(0);
        Self {
            major: part(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: part(env!("CARGO_PKG_VERSION_MINOR")),
            revision: part(env!("CARGO_PKG_VERSION_PATCH")),
            version: VERSION,
            name: "corelay",
        }
    }
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        let at = |quantile| latencies.value_at_quantile(quantile);
        Self {
            count: latencies.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: latencies.max(),
        }
    }
}

fn one(index: usize, core: &CoreStats, shards: &[ShardSnapshot]) -> Core {
    Core {
        core: index,
        answers: shards.iter().any(|shard| usize::from(shard.core) == index),
        busy: core.busy_permille.load() as f64 / 1_000.0,
        flush_interval_ms: core.flush_interval_us.load() as f64 / 1_000.0,
        connections: core.connections.load(),
        accepted: core.accepted.load(),
        publishers: core.publishers.load(),
        viewers: core.viewers.load(),
        streams: core.streams.load(),
        bytes_in: core.bytes_in.load(),
        bytes_out: core.bytes_out.load(),
        units_in: core.units_in.load(),
        sends: core.sends.load(),
        blocked: core.blocked.load(),
        ring_drops: core.ring_drops.load(),
        control_delayed: core.control_delayed.load(),
        log_bytes: core.log_bytes.load(),
        heartbeat: core.heartbeat.load(),
    }
}

fn drops(stats: &[Arc<CoreStats>]) -> Drops {
    let sum = |of: &dyn Fn(&CoreStats) -> u64| stats.iter().map(|core| of(core)).sum();
    let skips =
        SkipReason::ALL.map(|why| (why.label(), sum(&|core| core.skips[why as usize].load())));
    let failures =
        Failure::ALL.map(|why| (why.label(), sum(&|core| core.failures[why as usize].load())));
    Drops {
        ring: sum(&|core| core.ring_drops.load()),
        skips: skips.into(),
        failures: failures.into(),
        malformed_tags: sum(&|core| core.malformed_tags.load()),
        log_lines: sum(&|core| core.log_lines_lost.load()),
    }
}

/// Of this program.
pub(in crate::control) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples;
    use super::*;

    fn shown(shards: Vec<ShardSnapshot>) -> Value {
        let whole = Whole {
            stats: samples::stats(),
            shards,
            usage: Usage { resident_bytes: 20 << 20, cpu_seconds: 1.5 },
            uptime_ms: 61_500,
            now_ms: 1_700_000_000_000,
            rescues: 2,
            budget_used: 300_000,
            budget_max: 1 << 30,
            certificates: Vec::new(),
        };
        serde_json::to_value(Summary::of(&whole)).unwrap()
    }

    #[test]
    fn a_summary_adds_the_cores_up_and_shows_each() {
        let data = shown(samples::relay());
        assert_eq!(data["ok"], true);
        assert_eq!(data["now_ms"], 1_700_000_000_000_u64);
        assert_eq!(data["self"]["mem_kbyte"], 20_480);
        assert_eq!(data["self"]["srs_uptime"], 61);
        assert_eq!((&data["uptime_ms"], &data["cpu_s"]), (&json!(61_500), &json!(1.5)));
        assert_eq!(
            data["memory"],
            json!({"resident_bytes": 20 << 20, "logs_bytes": 196_608, "gop_bytes": 103_392,
                   "budget_used_bytes": 300_000, "budget_max_bytes": 1 << 30})
        );
        assert_eq!(
            data["totals"],
            json!({"connections": 3, "publishers": 1, "viewers": 4, "streams": 1,
                   "bytes_in": 2_001_000, "bytes_out": 700_000})
        );
        assert_eq!(
            data["cores"][1],
            json!({"core": 1, "answers": true, "busy": 0.25, "flush_interval_ms": 12.5,
                   "connections": 1, "accepted": 4, "publishers": 0, "viewers": 3, "streams": 0,
                   "bytes_in": 1_000, "bytes_out": 350_000, "units_in": 0, "sends": 900,
                   "blocked": 5, "ring_drops": 6, "control_delayed": 7, "log_bytes": 131_072,
                   "heartbeat": 2_000})
        );
        assert_eq!(data["watchdog_rescues"], 2);
    }

    #[test]
    fn drops_are_told_by_their_reason() {
        let drops = &shown(samples::relay())["drops"];
        assert_eq!(
            drops,
            &json!({"ring": 6, "malformed_tags": 8, "log_lines": 9,
                    "skips": {"behind_bytes": 0, "behind_time": 3, "log_limit": 0, "memory": 0},
                    "failures": {"limit": 0, "protocol": 2, "socket": 1, "timeout": 0,
                                 "tls": 0, "too_many_connections": 0, "too_many_from_address": 0,
                                 "too_slow": 0}})
        );
    }

    #[test]
    fn latencies_of_all_cores_are_one_distribution() {
        let latency = &shown(samples::relay())["relay_latency_us"];
        assert_eq!((&latency["count"], &latency["p50"]), (&json!(100), &json!(90)));
        assert_eq!((&latency["p90"], &latency["max"]), (&json!(90), &json!(20_095)));
    }

    #[test]
    fn a_core_that_does_not_answer_is_named() {
        let mut shards = samples::relay();
        shards.remove(0);
        let data = shown(shards);
        assert_eq!(data["ok"], false);
        assert_eq!(
            (&data["cores"][0]["answers"], &data["cores"][1]["answers"]),
            (&json!(false), &json!(true))
        );
    }

    #[test]
    fn the_version_is_that_of_the_package() {
        let version = serde_json::to_value(Version::of_this_program()).unwrap();
        let parts = ["major", "minor", "revision"].map(|part| version[part].to_string());
        assert_eq!(version["version"], json!(parts.join(".")));
    }
}
