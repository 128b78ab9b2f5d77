//! HLS: what a request asks of the hub, and how its answer is sent.
//!
//! Playlists and segments leave as they are held: the outbox gets the slices that all viewers share.

use std::ops::Range;

use bytes::Bytes;
use corelay_protocols::Session as _;
use corelay_protocols::hls::playlist::Rendered;
use corelay_protocols::hls::{Form, Segment};
use corelay_protocols::http::{Coding, HlsRequest, Prepared, Representation, Resource};
use tracing::Level;

use super::HttpDriver;
use crate::app::Denied;
use crate::driver::{Context, Step};
use crate::hub::StreamKey;
use crate::hub::hls::{Answer, Ask, Asker, ListAsk, PlaylistAsk, Serving, Viewer};

/// A request that waits for its answer.
pub(super) struct Waiting {
    request: HlsRequest,
    key: StreamKey,
}

/// What all HLS viewers have in common.
#[derive(Clone, Copy, Debug)]
pub struct HlsSettings {
    /// HLS is served at all.
    pub is_enabled: bool,
    /// Parts for everybody.
    pub low_latency: bool,
    /// Target duration of segments, in milliseconds.
    pub segment_ms: u32,
    /// The key of encrypted segments, if they are.
    pub key: Option<[u8; 16]>,
}

impl HttpDriver {
    /// Asks the hub for what a request names.
    pub(super) fn ask_hls(&mut self, cx: &mut Context<'_>, request: HlsRequest) {
        if !self.settings.hls.is_enabled {
            return self.session.reject_hls(404, None, "HLS is switched off");
        }
        let (app, name) = (request.app(), request.name());
        if let Err(why) = may_have(cx, &request) {
            return self.session.reject_hls(why.http_status(), None, why.text());
        }
        let key = self.hls_key_of(app, name);
        let directives = request.directives;
        let low_latency = directives.low_latency || self.settings.hls.low_latency;
        let ask = match request.resource {
            Resource::Multivariant { nested } => {
                let (form, query) = (directives.form, self.playlist_query(&request, low_latency));
                let ask = ListAsk { form, low_latency, is_nested: nested, query };
                cx.hub.hls_list(self.asker(cx), &key, ask, cx.now);
                self.hls = Some(Box::new(Waiting { request, key }));
                return;
            }
            Resource::Key(..) => return self.answer_key(cx, &request),
            Resource::Playlist(rendition) => Ask::Playlist(PlaylistAsk {
                rendition,
                low_latency,
                reload: directives.msn.map(|msn| (msn, directives.part)),
                skip: directives.skip.is_some(),
            }),
            Resource::Init(rendition, number) => Ask::Init(rendition, number),
            Resource::Segment(rendition, msn) => Ask::Segment(rendition, msn),
            Resource::Part(rendition, msn, index) => Ask::Part(rendition, msn, index),
        };
        let answer = cx.hub.hls_ask(self.asker(cx), key.clone(), ask, cx.now);
        if let Resource::Playlist(rendition) = request.resource {
            self.meet(cx, &request, &key, rendition.form);
        }
        match answer {
            Some(answer) => self.answer_hls(cx, &request, &key, answer),
            None => self.hls = Some(Box::new(Waiting { request, key })),
        }
    }

    /// The stream of a request: a player asks for the same one again and again.
    fn hls_key_of(&mut self, app: &str, name: &str) -> StreamKey {
        match &self.hls_key {
            Some(key) if *key.app == *app && *key.name == *name => key.clone(),
            _ => self.hls_key.insert(StreamKey::new(app, name)).clone(),
        }
    }

    /// The answer to a request that had to wait.
    pub(super) fn handle_hls_notice(&mut self, cx: &mut Context<'_>, answer: Answer) -> Step {
        if let Some(waiting) = self.hls.take() {
            let Waiting { request, key } = *waiting;
            self.answer_hls(cx, &request, &key, answer);
        }
        self.drive(cx)
    }

    /// The connection ends: nothing is waited for any more.
    pub(super) fn forget_hls(&mut self, cx: &mut Context<'_>) {
        if let Some(waiting) = self.hls.take() {
            let form = form_of(waiting.request.resource);
            cx.hub.hls_forget(self.asker(cx), &waiting.key, form);
        }
    }

