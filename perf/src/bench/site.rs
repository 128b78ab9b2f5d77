//! What every run of the bench has in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::case::{Load, Protocol};
use super::hls_cases;
use super::measure::publish;
use super::server::Server;
use crate::hls::replay::Recording;
use crate::target::Target;

/// Where servers and load run, and what they need.
#[derive(Clone, Debug)]
pub struct Site {
    /// The relay's program.
    pub corelay: PathBuf,
    /// Where configurations and logs go.
    pub scratch: PathBuf,
    /// The CPU the servers are pinned to.
    pub server_cpu: usize,
    /// The CPU the load is pinned to.
    pub load_cpu: usize,
    /// A folder in memory, for servers of files.
    pub(super) web: Arc<WebFolder>,
    recording: OnceLock<Recording>,
}

/// A folder that goes with the bench.
#[derive(Debug)]
pub(super) struct WebFolder(PathBuf);

impl WebFolder {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WebFolder {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Site {
    /// A site whose folders are made when they are needed, but for `scratch`.
    pub fn new(corelay: PathBuf, scratch: PathBuf, server_cpu: usize, load_cpu: usize) -> Self {
        let memory = Path::new(MEMORY);
        let parent = if memory.is_dir() { memory } else { &scratch };
        let web = parent.join(format!("corelay-bench-{}", std::process::id()));
        let web = Arc::new(WebFolder(web));
        Self { corelay, scratch, server_cpu, load_cpu, web, recording: OnceLock::new() }
    }

    /// The lines of the relay's settings that name a certificate, which is made first.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn certificate_settings(&self) -> anyhow::Result<String> {
        let (certificate, key) =
            (self.scratch.join("certificate.pem"), self.scratch.join("key.pem"));
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let own = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
        fs::write(&certificate, own.cert.pem())?;
        fs::write(&key, own.signing_key.serialize_pem())?;
        let entry = format!("{{ certificate = {certificate:?}, key = {key:?} }}");
        Ok(format!("tls.certificates = [{entry}]\n"))
    }

    /// The relay's HLS of a stream of this load, for others to serve: recorded once.
    ///
    /// # Errors
    /// The relay does not start, or has no HLS.
    pub(super) fn recording(&self, load: &Load) -> anyhow::Result<Recording> {
        if let Some(recording) = self.recording.get() {
            return Ok(recording.clone());
        }
        let server = Server::start(&hls_cases::packager(self.server_cpu), self, 0.0, None)?;
        let publishing = publish(&server, load, self, RECORD_LIMIT)?;
        let url = server.play_url(Protocol::Hls).context("the relay serves no HTTP")?;
        let target = Target::parse(&url)?;
        let started = Instant::now();
        let recording = loop {
            thread::sleep(LOOK_AROUND);
            match Recording::take(&target) {
                Ok(recording) if recording.segments() >= SEGMENTS => break recording,
                _ if started.elapsed() < RECORD_LIMIT => {}
                Ok(recording) => bail!("the relay lists {} segments only", recording.segments()),
                Err(error) => return Err(error.context("the relay's HLS cannot be recorded")),
            }
        };
        drop((publishing, server));
        Ok(self.recording.get_or_init(|| recording).clone())
    }
}

/// Where Linux has a file system in memory.
const MEMORY: &str = "/dev/shm";
/// The window of the relay's playlists.
const SEGMENTS: usize = 6;
const RECORD_LIMIT: Duration = Duration::from_secs(30);
const LOOK_AROUND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_where_the_settings_say() {
        let scratch =
            std::env::temp_dir().join(format!("corelay-perf-site-{}", std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        let site = Site::new(PathBuf::new(), scratch.clone(), 0, 1);
        let settings = site.certificate_settings().unwrap();
        for (name, begins) in
            [("certificate.pem", "-----BEGIN CERTIFICATE"), ("key.pem", "-----BEGIN PRIVATE KEY")]
        {
            let path = scratch.join(name);
            assert!(settings.contains(&format!("{path:?}")), "{settings}");
            assert!(fs::read_to_string(path).unwrap().starts_with(begins));
        }
        let web = site.web.path().to_owned();
        fs::create_dir_all(&web).unwrap();
        drop(site);
        assert!(!web.exists());
        fs::remove_dir_all(scratch).unwrap();
    }
}
