//! Broken TOML, told in the words of somebody who edits a configuration file.

use crate::document::{Path, SyntaxError, quoted};
use crate::problem::{Problem, Problems, Source};

/// Makes one problem of each line with a syntax error: what follows on a line is mostly the echo
/// of the first.
pub(crate) fn problems(mut errors: Vec<SyntaxError>, source: &Source<'_>) -> Problems {
    errors.sort_by_key(|error| error.span.start);
    let mut line_end = None;
    errors.retain(|error| {
        let starts_a_line = line_end.is_none_or(|end| error.span.start > end);
        if starts_a_line {
            let rest = source.text.get(error.span.start..).unwrap_or_default();
            line_end = Some(error.span.start + rest.find('\n').unwrap_or(rest.len()));
        }
        starts_a_line
    });
    let problem = |error: SyntaxError| {
        let (what, remedy) = explain(&error, source.text);
        source.problem(error.span.start, key_before(source.text, error.span.start), what, remedy)
    };
    Problems::of(errors, problem).unwrap_or_else(|| Problems::one(nowhere(source)))
}

fn nowhere(source: &Source<'_>) -> Problem {
    let (what, remedy) = ("is not TOML".to_owned(), "write `key = value` lines".to_owned());
    source.problem(0, String::new(), what, remedy)
}

/// What is wrong and what would be right. The parser's own words are kept where they serve.
fn explain(error: &SyntaxError, text: &str) -> (String, String) {
    let found = text.get(error.span.clone()).unwrap_or_default();
    let (what, expected) = match error.message.split_once(", expected ") {
        Some((what, expected)) => (what, expected),
        None => (error.message.as_str(), ""),
    };
    let values = "write numbers, true and false as they are, and text in double quotes".to_owned();
    match (what, expected) {
        ("string values must be quoted", _) if found.is_empty() => {
            ("the value is missing".to_owned(), "write a value after the `=`".to_owned())
        }
        ("string values must be quoted" | "invalid boolean" | "invalid float", _) => {
            (format!("{} is not a value", quoted(whole_word(text, error.span.start))), values)
        }
        ("duplicate key", _) => {
            (format!("{} stands here a second time", quoted(found)), "write it once".to_owned())
        }
        (_, "" | "nothing") => (what.to_owned(), values),
        _ => (what.to_owned(), format!("expected {expected}")),
    }
}

/// The whole run of characters around `offset` that the writer may have meant as one value.
fn whole_word(text: &str, offset: usize) -> &str {
    let (before, after) = (text.get(..offset).unwrap_or(""), text.get(offset..).unwrap_or(""));
    let ends = |c: char| matches!(c, '=' | ',' | '[' | ']' | '{' | '}' | '\n' | '\r' | '#');
    let start = before.rfind(ends).map_or(0, |at| at + 1);
    let end = after.find(ends).unwrap_or(after.len());
    text.get(start..offset + end).unwrap_or("").trim()
}

/// The key of the line that `offset` is in, with its table, as far as a look at the lines tells;
/// empty where it does not.
fn key_before(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let shown = |key: &&str| key.len() <= KEY_BYTES_MAX;
    let Some(key) = line.split_once('=').and_then(|(key, _)| bare(key)).filter(shown) else {
        return String::new();
    };
    let lines = text.get(..line_start).unwrap_or("").lines();
    let table = lines.rev().find_map(|line| {
        line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')).and_then(|h| bare(h.0))
    });
    Path::of(&table.into_iter().chain([key]).flat_map(|k| k.split('.')).collect::<Vec<_>>())
        .to_string()
}

/// `text` without the spaces around it, if it is a bare or dotted key.
fn bare(text: &str) -> Option<&str> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!text.is_empty() && text.chars().all(allowed)).then_some(text)
}

/// A longer run of bytes before an equal sign is no key of ours, and would drown the message.
const KEY_BYTES_MAX: usize = 100;