    fn answer_hls(
        &mut self,
        cx: &mut Context<'_>,
        request: &HlsRequest,
        key: &StreamKey,
        answer: Answer,
    ) {
        match answer {
            Answer::List(text) => {
                // It names the viewer's session.
                let kind = Kind { media_type: PLAYLIST, max_age_s: 0, etag: "" };
                self.send(cx, request, &kind, Coding::Identity, &[Bytes::from(text)]);
            }
            Answer::Playlist(rendered) => {
                let max_age_s = self.playlist_age_s(request);
                let wanted = Serving { is_gzip: request.accepts_gzip, max_age_s };
                let form = form_of(request.resource).unwrap_or(Form::Ts);
                let prepare = || self.prepare(&rendered, wanted);
                let prepared = cx.hub.hls_prepared(key, form, &rendered, wanted, prepare);
                self.session.respond_prepared(request, &prepared);
            }
            Answer::Init(init) => {
                let kind = Kind { media_type: "video/mp4", max_age_s: MEDIA_AGE_S, etag: "" };
                self.send(cx, request, &kind, Coding::Fixed, std::slice::from_ref(&init.bytes));
            }
            Answer::Segment(rendition, segment) => {
                let kind = Kind { media_type: rendition.media_type(), ..MEDIA };
                let sent = self.send(cx, request, &kind, Coding::Fixed, slices(&segment));
                cx.hub.hls_count(key, rendition.form, viewer(cx, request), sent);
            }
            Answer::Part(rendition, part) => {
                let kind = Kind { media_type: rendition.media_type(), ..MEDIA };
                let sent = self.send(cx, request, &kind, Coding::Fixed, part.chunk.slices());
                cx.hub.hls_count(key, rendition.form, viewer(cx, request), sent);
            }
            Answer::NotFound(why) => self.session.reject_hls(404, None, why),
            Answer::Bad(why) => self.session.reject_hls(400, None, why),
            Answer::NotYet(why) => self.session.reject_hls(503, Some(1), why),
        }
    }

    /// A playlist as a whole response, for all who take it so.
    fn prepare(&self, rendered: &Rendered, serving: Serving) -> Prepared {
        let (coding, body) = match serving.is_gzip {
            true => (Coding::Gzip, rendered.gzip()),
            false => (Coding::Identity, rendered.text()),
        };
        let representation = Representation {
            media_type: PLAYLIST,
            length: body.len() as u64,
            cache_control: &format!("max-age={}", serving.max_age_s),
            etag: rendered.etag(),
            coding,
        };
        Prepared::new(&representation, body, &self.session_settings)
    }

    fn answer_key(&mut self, cx: &mut Context<'_>, request: &HlsRequest) {
        let Some(key) = self.settings.hls.key else {
            return self.session.reject_hls(404, None, "the segments are not encrypted");
        };
        let kind = Kind { media_type: "application/octet-stream", max_age_s: 0, etag: "" };
        self.send(cx, request, &kind, Coding::Fixed, &[Bytes::copy_from_slice(&key)]);
    }

