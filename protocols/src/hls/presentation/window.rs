//! One media playlist: the segments that it lists, those that have just left it, and the open one.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::playlist::Rendered;
use super::super::segment::{DateRange, Description, Init, Opening, Part, Segment};
use super::range::Ranges;
use super::{Bandwidth, Reload, Settings};

/// The window of one rendition.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Window {
    description: Option<Arc<Description>>,
    /// Those that segments need which can still be fetched, and the newest.
    inits: Vec<Arc<Init>>,
    /// Complete segments in the order of their numbers, which grow but may have gaps before the
    /// first listed one.
    segments: VecDeque<Arc<Segment>>,
    /// Segments at the beginning of `segments` that have left the playlist.
    spare: usize,
    open: Option<Open>,
    ranges: Ranges,
    /// By [`slot`].
    playlists: [Option<Rendered>; 3],
}

/// A segment that is not complete.
#[derive(Clone, Debug)]
pub(in super::super) struct Open {
    /// What is known of it. `started_us` is 0 when that is not.
    pub(in super::super) opening: Opening,
    /// Its parts so far, by their index.
    pub(in super::super) parts: Vec<Arc<Part>>,
}

/// What happens to it.
impl Window {
    pub(super) fn describe(&mut self, description: &Arc<Description>) {
        self.description = Some(description.clone());
    }

    pub(super) fn push_init(&mut self, init: &Arc<Init>) {
        self.inits.retain(|known| known.number != init.number);
        self.inits.push(init.clone());
        self.forget_inits();
    }

    pub(super) fn open(&mut self, opening: Opening) {
        if self.newest_msn().is_none_or(|newest| opening.msn > newest) {
            self.open = Some(Open { opening, parts: Vec::new() });
        }
    }

    pub(super) fn push_part(&mut self, part: &Arc<Part>) {
        if self.newest_msn().is_some_and(|newest| part.msn <= newest) {
            return;
        }
        let index = usize::try_from(part.index).unwrap_or(usize::MAX);
        let open = self.open.as_mut().filter(|open| open.opening.msn == part.msn);
        match open {
            Some(open) if open.parts.len() == index => open.parts.push(part.clone()),
            // What it had was given up.
            Some(open) if index == 0 => open.parts = vec![part.clone()],
            None if index == 0 => {
                let opening = self.assumed_opening(part.msn);
                self.open = Some(Open { opening, parts: vec![part.clone()] });
            }
            Some(_) | None => {}
        }
    }

    pub(super) fn push_segment(
        &mut self,
        segment: &Arc<Segment>,
        settings: &Settings,
        target_s: u32,
    ) {
        if let Some(newest) = self.newest_msn() {
            if segment.msn <= newest {
                return;
            }
            if segment.msn - newest > 1 {
                // The numbers in a playlist follow from the first one: a gap cannot be expressed.
                self.spare = self.segments.len();
            }
        }
        if self.open.as_ref().is_some_and(|open| open.opening.msn <= segment.msn) {
            self.open = None;
        }
        for range in &segment.date_ranges {
            self.ranges.push(segment.msn, range);
        }
        self.segments.push_back(segment.clone());
        self.trim(settings, target_s);
        self.forget_playlists();
    }

    /// Lets the oldest segments go.
    pub(super) fn trim(&mut self, settings: &Settings, target_s: u32) {
        let least_ticks = 3 * i64::from(target_s) * 90_000;
        let target_s = usize::try_from(target_s).unwrap_or(usize::MAX);
        let most = settings.window.saturating_add(target_s.saturating_mul(3 * SHORT_PER_SECOND));
        let mut listed = self.listed().len();
        let mut all_ticks: i64 = self.listed().map(|segment| ticks(segment.duration)).sum();
        while listed > settings.window.max(1) {
            let first = self.listed().next().map_or(0, |segment| ticks(segment.duration));
            if all_ticks - first < least_ticks && listed <= most {
                break;
            }
            listed -= 1;
            all_ticks -= first;
            self.spare += 1;
        }
        while self.spare > settings.spare {
            self.segments.pop_front();
            self.spare -= 1;
        }
        let first = self.listed().next().map(|first| (first.msn, first.started_us));
        if let Some((msn, started_us)) = first {
            self.ranges.forget_before(msn, started_us);
        }
        self.forget_inits();
    }

