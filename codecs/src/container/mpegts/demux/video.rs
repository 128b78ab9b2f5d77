//! H.264 and H.265 byte streams into access units with length-prefixed NAL units.
//!
//! An access unit ends where the next one begins (ISO/IEC 14496-10 7.4.1.2.3, ISO/IEC 23008-2
//! 7.4.2.4.4), wherever PES packets start. Delimiters, filler and parameter sets are taken out; the
//! parameter sets make the configuration record. Both fields of a frame are one unit.
//!
//! Cost: the bytes are copied once, out of the packets; they are searched for start codes when a
//! PES packet starts and every 64 KiB.

use std::ops::Range;

use bytes::BytesMut;

use super::StreamFault;
use super::parameter_sets::ParameterSets;
use super::stream::{Found, Mark, Marks, Unit};
use super::timeline::Times;
use crate::access_unit::UnitKind;
use crate::codec::annexb::{find_start_code, to_length_prefixed, trim_zeros};
use crate::codec::{CodecId, h264, h265};

#[derive(Debug)]
pub(super) struct NalStream {
    codec: CodecId,
    /// From the start of the access unit that is being read.
    bytes: BytesMut,
    /// Its NAL units that are complete and kept.
    units: Vec<Range<usize>>,
    /// Start of the NAL unit that is being read, behind its start code.
    open: Option<usize>,
    /// Where the search for start codes goes on.
    scanned: usize,
    /// Search as soon as there are more bytes.
    is_scan_due: bool,
    picture: Picture,
    marks: Marks,
    sets: ParameterSets,
    last: Option<Times>,
    frame_ticks: i64,
    unit_bytes_max: usize,
}

/// What is known of the coded picture of an access unit from its slices that started.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    has_slice: bool,
    /// The first field of a frame, whose second one may follow: frame_num and bottom_field_flag.
    first_field: Option<(u32, bool)>,
    /// Where the access unit ends unless the second field follows.
    end: Option<usize>,
}

impl NalStream {
    /// `codec`: H.264 or H.265.
    pub(super) fn new(codec: CodecId, unit_bytes_max: usize) -> Self {
        Self {
            codec,
            bytes: BytesMut::new(),
            units: Vec::new(),
            open: None,
            scanned: 0,
            is_scan_due: false,
            picture: Picture::default(),
            marks: Marks::default(),
            sets: ParameterSets::default(),
            last: None,
            frame_ticks: DEFAULT_FRAME_TICKS,
            unit_bytes_max,
        }
    }

    /// A PES packet starts.
    pub(super) fn start(&mut self, times: Option<Times>, is_random_access: bool) {
        self.marks.add(Mark { at: self.bytes.len(), times, is_random_access });
        self.is_scan_due = true;
    }

    /// The next bytes of its payload.
    pub(super) fn data(&mut self, data: &[u8], on_found: &mut impl FnMut(Found)) {
        self.bytes.extend_from_slice(data);
        if self.is_scan_due || self.bytes.len() - self.scanned > SCAN_BYTES {
            self.is_scan_due = !self.scan(false, on_found);
        }
        if self.bytes.len() > self.unit_bytes_max {
            self.lose();
            on_found(Found::Fault(StreamFault::TooLong));
        }
    }

    /// Bytes are missing: the access unit is left out, and so is everything up to the next start of
    /// a PES packet. True when there was something to leave out.
    pub(super) fn lose(&mut self) -> bool {
        let had_bytes = !self.bytes.is_empty();
        self.bytes.clear();
        self.units.clear();
        self.marks.clear();
        (self.open, self.scanned, self.picture) = (None, 0, Picture::default());
        had_bytes
    }

    /// The stream ended: the last access unit is complete.
    pub(super) fn finish(&mut self, on_found: &mut impl FnMut(Found)) {
        self.scan(true, on_found);
        if let Some(open) = self.open.take() {
            self.close(open, trim_zeros(&self.bytes, open, self.bytes.len()));
        }
        self.emit(self.bytes.len(), on_found);
        self.lose();
    }

