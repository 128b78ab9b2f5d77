//! HTTP and WebSocket: viewers, groups that are asked for by address, publishers of transport streams.

mod hls;
mod publish;
mod status;

use std::sync::Arc;

use corelay_codecs::TrackFilter;
use corelay_codecs::container::flv::header::file_header;
use corelay_protocols::Session as _;
use corelay_protocols::http::{
    Container, Event, PlayRequest, RelayRequest, Scheme, Session, Settings, Transport,
};
use tracing::Level;

use super::intake::Intake;
use super::{Activity, Context, Step};
use crate::channel::RelayTarget;
use crate::clock::Micros;
use crate::hub::{
    Delivery, Egress, EndReason, Form, Notice, PlayOptions, PublisherId, StreamKey, SubscriberId,
};
use crate::shard::Ending;
use crate::stats::Failure;
pub use hls::HlsSettings;
use publish::Upload;

/// One HTTP connection.
pub struct HttpDriver {
    session: Session,
    settings: HttpSettings,
    play: Option<Play>,
    upload: Option<Box<Upload>>,
    /// A request of HLS that waits for its answer.
    hls: Option<Box<hls::Waiting>>,
    /// The stream of its newest request of HLS.
    hls_key: Option<StreamKey>,
    /// What its responses have in common.
    session_settings: Arc<Settings>,
    /// Where the next session that it is given comes from.
    session_seed: u64,
    /// Which of its connection's streams it answers; 0 where it has the connection for itself.
    stream: u32,
}

/// Settings of every connection that are not the session's.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// How long a request for a stream that nobody publishes waits for a publisher.
    pub play_wait_ms: u64,
    /// Bytes without packets that are passed over in what is published.
    pub unsynced_bytes_max: u64,
    /// For HLS.
    pub hls: HlsSettings,
}

/// What a viewer asks for.
struct Asked {
    key: StreamKey,
    container: Container,
    egress: Egress,
    head_only: bool,
    user_agent: String,
    url: String,
}

struct Play {
    subscriber: SubscriberId,
    asked: Asked,
    /// The response head is out.
    started: bool,
}

impl HttpDriver {
    /// A driver for a connection accepted at `now`.
    /// `seed` is to differ for every connection, and not to be foreseen.
    pub fn new(session: Arc<Settings>, settings: HttpSettings, seed: u64, now: Micros) -> Self {
        let session_settings = Arc::clone(&session);
        Self {
            session: Session::new(session, now.as_millis()),
            settings,
            play: None,
            upload: None,
            hls: None,
            hls_key: None,
            session_settings,
            session_seed: seed,
            stream: 0,
        }
    }

    /// The same for one stream of a connection that has many (HTTP/2).
    pub(super) fn of(self, stream: u32) -> Self {
        Self { stream, ..self }
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        let result = self.session.handle_input(cx.now.as_millis(), input);
        self.after(cx, result)
    }

    /// The peer sends no more.
    ///
    /// # Errors
    /// How the connection ends.
    pub(super) fn input_ended(&mut self, cx: &mut Context<'_>) -> Step {
        let was_publishing = self.upload.is_some();
        let result = self.session.input_ended();
        self.after(cx, result)?;
        if was_publishing {
            return Err(Ending::Done("what was published is complete".to_owned()));
        }
        Err(Ending::Peer)
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        let result = self.session.handle_timeout(cx.now.as_millis());
        self.check_upload(cx)?;
        self.after(cx, result)
    }

    pub(super) fn handle_notice(&mut self, cx: &mut Context<'_>, notice: Notice) -> Step {
        match notice {
            Notice::PlayStarting { id, video, audio } if self.plays(id) => {
                return self.start(cx, video, audio);
            }
            Notice::PlayEnded(id, why) if self.plays(id) => return self.end(cx, why),
            Notice::Private(id, bytes) if self.plays(id) => {
                cx.outbox.push(bytes);
                if cx.delivery == Delivery::Copied {
                    cx.hub.release(id);
                }
            }
            Notice::Hls(_, answer) => return self.handle_hls_notice(cx, *answer),
            // Behind the end of their play, or the shard's, or for publishers.
            notice => return self.handle_upload_notice(cx, &notice),
        }
        Ok(())
    }

    /// Takes what the log has for a play that copies it, as far as the outbox has room.
    pub(super) fn drained(&mut self, cx: &mut Context<'_>) {
        let Some(play) = self.play.as_ref().filter(|_| cx.delivery == Delivery::Copied) else {
            return;
        };
        while cx.outbox.len() < COPIED_BYTES_MAX {
            let bytes = cx.hub.read(play.subscriber, COPIED_BYTES_MAX as u64);
            if bytes.is_empty() {
                return;
            }
            cx.outbox.push(bytes.into());
        }
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        self.stop(cx);
        self.end_upload(cx);
        self.forget_hls(cx);
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let session = self.session.poll_timeout().map(|at| Micros::from_millis(at.0));
        let upload = self.upload.as_ref().map(|upload| upload.poll_timeout());
        [session, upload].into_iter().flatten().min()
    }

    pub(super) fn wants_input(&self) -> bool {
        self.session.wants_input()
    }

