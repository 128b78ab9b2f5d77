//! The rows of the report: the runs of one contender in one case, brought together.

use serde::Serialize;

use super::case::{Case, Protocol, SOAK};
use super::delivery::Delivery;
use super::hls_figures::HlsFigures;
use super::measure::Run;
use super::readings::Growth;
use super::server::Contender;
use crate::figures::{Spread, Summary};

/// One line of the report. Figures are medians over the rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The case.
    pub case: String,
    /// The contender.
    pub server: String,
    /// `rtmp`, `http-flv`, `ws-flv`, `http-ts` or `udp`, `rtmps`, `https-flv`, `hls`; `tcp` for the floor
    /// of those over TCP.
    pub protocol: String,
    /// Streams.
    pub streams: usize,
    /// Players, without slow ones.
    pub players: usize,
    /// Rounds that went through.
    pub rounds: usize,
    /// The interval between bursts that players saw, in milliseconds.
    pub burst_ms: Option<f64>,
    /// CPU seconds of the server per gigabit delivered (received, where nobody plays).
    pub cpu_s_per_gbit: f64,
    /// That of the cheapest round.
    pub cpu_s_per_gbit_min: f64,
    /// That of the dearest round.
    pub cpu_s_per_gbit_max: f64,
    /// The same against the floor at the same interval.
    pub floor_ratio: Option<f64>,
    /// The same against nginx-rtmp in the same case.
    pub nginx_ratio: Option<f64>,
    /// The same against the floor and AES-128-GCM together, for players by TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_ratio: Option<f64>,
    /// Requests per second of CPU against nginx in the same case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nginx_rate_ratio: Option<f64>,
    /// The same against multicat in the same case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multicat_ratio: Option<f64>,
    /// Share of one CPU that the server used.
    pub cpu_share: f64,
    /// CPU seconds in user mode within the window.
    pub cpu_user_s: f64,
    /// CPU seconds in the kernel within the window.
    pub cpu_system_s: f64,
    /// Microseconds of CPU per player and second, slow players included.
    pub cpu_us_per_player_s: Option<f64>,
    /// Resident memory at the end, in KiB.
    pub rss_kib: f64,
    /// Resident memory before the players, in KiB.
    pub rss_before_kib: f64,
    /// Resident memory added per player, in KiB.
    pub kib_per_player: Option<f64>,
    /// From publishing to arrival.
    pub latency_us: Option<Quantiles>,
    /// From connecting to the first keyframe.
    pub join_ms: Option<Quantiles>,
    /// Between the beginnings of bursts at one player: the jitter is how far its quantiles are
    /// apart.
    pub interarrival_us: Option<Quantiles>,
    /// Delivered to all players, in Mbit/s.
    pub delivered_mbps: f64,
    /// Joins of players that had left on purpose, over all rounds.
    pub rejoined: u64,
    /// Players that did not get a keyframe, over all rounds.
    pub failed: u64,
    /// Players that were still waiting for one when their run ended, over all rounds: no failure.
    pub left_early: u64,
    /// Healthy players that the server closed, over all rounds.
    pub closed: u64,
    /// Slow players that the server closed, over all rounds.
    pub slow_closed: u64,
    /// Frames that sampled players did not get, over all rounds.
    pub drops: u64,
    /// Times a healthy player got nothing for a second, over all rounds.
    pub stalls: u64,
    /// Timestamps that went back, over all rounds.
    pub timestamp_errors: u64,
    /// How late the publishers were, 99th percentile in microseconds: the load's own noise.
    pub publisher_late_p99_us: Option<f64>,
    /// Share of the server's CPU that other processes took.
    pub foreign_cpu: Option<f64>,
    /// Times the server's threads waited, per second.
    pub switches_voluntary_per_s: f64,
    /// Times the server's threads were made to wait, per second.
    pub switches_involuntary_per_s: f64,
    /// The server's system calls per second; absent where the kernel does not let them be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscalls_per_s: Option<f64>,
    /// What came of datagrams, where players get such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// What players saw, where they play by HLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls: Option<HlsFigures>,
    /// Resident memory that publishers added, by what the relay holds, where that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_ratio: Option<f64>,
    /// Nanoseconds per packet, where that is what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_per_packet: Option<f64>,
    /// How the memory went on in a long run: of the last round whose window had samples enough.
    pub growth: Option<Growth>,
    /// What went wrong, if something did.
    pub errors: Vec<String>,
    /// The single runs.
    pub runs: Vec<Run>,
}

