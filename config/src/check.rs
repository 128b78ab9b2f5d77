//! Relations between settings: each value was fine by itself, do they go together?
//!
//! Invariants:
//! - A relation is judged only when each of its keys was read without a problem.
//! - The key that is blamed is the one written last: the operator's rather than a default, an
//!   application's own rather than an inherited one.

use std::collections::HashSet;

use crate::applications::Policy;
use crate::document::{At, Layer, Node, Path};
use crate::problem::Report;
use crate::{Config, bytes};

mod channels;
mod hls;
mod listeners;

/// Reports every relation of `config` that does not hold; `root` is the tree it was read from, and
/// `report` holds the problems of the reading.
pub(crate) fn check(config: &Config, root: &Node, report: &Report) {
    let checker = Checker { root, report, unread: report.paths() };
    cores(config, &checker);
    rtmp(config, &checker);
    http(config, &checker);
    hls::hls(config, &checker);
    iptv(config, &checker);
    channels::channels(config, &checker);
    listeners::listeners(config, &checker);
    policy(config, &config.applications.default, &["applications", "default"], &checker);
    for (name, own) in &config.applications.named {
        policy(config, own, &["applications", "named", name], &checker);
    }
}

struct Checker<'a> {
    root: &'a Node,
    report: &'a Report,
    /// The keys whose values could not be read.
    unread: Vec<Path>,
}

/// A setting that takes part in a relation, as a plain number or in bytes.
struct Setting {
    path: Path,
    value: u64,
    text: String,
}

fn number(keys: &[&str], value: u64) -> Setting {
    Setting { path: Path::of(keys), value, text: value.to_string() }
}

fn size(keys: &[&str], value: u64) -> Setting {
    Setting { path: Path::of(keys), value, text: format!("\"{}\"", bytes::format(value)) }
}

impl Checker<'_> {
    /// Whether nothing at, above or below `path` was wrong when it was read.
    fn was_read(&self, path: &Path) -> bool {
        !self.unread.iter().any(|unread| unread.is_within(path) || path.is_within(unread))
    }

    /// Finds the key among `paths` to blame for a relation that does not hold; `None` when the
    /// relation cannot be judged.
    fn blamed<'p>(&self, paths: &[&'p Path]) -> Option<(At, &'p Path)> {
        if !paths.iter().all(|path| self.was_read(path)) {
            return None;
        }
        let written = paths.iter().filter_map(|&path| Some((self.root.find(path)?.at, path)));
        written.reduce(|a, b| if b.0.layer > a.0.layer { b } else { a })
    }

    /// Reports that the relation between `paths` does not hold.
    fn refuse(&self, paths: &[&Path], what: String, remedy: &str) {
        if let Some((at, path)) = self.blamed(paths) {
            self.report.add(at, path, what, remedy.to_owned());
        }
    }

    /// Requires `small <= large`.
    fn at_most(&self, small: &Setting, large: &Setting) {
        if small.value <= large.value {
            return;
        }
        let paths = [&small.path, &large.path];
        let Some((at, blamed)) = self.blamed(&paths) else { return };
        // What an application only inherits is judged with the default policy.
        let of_named = |path: &&Path| path.is_within(&Path::of(&["applications", "named"]));
        if paths.iter().any(of_named) && at.layer != Layer::Named {
            return;
        }
        let ((own, bound), other) = match *blamed == small.path {
            true => (("above", "at most"), large),
            false => (("below", "at least"), small),
        };
        let change = if *blamed == small.path { "raise" } else { "lower" };
        let blamed_text = if *blamed == small.path { &small.text } else { &large.text };
        let Setting { path, text, .. } = other;
        let what = format!("{blamed_text} is {own} {path}, which is {text}");
        self.report.add(at, blamed, what, format!("use {bound} {text}, or {change} {path}"));
    }
}

fn cores(config: &Config, checker: &Checker<'_>) {
    let data = Path::of(&["cores", "data"]);
    for (index, cpu) in repeated(&config.cores.data) {
        let what = format!("CPU {cpu} is named twice");
        checker.refuse(&[&data.index(index), &data], what, "name each CPU once");
    }
}

/// The elements of `list` that stand further ahead already, with their indexes.
fn repeated(list: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let mut seen = HashSet::new();
    list.iter().copied().enumerate().filter(move |(_, element)| !seen.insert(*element))
}

fn rtmp(config: &Config, checker: &Checker<'_>) {
    let rtmp = &config.rtmp;
    let timeout = number(&["rtmp", "ping_timeout_ms"], rtmp.ping_timeout_ms);
    checker.at_most(&timeout, &number(&["rtmp", "idle_timeout_ms"], rtmp.idle_timeout_ms));
    if rtmp.ping_interval_ms > 0 {
        // Otherwise a second ping would go out before the first is given up.
        checker.at_most(&timeout, &number(&["rtmp", "ping_interval_ms"], rtmp.ping_interval_ms));
    }
}

fn http(config: &Config, checker: &Checker<'_>) {
    let uri = size(&["http", "uri_bytes_max"], config.http.uri_bytes_max as u64);
    let head = size(&["http", "header_bytes_max"], config.http.header_bytes_max as u64);
    checker.at_most(&uri, &head);
}

fn iptv(config: &Config, checker: &Checker<'_>) {
    let shortest = number(&["iptv", "retry_min_ms"], config.iptv.retry_min_ms);
    checker.at_most(&shortest, &number(&["iptv", "retry_max_ms"], config.iptv.retry_max_ms));
}

fn policy(config: &Config, policy: &Policy, at: &[&str], checker: &Checker<'_>) {
    let number = |keys: &[&str], value: u64| number(&[at, keys].concat(), value);
    let own_size = |key: &str, value: usize| size(&[at, &[key]].concat(), value as u64);
    let message = size(&["rtmp", "message_bytes_max"], config.rtmp.message_bytes_max.into());
    let memory = size(&["memory", "logs_bytes_max"], config.memory.logs_bytes_max as u64);

    let log = own_size("log_bytes_max", policy.log_bytes_max);
    checker.at_most(&message, &log);
    checker.at_most(&log, &memory);
    checker.at_most(&own_size("behind_bytes_max", policy.behind_bytes_max), &log);
    checker.at_most(&own_size("metadata_bytes_max", policy.metadata_bytes_max), &message);

    let behind = number(&["behind_ms_max"], policy.behind_ms_max);
    let flush_max = number(&["flush", "max_ms"], policy.flush.max_ms);
    checker.at_most(&behind, &number(&["log_ms_max"], policy.log_ms_max));
    checker.at_most(&flush_max, &behind);
    checker.at_most(&number(&["flush", "min_ms"], policy.flush.min_ms), &flush_max);
}

/// Requires that the application of a stream, whose name was written at `at`, is served: the stream
/// could not be watched.
fn served(config: &Config, app: &str, at: &Path, checker: &Checker<'_>) {
    if config.application(app).is_none() {
        let what = format!("the application {app:?} is not served, as applications.strict is true");
        let remedy = format!("add a line [applications.named.{app:?}]");
        checker.refuse(&[at, &Path::of(&["applications"])], what, &remedy);
    }
}
