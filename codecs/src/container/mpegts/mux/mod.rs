//! Access units into transport-stream packets: one program, muxed once for all its viewers.
//!
//! Specifications: ISO/IEC 13818-1; ETSI EN 300 468 (SDT); how each codec travels is said in
//! `carriage`.
//!
//! What a viewer sees that starts
//! - at a picture at which decoding may start: PAT, PMT and (once a second) SDT stand right in
//!   front of it, a PCR in its first packet, parameter sets in front of the picture. The continuity
//!   counters begin anywhere, as they do for a receiver that tunes in;
//! - anywhere else (a stream of sound, or the live edge): [`Muxer::write_prologue`] repeats PAT, PMT
//!   and SDT as they were written last, so that their counters go on without a gap.
//!
//! Times
//! - The PCR is `lead_ms` behind the decoding times, so that no unit comes after its time; a track
//!   that is further behind than that makes the lead grow, once, with a discontinuity_indicator.
//! - PCRs and tables that are due in a gap between units are written in front of the later unit.
//!
//! Invariants
//! - Whatever a call writes is whole packets.
//! - The bytes depend on nothing but the settings and the units.
//! - No PCR is ahead of the DTS of a unit that follows it; PCRs are at most `pcr_interval_ms` apart,
//!   PAT and PMT at most `tables_interval_ms`, in the time that the PCR tells.
//! - PIDs, counters and versions go on over [`restart`](Muxer::restart).

mod carriage;
mod clock;
mod frame;
mod line;
mod nal;
mod pes;
mod sample_aes;
mod settings;
mod tables;
mod track;

use crate::access_unit::{AccessUnit, Timestamp, TrackId, TrackKind, UnitKind};
use crate::codec::CodecId;
use crate::container::mpegts::packet::Pid;
use crate::sink::ByteSink;
use line::{Line, PesPacket};
use tables::Description;
use track::{Bundle, Coding, Track};

pub use carriage::NotCarried;
pub use settings::{Settings, Signalling};

/// Writes the units of one stream as one program.
///
/// [`write`](Self::write) every unit in its order; [`flush`](Self::flush) at the end.
#[derive(Debug)]
pub struct Muxer {
    tracks: Vec<Track>,
    line: Line,
    /// Sound that waits for its packet, in ticks.
    bundle_ticks: i64,
    /// A picture's bytes where they have to be changed; kept for its memory.
    scratch: Vec<u8>,
}

/// What a call of [`Muxer::write`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Packets that were appended: tables and waiting sound included. 0 for a unit that waits, or
    /// leaves no bytes of its own.
    pub packets: u32,
    /// Why the unit is not among them and never will be.
    pub refused: Option<NotCarried>,
}

/// A track as the multiplex sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackState {
    /// The track.
    pub id: TrackId,
    /// Its codec.
    pub codec: CodecId,
    /// PID and stream_type, or why it is not carried.
    pub carriage: Result<(Pid, u8), NotCarried>,
}

/// Counts since the muxer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets written.
    pub packets: u64,
    /// Of these, packets with PAT, PMT or SDT.
    pub table_packets: u64,
    /// Of these, packets with nothing but a PCR.
    pub pcr_packets: u64,
    /// Units and bundles left out because they came too late, or too early.
    pub untimely: u64,
    /// Frames left out for any other reason.
    pub refused: u64,
    /// Jumps of the time base: gaps, late tracks, times that go back.
    pub discontinuities: u64,
    /// How far the PCR is behind the decoding times now, in ms.
    pub lead_ms: u32,
}

impl Muxer {
    /// A muxer that has written nothing. `settings` must have passed [`Settings::check`]; what is
    /// wrong with them makes wrong packets, and nothing worse.
    pub fn new(settings: Settings) -> Self {
        Self {
            tracks: Vec::new(),
            bundle_ticks: settings::ticks(settings.audio_bundle_ms),
            line: Line::new(settings),
            scratch: Vec::new(),
        }
    }

    /// Appends the packets of one unit, and what became due with it.
    ///
    /// Cost: one pass over the payload; no allocation once buffers have grown to the stream's units
    /// and the tracks do not change.
    pub fn write(&mut self, unit: &AccessUnit, out: &mut impl ByteSink) -> Written {
        let before = self.line.stats.packets;
        let refused = self.take(unit, out).err();
        match refused {
            Some(NotCarried::TooLate | NotCarried::TooEarly) => self.line.stats.untimely += 1,
            Some(_) if matches!(unit.kind, UnitKind::Frame { .. }) => {
                self.line.stats.refused += 1;
            }
            _ => {}
        }
        // A unit is at most 4 GiB, and its packets far below 2^32.
        Written { packets: (self.line.stats.packets - before) as u32, refused }
    }

