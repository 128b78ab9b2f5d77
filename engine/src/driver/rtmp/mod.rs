//! RTMP publishers and players.

use std::sync::Arc;

use corelay_codecs::container::flv::{TagType, demux};
use corelay_codecs::{TrackFilter, UnitKind};
use corelay_config::Policy;
use corelay_protocols::Session as _;
use corelay_protocols::rtmp::event::{ConnectRequest, PlayStart};
use corelay_protocols::rtmp::{
    Error, MediaKind, MediaMessage, MessageStreamId, PlayEnd, PlayRefusal, PlayRequest, PublishEnd,
    PublishKind, PublishRefusal, PublishRequest, ServerEvent, ServerSession, ServerSettings,
};
use smallvec::SmallVec;
use tracing::Level;

use super::readdress::readdress;
use super::{Activity, Context, Step};
use crate::app::Denied;
use crate::clock::Micros;
use crate::hub::{
    Egress, EndReason, Form, Notice, PlayOptions, PublisherId, PublisherInfo, Refusal,
    SHARED_MESSAGE_STREAM, StreamKey, SubscriberId,
};
use crate::shard::Ending;
use crate::stats::Failure;

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

struct Publication {
    id: PublisherId,
    key: StreamKey,
    last_media: Micros,
    /// Somebody watches, or may: its input cannot wait.
    watched: bool,
}

