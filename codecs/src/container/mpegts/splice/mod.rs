//! One stream out of several sources: continuity over switches, in place.
//!
//! What goes out after a switch continues what went out before it:
//! - *Continuity counters* (ISO/IEC 13818-1 2.4.3.3): for each PID one number is added to the new
//!   source's counters, so that its first packet follows the last one before the switch. It stays
//!   the same until the next switch: packets that the source loses are missed by receivers as well.
//! - *Times*: one number is added to all PCR, OPCR, PTS and DTS of a program, so that its first PCR
//!   is where the clock has come to by the time that has passed. Where the new source's clock is
//!   there already, within [`Settings::same_clock_ms`], nothing is added: both are copies of one
//!   source, or its own clock went on while another source stood in for it.
//! - *Table versions*: where PAT or PMT say something else under the same version_number, the
//!   version is raised, so that decoders read them.
//! - *SCTE-35 cues*: the clock's number is added to their pts_adjustment (SCTE 35 9.6).
//!
//! discontinuity_indicator is not set, because nothing is discontinuous, but for two cases in which
//! times are left as they are and may jump: no PCR was known before the switch, or the new source is
//! scrambled, so that its PTS cannot be changed.
//!
//! Left as it is
//! - Payloads: what the old source left incomplete stays so. A switch should be made where the new
//!   source has an entry ([`scan`](super::scan)).
//! - Times whose PES header is continued in the next packet, and those of scrambled packets:
//!   counted.
//! - A PES packet with times in front of the first PCR, when its block has no PCR yet: its times go
//!   on at the distance from the clock that times of its PID had before, and so may differ from
//!   those behind the PCR by as much as the two sources differ in that distance.
//! - ESCR, DTS_next_AU, and the versions of other tables than PAT and PMT.
//!
//! Cost: for each packet one look into a flat table; PES headers, PCRs and tables are read besides.
//! Nothing is allocated once the tables are known.
//!
//! Invariants
//! - No more than the fields named above, and the CRC of sections, is changed; no packet is added
//!   or left out.
//! - Memory: a flat table of 48 KiB, the tables' own, and [`Settings::clocks_max`] clocks.

mod clock;
mod cue;
mod program;
mod settings;
mod times;
mod version;

use super::packet::{PACKET_SIZE, Packet, Pid, SYNC_BYTE};
use super::psi::{Change, Tables};
use clock::{Clock, Place};
use times::PesTimes;
use version::Versions;

pub use settings::{Counters, Settings};

/// Continues a stream over switches of its source.
///
/// While [`is_transparent`](Self::is_transparent), [`observe`](Self::observe) every block that goes
/// out. [`switch`](Self::switch) before the first block of another source; from then on give every
/// block to [`packets`](Self::packets) and send what it made of it, until it is transparent again.
#[derive(Debug)]
pub struct Splicer {
    settings: Settings,
    pids: Box<[PidState; Pid::COUNT]>,
    tables: Tables,
    versions: Versions,
    /// Never empty. The only one is that of all PIDs.
    clocks: Vec<Clock>,
    is_transparent: bool,
    switched_us: u64,
    /// PIDs from before the switch that the new source has not had.
    pids_open: u32,
    /// PIDs whose counters are changed.
    pids_shifted: u32,
    /// Packets since the start.
    packets: u64,
    counters: Counters,
}

/// What is known of one PID.
#[derive(Clone, Copy, Debug)]
struct PidState {
    /// The last counter that went out, or [`NONE`].
    counter: u8,
    /// What is added to counters, or [`NONE`] when no packet came since the switch.
    shift: u8,
    kind: Kind,
    /// Index of the clock; [`NONE`] when there are several and none is known to be its.
    clock: u8,
    /// From decoding times to the clock, in ms; [`LEAD_UNKNOWN`] without any.
    lead_ms: i16,
}

/// What sections of a PID are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Other,
    Table,
    Cue,
}

