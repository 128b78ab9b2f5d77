//! Access units into segments of fragmented MP4: a part is a fragment.
//!
//! The main rendition has the pictures and the first sound; every further sound has a rendition of
//! its own. Further pictures, and codecs that players do not take in this container, are left out.
//!
//! - The initialisation segment must name all tracks, so that the first segment waits until every
//!   track that was announced has sent a frame, and for sound or pictures to come at all, but at most
//!   for a second of the stream's time. What comes later begins, at the next entry point, another
//!   initialisation segment behind a discontinuity, and so does another configuration.
//! - A frame that needs a configuration that is not in force yet is left out.
//! - With a key, samples are encrypted, and tracks that cannot be are left out.
//! - Timed metadata stand in front of the next fragment (`emsg`).

mod gather;
mod lane;
mod sound;

use bytes::Bytes;
use corelay_codecs::container::fmp4::{self, event};
use corelay_codecs::{AccessUnit, Chunk, CodecId, TrackId, TrackKind, UnitKind, id3};

use self::gather::Gather;
use self::lane::Lane;
use self::sound::Place;
use super::cut::Cut;
use super::describe;
use super::lead::Lead;
use super::settings::Settings;
use super::shelf::Shelf;
use super::tracks::{Learned, Track, Tracks};
use crate::hls::encrypt::{FragmentCipher, SampleKey};
use crate::hls::segment::{Form, Rendition};

/// Packs the units of one stream.
#[derive(Debug)]
pub(super) struct Fmp4Packer {
    lead: Lead,
    tracks: Tracks,
    /// The first frames, while the tracks are not known; `None` afterwards.
    gather: Option<Gather>,
    lanes: Vec<Lane>,
    /// sequence_number of each rendition's last fragment.
    sequences: Vec<(Rendition, u32)>,
    /// The tracks are others than those of the lanes.
    must_configure: bool,
    /// Event messages for the next fragment of the main rendition.
    messages: Vec<u8>,
    message_id: u32,
    has_messages: bool,
    key: Option<SampleKey>,
    bytes_max: usize,
}

impl Fmp4Packer {
    pub(super) fn new(settings: &Settings, first_duration: Option<i64>) -> Self {
        Self {
            lead: Lead::new(settings, first_duration),
            tracks: Tracks::default(),
            gather: Some(Gather::new(settings)),
            lanes: Vec::new(),
            sequences: Vec::new(),
            must_configure: false,
            messages: Vec::new(),
            message_id: 0,
            has_messages: settings.timed_metadata,
            key: settings.sample_key,
            bytes_max: settings.segment_bytes_max,
        }
    }

    pub(super) fn push(
        &mut self,
        unit: &AccessUnit,
        is_entry: bool,
        received_us: u64,
        shelf: &mut Shelf,
    ) {
        if unit.track.kind == TrackKind::Data {
            return self.message(unit);
        }
        if self.tracks.learn(unit) != Learned::Nothing {
            self.tracks_changed();
        }
        if !matches!(unit.kind, UnitKind::Frame { .. }) {
            return;
        }
        let Some(gather) = &mut self.gather else {
            return self.frame(unit, is_entry, received_us, shelf);
        };
        shelf.stats.frames_left_out += gather.push(unit, is_entry, received_us);
        if gather.is_complete(&self.tracks) {
            self.begin_gathered(shelf);
        }
    }

    /// Ends the open segment and forgets the tracks.
    pub(super) fn finish(&mut self, settings: &Settings, shelf: &mut Shelf) {
        self.begin_gathered(shelf);
        self.close(self.lead.end(), shelf);
        self.tracks.forget();
        self.lanes.clear();
        self.messages.clear();
        self.must_configure = false;
        self.gather = Some(Gather::new(settings));
        self.lead.forget();
    }

    pub(super) fn held_bytes(&self) -> usize {
        let gathered = self.gather.as_ref().map_or(0, Gather::bytes);
        gathered + self.lane_bytes() + self.messages.len()
    }

    pub(super) fn left_out(&self) -> Vec<(TrackId, CodecId)> {
        let is_carried = |track: &&Track| self.lanes.iter().any(|lane| lane.id == track.id);
        let left_out = self.tracks.iter().filter(|track| !is_carried(track));
        left_out.map(|track| (track.id, track.codec)).collect()
    }

    fn lane_bytes(&self) -> usize {
        self.lanes.iter().map(Lane::bytes).sum()
    }

    fn message(&mut self, unit: &AccessUnit) {
        let is_wanted = self.has_messages && self.lead.is_open() && unit.kind == UnitKind::Data;
        if !is_wanted || self.messages.len() > MESSAGE_BYTES_MAX {
            return;
        }
        let Some(tag) = id3::from_amf(&unit.payload) else { return };
        self.messages.extend(fmp4::event_message(&fmp4::Event {
            scheme: event::SCHEME_ID3,
            value: "",
            at: unit.dts,
            duration: event::DURATION_UNKNOWN,
            id: self.message_id,
            data: &tag,
        }));
        self.message_id = self.message_id.wrapping_add(1);
    }

