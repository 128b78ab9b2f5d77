//! The end-to-end rig: the built relay, the peers it is tested against, and what to compare.
//!
//! The rig shares no code with the relay. Its RTMP client, its FLV reader and its HTTP client are
//! small readings of the specifications of their own, so that a mistake of the relay's is not made
//! twice and cancelled out.
//!
//! # Invariants
//! - A test ends only what it started, by process id, and within a bounded time.
//! - Every port comes from the kernel; all traffic stays on 127.0.0.1.
//! - A peer that is not installed fails the test with the remedy. Nothing is skipped.
#![allow(dead_code, unreachable_pub)] // Each test program uses a part of the rig.

pub mod amf;
pub mod ffmpeg;
pub mod flv;
pub mod hls;
pub mod http;
pub mod http2;
pub mod media;
pub mod netns;
pub mod nginx;
pub mod peer;
pub mod relay;
pub mod rtmp;
pub mod secured;
pub mod tls;
pub mod ts;
pub mod witness;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that has no reason to take long. Generous: the machine is shared.
pub const LIMIT: Duration = Duration::from_secs(40);

/// A directory for the files of one test. Removed when the test passes, kept when it fails.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a fresh directory whose name tells the test's purpose.
    pub fn new(purpose: &str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{purpose}-{}-{serial}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the target directory is writable");
        Self(path)
    }

    /// A file of this name in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("files of the failed test: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Asks again until there is an answer.
///
/// # Panics
/// With `what` when `limit` has passed.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Waits until it is true.
pub fn wait_until(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    wait_for(what, limit, || ask().then_some(()));
}

/// Waits until a program has written more than this into a file.
pub fn await_bytes(file: &Path, bytes: u64) {
    wait_until(&format!("{bytes} bytes in {}", file.display()), LIMIT, || {
        std::fs::metadata(file).is_ok_and(|file| file.len() > bytes)
    });
}

/// The first CPUs that this process may run on, at most `count`.
pub fn cpus(count: usize) -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("a Linux kernel says Cpus_allowed_list");
    let mut all = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        all.extend(first..=last);
    }
    all.truncate(count);
    all
}

/// Raises the number of files this process may open, as far as the system lets it; says how far.
pub fn raise_open_files(wanted: usize) -> usize {
    let pid = std::process::id().to_string();
    for hard in [wanted.to_string(), String::new()] {
        // prlimit with an empty hard limit keeps it; raising it takes a privilege.
        let soft = if hard.is_empty() { open_files_limit("Hard") } else { wanted };
        let limit = format!("--nofile={soft}:{hard}");
        let done = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .stderr(std::process::Stdio::null())
            .status()
            .expect("prlimit is part of util-linux");
        if done.success() {
            break;
        }
    }
    open_files_limit("Soft")
}

fn open_files_limit(which: &str) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("procfs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let mut columns = line["Max open files".len()..].split_whitespace();
    let soft = columns.next().expect("a soft limit");
    let hard = columns.next().expect("a hard limit");
    let text = if which == "Soft" { soft } else { hard };
    text.parse().unwrap_or(usize::MAX)
}
