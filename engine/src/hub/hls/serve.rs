//! What a core that serves viewers does: keeps shelves, answers requests, lets others wait.

use std::collections::HashMap;

use corelay_protocols::hls::playlist::Rendered;
use corelay_protocols::hls::{Event, Form, Presentation};
use corelay_protocols::http::Prepared;
use rustc_hash::FxHashMap;
use slab::Slab;

use super::ask::{Answer, Ask, Asker};
use super::list::ListWait;
use super::sessions::{SessionSnapshot, Viewer};
use super::shelf::{HlsSnapshot, Serving, Shelf, Waiting};
use crate::clock::Micros;
use crate::hub::Hub;
use crate::hub::key::StreamKey;
use crate::hub::message::{Control, Notice, StreamUid};

/// What a core serves by HLS.
#[derive(Debug, Default)]
pub struct Shelves {
    slots: Slab<Shelf>,
    by_key: HashMap<(StreamKey, Form), usize>,
    /// The slot that was found last: a request looks for the same one several times.
    recent: usize,
    by_stream: FxHashMap<(StreamUid, Form), usize>,
    /// Multivariant playlists that wait.
    pub(super) lists: Vec<ListWait>,
}

impl Shelves {
    /// The shelf of a stream in a form.
    pub(super) fn of(&mut self, key: &StreamKey, form: Form) -> Option<&mut Shelf> {
        let slot = self.slot(key, form)?;
        self.slots.get_mut(slot)
    }

    fn slot(&mut self, key: &StreamKey, form: Form) -> Option<usize> {
        let recent = self.slots.get(self.recent);
        if recent.is_none_or(|shelf| shelf.form != form || shelf.key != *key) {
            self.recent = *self.by_key.get(&(key.clone(), form))?;
        }
        Some(self.recent)
    }

    /// Nothing is served, and nobody waits.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
            && self.by_key.is_empty()
            && self.by_stream.is_empty()
            && self.lists.is_empty()
    }

    /// What is served of each stream, for the API.
    pub fn snapshots(&self) -> impl Iterator<Item = (&StreamKey, HlsSnapshot)> {
        self.slots.iter().map(|(_, shelf)| (&shelf.key, shelf.snapshot()))
    }
}

impl Hub {
    /// The sessions of this core with their streams, for the API.
    pub fn hls_sessions(&self, now: Micros) -> impl Iterator<Item = (&StreamKey, SessionSnapshot)> {
        self.shelves.slots.iter().flat_map(move |(_, shelf)| {
            shelf.sessions.snapshots(now).map(move |session| (&shelf.key, session))
        })
    }

    /// Asks for a part of a presentation. `None`: the answer comes as a notice, unless
    /// [`Self::hls_forget`] is called before.
    pub fn hls_ask(
        &mut self,
        asker: Asker,
        key: StreamKey,
        ask: Ask,
        now: Micros,
    ) -> Option<Answer> {
        let timeout_ms = self.hls_wait_ms(&ask);
        let slot = self.shelf(key, ask.rendition().form, now);
        let shelf = &mut self.shelves.slots[slot];
        shelf.asked = now;
        let answer = shelf.answer(&ask);
        if answer.is_none() {
            shelf.waiting.push(Waiting { asker, ask, until: now.after_millis(timeout_ms) });
        }
        answer
    }

    /// Nobody waits for the answer to a request any more.
    pub fn hls_forget(&mut self, asker: Asker, key: &StreamKey, form: Option<Form>) {
        self.shelves.lists.retain(|list| list.asker != asker);
        if let Some(shelf) = form.and_then(|form| self.shelves.of(key, form)) {
            shelf.waiting.retain(|waiting| waiting.asker != asker);
        }
    }

    /// Tells a connection the answer to a request that had to wait.
    pub(super) fn answer_hls(&mut self, asker: Asker, answer: Answer) {
        let Asker { connection, request } = asker;
        self.notices.push((connection, Notice::Hls(request, Box::new(answer))));
    }

    /// A viewer has asked for a playlist. True when it is a new one.
    pub fn hls_meet(
        &mut self,
        key: &StreamKey,
        form: Form,
        viewer: Viewer<'_>,
        now: Micros,
    ) -> bool {
        let viewers_max = self.config.limits.connections_max;
        let shelf = self.shelves.of(key, form);
        shelf.is_some_and(|shelf| shelf.sessions.touch(viewer, now, viewers_max))
    }

    /// A playlist as a whole response, which all viewers of this core share.
    pub fn hls_prepared(
        &mut self,
        key: &StreamKey,
        form: Form,
        rendered: &Rendered,
        serving: Serving,
        prepare: impl FnOnce() -> Prepared,
    ) -> Prepared {
        match self.shelves.of(key, form) {
            Some(shelf) => shelf.prepared(rendered, serving, prepare),
            None => prepare(),
        }
    }

    /// Media of a presentation goes to a viewer.
    pub fn hls_count(&mut self, key: &StreamKey, form: Form, viewer: Viewer<'_>, bytes: usize) {
        if let Some(shelf) = self.shelves.of(key, form) {
            shelf.sessions.count(viewer, bytes);
        }
    }

