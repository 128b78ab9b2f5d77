//! Publishers of one or many streams, at the pace of their media.
//!
//! Invariants
//! - Frames leave when their time has come, never earlier; how much later is measured, because a
//!   late publisher makes a server look late.
//! - A publisher whose server does not take its frames holds `driver::UNSENT_BYTES_MAX` at most; it
//!   then leaves frames out and counts them.

mod connection;
mod driver;
mod file;
mod generated;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use corelay_protocols::rtmp::url::StreamUrl;
use serde::{Deserialize, Serialize};

use crate::figures::Summary;
use crate::sys::threads;
use crate::target::Target;
use driver::Driver;
use source::Source;

pub use generated::Shape;
pub(crate) use generated::{PPS, SPS, noise};

/// What is published, where, and how long.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// One stream each.
    pub targets: Vec<Target>,
    /// What is sent.
    pub media: Media,
    /// Every video frame carries the time it was sent (see [`crate::stamp`]).
    pub stamp: bool,
    /// Chunk size of what is sent, in bytes: 4096 as OBS and librtmp have it, 60000 as ffmpeg.
    pub chunk_size: u32,
    /// The longest it may last.
    pub duration: Duration,
    /// The CPU the thread is pinned to.
    pub cpu: Option<usize>,
}

/// Where the media come from.
#[derive(Clone, Debug)]
pub enum Media {
    /// Made up: bytes of the right sizes at the right times.
    Generated(Shape),
    /// An FLV file, over and over.
    File(PathBuf),
}

/// What became of a publication.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PublishResult {
    /// Streams asked for.
    pub streams: u64,
    /// Streams that the server took.
    pub published: u64,
    /// Streams that it refused or closed.
    pub failed: u64,
    /// Why, and how many for that reason.
    pub reasons: std::collections::BTreeMap<String, u64>,
    /// Frames sent, audio included.
    pub frames: u64,
    /// Frames left out because the server did not take what came before.
    pub frames_left_out: u64,
    /// Bytes given to the sockets.
    pub bytes: u64,
    /// How late video frames were given to their connections, in microseconds.
    pub late_us: Option<Summary>,
}

/// Streams being published by a thread of their own.
pub struct Publishing {
    shared: Arc<Shared>,
    streams: u64,
    thread: JoinHandle<anyhow::Result<PublishResult>>,
}

/// What the thread and its owner tell each other.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    published: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

impl Publishing {
    /// Begins to publish.
    ///
    /// # Errors
    /// The target is not RTMP or not known, or the file is no FLV.
    pub fn start(config: PublishConfig) -> anyhow::Result<Self> {
        threads::raise_descriptor_limit();
        let streams = config.targets.len() as u64;
        let sources = sources(&config)?;
        let urls = config.targets.iter().map(rtmp_url).collect::<anyhow::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let mut driver = Driver::new(&config, &urls, sources, seen)?;
        let work = move || {
            // Unpinned and without preference it runs as well, only less evenly.
            let _ = config.cpu.map(threads::pin_to);
            threads::prefer();
            driver.run(config.duration).context("publishing stopped")
        };
        let thread = thread::Builder::new().name("publish".to_owned()).spawn(work)?;
        Ok(Self { shared, streams, thread })
    }

    /// Waits until the server has taken every stream.
    ///
    /// # Errors
    /// It refused one, or it takes too long.
    pub fn wait_until_published(&self, limit: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.published() < self.streams {
            let failed = self.shared.failed.load(Ordering::Relaxed);
            if failed > 0 || started.elapsed() > limit || self.thread.is_finished() {
                bail!(
                    "{} of {} streams were published, {failed} failed",
                    self.published(),
                    self.streams
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Streams that the server has taken.
    pub fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed)
    }

    /// Bytes given to the sockets so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Whether it is over: by its duration, or because no stream is left.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    ///
    /// # Errors
    /// The thread failed.
    pub fn stop(self) -> anyhow::Result<PublishResult> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The thread failed.
    pub fn wait(self) -> anyhow::Result<PublishResult> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the publishing thread panicked"))?
    }
}

fn rtmp_url(target: &Target) -> anyhow::Result<StreamUrl> {
    match target {
        Target::Rtmp(url) => Ok(url.clone()),
        _ => bail!("only rtmp:// can be published to"),
    }
}

fn sources(config: &PublishConfig) -> anyhow::Result<Vec<Source>> {
    let streams = config.targets.len();
    match &config.media {
        Media::Generated(shape) => {
            let media = generated::Generated::new(*shape);
            Ok((0..streams).map(|_| Source::Generated(media.clone())).collect())
        }
        Media::File(path) => {
            let clip = Arc::new(file::Clip::read(path)?);
            Ok((0..streams).map(|_| Source::File(file::Loop::new(Arc::clone(&clip)))).collect())
        }
    }
}
