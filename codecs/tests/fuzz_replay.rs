//! Runs every fuzz target over its corpus and over small changes of it, so that the ordinary test
//! run covers what fuzzing found.

use std::path::{Path, PathBuf};

#[allow(unreachable_pub)] // They are public in the crate that they come from.
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

#[test]
fn every_target_survives_its_corpus_whole_cut_and_changed() {
    for (target, run) in targets::ALL {
        for file in corpus(target) {
            let input = std::fs::read(&file).expect("readable file");
            // Shown when the run fails: the file that made it.
            println!("{}", file.display());
            run(&input);
            run_truncated(&input, *run);
            run_flipped(&input, *run);
            run_shuffled(&input, *run);
        }
    }
}

#[test]
fn every_target_survives_an_empty_input() {
    for (_, run) in targets::ALL {
        run(&[]);
    }
}

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).expect("every target has a corpus folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Ends the input at every length; every so many bytes for long ones, to keep the test short.
fn run_truncated(input: &[u8], run: fn(&[u8])) {
    for end in (0..input.len()).step_by(1 + input.len() / 1_000) {
        run(&input[..end]);
    }
}

/// Changes each of the first bytes, where the headers are.
fn run_flipped(input: &[u8], run: fn(&[u8])) {
    let mut changed = input.to_vec();
    for at in 0..input.len().min(512) {
        for mask in [0x01, 0x80, 0xFF] {
            changed[at] ^= mask;
            run(&changed);
            changed[at] = input[at];
        }
    }
}

/// Overwrites a few random bytes, many times; the same ones in every run.
fn run_shuffled(input: &[u8], run: fn(&[u8])) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below.max(1)
    };
    for _ in 0..500 {
        let mut changed = input.to_vec();
        for _ in 0..1 + random(4) {
            let at = random(changed.len().min(512));
            if let Some(byte) = changed.get_mut(at) {
                *byte = random(256) as u8;
            }
        }
        run(&changed);
    }
}