    fn tracks_changed(&mut self) {
        for lane in &mut self.lanes {
            if let Some(track) = self.tracks.get(lane.id) {
                lane.refresh(track);
            }
        }
        let is_new = |track: &Track| self.lanes.iter().all(|lane| lane.id != track.id);
        let is_changed = self.lanes.iter().any(Lane::is_stale);
        self.must_configure = is_changed || self.carried().any(is_new);
    }

    /// The tracks that can be carried now: the first one with pictures, and sound. One whose frames
    /// have not come yet is carried only when it was before.
    fn carried(&self) -> impl Iterator<Item = &Track> {
        let is_there = |track: &&Track| {
            let was_there = self.lanes.iter().any(|lane| lane.id == track.id);
            (was_there || !track.frame.is_empty())
                && init_of(&[(1, track)], self.key.as_ref()).is_some()
        };
        let all = || self.tracks.iter().filter(is_there);
        let is_picture = |track: &&Track| track.id.kind == TrackKind::Video;
        all().filter(is_picture).take(1).chain(all().filter(move |track| !is_picture(track)))
    }

    fn begin_gathered(&mut self, shelf: &mut Shelf) {
        let Some(gather) = self.gather.take() else { return };
        self.must_configure = true;
        for gathered in gather.into_frames() {
            self.frame(&gathered.unit, gathered.is_entry, gathered.received_us, shelf);
        }
    }

    fn frame(&mut self, unit: &AccessUnit, is_entry: bool, received_us: u64, shelf: &mut Shelf) {
        let is_entry = is_entry || self.is_led_by_sound() && unit.track.kind == TrackKind::Audio;
        if self.must_configure && self.lead.may_begin(unit.track, is_entry) {
            self.close(self.lead.end_before(unit.dts.0), shelf);
            self.configure(shelf);
        }
        let lane = self.lanes.iter_mut().find(|lane| lane.id == unit.track && !lane.is_stale());
        let Some(lane) = lane else {
            shelf.stats.frames_left_out += 1;
            return;
        };
        let place = lane.place(unit);
        match self.lead.frame(unit.track, place.time, is_entry) {
            Cut::LeftOut => shelf.stats.frames_left_out += 1,
            Cut::Begin => {
                self.lanes.iter_mut().for_each(Lane::reset);
                shelf.ahead = unit.pts_offset.into();
                shelf.begin(MAIN, self.lead.last(), received_us, true);
                self.write(unit, shelf);
            }
            Cut::None => self.write_at(unit, place, shelf),
            Cut::Part => {
                self.end_part(is_entry, shelf);
                self.write_at(unit, place, shelf);
            }
            Cut::Segment { is_forced } => {
                shelf.stats.forced_cuts += u64::from(is_forced);
                self.end_part(!is_forced, shelf);
                shelf.end_segment(self.lead.last());
                shelf.ahead = unit.pts_offset.into();
                shelf.begin(MAIN, self.lead.last(), received_us, !is_forced);
                self.write_at(unit, place, shelf);
            }
            Cut::Gap(end) => {
                shelf.stats.gaps += 1;
                self.close(end, shelf);
                shelf.break_off();
                // No segment is open now, so that this comes here once.
                self.frame(unit, is_entry, received_us, shelf);
            }
        }
    }

    /// The stream's pictures, whose entry points we are told, are not carried.
    fn is_led_by_sound(&self) -> bool {
        let is_picture = |lane: &Lane| lane.id.kind == TrackKind::Video;
        !self.lanes.is_empty() && !self.lanes.iter().any(is_picture)
    }

