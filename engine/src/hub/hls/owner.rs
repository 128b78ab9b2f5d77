//! What the owner of a stream does: packages it, and tells the cores that serve it.

use std::sync::Arc;

use corelay_config::HlsEncryption;
use corelay_protocols::hls::encrypt::{Method, SampleKey};
use corelay_protocols::hls::packager::Settings as PackagerSettings;
use corelay_protocols::hls::presentation::{KeyTag, Settings as PresentationSettings};
use corelay_protocols::hls::{Event, Form, Packager, Presentation};

use super::packaging::{Events, Packaging, PackagingParts, natural_form};
use crate::channel::is_relay;
use crate::clock::Micros;
use crate::hub::Hub;
use crate::hub::bridge::Bridge;
use crate::hub::key::StreamKey;
use crate::hub::message::{ConnectionId, Control, Notice};
use crate::hub::unit::Unit;
use crate::mesh::CoreIndex;

impl Hub {
    /// A core asks which form suits a stream. It is answered when that is known.
    pub(in crate::hub) fn own_hls_which(&mut self, from: CoreIndex, key: StreamKey, now: Micros) {
        let Some(slot) = self.stream_slot(key) else { return };
        let stream = &mut self.streams[slot];
        let was_watched = stream.is_watched();
        let asking = &mut stream.packagings.asking;
        asking.retain(|(core, _)| *core != from);
        asking.push((from, now.after_millis(self.config.hls.wait_ms)));
        self.want_relay(slot);
        self.answer_which(slot);
        self.tell_if_watched(slot, was_watched);
        self.drop_if_unused(slot);
    }

    /// A core serves a stream in a form.
    pub(in crate::hub) fn own_hls_open(&mut self, from: CoreIndex, key: StreamKey, form: Form) {
        let Some(slot) = self.stream_slot(key) else { return };
        let was_watched = self.streams[slot].is_watched();
        let opened = self.open_packaging(slot, form);
        let stream = &mut self.streams[slot];
        let (key, uid, live) = (stream.key.clone(), stream.uid, stream.is_live());
        let packaging = &mut stream.packagings.list[opened];
        if !packaging.cores.contains(&from) {
            packaging.cores.push(from);
        }
        let message = Control::HlsState {
            key,
            form,
            stream: uid,
            live,
            presentation: Box::new(packaging.presentation().clone()),
        };
        self.want_relay(slot);
        self.tell(from, message);
        self.tell_if_watched(slot, was_watched);
    }

    /// A core does not serve it any more.
    pub(in crate::hub) fn own_hls_close(&mut self, from: CoreIndex, key: &StreamKey, form: Form) {
        let Some(&slot) = self.stream_slots.get(key) else { return };
        let was_watched = self.streams[slot].is_watched();
        let stays = self.config.hls.always_on && self.streams[slot].is_live();
        self.streams[slot].packagings.leave(from, form, stays);
        self.tell_if_watched(slot, was_watched);
        self.drop_if_unused(slot);
    }

    /// Packages a unit of a stream.
    pub(in crate::hub) fn package(&mut self, slot: usize, unit: &Unit) {
        let is_to_begin = self.config.hls.always_on && self.config.hls.enabled;
        let stream = &mut self.streams[slot];
        if stream.packagings.is_empty() {
            if is_to_begin
                && unit.entry_point
                && let Some(form) = self.natural_form(slot)
            {
                // It takes the unit from the feed.
                self.open_packaging(slot, form);
            }
            return;
        }
        for index in 0..stream.packagings.list.len() {
            let events = self.streams[slot].packagings.list[index].take(unit, &self.clock);
            self.tell_hls(slot, index, events, unit.received);
        }
        self.answer_which(slot);
    }