    /// Appends the packets of an ID3 tag that is shown at `pts`: timed metadata of HLS, for which
    /// [`Settings::timed_metadata`] must be set. It is written where it comes and does not move the
    /// clock: a tag that is late is shown at once, one that is early at most `gap_max_ms` after the
    /// other units.
    ///
    /// A tag is refused before the first tables, when it is none, and when it does not fit a PES
    /// packet of 65,527 bytes.
    pub fn write_metadata(
        &mut self,
        id3: &[u8],
        pts: Timestamp,
        out: &mut impl ByteSink,
    ) -> Written {
        let before = self.line.stats.packets;
        let refused = match id3.starts_with(b"ID3") {
            true => self.line.write_metadata(id3, bounded(pts), out).err(),
            false => Some(NotCarried::Malformed("no ID3 tag")),
        };
        Written { packets: (self.line.stats.packets - before) as u32, refused }
    }

    /// Writes the sound that waits for more; returns the number of packets.
    pub fn flush(&mut self, out: &mut impl ByteSink) -> u32 {
        let before = self.line.stats.packets;
        self.flush_bundles(out, |bundle| bundle.is_waiting());
        (self.line.stats.packets - before) as u32
    }

    /// Another publisher follows: writes what waits and forgets the tracks.
    pub fn restart(&mut self, out: &mut impl ByteSink) -> u32 {
        let packets = self.flush(out);
        self.tracks.clear();
        self.line.pcr_track = None;
        self.line.must_describe = true;
        packets
    }

    /// Repeats PAT, PMT and SDT for a viewer that starts where they do not stand in front. Writes
    /// nothing when none was written yet: then the next unit brings them.
    pub fn write_prologue(&self, out: &mut impl ByteSink) {
        if self.line.stats.table_packets > 0 {
            self.line.tables.repeat(out);
        }
    }

