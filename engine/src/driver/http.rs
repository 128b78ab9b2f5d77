//! HTTP and WebSocket viewers.

use std::sync::Arc;

use corelay_codecs::container::flv::header::file_header;
use corelay_protocols::Session as _;
use corelay_protocols::http::{Container, Event, PlayRequest, Session, Settings, Transport};
use tracing::Level;

use super::{Activity, Context, Step};
use crate::clock::Micros;
use crate::hub::{Egress, EndReason, Form, Notice, PlayOptions, StreamKey, SubscriberId};
use crate::shard::Ending;
use crate::stats::Failure;

/// One HTTP connection.
pub struct HttpDriver {
    session: Session,
    play_wait_ms: u64,
    play: Option<Play>,
}

struct Play {
    subscriber: SubscriberId,
    request: PlayRequest,
    /// The response head is out.
    started: bool,
}

impl HttpDriver {
    /// A driver for a connection accepted at `now`. A request for a stream that nobody publishes waits
    /// `play_wait_ms` for a publisher.
    pub fn new(settings: Arc<Settings>, play_wait_ms: u64, now: Micros) -> Self {
        Self { session: Session::new(settings, now.as_millis()), play_wait_ms, play: None }
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        let result = self.session.handle_input(cx.now.as_millis(), input);
        self.after(cx, result)
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        let result = self.session.handle_timeout(cx.now.as_millis());
        self.after(cx, result)
    }

    pub(super) fn handle_notice(&mut self, cx: &mut Context<'_>, notice: Notice) -> Step {
        match notice {
            Notice::PlayStarting { id, video, audio } if self.plays(id) => {
                return self.start(cx, video, audio);
            }
            Notice::PlayEnded(id, why) if self.plays(id) => return self.end(cx, why),
            Notice::Private(id, bytes) if self.plays(id) => cx.outbox.push(bytes),
            // Behind the end of their play, or the shard's, or not for viewers.
            Notice::PlayStarting { .. }
            | Notice::PlayEnded(..)
            | Notice::Private(..)
            | Notice::Rest(_)
            | Notice::Blocked
            | Notice::Readable
            | Notice::Close(_)
            | Notice::PublishAccepted(_)
            | Notice::Watched(..)
            | Notice::PublishRefused(..)
            | Notice::PublishEnded(..) => {}
        }
        Ok(())
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        self.stop(cx);
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        self.session.poll_timeout().map(|at| Micros::from_millis(at.0))
    }

    pub(super) fn wants_input(&self) -> bool {
        true
    }

    pub(super) fn activity(&self) -> Activity {
        let Some(Play { request, .. }) = &self.play else { return Activity::default() };
        Activity {
            role: "play",
            stream: format!("{}/{}", request.app, request.name),
            agent: request.user_agent.clone(),
            url: format!(
                "http://{}/{}/{}.{}",
                request.host,
                request.app,
                request.name,
                request.container.extension()
            ),
        }
    }

    fn after(
        &mut self,
        cx: &mut Context<'_>,
        result: Result<(), corelay_protocols::http::Error>,
    ) -> Step {
        let step = self.drive(cx);
        match result {
            Ok(()) => step,
            Err(error) => Err(Ending::Fault(failure(&error), error.to_string())),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        let mut closed = false;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Play(request) => self.ask(cx, request),
                Event::Closed => closed = true,
            }
        }
        while let Some(bytes) = self.session.poll_output() {
            cx.outbox.push(bytes);
        }
        if closed { Err(Ending::Done("the viewer's session is over".to_owned())) } else { Ok(()) }
    }

    fn ask(&mut self, cx: &mut Context<'_>, request: PlayRequest) {
        if let Err(why) =
            cx.applications.may_play(cx.hub, &request.app, &request.name, &request.query)
        {
            self.session.reject_play(why.http_status(), why.text());
            return;
        }
        let form = match (request.container, request.transport) {
            (Container::Flv, Transport::Http) => Form::HttpFlv,
            (Container::Flv, Transport::WebSocket) => Form::WebSocketFlv,
            (Container::Ts, Transport::Http) => Form::HttpTs,
            (Container::Ts, Transport::WebSocket) => Form::WebSocketTs,
        };
        let options = PlayOptions {
            egress: Egress { form, tracks: request.tracks },
            fd: cx.fd,
            readdressed: false,
            wait_ms: self.play_wait_ms,
        };
        let key = StreamKey::new(&request.app, &request.name);
        match cx.hub.play(cx.id, key, options, cx.now) {
            Some(subscriber) => {
                *cx.shared = Some(subscriber);
                self.play = Some(Play { subscriber, request, started: false });
            }
            None => self.session.reject_play(404, "no such application"),
        }
    }

    fn start(&mut self, cx: &mut Context<'_>, video: bool, audio: bool) -> Step {
        let Some(play) = &mut self.play else { return Ok(()) };
        play.started = true;
        let Play { request, .. } = &*play;
        let tracks = request.tracks;
        let header = match request.container {
            Container::Flv => &file_header(audio && tracks.audio, video && tracks.video)[..],
            Container::Ts => &[],
        };
        let head_only = request.head_only;
        let what = format!("plays {}/{} by {}", request.app, request.name, request.user_agent);
        cx.log(Level::INFO, what);
        self.session.accept_play(header);
        if head_only {
            self.stop(cx);
        }
        self.drive(cx)
    }

    fn plays(&self, id: SubscriberId) -> bool {
        self.play.as_ref().is_some_and(|play| play.subscriber == id)
    }

    fn end(&mut self, cx: &mut Context<'_>, why: EndReason) -> Step {
        let Some(started) = self.play.as_ref().map(|play| play.started) else { return Ok(()) };
        self.stop(cx);
        match (started, why) {
            (false, EndReason::Stopping) => self.session.reject_play(503, why.text()),
            (false, _) => self.session.reject_play(404, "no such stream"),
            (true, EndReason::Stopping) => self.session.shut_down(),
            (true, _) => self.session.end_stream(),
        }
        self.drive(cx)
    }

    fn stop(&mut self, cx: &mut Context<'_>) {
        if let Some(play) = self.play.take() {
            *cx.shared = None;
            cx.hub.stop(play.subscriber, cx.now);
        }
    }
}

fn failure(error: &corelay_protocols::http::Error) -> Failure {
    use corelay_protocols::http::Error;
    match error {
        Error::LimitExceeded { .. } => Failure::Limit,
        Error::TimedOut { .. } => Failure::Timeout,
        _ => Failure::Protocol,
    }
}
