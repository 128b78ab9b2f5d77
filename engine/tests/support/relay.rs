//! The relay under test: the built program, on ports of the kernel's choice.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Scratch, http, peer, wait_for, wait_until};

/// What every test's relay runs on, before the test's own settings. Dotted keys, so that a test can
/// add keys of the same tables below.
const BASE: &str = r#"
rtmp.listen = ["127.0.0.1:0"]
http.listen = ["127.0.0.1:0"]
ts.listen = ["127.0.0.1:0"]
admin.listen = "127.0.0.1:0"
"#;

/// The same with a TLS listener beside each.
const SECURE: &str = r#"
rtmp.listen = ["127.0.0.1:0", { address = "127.0.0.1:0", tls = true }]
http.listen = ["127.0.0.1:0", { address = "127.0.0.1:0", tls = true }]
ts.listen = ["127.0.0.1:0", { address = "127.0.0.1:0", tls = true }]
admin.listen = "127.0.0.1:0"
"#;

/// A running relay. Dropping it ends it.
pub struct Relay {
    child: Child,
    log: PathBuf,
    scratch: Scratch,
    rtmp: SocketAddr,
    http: SocketAddr,
    ts: SocketAddr,
    admin: SocketAddr,
}

impl Relay {
    /// Starts a relay and waits until it serves. `settings` is TOML in dotted keys, e.g.
    /// `applications.default.takeover = "first_wins"`.
    pub fn start(settings: &str) -> Self {
        Self::start_limited(settings, &[])
    }

    /// The same, with the resource limits of the process set first (options of prlimit).
    pub fn start_limited(settings: &str, limits: &[&str]) -> Self {
        Self::launch(BASE, settings, limits)
    }

    /// The same with TLS listeners too. The settings name the certificates.
    pub fn start_secure(settings: &str) -> Self {
        Self::launch(SECURE, settings, &[])
    }

    /// The same with these listeners of HTTP. The settings name the certificates.
    pub fn start_with_http(listen: &str, settings: &str) -> Self {
        let base =
            BASE.replace("http.listen = [\"127.0.0.1:0\"]", &format!("http.listen = {listen}"));
        Self::launch(&base, settings, &[])
    }

