//! Measurement of transport streams, packet by packet: always on, on every input and output.
//!
//! Specification: ETSI TR 101 290 V1.4.1, priorities 1 and 2 and 3.4 (unreferenced PIDs).
//!
//! - [`Analyser`]: packets in; [`Event`]s (alarms) and a [`Snapshot`] out.
//! - [`Indicator`]: what can be wrong, by the report's numbers.
//! - [`PcrState`]: how jitter and accuracy are measured.
//!
//! What is judged by arrival (PAT, PMT and PTS intervals, missing PIDs) is as exact as the times
//! that come in: packets of one block arrive at one time. PCR intervals are judged by the PCRs
//! themselves, so that the network's jitter is not taken for the multiplexer's.
//!
//! Not judged: unreferenced PIDs in a stream with conditional access, because its keys have PIDs
//! that only their system knows.
//!
//! Cost: one pass over each packet's header, without hashing or allocation once the PIDs are known;
//! the rest is done once a window.
//!
//! Invariants
//! - Memory is bounded: a flat table of 16 KiB, `pids_max` PIDs, and the tables' own
//!   [`Limits`](super::psi::Limits).
//! - No input panics.

mod alarm;
mod interval;
mod pcr;
mod pid;
mod settings;
mod snapshot;
mod watch;

use super::packet::{PACKET_SIZE, Packet, Pid, SYNC_BYTE};
use super::psi::{self, Fault, SectionFault, Tables};
use alarm::Alarms;
use interval::Interval;
use pcr::{PcrFault, PcrMeter};
use pid::{COUNTER_UNKNOWN, PidState, Pids};

pub use alarm::{AlarmState, Change, Event, Indicator};
pub use pcr::{PcrState, WorstClock};
pub use pid::Role;
pub use settings::{Settings, TimeSource};
pub use snapshot::{PidSnapshot, Snapshot, Totals};

/// Measures one transport stream.
///
/// [`packets`](Self::packets) for every block; [`tick`](Self::tick) when nothing comes, so that
/// absence is noticed; [`poll_event`](Self::poll_event) until it is `None` after either.
#[derive(Debug)]
pub struct Analyser {
    settings: Settings,
    pids: Pids,
    tables: Tables,
    /// The tables have changed since roles were given.
    must_assign_roles: bool,
    roles_assigned_us: Option<u64>,
    role_round: u32,
    /// PIDs whose clock is measured.
    clocks: usize,
    alarms: Alarms,
    now_us: u64,
    is_started: bool,
    window_start_us: u64,
    window_us: u64,
    window_packets: u64,
    window_null_packets: u64,
    bitrate_bps: u64,
    null_share: f64,
    totals: Totals,
    sync: Sync,
    pat: Interval,
    /// The PID whose clock is the time, with [`TimeSource::Pcr`], and the packet of its last PCR.
    time_pid: Option<Pid>,
    time_packet: u64,
    /// Since when every table is known, so that other PIDs can be called unreferenced.
    complete_since_us: Option<u64>,
    cat_was_seen: bool,
}

/// Synchronisation: wrong or right bytes in a row, against the present state.
#[derive(Clone, Copy, Debug)]
struct Sync {
    is_found: bool,
    contrary: u32,
}

