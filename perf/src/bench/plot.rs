//! The plots, as SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::row::Row;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A named row of points.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    joined: bool,
}

/// What a plot says beside its lines.
struct Frame {
    file: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
}

/// Draws what the rows have to show, and returns the names of the files.
///
/// # Errors
/// A file cannot be written.
pub fn all(folder: &Path, rows: &[Row]) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for (frame, lines) in [cost_by_burst(rows), frontier(rows), cost_by_players(rows)] {
        if lines.iter().map(|line| line.points.len()).sum::<usize>() < 2 {
            continue;
        }
        let path = folder.join(frame.file);
        let area = SVGBackend::new(&path, (840, 480)).into_drawing_area();
        draw(&area, &frame, &lines).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        files.push(frame.file.to_owned());
    }
    Ok(files)
}

/// CPU against burst interval: the floor, the relay, the peers.
fn cost_by_burst(rows: &[Row]) -> (Frame, Vec<Line>) {
    let frame = Frame {
        file: "cost.svg",
        title: "CPU against burst interval, 1,000 RTMP players of 2.15 Mbit/s",
        x: "interval between bursts, ms",
        y: "CPU seconds per gigabit",
    };
    let point = |row: &Row| Some((row.burst_ms?, row.cpu_s_per_gbit.median));
    (frame, grouped(rows, "fan-out", point))
}

/// CPU against latency: to the left and down is better.
fn frontier(rows: &[Row]) -> (Frame, Vec<Line>) {
    let frame = Frame {
        file: "frontier.svg",
        title: "latency against CPU, 1,000 RTMP players of 2.15 Mbit/s",
        x: "latency p50, ms",
        y: "CPU seconds per gigabit",
    };
    let point = |row: &Row| Some((row.latency_us?.p50 / 1e3, row.cpu_s_per_gbit.median));
    (frame, grouped(rows, "fan-out", point))
}

/// Rows of one case: the floor and the relay at its intervals are lines, the others are points.
fn grouped(rows: &[Row], case: &str, point: impl Fn(&Row) -> Option<(f64, f64)>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows.iter().filter(|row| row.case == case && row.rounds > 0) {
        let Some(point) = point(row) else { continue };
        let name = match row.server.as_str() {
            _ if row.is_floor() => "floor",
            "corelay" => "corelay, adaptive",
            _ if row.is_corelay() => "corelay, fixed intervals",
            other => other,
        };
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: name.to_owned(), points: vec![point], joined: true }),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    lines
}

/// CPU per gigabit as the number of players grows.
fn cost_by_players(rows: &[Row]) -> (Frame, Vec<Line>) {
    let frame = Frame {
        file: "players.svg",
        title: "CPU against the number of players (2.15 Mbit/s; 4,000 get 0.5; 'small' 96 kbit/s)",
        x: "players",
        y: "CPU seconds per gigabit",
    };
    let mut lines: Vec<Line> = Vec::new();
    for server in ["corelay", "nginx-rtmp"] {
        for small in [false, true] {
            let of_size = |row: &&Row| {
                let sized = row.case.starts_with("players") || row.case == "fan-out";
                let is_small = row.case.ends_with("small");
                row.server == server && sized && is_small == small && row.rounds > 0
            };
            let rows = rows.iter().filter(of_size);
            let mut points: Vec<(f64, f64)> =
                rows.map(|row| (row.players as f64, row.cpu_s_per_gbit.median)).collect();
            points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            let name = format!("{server}{}", if small { ", small" } else { "" });
            if points.len() > 1 {
                lines.push(Line { name, points, joined: true });
            }
        }
    }
    (frame, lines)
}

fn draw(area: &Area<'_>, frame: &Frame, lines: &[Line]) -> Drawn {
    area.fill(&WHITE)?;
    let (x, y) = (range(lines, |point| point.0), range(lines, |point| point.1));
    let mut chart = ChartBuilder::on(area)
        .caption(frame.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
    chart.configure_mesh().x_desc(frame.x).y_desc(frame.y).light_line_style(WHITE).draw()?;
    for (index, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        if line.joined {
            chart.draw_series(LineSeries::new(line.points.iter().copied(), colour))?;
        }
        let dots = line.points.iter().map(|at| Circle::new(*at, 4, colour.filled()));
        chart
            .draw_series(dots)?
            .label(&line.name)
            .legend(move |at| Circle::new(at, 4, colour.filled()));
    }
    let mut labels = chart.configure_series_labels();
    labels.border_style(BLACK).background_style(WHITE);
    labels.position(SeriesLabelPosition::UpperRight).draw()?;
    area.present()?;
    Ok(())
}

/// A range around all points, for a logarithmic axis.
fn range(lines: &[Line], side: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = || lines.iter().flat_map(|line| &line.points).map(&side);
    let low = values().fold(f64::INFINITY, f64::min).max(1e-6);
    let high = values().fold(0.0, f64::max).max(low);
    (low / 1.5, high * 1.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::row::Quantiles;
    use crate::figures::Spread;

    #[test]
    fn plots_are_drawn_from_rows_and_left_out_without_them() {
        let row = |server: &str, burst_ms, cost| Row {
            case: "fan-out".to_owned(),
            server: server.to_owned(),
            rounds: 1,
            burst_ms: Some(burst_ms),
            cpu_s_per_gbit: Spread::of(&[cost]),
            latency_us: Some(Quantiles { p50: burst_ms * 500.0, ..Quantiles::default() }),
            ..Row::default()
        };
        let rows = [
            row("floor 40 ms", 40.0, 0.1),
            row("floor 350 ms", 350.0, 0.03),
            row("corelay 40 ms", 40.0, 0.11),
            row("nginx-rtmp", 14.0, 0.2),
        ];
        let folder = std::env::temp_dir().join(format!("corelay-plots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(all(&folder, &rows).unwrap(), ["cost.svg", "frontier.svg"]);
        let svg = std::fs::read_to_string(folder.join("cost.svg")).unwrap();
        assert!(svg.contains("nginx-rtmp") && svg.contains("floor"), "{svg}");
        assert!(all(&folder, &[]).unwrap().is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
