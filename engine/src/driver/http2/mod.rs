//! HTTP/2 (RFC 9113): many requests on one connection, as browsers send them and as Apple's players want
//! them for low latency.
//!
//! The `h2` crate speaks the protocol over a [`Wire`] in memory. Every stream has an [`HttpDriver`] of its
//! own, which answers it as if it were a connection of HTTP/1.1: what both versions mean is written once.
//! Bodies are copied here (they are encrypted anyway); a stream's bytes wait where they are until its
//! window is open.

mod message;
mod stream;
mod wire;

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use bytes::Bytes;
use corelay_protocols::http::Settings;
use h2::Reason;
use h2::server::{Builder, Connection, Handshake};
use tracing::Level;

use super::http::{HttpDriver, HttpSettings};
use super::intake::Intake;
use super::{Activity, Context, Step};
use crate::clock::Micros;
use crate::hub::Notice;
use crate::shard::Ending;
use crate::stats::Failure;
use stream::Stream;
use wire::Wire;

/// One HTTP/2 connection.
pub struct Http2Driver {
    wire: Wire,
    state: State,
    streams: Vec<Stream>,
    session: Arc<Settings>,
    settings: Http2Settings,
    http: HttpSettings,
    seed: u64,
    /// Since when there is no stream.
    idle_since: Option<Micros>,
    has_asked: bool,
    /// When its plays have read what logs had for them.
    read_at: Option<Micros>,
}

/// Settings of every connection.
#[derive(Clone, Copy, Debug)]
pub struct Http2Settings {
    /// Streams that a peer may have open at once.
    pub streams_max: u32,
    /// How long a peer may take nothing of a stream, in milliseconds.
    pub write_timeout_ms: u64,
}

enum State {
    Opening(Box<Handshake<Wire, Bytes>>),
    Open(Box<Connection<Wire, Bytes>>),
    Over,
}

impl Http2Driver {
    /// A driver for a connection whose peer has chosen HTTP/2, at `now`.
    /// `seed` is to differ for every connection, and not to be foreseen.
    pub fn new(
        session: Arc<Settings>,
        settings: Http2Settings,
        http: HttpSettings,
        seed: u64,
        now: Micros,
    ) -> Self {
        let wire = Wire::default();
        let header_bytes_max = u32::try_from(session.header_bytes_max).unwrap_or(u32::MAX);
        let handshake = Builder::new()
            .max_concurrent_streams(settings.streams_max)
            .max_header_list_size(header_bytes_max)
            .initial_window_size(CONTENT_WINDOW_BYTES)
            .initial_connection_window_size(2 * CONTENT_WINDOW_BYTES)
            .handshake(wire.clone());
        Self {
            wire,
            state: State::Opening(Box::new(handshake)),
            streams: Vec::new(),
            session,
            settings,
            http,
            seed,
            idle_since: Some(now),
            has_asked: false,
            read_at: None,
        }
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        self.wire.put(input);
        self.drive(cx)
    }

    /// The peer sends no more.
    ///
    /// # Errors
    /// Always: nothing more can come of it.
    pub(super) fn input_ended(&mut self, cx: &mut Context<'_>) -> Step {
        self.wire.end();
        self.drive(cx)?;
        Err(Ending::Peer)
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        if self.idle_until().is_some_and(|until| until <= cx.now) {
            let limit_ms = self.idle_ms();
            self.say_goodbye(cx);
            if self.has_asked {
                return Err(Ending::Done("no further request came".to_owned()));
            }
            let why = format!("no request in {limit_ms} ms (request_timeout_ms)");
            return Err(Ending::Fault(Failure::Timeout, why));
        }
        for stream in &mut self.streams {
            if stream.driver.poll_timeout().is_some_and(|at| at <= cx.now) {
                stream.call(cx, HttpDriver::handle_timeout);
            }
            if stream.blocked_since().is_some_and(|since| self.settings.is_over(since, cx.now)) {
                let limit_ms = self.settings.write_timeout_ms;
                let what = format!(
                    "stream {} is given up: nothing of it was taken in {limit_ms} ms \
                     (write_timeout_ms)",
                    stream.number
                );
                cx.log(Level::WARN, what);
                cx.stats.count_failure(Failure::Timeout);
                stream.give_up(cx, Reason::CANCEL);
            }
        }
        self.drive(cx)
    }

    pub(super) fn handle_notice(&mut self, cx: &mut Context<'_>, notice: Notice) -> Step {
        let stream = match &notice {
            // Every play has one, and all of them read when the first one comes.
            Notice::Readable if self.read_at.replace(cx.now) == Some(cx.now) => return Ok(()),
            Notice::Hls(number, _) => self.streams.iter_mut().find(|found| found.number == *number),
            Notice::PlayStarting { id, .. } | Notice::Private(id, _) | Notice::PlayEnded(id, _) => {
                self.streams.iter_mut().find(|found| found.driver.plays(*id))
            }
            Notice::PublishAccepted(id)
            | Notice::Watched(id, _)
            | Notice::PublishRefused(id, _)
            | Notice::PublishEnded(id, _) => {
                self.streams.iter_mut().find(|found| found.driver.publishes(*id))
            }
            // The rest is not for us.
            _ => None,
        };
        if let Some(stream) = stream {
            stream.call(cx, |driver, cx| driver.handle_notice(cx, notice));
        }
        self.drive(cx)
    }