impl Analyser {
    /// An analyser that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            pids: Pids::new(settings.pids_max),
            tables: Tables::default(),
            must_assign_roles: false,
            roles_assigned_us: None,
            role_round: 0,
            clocks: 0,
            alarms: Alarms::new(&settings),
            now_us: 0,
            is_started: false,
            window_start_us: 0,
            window_us: 0,
            window_packets: 0,
            window_null_packets: 0,
            bitrate_bps: 0,
            null_share: 0.0,
            totals: Totals::default(),
            sync: Sync { is_found: true, contrary: 0 },
            pat: Interval::new(0),
            time_pid: None,
            time_packet: 0,
            complete_since_us: None,
            cat_was_seen: false,
            settings,
        }
    }

    /// Takes whole packets that arrived at `now_us`, any monotonic clock in us. With
    /// [`TimeSource::Pcr`] the time is not looked at.
    ///
    /// Cost: see the module.
    pub fn packets(&mut self, block: &[u8], now_us: u64) {
        if self.settings.time == TimeSource::Arrival || !self.is_started {
            self.advance(now_us);
        }
        if self.must_assign_roles {
            self.assign_roles_if_due();
        }
        let (packets, partial) = block.as_chunks::<PACKET_SIZE>();
        self.totals.partial_bytes += partial.len() as u64;
        for packet in packets {
            self.packet(Packet::new(packet));
        }
    }

    /// Nothing came until `now_us`: notices what is missing. Call it about once a window.
    pub fn tick(&mut self, now_us: u64) {
        if self.settings.time == TimeSource::Arrival {
            self.advance(now_us);
        }
    }

    /// The aligner in front found that synchronisation was lost: its packets have all sync bytes.
    pub fn report_sync_loss(&mut self, now_us: u64) {
        self.totals.sync_losses += 1;
        self.alarms.error(Indicator::TsSyncLoss, None, 1, now_us);
    }

    /// The next alarm that was raised or cleared.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.alarms.poll_event()
    }

    /// The tables: programs, streams with their descriptors, services.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    #[inline]
    fn packet(&mut self, packet: Packet<'_>) {
        self.window_packets += 1;
        let &[sync, b1, b2, b3, ..] = packet.bytes();
        // One branch for what is rare: a wrong sync byte, a transport error, not in sync.
        if sync != SYNC_BYTE || b1 & 0x80 != 0 || self.sync.contrary != 0 || !self.sync.is_found {
            return self.bad_packet(packet);
        }
        let pid = usize::from(b1 & 0x1F) << 8 | usize::from(b2);
        let index = self.pids.index(pid);
        let Some(state) = self.pids.get_mut(index) else {
            return self.unknown_pid(packet);
        };
        state.window_packets += 1;
        state.last_seen_us = self.now_us;
        if b3 & 0x30 != 0x10 || state.is_special {
            return self.careful(packet, index);
        }
        let counter = b3 & 0x0F;
        state.window_scrambled += u32::from(b3 >> 6 != 0);
        if counter == state.next_counter {
            state.next_counter = (counter + 1) & 0x0F;
            state.was_repeated = false;
        } else {
            self.unexpected_counter(index, counter);
        }
        if b1 & 0x40 != 0 {
            self.unit_starts(packet, index);
        }
    }

    /// A packet of a known PID with an adaptation field, without payload, with tables, or null.
    fn careful(&mut self, packet: Packet<'_>, index: usize) {
        let Some(state) = self.pids.get_mut(index) else { return };
        if state.role == Role::Null {
            self.window_null_packets += 1;
            return;
        }
        state.window_scrambled += u32::from(packet.is_scrambled());
        let field = packet.adaptation_field();
        let is_discontinuity = field.is_some_and(|field| field.is_discontinuity());
        if is_discontinuity {
            state.next_counter = COUNTER_UNKNOWN;
        }
        let counter = packet.continuity_counter();
        if packet.has_payload() {
            if counter == state.next_counter {
                state.next_counter = (counter + 1) & 0x0F;
                state.was_repeated = false;
            } else {
                self.unexpected_counter(index, counter);
            }
        }
        if let Some(pcr) = field.and_then(|field| field.pcr()) {
            self.clock(index, pcr, is_discontinuity);
        }
        let Some(state) = self.pids.get_mut(index) else { return };
        if matches!(state.role, Role::Table | Role::Pmt { .. }) {
            self.table_packet(packet, index);
        } else if packet.starts_unit() {
            self.unit_starts(packet, index);
        }
    }

    fn unexpected_counter(&mut self, index: usize, counter: u8) {
        let Some(state) = self.pids.get_mut(index) else { return };
        let pid = state.pid;
        if state.unexpected_counter(counter) {
            self.totals.counter_errors += 1;
            let indicator = Indicator::ContinuityCountError;
            self.alarms.error(indicator, Some(pid), 1, self.now_us);
        }
    }

    /// A PES packet starts: is there a PTS?
    fn unit_starts(&mut self, packet: Packet<'_>, index: usize) {
        let Some(state) = self.pids.get_mut(index) else { return };
        let &[0, 0, 1, _, _, _, _, flags, ..] = packet.payload() else { return };
        if packet.is_scrambled() || flags & 0x80 == 0 || !state.role.is_timed() {
            return;
        }
        if let Some(us) = state.pts.seen(self.now_us, self.settings.pts_interval_us) {
            let pid = state.pid;
            self.alarms.error(Indicator::PtsError, Some(pid), us, self.now_us);
        }
    }

    fn clock(&mut self, index: usize, pcr: super::packet::Pcr, is_discontinuity: bool) {
        let packet = self.totals.packets + self.window_packets;
        let Some(state) = self.pids.get_mut(index) else { return };
        let pid = state.pid;
        if state.pcr.is_none() && self.clocks < CLOCKS_MAX {
            self.clocks += 1;
            state.pcr = Some(Box::new(PcrMeter::new()));
        }
        let Some(meter) = &mut state.pcr else { return };
        let last = meter.last();
        let limits = (self.settings.pcr_interval_us, self.settings.pcr_step_us);
        let faults = meter.push(pcr, is_discontinuity, packet, self.now_us, limits.0, limits.1);
        for fault in faults.into_iter().flatten() {
            let (indicator, us) = match fault {
                PcrFault::Repetition(us) => (Indicator::PcrRepetitionError, us),
                PcrFault::Discontinuity(us) => (Indicator::PcrDiscontinuityIndicatorError, us),
            };
            self.alarms.error(indicator, Some(pid), us, self.now_us);
        }
        if self.settings.time == TimeSource::Pcr {
            let step = last.filter(|_| !is_discontinuity).map_or(0, |last| pcr.since(last));
            self.pass_time(pid, packet, step);
        }
    }

    /// A clock of the stream moved by `step` ticks of 27 MHz.
    fn pass_time(&mut self, pid: Pid, packet: u64, step: i64) {
        if self.time_pid != Some(pid) {
            let is_gone = packet - self.time_packet > TIME_PID_GONE_PACKETS;
            if self.time_pid.is_some() && !is_gone {
                return;
            }
            self.time_pid = Some(pid);
        }
        self.time_packet = packet;
        // A jump is no time that passed.
        if (0..PCR_TIME_STEP_MAX).contains(&step) {
            self.advance(self.now_us + step as u64 / 27);
        }
    }

    /// A packet with a section, or part of one.
    fn table_packet(&mut self, packet: Packet<'_>, index: usize) {
        let pid = packet.pid();
        let table_id = first_table_id(packet);
        let is_scrambled = packet.is_scrambled();
        let now_us = self.now_us;
        let Some(state) = self.pids.get_mut(index) else { return };
        match (pid, state.role, table_id) {
            _ if is_scrambled && pid == Pid::PAT => {
                self.alarms.error(Indicator::PatError, Some(pid), 1, now_us);
            }
            (_, Role::Pmt { .. }, _) if is_scrambled => {
                self.alarms.error(Indicator::PmtError, Some(pid), 1, now_us);
            }
            (Pid::PAT, _, Some(TABLE_PAT)) => {
                if let Some(us) = self.pat.seen(now_us, self.settings.pat_interval_us) {
                    self.alarms.error(Indicator::PatError, Some(pid), us, now_us);
                }
            }
            (Pid::PAT, _, Some(_)) => {
                self.alarms.error(Indicator::PatError, Some(pid), 1, now_us);
            }
            (Pid::CAT, _, Some(TABLE_CAT)) => self.cat_was_seen = true,
            (Pid::CAT, _, Some(_)) => {
                self.alarms.error(Indicator::CatError, Some(pid), 1, now_us);
            }
            (_, Role::Pmt { .. }, Some(TABLE_PMT)) => {
                if let Some(us) = state.tables.seen(now_us, self.settings.pmt_interval_us) {
                    self.alarms.error(Indicator::PmtError, Some(pid), us, now_us);
                }
            }
            _ => {}
        }
        if self.tables.is_table(pid) {
            self.read_table(packet);
        }
    }

    fn read_table(&mut self, packet: Packet<'_>) {
        let (mut has_changed, mut crc_errors, mut section_errors) = (false, 0, 0);
        self.tables.push(packet, &mut |change| match change {
            psi::Change::Fault { fault: Fault::Section(SectionFault::Crc), .. } => crc_errors += 1,
            psi::Change::Fault { .. } => section_errors += 1,
            _ => has_changed = true,
        });
        self.totals.section_errors += section_errors;
        self.totals.crc_errors += crc_errors;
        for _ in 0..crc_errors {
            self.alarms.error(Indicator::CrcError, Some(packet.pid()), 1, self.now_us);
        }
        if has_changed {
            self.must_assign_roles = true;
            self.assign_roles_if_due();
        }
    }

    #[cold]
    fn bad_packet(&mut self, packet: Packet<'_>) {
        let is_good = packet.has_sync();
        if !is_good {
            self.totals.sync_byte_errors += 1;
            self.alarms.error(Indicator::SyncByteError, None, 1, self.now_us);
        }
        let sync = &mut self.sync;
        sync.contrary = if is_good == sync.is_found { 0 } else { sync.contrary + 1 };
        let limit = match sync.is_found {
            true => self.settings.sync_lost_packets,
            false => self.settings.sync_found_packets,
        };
        if sync.contrary >= limit.max(1) {
            *sync = Sync { is_found: !sync.is_found, contrary: 0 };
            if !self.sync.is_found {
                self.report_sync_loss(self.now_us);
            }
        }
        if !is_good || !self.sync.is_found {
            return;
        }
        if packet.has_transport_error() {
            // What such a packet says is not to be judged (TR 101 290, indicator 2.1).
            self.totals.transport_errors += 1;
            let pid = Some(packet.pid());
            return self.alarms.error(Indicator::TransportError, pid, 1, self.now_us);
        }
        let index = self.pids.index(packet.pid().index());
        match self.pids.get_mut(index) {
            Some(state) => {
                state.window_packets += 1;
                state.last_seen_us = self.now_us;
                self.careful(packet, index);
            }
            None => self.unknown_pid(packet),
        }
    }

    /// The first packet of a PID, or one of a PID beyond the limit.
    #[cold]
    fn unknown_pid(&mut self, packet: Packet<'_>) {
        let Some(index) = self.pids.track(packet.pid(), self.now_us) else {
            self.totals.untracked_packets += 1;
            return;
        };
        if let Some(state) = self.pids.get_mut(index) {
            state.window_packets += 1;
        }
        self.careful(packet, index);
    }
}

