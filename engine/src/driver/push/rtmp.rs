//! A stream published on another RTMP server.
//!
//! The publication is a play of our own stream: the log's messages go to the server as they are, if it
//! gave the message stream that all our viewers have, and readdressed otherwise.

use std::sync::Arc;

use bytes::Bytes;
use corelay_protocols::Session as _;
use corelay_protocols::rtmp::client::{ClientEvent, ClientRole, ClientSession, ClientSettings};
use corelay_protocols::rtmp::url::StreamUrl;
use corelay_protocols::rtmp::{Error, MessageStreamId, PublishKind};
use tracing::Level;

use super::metadata::as_published;
use crate::clock::Micros;
use crate::driver::link::{LinkEnd, LinkEvent, LinkId, LinkKind, LinkSettings};
use crate::driver::pull::not_connected;
use crate::driver::{Activity, Context, Step};
use crate::hub::{Form, Notice, SHARED_MESSAGE_STREAM, StreamKey, SubscriberId};
use crate::shard::Ending;
use crate::stats::Failure;

/// One connection.
pub struct RtmpPushDriver {
    link: LinkId,
    url: String,
    key: StreamKey,
    session: ClientSession,
    chunk_size: u32,
    connect_by: Option<Micros>,
    connect_timeout_ms: u64,
    play_wait_ms: u64,
    play: Option<Play>,
}

struct Play {
    subscriber: SubscriberId,
    stream: MessageStreamId,
}

impl Play {
    fn is_readdressed(&self) -> bool {
        self.stream != SHARED_MESSAGE_STREAM
    }
}

impl RtmpPushDriver {
    /// A driver for a connection to the server of `url` that is being made at `now`. `seed` makes the
    /// handshake's random bytes.
    pub fn new(
        link: LinkId,
        url: StreamUrl,
        key: StreamKey,
        settings: &LinkSettings,
        seed: [u8; 8],
        now: Micros,
    ) -> Self {
        let LinkSettings { connect_timeout_ms, play_wait_ms, .. } = *settings;
        let place = LinkKind::RtmpPush { url: url.clone(), key: key.clone() }.url();
        let client = ClientSettings {
            start_timeout_ms: connect_timeout_ms + settings.rtmp_start_timeout_ms,
            chunk_size_out: settings.rtmp_chunk_size,
            message_bytes_max: settings.rtmp_message_bytes_max,
            ..ClientSettings::new(url, ClientRole::Publish(PublishKind::Live))
        };
        Self {
            link,
            url: place,
            key,
            session: ClientSession::new(Arc::new(client), seed, now.as_millis()),
            chunk_size: settings.rtmp_chunk_size,
            connect_by: Some(now.after_millis(connect_timeout_ms)),
            connect_timeout_ms,
            play_wait_ms,
            play: None,
        }
    }

    pub(in crate::driver) fn connected(&mut self, cx: &mut Context<'_>) -> Step {
        self.connect_by = None;
        cx.links.push((self.link, LinkEvent::Connected));
        self.drive(cx)
    }

