//! The log: text or JSON lines, to standard output's neighbour or a file, never blocking its writers.

use std::fs::OpenOptions;
use std::io;

use corelay_config::{LogFormat, Logging};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Starts logging. Lines are written out at the latest when the guard is dropped.
///
/// # Errors
/// The filter or the file is unusable, in words.
pub fn start(logging: &Logging) -> Result<WorkerGuard, String> {
    // What the HTTP/2 library has to say is said with the connection's id where that ends.
    let filter = EnvFilter::try_new(format!("h2=off,{}", logging.level))
        .map_err(|error| format!("logging.level {:?} is no filter: {error}", logging.level))?;
    let target: Box<dyn io::Write + Send> = match &logging.file {
        None => Box::new(io::stderr()),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let blame = |error| format!("logging.file {}: {error}", path.display());
            Box::new(file.map_err(blame)?)
        }
    };
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(target);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match logging.format {
        LogFormat::Text => lines.with_target(false).with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(guard)
}
