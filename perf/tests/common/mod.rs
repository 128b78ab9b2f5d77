//! The load generator as the tests run it, and where they may write.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The load generator with these arguments.
pub fn perf(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelay-perf"));
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// A folder for a test.
pub fn scratch(test: &str) -> PathBuf {
    let name = format!("corelay-perf-{test}-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}