    /// Makes lanes and initialisation segments for the tracks as they are now.
    fn configure(&mut self, shelf: &mut Shelf) {
        self.must_configure = false;
        let tracks: Vec<Track> = self.carried().cloned().collect();
        if !self.lanes.is_empty() {
            shelf.break_off();
        }
        self.lanes.clear();
        self.messages.clear();
        let sounds = tracks.iter().filter(|track| track.id.kind == TrackKind::Audio);
        let further: Vec<TrackId> = sounds.skip(1).map(|track| track.id).collect();
        let (alone, main): (Vec<_>, Vec<_>) =
            tracks.iter().partition(|track| further.contains(&track.id));
        let mut renditions = vec![(MAIN, main)];
        renditions.extend(alone.into_iter().map(|track| {
            // The first sound is in the main rendition, so that this one's index is not 0.
            (Rendition::audio(Form::Fmp4, track.id.index), vec![track])
        }));
        let kept: Vec<_> = renditions.iter().map(|(rendition, _)| *rendition).collect();
        shelf.retain(&kept);
        shelf.next_inits();
        self.sequences.retain(|(rendition, _)| kept.contains(rendition));
        for (rendition, tracks) in renditions {
            let numbered: Vec<_> = (1..).zip(tracks).collect();
            let key = self.key.as_ref();
            let Some(init) = init_of(&numbered, key) else { continue };
            let lane = |(id, track): &(u32, &Track)| Lane::new(track, rendition, *id, key);
            self.lanes.extend(numbered.iter().map(lane));
            let tracks = numbered.into_iter().map(|(_, track)| track);
            shelf.describe(rendition, describe::of_tracks(tracks));
            shelf.init(rendition, init);
            if self.sequences.iter().all(|(known, _)| *known != rendition) {
                self.sequences.push((rendition, 0));
            }
        }
    }

    fn write(&mut self, unit: &AccessUnit, shelf: &mut Shelf) {
        let lane = self.lanes.iter_mut().find(|lane| lane.id == unit.track);
        if let Some(place) = lane.map(|lane| lane.place(unit)) {
            self.write_at(unit, place, shelf);
        }
    }

    fn write_at(&mut self, unit: &AccessUnit, place: Place, shelf: &mut Shelf) {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.id == unit.track) {
            shelf.stats.frames_left_out += u64::from(!lane.push(unit, place));
        }
        let bytes = shelf.open_bytes() + self.lane_bytes() + self.messages.len();
        if bytes > self.bytes_max {
            shelf.stats.oversized += 1;
            self.close(self.lead.end(), shelf);
            shelf.break_off();
        }
    }

    /// Ends the open segment; nothing when none is open.
    fn close(&mut self, end: i64, shelf: &mut Shelf) {
        if !self.lead.is_open() {
            return;
        }
        for lane in &mut self.lanes {
            match self.lead.is_main(lane.id) {
                true => lane.end_sample(end),
                false => lane.close(),
            }
        }
        self.end_part_at(end, false, shelf);
        shelf.end_segment(end);
        self.lead.close(end);
    }

    /// Ends the open part in front of the newest frame of the main track.
    fn end_part(&mut self, is_next_independent: bool, shelf: &mut Shelf) {
        let end = self.lead.last();
        for lane in self.lanes.iter_mut().filter(|lane| self.lead.is_main(lane.id)) {
            lane.end_sample(end);
        }
        self.end_part_at(end, is_next_independent, shelf);
    }

    fn end_part_at(&mut self, end: i64, is_next_independent: bool, shelf: &mut Shelf) {
        let mut chunks = Vec::with_capacity(self.sequences.len());
        for (rendition, sequence) in &mut self.sequences {
            let lanes = self.lanes.iter_mut().filter(|lane| lane.rendition == *rendition);
            let samples: Vec<_> = lanes.map(|lane| (lane.track_id, lane.take())).collect();
            let runs: Vec<_> = samples.iter().map(|(id, samples)| (*id, &samples[..])).collect();
            *sequence = sequence.wrapping_add(1);
            // Samples that are larger together than a fragment can be are left out.
            let Ok(fragment) = fmp4::fragment(*sequence, &runs) else {
                shelf.stats.frames_left_out +=
                    runs.iter().map(|run| run.1.len() as u64).sum::<u64>();
                continue;
            };
            let mut chunk = Chunk::default();
            if *rendition == MAIN && !fragment.is_empty() {
                chunk.push(Bytes::from(std::mem::take(&mut self.messages)));
            }
            chunk.extend(fragment.slices().iter().cloned());
            chunks.push((*rendition, chunk));
        }
        shelf.end_part(end, is_next_independent, chunks);
    }
}

/// The initialisation segment of these tracks, by track_ID; `None` when they cannot have one.
fn init_of(tracks: &[(u32, &Track)], key: Option<&SampleKey>) -> Option<Bytes> {
    let is_possible = |(_, track): &(u32, &Track)| match key {
        Some(key) => FragmentCipher::new(key, track.codec, &track.config).is_some(),
        None => true,
    };
    if !tracks.iter().all(is_possible) {
        return None;
    }
    let track = |(id, track): &(u32, &Track)| fmp4::Track {
        id: *id,
        codec: track.codec,
        info: track.info.clone(),
        config: track.config.clone(),
        first_frame: track.frame.clone(),
        language: String::new(),
        protection: key.map(FragmentCipher::protection),
    };
    fmp4::init_segment(&tracks.iter().map(track).collect::<Vec<_>>()).ok()
}

const MAIN: Rendition = Rendition::main(Form::Fmp4);
/// Event messages that may wait for one fragment.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
