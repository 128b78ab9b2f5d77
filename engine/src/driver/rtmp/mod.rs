//! RTMP publishers and players.

mod play;
mod publish;

use std::sync::Arc;

use corelay_codecs::TrackFilter;
use corelay_config::Policy;
use corelay_protocols::Session as _;
use corelay_protocols::rtmp::event::ConnectRequest;
use corelay_protocols::rtmp::{Error, MessageStreamId, ServerEvent, ServerSession, ServerSettings};
use smallvec::SmallVec;
use tracing::Level;

use super::{Activity, Context, Step};
use crate::clock::Micros;
use crate::hub::Notice;
use crate::shard::Ending;
use crate::stats::Failure;
use play::Play;
use publish::Publication;

/// One RTMP connection.
pub struct RtmpDriver {
    session: ServerSession,
    chunk_size: usize,
    connect: ConnectRequest,
    policy: Option<Arc<Policy>>,
    streams: SmallVec<[(MessageStreamId, Role); 1]>,
    /// An answer of the hub is awaited: no event and no input before it.
    asking: bool,
    malformed_tags: u64,
    unknown_calls: u64,
}

enum Role {
    Publisher(Publication),
    Player(Play),
}

impl RtmpDriver {
    /// A driver for a connection accepted at `now`. `seed` makes the handshake's random bytes.
    pub fn new(settings: Arc<ServerSettings>, seed: [u8; 8], now: Micros) -> Self {
        Self {
            chunk_size: settings.chunk_size_out as usize,
            session: ServerSession::new(settings, seed, now.as_millis()),
            connect: ConnectRequest::default(),
            policy: None,
            streams: SmallVec::new(),
            asking: false,
            malformed_tags: 0,
            unknown_calls: 0,
        }
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        let result = self.session.handle_input(cx.now.as_millis(), input);
        self.after(cx, result)
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        let result = self.session.handle_timeout(cx.now.as_millis());
        self.answer_plays(cx);
        self.end_limited_plays(cx);
        self.check_publishers(cx)?;
        self.after(cx, result)
    }