    /// Somebody publishes the stream now.
    pub(in crate::hub) fn announce_packagings(&mut self, slot: usize) {
        let stream = self.streams[slot].uid;
        let cores: Vec<CoreIndex> = {
            let list = &self.streams[slot].packagings.list;
            list.iter().flat_map(|one| one.cores.iter().copied()).collect()
        };
        for core in cores {
            self.tell(core, Control::Live { stream });
        }
    }

    /// Time passes at the owner.
    pub(in crate::hub) fn settle_packagings(&mut self, slot: usize, now: Micros) {
        let was_watched = self.streams[slot].is_watched();
        self.streams[slot].packagings.asking.retain(|(_, until)| *until > now);
        self.tell_if_watched(slot, was_watched);
        for index in 0..self.streams[slot].packagings.list.len() {
            let packaging = &mut self.streams[slot].packagings.list[index];
            let events = packaging.handle_timeout(now, &self.clock);
            self.tell_hls(slot, index, events, now);
        }
    }

    /// Shortens windows while all logs and segments together are over their ceiling, until they are well
    /// below it.
    pub(in crate::hub) fn fit_packagings(&mut self, slot: usize) {
        let budget = self.pool.budget();
        let (used, most) = (budget.used(), budget.bytes_max());
        let hls = &self.config.hls;
        let usual = (hls.window_segments, hls.spare_segments);
        let stream = self.streams[slot].uid;
        for index in 0..self.streams[slot].packagings.list.len() {
            let packaging = &mut self.streams[slot].packagings.list[index];
            let is_short = used > most || (packaging.is_shortened() && used > most / 4);
            let Some(window) = packaging.fit(is_short, usual) else { continue };
            let (form, cores) = (packaging.form, packaging.cores.clone());
            for core in cores {
                self.tell(core, Control::HlsWindow { stream, form, window });
            }
        }
    }

    /// The publisher has left, and may come back.
    pub(in crate::hub) fn finish_packagings(&mut self, slot: usize, now: Micros) {
        for index in 0..self.streams[slot].packagings.list.len() {
            let events = self.streams[slot].packagings.list[index].finish(now, &self.clock);
            self.tell_hls(slot, index, events, now);
        }
    }

    /// The stream is over.
    pub(in crate::hub) fn end_packagings(&mut self, slot: usize, now: Micros) {
        self.finish_packagings(slot, now);
        let (stream, key) = (self.streams[slot].uid, self.streams[slot].key.clone());
        for index in 0..self.streams[slot].packagings.list.len() {
            let packaging = &mut self.streams[slot].packagings.list[index];
            packaging.end();
            let (form, cores) = (packaging.form, packaging.cores.clone());
            for core in cores {
                self.tell(core, Control::HlsEnd { stream, form });
            }
        }
        // Nobody is coming who could tell.
        for (core, _) in std::mem::take(&mut self.streams[slot].packagings.asking) {
            self.tell(core, Control::HlsForm { key: key.clone(), form: None });
        }
        self.streams[slot].packagings.list.retain(|one| !one.cores.is_empty());
    }

    /// Tells those that serve it what is new.
    fn tell_hls(&mut self, slot: usize, index: usize, events: Events, now: Micros) {
        if events.is_empty() {
            return;
        }
        let stream = self.streams[slot].uid;
        let events: Arc<[Event]> = events.into_vec().into();
        let packaging = &self.streams[slot].packagings.list[index];
        let (form, cores) = (packaging.form, packaging.cores.clone());
        for core in cores {
            if core == self.core {
                self.shelve(stream, form, &events, now);
            } else {
                let events = Arc::clone(&events);
                self.mesh.send_control(core, Control::HlsEvents { stream, form, events });
            }
        }
    }

    /// The index of a form's packaging, which is begun if there is none.
    fn open_packaging(&mut self, slot: usize, form: Form) -> usize {
        let found = self.streams[slot].packagings.list.iter().position(|one| one.form == form);
        found.unwrap_or_else(|| {
            let parts = self.packaging_parts(slot, form);
            let stream = &mut self.streams[slot];
            let packaging = Packaging::new(form, parts, &stream.feed, &self.clock);
            stream.packagings.list.push(packaging);
            stream.packagings.list.len() - 1
        })
    }