/// Quantiles, each the median over the rounds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90 % are no greater.
    pub p90: f64,
    /// 99 % are no greater.
    pub p99: f64,
    /// 99.9 % are no greater.
    pub p999: f64,
    /// The greatest.
    pub max: f64,
}

impl Row {
    /// Brings the runs of a contender together.
    pub fn new(case: &Case, contender: &Contender, runs: Vec<Run>, errors: Vec<String>) -> Self {
        let median = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(figure));
        let soaks = case.name == SOAK;
        let sum = |figure: &dyn Fn(&Run) -> u64| runs.iter().map(figure).sum();
        let cost = Spread::of(&runs.iter().map(|run| run.cpu_s_per_gbit).collect::<Vec<_>>());
        let protocol = match (contender, case.load.protocol) {
            (Contender::Floor(_), _) => "tcp",
            (Contender::Aes, _) => "aes",
            (_, Protocol::Rtmp) => "rtmp",
            (_, Protocol::HttpFlv) => "http-flv",
            (_, Protocol::WsFlv) => "ws-flv",
            (_, Protocol::HttpTs) => "http-ts",
            (_, Protocol::Udp) => "udp",
            (_, Protocol::HttpsFlv) => "https-flv",
            (_, Protocol::Rtmps) => "rtmps",
            (_, Protocol::Hls | Protocol::HlsPlaylist | Protocol::HlsLowLatency) => "hls",
        };
        Self {
            case: case.name.to_owned(),
            server: contender.label(),
            protocol: protocol.to_owned(),
            streams: case.load.streams,
            players: case.load.players,
            rounds: runs.len(),
            burst_ms: optional(&runs, |run| run.play.burst_ms),
            cpu_s_per_gbit: cost.median,
            cpu_s_per_gbit_min: cost.min,
            cpu_s_per_gbit_max: cost.max,
            cpu_share: median(&|run| run.cpu_s / run.play.window_s.max(1e-6)),
            cpu_user_s: median(&|run| run.cpu_user_s),
            cpu_system_s: median(&|run| run.cpu_system_s),
            cpu_us_per_player_s: optional(&runs, |run| run.cpu_us_per_player_s),
            rss_kib: median(&|run| run.rss_kib as f64),
            rss_before_kib: median(&|run| run.rss_before_kib as f64),
            kib_per_player: optional(&runs, |run| run.kib_per_player),
            latency_us: Quantiles::of(&runs, |run| run.play.latency_us),
            join_ms: Quantiles::of(&runs, |run| run.play.join_ms),
            interarrival_us: Quantiles::of(&runs, |run| run.play.interarrival_us),
            delivered_mbps: median(&|run| run.play.delivered_mbps),
            rejoined: sum(&|run| run.play.rejoined),
            failed: sum(&|run| run.play.failed),
            left_early: sum(&|run| run.play.left_early),
            closed: sum(&|run| run.play.closed),
            slow_closed: sum(&|run| run.play.slow_closed),
            drops: sum(&|run| run.play.frames_missed),
            stalls: sum(&|run| run.play.stalls),
            timestamp_errors: sum(&|run| run.play.timestamp_errors),
            publisher_late_p99_us: optional(&runs, |run| Some(run.publish.late_us?.p99)),
            foreign_cpu: optional(&runs, |run| run.foreign_cpu),
            switches_voluntary_per_s: median(&|run| run.switches_voluntary_per_s),
            switches_involuntary_per_s: median(&|run| run.switches_involuntary_per_s),
            syscalls_per_s: optional(&runs, |run| run.syscalls_per_s),
            delivery: Delivery::of(&runs),
            hls: HlsFigures::of(&runs),
            held_ratio: optional(&runs, |run| Some(run.held?.ratio())),
            ns_per_packet: optional(&runs, |run| run.ns_per_packet),
            // The other cases are too short for a slope: they show what is taken once.
            growth: runs.iter().rev().find_map(|run| Growth::of(&run.samples)).filter(|_| soaks),
            errors,
            runs,
            ..Self::default()
        }
    }

    /// Whether it is a row of the floor.
    pub fn is_floor(&self) -> bool {
        self.server.starts_with("floor ")
    }

    /// Whether it is a row of the relay.
    pub fn is_corelay(&self) -> bool {
        self.server.starts_with("corelay")
    }
}

