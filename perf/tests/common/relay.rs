//! The relay, for tests that need one.

use std::path::{Path, PathBuf};

/// The relay that was built beside the load generator.
pub fn relay_program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_corelay-perf")).with_file_name("corelay");
    let release = if cfg!(debug_assertions) { "" } else { "--release " };
    assert!(
        path.exists(),
        "{} is missing: build it first with `cargo build {release}-p corelay`",
        path.display()
    );
    path
}
