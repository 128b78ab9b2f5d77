//! The report: tables on the terminal, report.json, report.md and the plots.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::datagrams::DatagramRun;
use super::facts::Facts;
use super::measure::Run;
use super::row::Row;
use super::{delivery, hls_figures, plot, tables, targets};
use crate::figures::Summary;

/// One line about one run, while the bench goes on.
pub fn run_line(round: usize, label: &str, run: &Run) -> String {
    let latency = run.play.latency_us.map_or_else(String::new, |latency| {
        format!(", p50 {:.2} p99 {:.2} ms", latency.p50 / 1e3, latency.p99 / 1e3)
    });
    if let Some(ns) = run.ns_per_packet {
        return format!("  {round} {label:<16} {ns:.1} ns a packet");
    }
    let hls = run.hls.as_ref().map_or_else(String::new, |hls| {
        let of = |name: &str, of: Option<Summary>| {
            of.map_or_else(String::new, |of| {
                format!(", {name} p50 {:.2} p99 {:.2} ms", of.p50 / 1e3, of.p99 / 1e3)
            })
        };
        let rate = format!(", {:.0} playlists/s", hls.playlists_per_s);
        let (segments, parts) = (of("segment", hls.segment_us), of("part", hls.part_latency_us));
        format!("{rate}{segments}{parts}, {} errors, {} missed", hls.errors, hls.missed)
    });
    let udp = run.datagrams.as_ref().map_or_else(String::new, DatagramRun::words);
    let bursts = run.play.burst_ms.map_or_else(String::new, |ms| format!(" at {ms:.0} ms"));
    format!(
        "  {round} {label:<16} {:.4} CPU-s/Gbit{bursts}{latency}{hls}{udp}, other work {:.0} %",
        run.cpu_s_per_gbit,
        run.foreign_cpu.unwrap_or(0.0) * 100.0,
    )
}

/// Writes everything, and the tables to standard output.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, facts: &Facts, rows: &[Row]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        facts: &'a Facts,
        rows: &'a [Row],
    }
    let tables = tables::of(rows);
    print!("{tables}");
    // The targets are for the loads as they stand.
    let limited = facts.players_max.is_some();
    let verdicts = if limited { String::new() } else { targets::table(rows) };
    println!("\n{verdicts}");
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
    let Facts { command, date, cpu, cpus, kernel, corelay, nginx, multicat, .. } = facts;
    let _ = writeln!(text, "`{command}`, {date} UTC, {:.0} s.\n", facts.took_s);
    let _ =
        writeln!(text, "- {cpus} CPUs, {cpu}, Linux {kernel}; load average {}", facts.load_average);
    let _ = writeln!(text, "- {corelay}; {nginx}; {multicat}");
    let _ =
        writeln!(text, "- each run {} s; servers on one CPU, load on another\n", facts.window_s);
    text.push_str(tables::LEGEND);
    text.push_str(delivery::LEGEND);
    text.push_str(hls_figures::LEGEND);
    text.push_str(tables);
    if !verdicts.is_empty() {
        let _ = writeln!(text, "\n## Targets\n\n{verdicts}");
    }
    for plot in plots {
        let _ = writeln!(text, "![{plot}]({plot})\n");
    }
    text
}
