//! A line that moves, where somebody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Progress on standard error; nothing at all where that is no terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins `what`, which has `steps` steps.
    pub fn new(what: &str, steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{prefix} [{bar:40}] {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what.to_owned());
        Self(bar)
    }

    /// Shows a bar that is not seen, for runs inside other runs.
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Begins the next part of the work.
    pub fn part(&self, what: &str, steps: u64) {
        self.0.set_prefix(what.to_owned());
        self.0.set_length(steps);
        self.0.set_position(0);
    }

    /// Says how far it is, with some words.
    pub fn at(&self, step: u64, message: String) {
        self.0.set_position(step);
        self.0.set_message(message);
    }

    /// Writes a line above the bar, or on standard error where there is no bar.
    pub fn line(&self, text: &str) {
        if self.0.is_hidden() {
            eprintln!("{text}");
        } else {
            self.0.println(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How often it is worth telling.
pub const INTERVAL: Duration = Duration::from_millis(100);
