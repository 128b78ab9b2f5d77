//! The playing side of an RTMP connection.

use corelay_codecs::TrackFilter;
use corelay_protocols::rtmp::event::PlayStart;
use corelay_protocols::rtmp::{MessageStreamId, PlayEnd, PlayRefusal, PlayRequest};
use tracing::Level;

use super::{Role, RtmpDriver, join};
use crate::clock::Micros;
use crate::driver::Context;
use crate::driver::readdress::readdress;
use crate::hub::{
    Delivery, Egress, EndReason, Form, PlayOptions, SHARED_MESSAGE_STREAM, StreamKey, SubscriberId,
};

/// A play on one message stream.
pub(super) struct Play {
    pub(super) subscriber: SubscriberId,
    pub(super) key: StreamKey,
    pub(super) tracks: TrackFilter,
    pub(super) readdressed: bool,
    pub(super) duration_ms: Option<u64>,
    pub(super) ends_at: Option<Micros>,
    /// The peer has not been told that it plays, and is told at this time at the latest.
    pub(super) answer_by: Option<Micros>,
}

/// What a player is fed.
pub(super) fn egress(tracks: TrackFilter, multitrack: bool) -> Egress {
    Egress { multitrack, ..Egress::new(Form::Rtmp, tracks) }
}

impl RtmpDriver {
    pub(super) fn play(
        &mut self,
        cx: &mut Context<'_>,
        stream: MessageStreamId,
        request: PlayRequest,
    ) {
        let query = join(&self.connect.query, &request.query);
        let app = self.connect.app.clone();
        if let Err(why) = cx.applications.may_play(cx.hub, &app, &request.name, &query) {
            cx.log(Level::WARN, format!("may not play {app}/{}: {}", request.name, why.text()));
            self.session.reject_play(stream, PlayRefusal::Failed, why.text());
            return;
        }
        // librtmp asks for 0 when it means "from the beginning, whatever it is".
        if matches!(request.start, PlayStart::Recorded(1..)) {
            let why = "there is no such recorded stream";
            self.session.reject_play(stream, PlayRefusal::StreamNotFound, why);
            return;
        }
        let key = StreamKey::new(&app, &request.name);
        let readdressed = stream != SHARED_MESSAGE_STREAM;
        let options = PlayOptions {
            egress: egress(TrackFilter::ALL, self.connect.multitrack),
            fd: cx.fd,
            delivery: if readdressed { Delivery::Copied } else { cx.delivery },
            wait_ms: self.policy.as_ref().map_or(0, |policy| policy.play_wait_ms),
        };
        let Some(subscriber) = cx.hub.play(cx.id, key.clone(), options, cx.now) else {
            self.session.reject_play(stream, PlayRefusal::Failed, "no such application");
            return;
        };
        if !readdressed {
            *cx.shared = Some(subscriber);
        }
        cx.log(Level::INFO, format!("plays {key}"));
        let (tracks, duration_ms) = (TrackFilter::ALL, request.duration_ms);
        // A player that may wait is told at once that it plays; one that may not, once there is something
        // to play or nothing.
        let waits = options.wait_ms > 0;
        let answer_by = (!waits).then(|| cx.now.after_millis(ANSWER_MS));
        let play =
            Play { subscriber, key, tracks, readdressed, duration_ms, ends_at: None, answer_by };
        self.streams.push((stream, Role::Player(play)));
        if waits {
            self.session.accept_play(stream);
        } else {
            self.asking = true;
        }
    }

    pub(super) fn play_starting(&mut self, cx: &mut Context<'_>, id: SubscriberId) {
        let Some(stream) = self.stream_of_player(id) else { return };
        let Some(play) = self.player(stream) else { return };
        play.ends_at = play.duration_ms.map(|ms| cx.now.after_millis(ms));
        self.accept_play(cx, stream);
    }

    /// Tells a player that it plays, unless it knows.
    pub(super) fn accept_play(&mut self, cx: &mut Context<'_>, stream: MessageStreamId) {
        let Some(play) = self.player(stream) else { return };
        if play.answer_by.take().is_some() {
            self.asking = false;
            self.session.accept_play(stream);
            self.send_replies(cx);
        }
    }