    /// Sends a response; gives the bytes of its body that are on their way.
    fn send<'s>(
        &mut self,
        cx: &mut Context<'_>,
        request: &HlsRequest,
        kind: &Kind<'_>,
        coding: Coding,
        body: impl IntoIterator<Item = &'s Bytes> + Clone,
    ) -> usize {
        let add =
            |(slices, bytes): (usize, usize), slice: &Bytes| (slices + 1, bytes + slice.len());
        let (slices, length) = body.clone().into_iter().fold((0, 0), add);
        let cache_control = match kind.max_age_s {
            0 => "no-cache".to_owned(),
            seconds => format!("max-age={seconds}"),
        };
        let representation = Representation {
            media_type: kind.media_type,
            length: length as u64,
            cache_control: &cache_control,
            etag: kind.etag,
            coding,
        };
        let range = self.session.respond(request, &representation);
        while let Some(head) = self.session.poll_output() {
            cx.outbox.push(head);
        }
        let Some(Range { start, end }) = range else { return 0 };
        let (start, end) = (start as usize, end as usize);
        cx.outbox.reserve(slices);
        let mut at = 0;
        for slice in body {
            let (from, to) = (start.max(at), end.min(at + slice.len()));
            if from < to {
                cx.outbox.push(slice.slice(from - at..to - at));
            }
            at += slice.len();
        }
        self.session.finish_response();
        end - start
    }

    /// It waits for one answer at a time.
    fn asker(&self, cx: &Context<'_>) -> Asker {
        Asker { connection: cx.id, request: self.stream }
    }

    /// The query of media playlists: what the viewer came with, its session, what it wants.
    fn playlist_query(&mut self, request: &HlsRequest, low_latency: bool) -> String {
        let mut query = request.passed_on();
        let mut add = |text: &str| {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(text);
        };
        match request.session() {
            Some(session) => add(&format!("session={session}")),
            None => add(&format!("session={:016x}", self.next_session())),
        }
        if low_latency && !self.settings.hls.low_latency {
            add("low_latency");
        }
        query
    }

    fn next_session(&mut self) -> u64 {
        // What is unique is the connection's seed; a connection may bring many viewers.
        self.session_seed = self.session_seed.wrapping_mul(SESSION_STEP).wrapping_add(1);
        self.session_seed
    }

    /// How long a playlist may be kept (RFC 8216bis B.1): half a target duration, and longer if its URL
    /// says which version of it is wanted.
    fn playlist_age_s(&self, request: &HlsRequest) -> u32 {
        let segment_s = self.settings.hls.segment_ms / 1_000;
        if request.directives.msn.is_some() { segment_s * 6 } else { (segment_s / 2).max(1) }
    }

    /// Counts a viewer, and says who has come.
    fn meet(&self, cx: &mut Context<'_>, request: &HlsRequest, key: &StreamKey, form: Form) {
        let viewer = viewer(cx, request);
        if cx.hub.hls_meet(key, form, viewer, cx.now) {
            let Viewer { session, agent, .. } = viewer;
            let session = if session.is_empty() { "none" } else { session };
            cx.log(Level::INFO, format!("watches {key} by HLS, session {session}, {agent}"));
        }
    }
}

/// What is said of a response besides its length.
struct Kind<'a> {
    media_type: &'a str,
    /// How long a cache may keep it; 0: it must ask.
    max_age_s: u32,
    etag: &'a str,
}

/// The application is asked about playlists and keys. Media have the same URLs for all viewers, without the
/// query that says who asks: their names are in the playlist.
fn may_have(cx: &mut Context<'_>, request: &HlsRequest) -> Result<(), Denied> {
    let (app, name) = (request.app(), request.name());
    match request.resource {
        Resource::Init(..) | Resource::Segment(..) | Resource::Part(..) => {
            cx.applications.may_connect(cx.hub, app).map(drop)
        }
        Resource::Multivariant { .. } | Resource::Playlist(_) | Resource::Key(..) => {
            cx.applications.may_play(cx.hub, app, name, request.query())
        }
    }
}

fn viewer<'a>(cx: &Context<'_>, request: &'a HlsRequest) -> Viewer<'a> {
    Viewer {
        session: request.session().unwrap_or_default(),
        address: cx.peer.ip(),
        agent: request.user_agent(),
    }
}

fn form_of(resource: Resource) -> Option<Form> {
    match resource {
        Resource::Multivariant { .. } => None,
        Resource::Playlist(rendition)
        | Resource::Init(rendition, _)
        | Resource::Segment(rendition, _)
        | Resource::Part(rendition, _, _)
        | Resource::Key(rendition, _) => Some(rendition.form),
    }
}

fn slices(segment: &Segment) -> impl Iterator<Item = &Bytes> + Clone {
    segment.parts.iter().flat_map(|part| part.chunk.slices())
}

/// RFC 8216 4.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// Segments never change; longer than any player looks back.
const MEDIA_AGE_S: u32 = 3_600;
const MEDIA: Kind<'_> = Kind { media_type: "", max_age_s: MEDIA_AGE_S, etag: "" };
/// Of a full-period generator of 64 bits (Knuth, MMIX).
const SESSION_STEP: u64 = 6_364_136_223_846_793_005;
