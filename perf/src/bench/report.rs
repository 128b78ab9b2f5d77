//! The report: a table on the terminal, report.json, report.md and the plots.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::measure::Run;
use super::row::{Quantiles, Row};
use super::server::Site;
use super::{BenchConfig, plot, targets};

/// Under which circumstances the figures were taken.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The command.
    pub command: String,
    /// Date and time, UTC.
    pub date: String,
    /// Processor.
    pub cpu: String,
    /// CPUs the process may use.
    pub cpus: usize,
    /// Kernel release.
    pub kernel: String,
    /// corelay's version.
    pub corelay: String,
    /// nginx's version.
    pub nginx: String,
    /// Window of each run in seconds.
    pub window_s: f64,
    /// How long it all took, in seconds.
    pub took_s: f64,
    /// Load average of the last minute and the last 15, at the end.
    pub load_average: String,
}

impl Facts {
    /// Asks the machine.
    pub fn gather(config: &BenchConfig, site: &Site, window: Duration, took: Duration) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let load = read("/proc/loadavg");
        let load: Vec<&str> = load.split_whitespace().collect();
        Self {
            command: config.command.clone(),
            date: output("date", &["-u", "+%Y-%m-%d %H:%M"]),
            cpu: model.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            corelay: output(&site.corelay.display().to_string(), &["--version"]),
            nginx: output("nginx", &["-v"]),
            window_s: window.as_secs_f64(),
            took_s: took.as_secs_f64().round(),
            load_average: [0, 2].map(|at| load.get(at).copied().unwrap_or("?")).join(", "),
        }
    }
}

/// What a program says, on either output; empty when it is missing.
fn output(program: &str, arguments: &[&str]) -> String {
    let result = std::process::Command::new(program).args(arguments).output();
    let text = result.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// One line about one run, while the bench goes on.
pub fn run_line(round: usize, label: &str, run: &Run) -> String {
    let latency = run.play.latency_us.map_or_else(String::new, |latency| {
        format!(", p50 {:.2} p99 {:.2} ms", latency.p50 / 1e3, latency.p99 / 1e3)
    });
    format!(
        "  {round} {label:<16} {:.4} CPU-s/Gbit at {} ms{latency}, other work {:.0} %",
        run.cpu_s_per_gbit,
        number(run.play.burst_ms, 0),
        run.foreign_cpu.unwrap_or(0.0) * 100.0,
    )
}

/// Writes everything, and the table to standard output.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, facts: &Facts, rows: &[Row]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        facts: &'a Facts,
        rows: &'a [Row],
    }
    let tables = tables(rows);
    print!("{tables}");
    let verdicts = targets::table(rows);
    print!("\n{verdicts}");
    let json = serde_json::to_string_pretty(&Report { facts, rows })?;
    put(folder, "report.json", &json)?;
    let plots = plot::all(folder, rows)?;
    put(folder, "report.md", &markdown(facts, &tables, &verdicts, &plots))
}

fn put(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

fn markdown(facts: &Facts, tables: &str, verdicts: &str, plots: &[String]) -> String {
    let mut text = String::from("# corelay under load\n\n");
    let Facts { command, date, cpu, cpus, kernel, corelay, nginx, .. } = facts;
    let _ = writeln!(text, "`{command}`, {date} UTC, {:.0} s.\n", facts.took_s);
    let _ =
        writeln!(text, "- {cpus} CPUs, {cpu}, Linux {kernel}; load average {}", facts.load_average);
    let _ = writeln!(text, "- {corelay}; {nginx}");
    let _ =
        writeln!(text, "- each run {} s; servers on one CPU, load on another\n", facts.window_s);
    text.push_str(LEGEND);
    text.push_str(tables);
    let _ = writeln!(text, "\n## Targets\n\n{verdicts}");
    for plot in plots {
        let _ = writeln!(text, "![{plot}]({plot})\n");
    }
    text
}

/// One table per case.
fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut cases: Vec<&str> = rows.iter().map(|row| row.case.as_str()).collect();
    cases.dedup();
    for case in cases {
        let mut lines: Vec<Vec<String>> = vec![HEADINGS.map(str::to_owned).to_vec()];
        let of_case = rows.iter().filter(|row| row.case == case);
        lines.extend(of_case.clone().map(cells));
        let _ = write!(text, "\n## {case}\n\n{}", aligned(&lines));
        for row in of_case {
            for error in &row.errors {
                let _ = writeln!(text, "\n{}: {error}", row.server);
            }
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let cost = row.cpu_s_per_gbit;
    let quantiles = |of: Option<Quantiles>, scale: f64| {
        of.map_or_else(String::new, |of| {
            format!("{:.2} / {:.2} / {:.1}", of.p50 * scale, of.p99 * scale, of.max * scale)
        })
    };
    vec![
        row.server.clone(),
        row.players.to_string(),
        number(row.burst_ms, 1),
        format!("{:.4} ({:.4}-{:.4})", cost.median, cost.min, cost.max),
        number(row.floor_ratio, 2),
        number(row.nginx_ratio, 2),
        format!("{:.1}", row.rss_kib / 1024.0),
        number(row.kib_per_player, 1),
        quantiles(row.latency_us, 1e-3),
        quantiles(row.join_ms, 1.0),
        format!("{:.0}", row.delivered_mbps),
        format!("{} / {} / {}", row.failed, row.closed, row.drops),
        number(row.foreign_cpu.map(|share| share * 100.0), 0),
    ]
}

/// A Markdown table whose columns line up on a terminal, too.
pub(super) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
        if number == 0 {
            let rules = widths.iter().map(|width| "-".repeat(*width));
            let _ = writeln!(text, "|-{}-|", rules.collect::<Vec<_>>().join("-|-"));
        }
    }
    text
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

const HEADINGS: [&str; 13] = [
    "server",
    "players",
    "burst ms",
    "CPU-s/Gbit (min-max)",
    "x floor",
    "x nginx",
    "RSS MiB",
    "KiB/player",
    "latency ms p50 / p99 / max",
    "join ms p50 / p99 / max",
    "Mbit/s",
    "failed / closed / dropped",
    "other %",
];

const LEGEND: &str = "\
- burst ms: the interval between sends that players saw; a cost without it says nothing
- CPU-s/Gbit: CPU seconds of the server per delivered gigabit, median of the rounds
- x floor: the cost against a sender without any protocol at the same interval in the same run
- latency: from the publisher's send to the arrival at a player, by stamps inside the frames
- join: from connecting to the first whole keyframe
- other %: what other processes took of the server's CPU: the noise of the machine
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_are_markdown() {
        let line = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = aligned(&[line(["a", "long"]), line(["bcd", "e"])]);
        assert_eq!(text, "| a   | long |\n|-----|------|\n| bcd | e    |\n");
    }
}
