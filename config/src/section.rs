//! Reading one table of the merged tree into a struct, one key after the other.
//!
//! Invariants:
//! - A wrong value is reported and replaced by a harmless one, so reading goes on to the next;
//!   the struct that comes out is thrown away when anything was reported.
//! - A key that nobody asked for is reported when the section ends.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::bytes;
use crate::document::{At, Entry, Kind, Node, Path, quoted};
use crate::problem::Report;

/// One value, with what is needed to complain about it.
pub(crate) struct Value<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: Path,
    report: &'a Report,
    shipped: &'a Node,
}

impl<'a> Value<'a> {
    /// The string that stands here, if it is one: to look for a word with a meaning of its own.
    pub(crate) fn word(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Reports what is wrong with this value.
    pub(crate) fn reject(&self, what: impl Into<String>, remedy: impl Into<String>) {
        self.report.add(self.node.at, &self.path, what.into(), remedy.into());
    }

    /// Reports what is wrong with the key of this value, which was written at `at`.
    pub(crate) fn reject_at(&self, at: At, what: impl Into<String>, remedy: impl Into<String>) {
        self.report.add(at, &self.path, what.into(), remedy.into());
    }

    fn reject_type(&self, expected: &str, remedy: impl Into<String>) {
        self.reject(format!("expected {expected}, found {}", self.node.describe()), remedy);
    }

    /// Reads a whole number within `range`.
    pub(crate) fn integer<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        let unit = unit_of(&self.path.to_string());
        let remedy = format!("use {} to {}{unit}", range.start(), range.end());
        match &self.node.kind {
            Kind::Integer(value, text) => {
                let value = value.and_then(|v| u64::try_from(v).ok());
                self.within(value, text, range, remedy)
            }
            _ => {
                self.reject_type("a whole number", remedy);
                None
            }
        }
    }

    /// Reads a size in bytes within `range`: an integer, or a string with a unit.
    pub(crate) fn bytes<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        let (start, end) = (bytes::format(*range.start()), bytes::format(*range.end()));
        let remedy = format!("use \"{start}\" to \"{end}\"");
        match &self.node.kind {
            Kind::Integer(value, text) => {
                let value = value.and_then(|v| u64::try_from(v).ok());
                self.within(value, text, range, remedy)
            }
            Kind::String(text) => match bytes::parse(text) {
                Ok(value) => self.within(Some(value), &quoted(text), range, remedy),
                Err(what) => {
                    let units = "the units are B, KiB, MiB and GiB";
                    self.reject(format!("{} {what}", quoted(text)), format!("{remedy}; {units}"));
                    None
                }
            },
            _ => {
                self.reject_type("a size in bytes", remedy);
                None
            }
        }
    }

    /// `value`: `None` when negative or beyond 64 bits.
    fn within<T: TryFrom<u64>>(
        &self,
        value: Option<u64>,
        text: &str,
        range: RangeInclusive<u64>,
        remedy: String,
    ) -> Option<T> {
        match value {
            Some(value) if range.contains(&value) => T::try_from(value).ok(),
            Some(value) if value > *range.end() => {
                self.reject(format!("{text} is too large"), remedy);
                None
            }
            None if !text.starts_with('-') => {
                self.reject(format!("{text} is too large"), remedy);
                None
            }
            _ => {
                self.reject(format!("{text} is too small"), remedy);
                None
            }
        }
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.node.kind {
            Kind::Boolean(value) => return Some(value),
            _ => self.reject_type("a boolean", "write true or false, without quotes"),
        }
        None
    }

    /// Reads a string; `remedy` says what would be right where it is something else.
    pub(crate) fn text(&self, remedy: &str) -> Option<&'a str> {
        match &self.node.kind {
            Kind::String(text) => return Some(text),
            _ => self.reject_type("a string", remedy),
        }
        None
    }

    /// Reads one word of a fixed list.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let all = names.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" or ");
        let text = self.text(&format!("use {all}"))?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let remedy = match nearest(text, names.iter().copied()) {
            Some(word) => format!("did you mean \"{word}\"? The choices are {all}"),
            None => format!("use {all}"),
        };
        self.reject(format!("{} is not one of the choices", quoted(text)), remedy);
        None
    }

    /// Reads an array as its elements.
    pub(crate) fn items(&self, remedy: &str) -> Option<Vec<Value<'a>>> {
        let Kind::Array(items) = &self.node.kind else {
            self.reject_type("an array", remedy);
            return None;
        };
        let item = |(index, node)| {
            let path = self.path.index(index);
            Value { node, path, report: self.report, shipped: self.shipped }
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Reads a table with `read`, then reports the keys that `read` did not ask for.
    pub(crate) fn section<T>(&self, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let (table, path) = (self.node.table(), self.path.clone());
        if table.is_none() {
            self.reject_type("a table", format!("write it as `[{path}]` with its keys below"));
        }
        let (report, shipped) = (self.report, self.shipped);
        Section { table, path, at: self.node.at, known: vec![], report, shipped }.read(read)
    }
}

