//! Networks of a test's own: two hosts with two cables between, in namespaces of the kernel.
//!
//! A test body runs in a copy of the test program inside of fresh user and network namespaces, where
//! it is root and sees nothing of the machine's network. That is the receiving host; the sending host
//! is a further namespace.
//!
//! | cable | receiver | sender |
//! |---|---|---|
//! | 0 | `rx0` 10.71.0.1, fd71::1 | `tx0` 10.71.0.2, 10.71.0.3, fd71::2, fd71::3 |
//! | 1 | `rx1` 10.72.0.1, fd72::1 | `tx1` 10.72.0.2, fd72::2 |

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::peer::Peer;
use super::{LIMIT, Scratch, wait_until};

/// Set in the copy that runs inside.
const INSIDE: &str = "CORELAY_TEST_NETWORK";

/// Runs `body` inside of a network of its own; `test` is the name of the test function.
///
/// # Panics
/// If `body` does, or the kernel forbids namespaces.
pub fn inside(test: &str, body: impl FnOnce(&Network)) {
    if std::env::var(INSIDE).as_deref() == Ok(test) {
        return body(&Network::lay());
    }
    let possible = Command::new("unshare").args(["-rn", "true"]).output().expect("util-linux");
    assert!(
        possible.status.success(),
        "this kernel forbids network namespaces, which this test needs ({}): allow them by \
         `sysctl kernel.unprivileged_userns_clone=1`, `sysctl user.max_user_namespaces=1000` or \
         `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run the tests as root",
        String::from_utf8_lossy(&possible.stderr).trim()
    );
    let program = std::env::current_exe().expect("the test program");
    let program = program.to_str().expect("UTF-8");
    let scratch = Scratch::new("namespace");
    let variable = format!("{INSIDE}={test}");
    let enter = ["-rn", "env", &variable, program];
    let args = ["--exact", test, "--nocapture", "--test-threads=1"];
    let finished = Peer::spawn(&scratch, "unshare", &[&enter[..], &args].concat()).wait(LIMIT * 4);
    // All of it: the reason stands in front of what the relay has logged.
    let said = format!("{}\n{}", finished.stdout, finished.stderr);
    assert!(finished.succeeded(), "inside of the namespace: {:?}\n{said}", finished.status);
    let ran = finished.stdout.contains("test result: ok. 1 passed");
    assert!(ran, "no test is named {test}: {}", finished.output());
}

/// The two hosts. This process is the receiving one.
pub struct Network {
    sender: Host,
}

/// The sending host: a namespace, kept by a process that sleeps in it.
pub struct Host {
    keeper: Child,
}

impl Network {
    fn lay() -> Self {
        let sender = Host::start();
        ip("link set dev lo up");
        sender.ip("link set dev lo up");
        let network = Self { sender };
        network.lay_cable(0);
        network.lay_cable(1);
        network.sender.ip("addr add 10.71.0.3/24 dev tx0");
        network.sender.ip("addr add fd71::3/64 dev tx0 nodad");
        network
    }

    /// Lays a cable, anew if it was removed.
    pub fn lay_cable(&self, number: u32) {
        let (rx, tx) = (format!("rx{number}"), format!("tx{number}"));
        let net = 71 + number;
        ip(&format!("link add name {rx} type veth peer name {tx}"));
        ip(&format!("link set dev {tx} netns {}", self.sender.keeper.id()));
        ip(&format!("addr add 10.{net}.0.1/24 dev {rx}"));
        ip(&format!("addr add fd{net}::1/64 dev {rx} nodad"));
        self.sender.ip(&format!("addr add 10.{net}.0.2/24 dev {tx}"));
        self.sender.ip(&format!("addr add fd{net}::2/64 dev {tx} nodad"));
        ip(&format!("link set dev {rx} up"));
        self.sender.ip(&format!("link set dev {tx} up"));
        wait_until("the cable has a carrier", LIMIT, || {
            ip(&format!("link show dev {rx}")).contains("LOWER_UP")
                && self.sender.ip(&format!("link show dev {tx}")).contains("LOWER_UP")
        });
    }

    /// The sending host.
    pub fn sender(&self) -> &Host {
        &self.sender
    }
}

impl Host {
    fn start() -> Self {
        let own = std::fs::read_link("/proc/self/ns/net").expect("namespaces");
        let keeper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "-n", "sleep", "3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv is part of util-linux");
        let host = Self { keeper };
        wait_until("the sending host exists", LIMIT, || {
            std::fs::read_link(host.namespace()).is_ok_and(|namespace| namespace != own)
        });
        host
    }

    /// Runs `ip` there.
    pub fn ip(&self, args: &str) -> String {
        let pid = self.keeper.id().to_string();
        let command = ["nsenter", "-t", &pid, "-n", "ip"];
        run(&command.into_iter().chain(args.split_whitespace()).collect::<Vec<_>>())
    }

    /// Starts a program there.
    ///
    /// # Panics
    /// If it is not installed.
    pub fn spawn(&self, scratch: &Scratch, program: &str, args: &[&str]) -> Peer {
        let path = std::env::var("PATH").unwrap_or_default();
        let is_there = path.split(':').any(|folder| PathBuf::from(folder).join(program).is_file());
        assert!(is_there, "{program} is not installed: run scripts/setup");
        let pid = self.keeper.id().to_string();
        let enter = ["-t", &pid, "-n", "--", program];
        Peer::spawn(scratch, "nsenter", &[&enter[..], args].concat())
    }

    /// Runs a function there, on a thread of its own.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.namespace()).expect("the namespace exists");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                enter(&namespace);
                body()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.keeper.id()).into()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Moves the calling thread to another network.
fn enter(namespace: &File) {
    // SAFETY: a descriptor that is open, and no pointers.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
}

/// Runs `ip` on the receiving host.
pub fn ip(args: &str) -> String {
    run(&["ip"].into_iter().chain(args.split_whitespace()).collect::<Vec<_>>())
}

fn run(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}: run scripts/setup", command[0]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
