//! A presentation on one core: what can be fetched, and who waits for more of it.

use corelay_protocols::hls::playlist::Rendered;
use corelay_protocols::hls::presentation::{Ask as Wanted, PartState, Reload};
use corelay_protocols::hls::{Event, Form, Presentation, Rendition};
use corelay_protocols::http::Prepared;
use smallvec::SmallVec;

use super::ask::{Answer, Ask, Asker, PlaylistAsk};
use super::sessions::Sessions;
use crate::channel::is_relay;
use crate::clock::Micros;
use crate::hub::key::StreamKey;
use crate::hub::message::StreamUid;

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    /// Application and name.
    pub key: StreamKey,
    /// The form.
    pub form: Form,
    /// What its events are marked with; `None` until the owner has answered.
    pub stream: Option<StreamUid>,
    /// Somebody publishes, or is expected back.
    pub live: bool,
    /// `None` until the owner has answered.
    pub presentation: Option<Presentation>,
    /// Requests that wait.
    pub waiting: Vec<Waiting>,
    /// Who watches.
    pub sessions: Sessions,
    /// When it was last asked for.
    pub asked: Micros,
    /// The newest playlists as whole responses, the one that was made first in front.
    prepared: SmallVec<[(Rendered, Serving, Prepared); SERVINGS_MAX]>,
}

/// How a playlist is served: the response is the same for all who take it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// It is compressed.
    pub is_gzip: bool,
    /// How long it may be kept, in seconds.
    pub max_age_s: u32,
}

/// A request that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Where its answer goes.
    pub asker: Asker,
    /// The request.
    pub ask: Ask,
    /// When it is answered with what there is.
    pub until: Micros,
}

/// A presentation on one core, for the API.
#[derive(Clone, Debug)]
pub struct HlsSnapshot {
    /// `hls_ts` or `hls_fmp4`.
    pub form: &'static str,
    /// The session of each viewer; one on several cores is the same on all.
    pub viewers: Vec<u64>,
    /// Bytes of the segments that can be fetched, which all cores share.
    pub media_bytes: u64,
}

impl Shelf {
    /// A shelf for what the owner has been asked for.
    pub fn new(key: StreamKey, form: Form, now: Micros) -> Self {
        Self {
            key,
            form,
            stream: None,
            live: false,
            presentation: None,
            waiting: Vec::new(),
            sessions: Sessions::default(),
            asked: now,
            prepared: SmallVec::new(),
        }
    }

    /// A playlist as a whole response, made once for each way in which it is served.
    pub fn prepared(
        &mut self,
        rendered: &Rendered,
        serving: Serving,
        prepare: impl FnOnce() -> Prepared,
    ) -> Prepared {
        let is_it =
            |(known, of, _): &&(Rendered, Serving, _)| *of == serving && known.is_same(rendered);
        if let Some((.., prepared)) = self.prepared.iter().find(is_it) {
            return prepared.clone();
        }
        if self.prepared.len() == SERVINGS_MAX {
            self.prepared.remove(0);
        }
        let prepared = prepare();
        self.prepared.push((rendered.clone(), serving, prepared.clone()));
        prepared
    }

    /// Takes what the owner says.
    pub fn apply(&mut self, event: &Event) {
        self.live = true;
        if let Some(presentation) = self.presentation.as_mut() {
            presentation.apply(event);
        }
    }

    /// The stream is over.
    pub fn end(&mut self) {
        self.live = false;
        if let Some(presentation) = self.presentation.as_mut() {
            presentation.end();
        }
    }

    /// There is something to watch.
    pub fn is_ready(&self, low_latency: bool) -> bool {
        self.presentation.as_ref().is_some_and(|one| one.is_ready(low_latency))
    }

    /// Somebody publishes the stream, or there are segments of one who did.
    pub fn has_something(&self) -> bool {
        self.live || self.stream.is_none() || self.is_ready(true)
    }