    /// Looks for NAL units in the bytes that were not looked at. False when one started of which
    /// more bytes are needed to tell what it is.
    fn scan(&mut self, is_final: bool, on_found: &mut impl FnMut(Found)) -> bool {
        while let Some(at) = find_start_code(&self.bytes, self.scanned) {
            let start = at + START_CODE_SIZE;
            let unit = self.bytes.get(start..).unwrap_or_default();
            if !is_final && !self.is_enough(unit) {
                self.scanned = at;
                return false;
            }
            let (start, end) = match self.open.take() {
                Some(open) => {
                    let end = trim_zeros(&self.bytes, open, at);
                    self.close(open, end);
                    (start, end)
                }
                // In front of the first start code of all there is no NAL unit.
                None => {
                    let zeros = trim_back(&self.bytes, at);
                    self.cut(at - zeros);
                    (zeros + START_CODE_SIZE, 0)
                }
            };
            let start = self.open_unit(start, end, on_found);
            self.open = Some(start);
            self.scanned = start;
        }
        self.scanned = self.scanned.max(self.bytes.len().saturating_sub(2));
        true
    }

    /// True when the front of a NAL unit is there, or all of it.
    fn is_enough(&self, unit: &[u8]) -> bool {
        let is_slice = match self.codec {
            CodecId::H264 => is_h264_slice(h264::nal::nal_type(unit)),
            _ => h265::nal::nal_type(unit) <= h265::nal::TYPE_VCL_LAST,
        };
        let needed = if is_slice { h264::nal::SLICE_START_BYTES } else { 2 };
        unit.len() >= needed || find_start_code(unit, 0).is_some()
    }

    /// Decides whether the NAL unit at `start`, the one before it having ended at `end`, begins an
    /// access unit, and hands out the one before in that case. Returns where the NAL unit is then.
    fn open_unit(&mut self, start: usize, end: usize, on_found: &mut impl FnMut(Found)) -> usize {
        let unit = self.bytes.get(start..).unwrap_or_default();
        let cut = match self.codec {
            CodecId::H264 => self.picture.follow_h264(unit, end, &self.sets),
            _ => self.picture.follow_h265(unit, end),
        };
        match cut {
            None => start,
            Some(cut) => {
                self.emit(cut, on_found);
                start.saturating_sub(cut)
            }
        }
    }

    /// The NAL unit from `start` to `end` is complete.
    fn close(&mut self, start: usize, end: usize) {
        let Some(unit) = self.bytes.get(start..end).filter(|unit| !unit.is_empty()) else {
            return;
        };
        let is_kept = match self.codec {
            CodecId::H264 => self.sets.keep_h264(unit),
            _ => self.sets.keep_h265(unit),
        };
        if is_kept {
            self.units.push(start..end);
        }
    }

    /// Takes the first `size` bytes out of the buffer.
    fn cut(&mut self, size: usize) -> BytesMut {
        self.marks.advance(size);
        self.scanned = self.scanned.saturating_sub(size);
        self.bytes.split_to(size.min(self.bytes.len()))
    }

    /// Hands out the access unit that ends at `end`.
    fn emit(&mut self, end: usize, on_found: &mut impl FnMut(Found)) {
        let count = self.units.iter().take_while(|unit| unit.end <= end).count();
        let first_at = first_unit_at(&self.bytes);
        let mark = self.marks.take(first_at);
        let bytes = self.cut(end);
        let mut units: Vec<_> = self.units.drain(..count).collect();
        for unit in &mut self.units {
            *unit = unit.start.saturating_sub(end)..unit.end.saturating_sub(end);
        }
        units.retain(|unit| unit.end <= bytes.len());
        let Some(times) = self.times(mark.and_then(|mark| mark.times)) else {
            return;
        };
        let content = Content::of(self.codec, &bytes, &units);
        if !content.has_slice {
            return;
        }
        if let Some(config) = self.sets.changed_record(self.codec) {
            on_found(Found::config(self.codec, times.dts, config));
            self.frame_ticks = self.sets.frame_ticks(self.codec).unwrap_or(self.frame_ticks);
        }
        if !self.sets.has_record() {
            return on_found(Found::Fault(StreamFault::NoConfig));
        }
        let is_marked = mark.is_some_and(|mark| mark.is_random_access) && content.is_intra;
        let random_access = content.is_random_access || is_marked;
        let kind = UnitKind::Frame { random_access };
        let payload = to_length_prefixed(bytes, &units);
        on_found(Found::Unit(Unit { kind, codec: self.codec, times, payload }));
    }

    /// The times of the PES packet, or those of the last picture and a step; `None` before the
    /// first PES packet with times.
    fn times(&mut self, times: Option<Times>) -> Option<Times> {
        let times = match (times, self.last) {
            (Some(times), _) => times,
            (None, Some(last)) => {
                let dts = last.dts + self.frame_ticks;
                Times { dts, pts: dts }
            }
            (None, None) => return None,
        };
        self.last = Some(times);
        Some(times)
    }
}