    pub(super) fn handle_notice(&mut self, cx: &mut Context<'_>, notice: Notice) -> Step {
        match notice {
            Notice::PublishAccepted(id) => self.publish_accepted(cx, id),
            Notice::Watched(id, watched) => self.watched(id, watched),
            Notice::PublishRefused(id, why) => self.publish_refused(cx, id, why),
            Notice::PublishEnded(id, why) => return self.publish_ended(cx, id, why),
            Notice::PlayStarting { id, .. } => self.play_starting(cx, id),
            Notice::PlayEnded(id, why) => self.play_ended(cx, id, why),
            Notice::Private(id, bytes) => self.private(cx, id, bytes),
            Notice::Readable => self.drained(cx),
            // The shard handles these.
            Notice::Rest(_)
            | Notice::Blocked
            | Notice::Sendable
            | Notice::Close(_)
            | Notice::Wanted(_) => {}
            // For connections of HTTP.
            Notice::Hls(..) => {}
        }
        self.drive(cx)
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        while let Some((stream, _)) = self.streams.first() {
            self.leave(cx, *stream);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let session = self.session.poll_timeout().map(|at| Micros::from_millis(at.0));
        let idle_ms = self.policy.as_ref().map(|policy| policy.publisher_idle_timeout_ms);
        let of_role = |(_, role): &(MessageStreamId, Role)| match role {
            Role::Publisher(publication) => Some(publication.last_media.after_millis(idle_ms?)),
            Role::Player(play) => play.ends_at.or(play.answer_by),
        };
        let roles = self.streams.iter().filter_map(of_role).min();
        [session, roles].into_iter().flatten().min()
    }

    pub(super) fn wants_input(&self) -> bool {
        !self.asking
    }

    pub(super) fn activity(&self) -> Activity {
        let (role, stream) = match self.streams.first() {
            Some((_, Role::Publisher(publication))) => ("publish", publication.key.to_string()),
            Some((_, Role::Player(play))) => ("play", play.key.to_string()),
            None => ("", String::new()),
        };
        let ConnectRequest { flash_ver, tc_url, .. } = &self.connect;
        Activity { role, stream, agent: flash_ver.clone(), url: tc_url.clone() }
    }

    fn after(&mut self, cx: &mut Context<'_>, result: Result<(), Error>) -> Step {
        let step = self.drive(cx);
        match result {
            Ok(()) => step,
            Err(error) => Err(Ending::Fault(failure(&error), error.to_string())),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        let mut step = Ok(());
        while !self.asking && step.is_ok() {
            let Some(event) = self.session.poll_event() else { break };
            step = self.handle_event(cx, event);
        }
        self.count_unknown_calls(cx);
        self.send_replies(cx);
        step
    }

    fn send_replies(&mut self, cx: &mut Context<'_>) {
        while let Some(bytes) = self.session.poll_output() {
            cx.outbox.push(bytes);
        }
    }

    fn handle_event(&mut self, cx: &mut Context<'_>, event: ServerEvent) -> Step {
        match event {
            ServerEvent::Connect(request) => return self.connect(cx, request),
            ServerEvent::Publish(stream, request) => self.publish(cx, stream, request),
            ServerEvent::Play(stream, request) => self.play(cx, stream, request),
            ServerEvent::Media(stream, message) => self.media(cx, stream, message),
            ServerEvent::Unpublish(stream) => {
                cx.log(Level::INFO, "unpublished by the peer".to_owned());
                self.leave(cx, stream);
            }
            ServerEvent::Stop(stream) => self.leave(cx, stream),
            ServerEvent::Pause(stream, paused) => {
                if let Some(play) = self.player(stream) {
                    match paused {
                        true => cx.hub.pause(play.subscriber),
                        false => cx.hub.resume(play.subscriber),
                    }
                }
            }
            ServerEvent::Select { stream, audio, video } => {
                let multitrack = self.connect.multitrack;
                if let Some(play) = self.player(stream) {
                    play.tracks = TrackFilter { audio, video };
                    let egress = play::egress(play.tracks, multitrack);
                    cx.hub.select(play.subscriber, egress, cx.now);
                }
            }
            ServerEvent::Seek(stream) => {
                if let Some(play) = self.player(stream) {
                    cx.hub.resume(play.subscriber);
                }
            }
        }
        Ok(())
    }

    fn connect(&mut self, cx: &mut Context<'_>, request: ConnectRequest) -> Step {
        let decision = cx.applications.may_connect(cx.hub, &request.app);
        cx.log(
            Level::INFO,
            format!("connects to {} as {} ({})", request.app, request.flash_ver, request.tc_url),
        );
        let app = request.app.clone();
        self.connect = request;
        match decision {
            Ok(policy) => {
                self.policy = Some(policy);
                self.session.accept_connect();
                Ok(())
            }
            Err(why) => {
                self.session.reject_app(why.text());
                Err(Ending::Done(format!("application {app}: {}", why.text())))
            }
        }
    }

    /// Takes the connection's part on a message stream out of the hub.
    fn leave(&mut self, cx: &mut Context<'_>, stream: MessageStreamId) {
        match self.take_role(stream) {
            Some(Role::Publisher(publication)) => {
                cx.limits.unpublish();
                self.asking = false;
                cx.hub.unpublish(publication.id, cx.now);
            }
            Some(Role::Player(play)) => {
                if !play.readdressed {
                    *cx.shared = None;
                }
                self.asking &= play.answer_by.is_none();
                cx.hub.stop(play.subscriber, cx.now);
            }
            None => {}
        }
    }

    fn role(&mut self, stream: MessageStreamId) -> Option<&mut Role> {
        self.streams.iter_mut().find(|(id, _)| *id == stream).map(|(_, role)| role)
    }

    fn take_role(&mut self, stream: MessageStreamId) -> Option<Role> {
        let at = self.streams.iter().position(|(id, _)| *id == stream)?;
        Some(self.streams.swap_remove(at).1)
    }

    fn count_unknown_calls(&mut self, cx: &mut Context<'_>) {
        let unknown = self.session.counters().commands_unknown;
        cx.stats.unknown_calls.add(unknown - self.unknown_calls);
        self.unknown_calls = unknown;
    }
}

fn join(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first.to_owned(),
        (true, false) => second.to_owned(),
        (false, false) => format!("{first}&{second}"),
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::LimitExceeded { .. } => Failure::Limit,
        Error::TimedOut { .. } => Failure::Timeout,
        _ => Failure::Protocol,
    }
}