    /// What is told of a segment that was not opened.
    fn assumed_opening(&self, msn: u64) -> Opening {
        let last = self.segments.back();
        Opening {
            msn,
            started_us: last.map_or(0, |last| end_us(last.started_us, last.duration)),
            is_discontinuity: false,
            discontinuities: last.map_or(0, |last| last.discontinuities),
            init: self.inits.last().map(|init| init.number),
        }
    }

    fn forget_inits(&mut self) {
        let newest = self.inits.last().map(|init| init.number);
        let segments = &self.segments;
        self.inits.retain(|init| {
            let number = Some(init.number);
            number == newest || segments.iter().any(|segment| segment.init == number)
        });
    }

    pub(super) fn forget_playlists(&mut self) {
        self.playlists = [None, None, None];
    }

    pub(super) fn forget_low_latency(&mut self) {
        let [_, rest @ ..] = &mut self.playlists;
        *rest = [None, None];
    }

    pub(super) fn cache(&mut self, low_latency: bool, is_delta: bool, rendered: Rendered) {
        if let Some(place) = self.playlists.get_mut(slot(low_latency, is_delta)) {
            *place = Some(rendered);
        }
    }
}

/// What it is.
impl Window {
    pub(super) fn cached(&self, low_latency: bool, is_delta: bool) -> Option<&Rendered> {
        self.playlists.get(slot(low_latency, is_delta))?.as_ref()
    }

    pub(super) fn description(&self) -> Option<&Arc<Description>> {
        self.description.as_ref()
    }

    pub(super) fn init(&self, number: u32) -> Option<&Arc<Init>> {
        self.inits.iter().find(|init| init.number == number)
    }

    pub(super) fn segment(&self, msn: u64) -> Option<&Arc<Segment>> {
        let index = self.segments.binary_search_by_key(&msn, |segment| segment.msn).ok()?;
        self.segments.get(index)
    }

    pub(super) fn part(&self, msn: u64, index: u32) -> Option<&Arc<Part>> {
        let parts = match self.segment(msn) {
            Some(segment) => &segment.parts,
            None => &self.open.as_ref().filter(|open| open.opening.msn == msn)?.parts,
        };
        parts.get(usize::try_from(index).ok()?)
    }

    pub(super) fn newest_msn(&self) -> Option<u64> {
        self.segments.back().map(|segment| segment.msn)
    }

