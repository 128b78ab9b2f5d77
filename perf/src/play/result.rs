//! What the players saw, added up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PlayConfig;
use crate::figures::{Distribution, Spread, Summary};

/// Counted by one thread.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) joined: u64,
    pub(super) rejoined: u64,
    pub(super) failed: u64,
    pub(super) left_early: u64,
    pub(super) closed: u64,
    pub(super) slow_closed: u64,
    pub(super) stalls: u64,
    pub(super) timestamp_errors: u64,
    pub(super) frames_missed: u64,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) joins: Distribution,
    pub(super) latency: Distribution,
    pub(super) interarrival: Distribution,
    /// Bytes within the window of each player that played to its end, the slow ones aside.
    pub(super) window_bytes: Vec<u64>,
    /// Bytes within the window of everybody.
    pub(super) window_bytes_sum: u64,
}

impl Tally {
    /// Forgets what belongs to the window only.
    pub(super) fn open_window(&mut self) {
        self.latency.clear();
        self.interarrival.clear();
        self.stalls = 0;
        self.timestamp_errors = 0;
        self.frames_missed = 0;
    }

    /// Counts why a connection ended.
    pub(super) fn reason(&mut self, why: String) {
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&why) {
            *self.reasons.entry(why).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.joined += other.joined;
        self.rejoined += other.rejoined;
        self.failed += other.failed;
        self.left_early += other.left_early;
        self.closed += other.closed;
        self.slow_closed += other.slow_closed;
        self.stalls += other.stalls;
        self.timestamp_errors += other.timestamp_errors;
        self.frames_missed += other.frames_missed;
        for (why, count) in other.reasons {
            *self.reasons.entry(why).or_default() += count;
        }
        self.joins.add(&other.joins);
        self.latency.add(&other.latency);
        self.interarrival.add(&other.interarrival);
        self.window_bytes.extend(other.window_bytes);
        self.window_bytes_sum += other.window_bytes_sum;
    }

    pub(super) fn into_result(
        self,
        protocol: &str,
        config: &PlayConfig,
        window_s: f64,
    ) -> PlayResult {
        let per_player: Vec<f64> = self.window_bytes.iter().map(|bytes| *bytes as f64).collect();
        let bursts = self.interarrival.summary_us();
        PlayResult {
            protocol: protocol.to_owned(),
            players: config.players as u64,
            slow_players: config.slow.iter().map(|(players, _)| *players as u64).sum(),
            joined: self.joined,
            rejoined: self.rejoined,
            failed: self.failed,
            left_early: self.left_early,
            closed: self.closed,
            slow_closed: self.slow_closed,
            reasons: self.reasons,
            window_s,
            bytes: self.window_bytes_sum,
            delivered_mbps: self.window_bytes_sum as f64 * 8.0 / 1e6 / window_s.max(1e-6),
            bytes_per_player: Spread::of(&per_player),
            stalls: self.stalls,
            timestamp_errors: self.timestamp_errors,
            frames_missed: self.frames_missed,
            join_ms: self.joins.summary_ms(),
            latency_us: self.latency.summary_us(),
            interarrival_us: bursts,
            burst_ms: bursts.map(|gaps| gaps.p50 / 1e3),
        }
    }
}

/// What a run of players saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PlayResult {
    /// `rtmp`, `http-flv`, `ws-flv` or `http`.
    pub protocol: String,
    /// Players asked for, without the slow ones.
    pub players: u64,
    /// Slow players asked for.
    pub slow_players: u64,
    /// Players, slow ones included, that got their first keyframe.
    pub joined: u64,
    /// Joins of players that had left on purpose.
    pub rejoined: u64,
    /// Players that got no keyframe: refused, closed before it, or it took longer than the time to
    /// join.
    pub failed: u64,
    /// Players whose join was cut off by the end of the run before that time was over.
    pub left_early: u64,
    /// Players that the server closed while they played, the slow ones aside.
    pub closed: u64,
    /// Slow players that the server closed.
    pub slow_closed: u64,
    /// Why connections failed or closed, and how many of them for that reason.
    pub reasons: BTreeMap<String, u64>,
    /// Length of the window in seconds.
    pub window_s: f64,
    /// Bytes delivered within the window.
    pub bytes: u64,
    /// The same as a rate, in Mbit/s.
    pub delivered_mbps: f64,
    /// Bytes within the window per player that played to the end.
    pub bytes_per_player: Spread,
    /// Times that a player, slow ones aside, got nothing for more than a second.
    pub stalls: u64,
    /// Messages of sampled players whose time lay before that of the one before on the same track.
    pub timestamp_errors: u64,
    /// Stamped frames that sampled players did not get.
    pub frames_missed: u64,
    /// From connecting to the first whole keyframe, in milliseconds.
    pub join_ms: Option<Summary>,
    /// From publishing to arrival, in microseconds, of frames that were stamped.
    pub latency_us: Option<Summary>,
    /// Between the beginnings of bursts at one sampled player, in microseconds.
    pub interarrival_us: Option<Summary>,
    /// The burst interval that players saw: the median of the above, in milliseconds.
    pub burst_ms: Option<f64>,
}

/// Enough to see what is wrong; the rest would be more of the same.
const REASONS_MAX: usize = 16;
