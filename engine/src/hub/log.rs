//! The egress log: muxed bytes of one stream, in one form, on one core.
//!
//! One structure is the GOP cache, the queue of every viewer, the burst for a late joiner and the base of
//! the slow-viewer policy. It is a contiguous byte stream in fixed segments: a viewer's place in it is a
//! byte offset, and a flush of any length is a handful of iovecs.
//!
//! Invariants
//! - Offsets only grow; a chunk (one whole message) has one offset for ever.
//! - `tail <= newest entry point <= edge`, and every byte from `tail` to `edge` is readable.
//! - Segments are charged to the memory budget from the moment they are taken.

use std::collections::VecDeque;
use std::io::IoSlice;

use corelay_codecs::{ByteSink, Timestamp};
use smallvec::SmallVec;

use super::memory::{SEGMENT_BYTES, Segment, SegmentPool};
use crate::clock::Micros;

/// The slices of one gathered write.
pub type Gather<'a> = SmallVec<[IoSlice<'a>; 16]>;

/// See the module.
#[derive(Debug)]
pub struct EgressLog {
    segments: VecDeque<Segment>,
    /// Offset of the first byte of `segments[0]`.
    base: u64,
    /// Oldest readable chunk.
    tail: u64,
    /// End of the newest chunk.
    edge: u64,
    chunks: VecDeque<ChunkMark>,
    /// The latest time of any chunk, whether it is still readable or not.
    reached: Timestamp,
    newest_entry: Option<u64>,
    pool: SegmentPool,
}

/// Where a chunk begins and what time it carries.
#[derive(Clone, Copy, Debug)]
struct ChunkMark {
    at: u64,
    time: Timestamp,
    /// The latest time up to here: tracks are not interleaved exactly, and this is sorted.
    reached: Timestamp,
    received: Micros,
}

impl EgressLog {
    /// An empty log that takes its memory from `pool`.
    pub fn new(pool: SegmentPool) -> Self {
        pool.log_opened();
        Self {
            segments: VecDeque::new(),
            base: 0,
            tail: 0,
            edge: 0,
            chunks: VecDeque::new(),
            reached: Timestamp(0),
            newest_entry: None,
            pool,
        }
    }

    /// End of the newest chunk: where a viewer that has everything stands.
    pub fn edge(&self) -> u64 {
        self.edge
    }

    /// Oldest readable offset.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Memory taken from the pool.
    pub fn memory_bytes(&self) -> u64 {
        (self.segments.len() * SEGMENT_BYTES) as u64
    }

    /// Offset of the newest chunk at which a viewer may start.
    pub fn newest_entry(&self) -> Option<u64> {
        self.newest_entry
    }

    /// No viewer may start before the next entry point: what a decoder needs has changed.
    pub fn forget_entry(&mut self) {
        self.newest_entry = None;
    }

    /// Appends one chunk of stream time `time`: whatever `write` puts. Nothing is kept when it puts
    /// nothing. True when a chunk was added.
    pub fn append(
        &mut self,
        time: Timestamp,
        received: Micros,
        entry_point: bool,
        write: impl FnOnce(&mut Self) -> bool,
    ) -> bool {
        let at = self.edge;
        if !write(self) || self.edge == at {
            return false;
        }
        self.reached = self.reached.max(time);
        self.chunks.push_back(ChunkMark { at, time, reached: self.reached, received });
        if entry_point {
            self.newest_entry = Some(at);
        }
        true
    }

    /// Time of the chunk that holds `at`; the latest time when `at` is the edge.
    pub fn time_at(&self, at: u64) -> Timestamp {
        self.mark_at(at).filter(|_| at < self.edge).map_or(self.reached, |mark| mark.time)
    }

    /// When the chunk that holds `at` was received from the publisher.
    pub fn received_at(&self, at: u64) -> Option<Micros> {
        self.mark_at(at).map(|mark| mark.received)
    }

    /// Milliseconds of media between `at` and the edge.
    pub fn behind_ms(&self, at: u64) -> u64 {
        let reached = self.mark_at(at).map_or(self.reached, |mark| mark.reached);
        (self.reached - reached) as u64 / Timestamp::TICKS_PER_MS as u64
    }

    /// Milliseconds of media that are readable.
    pub fn span_ms(&self) -> u64 {
        self.behind_ms(self.tail)
    }

