//! Under which circumstances figures were taken.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use super::BenchConfig;
use super::site::Site;

/// Under which circumstances the figures were taken.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The command.
    pub command: String,
    /// Date and time, UTC.
    pub date: String,
    /// Processor.
    pub cpu: String,
    /// CPUs the process may use.
    pub cpus: usize,
    /// Kernel release.
    pub kernel: String,
    /// corelay's version.
    pub corelay: String,
    /// nginx's version.
    pub nginx: String,
    /// multicat's version, as Debian packages it.
    pub multicat: String,
    /// Players per case at the most, where that was asked for: such figures are no record.
    pub players_max: Option<usize>,
    /// Window of each run in seconds.
    pub window_s: f64,
    /// How long it all took, in seconds.
    pub took_s: f64,
    /// Load average of the last minute and the last 15, at the end.
    pub load_average: String,
}

impl Facts {
    /// Asks the machine.
    pub fn gather(config: &BenchConfig, site: &Site, window: Duration, took: Duration) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let load = read("/proc/loadavg");
        let load: Vec<&str> = load.split_whitespace().collect();
        Self {
            command: config.command.clone(),
            date: output("date", &["-u", "+%Y-%m-%d %H:%M"]),
            cpu: model.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            corelay: output(&site.corelay.display().to_string(), &["--version"]),
            nginx: output("nginx", &["-v"]),
            multicat: output("dpkg-query", &["-W", "-f", "multicat ${Version}", "multicat"]),
            players_max: config.players_max,
            window_s: window.as_secs_f64(),
            took_s: took.as_secs_f64().round(),
            load_average: [0, 2].map(|at| load.get(at).copied().unwrap_or("?")).join(", "),
        }
    }
}

/// What a program says, on either output; empty when it is missing.
fn output(program: &str, arguments: &[&str]) -> String {
    let result = std::process::Command::new(program).args(arguments).output();
    let text = result.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