impl Splicer {
    /// A splicer that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let mut splicer = Self {
            settings,
            pids: Box::new([PidState::UNSEEN; Pid::COUNT]),
            tables: Tables::default(),
            versions: Versions::default(),
            clocks: vec![Clock::new(None, Pid::NULL)],
            is_transparent: true,
            switched_us: 0,
            pids_open: 0,
            pids_shifted: 0,
            packets: 0,
            counters: Counters::default(),
        };
        splicer.assign_pids();
        splicer
    }

    /// True when packets go out as they come, so that the caller need not copy them: until the
    /// first switch, and again when after a switch nothing has to be changed.
    pub fn is_transparent(&self) -> bool {
        self.is_transparent
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        Counters { clock_shift: self.clocks.first().map_or(0, Clock::shift), ..self.counters }
    }

    /// Looks at whole packets that go out unchanged at `now_us`, any monotonic clock in us. To be
    /// called while [`is_transparent`](Self::is_transparent) only.
    pub fn observe(&mut self, packets: &[u8], now_us: u64) {
        let packets = packets.as_chunks::<PACKET_SIZE>().0;
        for (index, packet) in packets.iter().enumerate() {
            if let Some(pid) = sound_pid(packet) {
                self.watch(packet, pid, self.place(index, packets.len(), now_us));
            }
        }
        self.packets += packets.len() as u64;
    }

    /// What comes from now on is from another source.
    pub fn switch(&mut self, now_us: u64) {
        self.counters.switches += 1;
        self.is_transparent = false;
        self.switched_us = now_us;
        (self.pids_open, self.pids_shifted) = (0, 0);
        for state in self.pids.iter_mut() {
            state.shift = NONE;
            self.pids_open += u32::from(state.counter != NONE);
        }
        self.versions.switch();
        self.clocks.iter_mut().for_each(Clock::switch);
    }

    /// Changes whole packets, which go out at `now_us`, so that they continue those before. Bytes
    /// behind the last whole packet are left as they are.
    pub fn packets(&mut self, packets: &mut [u8], now_us: u64) {
        if self.is_transparent {
            return self.observe(packets, now_us);
        }
        let packets = packets.as_chunks_mut::<PACKET_SIZE>().0;
        if self.clocks.iter().any(|clock| !clock.is_settled()) {
            self.look_for_clocks(packets, now_us);
        }
        let count = packets.len();
        for (index, packet) in packets.iter_mut().enumerate() {
            if let Some(pid) = sound_pid(packet) {
                let place = self.place(index, count, now_us);
                let is_rewritten = self.rewrite(packet, pid, place);
                self.counters.rewritten_packets += u64::from(is_rewritten);
                self.watch(packet, pid, place);
            }
        }
        self.packets += count as u64;
        if self.pids_shifted == 0 {
            self.become_transparent(now_us);
        }
    }

    fn place(&self, index: usize, count: usize, now_us: u64) -> Place {
        let packet = self.packets + index as u64;
        Place { now_us, packet, behind: count.saturating_sub(index + 1) as u64 }
    }

    /// Remembers a packet as it goes out.
    #[inline]
    fn watch(&mut self, packet: &[u8; PACKET_SIZE], pid: usize, place: Place) {
        let state = &mut self.pids[pid];
        state.counter = packet[3] & 0x0F;
        let (kind, has_field) = (state.kind, packet[3] & 0x20 != 0);
        if has_field && packet[5] & 0x10 != 0 {
            self.watch_clock(packet, pid, place);
        }
        if packet[1] & 0x40 != 0 && packet[3] >> 6 == 0 && kind != Kind::Table {
            self.watch_time(packet, pid, place);
        }
        if kind == Kind::Table {
            self.watch_table(packet, pid);
        }
    }

    fn watch_clock(&mut self, packet: &[u8; PACKET_SIZE], pid: usize, place: Place) {
        let Some(pcr) = times::pcrs(packet)[0].and_then(|at| times::pcr(packet, at)) else {
            return;
        };
        if let Some(clock) = self.clock_of(pid)
            && (clock.pcr_pid.index() == pid || clock.pcr_pid == Pid::NULL)
        {
            clock.pcr_sent(pcr, place);
        }
    }

    fn watch_time(&mut self, packet: &[u8; PACKET_SIZE], pid: usize, place: Place) {
        let PesTimes::At(pts, dts) = times::pes_times(packet) else { return };
        let Some(time) = times::time(packet, dts.unwrap_or(pts)) else { return };
        if let Some(lead) = self.clock_of(pid).and_then(|clock| clock.lead(time, place)) {
            let lead_ms = i16::try_from(lead / 90).unwrap_or(LEAD_UNKNOWN);
            self.pids[pid].lead_ms = lead_ms;
        }
    }

    fn watch_table(&mut self, packet: &[u8; PACKET_SIZE], pid: usize) {
        if self.is_transparent {
            // No version is raised: the copy stays as it is.
            self.versions.packet(&mut { *packet }, pid == Pid::PAT.index());
        }
        let mut has_changed = false;
        self.tables.push(Packet::new(packet), &mut |change| {
            has_changed |= !matches!(change, Change::Fault { .. });
        });
        if has_changed {
            self.assign_clocks();
            self.assign_pids();
        }
    }

    /// Changes a packet; true when bytes of it are other ones afterwards.
    fn rewrite(&mut self, packet: &mut [u8; PACKET_SIZE], pid: usize, place: Place) -> bool {
        let mut is_rewritten = self.rewrite_counter(packet, pid);
        is_rewritten |= self.rewrite_clock(packet, pid, place);
        let kind = self.pids[pid].kind;
        if packet[1] & 0x40 == 0 {
            return is_rewritten;
        }
        match kind {
            Kind::Table => {
                let outcome = self.versions.packet(packet, pid == Pid::PAT.index());
                self.counters.versions_raised += outcome.raised;
                self.counters.versions_not_raised += outcome.not_raised;
                is_rewritten |= outcome.is_rewritten;
            }
            Kind::Cue => is_rewritten |= self.rewrite_cues(packet, pid),
            Kind::Other => is_rewritten |= self.rewrite_times(packet, pid, place),
        }
        is_rewritten
    }

    fn rewrite_counter(&mut self, packet: &mut [u8; PACKET_SIZE], pid: usize) -> bool {
        let state = &mut self.pids[pid];
        let counter = packet[3] & 0x0F;
        if state.shift == NONE {
            let counted = packet[3] >> 4 & 1; // packets without payload are not counted
            let is_known = state.counter != NONE;
            state.shift = match is_known {
                true => state.counter.wrapping_add(counted).wrapping_sub(counter) & 0x0F,
                false => 0,
            };
            self.pids_open -= u32::from(is_known);
            self.pids_shifted += u32::from(state.shift != 0);
        }
        packet[3] = packet[3] & 0xF0 | (counter + state.shift) & 0x0F;
        state.shift != 0
    }

    /// PCR and OPCR.
    fn rewrite_clock(&mut self, packet: &mut [u8; PACKET_SIZE], pid: usize, place: Place) -> bool {
        let [pcr_at, opcr_at] = times::pcrs(packet);
        if let Some(pcr) = pcr_at.and_then(|at| times::pcr(packet, at)) {
            self.settle(pcr, pid, place);
        }
        let Some(clock) = self.clock_of(pid).filter(|_| pcr_at.is_some() || opcr_at.is_some())
        else {
            return false;
        };
        let must_mark = pcr_at.is_some() && std::mem::take(&mut clock.must_mark);
        let shift = clock.shift();
        if must_mark {
            packet[5] |= DISCONTINUITY;
            self.counters.discontinuities += 1;
        }
        if shift != 0 {
            for at in [pcr_at, opcr_at].into_iter().flatten() {
                times::shift_pcr(packet, at, shift);
            }
        }
        must_mark || shift != 0
    }

    /// PTS and DTS.
    fn rewrite_times(&mut self, packet: &mut [u8; PACKET_SIZE], pid: usize, place: Place) -> bool {
        let same_clock_max = self.settings.same_clock_ticks();
        let lead = i64::from(self.pids[pid].lead_ms) * 90;
        let is_scrambled = packet[3] >> 6 != 0;
        let found = if is_scrambled { PesTimes::Cut } else { times::pes_times(packet) };
        let Some(clock) = self.clock_of(pid) else { return false };
        if let PesTimes::At(pts, dts) = found
            && let Some(time) = times::time(packet, dts.unwrap_or(pts))
        {
            let lead = if lead == i64::from(LEAD_UNKNOWN) * 90 { 0 } else { lead };
            clock.settle_for_now(time, lead, place, same_clock_max);
        }
        match (clock.shift(), found) {
            (0, _) | (_, PesTimes::None) => false,
            (_, PesTimes::Cut) => {
                self.counters.times_left += 1;
                false
            }
            (shift, PesTimes::At(pts, dts)) => {
                times::shift_time(packet, pts, shift);
                if let Some(dts) = dts {
                    times::shift_time(packet, dts, shift);
                }
                true
            }
        }
    }

    fn rewrite_cues(&mut self, packet: &mut [u8; PACKET_SIZE], pid: usize) -> bool {
        let shift = self.clock_of(pid).map_or(0, |clock| clock.shift());
        let cues = if shift == 0 { cue::Outcome::default() } else { cue::shift(packet, shift) };
        self.counters.times_left += cues.left;
        cues.is_rewritten
    }

    /// The new source's first PCR may stand behind times that need it: it is looked for in the
    /// whole block.
    fn look_for_clocks(&mut self, packets: &[[u8; PACKET_SIZE]], now_us: u64) {
        for packet in packets.iter().filter(|packet| packet[3] >> 6 != 0) {
            if let Some(clock) = sound_pid(packet).and_then(|pid| self.clock_of(pid)) {
                clock.is_scrambled = true;
            }
        }
        // Those on the PID that the tables name come first: the tables may be the old source's.
        for is_any_pid in [false, true] {
            for (index, packet) in packets.iter().enumerate() {
                let Some(pid) = sound_pid(packet) else { continue };
                let pcr = times::pcrs(packet)[0].and_then(|at| times::pcr(packet, at));
                let is_named = || self.clocks.iter().any(|clock| clock.pcr_pid.index() == pid);
                if let Some(pcr) = pcr.filter(|_| is_any_pid || is_named()) {
                    self.settle(pcr, pid, self.place(index, packets.len(), now_us));
                }
            }
        }
    }

    fn settle(&mut self, pcr: super::packet::Pcr, pid: usize, place: Place) {
        let settings = self.settings;
        let has_history = self.packets > 0;
        if let Some(clock) = self.clock_of(pid).filter(|clock| !clock.is_settled()) {
            clock.settle(pcr, place, &settings, has_history);
        }
    }

    #[inline]
    fn clock_of(&mut self, pid: usize) -> Option<&mut Clock> {
        self.clocks.get_mut(usize::from(self.pids[pid].clock))
    }

    /// Goes back to transparency where nothing is changed, and nothing can come that is.
    fn become_transparent(&mut self, now_us: u64) {
        let waited = now_us.saturating_sub(self.switched_us) >= FORGET_US;
        let is_own = self.versions.are_own() && self.clocks.iter().all(|clock| clock.shift() == 0);
        let is_complete = self.pids_open == 0
            && self.versions.are_decided()
            && self.clocks.iter().all(Clock::is_settled);
        self.is_transparent = is_own && (waited || is_complete);
    }
}

impl PidState {
    const UNSEEN: Self =
        Self { counter: NONE, shift: 0, kind: Kind::Other, clock: NONE, lead_ms: LEAD_UNKNOWN };
}

/// The PID of a packet that can be read, as an index; `None` for null packets as well.
#[inline]
fn sound_pid(packet: &[u8; PACKET_SIZE]) -> Option<usize> {
    let pid = usize::from(packet[1] & 0x1F) << 8 | usize::from(packet[2]);
    let is_sound = packet[0] == SYNC_BYTE && packet[1] & 0x80 == 0 && pid != Pid::NULL.index();
    is_sound.then_some(pid)
}

/// No counter, no shift, no clock.
const NONE: u8 = 0xFF;
const LEAD_UNKNOWN: i16 = i16::MIN;
/// discontinuity_indicator.
const DISCONTINUITY: u8 = 0x80;
/// What a source has not sent in this time after a switch is not waited for: 10 s, as the tables
/// that come most seldom.
const FORGET_US: u64 = 10_000_000;

#[cfg(test)]
mod tests;