    /// Every track seen since the start or [`restart`](Self::restart), in the order of the PMT.
    pub fn tracks(&self) -> impl Iterator<Item = TrackState> + '_ {
        self.tracks.iter().map(|track| {
            let pid = self.line.settings.pid(track.id).ok_or(NotCarried::TooManyTracks);
            let carriage = match &track.state {
                Ok(carried) => pid.map(|pid| (pid, carried.carriage.stream_type)),
                Err(reason) => Err(*reason),
            };
            TrackState { id: track.id, codec: track.codec, carriage }
        })
    }

    /// What was written so far.
    pub fn stats(&self) -> Stats {
        let lead_ms = Timestamp(self.line.clock.lead()).as_millis() as u32;
        Stats { lead_ms, ..self.line.stats }
    }

    fn take(&mut self, unit: &AccessUnit, out: &mut impl ByteSink) -> Result<(), NotCarried> {
        match unit.kind {
            _ if unit.track.kind == TrackKind::Data => Err(NotCarried::Data),
            UnitKind::Config => self.take_config(unit, out),
            UnitKind::Frame { random_access } if unit.track.kind == TrackKind::Video => {
                self.take_picture(unit, random_access, out)
            }
            UnitKind::Frame { .. } => self.take_sound(unit, out),
            UnitKind::EndOfSequence => {
                self.flush(out);
                Ok(())
            }
            _ => Err(NotCarried::Data),
        }
    }

    fn take_config(
        &mut self,
        unit: &AccessUnit,
        out: &mut impl ByteSink,
    ) -> Result<(), NotCarried> {
        let index = self.track_index(unit.track)?;
        self.flush_track(index, out);
        let signalling = self.line.settings.signalling;
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        if track.configure(unit, signalling) {
            self.line.must_describe = true;
        }
        track.state.as_ref().map(|_| ()).map_err(|reason| *reason)
    }

    fn take_picture(
        &mut self,
        unit: &AccessUnit,
        random_access: bool,
        out: &mut impl ByteSink,
    ) -> Result<(), NotCarried> {
        let index = self.recognised_index(unit)?;
        let dts = bounded(unit.dts);
        let duration = self.bundle_ticks;
        self.describe_if_changed();
        self.flush_bundles(out, |bundle| bundle.has_waited(dts, duration));
        let Some(track) = self.tracks.get(index) else { return Ok(()) };
        let carried = track.state.as_ref().map_err(|reason| *reason)?;
        self.scratch.clear();
        let pieces = match &carried.coding {
            Coding::Nal(nal) => nal.pieces(&unit.payload, random_access)?,
            Coding::Av1(obus) => {
                frame::write_av1(obus, &unit.payload, random_access, &mut self.scratch)?;
                [self.scratch.as_slice()].into_iter().collect()
            }
            _ => [&unit.payload[..]].into_iter().collect(),
        };
        // A picture is not shown before it is decoded, whatever its publisher says.
        let pts = dts + i64::from(unit.pts_offset.max(0));
        let packet = PesPacket {
            track: index,
            counter: track.counter,
            stream_id: carried.carriage.stream_id,
            is_video: true,
            random_access,
            priority: random_access && unit.codec == CodecId::Av1,
            dts,
            pts,
        };
        self.line.write_pes(packet, &pieces, out)
    }

    fn take_sound(&mut self, unit: &AccessUnit, out: &mut impl ByteSink) -> Result<(), NotCarried> {
        let index = self.recognised_index(unit)?;
        let dts = bounded(unit.dts);
        self.describe_if_changed();
        let duration = self.bundle_duration(index);
        self.flush_bundles(out, |bundle| bundle.has_waited(dts, duration));
        let is_apart = |track: &Track| track.bundle.ends_before(dts, duration);
        // What would not fit one PES packet together does not wait together.
        let is_long = unit.payload.len() > SOUND_BYTES_TOGETHER;
        if self.tracks.get(index).is_some_and(|track| is_long || is_apart(track)) {
            self.flush_track(index, out);
        }
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        let carried = track.state.as_ref().map_err(|reason| *reason)?;
        track.bundle.push(&carried.coding, &unit.payload, dts)?;
        if track.bundle.is_full(duration) {
            return self.write_bundle(index, out);
        }
        Ok(())
    }

    /// How long sound may wait, in ticks. Sound that carries the PCR comes as often as that must.
    fn bundle_duration(&self, index: usize) -> i64 {
        let pcr_interval = settings::ticks(self.line.settings.pcr_interval_ms);
        let is_pcr_track = self.line.pcr_track == Some(index);
        if is_pcr_track { self.bundle_ticks.min(pcr_interval) } else { self.bundle_ticks }
    }

    /// Index of the unit's track, which is made if it is new.
    fn track_index(&mut self, id: TrackId) -> Result<usize, NotCarried> {
        if let Some(index) = self.tracks.iter().position(|track| track.id == id) {
            return Ok(index);
        }
        let pid = self.line.settings.pid(id).ok_or(NotCarried::TooManyTracks)?;
        let counter = self.line.counter_index(pid);
        self.tracks.push(Track::new(id, counter));
        // The PMT lists video first, whichever came first.
        self.tracks.sort_by_key(|track| track.id);
        self.line.must_describe = true;
        self.tracks.iter().position(|track| track.id == id).ok_or(NotCarried::TooManyTracks)
    }

    /// Index of a frame's track. A codec that needs no configuration record is known by its frames.
    fn recognised_index(&mut self, unit: &AccessUnit) -> Result<usize, NotCarried> {
        let index = self.track_index(unit.track)?;
        let signalling = self.line.settings.signalling;
        let Some(track) = self.tracks.get_mut(index) else { return Ok(index) };
        if track.recognise(unit, signalling) {
            self.line.must_describe = true;
        }
        match &track.state {
            Ok(_) => Ok(index),
            Err(reason) => Err(*reason),
        }
    }

    /// Tells the tables of the tracks as they are now.
    fn describe_if_changed(&mut self) {
        if !std::mem::take(&mut self.line.must_describe) {
            return;
        }
        let settings = &self.line.settings;
        let carried = |track: &Track| {
            let carriage = track.state.as_ref().ok()?.carriage.clone();
            Some((settings.pid(track.id)?, track.id.kind, carriage))
        };
        let mut streams: Vec<_> = self.tracks.iter().filter_map(carried).collect();
        // Video comes first, so that the first track carries the PCR.
        let Some(&(pcr_pid, ..)) = streams.first() else { return };
        if settings.timed_metadata {
            streams.push((settings.metadata_pid, TrackKind::Data, carriage::timed_id3()));
        }
        self.line.pcr_track = self.tracks.iter().position(|track| track.state.is_ok());
        self.line.set_pcr_pid(pcr_pid);
        let description = Description { pcr_pid, streams };
        self.line.tables_changed = true;
        self.line.tables.describe(&self.line.settings, description);
    }

    /// Writes the bundles of all tracks that are `due`.
    fn flush_bundles(&mut self, out: &mut impl ByteSink, due: impl Fn(&Bundle) -> bool) {
        for index in 0..self.tracks.len() {
            if self.tracks.get(index).is_some_and(|track| due(&track.bundle)) {
                self.flush_track(index, out);
            }
        }
    }

    fn flush_track(&mut self, index: usize, out: &mut impl ByteSink) {
        if self.tracks.get(index).is_some_and(|track| track.bundle.is_waiting())
            && self.write_bundle(index, out).is_err()
        {
            self.line.stats.untimely += 1;
        }
    }

    fn write_bundle(&mut self, index: usize, out: &mut impl ByteSink) -> Result<(), NotCarried> {
        let Some(track) = self.tracks.get_mut(index) else { return Ok(()) };
        let Ok(carried) = &track.state else {
            track.bundle.bytes.clear();
            return Ok(());
        };
        let dts = track.bundle.first_dts;
        let packet = PesPacket {
            track: index,
            counter: track.counter,
            stream_id: carried.carriage.stream_id,
            is_video: false,
            // Of a stream of sound, every packet; beside pictures they mark where to start.
            random_access: self.line.pcr_track == Some(index),
            priority: false,
            dts,
            pts: dts,
        };
        let written = self.line.write_pes(packet, &[&track.bundle.bytes], out);
        track.bundle.bytes.clear();
        written
    }
}

/// A time with which can be reckoned without an overflow: the stream's timeline is far inside.
fn bounded(time: Timestamp) -> i64 {
    time.0.clamp(-TICKS_MAX, TICKS_MAX)
}

/// Three million years.
const TICKS_MAX: i64 = i64::MAX / 4;
/// A bundle that goes on is at most this long before a frame joins it.
const SOUND_BYTES_TOGETHER: usize = 8 * 1024;

#[cfg(test)]
mod tests;