impl Quantiles {
    pub(super) fn of(runs: &[Run], summary: impl Fn(&Run) -> Option<Summary>) -> Option<Self> {
        let all: Vec<_> = runs.iter().filter_map(summary).collect();
        let at = |figure: &dyn Fn(&Summary) -> f64| median(all.iter().map(figure));
        (!all.is_empty()).then(|| Self {
            p50: at(&|summary| summary.p50),
            p90: at(&|summary| summary.p90),
            p99: at(&|summary| summary.p99),
            p999: at(&|summary| summary.p999),
            max: at(&|summary| summary.max),
        })
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    Spread::of(&values.collect::<Vec<_>>()).median
}

pub(super) fn optional(runs: &[Run], figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(figure).collect();
    (!values.is_empty()).then(|| Spread::of(&values).median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::Load;
    use crate::play::PlayResult;
    use serde_json::Value;

    fn case() -> Case {
        let load = Load::players(Protocol::HttpFlv, 10);
        Case { name: "fan-out", about: "", load, contenders: Vec::new(), rounds: 2 }
    }

    fn run(cost: f64, syscalls_per_s: Option<f64>) -> Run {
        let quantiles = Summary { p50: cost * 100.0, ..Summary::default() };
        let play = PlayResult {
            latency_us: Some(quantiles),
            join_ms: Some(quantiles),
            interarrival_us: Some(quantiles),
            closed: 1,
            ..PlayResult::default()
        };
        Run { play, cpu_s_per_gbit: cost, syscalls_per_s, ..Run::default() }
    }

    #[test]
    fn a_row_has_every_field_that_readers_of_the_report_rely_on() {
        let runs = vec![run(1.0, Some(9.0)), run(3.0, Some(11.0))];
        let row = serde_json::to_value(Row::new(&case(), &Contender::Nginx, runs, vec![])).unwrap();
        let fields = "case server protocol players burst_ms cpu_s_per_gbit cpu_s_per_gbit_min \
            cpu_s_per_gbit_max floor_ratio nginx_ratio cpu_share cpu_user_s cpu_system_s \
            cpu_us_per_player_s rss_kib rss_before_kib kib_per_player latency_us join_ms \
            interarrival_us delivered_mbps rejoined failed left_early closed drops stalls \
            switches_voluntary_per_s switches_involuntary_per_s syscalls_per_s growth";
        for field in fields.split_whitespace() {
            assert!(row.get(field).is_some(), "{field}: {row:#}");
        }
        for quantiles in ["latency_us", "join_ms", "interarrival_us"] {
            for quantile in ["p50", "p90", "p99", "p999", "max"] {
                assert!(row[quantiles][quantile].is_number(), "{quantiles}.{quantile}: {row:#}");
            }
        }
        assert_eq!(row["latency_us"]["p50"], 200.0);
        assert_eq!((&row["cpu_s_per_gbit"], &row["closed"]), (&Value::from(2.0), &Value::from(2)));
        assert_eq!((&row["protocol"], &row["syscalls_per_s"]), (&"http-flv".into(), &10.0.into()));
    }

    #[test]
    fn where_calls_cannot_be_counted_there_is_no_such_field() {
        let row = Row::new(&case(), &Contender::Floor(40.0), vec![run(1.0, None)], vec![]);
        let row = serde_json::to_value(row).unwrap();
        assert!(row.get("syscalls_per_s").is_none(), "{row:#}");
        assert_eq!(row["protocol"], "tcp");
    }
}
