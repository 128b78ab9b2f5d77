//! What is known of an input, and what is wrong with it.

use std::fmt;

use corelay_config::Failover;

use crate::clock::Micros;

/// What is known of an input at a moment. The default is that of an input that is not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Time of the last packet; `None` before the first one.
    pub last_packet: Option<Micros>,
    /// Packets come without a silence since then.
    pub heard_since: Option<Micros>,
    /// Most sync bytes are right.
    pub is_in_sync: bool,
    /// Time of the last packet with a PAT.
    pub last_pat: Option<Micros>,
    /// Time of the last packet with the program's PMT.
    pub last_pmt: Option<Micros>,
    /// Time of the last packet of the video or audio PID that is missing longest; `None` when the
    /// program is not known or has none.
    pub last_tracks: Option<Micros>,
    /// Wrong continuity counters in the last second.
    pub continuity_errors: u64,
    /// There were scrambled packets of pictures or sound in the last second.
    pub is_scrambled: bool,
    /// Bit rate of the last whole second; `None` before its end.
    pub bitrate_kbps: Option<u64>,
}

/// A table that a program cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the standard's.
pub enum Table {
    Pat,
    Pmt,
}

/// Why an input is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No packets.
    Silent {
        /// For how long.
        ms: u64,
    },
    /// Its packets are none.
    OutOfSync,
    /// A table is missing.
    NoTable {
        /// Which one.
        table: Table,
        /// For how long.
        ms: u64,
    },
    /// A video or audio PID is missing.
    NoTrack {
        /// For how long.
        ms: u64,
    },
    /// Pictures or sound are scrambled.
    Scrambled,
    /// Too many wrong continuity counters.
    ContinuityErrors {
        /// Of the last second.
        count: u64,
    },
    /// Less than the least bit rate.
    BitrateLow {
        /// Of the last second.
        kbps: u64,
        /// The least one that was set.
        min_kbps: u64,
    },
    /// Nothing is wrong: the other one is preferred, and is good again.
    Preferred {
        /// For how long.
        good_ms: u64,
    },
}

/// How good an input is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No packets.
    Silent,
    /// Packets that nobody can watch, or not known to be watchable yet.
    Broken,
    /// It can be watched, with disturbances.
    Impaired,
    /// Nothing is wrong.
    Good,
}

/// How long an input that failed is not taken as reliable.
pub(super) fn hold_ms(failover: &Failover) -> u64 {
    if failover.return_ms == 0 { HOLD_MS } else { failover.return_ms }
}

/// The fault of having been silent since then.
pub(super) fn silence_since(last: Micros, failover: &Failover, now: Micros) -> Option<Why> {
    let ms = now.millis_since(last);
    (ms >= failover.silence_ms).then_some(Why::Silent { ms })
}

impl Health {
    /// What is wrong with an input that was heard, the worst first.
    pub(super) fn fault(&self, failover: &Failover, now: Micros) -> Option<Why> {
        let silence = silence_since(self.last_packet?, failover, now);
        silence.or_else(|| self.breakage(failover, now)).or_else(|| self.impairment(failover))
    }

    pub(super) fn rank(&self, failover: &Failover, now: Micros) -> Rank {
        let Some(last) = self.last_packet else { return Rank::Silent };
        // An input on air may be without tables for a while; one that is to go on air must have had them
        // since it was heard.
        let is_there = |table: Option<Micros>| table.is_some() && table >= self.heard_since;
        let lacks_tables =
            failover.tables_ms > 0 && !(is_there(self.last_pat) && is_there(self.last_pmt));
        if silence_since(last, failover, now).is_some() {
            Rank::Silent
        } else if lacks_tables || self.breakage(failover, now).is_some() {
            Rank::Broken
        } else if self.impairment(failover).is_some() {
            Rank::Impaired
        } else {
            Rank::Good
        }
    }

    fn breakage(&self, failover: &Failover, now: Micros) -> Option<Why> {
        if !self.is_in_sync {
            return Some(Why::OutOfSync);
        }
        // What was missing during a silence is looked for from its end on.
        let begin = self.heard_since.unwrap_or_default();
        let missing = |last: Option<Micros>, limit_ms: u64| {
            let ms = now.millis_since(last.unwrap_or(begin).max(begin));
            (limit_ms > 0 && ms > limit_ms).then_some(ms)
        };
        let no_table =
            |table, last| missing(last, failover.tables_ms).map(|ms| Why::NoTable { table, ms });
        let no_track = || {
            let last = self.last_tracks?;
            missing(Some(last), failover.tracks_ms).map(|ms| Why::NoTrack { ms })
        };
        let scrambled = || (failover.scrambled && self.is_scrambled).then_some(Why::Scrambled);
        no_table(Table::Pat, self.last_pat)
            .or_else(|| no_table(Table::Pmt, self.last_pmt))
            .or_else(no_track)
            .or_else(scrambled)
    }

    fn impairment(&self, failover: &Failover) -> Option<Why> {
        let count = self.continuity_errors;
        let count_max = u64::from(failover.continuity_errors_max);
        if count_max > 0 && count > count_max {
            return Some(Why::ContinuityErrors { count });
        }
        let min_kbps = u64::from(failover.bitrate_min_kbps);
        let kbps = self.bitrate_kbps.filter(|&kbps| kbps < min_kbps)?;
        Some(Why::BitrateLow { kbps, min_kbps })
    }
}

impl Why {
    /// Every label, for a counter of each.
    pub const LABELS: [&str; 8] = [
        "silent",
        "out_of_sync",
        "no_tables",
        "no_tracks",
        "scrambled",
        "continuity_errors",
        "bitrate_low",
        "preferred",
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        Self::LABELS.get(self.index()).copied().unwrap_or_default()
    }

    /// Place of the label in [`LABELS`](Self::LABELS).
    pub fn index(self) -> usize {
        match self {
            Self::Silent { .. } => 0,
            Self::OutOfSync => 1,
            Self::NoTable { .. } => 2,
            Self::NoTrack { .. } => 3,
            Self::Scrambled => 4,
            Self::ContinuityErrors { .. } => 5,
            Self::BitrateLow { .. } => 6,
            Self::Preferred { .. } => 7,
        }
    }

    /// Something is wrong with the input that is left.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Preferred { .. })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { ms } => write!(f, "no packets for {ms} ms"),
            Self::OutOfSync => write!(f, "out of sync: what comes is no transport stream"),
            Self::NoTable { table: Table::Pat, ms } => write!(f, "no PAT for {ms} ms"),
            Self::NoTable { table: Table::Pmt, ms } => write!(f, "no PMT for {ms} ms"),
            Self::NoTrack { ms } => write!(f, "a video or audio PID without packets for {ms} ms"),
            Self::Scrambled => write!(f, "scrambled"),
            Self::ContinuityErrors { count } => {
                write!(f, "{count} wrong continuity counters in a second")
            }
            Self::BitrateLow { kbps, min_kbps } => {
                write!(f, "{kbps} kbit/s, less than {min_kbps} kbit/s")
            }
            Self::Preferred { good_ms } => {
                write!(f, "the preferred input is good for {good_ms} ms")
            }
        }
    }
}

/// The hold-down of impaired inputs where there is no way back.
const HOLD_MS: u64 = 10_000;
