//! Access units into segments of MPEG-TS.
//!
//! The multiplex goes on over all segments: its continuity counters, clock and versions know nothing
//! of cuts. Each segment begins with the tables: they stand in front of a random-access picture by
//! themselves, and are repeated where a segment begins with anything else. Data messages become timed
//! metadata. With a key, frames are encrypted before they are muxed.

use corelay_codecs::container::mpegts::mux::{self, Muxer, Signalling};
use corelay_codecs::{AccessUnit, CodecId, TrackId, TrackKind, UnitKind, id3};

use super::blocks::Blocks;
use super::cut::Cut;
use super::describe;
use super::lead::Lead;
use super::settings::Settings;
use super::shelf::Shelf;
use super::tracks::{Learned, Tracks};
use crate::hls::encrypt::TransportCipher;
use crate::hls::segment::{Form, Rendition};

/// Packs the units of one stream.
#[derive(Debug)]
pub(super) struct UnitPacker {
    muxer: Muxer,
    signalling: Signalling,
    cipher: Option<TransportCipher>,
    blocks: Blocks,
    lead: Lead,
    tracks: Tracks,
    /// Those that a transport stream can carry.
    carried: Vec<TrackId>,
    /// The tracks are others than those that were described.
    must_describe: bool,
    /// They are others than those of the open segment.
    must_break: bool,
    /// Time of the first segment of the tracks.
    begun_at: i64,
    /// Time of the first sound that came before the pictures that are announced.
    early_sound_at: Option<i64>,
    bytes_max: usize,
}

