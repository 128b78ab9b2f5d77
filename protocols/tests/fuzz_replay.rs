//! Replays the corpus of every fuzz target, whole and damaged, in the ordinary test run.

use std::fs;
use std::path::{Path, PathBuf};

// The targets are public in their own crate.
#[allow(unreachable_pub)]
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

/// Files up to this size are also replayed cut at every length and with every byte flipped.
const DAMAGED_BYTES_MAX: usize = 700;

/// Larger files are damaged at about this many places, evenly spread.
const DAMAGES_OF_LARGE_FILES: usize = 100;

#[test]
fn every_target_survives_its_corpus_whole_and_damaged() {
    for (name, run) in targets::ALL {
        for path in corpus(name) {
            let data = fs::read(&path).unwrap();
            eprintln!("{}: {} bytes", path.display(), data.len());
            replay(*run, &data);
        }
    }
}

/// Runs the file, its beginnings, and the file with one byte inverted or one bit flipped.
fn replay(run: fn(&[u8]), data: &[u8]) {
    run(data);
    let small = data.len() <= DAMAGED_BYTES_MAX;
    let step = if small { 1 } else { data.len() / DAMAGES_OF_LARGE_FILES };
    for at in (0..data.len()).step_by(step) {
        run(&data[..at]);
        for mask in [0xFF, 1 << (at % 8)] {
            let mut damaged = data.to_vec();
            damaged[at] ^= mask;
            run(&damaged);
        }
    }
}

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} has no files", folder.display());
    files.sort();
    files
}