/// table_id of the first section that starts in the packet.
fn first_table_id(packet: Packet<'_>) -> Option<u8> {
    if !packet.starts_unit() {
        return None;
    }
    let payload = packet.payload();
    let pointer = usize::from(*payload.first()?);
    payload.get(1 + pointer).copied().filter(|&table_id| table_id != 0xFF)
}

fn bits_per_second(packets: u64, elapsed_us: u64) -> u64 {
    let bits = u128::from(packets) * PACKET_SIZE as u128 * 8 * 1_000_000;
    bits.checked_div(u128::from(elapsed_us)).map_or(0, |rate| rate as u64)
}

/// A clock costs about 4 KiB. A stream with more programs than this is a multiplex for a modulator,
/// and its clocks come from one place.
const CLOCKS_MAX: usize = 256;
const TABLE_PAT: u8 = 0x00;
const TABLE_CAT: u8 = 0x01;
const TABLE_PMT: u8 = 0x02;
/// Packets after which a clock that stopped is left for another one: half a second of 60 Mbit/s, the
/// largest multiplexes there are.
const TIME_PID_GONE_PACKETS: u64 = 20_000;
/// Ticks of 27 MHz from one PCR to the next that can be time passing: 10 s.
const PCR_TIME_STEP_MAX: i64 = 10 * 27_000_000;

#[cfg(test)]
mod tests;
