//! A stream that must not notice: a publisher and a viewer of their own, running while a test does
//! something else to the relay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::flv::{self, AUDIO, Tag, VIDEO};
use super::media::{self, Media};
use super::relay::Relay;
use super::rtmp::Rtmp;

/// Publishes tags over and over, in real time, until told to stop.
pub struct Publisher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<usize>>>,
}

impl Publisher {
    /// Starts to publish, and returns once the relay has accepted it.
    ///
    /// # Panics
    /// If it is refused.
    pub fn start(address: SocketAddr, app: &str, name: &str, tags: Vec<Tag>) -> Self {
        let rtmp = Rtmp::publish(address, app, name).expect("the publisher is accepted");
        Self::run(rtmp, tags)
    }

    /// Goes on with an accepted publisher.
    pub fn run(rtmp: Rtmp, tags: Vec<Tag>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || publish(rtmp, &tags, &flag));
        Self { stop, thread: Some(thread) }
    }

    /// Whether the relay still takes what it sends.
    pub fn is_publishing(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the publication and the connection; returns how many frames were sent.
    ///
    /// # Panics
    /// If the relay had closed it before.
    pub fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("stopped once");
        thread.join().expect("no panic").expect("the relay kept the publisher")
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn publish(mut rtmp: Rtmp, tags: &[Tag], stop: &AtomicBool) -> std::io::Result<usize> {
    let started = Instant::now();
    let period_ms = media::period_ms(tags);
    let mut count = 0;
    for round in 0_u32.. {
        for tag in tags {
            if !tag.is_media() && round > 0 {
                continue;
            }
            let timestamp_ms = tag.timestamp_ms + round * period_ms;
            let due = started + Duration::from_millis(u64::from(timestamp_ms));
            while let Some(early) = due.checked_duration_since(Instant::now()) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(count);
                }
                std::thread::sleep(early.min(Duration::from_millis(20)));
            }
            rtmp.send_tag(tag, timestamp_ms)?;
            count += 1;
        }
    }
    Ok(count)
}

/// A publisher and a viewer whose stream must come through whole, whatever else happens.
pub struct Witness {
    tags: Vec<Tag>,
    publisher: Publisher,
    stop: Arc<AtomicBool>,
    viewer: JoinHandle<Vec<Tag>>,
    started: Instant,
}

impl Witness {
    /// Publishes `live/witness` on the relay and views it.
    pub fn start(relay: &Relay) -> Self {
        let tags = Media::AudioVideo.tags();
        let publisher = Publisher::start(relay.rtmp(), "live", "witness", tags.clone());
        let mut rtmp = Rtmp::play(relay.rtmp(), "live", "witness").expect("the viewer is accepted");
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let viewer = std::thread::spawn(move || {
            let mut seen = rtmp.collect(0);
            while !flag.load(Ordering::Relaxed) {
                match rtmp.next() {
                    Ok(message) => seen.extend(message.tag()),
                    Err(error) => panic!("the witness lost its stream: {error}"),
                }
            }
            seen
        });
        Self { tags, publisher, stop, viewer, started: Instant::now() }
    }

    /// Ends it.
    ///
    /// # Panics
    /// If the viewer missed a frame, got one late in the extreme, or lost its connection.
    pub fn assert_unharmed(self) {
        // Long enough for a whole group of pictures after whatever the test did.
        std::thread::sleep(Duration::from_secs(2));
        let watched = self.started.elapsed();
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.viewer.join().expect("the witness's viewer was served to the end");
        self.publisher.stop();
        let pictures = flv::assert_run(VIDEO, &self.tags, &seen);
        flv::assert_run(AUDIO, &self.tags, &seen);
        // Half of real time, and one group for the join: the box may be busy, not the stream stopped.
        let expected = watched.as_secs_f64() * media::FRAME_RATE as f64 / 2.0;
        assert!(
            pictures.count as f64 >= expected,
            "the witness saw {} pictures in {watched:?}",
            pictures.count
        );
    }
}
