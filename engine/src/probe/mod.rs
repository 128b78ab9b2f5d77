//! `corelay probe`: looks at a transport stream for some seconds and says what an operator wants to
//! know about it.
//!
//! 1. `source` opens the URL: a group, a port, a connection, a file.
//! 2. `measure` takes what comes: RTP, packets, tables, times, errors.
//! 3. `build` puts it into a `report`, `verdict` sums it up; `text` writes it for people, serde for
//!    programs.
//!
//! It runs on a plain thread and waits in system calls: no data core is involved. A program that the URL
//! names (`#pnr=`) is looked at alone, as its channel takes it; single PIDs cannot be chosen, because the
//! tables would promise what is not there.

mod build;
mod chosen;
mod http;
mod measure;
mod report;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use corelay_config::{Endpoint, MediaUrl, MediaUrlError, Side};

use measure::Measurement;
use source::{Pumped, Source};

pub(crate) use build::StreamLook;
pub use http::HttpError;
pub use report::{Report, RtpReport, StreamReport};
pub use source::SourceError;
pub use verdict::{Level, Verdict};

/// What `corelay probe` is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// What to look at.
    #[arg(value_parser = parse_url, help = URL_HELP)]
    pub url: MediaUrl,
    /// How long to look, in seconds; 10 if not said, and all of a file
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Probes, prints, and says how it went: 0 nothing is wrong, or little; 1 nothing came, or it cannot
/// be opened; 3 the stream has errors.
pub fn run(arguments: &Arguments) -> ExitCode {
    let stop = stop_at_interrupt();
    let report = match look(arguments, &stop) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("corelay probe: {error}");
            return ExitCode::FAILURE;
        }
    };
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
        false => text::text(&report),
    };
    // The reader of a pipe may be gone.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    match report.verdict.level {
        Level::Ok | Level::Warning => ExitCode::SUCCESS,
        Level::Silent | Level::NoStream => ExitCode::FAILURE,
        Level::Error => ExitCode::from(EXIT_ERRORS),
    }
}

/// Looks at a source until the time is over, it ends, `stop` is set, or it stays silent.
///
/// # Errors
/// The source cannot be opened.
pub fn look(arguments: &Arguments, stop: &AtomicBool) -> Result<Report, SourceError> {
    let seconds = match (&arguments.url.endpoint, arguments.seconds) {
        (Endpoint::File(_), None) => u64::MAX,
        (_, seconds) => seconds.unwrap_or(SECONDS),
    };
    let mut source = Source::open(&arguments.url)?;
    let watch = source.silence_watch();
    let mut measurement =
        Measurement::new(source.is_paced_by_its_clock(), arguments.url.options.program_number);
    let begun = Instant::now();
    let limit = Duration::from_secs(seconds);
    let silent_after = SILENT_AFTER.min(limit);
    let mut end = End::Over;
    while begun.elapsed() < limit && measurement.stream_time() < limit {
        if stop.load(Ordering::Relaxed) {
            end = End::Interrupted;
            break;
        }
        match source.pump(TURN, &mut measurement) {
            Ok(Pumped::End) => {
                end = End::Closed;
                break;
            }
            Ok(Pumped::Some) => {}
            Ok(Pumped::Nothing) if !measurement.has_input() && begun.elapsed() >= silent_after => {
                break;
            }
            Ok(Pumped::Nothing) => measurement.tick(),
            Err(error) => {
                end = End::Failed(error.to_string());
                break;
            }
        }
    }
    Ok(build::report(&arguments.url, &source, measurement, &watch, begun.elapsed(), end))
}

/// Why the look ended.
enum End {
    /// Its time was over.
    Over,
    /// The operator wanted to see the report.
    Interrupted,
    /// The source ended.
    Closed,
    /// The source failed.
    Failed(String),
}

fn parse_url(text: &str) -> Result<MediaUrl, MediaUrlError> {
    MediaUrl::parse(text, Side::Probe)
}

/// A flag that SIGINT and SIGTERM set; a second one ends the process as usual.
fn stop_at_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        flag.store(true, Ordering::Relaxed);
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        std::process::exit(130);
    };
    // Without the thread Ctrl-C ends the process without a report.
    let _ = std::thread::Builder::new().name("probe-signals".to_owned()).spawn(wait);
    stop
}

const URL_HELP: &str = "udp://[interface@]group[:port][#src=IP], rtp://..., tcp://host:port, \
                        http://host/x.ts, or a file; #pnr=N for one program alone";
/// How long a live source is looked at unless told otherwise.
const SECONDS: u64 = 10;
/// A live source that sends nothing for so long is called silent.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// How long one wait takes at most: Ctrl-C and the end are noticed this late.
const TURN: Duration = Duration::from_millis(100);
/// The stream has errors.
const EXIT_ERRORS: u8 = 3;