    pub(in crate::driver) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        let result = self.session.handle_input(cx.now.as_millis(), input);
        self.after(cx, result)
    }

    pub(in crate::driver) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        if self.connect_by.is_some_and(|by| by <= cx.now) {
            return Err(not_connected(self.connect_timeout_ms));
        }
        let result = self.session.handle_timeout(cx.now.as_millis());
        self.after(cx, result)
    }

    pub(in crate::driver) fn handle_notice(
        &mut self,
        cx: &mut Context<'_>,
        notice: Notice,
    ) -> Step {
        match notice {
            Notice::PlayStarting { id, .. } if self.plays(id) => {
                cx.log(Level::INFO, format!("pushes {} to {}", self.key, self.url));
            }
            Notice::Private(id, bytes) if self.plays(id) => self.private(cx, &bytes),
            Notice::PlayEnded(id, why) if self.plays(id) => {
                return Err(Ending::Done(why.text().to_owned()));
            }
            Notice::Readable => self.drained(cx),
            // Behind the end of the play, or the shard's, or for publishers.
            _ => {}
        }
        Ok(())
    }

    /// Feeds a play that is readdressed, as far as the outbox has room.
    pub(in crate::driver) fn drained(&mut self, cx: &mut Context<'_>) {
        let Some(play) = self.play.as_ref().filter(|play| play.is_readdressed()) else { return };
        while cx.outbox.len() < READDRESSED_BYTES_MAX {
            let bytes = cx.hub.read(play.subscriber, READDRESSED_BYTES_MAX as u64);
            if bytes.is_empty() {
                break;
            }
            cx.outbox.push(as_published(&bytes, play.stream, self.chunk_size).into());
        }
    }

    pub(in crate::driver) fn close(&mut self, cx: &mut Context<'_>) {
        if let Some(play) = self.play.take() {
            super::stop(cx, play.subscriber);
            // The server hears that the stream ends, and not only that we are gone.
            self.session.close();
            self.send(cx);
        }
    }

    pub(in crate::driver) fn poll_timeout(&self) -> Option<Micros> {
        let session = self.session.poll_timeout().map(|at| Micros::from_millis(at.0));
        [session, self.connect_by].into_iter().flatten().min()
    }

    pub(in crate::driver) fn activity(&self) -> Activity {
        let (stream, url) = (self.key.to_string(), self.url.clone());
        Activity { role: "push", stream, url, ..Activity::default() }
    }

    /// How the link sees the end of its connection.
    pub(in crate::driver) fn end(&self, ending: &Ending) -> (LinkId, LinkEnd) {
        (self.link, LinkEnd::of(ending))
    }

    fn after(&mut self, cx: &mut Context<'_>, result: Result<(), Error>) -> Step {
        let step = self.drive(cx);
        match result {
            Ok(()) => step,
            Err(error) => Err(fault(&error)),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        let mut step = Ok(());
        while step.is_ok()
            && let Some(event) = self.session.poll_event()
        {
            step = self.handle_event(cx, event);
        }
        // Behind the handshake, but never before there is a connection.
        if self.connect_by.is_none() {
            self.send(cx);
        }
        step
    }

    fn handle_event(&mut self, cx: &mut Context<'_>, event: ClientEvent) -> Step {
        match event {
            ClientEvent::Publishing => self.publish(cx),
            ClientEvent::Ended => {
                Err(Ending::Done("the server has ended the publication".to_owned()))
            }
            ClientEvent::Status { level, code, description } => {
                cx.log(Level::DEBUG, format!("{level} {code} {description}"));
                Ok(())
            }
            ClientEvent::Connected | ClientEvent::Playing | ClientEvent::Media(_) => Ok(()),
        }
    }

    fn publish(&mut self, cx: &mut Context<'_>) -> Step {
        cx.links.push((self.link, LinkEvent::Accepted));
        let stream = self.session.message_stream_id();
        let readdressed = stream != SHARED_MESSAGE_STREAM;
        let subscriber = super::play(cx, &self.key, Form::Rtmp, readdressed, self.play_wait_ms);
        let Some(subscriber) = subscriber else {
            return Err(Ending::Done("no such application".to_owned()));
        };
        self.play = Some(Play { subscriber, stream });
        Ok(())
    }

    fn private(&mut self, cx: &mut Context<'_>, bytes: &Bytes) {
        let Some(play) = &self.play else { return };
        cx.outbox.push(as_published(bytes, play.stream, self.chunk_size).into());
        if play.is_readdressed() {
            cx.hub.release(play.subscriber);
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        while let Some(bytes) = self.session.poll_output() {
            cx.outbox.push(bytes);
        }
    }

    fn plays(&self, id: SubscriberId) -> bool {
        self.play.as_ref().is_some_and(|play| play.subscriber == id)
    }
}

fn fault(error: &Error) -> Ending {
    match error {
        // Its times are not settings of the configuration.
        Error::TimedOut { what, limit_ms, .. } => {
            Ending::Fault(Failure::Timeout, format!("no {what} within {limit_ms} ms"))
        }
        Error::LimitExceeded { .. } => Ending::Fault(Failure::Limit, error.to_string()),
        _ => Ending::Fault(Failure::Protocol, error.to_string()),
    }
}

/// Bytes of readdressed chunks that wait for one server's socket.
const READDRESSED_BYTES_MAX: usize = 256 << 10;
