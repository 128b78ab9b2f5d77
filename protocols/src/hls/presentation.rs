//! The segments of a stream that can be fetched, and the playlists that name them.
//!
//! A presentation is one stream in one form, with all its renditions. It is the sum of the
//! packager's [`Event`]s, so every core that has applied the same ones serves the same playlists
//! and the same bytes.
//!
//! Invariants
//! - What was said in a playlist stays true in later ones (RFC 8216bis 6.2.1): sequence numbers
//!   only grow, a segment that is listed is not changed, EXT-X-TARGETDURATION and PART-TARGET are
//!   constant. The target duration is fixed by the first segment of the main rendition
//!   ([`target_duration_s`]).
//! - The segments that are listed follow each other without a gap in their sequence numbers.
//! - No segment leaves a playlist that would be shorter than three target durations without it
//!   (RFC 8216 6.2.2).
//! - A playlist is rendered once per state of its window, however many ask for it.

mod range;
mod summary;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::encrypt::Method;
use super::playlist::{self, Rendered};
use super::segment::{Description, Event, Form, Init, Part, Rendition, Segment, target_duration_s};

pub(super) use summary::Row;
pub use summary::{Bandwidth, Summary};
pub(super) use window::{Window, ticks};

/// What a presentation is to be like. Constant for its life, but for [`Presentation::set_window`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The container.
    pub form: Form,
    /// How long segments are to be, in milliseconds, at least 1.
    pub segment_ms: u32,
    /// Longest part in milliseconds, at least 1 (PART-TARGET).
    pub part_ms: u32,
    /// Segments that a playlist lists, at least 1; more when they are shorter than three target
    /// durations together.
    pub window: usize,
    /// Segments that can still be fetched after they have left the playlist. A player that has just
    /// loaded the playlist may want all it saw: as many as `window` (RFC 8216 6.2.2).
    pub spare: usize,
    /// How its segments are encrypted; `None`: they are not.
    pub key: Option<KeyTag>,
}

impl Settings {
    pub(super) fn is_encrypted_by(&self, method: Method) -> bool {
        self.key.as_ref().is_some_and(|key| key.method == method)
    }
}

/// What players are told of the encryption of segments (EXT-X-KEY). Initialisation segments are
/// never encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTag {
    /// With [`Method::Aes128`] there is no low latency: parts are not encrypted.
    pub method: Method,
    /// Where the key is, relative to the media playlist.
    pub uri: String,
}

/// How a media playlist is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ask {
    /// With parts, and all that goes with them. Does not count when whole segments are encrypted.
    pub low_latency: bool,
    /// Without the segments that the player knows (`_HLS_skip`). Counts only with `low_latency`.
    pub skip: bool,
}

/// What a request for a part meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartState {
    /// It is there.
    Ready(Arc<Part>),
    /// It is the one that EXT-X-PRELOAD-HINT names: the answer waits for it.
    Awaited,
    /// It is gone, or was never promised (404).
    Unknown,
}

/// What a request for a playlist that is to contain a segment or part meets (RFC 8216bis 6.2.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The playlist contains it, or something later.
    Ready,
    /// The answer waits for it; with 503 after three target durations.
    Awaited,
    /// It is further ahead than any player that has seen the playlist would ask (400).
    TooFar,
    /// There is no such rendition (404).
    Unknown,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Presentation {
    settings: Arc<Settings>,
    windows: BTreeMap<Rendition, Window>,
    /// `None` until there is a segment of the main rendition.
    target_duration_s: Option<u32>,
    is_ended: bool,
}

