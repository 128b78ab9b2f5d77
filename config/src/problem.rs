//! What is wrong with a configuration, each with its place and its remedy.

use std::cell::RefCell;
use std::fmt;

use crate::document::{At, Layer, Path};

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named to [`Config::parse`](crate::Config::parse) or
    /// [`Config::load`](crate::Config::load).
    pub file: String,
    /// Line, counted from 1. 0: the problem has no place in the text (the file cannot be read).
    pub line: usize,
    /// Column in characters, counted from 1. 0 where `line` is 0.
    pub column: usize,
    /// The key with its tables, as in `rtmp.listen[1]`. Empty for a syntax error.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}; {}", self.what, self.remedy)
    }
}

/// Everything that is wrong in a configuration file, in the order of the text, never empty.
///
/// `Display` prints one problem per line: `file:line:column: key: what is wrong; what would be
/// right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    unlisted: usize,
}

/// More than this nobody reads, and a broken file could hold a million.
const LISTED_MAX: usize = 100;

impl Problems {
    /// The problems, ordered by their place in the text; at most 100.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many further problems were found and are not listed.
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    pub(crate) fn one(problem: Problem) -> Problems {
        Problems { list: vec![problem], unlisted: 0 }
    }

    /// Makes the first of `found` into problems and counts the rest; `None` when there are none.
    pub(crate) fn of<T>(mut found: Vec<T>, problem: impl Fn(T) -> Problem) -> Option<Problems> {
        let unlisted = found.len().saturating_sub(LISTED_MAX);
        found.truncate(LISTED_MAX);
        let list: Vec<Problem> = found.into_iter().map(problem).collect();
        (!list.is_empty()).then_some(Problems { list, unlisted })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let line_feed = if index == 0 { "" } else { "\n" };
            write!(f, "{line_feed}{problem}")?;
        }
        match self.unlisted {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// A source text and the name it goes by in messages.
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// Makes a problem of what is wrong at `offset`.
    pub(crate) fn problem(
        &self,
        offset: usize,
        key: String,
        what: String,
        remedy: String,
    ) -> Problem {
        let (line, column) = self.position(offset);
        Problem { file: self.name.to_owned(), line, column, key, what, remedy }
    }

    /// Line and column of the byte at `offset`, both from 1.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = self.text.get(line_start..before.len()).map_or(0, |s| s.chars().count()) + 1;
        (line, column)
    }
}

/// Collects problems while a tree is read, so that one run reports all of them.
#[derive(Default)]
pub(crate) struct Report {
    found: RefCell<Vec<Found>>,
}

struct Found {
    at: At,
    path: Path,
    what: String,
    remedy: String,
}

impl Report {
    /// Notes a problem of the key `path` at `at`.
    pub(crate) fn add(&self, at: At, path: &Path, what: String, remedy: String) {
        self.found.borrow_mut().push(Found { at, path: path.clone(), what, remedy });
    }

    /// The keys that have a problem.
    pub(crate) fn paths(&self) -> Vec<Path> {
        self.found.borrow().iter().map(|found| found.path.clone()).collect()
    }

    /// Turns what was found into `Problems`; `None` when all is well.
    pub(crate) fn into_problems(self, shipped: &Source<'_>, file: &Source<'_>) -> Option<Problems> {
        let mut found = self.found.into_inner();
        // A named application reads what it inherits once more: the same place, told twice. Its
        // own layer is in the same file as the one below.
        let place = |f: &Found| (f.at.layer != Layer::Shipped, f.at.offset);
        found.sort_by(|a, b| (place(a), &a.what).cmp(&(place(b), &b.what)));
        found.dedup_by(|a, b| place(a) == place(b) && a.what == b.what);
        let problem = |f: Found| {
            let source = if f.at.layer == Layer::Shipped { shipped } else { file };
            source.problem(f.at.offset, f.path.to_string(), f.what, f.remedy)
        };
        Problems::of(found, problem)
    }
}
