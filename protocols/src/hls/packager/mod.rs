//! A stream into segments and parts.
//!
//! What is made of a stream depends on what it natively is, and on the form that is wanted:
//!
//! | the stream is | MPEG-TS | fragmented MP4 |
//! |---|---|---|
//! | access units | muxed once (`units`) | muxed once, payloads are not copied (`fmp4`) |
//! | a transport stream | its own packets, whole (`transport`) | demux it first |
//!
//! Subtitles of a transport stream are read beside, in both forms (`subtitles`).
//!
//! Cuts
//! - The *main track* is the first video track, or the first sound of a stream without pictures. A
//!   segment begins at one of its entry points, as soon as the segment before is `segment_ms` long;
//!   its duration is the distance of the decoding times of its first picture and the next one's.
//! - A part ends in front of the frame that would make it longer than `part_ms`. A frame's duration
//!   is known when the next one comes, so a part is told of then.
//! - Nothing is before the first entry point. A segment without another one within `segment_ms_max`
//!   is cut anywhere; one above `segment_bytes_max` is ended, and what follows is left out up to the
//!   next entry point.
//! - The first segment fixes the target duration
//!   ([`target_duration_s`](super::segment::target_duration_s)), and no later one is longer than that
//!   allows: a stream with longer groups of pictures behind its first ones is cut anywhere.
//! - A gap of the timeline that no segment can hold, another source and other codecs make a
//!   discontinuity. A shorter gap belongs to the segment's duration, not to that of its part, which
//!   is never longer than `part_ms`.
//!
//! Invariants
//! - A presentation is the sum of the events, in order. Every part of a segment is told of before
//!   the segment.
//! - Media sequence numbers go on without a gap, and segments of one number begin and end together in
//!   all renditions. A segment of a rendition that had nothing to play has no parts.
//! - Nothing is cut at a time of the wall clock: the same units make the same segments.

mod blocks;
mod cues;
mod cut;
mod describe;
mod fmp4;
mod lead;
mod settings;
mod shelf;
mod subtitles;
mod tracks;
mod transport;
mod units;
mod wall;

use bytes::Bytes;
use corelay_codecs::container::mpegts::psi::Program;
use corelay_codecs::{AccessUnit, CodecId, TrackId, TsBlock};

use super::segment::{Event, Form};
use fmp4::Fmp4Packer;
pub use settings::{Settings, Stats};
use shelf::Shelf;
use transport::TransportPacker;
use units::UnitPacker;

/// Cuts one stream into the segments of one form.
///
/// Give it every unit ([`push_unit`](Self::push_unit)) or every block
/// ([`push_packets`](Self::push_packets)) in order, and take the events after each call.
#[derive(Debug)]
pub struct Packager {
    settings: Settings,
    shelf: Shelf,
    packer: Option<Packer>,
}

/// How the stream that is there is packed.
#[derive(Debug)]
enum Packer {
    Units(Box<UnitPacker>),
    Fmp4(Box<Fmp4Packer>),
    Transport(Box<TransportPacker>),
}

impl Packager {
    /// A packager that has made nothing. Its first segment has the media sequence number `first_msn`,
    /// and is no discontinuity unless [`discontinuity`](Self::discontinuity) is called before.
    pub fn new(settings: Settings, first_msn: u64) -> Self {
        let shelf = Shelf::new(&settings, first_msn);
        Self { settings, shelf, packer: None }
    }

    /// Takes an access unit on the stream's timeline. At an `entry_point` viewers may start: a
    /// random-access picture of the first video track, or any frame of a stream of sound alone.
    /// `received_us` is the time of day, in microseconds since 1970.
    ///
    /// Configuration records have to come before their frames. Decoding times of a track that do not
    /// increase are moved by a tick.
    ///
    /// Cost: MPEG-TS copies the payload once, fragmented MP4 only sound.
    pub fn push_unit(&mut self, unit: &AccessUnit, entry_point: bool, received_us: u64) {
        self.choose(false);
        let shelf = &mut self.shelf;
        match &mut self.packer {
            Some(Packer::Units(packer)) => packer.push(unit, entry_point, received_us, shelf),
            Some(Packer::Fmp4(packer)) => packer.push(unit, entry_point, received_us, shelf),
            Some(Packer::Transport(_)) | None => {}
        }
    }