    /// The outbox has been sent.
    pub(super) fn drained(&mut self, cx: &mut Context<'_>) -> Step {
        self.drive(cx)
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        self.say_goodbye(cx);
        for mut stream in self.streams.drain(..) {
            stream.give_up(cx, Reason::CANCEL);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let blocked = |stream: &Stream| {
            stream.blocked_since().map(|since| since.after_millis(self.settings.write_timeout_ms))
        };
        let streams =
            self.streams.iter().flat_map(|stream| [stream.driver.poll_timeout(), blocked(stream)]);
        streams.chain([self.idle_until()]).flatten().min()
    }

    /// False while frames to the peer must leave before its own are read.
    pub(super) fn wants_input(&self) -> bool {
        !self.wire.has_input()
    }

    /// What it publishes first, for the API.
    pub(super) fn intake(&mut self) -> Option<&mut Intake> {
        self.streams.iter_mut().find_map(|stream| stream.driver.intake())
    }

    /// What its first stream that lasts does.
    pub(super) fn activity(&self) -> Activity {
        let activities = self.streams.iter().map(|stream| stream.driver.activity());
        activities.into_iter().find(|activity| !activity.role.is_empty()).unwrap_or_default()
    }

    /// Lets everything go on that can: frames in, requests to their drivers, answers out.
    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        let task = &mut Task::from_waker(Waker::noop());
        let mut step = Ok(());
        for _ in 0..ROUNDS_MAX {
            self.wire.set_room(OUTPUT_BYTES_MAX.saturating_sub(cx.outbox.len()));
            let accepted = self.accept(cx, task);
            let mut has_moved = accepted == Ok(true);
            for stream in &mut self.streams {
                has_moved |= stream.exchange(cx, task);
            }
            self.streams.retain_mut(|stream| {
                if stream.is_done() {
                    stream.leave(cx);
                }
                !stream.is_done()
            });
            let had_room = self.wire.has_room();
            cx.outbox.push(self.wire.take());
            step = accepted.map(|_| ());
            if step.is_err() || !has_moved || !had_room {
                break;
            }
        }
        self.idle_since =
            if self.streams.is_empty() { self.idle_since.or(Some(cx.now)) } else { None };
        step
    }

    /// Polls the connection, and begins the streams that the peer has opened. True if there were any.
    fn accept(&mut self, cx: &mut Context<'_>, task: &mut Task<'_>) -> Result<bool, Ending> {
        if let State::Opening(handshake) = &mut self.state {
            match Pin::new(handshake).poll(task) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(connection)) => self.state = State::Open(Box::new(connection)),
                Poll::Ready(Err(error)) => return Err(self.fail(&error)),
            }
        }
        let mut has_accepted = false;
        loop {
            let State::Open(connection) = &mut self.state else { return Ok(has_accepted) };
            match connection.poll_accept(task) {
                Poll::Pending => return Ok(has_accepted),
                Poll::Ready(Some(Ok((request, reply)))) => {
                    (self.has_asked, has_accepted) = (true, true);
                    let number = reply.stream_id().as_u32();
                    let seed = self.seed.wrapping_add(u64::from(number).wrapping_mul(SEED_STEP));
                    let session = Arc::clone(&self.session);
                    let driver = HttpDriver::new(session, self.http, seed, cx.now).of(number);
                    self.streams.push(Stream::begin(cx, request, reply, driver));
                }
                Poll::Ready(Some(Err(error))) => return Err(self.fail(&error)),
                Poll::Ready(None) => {
                    self.state = State::Over;
                    return Err(Ending::Peer);
                }
            }
        }
    }

    /// The connection is over by a fault. What the peer is told of it has been written.
    fn fail(&mut self, error: &h2::Error) -> Ending {
        self.state = State::Over;
        let is_peers = error.is_io() || error.reason() == Some(Reason::NO_ERROR);
        if is_peers || error.is_remote() {
            return Ending::Peer;
        }
        Ending::Fault(Failure::Protocol, format!("HTTP/2: {error}"))
    }

    /// Tells the peer that nothing more is answered (GOAWAY, RFC 9113 6.8).
    fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        if let State::Open(connection) = &mut self.state {
            connection.abrupt_shutdown(Reason::NO_ERROR);
            self.wire.set_room(OUTPUT_BYTES_MAX);
            let task = &mut Task::from_waker(Waker::noop());
            // It is over either way.
            let _ = connection.poll_closed(task);
            self.state = State::Over;
            cx.outbox.push(self.wire.take());
        }
    }

    fn idle_ms(&self) -> u64 {
        let Settings { request_timeout_ms, keep_alive_timeout_ms, .. } = *self.session;
        if self.has_asked { keep_alive_timeout_ms } else { request_timeout_ms }
    }

    fn idle_until(&self) -> Option<Micros> {
        self.idle_since.map(|since| since.after_millis(self.idle_ms()))
    }
}

impl Http2Settings {
    fn is_over(&self, since: Micros, now: Micros) -> bool {
        now.millis_since(since) >= self.write_timeout_ms
    }
}

/// What a peer may send of one content before it is taken: a second of a transport stream.
const CONTENT_WINDOW_BYTES: u32 = 1 << 20;
/// What may wait for the socket. The rest waits where it is, without a copy.
const OUTPUT_BYTES_MAX: usize = 192 << 10;
/// Each round moves something; a bound makes a bug visible, not fatal.
const ROUNDS_MAX: usize = 1_024;
/// Odd, so that streams of one connection never have the same seed.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;
