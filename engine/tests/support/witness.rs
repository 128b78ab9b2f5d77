//! A stream that must not notice: a publisher and a viewer of their own, running while a test does
//! something else to the relay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::flv::{self, AUDIO, Tag, VIDEO};
use super::media::{self, Media};
use super::relay::Relay;
use super::rtmp::Rtmp;
use super::{LIMIT, wait_until};

/// Publishes tags over and over, in real time, until told to stop.
pub struct Publisher {
    stop: Arc<AtomicBool>,
    sent_ms: Arc<AtomicU32>,
    thread: Option<JoinHandle<std::io::Result<Tag>>>,
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
        let (stop, sent_ms) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (flag, sent) = (Arc::clone(&stop), Arc::clone(&sent_ms));
        let thread = std::thread::spawn(move || publish(rtmp, &tags, &flag, &sent));
        Self { stop, sent_ms, thread: Some(thread) }
    }

    /// The time of the newest frame that was sent, in ms: how far the stream is, however busy the
    /// machine is.
    pub fn sent_ms(&self) -> u32 {
        self.sent_ms.load(Ordering::Relaxed)
    }

    /// Waits until the stream has come so far.
    pub fn await_ms(&self, ms: u32) {
        wait_until("the stream is published for a while", LIMIT, || self.sent_ms() >= ms);
    }

    /// Whether the relay still takes what it sends.
    pub fn is_publishing(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the publication and the connection; returns the last frame that was sent.
    ///
    /// # Panics
    /// If the relay had closed it before.
    pub fn stop(mut self) -> Tag {
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

fn publish(
    mut rtmp: Rtmp,
    tags: &[Tag],
    stop: &AtomicBool,
    sent_ms: &AtomicU32,
) -> std::io::Result<Tag> {
    let started = Instant::now();
    let period_ms = media::period_ms(tags);
    let mut last = &tags[0];
    for round in 0_u32.. {
        for tag in tags {
            if !tag.is_media() && round > 0 {
                continue;
            }
            let timestamp_ms = tag.timestamp_ms + round * period_ms;
            let due = started + Duration::from_millis(u64::from(timestamp_ms));
            while let Some(early) = due.checked_duration_since(Instant::now()) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(last.clone());
                }
                std::thread::sleep(early.min(Duration::from_millis(20)));
            }
            rtmp.send_tag(tag, timestamp_ms)?;
            sent_ms.store(timestamp_ms, Ordering::Relaxed);
            last = tag;
        }
    }
    unreachable!("it goes on for years")
}

/// A publisher and a viewer whose stream must come through whole, whatever else happens.
pub struct Witness {
    tags: Vec<Tag>,
    publisher: Publisher,
    stop: Arc<AtomicBool>,
    seen_ms: Arc<AtomicU32>,
    viewer: JoinHandle<Vec<Tag>>,
}

/// How far the viewer may be behind what was sent, in ms of the stream: the box may be busy, the stream
/// must not stand still.
const BEHIND_MS_MAX: u32 = 5_000;

impl Witness {
    /// Publishes `live/witness` on the relay and views it.
    pub fn start(relay: &Relay) -> Self {
        let tags = Media::AudioVideo.tags();
        let publisher = Publisher::start(relay.rtmp(), "live", "witness", tags.clone());
        let mut rtmp = Rtmp::play(relay.rtmp(), "live", "witness").expect("the viewer is accepted");
        let (stop, seen_ms) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (flag, newest_ms) = (Arc::clone(&stop), Arc::clone(&seen_ms));
        let sent_ms = Arc::clone(&publisher.sent_ms);
        let viewer = std::thread::spawn(move || {
            let mut seen = rtmp.collect(0);
            while !flag.load(Ordering::Relaxed) {
                let message = match rtmp.next() {
                    Ok(message) => message,
                    Err(error) => panic!("the witness lost its stream: {error}"),
                };
                let Some(tag) = message.tag() else { continue };
                if tag.kind == VIDEO && tag.is_media() {
                    newest_ms.store(tag.timestamp_ms, Ordering::Relaxed);
                    let behind_ms =
                        sent_ms.load(Ordering::Relaxed).saturating_sub(tag.timestamp_ms);
                    assert!(behind_ms <= BEHIND_MS_MAX, "the witness is {behind_ms} ms behind");
                }
                seen.push(tag);
            }
            seen
        });
        Self { tags, publisher, stop, seen_ms, viewer }
    }

    /// Ends it.
    ///
    /// # Panics
    /// If the viewer missed a frame, got one late in the extreme, or lost its connection.
    pub fn assert_unharmed(self) {
        // A whole group of pictures after whatever the test did, and all that came before it.
        let enough_ms = self.publisher.sent_ms() + 2_000;
        wait_until("the witness sees what is sent", LIMIT, || {
            self.viewer.is_finished() || self.seen_ms.load(Ordering::Relaxed) >= enough_ms
        });
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.viewer.join().expect("the witness's viewer was served to the end");
        self.publisher.stop();
        flv::assert_run(VIDEO, &self.tags, &seen);
        flv::assert_run(AUDIO, &self.tags, &seen);
    }
}
