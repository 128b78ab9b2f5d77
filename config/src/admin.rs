//! `[admin]` and `[logging]`: what the operator sees.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::document::quoted;
use crate::listener;
use crate::section::{Section, Value, nearest};

/// The API and metrics of the control thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Admin {
    /// Where the API answers; `None` (`""` in the file): nowhere. Port 0 lets the kernel choose.
    #[serde(serialize_with = "or_empty")]
    pub listen: Option<SocketAddr>,
}

/// The log of the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Logging {
    /// A level, or filter directives separated by commas (`info,corelay::hub=debug`).
    pub level: String,
    /// How a line is written.
    pub format: LogFormat,
    /// The file that lines are appended to; `None` (`""` in the file): standard output.
    #[serde(serialize_with = "or_empty")]
    pub file: Option<PathBuf>,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Admin {
    pub(crate) fn read(section: &mut Section<'_>) -> Admin {
        let value = section.value("listen").filter(|value| value.word() != Some(""));
        Admin { listen: value.and_then(|value| listener::address(&value)) }
    }
}

impl Logging {
    pub(crate) fn read(section: &mut Section<'_>) -> Logging {
        const FILE: &str = "write the path of a file, or \"\" for standard output";
        let level = section.value("level");
        let file = section.value("file");
        let file = file.as_ref().and_then(|value| value.text(FILE));
        Logging {
            level: level.and_then(|value| filter(&value)).unwrap_or_default(),
            format: section
                .choice("format", [("text", LogFormat::Text), ("json", LogFormat::Json)]),
            file: file.filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }
}

/// Reads filter directives, and checks of each what can be checked without the filter itself.
fn filter(value: &Value<'_>) -> Option<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    const REMEDY: &str = "use off, error, warn, info, debug or trace, or target=level separated \
                          by commas, as in \"info,corelay::hub=debug\"";
    let text = value.text(REMEDY)?;
    let is_level = |word: &str| LEVELS.contains(&word.trim().to_ascii_lowercase().as_str());
    // A directive with a span filter in brackets may hold commas and equal signs of its own.
    if text.contains(['[', '{']) {
        return Some(text.to_owned());
    }
    for directive in text.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !is_level(level) {
            let what = format!("{} is not a log level", quoted(level.trim()));
            match nearest(level.trim(), LEVELS.into_iter()) {
                Some(near) => value.reject(what, format!("did you mean \"{near}\"?")),
                None => value.reject(what, REMEDY),
            }
        }
    }
    Some(text.to_owned())
}

/// Writes the file's form of "none", which is an empty string.
fn or_empty<T: Serialize, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(to),
        None => to.serialize_str(""),
    }
}