    pub(super) fn reads_at_leisure(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.reads_at_leisure())
    }

    /// What it publishes, for the API.
    pub(super) fn intake(&mut self) -> Option<&mut Intake> {
        self.upload.as_mut().map(|upload| upload.intake())
    }

    pub(super) fn publishes(&self, id: PublisherId) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.publisher() == id)
    }

    /// Content is being taken.
    pub(super) fn is_publishing(&self) -> bool {
        self.session.is_publishing()
    }

    pub(super) fn activity(&self) -> Activity {
        if let Some(upload) = &self.upload {
            return upload.activity();
        }
        let Some(Play { asked, .. }) = &self.play else { return Activity::default() };
        Activity {
            role: "play",
            stream: asked.key.to_string(),
            agent: asked.user_agent.clone(),
            url: asked.url.clone(),
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
                Event::Relay(request) => self.ask_relay(cx, request),
                Event::Hls(request) => self.ask_hls(cx, request),
                Event::Status { .. } => self.answer_status(cx),
                Event::Publish(request) => self.publish(cx, &request),
                Event::Body(bytes) => self.take(cx, bytes)?,
                Event::BodyEnd => self.finish(cx),
                Event::Closed => closed = true,
            }
        }
        while let Some(bytes) = self.session.poll_output() {
            cx.outbox.push(bytes);
        }
        if closed { Err(Ending::Done("the session is over".to_owned())) } else { Ok(()) }
    }

    fn ask(&mut self, cx: &mut Context<'_>, request: PlayRequest) {
        if let Err(why) =
            cx.applications.may_play(cx.hub, &request.app, &request.name, &request.query)
        {
            self.session.reject_play(why.http_status(), why.text());
            return;
        }
        let PlayRequest { app, name, container, transport, tracks, host, .. } = request;
        let url = format!("{}://{host}/{app}/{name}.{}", cx.scheme("http"), container.extension());
        let form = match (container, transport) {
            (Container::Flv, Transport::Http) => Form::HttpFlv,
            (Container::Flv, Transport::WebSocket) => Form::WebSocketFlv,
            (Container::Ts, Transport::Http) => Form::HttpTs,
            (Container::Ts, Transport::WebSocket) => Form::WebSocketTs,
        };
        let multitrack = request.query.split('&').any(|one| one == "multitrack");
        let egress = Egress { multitrack, ..Egress::new(form, tracks) };
        let key = StreamKey::new(&app, &name);
        let (head_only, user_agent) = (request.head_only, request.user_agent);
        self.play(cx, Asked { key, container, egress, head_only, user_agent, url });
    }

    /// Plays what is sent to a group, if that may be asked for.
    fn ask_relay(&mut self, cx: &mut Context<'_>, request: RelayRequest) {
        let (is_rtp, scheme) = match request.scheme {
            Scheme::Udp => (false, "udp"),
            Scheme::Rtp => (true, "rtp"),
        };
        let RelayRequest { address, sources, query, host, .. } = request;
        let target = RelayTarget { is_rtp, address, senders: sources };
        let Some(key) = cx.hub.relay_key(&target) else {
            let what = format!("may not ask for {scheme}://{address}: not in `udpxy.allow`");
            cx.log(Level::WARN, what);
            return self.session.reject_play(403, "this group is not relayed");
        };
        if let Err(why) = cx.applications.may_play(cx.hub, &key.app, &key.name, &query) {
            return self.session.reject_play(why.http_status(), why.text());
        }
        let form = match request.transport {
            Transport::Http => Form::HttpTs,
            Transport::WebSocket => Form::WebSocketTs,
        };
        let egress = Egress::new(form, TrackFilter::ALL);
        let url = format!("{}://{host}/{scheme}/{address}", cx.scheme("http"));
        let (head_only, user_agent) = (request.head_only, request.user_agent);
        let container = Container::Ts;
        self.play(cx, Asked { key, container, egress, head_only, user_agent, url });
    }

    fn play(&mut self, cx: &mut Context<'_>, asked: Asked) {
        let (egress, wait_ms) = (asked.egress, self.settings.play_wait_ms);
        let options = PlayOptions { egress, fd: cx.fd, delivery: cx.delivery, wait_ms };
        match cx.hub.play(cx.id, asked.key.clone(), options, cx.now) {
            Some(subscriber) => {
                *cx.shared = Some(subscriber);
                self.play = Some(Play { subscriber, asked, started: false });
            }
            None => self.session.reject_play(404, "no such application"),
        }
    }

    fn start(&mut self, cx: &mut Context<'_>, video: bool, audio: bool) -> Step {
        let Some(play) = &mut self.play else { return Ok(()) };
        play.started = true;
        let Asked { key, container, egress, head_only, user_agent, .. } = &play.asked;
        let (tracks, head_only) = (egress.tracks, *head_only);
        let header = match container {
            Container::Flv => &file_header(audio && tracks.audio, video && tracks.video)[..],
            Container::Ts => &[],
        };
        let what = format!("plays {key} by {user_agent}");
        cx.log(Level::INFO, what);
        self.session.accept_play(header);
        if head_only {
            self.stop(cx);
        }
        self.drive(cx)
    }

    pub(super) fn plays(&self, id: SubscriberId) -> bool {
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

/// What of the log waits in the outbox of a play that copies it.
const COPIED_BYTES_MAX: usize = 64 << 10;
