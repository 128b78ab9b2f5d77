//! The servers under test: started pinned, asked where they listen, ended with the run.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::case::Protocol;
use super::channels::Channels;
use super::nginx;
use super::site::Site;
use crate::sys::{process, threads};

/// Who is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Contender {
    /// The relay, with settings of its own (TOML, dotted keys).
    Corelay {
        /// What the reports call it.
        label: String,
        /// On top of what every run has: `rtmp.listen` and `http.listen` at the least. Of several listeners the first
        /// is published to, and the last is played from.
        settings: String,
        /// Data cores.
        cores: Vec<usize>,
    },
    /// nginx with the RTMP module, as Debian packages it.
    Nginx,
    /// nginx as a server of files in memory, which are what the relay has recorded.
    NginxFiles {
        /// By sendfile, as Debian sets it; for small files it is faster without.
        sendfile: bool,
    },
    /// [`crate::floor`], at an interval in milliseconds.
    Floor(f64),
    /// multicat, one process for each channel.
    Multicat,
    /// [`crate::udp::floor`].
    DatagramFloor,
    /// No server: the relay's analysis of so many streams, within this process.
    Analysis(usize),
    /// No server: AES-128-GCM, within this process.
    Aes,
    /// Any other server.
    Other(OtherServer),
}

/// A server that the user brings: `name=command,rtmp_port[,http_port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherServer {
    /// What the reports call it.
    pub name: String,
    /// The command that runs it in the foreground; it is run by `sh -c`.
    pub command: String,
    /// Where it takes and serves RTMP, on 127.0.0.1.
    pub rtmp_port: u16,
    /// Where it serves `/live/NAME.flv`, if it does.
    pub http_port: Option<u16>,
}

impl OtherServer {
    /// Reads `name=command,rtmp_port[,http_port]`.
    ///
    /// # Errors
    /// What it should be like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "a server is of the form name=command,rtmp_port[,http_port]".to_owned();
        let (name, rest) = text.split_once('=').ok_or_else(form)?;
        let (before, last) = rest.rsplit_once(',').ok_or_else(form)?;
        let last: u16 = last.trim().parse().map_err(|_| form())?;
        let both = before
            .rsplit_once(',')
            .and_then(|(command, port)| Some((command, port.trim().parse().ok()?)));
        let (command, rtmp_port, http_port) = match both {
            Some((command, rtmp_port)) => (command, rtmp_port, Some(last)),
            None => (before, last, None),
        };
        Ok(Self { name: name.to_owned(), command: command.to_owned(), rtmp_port, http_port })
    }
}

impl Contender {
    /// What the reports call it.
    pub fn label(&self) -> String {
        match self {
            Self::Corelay { label, .. } => label.clone(),
            Self::Nginx => "nginx-rtmp".to_owned(),
            Self::NginxFiles { sendfile: true } => "nginx".to_owned(),
            Self::NginxFiles { sendfile: false } => NGINX_WITHOUT_SENDFILE.to_owned(),
            Self::Floor(interval_ms) => format!("floor {interval_ms} ms"),
            Self::Multicat => "multicat".to_owned(),
            Self::DatagramFloor => "datagram floor".to_owned(),
            Self::Analysis(1) => "corelay, 1 stream".to_owned(),
            Self::Analysis(streams) => format!("corelay, {streams} streams"),
            Self::Aes => "AES-128-GCM".to_owned(),
            Self::Other(server) => server.name.clone(),
        }
    }
}

/// A running server. Dropping it ends it.
pub struct Server {
    /// Its processes, without their own children.
    children: Vec<Child>,
    /// Protocols and the addresses it serves them at.
    listening: Vec<(String, String)>,
}

