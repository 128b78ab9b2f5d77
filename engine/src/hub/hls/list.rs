//! Multivariant playlists: the variants of a stream, or of several that belong together.

use corelay_protocols::hls::Form;
use corelay_protocols::hls::playlist::{Links, Variant, multivariant};
use corelay_protocols::hls::presentation::Summary;

use super::ask::{Answer, Asker, ListAsk};
use super::serve::ANSWER_MS;
use crate::clock::Micros;
use crate::hub::Hub;
use crate::hub::key::StreamKey;
use crate::hub::message::Control;

/// A multivariant playlist that waits for its variants.
#[derive(Debug)]
pub struct ListWait {
    /// Where it goes.
    pub asker: Asker,
    ask: ListAsk,
    variants: Vec<Wanted>,
    /// When it is made of what there is.
    until: Micros,
}

#[derive(Debug)]
struct Wanted {
    key: StreamKey,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The owner has been asked which form suits it.
    Asked,
    /// Nobody publishes it.
    Absent,
    /// It is served in this form.
    Served(Form),
}

impl Hub {
    /// Asks for a multivariant playlist. The answer comes as a notice, unless [`Self::hls_forget`] is
    /// called before.
    pub fn hls_list(&mut self, asker: Asker, key: &StreamKey, ask: ListAsk, now: Micros) {
        let variants = self.hls_variants(key, ask.form);
        let keys: Vec<StreamKey> = variants.iter().map(|wanted| wanted.key.clone()).collect();
        let (form, until) = (ask.form, now.after_millis(self.config.hls.wait_ms));
        self.shelves.lists.push(ListWait { asker, ask, variants, until });
        for key in keys {
            match form {
                Some(form) => {
                    self.shelf(key, form, now);
                }
                None => self.tell(key.owner(self.mesh.cores()), Control::HlsWhich { key }),
            }
        }
        self.settle(now);
        self.settle_lists(now);
    }

    /// The streams that a name stands for.
    fn hls_variants(&self, key: &StreamKey, form: Option<Form>) -> Vec<Wanted> {
        let state = form.map_or(State::Asked, State::Served);
        let mut names = self.config.hls_members(&key.app, &key.name);
        if names.is_empty() {
            names.push(key.name.to_string());
        }
        let wanted = |name: &String| Wanted { key: StreamKey::new(&key.app, name), state };
        names.iter().map(wanted).collect()
    }

    /// The owner of a stream says which form suits it; `None`: nobody publishes it.
    pub(in crate::hub) fn hls_form(&mut self, key: &StreamKey, form: Option<Form>, now: Micros) {
        let state = form.map_or(State::Absent, State::Served);
        let mut is_meant = false;
        for list in &mut self.shelves.lists {
            for wanted in list.variants.iter_mut().filter(|wanted| wanted.key == *key) {
                wanted.state = state;
                is_meant = true;
            }
        }
        if let Some(form) = form.filter(|_| is_meant) {
            self.shelf(key.clone(), form, now);
        }
        self.settle_lists(now);
    }

    /// Answers the lists that are complete, or have waited long enough.
    pub(super) fn settle_lists(&mut self, now: Micros) {
        for list in std::mem::take(&mut self.shelves.lists) {
            match self.answer_list(&list, now) {
                Some(answer) => {
                    self.answer_hls(list.asker, answer);
                }
                None => self.shelves.lists.push(list),
            }
        }
    }

    fn answer_list(&mut self, list: &ListWait, now: Micros) -> Option<Answer> {
        let mut summaries: Vec<(StreamKey, Summary)> = Vec::new();
        let (mut is_waiting, mut is_live, mut is_answered) = (false, false, true);
        for wanted in &list.variants {
            let State::Served(form) = wanted.state else {
                is_waiting |= wanted.state == State::Asked;
                is_answered &= wanted.state != State::Asked;
                continue;
            };
            let Some(shelf) = self.shelves.of(&wanted.key, form) else { continue };
            shelf.asked = now;
            let is_ready = shelf.is_ready(list.ask.low_latency);
            is_waiting |= !is_ready && (shelf.live || shelf.presentation.is_none());
            is_live |= shelf.live;
            is_answered &= shelf.presentation.is_some();
            let presentation = shelf.presentation.as_ref().filter(|_| is_ready);
            summaries.extend(presentation.map(|one| (wanted.key.clone(), one.summary())));
        }
        let patience_ms = if is_answered { 0 } else { ANSWER_MS };
        if is_waiting && now < list.until.after_millis(patience_ms) {
            return None;
        }
        if summaries.is_empty() {
            let why = "the stream has no segment yet";
            return Some(if is_live || is_waiting { Answer::NotYet(why) } else { ABSENT });
        }
        let variants: Vec<Variant<'_>> =
            summaries.iter().map(|(key, summary)| Variant { name: &key.name, summary }).collect();
        let links = Links { is_nested: list.ask.is_nested, query: &list.ask.query };
        Some(Answer::List(multivariant(&variants, &links)))
    }
}

const ABSENT: Answer = Answer::NotFound("no such stream");