    /// The answer to a request, or `None`: it has to wait.
    pub fn answer(&mut self, ask: &Ask) -> Option<Answer> {
        let is_ready = self.is_ready(ask.is_low_latency());
        let presentation = self.presentation.as_mut()?;
        if !self.live && !is_ready {
            // A relay's group is opened by those who ask for it.
            return (!is_relay(&self.key)).then_some(Answer::NotFound("no such stream"));
        }
        match ask {
            Ask::Playlist(ask) => answer_playlist(presentation, ask, is_ready),
            Ask::Init(rendition, number) => {
                let found = presentation.init(*rendition, *number).cloned().map(Answer::Init);
                let is_next = presentation.init(*rendition, number.wrapping_sub(1)).is_some();
                found.or(gone_unless(is_next && self.live))
            }
            Ask::Segment(rendition, msn) => {
                let found = presentation.segment(*rendition, *msn).cloned();
                let found = found.map(|segment| Answer::Segment(*rendition, segment));
                let is_next = is_next(presentation, *rendition, *msn);
                found.or(gone_unless(is_next && self.live))
            }
            Ask::Part(rendition, msn, index) => match presentation.part(*rendition, *msn, *index) {
                PartState::Ready(part) => Some(Answer::Part(*rendition, part)),
                PartState::Awaited | PartState::Unknown => {
                    let is_next = is_next(presentation, *rendition, *msn);
                    gone_unless(is_next && self.live)
                }
            },
        }
    }

    /// The answer to a request that has waited long enough.
    pub fn last_answer(ask: &Ask) -> Answer {
        match ask {
            Ask::Playlist(_) => Answer::NotYet("the stream has not got there yet"),
            Ask::Init(..) | Ask::Segment(..) | Ask::Part(..) => GONE,
        }
    }

    /// For the API.
    pub fn snapshot(&self) -> HlsSnapshot {
        let presentation = self.presentation.as_ref();
        HlsSnapshot {
            form: match self.form {
                Form::Ts => "hls_ts",
                Form::Fmp4 => "hls_fmp4",
            },
            viewers: self.sessions.ids().collect(),
            media_bytes: presentation.map_or(0, |one| one.media_bytes() as u64),
        }
    }
}

/// True for what comes next: another core, whose playlist the viewer has seen, may be ahead of this one by
/// an event that is on its way.
fn is_next(presentation: &Presentation, rendition: Rendition, msn: u64) -> bool {
    let newest = presentation.newest_msn(rendition);
    newest.is_none_or(|newest| newest < msn && msn - newest <= 2)
}

fn gone_unless(is_to_come: bool) -> Option<Answer> {
    (!is_to_come).then_some(GONE)
}

fn answer_playlist(
    presentation: &mut Presentation,
    ask: &PlaylistAsk,
    is_ready: bool,
) -> Option<Answer> {
    if !is_ready {
        return None;
    }
    let PlaylistAsk { rendition, low_latency, reload, skip, .. } = ask;
    if let Some((msn, part)) = *reload {
        match presentation.reload(*rendition, msn, part) {
            Reload::Ready => {}
            Reload::Awaited => return None,
            Reload::Unknown => return Some(Answer::NotFound("no such rendition")),
            Reload::TooFar => {
                return Some(Answer::Bad("_HLS_msn is further ahead than the next segments"));
            }
        }
    }
    let wanted = Wanted { low_latency: *low_latency, skip: *skip };
    let rendered = presentation.playlist(*rendition, wanted);
    Some(rendered.map_or(Answer::NotFound("no such rendition"), Answer::Playlist))
}

impl Ask {
    fn is_low_latency(&self) -> bool {
        match self {
            Self::Playlist(ask) => ask.low_latency,
            _ => true,
        }
    }
}

/// Plain and compressed, with and without low latency.
const SERVINGS_MAX: usize = 4;
const GONE: Answer = Answer::NotFound("no such segment, or not any more");