    /// The oldest segment that can be fetched.
    pub(super) fn oldest_msn(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.msn)
    }

    /// Number of segments that can be fetched.
    pub(super) fn held(&self) -> usize {
        self.segments.len()
    }

    /// The segments that the playlist lists.
    pub(in super::super) fn listed(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator + Clone {
        self.segments.range(self.spare.min(self.segments.len())..).map(|segment| &**segment)
    }

    /// The open segment, when it follows on the last one that is listed.
    pub(in super::super) fn open_segment(&self) -> Option<&Open> {
        let newest = self.newest_msn();
        let follows = |open: &&Open| newest.is_none() || newest == open.opening.msn.checked_sub(1);
        self.open.as_ref().filter(follows)
    }

    /// The part that comes next; `None` when that cannot be said.
    pub(in super::super) fn next_part(&self) -> Option<(u64, u32)> {
        if self.open.is_none() {
            return Some((self.newest_msn()?.checked_add(1)?, 0));
        }
        let open = self.open_segment()?;
        Some((open.opening.msn, u32::try_from(open.parts.len()).ok()?))
    }

    /// The last part in a low-latency playlist: its segment and its index.
    pub(super) fn last_part(&self) -> Option<(u64, Option<usize>)> {
        match self.open_segment().filter(|open| !open.parts.is_empty()) {
            Some(open) => Some((open.opening.msn, open.parts.len().checked_sub(1))),
            None => self.segments.back().map(|last| (last.msn, last.parts.len().checked_sub(1))),
        }
    }

    /// Date ranges that began before the first segment that is listed, or whose segment is skipped.
    pub(in super::super) fn ranges_before(&self, msn: u64) -> impl Iterator<Item = &DateRange> {
        self.ranges.before(msn)
    }

    /// Date ranges that begin in a segment.
    pub(in super::super) fn ranges_of(&self, msn: u64) -> impl Iterator<Item = &DateRange> {
        self.ranges.of(msn)
    }

    /// How many listed segments, from the first one, lie altogether further than `boundary` ticks
    /// from the end of the last one.
    pub(super) fn skippable(&self, boundary: i64) -> usize {
        let mut from_end = 0;
        let kept = self.listed().rev().take_while(|segment| {
            let is_kept = from_end < boundary;
            from_end += ticks(segment.duration);
            is_kept
        });
        self.listed().len() - kept.count()
    }

    /// See [`Reload`].
    pub(super) fn reload(&self, msn: u64, part: Option<u32>, advance_max: u32) -> Reload {
        let Some(newest) = self.newest_msn() else { return Reload::Awaited };
        let parts_of = |segment: &Arc<Segment>| segment.parts.len();
        let parts_max = self.segment(msn).map_or(usize::MAX, parts_of);
        let is_beyond = |part: u32| usize::try_from(part).is_ok_and(|part| part >= parts_max);
        let (msn, part) = match part {
            // A segment turned out to have fewer parts: what comes next is in the next one.
            Some(part) if msn == newest && is_beyond(part) => (msn.saturating_add(1), Some(0)),
            _ => (msn, part),
        };
        let ahead = msn.saturating_sub(newest);
        if ahead > 2 {
            return Reload::TooFar;
        }
        match (ahead, part) {
            (0, _) => Reload::Ready,
            (_, None) => Reload::Awaited,
            (1, Some(part)) => {
                let has = self.open_segment().map_or(0, |open| open.parts.len());
                let has = u32::try_from(has).unwrap_or(u32::MAX);
                match part {
                    part if part < has => Reload::Ready,
                    part if part - has >= advance_max => Reload::TooFar,
                    _ => Reload::Awaited,
                }
            }
            (_, Some(part)) if part >= advance_max => Reload::TooFar,
            (_, Some(_)) => Reload::Awaited,
        }
    }

    pub(super) fn bandwidth(&self, target_s: u32) -> Bandwidth {
        let mut rows: Vec<_> =
            self.segments.iter().map(|one| (one.len(), ticks(one.duration))).collect();
        if rows.is_empty() {
            let parts = self.open.iter().flat_map(|open| &open.parts);
            rows.extend(parts.map(|part| (part.chunk.len(), ticks(part.duration))));
        }
        Bandwidth::measure(&rows, i64::from(target_s) * 90_000)
    }

    pub(super) fn media_bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(|segment| segment.len()).sum();
        let parts = self.open.iter().flat_map(|open| &open.parts);
        let inits: usize = self.inits.iter().map(|init| init.bytes.len()).sum();
        segments + parts.map(|part| part.chunk.len()).sum::<usize>() + inits
    }
}

/// A duration with which can be counted: not negative, and not so long that sums of it overflow.
pub(in super::super) fn ticks(duration: i64) -> i64 {
    duration.clamp(0, i64::from(u32::MAX))
}

/// The time `ticks` of 1/90,000 s after `us`, in microseconds.
pub(super) fn end_us(us: u64, ticks: i64) -> u64 {
    let passed = u64::try_from(ticks).unwrap_or_default();
    us.saturating_add(passed.saturating_mul(100) / 9)
}

/// The place of a playlist in the cache.
const fn slot(low_latency: bool, is_delta: bool) -> usize {
    match (low_latency, is_delta) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// Segments shorter than a quarter of a second are not kept for the sake of three target durations:
/// a source that starts over again and again must not fill the memory.
const SHORT_PER_SECOND: usize = 4;
