//! What is kept of one PID.

use super::interval::Interval;
use super::pcr::PcrMeter;
use crate::container::mpegts::Pid;
use crate::container::mpegts::psi::EsFormat;

/// What a PID is for, by the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// No table names it.
    #[default]
    Unreferenced,
    /// PAT, CAT, or service information on its fixed PID.
    Table,
    /// The PMT of a program.
    Pmt {
        /// Which program.
        program_number: u16,
    },
    /// An elementary stream.
    Stream {
        /// Of which program; the first one, when several share it.
        program_number: u16,
        /// stream_type.
        stream_type: u8,
        /// What it is, with its descriptors.
        format: EsFormat,
        /// ISO 639 code; zeros when not said.
        language: [u8; 3],
    },
    /// A PCR and nothing else.
    Pcr {
        /// Of which program.
        program_number: u16,
    },
    /// Messages of a conditional access system.
    ConditionalAccess,
    /// Null packets.
    Null,
}

impl Role {
    /// Pictures or sound: must occur, and carries PTS.
    pub(super) fn is_timed(self) -> bool {
        use crate::access_unit::TrackKind::{Audio, Video};
        matches!(self, Self::Stream { format, .. } if matches!(format.kind(), Audio | Video))
    }
}

/// One PID. The fields that every packet touches come first, in one cache line.
#[derive(Debug)]
#[repr(C)]
pub(super) struct PidState {
    /// Packets in this window.
    pub window_packets: u32,
    /// Counter of the next packet; [`COUNTER_UNKNOWN`] when any is right.
    pub next_counter: u8,
    /// The last packet was sent twice.
    pub was_repeated: bool,
    /// Every packet of the PID takes the slow path: tables, and what is not counted.
    pub is_special: bool,
    /// Scrambled packets in this window.
    pub window_scrambled: u32,
    pub last_seen_us: u64,

    pub pid: Pid,
    pub role: Role,
    /// Packets in the windows before.
    pub packets: u64,
    /// Scrambled packets in the windows before.
    pub scrambled_packets: u64,
    pub counter_errors: u64,
    pub repeated_packets: u64,
    pub first_seen_us: u64,
    pub bitrate_bps: u64,
    /// In the last window there were scrambled packets.
    pub is_scrambled: bool,
    /// Between two PATs or PMTs.
    pub tables: Interval,
    /// Between two PTS.
    pub pts: Interval,
    /// A packet was seen, not only a table that names the PID.
    pub was_seen: bool,
    pub is_missing: bool,
    /// The assignment of roles in which the role was given.
    pub role_round: u32,
    pub pcr: Option<Box<PcrMeter>>,
}

/// All PIDs that are tracked.
#[derive(Debug)]
pub(super) struct Pids {
    /// By PID: index into `states`, or [`UNSEEN`].
    index_of: Box<[u16]>,
    states: Vec<PidState>,
    pids_max: usize,
}

impl Pids {
    pub(super) fn new(pids_max: usize) -> Self {
        Self { index_of: vec![UNSEEN; Pid::COUNT].into_boxed_slice(), states: Vec::new(), pids_max }
    }

