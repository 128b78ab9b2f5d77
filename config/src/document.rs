//! A parsed TOML file as a tree that knows where every value was written.
//!
//! Two trees are laid over each other: the shipped file below, the operator's file above. Tables
//! merge key by key, everything else replaces. Each node keeps its layer and byte offset, so a
//! value is blamed on the line that wrote it however deep the merge went.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

/// Who wrote a value. Later layers lie over earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// The embedded `corelay.toml`.
    Shipped,
    /// The operator's file.
    File,
    /// The table of one named application in the operator's file.
    Named,
}

/// A place in a source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) layer: Layer,
    /// Byte offset from the start of the text.
    pub(crate) offset: usize,
}

/// One value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: At,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    String(String),
    /// `None`: outside the 64 bits of TOML. The text is as written, for the message.
    Integer(Option<i64>, String),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(BTreeMap<String, Entry>),
}

/// One `key = value` of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key_at: At,
    pub(crate) value: Node,
}

/// A syntax error of the TOML parser, in its words.
pub(crate) struct SyntaxError {
    /// Where it went wrong, in bytes from the start of the text.
    pub(crate) span: std::ops::Range<usize>,
    pub(crate) message: String,
}

/// Parses `text` into a tree whose nodes all belong to `layer`.
pub(crate) fn parse(text: &str, layer: Layer) -> Result<Node, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let at = At { layer, offset: 0 };
        return Ok(Node { kind: Kind::Table(entries(table.get_ref(), layer)), at });
    }
    let error = |e: toml::de::Error| SyntaxError {
        span: e.span().unwrap_or(text.len()..text.len()),
        message: e.message().to_owned(),
    };
    Err(errors.into_iter().map(error).collect())
}

fn entries(table: &DeTable<'_>, layer: Layer) -> BTreeMap<String, Entry> {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key_at = At { layer, offset: key.span().start };
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        let at = At { layer, offset: value.span().start };
        (key.to_string(), Entry { key_at, value: node(value.get_ref(), at) })
    };
    table.iter().map(entry).collect()
}

fn node(value: &DeValue<'_>, at: At) -> Node {
    let kind = match value {
        DeValue::String(text) => Kind::String(text.to_string()),
        DeValue::Integer(number) => {
            let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
            Kind::Integer(value, number.to_string())
        }
        DeValue::Float(number) => Kind::Float(number.to_string()),
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Datetime(time) => Kind::Datetime(time.to_string()),
        DeValue::Array(items) => {
            let item = |v: &toml::Spanned<DeValue<'_>>| {
                node(v.get_ref(), At { layer: at.layer, offset: v.span().start })
            };
            Kind::Array(items.iter().map(item).collect())
        }
        DeValue::Table(table) => Kind::Table(entries(table, at.layer)),
    };
    Node { kind, at }
}

impl Node {
    /// Lays `over` above `self`: tables merge, everything else is replaced.
    pub(crate) fn overlay(&mut self, over: Node) {
        self.at = over.at;
        match (&mut self.kind, over.kind) {
            (Kind::Table(base), Kind::Table(over)) => {
                for (key, entry) in over {
                    match base.get_mut(&key) {
                        Some(below) => {
                            below.key_at = entry.key_at;
                            below.value.overlay(entry.value);
                        }
                        None => drop(base.insert(key, entry)),
                    }
                }
            }
            (kind, over) => *kind = over,
        }
    }

    /// Moves this node and everything below it to `layer`.
    pub(crate) fn raise(&mut self, layer: Layer) {
        self.at.layer = layer;
        match &mut self.kind {
            Kind::Array(items) => items.iter_mut().for_each(|item| item.raise(layer)),
            Kind::Table(table) => {
                for entry in table.values_mut() {
                    entry.key_at.layer = layer;
                    entry.value.raise(layer);
                }
            }
            _ => {}
        }
    }

    /// The table of this node, if it is one.
    pub(crate) fn table(&self) -> Option<&BTreeMap<String, Entry>> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The table of this node for changing, if it is one.
    pub(crate) fn table_mut(&mut self) -> Option<&mut BTreeMap<String, Entry>> {
        match &mut self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Finds the value at `path` below this node.
    pub(crate) fn find(&self, path: &Path) -> Option<&Node> {
        path.steps.iter().try_fold(self, |node, step| match (step, &node.kind) {
            (Step::Key(key), Kind::Table(table)) => table.get(key).map(|entry| &entry.value),
            (Step::Index(index), Kind::Array(items)) => items.get(*index),
            _ => None,
        })
    }

    /// What the operator wrote, in words, for "expected .., found ..".
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::String(text) => format!("the string {}", quoted(text)),
            Kind::Integer(_, text) => format!("the integer {text}"),
            Kind::Float(text) => format!("the float {text}"),
            Kind::Boolean(value) => format!("the boolean {value}"),
            Kind::Datetime(text) => format!("the date {text}"),
            Kind::Array(_) => "an array".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        }
    }
}

/// Puts `text` in quotes on one line, cut to a length that fits in a message.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("{:?}...", text.get(..cut).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Where a value stands in the tree: `rtmp.listen[1].cores`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The path of nested table keys, outermost first.
    pub(crate) fn of(keys: &[&str]) -> Path {
        Path { steps: keys.iter().map(|key| Step::Key(key.to_string())).collect() }
    }

    /// This path, one table key deeper.
    pub(crate) fn key(&self, key: &str) -> Path {
        self.with(Step::Key(key.to_owned()))
    }

    /// This path, one array element deeper.
    pub(crate) fn index(&self, index: usize) -> Path {
        self.with(Step::Index(index))
    }

    /// Whether `self` is `other` or lies below it.
    pub(crate) fn is_within(&self, other: &Path) -> bool {
        self.steps.starts_with(&other.steps)
    }

    fn with(&self, step: Step) -> Path {
        let mut steps = self.steps.clone();
        steps.push(step);
        Path { steps }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if position == 0 { "" } else { "." };
                    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    match !key.is_empty() && key.chars().all(bare) {
                        true => write!(f, "{dot}{key}")?,
                        false => write!(f, "{dot}{}", quoted(key))?,
                    }
                }
            }
        }
        Ok(())
    }
}
