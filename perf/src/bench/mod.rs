//! The benchmark: servers side by side under the same loads.
//!
//! Invariants
//! - Within a round every contender of a case runs once, one after the other, so that a machine that
//!   slows down slows all of them; a row is the median of its rounds, with the least and the greatest.
//! - The server runs on one CPU and the load on another (except where the case says otherwise).
//! - A contender that fails gets a row that says why, and the others go on.

pub mod case;
pub mod measure;
pub mod plot;
pub mod quiet;
pub mod report;
pub mod row;
pub mod server;
pub mod targets;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::progress::Progress;
use crate::sys::threads;
use case::{Case, Extent};
use row::Row;
use server::{OtherServer, Site};

/// What is measured, and where the report goes.
#[derive(Clone, Debug)]
pub struct BenchConfig {
    /// A look in a few minutes instead of the record.
    pub quick: bool,
    /// Rounds per case, where not the usual number.
    pub rounds: Option<usize>,
    /// Only cases whose name contains one of these; all when empty.
    pub only: Vec<String>,
    /// Only contenders whose label contains one of these; all when empty.
    pub servers: Vec<String>,
    /// Instead of the cases, one that lasts this long.
    pub soak: Option<Duration>,
    /// Other servers that take part.
    pub others: Vec<OtherServer>,
    /// The relay's program; by default beside this one.
    pub corelay: Option<PathBuf>,
    /// Where the report goes.
    pub output: PathBuf,
    /// How long a run may wait for the machine to be quiet, and be repeated because it was not.
    pub patience: Duration,
    /// How the bench was called, for the report.
    pub command: String,
}

/// Runs the cases and writes the report.
///
/// # Errors
/// There are fewer than two CPUs, a program is missing, or the report cannot be written. A contender's
/// failure is in its row.
pub fn run(config: &BenchConfig) -> anyhow::Result<()> {
    let started = Instant::now();
    let (site, extent) = prepare(config)?;
    let cases = match config.soak {
        Some(_) => vec![case::soak(extent)],
        None => case::cases(extent, &config.others),
    };
    let window = config.soak.unwrap_or(if config.quick { QUICK_WINDOW } else { WINDOW });
    let progress = Progress::new("bench", 0);
    let mut rows = Vec::new();
    for mut case in cases {
        if !matches(&config.only, case.name) {
            continue;
        }
        case.contenders.retain(|contender| matches(&config.servers, &contender.label()));
        progress.line(&format!("{}: {}", case.name, case.about));
        let settings = (window, config.patience);
        rows.extend(measure_case(&case, &site, settings, &progress));
    }
    drop(progress);
    row::relate(&mut rows);
    let facts = report::Facts::gather(config, &site, window, started.elapsed());
    report::write(&config.output, &facts, &rows)
}

fn measure_case(
    case: &Case,
    site: &Site,
    (window, patience): (Duration, Duration),
    progress: &Progress,
) -> Vec<Row> {
    let mut results: Vec<(Vec<measure::Run>, Vec<String>)> =
        vec![Default::default(); case.contenders.len()];
    for round in 1..=case.rounds {
        for (contender, (runs, errors)) in case.contenders.iter().zip(&mut results) {
            let label = contender.label();
            let attempt = || measure::measure(case, contender, site, window, progress);
            match quiet::patiently(site, patience, attempt) {
                Ok(run) => {
                    progress.line(&report::run_line(round, &label, &run));
                    runs.push(run);
                }
                Err(error) => {
                    progress.line(&format!("  {round} {label}: {error:#}"));
                    errors.push(format!("{error:#}"));
                }
            }
        }
    }
    let with_results = case.contenders.iter().zip(results);
    with_results
        .map(|(contender, (runs, errors))| Row::new(case, contender, runs, errors))
        .collect()
}

fn prepare(config: &BenchConfig) -> anyhow::Result<(Site, Extent)> {
    let cpus = threads::cpus()?;
    let [server_cpu, load_cpu, ..] = *cpus else {
        anyhow::bail!("the bench needs two CPUs, one for the servers and one for the load");
    };
    let beside = std::env::current_exe()?.with_file_name("corelay");
    let corelay = config.corelay.clone().unwrap_or(beside);
    anyhow::ensure!(
        corelay.exists(),
        "{} is missing: build it with `cargo build --release -p corelay`",
        corelay.display()
    );
    let scratch = config.output.join("scratch");
    std::fs::create_dir_all(&scratch)
        .with_context(|| format!("cannot make {}", scratch.display()))?;
    let scratch = scratch.canonicalize()?;
    let extent = Extent { quick: config.quick, rounds: config.rounds, server_cpu, load_cpu };
    Ok((Site { corelay, scratch, server_cpu, load_cpu }, extent))
}

fn matches(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

/// Long enough for a hundred bursts at the longest interval, and for stalls to show.
const WINDOW: Duration = Duration::from_secs(8);
/// Two groups of pictures.
const QUICK_WINDOW: Duration = Duration::from_secs(4);
