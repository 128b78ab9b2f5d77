//! Transport streams that we fetch: over HTTP, or as the bytes of a connection.

use bytes::Bytes;
use corelay_codecs::container::mpegts::align::Aligner;
use corelay_protocols::Session as _;
use corelay_protocols::http::client::{ClientEvent, ClientSession, Error};
use tracing::Level;

use super::link::{LinkEnd, LinkEvent, LinkId, LinkKind, LinkSettings};
use super::{Activity, Context, Step};
use crate::clock::Micros;
use crate::shard::Ending;
use crate::stats::Failure;

/// One connection.
pub struct PullDriver {
    link: LinkId,
    url: String,
    source: Source,
    aligner: Aligner,
    /// The deadline of the connection, until it is there.
    connect_by: Option<Micros>,
    connect_timeout_ms: u64,
    unsynced_bytes_max: u64,
    /// Bytes passed over when the last packet came.
    skipped_before: u64,
}

enum Source {
    /// The request is sent once the connection is there.
    Http(Box<ClientSession>),
    /// Everything is stream.
    Tcp { silence_timeout_ms: u64, received: Micros },
}

impl PullDriver {
    /// A driver for a connection that is being made at `now`.
    pub fn new(link: LinkId, kind: &LinkKind, settings: &LinkSettings, now: Micros) -> Self {
        let source = match kind {
            LinkKind::HttpPull(url) => {
                let settings = settings.http.clone();
                Source::Http(Box::new(ClientSession::new(settings, url.clone(), now.as_millis())))
            }
            _ => Source::Tcp { silence_timeout_ms: settings.silence_timeout_ms, received: now },
        };
        Self {
            link,
            url: kind.url(),
            source,
            aligner: Aligner::default(),
            connect_by: Some(now.after_millis(settings.connect_timeout_ms)),
            connect_timeout_ms: settings.connect_timeout_ms,
            unsynced_bytes_max: settings.unsynced_bytes_max,
            skipped_before: 0,
        }
    }

    pub(super) fn connected(&mut self, cx: &mut Context<'_>) -> Step {
        self.connect_by = None;
        cx.links.push((self.link, LinkEvent::Connected));
        match &mut self.source {
            Source::Http(session) => {
                while let Some(bytes) = session.poll_output() {
                    cx.outbox.push(bytes);
                }
            }
            Source::Tcp { received, .. } => *received = cx.now,
        }
        Ok(())
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        match &mut self.source {
            Source::Http(session) => {
                let result = session.handle_input(cx.now.as_millis(), input);
                self.after(cx, result)
            }
            Source::Tcp { received, .. } => {
                *received = cx.now;
                self.take(cx, Bytes::copy_from_slice(input))
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        if self.connect_by.is_some_and(|by| by <= cx.now) {
            return Err(not_connected(self.connect_timeout_ms));
        }
        match &mut self.source {
            Source::Http(session) => {
                let result = session.handle_timeout(cx.now.as_millis());
                self.after(cx, result)
            }
            Source::Tcp { silence_timeout_ms: ms @ 1.., received }
                if cx.now.millis_since(*received) >= *ms =>
            {
                Err(Ending::Fault(Failure::Timeout, format!("nothing came for {ms} ms")))
            }
            Source::Tcp { .. } => Ok(()),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let source = match &self.source {
            Source::Http(session) => session.poll_timeout().map(|at| Micros::from_millis(at.0)),
            Source::Tcp { silence_timeout_ms: 0, .. } => None,
            Source::Tcp { silence_timeout_ms: ms, received } => Some(received.after_millis(*ms)),
        };
        [source, self.connect_by].into_iter().flatten().min()
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        let met = self.aligner.counters();
        if met.packets > 0 {
            let line = format!(
                "{} packets, {} bytes skipped, {} sync losses",
                met.packets, met.skipped_bytes, met.sync_losses
            );
            cx.log(Level::INFO, line);
        }
    }

    pub(super) fn activity(&self) -> Activity {
        Activity { role: "pull", url: self.url.clone(), ..Activity::default() }
    }

    /// How the link sees the end of its connection.
    pub(super) fn end(&mut self, ending: &Ending) -> (LinkId, LinkEnd) {
        let end = match (&mut self.source, ending) {
            // Whether that was the end of the body, its framing tells.
            (Source::Http(session), Ending::Peer) => match session.input_ended() {
                Ok(()) => LinkEnd { is_orderly: true, why: RESPONSE_OVER.to_owned() },
                Err(error) => LinkEnd { is_orderly: false, why: error.to_string() },
            },
            _ => LinkEnd::of(ending),
        };
        (self.link, end)
    }

    fn after(&mut self, cx: &mut Context<'_>, result: Result<(), Error>) -> Step {
        let step = self.drive(cx);
        match result {
            Ok(()) => step,
            Err(error) => Err(fault(&error)),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        while let Source::Http(session) = &mut self.source
            && let Some(event) = session.poll_event()
        {
            match event {
                ClientEvent::Head { content_type, .. } => {
                    cx.log(Level::INFO, format!("pulls {} ({content_type})", self.url));
                }
                ClientEvent::Body(bytes) => self.take(cx, bytes)?,
                ClientEvent::End => return Err(Ending::Done(RESPONSE_OVER.to_owned())),
                ClientEvent::Redirect(url) => {
                    let why = format!("redirected to {}", LinkKind::HttpPull(url.clone()).url());
                    cx.links.push((self.link, LinkEvent::Redirected(url)));
                    return Err(Ending::Done(why));
                }
            }
        }
        Ok(())
    }

    /// Finds the packets in the next bytes of the stream.
    fn take(&mut self, cx: &mut Context<'_>, piece: Bytes) -> Step {
        let Self { aligner, link, .. } = self;
        let before = aligner.counters().packets;
        let had = cx.links.len();
        aligner.push(piece, |block| cx.links.push((*link, LinkEvent::Packets(block))));
        let met = aligner.counters();
        if met.packets > before {
            self.skipped_before = met.skipped_bytes;
            if before == 0 {
                cx.links.insert(had, (self.link, LinkEvent::Accepted));
            }
        }
        let unsynced = met.skipped_bytes - self.skipped_before;
        if unsynced > self.unsynced_bytes_max {
            let limit = self.unsynced_bytes_max;
            let why = format!("no packets in {unsynced} bytes; `unsynced_bytes_max` is {limit}");
            return Err(Ending::Fault(Failure::Limit, why));
        }
        Ok(())
    }
}

/// A connection that does not come about.
pub(super) fn not_connected(connect_timeout_ms: u64) -> Ending {
    let why = format!("no connection within {connect_timeout_ms} ms");
    Ending::Fault(Failure::Timeout, why)
}

fn fault(error: &Error) -> Ending {
    match error {
        // The configuration has other names for its settings.
        Error::TimedOut { what, limit_ms, .. } => {
            Ending::Fault(Failure::Timeout, format!("no {what} within {limit_ms} ms"))
        }
        Error::LimitExceeded { .. } => Ending::Fault(Failure::Limit, error.to_string()),
        _ => Ending::Fault(Failure::Protocol, error.to_string()),
    }
}

const RESPONSE_OVER: &str = "the response is over";