impl UnitPacker {
    pub(super) fn new(settings: &Settings, first_duration: Option<i64>) -> Self {
        let signalling = match settings.sample_key {
            Some(_) => Signalling::SampleAes,
            None => Signalling::Atsc,
        };
        let muxer = Muxer::new(mux::Settings {
            service_name: settings.service_name.clone(),
            pcr_interval_ms: settings.pcr_interval_ms,
            tables_interval_ms: settings.tables_interval_ms,
            sdt_interval_ms: settings.tables_interval_ms.max(1_000),
            signalling,
            timed_metadata: settings.timed_metadata,
            ..mux::Settings::default()
        });
        Self {
            muxer,
            signalling,
            cipher: settings.sample_key.as_ref().map(TransportCipher::new),
            blocks: Blocks::default(),
            lead: Lead::new(settings, first_duration),
            tracks: Tracks::default(),
            carried: Vec::new(),
            must_describe: false,
            must_break: false,
            begun_at: 0,
            early_sound_at: None,
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
        let learned = self.tracks.learn(unit);
        self.must_describe |= learned != Learned::Nothing;
        if learned == Learned::Track {
            self.track_changed(unit);
        }
        match unit.kind {
            UnitKind::Frame { .. } if self.carried.contains(&unit.track) => {
                self.encrypted_frame(unit, is_entry, received_us, shelf);
            }
            UnitKind::Frame { .. } => shelf.stats.frames_left_out += 1,
            UnitKind::Config | UnitKind::EndOfSequence => {
                self.muxer.write(unit, &mut self.blocks);
            }
            _ => {}
        }
    }

    /// Ends the open segment and forgets the tracks.
    pub(super) fn finish(&mut self, shelf: &mut Shelf) {
        self.close(self.lead.end(), shelf);
        self.muxer.restart(&mut self.blocks);
        self.blocks.take();
        self.tracks.forget();
        self.carried.clear();
        (self.must_describe, self.must_break) = (false, false);
        self.early_sound_at = None;
        self.lead.forget();
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn left_out(&self) -> Vec<(TrackId, CodecId)> {
        let left_out = self.tracks.iter().filter(|track| !self.carried.contains(&track.id));
        left_out.map(|track| (track.id, track.codec)).collect()
    }

    fn message(&mut self, unit: &AccessUnit) {
        if self.lead.is_open()
            && unit.kind == UnitKind::Data
            && let Some(tag) = id3::from_amf(&unit.payload)
        {
            self.muxer.write_metadata(&tag, unit.dts, &mut self.blocks);
        }
    }

    /// A track is new, or has another configuration.
    fn track_changed(&mut self, unit: &AccessUnit) {
        let was_carried = self.carried.contains(&unit.track);
        self.carried.retain(|id| *id != unit.track);
        let is_carried = is_carried(unit, self.signalling);
        if is_carried {
            self.carried.push(unit.track);
        }
        // What is announced while a stream begins belongs to its first segment.
        let is_young = self.lead.last().saturating_sub(self.begun_at) < YOUNG_TICKS;
        if self.lead.is_open() && (was_carried || is_carried && !is_young) {
            self.must_break = true;
        }
    }

    fn encrypted_frame(
        &mut self,
        unit: &AccessUnit,
        is_entry: bool,
        received_us: u64,
        shelf: &mut Shelf,
    ) {
        let Some(cipher) = &self.cipher else {
            return self.frame(unit, is_entry, received_us, shelf);
        };
        let track = self.tracks.get(unit.track);
        match track.and_then(|track| cipher.encrypt(unit, &track.config)) {
            Some(unit) => self.frame(&unit, is_entry, received_us, shelf),
            None => shelf.stats.frames_left_out += 1,
        }
    }

    fn frame(&mut self, unit: &AccessUnit, is_entry: bool, received_us: u64, shelf: &mut Shelf) {
        if is_sound(unit) && self.awaits_pictures(unit.dts.0) {
            shelf.stats.frames_left_out += 1;
            return;
        }
        let is_entry = is_entry || is_sound(unit) && self.is_led_by_sound();
        if self.must_break && self.lead.may_begin(unit.track, is_entry) {
            self.break_off(self.lead.end_before(unit.dts.0), shelf);
        }
        match self.lead.frame(unit.track, unit.dts.0, is_entry) {
            Cut::LeftOut => shelf.stats.frames_left_out += 1,
            Cut::Begin => self.begin(unit, received_us, shelf),
            Cut::None => self.write(unit, shelf),
            Cut::Part => {
                self.end_part(self.lead.last(), is_entry, shelf);
                self.write(unit, shelf);
            }
            Cut::Segment { is_forced } => {
                shelf.stats.forced_cuts += u64::from(is_forced);
                self.next_segment(unit, !is_forced, received_us, shelf);
            }
            Cut::Gap(end) => {
                shelf.stats.gaps += 1;
                self.break_off(end, shelf);
                // No segment is open now, so that this comes here once.
                self.frame(unit, is_entry, received_us, shelf);
            }
        }
    }

    /// Pictures are announced and none has come: a segment of sound alone would be none that a player of
    /// pictures can use. They are not awaited for long.
    fn awaits_pictures(&mut self, time: i64) -> bool {
        let has_pictures = self.carried.iter().any(|track| track.kind == TrackKind::Video);
        if !has_pictures || !self.lead.is_free() {
            return false;
        }
        let since = *self.early_sound_at.get_or_insert(time);
        time.saturating_sub(since) < YOUNG_TICKS
    }

    /// The stream's pictures, whose entry points we are told, are not carried.
    fn is_led_by_sound(&self) -> bool {
        self.carried.iter().all(|track| track.kind == TrackKind::Audio)
            && self.tracks.iter().any(|track| track.id.kind == TrackKind::Video)
    }

    /// The first segment, or the first one behind a discontinuity.
    fn begin(&mut self, unit: &AccessUnit, received_us: u64, shelf: &mut Shelf) {
        self.begun_at = self.lead.last();
        self.must_break = false;
        self.blocks.take();
        shelf.begin(MAIN, self.lead.last(), received_us, true);
        self.describe(shelf);
        if is_sound(unit) {
            self.muxer.write_prologue(&mut self.blocks);
            return self.write(unit, shelf);
        }
        self.write(unit, shelf);
        // The picture has brought its own tables, perhaps behind a PCR that nobody needs.
        self.blocks.take_to_tables(0);
    }

    fn next_segment(
        &mut self,
        unit: &AccessUnit,
        is_independent: bool,
        received_us: u64,
        shelf: &mut Shelf,
    ) {
        let at = self.lead.last();
        self.muxer.flush(&mut self.blocks);
        let end = self.blocks.len();
        let brings_tables = is_independent && !is_sound(unit);
        if brings_tables {
            // A PCR in front of the tables belongs to what was.
            self.muxer.write(unit, &mut self.blocks);
        }
        let last_part = self.blocks.take_to_tables(end);
        shelf.end_part(at, is_independent, [(MAIN, last_part)]);
        shelf.end_segment(at);
        shelf.begin(MAIN, at, received_us, is_independent);
        self.describe(shelf);
        if !brings_tables {
            self.muxer.write_prologue(&mut self.blocks);
            self.write(unit, shelf);
        }
    }

    fn write(&mut self, unit: &AccessUnit, shelf: &mut Shelf) {
        let written = self.muxer.write(unit, &mut self.blocks);
        shelf.stats.frames_left_out += u64::from(written.refused.is_some());
        if shelf.open_bytes() + self.blocks.len() > self.bytes_max {
            shelf.stats.oversized += 1;
            self.break_off(self.lead.end(), shelf);
        }
    }

    /// What follows does not continue what was written.
    fn break_off(&mut self, end: i64, shelf: &mut Shelf) {
        self.close(end, shelf);
        shelf.break_off();
    }

    fn close(&mut self, end: i64, shelf: &mut Shelf) {
        self.end_part(end, false, shelf);
        shelf.end_segment(end);
        self.lead.close(end);
    }

    fn end_part(&mut self, end: i64, is_next_independent: bool, shelf: &mut Shelf) {
        self.describe(shelf);
        self.muxer.flush(&mut self.blocks);
        let part = self.blocks.take();
        shelf.end_part(end, is_next_independent, [(MAIN, part)]);
    }

    fn describe(&mut self, shelf: &mut Shelf) {
        if std::mem::take(&mut self.must_describe) {
            let carried = self.tracks.iter().filter(|track| self.carried.contains(&track.id));
            shelf.describe(MAIN, describe::of_tracks(carried));
        }
    }
}

fn is_sound(unit: &AccessUnit) -> bool {
    unit.track.kind == TrackKind::Audio
}

/// True when a transport stream can carry the track, as a multiplex says that is given this unit
/// alone: a configuration record, or a frame of a codec without one.
fn is_carried(unit: &AccessUnit, signalling: Signalling) -> bool {
    let mut muxer = Muxer::new(mux::Settings { signalling, ..mux::Settings::default() });
    muxer.write(unit, &mut Vec::new());
    muxer.tracks().any(|track| track.carriage.is_ok())
}

const MAIN: Rendition = Rendition::main(Form::Ts);
/// One second: sound that belongs to pictures comes sooner.
const YOUNG_TICKS: i64 = 90_000;
