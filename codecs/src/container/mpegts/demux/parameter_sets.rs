//! The parameter sets of an H.264 or H.265 stream, and the configuration record that they make.

use bytes::Bytes;

use crate::codec::{CodecId, h264, h265};

/// The parameter sets in force, by their ids, and the record that was made of them.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    vps: Vec<(u32, Bytes)>,
    sps: Vec<(u32, Bytes)>,
    pps: Vec<(u32, Bytes)>,
    is_changed: bool,
    record: Bytes,
    h264_sps: Vec<h264::nal::SpsFields>,
    h264_pps: Vec<(u32, u32)>,
}

impl ParameterSets {
    /// Takes parameter sets; true for units that stay in the access unit.
    pub(super) fn keep_h264(&mut self, unit: &[u8]) -> bool {
        match h264::nal::nal_type(unit) {
            h264::nal::TYPE_SPS => {
                if let Some(fields) = h264::nal::SpsFields::parse(unit)
                    && put(&mut self.sps, fields.id, unit)
                {
                    self.is_changed = true;
                    self.h264_sps.retain(|other| other.id != fields.id);
                    self.h264_sps.push(fields);
                }
                false
            }
            h264::nal::TYPE_PPS => {
                if let Some((id, sps_id)) = h264::nal::pps_ids(unit)
                    && put(&mut self.pps, id, unit)
                {
                    self.is_changed = true;
                    self.h264_pps.retain(|(other, _)| *other != id);
                    self.h264_pps.push((id, sps_id));
                }
                false
            }
            nal_type => !matches!(nal_type, h264::nal::TYPE_AUD | h264::nal::TYPE_FILLER),
        }
    }

    /// Like [`keep_h264`](Self::keep_h264).
    pub(super) fn keep_h265(&mut self, unit: &[u8]) -> bool {
        use h265::nal;
        let (list, id) = match nal::nal_type(unit) {
            _ if nal::layer_id(unit) != 0 => return false,
            nal::TYPE_VPS => (&mut self.vps, nal::vps_id(unit)),
            nal::TYPE_SPS => (&mut self.sps, nal::SpsFields::parse(unit).map(|sps| sps.id)),
            nal::TYPE_PPS => (&mut self.pps, nal::pps_id(unit)),
            nal_type => return !matches!(nal_type, nal::TYPE_AUD | nal::TYPE_FILLER),
        };
        self.is_changed |= id.is_some_and(|id| put(list, id, unit));
        false
    }

    /// The configuration record, when it is another one than last time.
    pub(super) fn changed_record(&mut self, codec: CodecId) -> Option<Bytes> {
        if !std::mem::take(&mut self.is_changed) || self.sps.is_empty() || self.pps.is_empty() {
            return None;
        }
        fn units(list: &[(u32, Bytes)]) -> Vec<&[u8]> {
            list.iter().map(|(_, unit)| unit.as_ref()).collect()
        }
        let (vps, sps, pps) = (units(&self.vps), units(&self.sps), units(&self.pps));
        let record = match codec {
            CodecId::H264 => h264::nal::configuration_record(&sps, &pps),
            _ => h265::nal::configuration_record(&vps, &sps, &pps),
        };
        let record = Bytes::from(record?);
        (record != self.record).then(|| {
            self.record = record.clone();
            record
        })
    }

    /// True when frames can be decoded.
    pub(super) fn has_record(&self) -> bool {
        !self.record.is_empty()
    }

    /// Duration of a picture by the first sequence parameter set.
    pub(super) fn frame_ticks(&self, codec: CodecId) -> Option<i64> {
        let (_, sps) = self.sps.first()?;
        let rate = match codec {
            CodecId::H264 => h264::Sps::parse(sps)?.frame_rate,
            _ => h265::Sps::parse(sps)?.frame_rate,
        };
        (1.0..=1000.0).contains(&rate).then(|| (90_000.0 / rate).round() as i64)
    }

    /// frame_num and bottom_field_flag of a slice of a field.
    pub(super) fn h264_field(
        &self,
        unit: &[u8],
        slice: &h264::nal::SliceStart,
    ) -> Option<(u32, bool)> {
        let (_, sps_id) = self.h264_pps.iter().find(|(id, _)| *id == slice.pps_id)?;
        let sps = self.h264_sps.iter().find(|sps| sps.id == *sps_id)?;
        if sps.is_frames_only {
            return None;
        }
        let (frame_num, bottom) = slice.field(unit, sps)?;
        Some((frame_num, bottom?))
    }
}

/// Puts a parameter set in its place; true when it was another one, or none.
fn put(list: &mut Vec<(u32, Bytes)>, id: u32, unit: &[u8]) -> bool {
    if unit.len() > usize::from(u16::MAX) {
        return false;
    }
    match list.binary_search_by_key(&id, |(id, _)| *id) {
        Ok(index) => match list.get_mut(index) {
            Some((_, known)) if known != unit => {
                *known = Bytes::copy_from_slice(unit);
                true
            }
            _ => false,
        },
        Err(index) => {
            list.insert(index, (id, Bytes::copy_from_slice(unit)));
            true
        }
    }
}
