//! Foreign programs as peers: ffmpeg, rtmpdump, GStreamer, curl, nginx, Chromium.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Scratch;

/// A running foreign program. Dropping it kills it.
pub struct Peer {
    child: Child,
    program: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a program left behind.
pub struct Finished {
    /// How it ended; `None` if it was killed because its time was over.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// It ended by itself, with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Both outputs, for a failure message.
    pub fn output(&self) -> String {
        format!("{:?}\n{}\n{}", self.status, tail(&self.stdout), tail(&self.stderr))
    }
}

impl Peer {
    /// Starts a program; its output goes to files of the test.
    ///
    /// # Panics
    /// If it is not installed.
    pub fn spawn<A: AsRef<OsStr>>(scratch: &Scratch, program: &str, args: &[A]) -> Self {
        require(program);
        let serial = std::fs::read_dir(scratch.path()).map_or(0, Iterator::count);
        let name = program.rsplit('/').next().unwrap_or(program);
        let stdout = scratch.file(&format!("{name}-{serial}.out"));
        let stderr = scratch.file(&format!("{name}-{serial}.err"));
        // setpriv: should the test program be killed, its peers go with it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(args)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("scratch is writable"))
            .stderr(File::create(&stderr).expect("scratch is writable"))
            .spawn()
            .expect("setpriv is part of util-linux");
        Self { child, program: program.to_owned(), stdout, stderr }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        signal(self.child.id(), "INT");
    }

    /// Waits for its end, at most `limit`, then kills it.
    pub fn wait(mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        let mut status = None;
        while status.is_none() && Instant::now() < deadline {
            status = self.child.try_wait().expect("the child is ours");
            std::thread::sleep(Duration::from_millis(20));
        }
        if status.is_none() {
            eprintln!("{} did not end within {limit:?}", self.program);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        Finished { status, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }

    /// Interrupts it and waits for its end.
    pub fn stop(self) -> Finished {
        self.interrupt();
        self.wait(super::LIMIT)
    }

    /// What it has written to standard error so far.
    pub fn stderr_so_far(&self) -> String {
        read(&self.stderr)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.program, tail(&read(&self.stderr)));
        }
    }
}

/// Runs a program to its end.
///
/// # Panics
/// If it fails, or takes longer than `limit`.
pub fn run<A: AsRef<OsStr>>(
    scratch: &Scratch,
    program: &str,
    args: &[A],
    limit: Duration,
) -> Finished {
    let finished = Peer::spawn(scratch, program, args).wait(limit);
    assert!(finished.succeeded(), "{program}: {}", finished.output());
    finished
}

/// Sends a signal to one process.
pub fn signal(pid: u32, name: &str) {
    let command = format!("kill -{name} {pid}");
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
}

/// # Panics
/// If the program is not installed, with the remedy.
fn require(program: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').any(|folder| PathBuf::from(folder).join(program).is_file());
    assert!(found || program.starts_with('/'), "{program} is not installed: run scripts/setup");
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a text, enough to see why something failed.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