    /// End of the chunk that holds `at`, or `at` itself when that is a boundary.
    pub fn chunk_end(&self, at: u64) -> u64 {
        let next = self.chunks.partition_point(|mark| mark.at < at);
        self.chunks.get(next).map_or(self.edge, |mark| mark.at)
    }

    /// Beginning of the chunk that holds `at`; `at` itself when that is a boundary.
    pub fn chunk_start(&self, at: u64) -> u64 {
        if at >= self.edge { self.edge } else { self.mark_at(at).map_or(self.tail, |mark| mark.at) }
    }

    /// The boundaries of the chunks from `from` (a boundary) on: begin and end of each.
    pub fn chunks_from(&self, from: u64) -> impl Iterator<Item = (u64, u64)> {
        let first = self.chunks.partition_point(|mark| mark.at < from);
        let ends = self.chunks.iter().skip(first + 1).map(|mark| mark.at).chain([self.edge]);
        self.chunks.iter().skip(first).map(|mark| mark.at).zip(ends)
    }

    /// Adds the bytes from `from` to `to` to a gathered write, as far as `slices_max` allows.
    ///
    /// # Cost
    /// One slice per segment touched.
    pub fn gather<'a>(&'a self, from: u64, to: u64, slices_max: usize, out: &mut Gather<'a>) {
        debug_assert!(self.tail <= from && to <= self.edge, "{from}..{to} is not in the log");
        let mut at = from;
        while at < to && out.len() < slices_max {
            let (index, offset) = self.locate(at);
            let bytes = (SEGMENT_BYTES - offset).min((to - at) as usize);
            out.push(IoSlice::new(&self.segments[index][offset..offset + bytes]));
            at += bytes as u64;
        }
    }

    /// Copies the bytes from `from` to `to`.
    pub fn copy(&self, from: u64, to: u64) -> Vec<u8> {
        let mut slices = Gather::new();
        self.gather(from, to, usize::MAX, &mut slices);
        let mut bytes = Vec::with_capacity((to - from) as usize);
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    /// Forgets everything before `keep`, which must be a chunk boundary.
    pub fn trim(&mut self, keep: u64) {
        debug_assert!(keep <= self.edge, "the future cannot be trimmed");
        if keep <= self.tail {
            return;
        }
        self.tail = keep;
        while self.chunks.front().is_some_and(|mark| mark.at < keep) {
            self.chunks.pop_front();
        }
        if self.newest_entry.is_some_and(|entry| entry < keep) {
            self.newest_entry = None;
        }
        while self.base + SEGMENT_BYTES as u64 <= keep {
            match self.segments.pop_front() {
                Some(segment) => self.pool.put(segment),
                None => break,
            }
            self.base += SEGMENT_BYTES as u64;
        }
    }

    /// The oldest boundary such that no more than `bytes_max` bytes and `ms_max` milliseconds follow it.
    pub fn limit(&self, bytes_max: u64, ms_max: u64) -> u64 {
        let by_bytes = self.edge.saturating_sub(bytes_max);
        let oldest = self.reached + -((ms_max.min(MS_MAX) as i64) * Timestamp::TICKS_PER_MS);
        let by_bytes = self.chunks.partition_point(|mark| mark.at < by_bytes);
        let by_time = self.chunks.partition_point(|mark| mark.reached < oldest);
        self.chunks.get(by_bytes.max(by_time)).map_or(self.edge, |mark| mark.at)
    }

    fn mark_at(&self, at: u64) -> Option<&ChunkMark> {
        let after = self.chunks.partition_point(|mark| mark.at <= at);
        self.chunks.get(after.checked_sub(1)?)
    }

    fn locate(&self, at: u64) -> (usize, usize) {
        let from_base = (at - self.base) as usize;
        (from_base / SEGMENT_BYTES, from_base % SEGMENT_BYTES)
    }
}

impl ByteSink for EgressLog {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (index, offset) = self.locate(self.edge);
            if index == self.segments.len() {
                self.segments.push_back(self.pool.take());
            }
            let part = bytes.len().min(SEGMENT_BYTES - offset);
            self.segments[index][offset..offset + part].copy_from_slice(&bytes[..part]);
            self.edge += part as u64;
            bytes = &bytes[part..];
        }
    }
}

impl Drop for EgressLog {
    fn drop(&mut self) {
        for segment in self.segments.drain(..) {
            self.pool.put(segment);
        }
        self.pool.log_closed();
    }
}