    /// Takes packets of a transport stream, for [`Form::Ts`] without a
    /// [`sample_key`](Settings::sample_key); they are ignored otherwise. A block with an `entry_point`
    /// begins with the packet at which viewers may start, and `tables` are the PAT and PMT packets that
    /// are put in front of it.
    pub fn push_packets(
        &mut self,
        block: &TsBlock,
        tables: &Bytes,
        entry_point: bool,
        received_us: u64,
    ) {
        if self.settings.form != Form::Ts || self.settings.sample_key.is_some() {
            return;
        }
        self.choose(true);
        if let Some(Packer::Transport(packer)) = &mut self.packer {
            packer.push(block, tables, entry_point, received_us, &mut self.shelf);
        }
    }

    /// Takes the packets of a transport stream whose units are pushed, for what is not in these: subtitles.
    /// `program` is the one that the units are of, and `place` puts its times, of 33 bits, onto their
    /// timeline. For [`Form::Fmp4`] only, whose segments have that timeline; another form ignores them.
    pub fn push_beside(
        &mut self,
        block: &TsBlock,
        program: &Program,
        place: impl Fn(u64) -> Option<i64>,
    ) {
        if self.settings.form == Form::Fmp4 {
            self.shelf.read_subtitles(Form::Fmp4, block, program, place);
        }
    }

    /// Another source or publisher follows: ends the open segment, forgets the tracks, and marks the
    /// next segment as a discontinuity.
    pub fn discontinuity(&mut self) {
        self.finish();
    }

    /// The publisher is gone: ends the open segment. What is pushed after this is a discontinuity.
    pub fn finish(&mut self) {
        match &mut self.packer {
            Some(Packer::Units(packer)) => packer.finish(&mut self.shelf),
            Some(Packer::Fmp4(packer)) => packer.finish(&self.settings, &mut self.shelf),
            Some(Packer::Transport(packer)) => packer.finish(&mut self.shelf),
            None => {}
        }
        self.shelf.break_off();
        self.shelf.forget_subtitles();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shelf.poll_event()
    }

    /// Bytes of what is in no event yet.
    pub fn held_bytes(&self) -> usize {
        match &self.packer {
            Some(Packer::Units(packer)) => packer.held_bytes(),
            Some(Packer::Fmp4(packer)) => packer.held_bytes(),
            Some(Packer::Transport(packer)) => packer.held_bytes(),
            None => 0,
        }
    }

    /// Media sequence number of the open segment, or of the next one.
    pub fn msn(&self) -> u64 {
        self.shelf.msn()
    }

    /// Tracks that the form cannot carry, and those of which nothing is known yet.
    pub fn left_out(&self) -> Vec<(TrackId, CodecId)> {
        match &self.packer {
            Some(Packer::Units(packer)) => packer.left_out(),
            Some(Packer::Fmp4(packer)) => packer.left_out(),
            Some(Packer::Transport(_)) | None => Vec::new(),
        }
    }

    /// What was made so far.
    pub fn stats(&self) -> Stats {
        self.shelf.stats
    }

    /// Makes the packer of a stream that is packets, or access units. A stream that was the other one
    /// before has ended.
    fn choose(&mut self, is_transport: bool) {
        let was_transport =
            self.packer.as_ref().map(|packer| matches!(packer, Packer::Transport(_)));
        if was_transport == Some(is_transport) {
            return;
        }
        if was_transport.is_some() {
            self.finish();
        }
        let (settings, first) = (&self.settings, self.shelf.first_duration());
        self.packer = Some(match (is_transport, settings.form) {
            (true, _) => Packer::Transport(Box::new(TransportPacker::new(settings, first))),
            (false, Form::Ts) => Packer::Units(Box::new(UnitPacker::new(settings, first))),
            (false, Form::Fmp4) => Packer::Fmp4(Box::new(Fmp4Packer::new(settings, first))),
        });
    }
}
