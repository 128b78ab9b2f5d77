//! The loop of the publishing thread.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use corelay_protocols::rtmp::url::StreamUrl;
use corelay_protocols::rtmp::{ClientRole, ClientSettings, MediaKind, PublishKind};

use super::connection::Connection;
use super::source::Source;
use super::{PublishConfig, PublishResult, Shared};
use crate::figures::Distribution;
use crate::sys::clock;
use crate::sys::epoll::Epoll;

/// All streams of the thread and their schedule.
pub(super) struct Driver {
    epoll: Epoll,
    shared: Arc<Shared>,
    streams: Vec<Stream>,
    /// What is due when, the earliest on top: a frame of a stream that is published.
    schedule: BinaryHeap<Reverse<(u64, usize)>>,
    stamp: bool,
    /// The frame at hand.
    body: Vec<u8>,
    buffer: Vec<u8>,
    late: Distribution,
    result: PublishResult,
}

struct Stream {
    /// `None` once it has failed.
    connection: Option<Connection>,
    source: Source,
    /// When its media time was 0.
    began_us: u64,
}

impl Driver {
    pub(super) fn new(
        config: &PublishConfig,
        urls: &[StreamUrl],
        sources: Vec<Source>,
        shared: Arc<Shared>,
    ) -> anyhow::Result<Self> {
        let epoll = Epoll::new().context("cannot make an epoll")?;
        let mut streams = Vec::new();
        for (index, ((url, target), source)) in
            urls.iter().zip(&config.targets).zip(sources).enumerate()
        {
            let mut settings =
                ClientSettings::new(url.clone(), ClientRole::Publish(PublishKind::Live));
            settings.chunk_size_out = config.chunk_size;
            let (address, now_us) = (target.resolve()?, clock::now_us());
            let connection = Connection::open(address, Arc::new(settings), now_us, now_us)
                .with_context(|| format!("cannot connect to {address}"))?;
            epoll.add(connection.fd(), index)?;
            streams.push(Stream { connection: Some(connection), source, began_us: 0 });
        }
        Ok(Self {
            epoll,
            shared,
            result: PublishResult { streams: streams.len() as u64, ..PublishResult::default() },
            streams,
            schedule: BinaryHeap::new(),
            stamp: config.stamp,
            body: Vec::new(),
            buffer: vec![0; READ_BYTES],
            late: Distribution::default(),
        })
    }

    /// Publishes until it is told to stop, its time is over or no stream is left.
    ///
    /// # Errors
    /// The operating system refused to wait.
    pub(super) fn run(&mut self, duration: Duration) -> anyhow::Result<PublishResult> {
        let end_us = clock::now_us().saturating_add(duration.as_micros() as u64);
        while self.result.failed < self.result.streams {
            let now_us = clock::now_us();
            if now_us >= end_us || self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let next_us = self.schedule.peek().map_or(u64::MAX, |Reverse((due_us, _))| *due_us);
            let wait_us = next_us.saturating_sub(now_us).min(LOOK_AROUND_US);
            let count = self.epoll.wait(wait_us)?;
            self.handle_ready(count);
            self.send_due();
        }
        self.streams
            .iter_mut()
            .filter_map(|stream| stream.connection.take())
            .for_each(Connection::close);
        let mut result = std::mem::take(&mut self.result);
        result.late_us = self.late.summary_us();
        Ok(result)
    }

    fn handle_ready(&mut self, count: usize) {
        for index in 0..count {
            let Some(ready) = self.epoll.ready(index) else { break };
            let Some(stream) = self.streams.get_mut(ready.token) else { continue };
            let Some(connection) = &mut stream.connection else { continue };
            match connection.ready(clock::now_us(), &mut self.buffer) {
                Ok(true) => self.begin(ready.token),
                Ok(false) => {}
                Err(why) => self.fail(ready.token, why),
            }
        }
    }

    /// The server has taken a stream: sends what stands in front and puts it on the schedule. The
    /// streams begin spread over a second, so that their frames are, too.
    fn begin(&mut self, index: usize) {
        let count = self.streams.len().max(1) as u64;
        let Some(stream) = self.streams.get_mut(index) else { return };
        let Some(connection) = &mut stream.connection else { return };
        for (kind, body) in stream.source.preamble() {
            connection.send(kind, 0, &body);
        }
        stream.began_us = clock::now_us() + index as u64 * 1_000_000 / count;
        self.schedule.push(Reverse((stream.began_us + stream.source.due_us(), index)));
        self.result.published += 1;
        self.shared.published.fetch_add(1, Ordering::Relaxed);
    }

    fn send_due(&mut self) {
        while let Some(Reverse((due_us, index))) = self.schedule.peek().copied() {
            let now_us = clock::now_us();
            if due_us > now_us {
                return;
            }
            self.schedule.pop();
            let Some(stream) = self.streams.get_mut(index) else { continue };
            let Some(connection) = &mut stream.connection else { continue };
            self.body.clear();
            let stamp = self.stamp.then_some(now_us);
            let written = stream.source.write_next(stamp, &mut self.body);
            self.schedule.push(Reverse((stream.began_us + stream.source.due_us(), index)));
            if connection.unsent_bytes() > UNSENT_BYTES_MAX {
                self.result.frames_left_out += 1;
                continue;
            }
            if written.kind == MediaKind::Video {
                self.late.record_us(now_us - due_us);
            }
            connection.send(written.kind, written.timestamp_ms, &self.body);
            match connection.flush() {
                Ok(taken) => {
                    self.result.frames += 1;
                    self.result.bytes += taken as u64;
                    self.shared.bytes.fetch_add(taken as u64, Ordering::Relaxed);
                }
                Err(why) => self.fail(index, why),
            }
        }
    }

    fn fail(&mut self, index: usize, why: String) {
        let connection = self.streams.get_mut(index).and_then(|stream| stream.connection.take());
        if connection.is_some() {
            self.result.failed += 1;
            count(&mut self.result.reasons, why);
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn count(reasons: &mut BTreeMap<String, u64>, why: String) {
    *reasons.entry(why).or_default() += 1;
}

/// A stream further behind than this (two seconds at 8 Mbit/s) has a server that does not read.
pub(super) const UNSENT_BYTES_MAX: usize = 2 << 20;
/// How soon a stop is noticed.
const LOOK_AROUND_US: u64 = 20_000;
/// Servers say little to publishers.
const READ_BYTES: usize = 16 << 10;
