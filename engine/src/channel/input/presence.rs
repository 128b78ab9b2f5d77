//! When the tables and the tracks of one program were last there.
//!
//! The analyser knows more of every PID, but only at the end of its windows; this answers at any moment,
//! for the few PIDs that a program cannot do without.

use corelay_codecs::TrackKind;
use corelay_codecs::container::mpegts::packet::{PACKET_SIZE, Pid, SYNC_BYTE};
use corelay_codecs::container::mpegts::psi::{Program, Tables};

use crate::clock::Micros;

/// See the module.
#[derive(Debug)]
pub(super) struct Presence {
    /// The program that is watched; `None`: the first one of the PAT.
    wanted: Option<u16>,
    /// By PID: its slot; 0: not watched.
    slots: Box<[u8; Pid::COUNT]>,
    /// By slot: when it was last there, in us; `NEVER`.
    seen_us: [u64; SLOTS],
    pmt_pid: Option<Pid>,
    is_complete: bool,
    tracks: Vec<Track>,
    last_scrambled: Option<Micros>,
}

/// A video or audio PID, in the slot of its place behind [`FIRST_TRACK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    pid: Pid,
    is_video: bool,
    /// When the PMT first named it, in us.
    named_us: u64,
}

impl Presence {
    pub(super) fn new(wanted: Option<u16>) -> Self {
        let mut slots = Box::new([0; Pid::COUNT]);
        set_slot(&mut slots, Pid::PAT, PAT);
        Self {
            wanted,
            slots,
            seen_us: [NEVER; SLOTS],
            pmt_pid: None,
            is_complete: false,
            tracks: Vec::with_capacity(TRACKS_MAX),
            last_scrambled: None,
        }
    }

    /// Notes which PIDs are there; gives the number of packets with a wrong sync byte.
    ///
    /// Cost: about a nanosecond per packet.
    pub(super) fn packets(&mut self, packets: &[[u8; PACKET_SIZE]], now: Micros) -> usize {
        let mut wrong = 0;
        for &[sync, b1, b2, b3, ..] in packets {
            wrong += usize::from(sync != SYNC_BYTE);
            let pid = usize::from(b1 & 0x1F) << 8 | usize::from(b2);
            let slot = usize::from(self.slots.get(pid).copied().unwrap_or(0)) % SLOTS;
            if let Some(seen_us) = self.seen_us.get_mut(slot) {
                *seen_us = now.0;
            }
            if b3 & 0xC0 != 0 && slot >= FIRST_TRACK {
                self.last_scrambled = Some(now);
            }
        }
        wrong
    }

