//! What HLS players saw, added up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::playlist::MediaPlaylist;
use super::{HlsConfig, Manner};
use crate::figures::{Distribution, Summary};
use crate::play::PlayResult;

/// Counted by one thread.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) joined: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
    pub(super) playlists: u64,
    pub(super) segments: u64,
    pub(super) parts: u64,
    pub(super) unstamped: u64,
    pub(super) missed: u64,
    pub(super) errors: u64,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) joins: Distribution,
    pub(super) playlist_time: Distribution,
    pub(super) segment_time: Distribution,
    pub(super) part_latency: Distribution,
    target_duration_s: f64,
    part_target_s: Option<f64>,
}

impl Tally {
    /// Forgets what belongs to the window only.
    pub(super) fn open_window(&mut self) {
        let counts = [
            &mut self.bytes,
            &mut self.playlists,
            &mut self.segments,
            &mut self.parts,
            &mut self.unstamped,
            &mut self.missed,
            &mut self.errors,
        ];
        counts.into_iter().for_each(|count| *count = 0);
        for times in [&mut self.playlist_time, &mut self.segment_time, &mut self.part_latency] {
            times.clear();
        }
    }

    /// Notes what a playlist says of lengths.
    pub(super) fn durations(&mut self, media: &MediaPlaylist) {
        self.target_duration_s = media.target_duration.as_secs_f64();
        self.part_target_s = media.part_target.map(|target| target.as_secs_f64());
    }

    /// Counts why something went wrong.
    pub(super) fn error(&mut self, why: String) {
        self.errors += 1;
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&why) {
            *self.reasons.entry(why).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.joined += other.joined;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.playlists += other.playlists;
        self.segments += other.segments;
        self.parts += other.parts;
        self.unstamped += other.unstamped;
        self.missed += other.missed;
        self.errors += other.errors;
        for (why, count) in other.reasons {
            *self.reasons.entry(why).or_default() += count;
        }
        self.joins.add(&other.joins);
        self.playlist_time.add(&other.playlist_time);
        self.segment_time.add(&other.segment_time);
        self.part_latency.add(&other.part_latency);
        self.target_duration_s = self.target_duration_s.max(other.target_duration_s);
        self.part_target_s = self.part_target_s.or(other.part_target_s);
    }

    pub(super) fn into_result(self, config: &HlsConfig, window_s: f64) -> HlsResult {
        let window_s = window_s.max(1e-6);
        HlsResult {
            manner: config.manner,
            players: config.players as u64,
            joined: self.joined,
            failed: self.failed,
            window_s,
            bytes: self.bytes,
            delivered_mbps: self.bytes as f64 * 8e-6 / window_s,
            playlists: self.playlists,
            playlists_per_s: self.playlists as f64 / window_s,
            segments: self.segments,
            parts: self.parts,
            unstamped: self.unstamped,
            missed: self.missed,
            errors: self.errors,
            reasons: self.reasons,
            join_ms: self.joins.summary_ms(),
            playlist_us: self.playlist_time.summary_us(),
            segment_us: self.segment_time.summary_us(),
            part_latency_us: self.part_latency.summary_us(),
            target_duration_s: self.target_duration_s,
            part_target_s: self.part_target_s,
        }
    }
}

/// What a run of HLS players saw. Counts are those of the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HlsResult {
    /// What they did.
    pub manner: Manner,
    /// Players asked for.
    pub players: u64,
    /// Players that got their first segment (part, playlist).
    pub joined: u64,
    /// Players that got none.
    pub failed: u64,
    /// Length of the window in seconds.
    pub window_s: f64,
    /// Bytes received, with the answers' heads.
    pub bytes: u64,
    /// The same as a rate, in Mbit/s.
    pub delivered_mbps: f64,
    /// Media playlists received.
    pub playlists: u64,
    /// The same per second.
    pub playlists_per_s: f64,
    /// Segments received whole.
    pub segments: u64,
    /// Parts received whole.
    pub parts: u64,
    /// Parts without the time their first frame was sent.
    pub unstamped: u64,
    /// Segments or parts that were gone before they were asked for.
    pub missed: u64,
    /// Answers that said no or were wrong, connections that ended, playlists that went back.
    pub errors: u64,
    /// Why, and how many for that reason, from the beginning.
    pub reasons: BTreeMap<String, u64>,
    /// From the first request to the first segment, in milliseconds.
    pub join_ms: Option<Summary>,
    /// From a request for a playlist to its last byte, in microseconds.
    pub playlist_us: Option<Summary>,
    /// From a request for a segment to its last byte, in microseconds.
    pub segment_us: Option<Summary>,
    /// From the sending of a part's first frame to the arrival of its last byte, in microseconds.
    pub part_latency_us: Option<Summary>,
    /// EXT-X-TARGETDURATION, in seconds.
    pub target_duration_s: f64,
    /// PART-TARGET, in seconds.
    pub part_target_s: Option<f64>,
}

impl HlsResult {
    /// The same as other players' figures, as far as they have them.
    pub fn as_played(&self) -> PlayResult {
        PlayResult {
            protocol: "hls".to_owned(),
            players: self.players,
            joined: self.joined,
            failed: self.failed,
            closed: self.errors,
            reasons: self.reasons.clone(),
            window_s: self.window_s,
            bytes: self.bytes,
            delivered_mbps: self.delivered_mbps,
            frames_missed: self.missed,
            join_ms: self.join_ms,
            ..PlayResult::default()
        }
    }
}

/// Enough to see what is wrong; the rest would be more of the same.
const REASONS_MAX: usize = 16;
