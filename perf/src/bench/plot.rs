//! What the plots show.

use std::path::Path;

use anyhow::anyhow;

use super::chart::{self, Frame, Look, Series};
use super::row::Row;

/// Draws what the rows have to show, and returns the names of the files.
///
/// # Errors
/// A file cannot be written.
pub fn all(folder: &Path, rows: &[Row]) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for (frame, series) in [frontier(rows), cost_by_burst(rows), cost_by_players(rows)] {
        let path = folder.join(frame.file);
        if series.iter().map(|one| one.points.len()).sum::<usize>() < 2 {
            // One of an earlier report would not belong to this one.
            let _ = std::fs::remove_file(path);
            continue;
        }
        chart::draw(&path, &frame, &series)
            .map_err(|error| anyhow!("{}: {error}", path.display()))?;
        files.push(frame.file.to_owned());
    }
    Ok(files)
}

/// CPU against latency, one span per server from the median to the 99th percentile: to the left and
/// down is better.
fn frontier(rows: &[Row]) -> (Frame, Vec<Series>) {
    let frame = Frame {
        file: "frontier.svg",
        title: format!("Latency against CPU: {}", fan_out_load(rows)),
        x: "publish to play, ms: p50 (full) to p99 (open)",
        y: "CPU seconds per delivered gigabit",
    };
    let mut peers = 0;
    let span = |row: &Row| {
        let (latency, cost) = (row.latency_us?, row.cpu_s_per_gbit);
        let points = vec![(latency.p50 / 1e3, cost), (latency.p99 / 1e3, cost)];
        let name = if row.server == "corelay" { ADAPTIVE } else { &row.server };
        peers += usize::from(!row.is_corelay());
        let colour = if row.is_corelay() { 0 } else { peers };
        Some(Series { name: name.to_owned(), points, look: Look::Span, colour })
    };
    (frame, fan_out(rows).filter_map(span).collect())
}

/// CPU against burst interval: the floor and the relay at its intervals are lines, the peers
/// points.
fn cost_by_burst(rows: &[Row]) -> (Frame, Vec<Series>) {
    let frame = Frame {
        file: "cost.svg",
        title: format!("CPU against burst interval: {}", fan_out_load(rows)),
        x: "interval between bursts that players saw, ms",
        y: "CPU seconds per delivered gigabit",
    };
    let mut series: Vec<Series> = Vec::new();
    for row in fan_out(rows) {
        let Some(burst_ms) = row.burst_ms else { continue };
        let (name, look) = match row.server.as_str() {
            _ if row.is_floor() => ("floor", Look::Reference),
            "corelay" => (ADAPTIVE, Look::Line),
            _ if row.is_corelay() => ("corelay, fixed intervals", Look::Line),
            other => (other, Look::Line),
        };
        add(&mut series, name, look, (burst_ms, row.cpu_s_per_gbit));
    }
    (frame, sorted(series))
}

/// CPU per gigabit as the number of players grows, for each server and bit rate per player.
fn cost_by_players(rows: &[Row]) -> (Frame, Vec<Series>) {
    let frame = Frame {
        file: "players.svg",
        title: "CPU against the number of players".to_owned(),
        x: "players",
        y: "CPU seconds per delivered gigabit",
    };
    let mut series: Vec<Series> = Vec::new();
    for row in measured(rows) {
        let kind = match row.case.as_str() {
            "players 100" | "players 500" | "fan-out" => "RTMP, 2.15 Mbit/s",
            "http-flv 100" | "http-flv 500" | "http-flv" => "HTTP-FLV, 2.15 Mbit/s",
            "players 1000 small" | "players 10000 small" => "RTMP, 96 kbit/s",
            _ => continue,
        };
        // The relay at fixed intervals and the floor were not measured at other sizes.
        if row.is_floor() || (row.is_corelay() && row.server != "corelay") {
            continue;
        }
        let name = format!("{}, {kind}", row.server);
        add(&mut series, &name, Look::Line, (row.players as f64, row.cpu_s_per_gbit));
    }
    series.retain(|one| one.points.len() > 1);
    (frame, sorted(series))
}

/// Adds a point to the series of that name, which may be new.
fn add(series: &mut Vec<Series>, name: &str, look: Look, point: (f64, f64)) {
    match series.iter_mut().find(|one| one.name == name) {
        Some(one) => one.points.push(point),
        None => {
            let colour = series.len();
            series.push(Series { name: name.to_owned(), points: vec![point], look, colour });
        }
    }
}

fn fan_out_load(rows: &[Row]) -> String {
    let players = fan_out(rows).next().map_or(0, |row| row.players);
    format!("one stream of 2.15 Mbit/s to {players} RTMP players")
}

fn fan_out(rows: &[Row]) -> impl Iterator<Item = &Row> {
    measured(rows).filter(|row| row.case == "fan-out")
}

fn measured(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.rounds > 0)
}

/// Lines go from left to right.
fn sorted(mut series: Vec<Series>) -> Vec<Series> {
    for one in &mut series {
        one.points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    series
}

/// The relay as it comes.
const ADAPTIVE: &str = "corelay, adaptive";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::row::Quantiles;

    fn row(server: &str, burst_ms: f64, cost: f64) -> Row {
        let (p50, p99) = (burst_ms * 500.0, burst_ms * 1_000.0);
        Row {
            case: "fan-out".to_owned(),
            server: server.to_owned(),
            rounds: 1,
            burst_ms: Some(burst_ms),
            cpu_s_per_gbit: cost,
            latency_us: Some(Quantiles { p50, p99, ..Quantiles::default() }),
            ..Row::default()
        }
    }

    #[test]
    fn plots_are_drawn_from_rows_and_left_out_without_them() {
        let rows = [
            Row { latency_us: None, ..row("floor 40 ms", 40.0, 0.1) },
            Row { latency_us: None, ..row("floor 350 ms", 350.0, 0.03) },
            row("corelay", 40.0, 0.12),
            row("corelay 350 ms", 350.0, 0.04),
            row("nginx-rtmp", 14.0, 0.3),
        ];
        let folder = std::env::temp_dir().join(format!("corelay-plots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(all(&folder, &rows).unwrap(), ["frontier.svg", "cost.svg"]);
        for (file, names) in [("frontier.svg", 3), ("cost.svg", 4)] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            let is_name = |line: &&str| {
                ["floor", ADAPTIVE, "corelay 350 ms", "corelay, fixed intervals", "nginx-rtmp"]
                    .contains(&line.trim())
            };
            assert_eq!(text.lines().filter(is_name).count(), names, "{text}");
        }
        assert!(all(&folder, &[]).unwrap().is_empty());
        assert!(!folder.join("cost.svg").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn sizes_of_one_kind_are_a_line() {
        let sized = |case: &str, players, server: &str| Row {
            case: case.to_owned(),
            players,
            ..row(server, 40.0, 0.1)
        };
        let rows = [
            sized("fan-out", 1_000, "corelay"),
            sized("fan-out", 1_000, "corelay 40 ms"),
            sized("players 100", 100, "corelay"),
            sized("players 10000 small", 10_000, "corelay"),
        ];
        let (_, series) = cost_by_players(&rows);
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].points, [(100.0, 0.1), (1_000.0, 0.1)]);
    }
}