/// One table that is being read.
pub(crate) struct Section<'a> {
    /// `None` where something else than a table stands, which has been reported: read as if every
    /// key were there.
    table: Option<&'a BTreeMap<String, Entry>>,
    path: Path,
    at: At,
    known: Vec<&'static str>,
    report: &'a Report,
    shipped: &'a Node,
}

impl<'a> Section<'a> {
    /// Reads the whole tree `root` with `read`. The tree of the shipped file tells where a key
    /// belongs that stands in the wrong table.
    pub(crate) fn read_root<T>(
        root: &'a Node,
        shipped: &'a Node,
        report: &'a Report,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        Value { node: root, path: Path::default(), report, shipped }.section(read)
    }

    fn read<T>(mut self, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let value = read(&mut self);
        self.report_unknown();
        value
    }

    /// The value of `key`, if it is there.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let node = &self.table?.get(key)?.value;
        Some(Value { node, path: self.path.key(key), report: self.report, shipped: self.shipped })
    }

    /// The value of `key`; its absence is a problem.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.optional(key);
        if value.is_none() && self.table.is_some() {
            let what = "is missing".to_owned();
            self.report.add(self.at, &self.path.key(key), what, format!("add `{key} = ...`"));
        }
        value
    }

    /// Reads a whole number within `range`.
    pub(crate) fn integer<T>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> T
    where
        T: TryFrom<u64> + Default,
    {
        self.value(key).and_then(|value| value.integer(range)).unwrap_or_default()
    }

    /// Reads a size in bytes within `range`.
    pub(crate) fn bytes<T>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> T
    where
        T: TryFrom<u64> + Default,
    {
        self.value(key).and_then(|value| value.bytes(range)).unwrap_or_default()
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &'static str) -> bool {
        self.value(key).and_then(|value| value.boolean()).unwrap_or_default()
    }

    /// Reads one word of a fixed list, whose first entry stands in for a wrong one.
    pub(crate) fn choice<T: Copy, const N: usize>(
        &mut self,
        key: &'static str,
        words: [(&str, T); N],
    ) -> T {
        const { assert!(N > 0, "a choice has at least one word") };
        self.value(key).and_then(|value| value.choice(&words)).unwrap_or(words[0].1)
    }

    /// Reads a table below this one.
    pub(crate) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        if let Some(value) = self.value(key) {
            return value.section(read);
        }
        let (path, report, shipped) = (self.path.key(key), self.report, self.shipped);
        Section { table: None, path, at: self.at, known: vec![], report, shipped }.read(read)
    }

    /// Every entry of a table whose keys are names that the operator chose.
    pub(crate) fn entries(&mut self) -> Vec<(&'a str, At, Value<'a>)> {
        let entry = |(key, entry): (&'a String, &'a Entry)| {
            let (path, report, shipped) = (self.path.key(key), self.report, self.shipped);
            (key.as_str(), entry.key_at, Value { node: &entry.value, path, report, shipped })
        };
        self.table.take().into_iter().flatten().map(entry).collect()
    }

    fn report_unknown(self) {
        for (key, entry) in self.table.into_iter().flatten() {
            if !self.known.contains(&key.as_str()) {
                let remedy = self.remedy_for_unknown(key);
                let what = "unknown key".to_owned();
                self.report.add(entry.key_at, &self.path.key(key), what, remedy);
            }
        }
    }

    fn remedy_for_unknown(&self, key: &str) -> String {
        if let Some(known) = nearest(key, self.known.iter().copied()) {
            return format!("did you mean `{known}`?");
        }
        let holds = |entry: &Entry| entry.value.table().is_some_and(|t| t.contains_key(key));
        let mut sections = self.shipped.table().into_iter().flatten();
        match sections.find(|(_, entry)| holds(entry)) {
            Some((name, _)) => format!("did you mean to write it under [{name}]?"),
            None => format!("the keys here are {}", self.known.join(", ")),
        }
    }
}

/// The known word that `word` was most likely meant to be.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const SIMILAR: f64 = 0.85;
    const WORD_BYTES_MAX: usize = 100;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let scored = known.map(|k| (strsim::jaro_winkler(&word.to_lowercase(), k), k));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILAR).then_some(best.1)
}

/// The unit that the name of a key ends with, for "use 1 to 10 ..".
fn unit_of(path: &str) -> &'static str {
    const UNITS: [(&str, &str); 3] =
        [("_ms", " milliseconds"), ("_us", " microseconds"), ("_s", " seconds")];
    let name = path.strip_suffix("_max").unwrap_or(path);
    UNITS.iter().find(|(suffix, _)| name.ends_with(suffix)).map_or("", |(_, unit)| unit)
}
