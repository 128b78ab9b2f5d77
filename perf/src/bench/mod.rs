//! The benchmark: servers side by side under the same loads.
//!
//! Invariants
//! - Within a round every contender of a case runs once, one after the other, so that a machine
//!   that slows down slows all of them; a row is the median of its rounds, with the least and the
//!   greatest.
//! - The server runs on one CPU and the load on another (except where the case says otherwise).
//! - A contender that fails gets a row that says why, and the others go on.

mod aes;
pub mod analysis;
pub mod case;
pub mod cases;
mod channels;
mod chart;
pub mod datagrams;
pub mod delivery;
pub mod facts;
mod held;
mod hls_cases;
pub mod hls_figures;
pub mod measure;
mod nginx;
pub mod plot;
pub mod quiet;
pub mod readings;
pub mod relate;
pub mod report;
pub mod row;
pub mod server;
pub mod site;
pub mod tables;
pub mod targets;
mod tls_cases;
mod transport_cases;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::progress::Progress;
use crate::sys::threads;
use case::Case;
use cases::Extent;
use facts::Facts;
use row::Row;
use server::OtherServer;
use site::Site;

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
    /// Length of each run's window, where not the usual one.
    pub window: Option<Duration>,
    /// Cases with more players get this many.
    pub players_max: Option<usize>,
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
/// There are fewer than two CPUs, a program is missing, or the report cannot be written. A
/// contender's failure is in its row.
pub fn run(config: &BenchConfig) -> anyhow::Result<()> {
    let started = Instant::now();
    let (site, extent) = prepare(config)?;
    let usual = if config.quick { QUICK_WINDOW } else { WINDOW };
    let window = config.soak.or(config.window).unwrap_or(usual);
    let cases = chosen(config, extent);
    anyhow::ensure!(!cases.is_empty(), "there is no such case, or no such server in it");
    let progress = Progress::new("bench", 0);
    let estimate: Duration = cases.iter().map(|case| case.estimate(window)).sum();
    progress.line(&format!("{} cases, about {} s", cases.len(), estimate.as_secs()));
    let mut rows = Vec::new();
    for case in &cases {
        progress.line(&format!("{}: {}", case.name, case.about));
        rows.extend(measure_case(case, &site, (window, config.patience), &progress));
    }
    drop(progress);
    relate::relate(&mut rows);
    let facts = Facts::gather(config, &site, window, started.elapsed());
    report::write(&config.output, &facts, &rows)
}

/// The cases and contenders asked for; those that nobody is left in are no cases.
fn chosen(config: &BenchConfig, extent: Extent) -> Vec<Case> {
    let mut cases = match config.soak {
        Some(_) => vec![cases::soak(extent)],
        None => cases::all(extent, &config.others),
    };
    for case in &mut cases {
        case.contenders.retain(|contender| matches(&config.servers, &contender.label()));
        case.load.limit_players(config.players_max.unwrap_or(usize::MAX));
    }
    cases.retain(|case| matches(&config.only, case.name) && !case.contenders.is_empty());
    if config.quick && config.only.is_empty() {
        cases.retain(cases::is_for_quick_looks);
    }
    cases
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
    Ok((Site::new(corelay, scratch, server_cpu, load_cpu), extent))
}

fn matches(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

/// Long enough for a hundred bursts at the longest interval, and for stalls to show.
const WINDOW: Duration = Duration::from_secs(8);
/// Two groups of pictures.
const QUICK_WINDOW: Duration = Duration::from_secs(4);
