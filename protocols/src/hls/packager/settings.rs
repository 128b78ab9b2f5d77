//! What can be set of a packager, and what it counts.

use crate::hls::encrypt::SampleKey;
use crate::hls::segment::{Form, longest_segment, target_duration_s};

/// Where a packager cuts, and what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The container.
    pub form: Form,
    /// A segment ends at the first entry point when it is this long, in ms; 500 to 60,000.
    pub segment_ms: u32,
    /// A segment without an entry point ends after this, in ms: at least `segment_ms`. Once the first
    /// segment has fixed the target duration, it ends after [`longest_segment`] as well. The segment
    /// behind it does not begin with a random-access picture, so that EXT-X-INDEPENDENT-SEGMENTS is
    /// not true of it; such cuts are counted.
    pub segment_ms_max: u32,
    /// The longest part, in ms; 50 to `segment_ms`.
    pub part_ms: u32,
    /// Bytes of a segment: one that grows above them ends there, and nothing follows until the next
    /// entry point.
    pub segment_bytes_max: usize,
    /// Name of the service in the SDT of a transport stream.
    pub service_name: String,
    /// Longest time between two PCRs of a transport stream, in ms: 5 to 100.
    pub pcr_interval_ms: u32,
    /// Longest time between two PATs and PMTs of a transport stream, in ms: 20 to 1,000.
    pub tables_interval_ms: u32,
    /// Data messages of a stream of access units become timed metadata (ID3). A transport stream
    /// then announces them from its beginning.
    pub timed_metadata: bool,
    /// Encrypts every frame (METHOD=SAMPLE-AES). Codecs without a form of that are left out, and so are
    /// the packets of a transport stream: take access units out of it.
    pub sample_key: Option<SampleKey>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            form: Form::Ts,
            segment_ms: 2_000,
            segment_ms_max: 10_000,
            part_ms: 500,
            segment_bytes_max: 64 << 20,
            service_name: String::new(),
            pcr_interval_ms: 40,
            tables_interval_ms: 500,
            timed_metadata: true,
            sample_key: None,
        }
    }
}

impl Settings {
    /// The longest that a segment may be, in ticks, when the first one was so long.
    pub(super) fn segment_ticks_max(&self, first_duration: Option<i64>) -> i64 {
        let set = i64::from(self.segment_ms_max.max(self.segment_ms)) * 90;
        let promised = |first| longest_segment(target_duration_s(self.segment_ms, first));
        first_duration.map_or(set, |first| set.min(promised(first)))
    }
}

/// Counts since the packager was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Complete segments of the main rendition.
    pub segments: u64,
    /// Of these, ended because they may not be longer: what follows does not begin with an entry
    /// point.
    pub forced_cuts: u64,
    /// Of these, ended by `segment_bytes_max`.
    pub oversized: u64,
    /// Discontinuities, of which segments tell: other sources, other codecs, gaps.
    pub discontinuities: u64,
    /// Gaps of the timeline that no segment could hold.
    pub gaps: u64,
    /// Frames left out: before an entry point, without their configuration, malformed.
    pub frames_left_out: u64,
}