    pub(super) fn play_ended(&mut self, cx: &mut Context<'_>, id: SubscriberId, why: EndReason) {
        let Some(stream) = self.stream_of_player(id) else { return };
        let Some(play) = self.player(stream) else { return };
        let (asked, key) = (play.answer_by.is_some(), play.key.clone());
        self.leave(cx, stream);
        if asked {
            self.session.reject_play(stream, PlayRefusal::StreamNotFound, why.text());
            return;
        }
        let end = match why {
            EndReason::PublisherLeft | EndReason::TakenOver => PlayEnd::Unpublished,
            EndReason::NoPublisher => PlayEnd::StreamNotFound,
            EndReason::Stopping => PlayEnd::Shutdown,
        };
        cx.log(Level::INFO, format!("play of {key} ended: {}", why.text()));
        self.session.play_ended(stream, end);
    }

    /// Feeds the plays whose bytes are readdressed, as far as the outbox has room.
    pub(in crate::driver) fn drained(&mut self, cx: &mut Context<'_>) {
        for (stream, role) in &self.streams {
            let Role::Player(Play { subscriber, readdressed: true, .. }) = role else { continue };
            while cx.outbox.len() < READDRESSED_BYTES_MAX {
                let mut bytes = cx.hub.read(*subscriber, READDRESSED_BYTES_MAX as u64);
                if bytes.is_empty() {
                    break;
                }
                readdress(&mut bytes, *stream, self.chunk_size);
                cx.outbox.push(bytes.into());
            }
        }
    }

    pub(super) fn private(&mut self, cx: &mut Context<'_>, id: SubscriberId, bytes: bytes::Bytes) {
        let Some(stream) = self.stream_of_player(id) else { return };
        let chunk_size = self.chunk_size;
        match self.player(stream) {
            Some(play) if play.readdressed => {
                let mut bytes = bytes.to_vec();
                readdress(&mut bytes, stream, chunk_size);
                cx.outbox.push(bytes.into());
                cx.hub.release(play.subscriber);
            }
            Some(_) => cx.outbox.push(bytes),
            None => {}
        }
    }

    /// A stream that is live and has nothing to start with yet is a stream: its player is told so.
    pub(super) fn answer_plays(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let due = |(stream, role): &(MessageStreamId, Role)| match role {
            Role::Player(play) if play.answer_by.is_some_and(|at| at <= now) => Some(*stream),
            _ => None,
        };
        while let Some(stream) = self.streams.iter().find_map(due) {
            self.accept_play(cx, stream);
        }
    }

    /// Ends the plays that were asked for a certain time.
    pub(super) fn end_limited_plays(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let over = |(stream, role): &(MessageStreamId, Role)| match role {
            Role::Player(play) if play.ends_at.is_some_and(|at| at <= now) => Some(*stream),
            _ => None,
        };
        while let Some(stream) = self.streams.iter().find_map(over) {
            self.leave(cx, stream);
            self.session.play_ended(stream, PlayEnd::Unpublished);
        }
    }

    /// The message stream of a play; `None` when a notice comes behind its end.
    pub(super) fn stream_of_player(&self, id: SubscriberId) -> Option<MessageStreamId> {
        let is = |role: &Role| matches!(role, Role::Player(play) if play.subscriber == id);
        self.streams.iter().find(|(_, role)| is(role)).map(|(stream, _)| *stream)
    }

    pub(super) fn player(&mut self, stream: MessageStreamId) -> Option<&mut Play> {
        match self.role(stream)? {
            Role::Player(play) => Some(play),
            Role::Publisher(_) => None,
        }
    }
}

/// How long a player that may not wait is left without an answer.
const ANSWER_MS: u64 = 1_000;
/// Bytes of readdressed chunks that wait for one viewer's socket.
const READDRESSED_BYTES_MAX: usize = 256 << 10;