    /// Index of a PID by its number; out of range when it is not tracked.
    #[inline]
    pub(super) fn index(&self, pid: usize) -> usize {
        usize::from(self.index_of.get(pid).copied().unwrap_or(UNSEEN))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut PidState> {
        self.states.get_mut(index)
    }

    pub(super) fn states(&self) -> &[PidState] {
        &self.states
    }

    pub(super) fn states_mut(&mut self) -> &mut [PidState] {
        &mut self.states
    }

    /// Index of a PID's state, which is made if there is room.
    pub(super) fn track(&mut self, pid: Pid, now_us: u64) -> Option<usize> {
        let index = self.index_of.get_mut(pid.index())?;
        if usize::from(*index) < self.states.len() {
            return Some(usize::from(*index));
        }
        let is_fixed = pid.value() < FIXED_PIDS_END || pid == Pid::NULL;
        // The fixed PIDs always have room: without them nothing can be told of the others.
        if self.states.len() >= self.pids_max && !is_fixed {
            return None;
        }
        // At most one per PID: fits.
        *index = self.states.len() as u16;
        let mut state = PidState::new(pid, now_us);
        state.set_role(fixed_role(pid), now_us);
        self.states.push(state);
        Some(self.states.len() - 1)
    }
}

/// What a PID is for when no table says so.
pub(super) fn fixed_role(pid: Pid) -> Role {
    match pid {
        Pid::NULL => Role::Null,
        _ if pid.value() < FIXED_PIDS_END || pid.value() == ATSC_BASE_PID => Role::Table,
        _ => Role::Unreferenced,
    }
}

impl PidState {
    pub(super) fn new(pid: Pid, now_us: u64) -> Self {
        Self {
            window_packets: 0,
            next_counter: COUNTER_UNKNOWN,
            was_repeated: false,
            is_special: false,
            window_scrambled: 0,
            last_seen_us: now_us,
            pid,
            role: Role::Unreferenced,
            packets: 0,
            scrambled_packets: 0,
            counter_errors: 0,
            repeated_packets: 0,
            first_seen_us: now_us,
            bitrate_bps: 0,
            is_scrambled: false,
            tables: Interval::new(now_us),
            pts: Interval::new(now_us),
            was_seen: false,
            is_missing: false,
            role_round: 0,
            pcr: None,
        }
    }

    /// Gives the PID a role; what it had counted stays.
    pub(super) fn set_role(&mut self, role: Role, now_us: u64) {
        if role.is_timed() && !self.role.is_timed() {
            self.pts = Interval::new(now_us);
            self.is_missing = false;
        }
        let is_pmt = |role| matches!(role, Role::Pmt { .. });
        if is_pmt(role) && !is_pmt(self.role) {
            self.tables = Interval::new(now_us);
        }
        self.role = role;
        self.is_special = matches!(role, Role::Table | Role::Pmt { .. } | Role::Null);
    }

    /// Checks the counter of a packet with payload that is not the expected one; true when packets
    /// are lost or out of order.
    #[cold]
    pub(super) fn unexpected_counter(&mut self, counter: u8) -> bool {
        let was_known = self.next_counter != COUNTER_UNKNOWN;
        let is_repetition = was_known && (counter + 1) & 0x0F == self.next_counter;
        if is_repetition && !std::mem::replace(&mut self.was_repeated, true) {
            // A packet may be sent twice (ISO/IEC 13818-1 2.4.3.3).
            self.repeated_packets += 1;
            return false;
        }
        self.was_repeated = is_repetition;
        self.next_counter = (counter + 1) & 0x0F;
        self.counter_errors += u64::from(was_known);
        was_known
    }

    /// Ends a window of `elapsed_us`.
    pub(super) fn end_window(&mut self, elapsed_us: u64) {
        let packets = std::mem::take(&mut self.window_packets);
        let scrambled = std::mem::take(&mut self.window_scrambled);
        self.was_seen |= packets > 0;
        self.packets += u64::from(packets);
        self.scrambled_packets += u64::from(scrambled);
        self.is_scrambled = scrambled > 0;
        self.bitrate_bps = super::bits_per_second(u64::from(packets), elapsed_us);
        self.tables.end_window();
        self.pts.end_window();
    }
}

/// No packet of the PID was seen, or the counter may jump.
pub(super) const COUNTER_UNKNOWN: u8 = 0xFF;
/// The PID has not occurred, or there was no room for it.
const UNSEEN: u16 = u16::MAX;
/// PAT, CAT, TSDT and DVB service information.
const FIXED_PIDS_END: u16 = 0x20;
/// Program and system information of ATSC (A/65).
const ATSC_BASE_PID: u16 = 0x1FFB;
