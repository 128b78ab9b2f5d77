//! The rows of the report: the runs of one contender in one case, brought together.

use serde::Serialize;

use super::case::{Case, Protocol};
use super::measure::Run;
use super::server::Contender;
use crate::figures::Spread;

/// One line of the report. Figures are medians over the rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The case.
    pub case: String,
    /// The contender.
    pub server: String,
    /// `rtmp`, `http-flv` or `ws-flv`.
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
    pub cpu_s_per_gbit: Spread,
    /// The same against the floor at the same interval.
    pub floor_ratio: Option<f64>,
    /// The same against nginx-rtmp in the same case.
    pub nginx_ratio: Option<f64>,
    /// Share of one CPU that the server used.
    pub cpu_share: f64,
    /// Of its CPU time, the share in user mode.
    pub user_share: f64,
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
    /// Between bursts.
    pub interarrival_us: Option<Quantiles>,
    /// Delivered to all players, in Mbit/s.
    pub delivered_mbps: f64,
    /// Players that did not get a keyframe, over all rounds.
    pub failed: u64,
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
    /// Waits of the server's threads per second.
    pub switches_per_s: f64,
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
        let sum = |figure: &dyn Fn(&Run) -> u64| runs.iter().map(figure).sum();
        let costs: Vec<f64> = runs.iter().map(|run| run.cpu_s_per_gbit).collect();
        let protocol = match case.load.protocol {
            Protocol::Rtmp => "rtmp",
            Protocol::HttpFlv => "http-flv",
            Protocol::WsFlv => "ws-flv",
        };
        Self {
            case: case.name.to_owned(),
            server: contender.label(),
            protocol: protocol.to_owned(),
            streams: case.load.streams,
            players: case.load.players,
            rounds: runs.len(),
            burst_ms: optional(&runs, |run| run.play.burst_ms),
            cpu_s_per_gbit: Spread::of(&costs),
            cpu_share: median(&|run| run.cpu_s / run.play.window_s.max(1e-6)),
            user_share: median(&|run| {
                run.cpu_user_s / (run.cpu_user_s + run.cpu_system_s).max(1e-6)
            }),
            rss_kib: median(&|run| run.rss_kib as f64),
            rss_before_kib: median(&|run| run.rss_before_kib as f64),
            kib_per_player: optional(&runs, |run| run.kib_per_player),
            latency_us: Quantiles::of(&runs, |run| run.play.latency_us),
            join_ms: Quantiles::of(&runs, |run| run.play.join_ms),
            interarrival_us: Quantiles::of(&runs, |run| run.play.interarrival_us),
            delivered_mbps: median(&|run| run.play.delivered_mbps),
            failed: sum(&|run| run.play.failed),
            closed: sum(&|run| run.play.closed),
            slow_closed: sum(&|run| run.play.slow_closed),
            drops: sum(&|run| run.play.frames_missed),
            stalls: sum(&|run| run.play.stalls),
            timestamp_errors: sum(&|run| run.play.timestamp_errors),
            publisher_late_p99_us: optional(&runs, |run| Some(run.publish.late_us?.p99)),
            foreign_cpu: optional(&runs, |run| run.foreign_cpu),
            switches_per_s: median(&|run| {
                run.switches_voluntary_per_s + run.switches_involuntary_per_s
            }),
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
    fn of(runs: &[Run], summary: impl Fn(&Run) -> Option<crate::figures::Summary>) -> Option<Self> {
        let all: Vec<_> = runs.iter().filter_map(summary).collect();
        let at = |figure: &dyn Fn(&crate::figures::Summary) -> f64| median(all.iter().map(figure));
        (!all.is_empty()).then(|| Self {
            p50: at(&|summary| summary.p50),
            p90: at(&|summary| summary.p90),
            p99: at(&|summary| summary.p99),
            p999: at(&|summary| summary.p999),
            max: at(&|summary| summary.max),
        })
    }
}

/// Fills in the ratios to the floor and to nginx-rtmp, once all rows are there.
pub fn relate(rows: &mut [Row]) {
    let mut floor: Vec<(f64, f64)> = rows
        .iter()
        .filter(|row| row.is_floor() && row.rounds > 0)
        .filter_map(|row| Some((row.burst_ms?, row.cpu_s_per_gbit.median)))
        .collect();
    floor.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let nginx: Vec<(String, f64)> = rows
        .iter()
        .filter(|row| row.server == "nginx-rtmp" && row.rounds > 0)
        .map(|row| (row.case.clone(), row.cpu_s_per_gbit.median))
        .collect();
    for row in rows.iter_mut().filter(|row| row.rounds > 0) {
        let cost = row.cpu_s_per_gbit.median;
        // The floor is that of 1,000 players of one stream; other loads have other floors.
        let comparable = matches!(row.case.as_str(), "fan-out" | "http-flv");
        let at_burst = row.burst_ms.filter(|_| comparable).and_then(|ms| interpolate(&floor, ms));
        row.floor_ratio = at_burst.map(|floor| cost / floor);
        let own = nginx.iter().find(|(case, _)| *case == row.case);
        row.nginx_ratio = own.map(|(_, nginx)| cost / nginx);
    }
}

/// The value at `x` on the line through the points in logarithmic scales, ends included; `None`
/// when `x` is far outside them.
fn interpolate(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if x < first.0 * 0.8 || x > last.0 * 1.25 {
        return None;
    }
    let above = points.iter().position(|(at, _)| *at >= x).unwrap_or(points.len() - 1).max(1);
    let (Some((x0, y0)), Some((x1, y1))) = (points.get(above - 1), points.get(above)) else {
        return Some(first.1);
    };
    let share = (x.ln() - x0.ln()) / (x1.ln() - x0.ln());
    Some((y0.ln() + share * (y1.ln() - y0.ln())).exp())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    Spread::of(&values.collect::<Vec<_>>()).median
}

fn optional(runs: &[Run], figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(figure).collect();
    (!values.is_empty()).then(|| Spread::of(&values).median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_between_two_intervals_lies_between_their_costs() {
        let floor = [(10.0, 0.4), (40.0, 0.1), (160.0, 0.05)];
        assert!((interpolate(&floor, 40.0).unwrap() - 0.1).abs() < 1e-9);
        assert!((interpolate(&floor, 20.0).unwrap() - 0.2).abs() < 1e-9);
        assert!((interpolate(&floor, 9.0).unwrap() - 0.444).abs() < 1e-2);
        assert_eq!(interpolate(&floor, 1_000.0), None);
        assert_eq!(interpolate(&[], 40.0), None);
    }

    #[test]
    fn ratios_are_taken_within_the_same_case() {
        let row = |case: &str, server: &str, cost, burst_ms| Row {
            case: case.to_owned(),
            server: server.to_owned(),
            rounds: 1,
            cpu_s_per_gbit: Spread { min: cost, median: cost, max: cost },
            burst_ms: Some(burst_ms),
            ..Row::default()
        };
        let mut rows = [
            row("fan-out", "corelay", 0.11, 40.0),
            row("fan-out", "nginx-rtmp", 0.22, 14.0),
            row("fan-out", "floor 40 ms", 0.1, 40.0),
            row("fan-out", "floor 14 ms", 0.2, 14.0),
            row("idle latency", "corelay", 3.0, 14.0),
        ];
        relate(&mut rows);
        assert!((rows[0].floor_ratio.unwrap() - 1.1).abs() < 1e-9);
        assert!((rows[0].nginx_ratio.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!((rows[4].floor_ratio, rows[4].nginx_ratio), (None, None));
    }
}