    /// The owner has answered.
    pub(in crate::hub) fn hls_state(
        &mut self,
        key: &StreamKey,
        (stream, form): (StreamUid, Form),
        live: bool,
        presentation: Presentation,
        now: Micros,
    ) {
        let Some(&slot) = self.shelves.by_key.get(&(key.clone(), form)) else { return };
        let shelf = &mut self.shelves.slots[slot];
        if let Some(old) = shelf.stream.replace(stream) {
            self.shelves.by_stream.remove(&(old, form));
        }
        self.shelves.by_stream.insert((stream, form), slot);
        (shelf.live, shelf.presentation) = (live, Some(presentation));
        self.serve_waiting(slot, now);
    }

    /// A presentation has grown.
    pub(in crate::hub) fn shelve(
        &mut self,
        stream: StreamUid,
        form: Form,
        events: &[Event],
        now: Micros,
    ) {
        let Some(&slot) = self.shelves.by_stream.get(&(stream, form)) else { return };
        events.iter().for_each(|event| self.shelves.slots[slot].apply(event));
        self.serve_waiting(slot, now);
    }

    /// Memory is short at the owner, or not any more.
    pub(in crate::hub) fn resize_shelf(
        &mut self,
        stream: StreamUid,
        form: Form,
        (window, spare): (usize, usize),
    ) {
        let Some(&slot) = self.shelves.by_stream.get(&(stream, form)) else { return };
        if let Some(presentation) = self.shelves.slots[slot].presentation.as_mut() {
            presentation.set_window(window, spare);
        }
    }

    /// A presentation is over.
    pub(in crate::hub) fn end_shelf(&mut self, stream: StreamUid, form: Form, now: Micros) {
        let Some(&slot) = self.shelves.by_stream.get(&(stream, form)) else { return };
        self.shelves.slots[slot].end();
        self.serve_waiting(slot, now);
    }

    /// Somebody publishes a stream that this core serves.
    pub(in crate::hub) fn announce_shelves(&mut self, stream: StreamUid) {
        for form in [Form::Ts, Form::Fmp4] {
            if let Some(&slot) = self.shelves.by_stream.get(&(stream, form)) {
                self.shelves.slots[slot].live = true;
            }
        }
    }

    /// Ends waits that are over, forgets viewers who are gone, gives up what nobody asks for.
    pub(in crate::hub) fn sweep_shelves(&mut self, now: Micros) {
        let slots: Vec<usize> = self.shelves.slots.iter().map(|(slot, _)| slot).collect();
        let (linger_ms, timeout_ms) =
            (self.config.hls.linger_ms, self.config.hls.session_timeout_ms);
        for slot in slots {
            self.serve_waiting(slot, now);
            let shelf = &mut self.shelves.slots[slot];
            shelf.sessions.expire(now, timeout_ms);
            // What there is nothing of is not kept: whoever asks for names must not fill the tables.
            let lingers = shelf.has_something() && now.millis_since(shelf.asked) < linger_ms;
            let is_wanted = !shelf.waiting.is_empty() || lingers;
            if !is_wanted {
                self.close_shelf(slot);
            }
        }
        self.settle_lists(now);
    }

    /// The shelf of a stream in a form; the owner is asked for what belongs on it if it is new.
    pub(super) fn shelf(&mut self, key: StreamKey, form: Form, now: Micros) -> usize {
        if let Some(slot) = self.shelves.slot(&key, form) {
            return slot;
        }
        let slot = self.shelves.slots.insert(Shelf::new(key.clone(), form, now));
        self.shelves.by_key.insert((key.clone(), form), slot);
        let owner = key.owner(self.mesh.cores());
        self.tell(owner, Control::HlsOpen { key, form });
        self.settle(now);
        slot
    }

    fn close_shelf(&mut self, slot: usize) {
        let Shelf { key, form, stream, .. } = self.shelves.slots.remove(slot);
        self.shelves.by_key.remove(&(key.clone(), form));
        if let Some(stream) = stream {
            self.shelves.by_stream.remove(&(stream, form));
        }
        let owner = key.owner(self.mesh.cores());
        self.tell(owner, Control::HlsClose { key, form });
    }

    /// Answers the requests that have what they waited for, or have waited long enough.
    fn serve_waiting(&mut self, slot: usize, now: Micros) {
        for waiting in std::mem::take(&mut self.shelves.slots[slot].waiting) {
            let shelf = &mut self.shelves.slots[slot];
            // An owner that has no room for the stream does not answer.
            let patience_ms = if shelf.presentation.is_some() { 0 } else { ANSWER_MS };
            let is_over = waiting.until.after_millis(patience_ms) <= now;
            let answer = shelf.answer(&waiting.ask);
            match answer.or_else(|| is_over.then(|| Shelf::last_answer(&waiting.ask))) {
                Some(answer) => self.answer_hls(waiting.asker, answer),
                None => shelf.waiting.push(waiting),
            }
        }
        if !self.shelves.lists.is_empty() {
            self.settle_lists(now);
        }
    }

    /// How long a request may wait: for the beginning of a stream as configured, for what comes next of it
    /// three target durations (RFC 8216bis 6.2.5.2), for what another core has said to be there no longer
    /// than it is under way.
    fn hls_wait_ms(&self, ask: &Ask) -> u64 {
        let hls = &self.config.hls;
        match ask {
            Ask::Playlist(ask) if ask.reload.is_none() => hls.wait_ms,
            Ask::Playlist(_) | Ask::Part(..) => 3 * u64::from(hls.segment_ms),
            Ask::Init(..) | Ask::Segment(..) => ANSWER_MS,
        }
    }
}

/// How long the owner of a stream may take to say what there is of it: far longer than a busy core lets
/// others wait.
pub(super) const ANSWER_MS: u64 = 1_000;