    fn launch(base: &str, settings: &str, limits: &[&str]) -> Self {
        let scratch = Scratch::new("relay");
        let config = scratch.file("corelay.toml");
        std::fs::write(&config, format!("{base}{settings}\n")).expect("scratch is writable");
        let log = scratch.file("relay.log");
        let mut child = spawn(&["--config", config.to_str().unwrap()], limits, &log);
        let started = Instant::now();
        let lines = wait_for("the relay says that it is ready", super::LIMIT, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let ready = text.lines().any(|line| line == "ready");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the relay ended after {:?}, {status}:\n{text}", started.elapsed());
            }
            ready.then_some(text)
        });
        let address = |kind: &str| {
            let address = listening(&lines, kind);
            address.unwrap_or_else(|| panic!("it does not listen for {kind}:\n{lines}"))
        };
        let (rtmp, http, ts) = (address("rtmp"), address("http"), address("ts"));
        let admin = listening(&lines, "admin-https").unwrap_or_else(|| address("admin"));
        Self { child, log, scratch, rtmp, http, ts, admin }
    }

    /// Where something is served, by the name that the relay gives it: `rtmps`, `https`, `ts-tls`.
    ///
    /// # Panics
    /// If it is not.
    pub fn listening(&self, kind: &str) -> SocketAddr {
        listening(&self.log(), kind).unwrap_or_else(|| panic!("it does not listen for {kind}"))
    }

    /// The same of all listeners of that name, in the order of the settings.
    pub fn listening_all(&self, kind: &str) -> Vec<SocketAddr> {
        let log = self.log();
        let lines =
            log.lines().filter_map(|line| line.strip_prefix("listening ")?.strip_prefix(kind));
        let addresses = lines.filter_map(|rest| rest.strip_prefix(' '));
        addresses.map(|address| address.parse().expect("an address")).collect()
    }

    /// Address of a stream for RTMP publishers and players through TLS.
    pub fn rtmps_url(&self, app: &str, name: &str) -> String {
        format!("rtmps://{}/{app}/{name}", self.listening("rtmps"))
    }

    /// The port of HTTPS.
    pub fn https_port(&self) -> u16 {
        self.listening("https").port()
    }

    /// Where RTMP is served.
    pub fn rtmp(&self) -> SocketAddr {
        self.rtmp
    }

    /// Where HTTP media is served.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where transport streams are taken.
    pub fn ts(&self) -> SocketAddr {
        self.ts
    }

    /// Where the administration is served.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Address of a stream for RTMP publishers and players.
    pub fn rtmp_url(&self, app: &str, name: &str) -> String {
        format!("rtmp://{}/{app}/{name}", self.rtmp)
    }

    /// Address of a stream for HTTP-FLV players.
    pub fn flv_url(&self, app: &str, name: &str) -> String {
        format!("http://{}/{app}/{name}.flv", self.http)
    }

    /// Address of a stream for HTTP players of transport streams.
    pub fn ts_url(&self, app: &str, name: &str) -> String {
        format!("http://{}/{app}/{name}.ts", self.http)
    }

    /// Address of a stream for WebSocket-FLV players.
    pub fn ws_url(&self, app: &str, name: &str) -> String {
        format!("ws://{}/{app}/{name}.flv", self.http)
    }

    /// A place for the files of the test's peers.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the administration, and reads its JSON.
    pub fn api(&self, path: &str) -> Value {
        let response = http::get(self.admin, path);
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        serde_json::from_slice(&response.body)
            .unwrap_or_else(|error| panic!("GET {path}: {error}: {}", response.text()))
    }

    /// Everything `/metrics` says.
    pub fn metrics(&self) -> String {
        let response = http::get(self.admin, "/metrics");
        assert_eq!(response.status, 200, "GET /metrics: {}", response.text());
        response.text()
    }

    /// The sum of a metric over all its labels that contain `label`; `None` if it does not exist.
    pub fn metric(&self, name: &str, label: &str) -> Option<f64> {
        let text = self.metrics();
        let samples: Vec<f64> = text
            .lines()
            .filter(|line| line.contains(label))
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        (!samples.is_empty()).then(|| samples.iter().sum())
    }

    /// The entry of `/api/v1/streams` for a stream, if there is one.
    pub fn stream(&self, app: &str, name: &str) -> Option<Value> {
        let answer = self.api("/api/v1/streams?count=1000");
        let streams = answer["streams"].as_array().expect("streams is an array").clone();
        streams.into_iter().find(|stream| stream["app"] == app && stream["name"] == name)
    }

    /// The entries of `/api/v1/clients`.
    pub fn clients(&self) -> Vec<Value> {
        let answer = self.api("/api/v1/clients?count=1000");
        answer["clients"].as_array().expect("clients is an array").clone()
    }

    /// Number of open client connections.
    pub fn connections(&self) -> u64 {
        self.api("/api/v1/clients?count=1")["total"].as_u64().expect("a total")
    }

    /// Waits until a stream has a publisher.
    pub fn await_publisher(&self, app: &str, name: &str) {
        wait_until("the stream is published", super::LIMIT, || {
            self.stream(app, name).is_some_and(|stream| stream["publish"]["active"] == true)
        });
    }

    /// Waits until no client is connected.
    pub fn await_no_clients(&self) {
        wait_until("all clients are gone", super::LIMIT, || self.connections() == 0);
    }

    /// Resident memory in KiB.
    pub fn rss_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Number of open file descriptors.
    pub fn open_fds(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// Processor time used so far, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // proc(5): utime and stime are fields 14 and 15, in ticks of 10 ms; `)` ends field 2.
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("the relay runs")
    }

    /// Everything it has printed and logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a log line contains all the words; returns it.
    pub fn await_log(&self, words: &[&str]) -> String {
        wait_for(&format!("a log line with {words:?}"), super::LIMIT, || {
            let log = self.log();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        peer::signal(self.pid(), name);
    }

    /// Waits for its end.
    pub fn await_exit(&mut self, limit: Duration) -> ExitStatus {
        wait_for("the relay ends", limit, || self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let running = self.is_running();
        if std::thread::panicking() {
            eprintln!("--- relay (running: {running})\n{}", peer::tail(&self.log()));
        }
        if running {
            self.signal("TERM");
            let deadline = Instant::now() + Duration::from_secs(10);
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of a line `listening KIND ADDRESS`.
fn listening(lines: &str, kind: &str) -> Option<SocketAddr> {
    let prefix = format!("listening {kind} ");
    let line = lines.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(line.trim().parse().unwrap_or_else(|error| panic!("`{line}`: {error}")))
}

/// Starts the program with its output going to `log`.
fn spawn(args: &[&str], limits: &[&str], log: &Path) -> Child {
    let output = File::create(log).expect("scratch is writable");
    let program = env!("CARGO_BIN_EXE_corelay");
    // setpriv and prlimit replace themselves by the relay, so its process id is the child's.
    let mut words = vec!["--pdeathsig", "KILL", "--"];
    if !limits.is_empty() {
        words.push("prlimit");
        words.extend(limits);
    }
    words.push(program);
    words.extend(args);
    Command::new("setpriv")
        .args(words)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a second handle"))
        .stderr(output)
        .spawn()
        .expect("setpriv is part of util-linux")
}

/// Runs the program with the given arguments to its end, as an operator would.
pub fn command(scratch: &Scratch, args: &[&str]) -> peer::Finished {
    let program = env!("CARGO_BIN_EXE_corelay");
    let stdout = scratch.file("command.out");
    let stderr = scratch.file("command.err");
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", program])
        .args(args)
        .stdin(Stdio::null())
        .stdout(File::create(&stdout).expect("scratch is writable"))
        .stderr(File::create(&stderr).expect("scratch is writable"))
        .spawn()
        .expect("setpriv is part of util-linux");
    let deadline = Instant::now() + super::LIMIT;
    let mut status = None;
    while status.is_none() && Instant::now() < deadline {
        status = child.try_wait().expect("it is our child");
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    peer::Finished { status, stdout: read(stdout), stderr: read(stderr) }
}
