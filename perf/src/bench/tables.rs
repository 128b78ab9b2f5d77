//! The rows as tables: Markdown whose columns line up on a terminal, too.

use std::fmt::Write;

use super::row::{Quantiles, Row};
use super::{delivery, hls_figures};
use crate::handshakes::HandshakesResult;

/// Two tables per case: what the players got and what it cost, and how the server was doing.
pub fn of(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut cases: Vec<&str> = rows.iter().map(|row| row.case.as_str()).collect();
    cases.dedup();
    for case in cases {
        let of_case: Vec<&Row> = rows.iter().filter(|row| row.case == case).collect();
        let table = |headings: &[&str], cells: fn(&Row) -> Vec<String>| {
            let mut lines = vec![headings.iter().map(|text| (*text).to_owned()).collect()];
            lines.extend(of_case.iter().map(|row| cells(row)));
            aligned(&lines)
        };
        let _ = write!(text, "\n## {case}\n\n");
        let has = |of: fn(&Row) -> bool| of_case.iter().any(|row| of(row));
        if has(|row| row.ns_per_packet.is_some()) {
            text.push_str(&table(&COST_HEADINGS, cost));
        } else {
            text.push_str(&if has(|row| row.delivery.is_some()) {
                table(&delivery::HEADINGS, delivery::cells)
            } else if has(|row| row.hls.is_some()) {
                table(&hls_figures::HEADINGS, hls_figures::cells)
            } else {
                table(&SERVICE_HEADINGS, service)
            });
            let _ = write!(text, "\n{}", table(&SERVER_HEADINGS, server));
        }
        for row in of_case {
            remarks(row, &mut text);
        }
    }
    text
}

fn service(row: &Row) -> Vec<String> {
    vec![
        row.server.clone(),
        row.players.to_string(),
        number(row.burst_ms, 1),
        format!(
            "{:.4} ({:.4}-{:.4})",
            row.cpu_s_per_gbit, row.cpu_s_per_gbit_min, row.cpu_s_per_gbit_max
        ),
        number(row.floor_ratio, 2),
        number(row.nginx_ratio, 2),
        quantiles(row.latency_us, 1e-3),
        quantiles(row.join_ms, 1.0),
        format!("{:.0}", row.delivered_mbps),
        format!("{} / {} / {} / {}", row.failed, row.left_early, row.closed, row.drops),
    ]
}

fn cost(row: &Row) -> Vec<String> {
    vec![row.server.clone(), number(row.ns_per_packet, 1)]
}

fn server(row: &Row) -> Vec<String> {
    vec![
        row.server.clone(),
        format!("{:.1}", row.rss_kib / 1024.0),
        number(row.kib_per_player, 1),
        format!("{:.2} + {:.2}", row.cpu_user_s, row.cpu_system_s),
        number(row.cpu_us_per_player_s, 0),
        row.interarrival_us.map_or_else(String::new, |gaps| {
            format!("{:.1} / {:.1}", gaps.p50 * 1e-3, gaps.p99 * 1e-3)
        }),
        format!("{:.0} + {:.0}", row.switches_voluntary_per_s, row.switches_involuntary_per_s),
        number(row.syscalls_per_s, 0),
        number(row.foreign_cpu.map(|share| share * 100.0), 0),
    ]
}

/// What went wrong, and how the memory went in a long run.
fn remarks(row: &Row, text: &mut String) {
    for error in &row.errors {
        let _ = writeln!(text, "\n{}: {error}", row.server);
    }
    if let Some(ratio) = row.secure_ratio {
        let _ = writeln!(text, "\n{}: {ratio:.2} x the floor and AES-128-GCM together", row.server);
    }
    if let Some(ratio) = row.held_ratio {
        let _ = writeln!(text, "\n{}: publishers added {ratio:.3} x what it holds", row.server);
    }
    for handshakes in row.runs.iter().filter_map(|run| run.handshakes.as_ref()) {
        let HandshakesResult { done, failed, left_out, took_us, .. } = handshakes;
        let took = took_us.map_or_else(String::new, |took| {
            format!(
                ", ms p50 / p99 / max {:.1} / {:.1} / {:.1}",
                took.p50 / 1e3,
                took.p99 / 1e3,
                took.max / 1e3
            )
        });
        let _ = writeln!(
            text,
            "\n{}: {done} handshakes done, {failed} failed, {left_out} left out{took}",
            row.server
        );
    }
    if let Some(growth) = row.growth {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let _ = writeln!(
            text,
            "\n{}: RSS {:.2} MiB once warm, {:.2} MiB at the end, {:+.0} KiB an hour",
            row.server,
            mib(growth.rss_first_kib),
            mib(growth.rss_last_kib),
            growth.rss_kib_per_hour
        );
    }
}

