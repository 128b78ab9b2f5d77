//! What the analyser knows at a moment, as plain data.

use super::alarm::{AlarmState, Indicator};
use super::pcr::{PcrState, WorstClock};
use super::pid::Role;
use crate::container::mpegts::Pid;

/// Everything but the texts of the tables, which [`Analyser::tables`](super::Analyser::tables) has.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Time of it, in us of the analyser's time.
    pub at_us: u64,
    /// Length of the last complete window, in us; 0 before the first one. Rates and maxima are its.
    pub window_us: u64,
    /// Counts since the analyser was made.
    pub totals: Totals,
    /// Rate of all packets, null packets included, in bit/s.
    pub bitrate_bps: u64,
    /// Null packets among them, 0.0 to 1.0.
    pub null_share: f64,
    /// False while synchronisation is lost.
    pub is_in_sync: bool,
    /// Longest time between two PATs, in us.
    pub pat_interval_max_us: u64,
    /// Longest time between two PMTs of a program, in us; the worst program's.
    pub pmt_interval_max_us: u64,
    /// Longest time between two PTS of a video or audio PID, in us; the worst one's.
    pub pts_interval_max_us: u64,
    /// The clock of the first program that has one.
    pub pcr: Option<PcrState>,
    /// The worst of all clocks.
    pub worst_clock: WorstClock,
    /// Every indicator, in the order of their numbers.
    pub alarms: [AlarmState; Indicator::ALL.len()],
    /// Every PID that was seen or is named by a table, in the order of their numbers; empty in a
    /// [summary](super::Analyser::summary).
    pub pids: Vec<PidSnapshot>,
}

/// Counts since the analyser was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets, whatever is wrong with them.
    pub packets: u64,
    /// Null packets.
    pub null_packets: u64,
    /// Packets with a wrong sync byte.
    pub sync_byte_errors: u64,
    /// Losses of synchronisation, reported ones included.
    pub sync_losses: u64,
    /// Packets that a demodulator could not repair.
    pub transport_errors: u64,
    /// Counters that were not the expected ones.
    pub counter_errors: u64,
    /// Packets that were sent twice, which is legal.
    pub repeated_packets: u64,
    /// Sections with a wrong CRC.
    pub crc_errors: u64,
    /// Sections that are cut, too long or have nonsense in them.
    pub section_errors: u64,
    /// Scrambled packets.
    pub scrambled_packets: u64,
    /// Packets of PIDs beyond `pids_max`.
    pub untracked_packets: u64,
    /// Bytes at the end of blocks that are no whole packet.
    pub partial_bytes: u64,
}

/// One PID.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PidSnapshot {
    /// The PID.
    pub pid: Pid,
    /// What it is for.
    pub role: Role,
    /// Packets since the analyser was made.
    pub packets: u64,
    /// Rate in the last window, in bit/s.
    pub bitrate_bps: u64,
    /// Counters that were not the expected ones.
    pub counter_errors: u64,
    /// Packets that were sent twice.
    pub repeated_packets: u64,
    /// Scrambled packets.
    pub scrambled_packets: u64,
    /// There were scrambled packets in the last window.
    pub is_scrambled: bool,
    /// It does not occur, although it must.
    pub is_missing: bool,
    /// Time of the last packet, or of the table that first named the PID, in us.
    pub last_seen_us: u64,
    /// Longest time between two PTS in the last window, in us; 0 when it has none.
    pub pts_interval_max_us: u64,
    /// Its clock, if it carries one.
    pub pcr: Option<PcrState>,
}