/// Longer than any log, short enough for arithmetic in ticks.
const MS_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use super::super::memory::Budget;
    use super::*;

    fn log() -> EgressLog {
        EgressLog::new(SegmentPool::new(Budget::new(1 << 30)))
    }

    fn append(log: &mut EgressLog, ms: i64, entry: bool, bytes: &[u8]) {
        let time = Timestamp::from_millis(ms);
        log.append(time, Micros(ms as u64 * 1_000), entry, |log| {
            log.put(bytes);
            true
        });
    }

    #[test]
    fn bytes_come_out_as_they_went_in_across_segments() {
        let mut log = log();
        let mut all = Vec::new();
        for k in 0..40u8 {
            let chunk = vec![k; 7_001];
            append(&mut log, i64::from(k), k % 10 == 0, &chunk);
            all.extend_from_slice(&chunk);
        }
        assert_eq!(log.copy(0, log.edge()), all);
        assert_eq!(log.copy(7_000, 7_003), [0, 1, 1]);
        log.trim(7_001 * 20);
        assert_eq!(log.copy(7_001 * 20, log.edge()), all[7_001 * 20..]);
        assert_eq!(log.newest_entry(), Some(7_001 * 30));
    }

    #[test]
    fn a_chunk_ends_where_the_next_begins() {
        let mut log = log();
        for k in 0..3 {
            append(&mut log, k, false, &[0; 100]);
        }
        assert_eq!(log.chunk_end(0), 0);
        assert_eq!(log.chunk_end(1), 100);
        assert_eq!(log.chunk_end(100), 100);
        assert_eq!(log.chunk_end(250), 300);
        assert_eq!(log.chunks_from(100).collect::<Vec<_>>(), [(100, 200), (200, 300)]);
    }

    #[test]
    fn limits_in_bytes_and_time_name_a_boundary() {
        let mut log = log();
        for k in 0..100 {
            append(&mut log, k * 40, false, &[0; 1_000]);
        }
        assert_eq!(log.limit(10_500, u64::MAX), 90_000);
        assert_eq!(log.limit(u64::MAX, 400), 89_000);
        assert_eq!(log.limit(u64::MAX, u64::MAX), 0);
        assert_eq!(log.span_ms(), 99 * 40);
        assert_eq!(log.behind_ms(50_500), 49 * 40);
    }

    #[test]
    fn trimming_returns_memory_and_an_empty_write_leaves_no_chunk() {
        let budget = Budget::new(1 << 30);
        let mut log = EgressLog::new(SegmentPool::new(budget.clone()));
        append(&mut log, 0, true, &vec![1; 5 * SEGMENT_BYTES]);
        assert_eq!(budget.used(), 5 * SEGMENT_BYTES as u64);
        assert!(!log.append(Timestamp(0), Micros(0), true, |_| false));
        assert_eq!(log.newest_entry(), Some(0));
        append(&mut log, 1, false, &[2; 10]);
        log.trim(5 * SEGMENT_BYTES as u64);
        assert_eq!(budget.used(), SEGMENT_BYTES as u64);
        assert_eq!(log.newest_entry(), None);
        drop(log);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn times_that_are_not_in_order_do_not_confuse_the_limit() {
        let mut log = log();
        for k in 0..100i64 {
            // Sound is a second behind the pictures, and a configuration carries its old time.
            let ms = if k % 2 == 0 { 10_000 + k * 40 } else { 9_000 + k * 40 };
            append(&mut log, if k == 99 { 0 } else { ms }, false, &[0; 100]);
        }
        assert_eq!(log.time_at(50), Timestamp::from_millis(10_000));
        assert_eq!(log.time_at(9_950), Timestamp(0));
        assert_eq!(log.limit(u64::MAX, 800), 100 * 78);
        assert_eq!(log.span_ms(), 98 * 40);
    }

    #[test]
    fn an_empty_log_remembers_what_time_it_is() {
        let mut log = log();
        append(&mut log, 5_000, true, &[0; 100]);
        log.trim(100);
        assert_eq!(log.time_at(100), Timestamp::from_millis(5_000));
        assert_eq!((log.behind_ms(100), log.span_ms(), log.newest_entry()), (0, 0, None));
        append(&mut log, 5_040, false, &[0; 100]);
        assert_eq!(log.behind_ms(100), 0);
        assert_eq!(log.chunk_start(150), 100);
        assert_eq!(log.chunk_start(200), 200);
    }
}