fn quantiles(of: Option<Quantiles>, scale: f64) -> String {
    of.map_or_else(String::new, |of| {
        format!("{:.2} / {:.2} / {:.1}", of.p50 * scale, of.p99 * scale, of.max * scale)
    })
}

/// A table of lines of cells, the first of which are its headings.
pub fn aligned(lines: &[Vec<String>]) -> String {
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

/// A number with so many digits behind the point, or nothing.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

const SERVICE_HEADINGS: [&str; 10] = [
    "server",
    "players",
    "burst ms",
    "CPU-s/Gbit (min-max)",
    "x floor",
    "x nginx",
    "latency ms p50 / p99 / max",
    "join ms p50 / p99 / max",
    "Mbit/s",
    "failed / left early / closed / dropped",
];

const COST_HEADINGS: [&str; 2] = ["what", "ns a packet"];

const SERVER_HEADINGS: [&str; 9] = [
    "server",
    "RSS MiB",
    "KiB/player",
    "CPU s user + system",
    "CPU us/player/s",
    "burst interval ms p50 / p99",
    "switches/s own + forced",
    "syscalls/s",
    "other %",
];

/// What the headings mean.
pub const LEGEND: &str = "\
- burst ms: the interval between sends that players saw; a cost without it says nothing
- CPU-s/Gbit: CPU seconds of the server per delivered gigabit (received, where nobody plays), median
  of the rounds
- x floor: the cost against a sender without any protocol at the same interval in the same run
- latency: from the publisher's send to the arrival at a player, by stamps inside the frames
- join: from connecting to the first whole keyframe
- left early: joins that the end of the run cut off while they waited for a keyframe
- KiB/player: resident memory that the players added, by their number
- switches: how often the server's threads waited, and how often they were made to wait
- syscalls/s: empty where the kernel does not let them be counted
- other %: what other processes took of the server's CPU: the noise of the machine
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::readings::Growth;

    #[test]
    fn tables_line_up_and_are_markdown() {
        let line = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = aligned(&[line(["a", "long"]), line(["bcd", "e"])]);
        assert_eq!(text, "| a   | long |\n|-----|------|\n| bcd | e    |\n");
    }

    #[test]
    fn every_case_has_its_tables_and_what_went_wrong_stands_below_them() {
        let growth = Growth { rss_first_kib: 1024, rss_last_kib: 2048, rss_kib_per_hour: 512.0 };
        let row = |case: &str, server: &str, errors: Vec<String>| Row {
            case: case.to_owned(),
            server: server.to_owned(),
            errors,
            ..Row::default()
        };
        let mut rows = [
            row("a", "one", vec![]),
            row("a", "two", vec!["no".to_owned()]),
            row("b", "one", vec![]),
        ];
        rows[2].growth = Some(growth);
        let text = of(&rows);
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((lines("## "), lines("| server"), lines("| one"), lines("| two")), (2, 4, 4, 2));
        assert!(text.contains("\ntwo: no\n"), "{text}");
        let memory = "one: RSS 1.00 MiB once warm, 2.00 MiB at the end, +512 KiB an hour";
        assert!(text.contains(memory), "{text}");
        assert!(service(&rows[0]).len() == SERVICE_HEADINGS.len());
        assert!(server(&rows[0]).len() == SERVER_HEADINGS.len());
    }
}
