//! What came of HLS players: the rows' figures, and their table.

use serde::Serialize;

use super::measure::Run;
use super::row::{Quantiles, Row, optional};
use super::tables::number;
use crate::hls::HlsResult;

/// What HLS players saw. Counts are sums, other figures medians over the rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HlsFigures {
    /// Media playlists per second.
    pub playlists_per_s: Option<f64>,
    /// Media playlists per second of the server's CPU.
    pub playlists_per_cpu_s: Option<f64>,
    /// Segments and parts received whole.
    pub segments: u64,
    /// Answers that said no or were wrong, connections that ended, playlists that went back.
    pub errors: u64,
    /// Segments or parts that were gone before they were asked for.
    pub missed: u64,
    /// From a request for a playlist to its last byte.
    pub playlist_us: Option<Quantiles>,
    /// From a request for a segment to its last byte.
    pub segment_us: Option<Quantiles>,
    /// From the sending of a part's first frame to the arrival of its last byte.
    pub part_latency_us: Option<Quantiles>,
    /// How long a part may be, in milliseconds.
    pub part_target_ms: Option<f64>,
}

impl HlsFigures {
    /// Brings the runs together; `None` when nobody played by HLS.
    pub(super) fn of(runs: &[Run]) -> Option<Self> {
        let all: Vec<&HlsResult> = runs.iter().filter_map(|run| run.hls.as_ref()).collect();
        if all.is_empty() {
            return None;
        }
        let sum = |figure: fn(&HlsResult) -> u64| all.iter().map(|one| figure(one)).sum::<u64>();
        Some(Self {
            playlists_per_s: optional(runs, |run| Some(run.hls.as_ref()?.playlists_per_s)),
            playlists_per_cpu_s: optional(runs, |run| {
                Some(run.hls.as_ref()?.playlists as f64 / run.cpu_s.max(1e-9))
            }),
            segments: sum(|one| one.segments + one.parts),
            errors: sum(|one| one.errors),
            missed: sum(|one| one.missed),
            playlist_us: Quantiles::of(runs, |run| run.hls.as_ref()?.playlist_us),
            segment_us: Quantiles::of(runs, |run| run.hls.as_ref()?.segment_us),
            part_latency_us: Quantiles::of(runs, |run| run.hls.as_ref()?.part_latency_us),
            part_target_ms: optional(runs, |run| Some(run.hls.as_ref()?.part_target_s? * 1e3)),
        })
    }

    /// How far the 99th percentile of parts' latency lies beyond how long a part may be, in
    /// milliseconds.
    pub(super) fn beyond_part_target_ms(&self) -> Option<f64> {
        Some(self.part_latency_us?.p99 / 1e3 - self.part_target_ms?)
    }
}

/// The cells of a row, below [`HEADINGS`].
pub(super) fn cells(row: &Row) -> Vec<String> {
    let figures = row.hls.clone().unwrap_or_default();
    let times = |of: Option<Quantiles>| {
        of.map_or_else(String::new, |of| format!("{:.2} / {:.2}", of.p50 / 1e3, of.p99 / 1e3))
    };
    vec![
        row.server.clone(),
        row.players.to_string(),
        format!("{:.1}", row.cpu_share * 100.0),
        format!(
            "{:.4} ({:.4}-{:.4})",
            row.cpu_s_per_gbit, row.cpu_s_per_gbit_min, row.cpu_s_per_gbit_max
        ),
        number(row.nginx_ratio, 2),
        number(figures.playlists_per_s, 0),
        number(figures.playlists_per_cpu_s, 0),
        number(row.nginx_rate_ratio, 2),
        times(figures.playlist_us),
        times(figures.segment_us),
        times(figures.part_latency_us),
        number(figures.part_target_ms, 0),
        format!("{:.0}", row.delivered_mbps),
        format!("{} / {} / {}", row.failed, figures.errors, figures.missed),
    ]
}

pub(super) const HEADINGS: [&str; 14] = [
    "server",
    "players",
    "CPU %",
    "CPU-s/Gbit (min-max)",
    "x nginx",
    "playlists/s",
    "per CPU-s",
    "x nginx",
    "playlist ms p50 / p99",
    "segment ms p50 / p99",
    "part ms p50 / p99",
    "part target ms",
    "Mbit/s",
    "failed / errors / missed",
];

/// What the headings mean that other tables do not have.
pub(super) const LEGEND: &str = "\
- playlists per CPU-s: media playlists per second of the server's CPU, so that a load that is slower
  than the server does not count against it
- playlist, segment (HLS): from the request to the last byte; part: from the sending of its first frame
  to the arrival of its last byte
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Summary;

    fn run(playlists: u64, cpu_s: f64) -> Run {
        let hls = HlsResult {
            playlists,
            errors: 1,
            part_latency_us: Some(Summary { p99: 515_000.0, ..Summary::default() }),
            part_target_s: Some(0.5),
            ..HlsResult::default()
        };
        Run { hls: Some(hls), cpu_s, ..Run::default() }
    }

    #[test]
    fn requests_count_by_the_cpu_they_took_and_errors_of_all_rounds_together() {
        let figures = HlsFigures::of(&[run(1_000, 0.5), run(3_000, 0.5), run(9_000, 2.0)]).unwrap();
        assert_eq!((figures.playlists_per_cpu_s, figures.errors), (Some(4_500.0), 3));
        let beyond_ms = figures.beyond_part_target_ms().unwrap();
        assert!((beyond_ms - 15.0).abs() < 1e-9, "{beyond_ms}");
        assert!(HlsFigures::of(&[Run::default()]).is_none());
    }

    #[test]
    fn a_row_has_a_cell_for_each_heading() {
        let row = Row { hls: HlsFigures::of(&[run(1, 1.0)]), ..Row::default() };
        assert_eq!(cells(&row).len(), HEADINGS.len());
    }
}