impl Picture {
    /// Where the access unit ends when this NAL unit begins the next one.
    fn follow_h264(&mut self, unit: &[u8], end: usize, sets: &ParameterSets) -> Option<usize> {
        let nal_type = h264::nal::nal_type(unit);
        if !is_h264_slice(nal_type) {
            let is_in_front = matches!(nal_type, 6..=9 | 14..=18);
            if !self.has_slice || !is_in_front {
                return None;
            }
            if self.first_field.is_some() {
                self.end.get_or_insert(end);
                return None;
            }
            *self = Self::default();
            return Some(end);
        }
        let slice = h264::nal::SliceStart::parse(unit)?;
        let field = sets.h264_field(unit, &slice);
        if self.has_slice && slice.is_first {
            let is_second = match (self.first_field.take(), field) {
                (Some((frame, bottom)), Some((other_frame, other_bottom))) => {
                    frame == other_frame && bottom != other_bottom
                }
                _ => false,
            };
            let end = self.end.take().unwrap_or(end);
            if !is_second {
                *self = Self { has_slice: true, first_field: field, end: None };
                return Some(end);
            }
        } else if !self.has_slice {
            *self = Self { has_slice: true, first_field: field, end: None };
        }
        None
    }

    /// Like [`follow_h264`](Self::follow_h264). Further layers belong to the picture before them.
    fn follow_h265(&mut self, unit: &[u8], end: usize) -> Option<usize> {
        let nal_type = h265::nal::nal_type(unit);
        if h265::nal::layer_id(unit) != 0 {
            return None;
        }
        let is_slice = nal_type <= h265::nal::TYPE_VCL_LAST;
        let begins = if is_slice {
            h265::nal::is_first_slice(unit)
        } else {
            h265::nal::is_in_front_of_slices(nal_type)
        };
        let cut = (self.has_slice && begins).then_some(end);
        self.has_slice = is_slice || (self.has_slice && cut.is_none());
        cut
    }
}

/// What the NAL units of an access unit tell of it.
#[derive(Default)]
struct Content {
    has_slice: bool,
    is_intra: bool,
    is_random_access: bool,
}

impl Content {
    fn of(codec: CodecId, bytes: &[u8], units: &[Range<usize>]) -> Self {
        let mut content = Self { is_intra: true, ..Self::default() };
        for unit in units.iter().filter_map(|unit| bytes.get(unit.clone())) {
            match codec {
                CodecId::H264 => content.add_h264(unit),
                _ => content.add_h265(unit),
            }
        }
        content
    }

    fn add_h264(&mut self, unit: &[u8]) {
        match h264::nal::nal_type(unit) {
            h264::nal::TYPE_IDR => (self.has_slice, self.is_random_access) = (true, true),
            h264::nal::TYPE_SEI => self.is_random_access |= h264::nal::has_recovery_point(unit),
            nal_type if is_h264_slice(nal_type) => {
                self.has_slice = true;
                let slice = h264::nal::SliceStart::parse(unit);
                self.is_intra &= slice.is_some_and(|slice| slice.is_intra);
            }
            _ => {}
        }
    }

    fn add_h265(&mut self, unit: &[u8]) {
        let nal_type = h265::nal::nal_type(unit);
        if nal_type <= h265::nal::TYPE_VCL_LAST {
            self.has_slice = true;
            let irap = h265::nal::TYPE_IRAP_FIRST..=h265::nal::TYPE_IRAP_LAST;
            self.is_random_access |= irap.contains(&nal_type);
            self.is_intra = false; // is not read; IRAP says it all
        }
    }
}

fn is_h264_slice(nal_type: u8) -> bool {
    matches!(nal_type, h264::nal::TYPE_SLICE | h264::nal::TYPE_PARTITION_A | h264::nal::TYPE_IDR)
}

/// Zeros in front of `at`.
fn trim_back(bytes: &[u8], at: usize) -> usize {
    let before = bytes.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|&&byte| byte == 0).count()
}

/// Where the first start code is. A zero in front of it counts to what was before: multiplexers put
/// zeros there, and begin PES packets with a start code.
fn first_unit_at(bytes: &[u8]) -> usize {
    find_start_code(bytes, 0).unwrap_or(0)
}

const START_CODE_SIZE: usize = 3;
/// Bounds how long the end of an access unit in the middle of a PES packet is overlooked.
const SCAN_BYTES: usize = 64 << 10;
/// 25 pictures a second, until a parameter set says otherwise.
const DEFAULT_FRAME_TICKS: i64 = 3_600;

#[cfg(test)]
mod tests;