impl Presentation {
    /// A presentation of which nothing is known yet.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings, windows: BTreeMap::new(), target_duration_s: None, is_ended: false }
    }

    /// What it is to be like.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes what the packager made. Behind an [`end`](Self::end) the source is back after all;
    /// players that have seen the end do not return by themselves.
    ///
    /// An event that contradicts earlier ones (a sequence number that goes back, a part out of its
    /// order, a rendition of another form) changes nothing.
    pub fn apply(&mut self, event: &Event) {
        let rendition = event.rendition();
        if rendition.form != self.settings.form {
            return;
        }
        if self.is_ended {
            self.set_ended(false);
        }
        if let Event::Segment(_, segment) = event
            && rendition == self.main()
        {
            let of_first = || target_duration_s(self.settings.segment_ms, segment.duration);
            self.target_duration_s.get_or_insert_with(of_first);
        }
        let target_s = self.target_s();
        let window = self.windows.entry(rendition).or_default();
        match event {
            Event::Described(_, description) => window.describe(description),
            Event::Init(_, init) => window.push_init(init),
            Event::Opened(_, opening) => window.open(*opening),
            Event::Part(_, part) => window.push_part(part),
            Event::Segment(_, segment) => window.push_segment(segment, &self.settings, target_s),
        }
        if matches!(event, Event::Segment(..)) && rendition == self.main() {
            self.forget_before_main();
        }
        // Low-latency playlists report on the other renditions.
        self.windows.values_mut().for_each(Window::forget_low_latency);
    }

    /// Nothing follows: playlists say EXT-X-ENDLIST, and players stop asking.
    pub fn end(&mut self) {
        self.set_ended(true);
    }

    /// See [`Self::end`].
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// True when a player that starts now has something to play until the next reload.
    pub fn is_ready(&self, low_latency: bool) -> bool {
        let wanted = if low_latency || self.is_ended { 1 } else { READY_SEGMENTS };
        let held = self.windows.get(&self.main()).map_or(0, Window::held);
        // Players look once which subtitles there are, and those of the first segment come behind it.
        let is_there = |(rendition, window): (&Rendition, &Window)| {
            !rendition.is_subtitles() || window.held() > 0
        };
        let is_settled = held > READY_SEGMENTS || self.is_ended;
        held >= wanted && (is_settled || self.windows.iter().all(is_there))
    }

    /// The renditions that can be played, the main one first. One that has fallen behind the main
    /// one is not among them: its track is gone.
    pub fn renditions(&self) -> impl Iterator<Item = Rendition> + '_ {
        self.alive().map(|(rendition, _)| rendition)
    }

    /// What a rendition carries.
    pub fn description(&self, rendition: Rendition) -> Option<&Arc<Description>> {
        self.windows.get(&rendition)?.description()
    }

    /// An initialisation segment, as long as a segment needs it that can be fetched.
    pub fn init(&self, rendition: Rendition, number: u32) -> Option<&Arc<Init>> {
        self.windows.get(&rendition)?.init(number)
    }

    /// A complete segment.
    pub fn segment(&self, rendition: Rendition, msn: u64) -> Option<&Arc<Segment>> {
        self.windows.get(&rendition)?.segment(msn)
    }

    /// A part of a complete segment or of the open one.
    pub fn part(&self, rendition: Rendition, msn: u64, index: u32) -> PartState {
        let Some(window) = self.windows.get(&rendition) else { return PartState::Unknown };
        match window.part(msn, index) {
            Some(part) => PartState::Ready(part.clone()),
            None if !self.is_ended && window.next_part() == Some((msn, index)) => {
                PartState::Awaited
            }
            None => PartState::Unknown,
        }
    }

    /// What a request for a playlist meets that must contain segment `msn`, or one of its parts.
    pub fn reload(&self, rendition: Rendition, msn: u64, part: Option<u32>) -> Reload {
        match self.windows.get(&rendition) {
            None => Reload::Unknown,
            Some(_) if self.is_ended => Reload::Ready,
            Some(window) => window.reload(msn, part, advance_parts_max(self.settings.part_ms)),
        }
    }

    /// The media playlist of a rendition; `None` as long as it, or the main one, has no segment.
    ///
    /// # Cost
    /// Two reference counts, when nothing has happened since the last time.
    pub fn playlist(&mut self, rendition: Rendition, ask: Ask) -> Option<Rendered> {
        let window = self.windows.get(&rendition)?;
        let target_s = self.target_duration_s.filter(|_| window.listed().len() > 0)?;
        let has_parts = !self.settings.is_encrypted_by(Method::Aes128);
        let low_latency = ask.low_latency && has_parts;
        let skip = match low_latency && ask.skip && !self.is_ended {
            true => window.skippable(playlist::skip_boundary(target_s)),
            false => 0,
        };
        if let Some(rendered) = window.cached(low_latency, skip > 0) {
            return Some(rendered.clone());
        }
        let reports = if low_latency { self.reports(rendition) } else { Vec::new() };
        let media = playlist::Media {
            settings: &self.settings,
            rendition,
            target_s,
            window,
            is_ended: self.is_ended,
            reports: &reports,
        };
        let text = match low_latency {
            true => media.render_low_latency(skip),
            false => media.render(),
        };
        let rendered = Rendered::new(text);
        self.windows.get_mut(&rendition)?.cache(low_latency, skip > 0, rendered.clone());
        Some(rendered)
    }

    /// The newest complete segment of a rendition.
    pub fn newest_msn(&self, rendition: Rendition) -> Option<u64> {
        self.windows.get(&rendition)?.newest_msn()
    }

    /// The measured bit rate of a rendition; zeros as long as there is nothing to measure.
    pub fn bandwidth(&self, rendition: Rendition) -> Bandwidth {
        let window = self.windows.get(&rendition);
        window.map_or_else(Bandwidth::default, |window| window.bandwidth(self.target_s()))
    }

    /// What a multivariant playlist says of this presentation.
    pub fn summary(&self) -> Summary {
        let renditions = self.alive().map(|(rendition, window)| Row {
            rendition,
            description: window.description().cloned().unwrap_or_default(),
            bandwidth: window.bandwidth(self.target_s()),
        });
        Summary { renditions: renditions.collect() }
    }

    /// Bytes of media that it keeps in memory. Presentations fed by the same packager share them.
    ///
    /// # Cost
    /// A look at every part.
    pub fn media_bytes(&self) -> usize {
        self.windows.values().map(Window::media_bytes).sum()
    }

    fn main(&self) -> Rendition {
        Rendition::main(self.settings.form)
    }

    fn target_s(&self) -> u32 {
        let segment_ms = self.settings.segment_ms;
        self.target_duration_s.unwrap_or_else(|| target_duration_s(segment_ms, 0))
    }

    /// Lists `window` segments from now on, and keeps `spare` that have left the list: fewer when memory is
    /// short, the former number when it is not any more. Never less than three target durations are
    /// listed.
    pub fn set_window(&mut self, window: usize, spare: usize) {
        let settings = Arc::make_mut(&mut self.settings);
        (settings.window, settings.spare) = (window, spare);
        let target_s = self.target_s();
        for window in self.windows.values_mut() {
            window.trim(&self.settings, target_s);
            window.forget_playlists();
        }
    }

    fn set_ended(&mut self, is_ended: bool) {
        self.is_ended = is_ended;
        self.windows.values_mut().for_each(Window::forget_playlists);
    }

    /// Of renditions whose track is gone, what the main one does not have any more.
    fn forget_before_main(&mut self) {
        let Some(oldest) = self.windows.get(&self.main()).and_then(Window::oldest_msn) else {
            return;
        };
        self.windows.retain(|_, window| window.newest_msn().is_none_or(|newest| newest >= oldest));
    }

    fn alive(&self) -> impl Iterator<Item = (Rendition, &Window)> {
        let main = self.windows.get(&self.main()).and_then(Window::newest_msn).unwrap_or_default();
        self.windows.iter().filter_map(move |(rendition, window)| {
            let is_alive = window.newest_msn()?.saturating_add(LAG_SEGMENTS_MAX) >= main;
            is_alive.then_some((*rendition, window))
        })
    }

    fn reports(&self, but: Rendition) -> Vec<playlist::Report> {
        let others = self.alive().filter(|(rendition, _)| *rendition != but);
        others
            .filter_map(|(rendition, window)| {
                let (last_msn, last_part) = match rendition.is_subtitles() {
                    true => (window.newest_msn()?, None),
                    false => window.last_part()?,
                };
                Some(playlist::Report { rendition, last_msn, last_part })
            })
            .collect()
    }
}

/// RFC 8216bis 6.2.5.2, Advance Part Limit: three seconds of parts, but at least three parts.
fn advance_parts_max(part_ms: u32) -> u32 {
    3000_u32.div_ceil(part_ms.clamp(1, 1000))
}

/// With one segment a player would reach the end of it before it hears of the next.
const READY_SEGMENTS: usize = 2;

/// Renditions are cut together; events of the same cut arrive one behind the other.
const LAG_SEGMENTS_MAX: u64 = 2;

#[cfg(test)]
mod tests;
