//! `[admin]` and `[logging]`: what the operator sees.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::document::quoted;
use crate::section::{Section, Value, nearest};
use crate::tls::ListenerTls;
use crate::{listener, optional};

/// The API and metrics of the control thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Admin {
    /// Where the API answers; `None` (`""` in the file): nowhere. Port 0 lets the kernel choose.
    #[serde(serialize_with = "optional::serialize")]
    pub listen: Option<SocketAddr>,
    /// It answers by HTTPS, as `[tls]` says where this does not; `None`: by HTTP.
    #[serde(flatten, serialize_with = "ListenerTls::serialize")]
    pub tls: Option<ListenerTls>,
}

/// The log of the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Logging {
    /// A level, or filter directives separated by commas (`info,corelay::hub=debug`).
    pub level: String,
    /// How a line is written.
    pub format: LogFormat,
    /// The file that lines are appended to; `None` (`""` in the file): standard output.
    #[serde(serialize_with = "optional::serialize")]
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
        let listen = optional::value(section, "listen");
        let tls = section.value("tls");
        Admin {
            listen: listen.and_then(|value| listener::address(&value)),
            tls: ListenerTls::read(section, tls),
        }
    }
}

impl Logging {
    pub(crate) fn read(section: &mut Section<'_>) -> Logging {
        const FILE: &str = "write the path of a file, or \"\" for standard output";
        let level = section.value("level");
        Logging {
            level: level.and_then(|value| filter(&value)).unwrap_or_default(),
            format: section
                .choice("format", [("text", LogFormat::Text), ("json", LogFormat::Json)]),
            file: optional::path(section, "file", FILE),
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