    fn packaging_parts(&self, slot: usize, form: Form) -> PackagingParts {
        let stream = &self.streams[slot];
        let (packager, presentation) = self.make_packager(&stream.key, form);
        let budget = Arc::clone(self.pool.budget());
        let (bridging, policy) = (self.bridging(&stream.key), Arc::clone(&stream.policy));
        let takes_units = form == Form::Fmp4 || self.encrypts_samples();
        let bridge = takes_units
            .then(|| Bridge::new(bridging, policy, Arc::clone(&budget), stream.feed.latest()));
        let key = self.hls_key.filter(|_| !self.encrypts_samples());
        PackagingParts { packager, presentation, bridge, budget, key }
    }

    fn make_packager(&self, key: &StreamKey, form: Form) -> (Packager, Presentation) {
        let (hls, ts) = (&self.config.hls, &self.config.ts);
        let sample_key = self.hls_key.filter(|_| self.encrypts_samples());
        let sample_key = sample_key.map(|of_all| SampleKey::of_stream(of_all, &key.to_string()));
        let method =
            sample_key.map_or(Method::Aes128, |key| Method::SampleAes { vector: key.vector });
        let settings = PackagerSettings {
            form,
            segment_ms: hls.segment_ms,
            segment_ms_max: hls.segment_ms_max,
            part_ms: hls.part_ms,
            segment_bytes_max: hls.segment_bytes_max,
            service_name: key.name.to_string(),
            pcr_interval_ms: ts.pcr_interval_ms,
            tables_interval_ms: ts.tables_interval_ms,
            sample_key,
            ..PackagerSettings::default()
        };
        let presentation = PresentationSettings {
            form,
            segment_ms: hls.segment_ms,
            part_ms: hls.part_ms,
            window: hls.window_segments,
            spare: hls.spare_segments,
            key: self.hls_key.map(|_| KeyTag { method, uri: key_uri(&hls.key_uri) }),
        };
        // Numbers follow the clock, so that they do not go back when a stream is packaged again, or the
        // server is started again.
        let unix_ms = self.clock.unix_us(self.clock.now()) / 1_000;
        let packager = Packager::new(settings, unix_ms / u64::from(hls.segment_ms));
        (packager, Presentation::new(Arc::new(presentation)))
    }

    /// Frames are encrypted, so that what is packaged must be frames.
    fn encrypts_samples(&self) -> bool {
        self.hls_key.is_some() && self.config.hls.encryption == HlsEncryption::SampleAes
    }

    fn natural_form(&self, slot: usize) -> Option<Form> {
        natural_form(self.config.hls.form, &self.streams[slot].feed)
    }

    /// Answers those who have asked which form suits, if that is known now or never will be.
    fn answer_which(&mut self, slot: usize) {
        let stream = &self.streams[slot];
        if stream.packagings.asking.is_empty() {
            return;
        }
        let form = self.natural_form(slot).filter(|_| stream.is_live());
        let is_hopeless = !stream.is_live() && !is_relay(&stream.key);
        if form.is_none() && !is_hopeless {
            return;
        }
        let key = stream.key.clone();
        for (core, _) in std::mem::take(&mut self.streams[slot].packagings.asking) {
            self.tell(core, Control::HlsForm { key: key.clone(), form });
        }
    }

    /// Lets a relay's group be opened.
    fn want_relay(&mut self, slot: usize) {
        let stream = &self.streams[slot];
        if is_relay(&stream.key) && !stream.is_live() {
            let wanted = Notice::Wanted(stream.key.clone());
            self.notices.push((ConnectionId::channels(self.core), wanted));
        }
    }
}

/// Where players get the key: where the operator says, or from us.
fn key_uri(configured: &str) -> String {
    if configured.is_empty() { "key0".to_owned() } else { configured.to_owned() }
}