    /// The program that is watched; where any is, the first one whose PMT was read.
    pub(super) fn program<'t>(&self, tables: &'t Tables) -> Option<&'t Program> {
        let is_wanted = |number: u16| self.wanted.is_none_or(|wanted| wanted == number);
        tables.programs().find(|program| is_wanted(program.program_number))
    }

    /// The program's PMT was read.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Looks which PIDs the tables name now.
    pub(super) fn refresh(&mut self, tables: &Tables, now: Micros) {
        let Some(pat) = tables.pat() else { return };
        let is_wanted = |number: u16| number != 0 && self.wanted.is_none_or(|one| one == number);
        let entry = pat.entries.iter().find(|entry| is_wanted(entry.program_number));
        let pmt_pid = entry.map(|entry| entry.pid);
        if pmt_pid != self.pmt_pid {
            self.forget_program();
            (self.pmt_pid, self.is_complete) = (pmt_pid, false);
            if let Some(pid) = pmt_pid {
                set_slot(&mut self.slots, pid, PMT);
            }
        }
        if let Some(program) = entry.and_then(|entry| tables.program(entry.program_number)) {
            self.is_complete = true;
            // The PMT was read before its PID had a slot.
            if self.last(PMT).is_none() {
                self.set_seen(PMT, now.0);
            }
            if !self.has_tracks_of(program) {
                self.set_tracks(program, now);
            }
        }
    }

    /// The last packet with a PAT.
    pub(super) fn last_pat(&self) -> Option<Micros> {
        self.last(PAT)
    }

    /// The last packet with the program's PMT.
    pub(super) fn last_pmt(&self) -> Option<Micros> {
        self.last(PMT)
    }

    /// The last packet of the track that is missing longest: of every video track; of every audio track
    /// that was ever there, because some are announced all day and sent for an hour; and of all audio
    /// tracks if none was ever there.
    pub(super) fn last_tracks(&self) -> Option<Micros> {
        let last = |slot: usize| self.last(slot).map(|last| last.0);
        let tracks = || self.tracks.iter().enumerate().map(|(n, track)| (FIRST_TRACK + n, track));
        let is_heard = tracks().any(|(slot, track)| !track.is_video && last(slot).is_some());
        let required =
            tracks().filter(|&(slot, track)| track.is_video || !is_heard || last(slot).is_some());
        let times = required.map(|(slot, track)| last(slot).unwrap_or(0).max(track.named_us));
        times.min().map(Micros)
    }

    /// The last scrambled packet of a track.
    pub(super) fn last_scrambled(&self) -> Option<Micros> {
        self.last_scrambled
    }

    fn last(&self, slot: usize) -> Option<Micros> {
        self.seen_us.get(slot).copied().filter(|&us| us != NEVER).map(Micros)
    }

    fn set_seen(&mut self, slot: usize, us: u64) {
        if let Some(seen_us) = self.seen_us.get_mut(slot) {
            *seen_us = us;
        }
    }

    fn forget_program(&mut self) {
        self.forget_tracks();
        self.set_seen(PMT, NEVER);
    }

    fn forget_tracks(&mut self) {
        self.slots.fill(0);
        set_slot(&mut self.slots, Pid::PAT, PAT);
        self.tracks.clear();
        self.seen_us.iter_mut().skip(FIRST_TRACK).for_each(|us| *us = NEVER);
    }

    fn has_tracks_of(&self, program: &Program) -> bool {
        let known = self.tracks.iter().map(|track| (track.pid, track.is_video));
        tracks_of(program).eq(known)
    }

    /// What was known of PIDs that stay is kept.
    fn set_tracks(&mut self, program: &Program, now: Micros) {
        let slots = self.tracks.iter().zip(FIRST_TRACK..);
        let before: Vec<_> = slots.map(|(track, slot)| (*track, self.last(slot))).collect();
        self.forget_tracks();
        for ((pid, is_video), slot) in tracks_of(program).zip(FIRST_TRACK..) {
            let known = before.iter().find(|(track, _)| track.pid == pid);
            let named_us = known.map_or(now.0, |(track, _)| track.named_us);
            let seen = known.and_then(|(_, seen)| *seen);
            self.tracks.push(Track { pid, is_video, named_us });
            self.set_seen(slot, seen.map_or(NEVER, |at| at.0));
            set_slot(&mut self.slots, pid, slot);
        }
        if let Some(pid) = self.pmt_pid {
            set_slot(&mut self.slots, pid, PMT);
        }
    }
}

/// The video and audio PIDs of a program, as many as are watched.
fn tracks_of(program: &Program) -> impl Iterator<Item = (Pid, bool)> {
    let kinds = program.streams.iter().map(|stream| (stream.pid, stream.format.kind()));
    let tracks = kinds.filter(|(_, kind)| matches!(kind, TrackKind::Video | TrackKind::Audio));
    tracks.map(|(pid, kind)| (pid, kind == TrackKind::Video)).take(TRACKS_MAX)
}

fn set_slot(slots: &mut [u8; Pid::COUNT], pid: Pid, slot: usize) {
    if let Some(place) = slots.get_mut(pid.index()) {
        // Below SLOTS: fits.
        *place = slot as u8;
    }
}

const NEVER: u64 = u64::MAX;
const PAT: usize = 1;
const PMT: usize = 2;
const FIRST_TRACK: usize = 3;
/// A power of two, so that the remainder costs nothing.
const SLOTS: usize = 32;
/// More video and audio PIDs of one program are not watched.
const TRACKS_MAX: usize = SLOTS - FIRST_TRACK;