impl Server {
    /// Starts one and waits until it serves. `kbit_s` is what the floor sends to each player;
    /// `channels` are what comes in by UDP.
    ///
    /// # Errors
    /// It is not installed, does not start or does not say where it listens, or it cannot do what
    /// is asked of it.
    pub fn start(
        contender: &Contender,
        site: &Site,
        kbit_s: f64,
        channels: Option<&Channels>,
    ) -> anyhow::Result<Self> {
        let label = contender.label();
        let cpus = match contender {
            Contender::Corelay { cores, .. } => cores.clone(),
            _ => vec![site.server_cpu],
        };
        match contender {
            Contender::Corelay { settings, cores, .. } => {
                let path = site.scratch.join("corelay.toml");
                let tables = channels.map(|channels| channels.settings(STREAM)).unwrap_or_default();
                let is_secure = settings.contains("tls = true");
                let tls = is_secure.then(|| site.certificate_settings()).transpose()?;
                let own = format!("cores.data = {cores:?}\n{settings}\n");
                let tls = tls.unwrap_or_default();
                fs::write(&path, format!("{CORELAY_SETTINGS}{own}{tls}{tables}"))?;
                let mut command = Command::new(&site.corelay);
                command.arg("--config").arg(path);
                Self::start_announcing(command, &cpus, &label)
            }
            Contender::Floor(interval_ms) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["floor", "--kbit", &kbit_s.to_string()]);
                command.args(["--interval-ms", &interval_ms.to_string()]);
                command.args(["--cpu", &site.server_cpu.to_string()]);
                Self::start_announcing(command, &cpus, &label)
            }
            Contender::Nginx => {
                let port = free_port()?;
                let command = nginx_command(&nginx::rtmp(port, &site.scratch), site)?;
                Self::start_silent(command, &cpus, &label, &[("rtmp", port)], site)
            }
            Contender::NginxFiles { sendfile } => {
                let port = free_port()?;
                let settings = nginx::files(port, &site.scratch, site.web.path(), *sendfile);
                let command = nginx_command(&settings, site)?;
                Self::start_silent(command, &cpus, &label, &[("http", port)], site)
            }
            Contender::Multicat => {
                let commands = channels.context("multicat relays datagrams only")?.multicat();
                let children = commands.map(|command| spawn(command, &cpus, &label));
                let children = children.collect::<anyhow::Result<_>>()?;
                Ok(Self { children, listening: Vec::new() })
            }
            Contender::DatagramFloor => {
                let channels = channels.context("the floor relays datagrams only")?;
                Self::start_announcing(channels.floor(site.server_cpu)?, &cpus, &label)
            }
            Contender::Analysis(_) | Contender::Aes => bail!("{label} is no server"),
            Contender::Other(server) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("exec {}", server.command)]);
                let mut ports = vec![("rtmp", server.rtmp_port)];
                ports.extend(server.http_port.map(|port| ("http", port)));
                Self::start_silent(command, &cpus, &label, &ports, site)
            }
        }
    }

    /// For servers that print `listening PROTOCOL ADDRESS` and `ready`.
    fn start_announcing(mut command: Command, cpus: &[usize], label: &str) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped());
        let mut child = spawn(command, cpus, label)?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut server = Self { children: vec![child], listening: Vec::new() };
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let mut ready = false;
        for line in lines.by_ref() {
            match line.strip_prefix("listening ").and_then(|rest| rest.split_once(' ')) {
                Some((protocol, address)) => {
                    server.listening.push((protocol.to_owned(), address.to_owned()));
                }
                _ if line == "ready" => {
                    ready = true;
                    break;
                }
                _ => {}
            }
        }
        ensure!(ready, "{label} ended before it was ready");
        // It may log there: somebody has to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// For servers that only begin to listen, on the first of these ports first.
    fn start_silent(
        mut command: Command,
        cpus: &[usize],
        label: &str,
        ports: &[(&str, u16)],
        site: &Site,
    ) -> anyhow::Result<Self> {
        let port = ports.first().map_or(0, |(_, port)| *port);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        // The kernel may close the sockets of the server before only after its end.
        let deadline = Instant::now() + START_LIMIT;
        while listens() {
            let waits = Instant::now() < deadline;
            ensure!(waits, "something else listens on port {port}, where {label} should");
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = File::create(site.scratch.join(format!("{label}.log")))?;
        command.stdout(log.try_clone()?).stderr(log);
        let child = spawn(command, cpus, label)?;
        let address =
            |(protocol, port): &(&str, u16)| ((*protocol).to_owned(), format!("127.0.0.1:{port}"));
        let listening = ports.iter().map(address).collect();
        let mut server = Self { children: vec![child], listening };
        let deadline = Instant::now() + START_LIMIT;
        while !listens() {
            let ended = server.children.iter_mut().find_map(|child| child.try_wait().transpose());
            if let Some(status) = ended.transpose()? {
                bail!("{label} ended with {status}; its log is in {}", site.scratch.display());
            }
            ensure!(Instant::now() < deadline, "{label} does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Where it serves a protocol, in the order in which it said so.
    pub(super) fn addresses(&self, protocol: &str) -> impl DoubleEndedIterator<Item = &str> {
        let own = self.listening.iter().filter(move |(own, _)| own == protocol);
        own.map(|(_, address)| address.as_str())
    }

    /// Where streams are published; `None` for servers that take none.
    pub fn publish_url(&self) -> Option<String> {
        self.addresses("rtmp").next().map(|address| format!("rtmp://{address}/{STREAM}"))
    }

    /// Where streams are played by a protocol, if it is served.
    pub fn play_url(&self, protocol: Protocol) -> Option<String> {
        let last = |protocol| self.addresses(protocol).next_back();
        let url = |scheme: &str, protocol, extension: &str| {
            Some(format!("{scheme}://{}/{STREAM}{extension}", last(protocol)?))
        };
        if protocol.hls().is_none() && last("rtmp").is_none() {
            // The floor sends the same to everybody who connects.
            return Some(format!("http://{}/floor", last("http")?));
        }
        match protocol {
            Protocol::Rtmp => url("rtmp", "rtmp", ""),
            Protocol::Rtmps => url("rtmps", "rtmps", ""),
            Protocol::HttpFlv => url("http", "http", ".flv"),
            Protocol::HttpsFlv => url("https", "https", ".flv"),
            Protocol::WsFlv => url("ws", "http", ".flv"),
            Protocol::HttpTs => url("http", "http", ".ts"),
            Protocol::Hls | Protocol::HlsPlaylist => url("http", "http", ".m3u8"),
            Protocol::HlsLowLatency => url("http", "http", ".m3u8?low_latency"),
            Protocol::Udp => None,
        }
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().flat_map(|child| process::family(child.id())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in self.pids().into_iter().rev() {
            process::kill(pid);
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// Starts a process on some CPUs: it inherits them from this thread, which goes back to its own.
fn spawn(mut command: Command, cpus: &[usize], label: &str) -> anyhow::Result<Child> {
    let own = threads::cpus()?;
    threads::pin_to_all(cpus).with_context(|| format!("cannot run on CPUs {cpus:?}"))?;
    process::die_with_parent(&mut command);
    let child = command.stdin(Stdio::null()).spawn();
    threads::pin_to_all(&own)?;
    child.with_context(|| format!("cannot start {label}"))
}

fn nginx_command(settings: &str, site: &Site) -> anyhow::Result<Command> {
    let path = site.scratch.join("nginx.conf");
    fs::write(&path, settings)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&path).arg("-p").arg(&site.scratch);
    command.arg("-e").arg(site.scratch.join("nginx.log"));
    Ok(command)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

const CORELAY_SETTINGS: &str = r#"
ts.listen = []
admin.listen = "127.0.0.1:0"
limits.connections_per_ip_max = 100000
limits.connections_max = 100000
logging.level = "error"
"#;

pub(super) const NGINX_WITHOUT_SENDFILE: &str = "nginx, no sendfile";
/// Application and name of what is published; the streams of cases with several are numbered.
pub(super) const STREAM: &str = "live/s";
const START_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_described_in_one_line() {
        let srs = OtherServer::parse("srs=./objs/srs -c conf/a,b.conf,1935,8080").unwrap();
        assert_eq!((srs.name.as_str(), srs.rtmp_port, srs.http_port), ("srs", 1935, Some(8080)));
        assert_eq!(srs.command, "./objs/srs -c conf/a,b.conf");
        let zlm = OtherServer::parse("zlm=MediaServer,1936").unwrap();
        assert_eq!(
            (zlm.command.as_str(), zlm.rtmp_port, zlm.http_port),
            ("MediaServer", 1936, None)
        );
        assert!(OtherServer::parse("srs").is_err() && OtherServer::parse("a=b,c").is_err());
    }
}
