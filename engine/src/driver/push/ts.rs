//! The packets of a stream as the bytes of a connection: what a TCP input of a headend takes.

use tracing::Level;

use crate::clock::Micros;
use crate::driver::link::{LinkEnd, LinkEvent, LinkId, LinkSettings};
use crate::driver::pull::not_connected;
use crate::driver::{Activity, Context, Step};
use crate::hub::{Form, Notice, StreamKey, SubscriberId};
use crate::shard::Ending;

/// One connection.
pub struct TsPushDriver {
    link: LinkId,
    url: String,
    key: StreamKey,
    connect_by: Option<Micros>,
    connect_timeout_ms: u64,
    play_wait_ms: u64,
    play: Option<SubscriberId>,
}

impl TsPushDriver {
    /// A driver for a connection to `url` that is being made at `now`.
    pub fn new(
        link: LinkId,
        url: String,
        key: StreamKey,
        settings: &LinkSettings,
        now: Micros,
    ) -> Self {
        let LinkSettings { connect_timeout_ms, play_wait_ms, .. } = *settings;
        let connect_by = Some(now.after_millis(connect_timeout_ms));
        Self { link, url, key, connect_by, connect_timeout_ms, play_wait_ms, play: None }
    }

    pub(in crate::driver) fn connected(&mut self, cx: &mut Context<'_>) -> Step {
        self.connect_by = None;
        cx.links.push((self.link, LinkEvent::Connected));
        self.play = super::play(cx, &self.key, Form::HttpTs, false, self.play_wait_ms);
        match self.play {
            Some(_) => Ok(()),
            None => Err(Ending::Done("no such application".to_owned())),
        }
    }

    pub(in crate::driver) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        match self.connect_by {
            Some(by) if by <= cx.now => Err(not_connected(self.connect_timeout_ms)),
            _ => Ok(()),
        }
    }

    pub(in crate::driver) fn handle_notice(
        &mut self,
        cx: &mut Context<'_>,
        notice: Notice,
    ) -> Step {
        match notice {
            Notice::PlayStarting { id, .. } if self.play == Some(id) => {
                cx.links.push((self.link, LinkEvent::Accepted));
                cx.log(Level::INFO, format!("pushes {} to {}", self.key, self.url));
            }
            Notice::Private(id, bytes) if self.play == Some(id) => cx.outbox.push(bytes),
            Notice::PlayEnded(id, why) if self.play == Some(id) => {
                return Err(Ending::Done(why.text().to_owned()));
            }
            // Behind the end of the play, or the shard's, or for publishers.
            _ => {}
        }
        Ok(())
    }

    pub(in crate::driver) fn close(&mut self, cx: &mut Context<'_>) {
        if let Some(subscriber) = self.play.take() {
            super::stop(cx, subscriber);
        }
    }

    pub(in crate::driver) fn poll_timeout(&self) -> Option<Micros> {
        self.connect_by
    }

    pub(in crate::driver) fn activity(&self) -> Activity {
        let (stream, url) = (self.key.to_string(), self.url.clone());
        Activity { role: "push", stream, url, ..Activity::default() }
    }

    /// How the link sees the end of its connection.
    pub(in crate::driver) fn end(&self, ending: &Ending) -> (LinkId, LinkEnd) {
        (self.link, LinkEnd::of(ending))
    }
}