struct Play {
    subscriber: SubscriberId,
    key: StreamKey,
    tracks: TrackFilter,
    readdressed: bool,
    duration_ms: Option<u64>,
    ends_at: Option<Micros>,
    /// The peer has not been told that it plays, and is told at this time at the latest.
    answer_by: Option<Micros>,
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
            Notice::Rest(_) | Notice::Blocked | Notice::Close(_) => {}
        }
        self.drive(cx)
    }

    /// Feeds the plays whose bytes are readdressed, as far as the outbox has room.
    pub(super) fn drained(&mut self, cx: &mut Context<'_>) {
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

    pub(super) fn reads_at_leisure(&self) -> bool {
        let waits = |(_, role): &(MessageStreamId, Role)| {
            matches!(role, Role::Publisher(Publication { watched: false, .. }))
        };
        !self.streams.is_empty() && self.streams.iter().all(waits)
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
                if let Some(play) = self.player(stream) {
                    play.tracks = TrackFilter { audio, video };
                    let egress = Egress { form: Form::Rtmp, tracks: play.tracks };
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

    fn publish(&mut self, cx: &mut Context<'_>, stream: MessageStreamId, request: PublishRequest) {
        let query = join(&self.connect.query, &request.query);
        let app = self.connect.app.clone();
        let decision = cx.applications.may_publish(cx.hub, &app, &request.name, &query);
        let refusal = match decision {
            Err(Denied::BadName) => Some((PublishRefusal::BadName, Denied::BadName.text())),
            Err(why) => Some((PublishRefusal::Denied, why.text())),
            Ok(()) if request.kind != PublishKind::Live => {
                Some((PublishRefusal::Unsupported, "recording is not available on this server"))
            }
            Ok(()) if !cx.limits.publish() => {
                cx.stats.count_failure(Failure::Limit);
                Some((PublishRefusal::Denied, "the server has publishers_max publishers"))
            }
            Ok(()) => None,
        };
        if let Some((code, why)) = refusal {
            cx.log(Level::WARN, format!("may not publish {app}/{}: {why}", request.name));
            self.session.reject_publish(stream, code, why);
            return;
        }
        let key = StreamKey::new(&app, &request.name);
        let info = PublisherInfo {
            connection: cx.id,
            peer: cx.peer,
            protocol: "rtmp",
            agent: self.connect.flash_ver.clone(),
            url: self.connect.tc_url.clone(),
            since: cx.now,
        };
        let id = cx.hub.publish(cx.id, key.clone(), info, cx.now);
        let publication = Publication { id, key, last_media: cx.now, watched: true };
        self.streams.push((stream, Role::Publisher(publication)));
        self.asking = true;
    }

    fn publish_accepted(&mut self, cx: &mut Context<'_>, id: PublisherId) {
        let Some(stream) = self.stream_of_publisher(id) else { return };
        self.asking = false;
        if let Some(Role::Publisher(publication)) = self.role(stream) {
            publication.last_media = cx.now;
            let line = format!("publishes {}", publication.key);
            cx.log(Level::INFO, line);
        }
        self.session.accept_publish(stream);
    }

    fn watched(&mut self, id: PublisherId, watched: bool) {
        let Some(stream) = self.stream_of_publisher(id) else { return };
        if let Some(Role::Publisher(publication)) = self.role(stream) {
            publication.watched = watched;
        }
    }

    fn publish_refused(&mut self, cx: &mut Context<'_>, id: PublisherId, why: Refusal) {
        let Some(stream) = self.stream_of_publisher(id) else { return };
        let (code, text) = match why {
            Refusal::NameTaken => (PublishRefusal::BadName, "somebody publishes there already"),
            Refusal::TooMany => (PublishRefusal::Denied, "the server has streams_max streams"),
            Refusal::Stopping => (PublishRefusal::Denied, "the server is stopping"),
        };
        self.asking = false;
        self.take_role(stream);
        cx.limits.unpublish();
        cx.log(Level::WARN, format!("publication refused: {text}"));
        self.session.reject_publish(stream, code, text);
    }

    fn publish_ended(&mut self, cx: &mut Context<'_>, id: PublisherId, why: EndReason) -> Step {
        let Some(stream) = self.stream_of_publisher(id) else { return Ok(()) };
        self.take_role(stream);
        cx.limits.unpublish();
        let end = match why {
            EndReason::TakenOver => PublishEnd::TakenOver,
            EndReason::Stopping => PublishEnd::Shutdown,
            EndReason::PublisherLeft | EndReason::NoPublisher => PublishEnd::Denied,
        };
        self.session.publish_ended(stream, end);
        self.drive(cx)?;
        Err(Ending::Done(why.text().to_owned()))
    }

    fn media(&mut self, cx: &mut Context<'_>, stream: MessageStreamId, message: MediaMessage) {
        let metadata_bytes_max = self.policy.as_ref().map_or(0, |policy| policy.metadata_bytes_max);
        let Some(Role::Publisher(publication)) = self.role(stream) else { return };
        publication.last_media = cx.now;
        let id = publication.id;
        let tag_type = match message.kind {
            MediaKind::Audio => TagType::Audio,
            MediaKind::Video => TagType::Video,
            MediaKind::Data => TagType::Script,
        };
        let time_ms = i64::from(message.timestamp_ms);
        match demux::parse_tag(tag_type, time_ms, message.payload) {
            Ok(units) => {
                for unit in units {
                    let too_large = unit.payload.len() > metadata_bytes_max;
                    if too_large && matches!(unit.kind, UnitKind::Metadata | UnitKind::Data) {
                        self.malformed(cx, "a data message is over `metadata_bytes_max`");
                    } else {
                        cx.hub.ingest(id, unit, cx.now);
                    }
                }
            }
            Err(error) => self.malformed(cx, &error.to_string()),
        }
    }

    /// One broken tag is left out; its connection goes on. Said once per connection.
    fn malformed(&mut self, cx: &mut Context<'_>, what: &str) {
        cx.stats.malformed_tags.add(1);
        self.malformed_tags += 1;
        if self.malformed_tags == 1 {
            cx.log(Level::WARN, format!("left out a media message: {what}"));
        }
    }

    fn play(&mut self, cx: &mut Context<'_>, stream: MessageStreamId, request: PlayRequest) {
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
            egress: Egress { form: Form::Rtmp, tracks: TrackFilter::ALL },
            fd: cx.fd,
            readdressed,
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

    fn play_starting(&mut self, cx: &mut Context<'_>, id: SubscriberId) {
        let Some(stream) = self.stream_of_player(id) else { return };
        let Some(play) = self.player(stream) else { return };
        play.ends_at = play.duration_ms.map(|ms| cx.now.after_millis(ms));
        self.accept_play(cx, stream);
    }

    /// Tells a player that it plays, unless it knows.
    fn accept_play(&mut self, cx: &mut Context<'_>, stream: MessageStreamId) {
        let Some(play) = self.player(stream) else { return };
        if play.answer_by.take().is_some() {
            self.asking = false;
            self.session.accept_play(stream);
            self.send_replies(cx);
        }
    }

    fn play_ended(&mut self, cx: &mut Context<'_>, id: SubscriberId, why: EndReason) {
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

    /// A stream that is live and has nothing to start with yet is a stream: its player is told so.
    fn answer_plays(&mut self, cx: &mut Context<'_>) {
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
    fn end_limited_plays(&mut self, cx: &mut Context<'_>) {
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

    fn check_publishers(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(policy) = &self.policy else { return Ok(()) };
        let idle_ms = policy.publisher_idle_timeout_ms;
        let silent = self.streams.iter().any(|(_, role)| match role {
            Role::Publisher(publication) => cx.now.millis_since(publication.last_media) >= idle_ms,
            Role::Player(_) => false,
        });
        if !silent {
            return Ok(());
        }
        let why =
            format!("the publisher sent no media for {idle_ms} ms (publisher_idle_timeout_ms)");
        Err(Ending::Fault(Failure::Timeout, why))
    }

    fn private(&mut self, cx: &mut Context<'_>, id: SubscriberId, bytes: bytes::Bytes) {
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

    /// The message stream of a publication; `None` when a notice comes behind its end.
    fn stream_of_publisher(&self, id: PublisherId) -> Option<MessageStreamId> {
        let is = |role: &Role| matches!(role, Role::Publisher(publication) if publication.id == id);
        self.streams.iter().find(|(_, role)| is(role)).map(|(stream, _)| *stream)
    }

    /// The message stream of a play; `None` when a notice comes behind its end.
    fn stream_of_player(&self, id: SubscriberId) -> Option<MessageStreamId> {
        let is = |role: &Role| matches!(role, Role::Player(play) if play.subscriber == id);
        self.streams.iter().find(|(_, role)| is(role)).map(|(stream, _)| *stream)
    }

    fn role(&mut self, stream: MessageStreamId) -> Option<&mut Role> {
        self.streams.iter_mut().find(|(id, _)| *id == stream).map(|(_, role)| role)
    }

    fn player(&mut self, stream: MessageStreamId) -> Option<&mut Play> {
        match self.role(stream)? {
            Role::Player(play) => Some(play),
            Role::Publisher(_) => None,
        }
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

/// How long a player that may not wait is left without an answer.
const ANSWER_MS: u64 = 1_000;
/// Bytes of readdressed chunks that wait for one viewer's socket.
const READDRESSED_BYTES_MAX: usize = 256 << 10;
