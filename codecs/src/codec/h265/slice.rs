//! Where the header of a slice segment ends and its data begins (ISO/IEC 23008-2 7.3.6.1): encryption
//! leaves the header clear, for those who look at it before anything is decrypted.
//!
//! Not read, as no live encoder uses them: changed reference lists, screen content, layers.

use super::nal::{TYPE_IRAP_FIRST, TYPE_IRAP_LAST, TYPE_PPS, TYPE_SPS, layer_id, nal_type};
use super::{RefPicSet, read_short_term_ref_pic_sets, skip_scaling_lists, skip_sub_layer_levels};
use crate::codec::bits::{BitReader, header_size, unescape};

/// The parameter sets of a stream, by which its slices are read.
#[derive(Clone, Debug, Default)]
pub struct SliceReader {
    sequences: Vec<Sequence>,
    pictures: Vec<Picture>,
}

/// A sequence parameter set, as far as slices need it.
#[derive(Clone, Debug)]
struct Sequence {
    id: u32,
    has_separate_planes: bool,
    has_chroma: bool,
    /// Bits of slice_segment_address.
    address_bits: u32,
    order_bits: u32,
    has_sao: bool,
    sets: Vec<RefPicSet>,
    /// num_long_term_ref_pics_sps; `None` without long-term references.
    long_term: Option<u32>,
    has_temporal_vectors: bool,
}

/// A picture parameter set, as far as slices need it.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    id: u32,
    sequence: u32,
    has_dependent: bool,
    has_output_flag: bool,
    extra_bits: u32,
    has_cabac_init: bool,
    /// Active references of both lists, where a slice does not say.
    references: [u32; 2],
    has_chroma_qp: bool,
    has_chroma_qp_list: bool,
    is_weighted: bool,
    is_bi_weighted: bool,
    /// Of tiles or rows.
    has_entry_points: bool,
    is_filtered_across: bool,
    has_deblocking_override: bool,
    is_deblocking_disabled: bool,
    has_extension: bool,
}

/// slice_type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    B,
    P,
    I,
}

impl SliceReader {
    /// Takes a NAL unit of any type: keeps it if it is a parameter set that can be read.
    pub fn learn(&mut self, nal_unit: &[u8]) {
        match nal_type(nal_unit) {
            TYPE_SPS => {
                if let Some(sequence) = Sequence::parse(nal_unit) {
                    self.sequences.retain(|known| known.id != sequence.id);
                    self.sequences.push(sequence);
                }
            }
            TYPE_PPS => {
                if let Some(picture) = Picture::parse(nal_unit) {
                    self.pictures.retain(|known| known.id != picture.id);
                    self.pictures.push(picture);
                }
            }
            _ => {}
        }
    }

    /// True for a slice segment.
    pub fn is_slice(nal_unit: &[u8]) -> bool {
        matches!(nal_type(nal_unit), 0..=TYPE_SLICE_LAST | TYPE_IRAP_FIRST..=TYPE_IRAP_LAST)
    }

    /// Bytes of a slice segment's NAL unit up to its slice_segment_data(). `None` when the unit is no
    /// slice, its header cannot be read, or a parameter set that it needs did not come.
    pub fn header_size(&self, nal_unit: &[u8]) -> Option<usize> {
        if !Self::is_slice(nal_unit) || layer_id(nal_unit) != 0 {
            return None;
        }
        let front = nal_unit.get(..nal_unit.len().min(HEADER_BYTES_MAX))?;
        let rbsp = unescape(front);
        let mut reader = BitReader::new(rbsp.get(2..)?);
        self.skip_header(&mut reader, nal_type(nal_unit))?;
        // byte_alignment(): a bit and then zeros.
        reader.flag()?;
        header_size(front, 2 + reader.position().div_ceil(8))
    }

    fn skip_header(&self, reader: &mut BitReader<'_>, nal_type: u8) -> Option<()> {
        let is_first = reader.flag()?;
        if (TYPE_IRAP_FIRST..=TYPE_IRAP_LAST).contains(&nal_type) {
            let _no_output_of_prior_pics = reader.flag()?;
        }
        let id = reader.ue()?;
        let picture = self.pictures.iter().find(|known| known.id == id)?;
        let sequence = self.sequences.iter().find(|known| known.id == picture.sequence)?;
        let mut is_dependent = false;
        if !is_first {
            is_dependent = picture.has_dependent && reader.flag()?;
            let _slice_segment_address = reader.bits(sequence.address_bits)?;
        }
        if !is_dependent {
            skip_independent(reader, nal_type, sequence, picture)?;
        }
        if picture.has_entry_points {
            skip_entry_points(reader)?;
        }
        if picture.has_extension {
            let bytes = usize::try_from(reader.ue()?).ok()?;
            reader.skip(bytes.checked_mul(8)?)?;
        }
        Some(())
    }
}

/// What a dependent slice segment takes from the one before it.
fn skip_independent(
    reader: &mut BitReader<'_>,
    nal_type: u8,
    sequence: &Sequence,
    picture: &Picture,
) -> Option<()> {
    reader.skip(picture.extra_bits as usize)?;
    let kind = match reader.ue()? {
        0 => Kind::B,
        1 => Kind::P,
        2 => Kind::I,
        _ => return None,
    };
    if picture.has_output_flag {
        let _pic_output = reader.flag()?;
    }
    if sequence.has_separate_planes {
        let _colour_plane_id = reader.bits(2)?;
    }
    let mut has_temporal_vectors = false;
    if !matches!(nal_type, TYPE_IDR_W_RADL | TYPE_IDR_N_LP) {
        sequence.skip_references(reader)?;
        has_temporal_vectors = sequence.has_temporal_vectors && reader.flag()?;
    }
    let mut has_sao = false;
    if sequence.has_sao {
        has_sao = reader.flag()?;
        has_sao |= sequence.has_chroma && reader.flag()?;
    }
    if kind != Kind::I {
        skip_prediction(reader, kind, has_temporal_vectors, sequence, picture)?;
    }
    let _slice_qp_delta = reader.ue()?;
    if picture.has_chroma_qp {
        reader.skip_golomb(2)?;
    }
    if picture.has_chroma_qp_list {
        let _cu_chroma_qp_offset_enabled = reader.flag()?;
    }
    let mut is_deblocking_disabled = picture.is_deblocking_disabled;
    if picture.has_deblocking_override && reader.flag()? {
        is_deblocking_disabled = reader.flag()?;
        reader.skip_golomb(if is_deblocking_disabled { 0 } else { 2 })?;
    }
    if picture.is_filtered_across && (has_sao || !is_deblocking_disabled) {
        let _slice_loop_filter_across_slices = reader.flag()?;
    }
    Some(())
}

/// From num_ref_idx_active_override_flag to five_minus_max_num_merge_cand.
fn skip_prediction(
    reader: &mut BitReader<'_>,
    kind: Kind,
    has_temporal_vectors: bool,
    sequence: &Sequence,
    picture: &Picture,
) -> Option<()> {
    let mut references = picture.references;
    let lists = if kind == Kind::B { 2 } else { 1 };
    if reader.flag()? {
        for count in references.iter_mut().take(lists) {
            *count = read_count(reader)?;
        }
    }
    if kind == Kind::B {
        let _mvd_l1_zero = reader.flag()?;
    }
    if picture.has_cabac_init {
        let _cabac_init = reader.flag()?;
    }
    if has_temporal_vectors {
        let from_second = kind == Kind::B && !reader.flag()?;
        let [first, second] = references;
        if (if from_second { second } else { first }) > 1 {
            let _collocated_ref_idx = reader.ue()?;
        }
    }
    if picture.is_weighted && kind == Kind::P || picture.is_bi_weighted && kind == Kind::B {
        skip_weights(reader, sequence.has_chroma, references.get(..lists)?)?;
    }
    let _five_minus_max_num_merge_cand = reader.ue()?;
    Some(())
}

/// pred_weight_table(): 7.3.6.3.
fn skip_weights(reader: &mut BitReader<'_>, has_chroma: bool, lists: &[u32]) -> Option<()> {
    reader.skip_golomb(1 + u32::from(has_chroma))?; // denominators
    for &references in lists {
        let (mut luma, mut chroma) = (0, 0);
        for _ in 0..references {
            luma += u32::from(reader.flag()?);
        }
        for _ in 0..if has_chroma { references } else { 0 } {
            chroma += u32::from(reader.flag()?);
        }
        reader.skip_golomb(2 * luma + 4 * chroma)?;
    }
    Some(())
}

/// Where the tiles or rows of the slice begin.
fn skip_entry_points(reader: &mut BitReader<'_>) -> Option<()> {
    let count = reader.ue()? as usize;
    if count > 0 {
        let bits = (reader.ue()? as usize).checked_add(1).filter(|&bits| bits <= 32)?;
        reader.skip(count.checked_mul(bits)?)?;
    }
    Some(())
}

/// num_ref_idx_active_minus1, as a count.
fn read_count(reader: &mut BitReader<'_>) -> Option<u32> {
    reader.ue()?.checked_add(1).filter(|&count| count <= REFERENCES_MAX)
}

impl Sequence {
    /// `None` for one of a screen content profile too.
    fn parse(nal_unit: &[u8]) -> Option<Self> {
        let rbsp = unescape(nal_unit.get(2..)?);
        let mut reader = BitReader::new(&rbsp);
        let _video_parameter_set_id = reader.bits(4)?;
        let sub_layers_minus1 = reader.bits(3)?;
        let _temporal_id_nesting = reader.flag()?;
        let _profile_space_and_tier = reader.bits(3)?;
        reader.bits(5).filter(|profile_idc| !matches!(profile_idc, 9 | 11))?;
        reader.skip(32 + 48 + 8)?; // compatibility, constraints, level
        skip_sub_layer_levels(&mut reader, sub_layers_minus1)?;
        let id = reader.ue().filter(|&id| id < 16)?;
        let chroma = reader.ue()?;
        let has_separate_planes = chroma == 3 && reader.flag()?;
        let (width, height) = (reader.ue()?, reader.ue()?);
        if reader.flag()? {
            reader.skip_golomb(4)?; // conformance window
        }
        reader.skip_golomb(2)?; // bit depths
        let order_bits = reader.ue()?.checked_add(4).filter(|&bits| bits <= 16)?;
        let layers = if reader.flag()? { sub_layers_minus1 + 1 } else { 1 };
        reader.skip_golomb(3 * layers)?; // sub layer ordering
        let smallest = reader.ue()?.checked_add(3)?;
        let block = smallest.checked_add(reader.ue()?).filter(|&log2| log2 <= 6)?;
        reader.skip_golomb(4)?; // transform sizes and depths
        if reader.flag()? && reader.flag()? {
            skip_scaling_lists(&mut reader)?;
        }
        let _amp_enabled = reader.flag()?;
        let has_sao = reader.flag()?;
        if reader.flag()? {
            let _pcm_bit_depths = reader.bits(8)?;
            reader.skip_golomb(2)?;
            let _pcm_loop_filter_disabled = reader.flag()?;
        }
        let sets = read_short_term_ref_pic_sets(&mut reader)?;
        let long_term = match reader.flag()? {
            true => Some(reader.ue().filter(|&pictures| pictures <= 32)?),
            false => None,
        };
        reader.skip((long_term.unwrap_or(0) * (order_bits + 1)) as usize)?;
        let has_temporal_vectors = reader.flag()?;
        let blocks = |size: u32| u64::from(size.div_ceil(1 << block));
        Some(Self {
            id,
            has_separate_planes,
            has_chroma: chroma != 0 && !has_separate_planes,
            address_bits: bits_for(blocks(width).checked_mul(blocks(height))?),
            order_bits,
            has_sao,
            sets,
            long_term,
            has_temporal_vectors,
        })
    }

    /// From slice_pic_order_cnt_lsb to the long-term references.
    fn skip_references(&self, reader: &mut BitReader<'_>) -> Option<()> {
        let _pic_order_cnt_lsb = reader.bits(self.order_bits)?;
        if !reader.flag()? {
            self.skip_own_set(reader)?;
        } else {
            let _short_term_ref_pic_set_idx = reader.bits(bits_for(self.sets.len() as u64))?;
        }
        let Some(known) = self.long_term else { return Some(()) };
        let of_sequence = if known > 0 { reader.ue()? } else { 0 };
        let own = reader.ue()?;
        let all = of_sequence.checked_add(own).filter(|&all| all <= REFERENCES_MAX)?;
        for index in 0..all {
            let bits =
                if index < of_sequence { bits_for(known.into()) } else { self.order_bits + 1 };
            let _which_or_order_and_use = reader.bits(bits)?;
            if reader.flag()? {
                let _delta_poc_msb_cycle = reader.ue()?;
            }
        }
        Some(())
    }

    /// st_ref_pic_set() of the slice: 7.3.7.
    fn skip_own_set(&self, reader: &mut BitReader<'_>) -> Option<()> {
        if self.sets.is_empty() || !reader.flag()? {
            return RefPicSet::read_explicit(reader).map(|_| ());
        }
        let back = usize::try_from(reader.ue()?).ok()?.checked_add(1)?;
        let from = self.sets.get(self.sets.len().checked_sub(back)?)?;
        from.read_predicted(reader).map(|_| ())
    }
}

impl Picture {
    fn parse(nal_unit: &[u8]) -> Option<Self> {
        let rbsp = unescape(nal_unit.get(2..)?);
        let mut reader = BitReader::new(&rbsp);
        let mut picture = Self { id: reader.ue().filter(|&id| id < 64)?, ..Self::default() };
        picture.sequence = reader.ue()?;
        picture.has_dependent = reader.flag()?;
        picture.has_output_flag = reader.flag()?;
        picture.extra_bits = reader.bits(3)?;
        let _sign_data_hiding = reader.flag()?;
        picture.has_cabac_init = reader.flag()?;
        picture.references = [read_count(&mut reader)?, read_count(&mut reader)?];
        let _init_qp = reader.ue()?;
        let _constrained_intra_pred = reader.flag()?;
        let has_transform_skip = reader.flag()?;
        if reader.flag()? {
            let _diff_cu_qp_delta_depth = reader.ue()?;
        }
        reader.skip_golomb(2)?; // chroma quantiser offsets
        picture.has_chroma_qp = reader.flag()?;
        picture.is_weighted = reader.flag()?;
        picture.is_bi_weighted = reader.flag()?;
        let _transquant_bypass = reader.flag()?;
        let (has_tiles, has_rows) = (reader.flag()?, reader.flag()?);
        picture.has_entry_points = has_tiles || has_rows;
        if has_tiles {
            skip_tiles(&mut reader)?;
        }
        picture.is_filtered_across = reader.flag()?;
        picture.read_deblocking(&mut reader)?;
        if reader.flag()? {
            skip_scaling_lists(&mut reader)?;
        }
        let lists_are_changed = reader.flag()?;
        let _log2_parallel_merge_level = reader.ue()?;
        picture.has_extension = reader.flag()?;
        picture.read_extensions(&mut reader, has_transform_skip)?;
        (!lists_are_changed).then_some(picture)
    }

    fn read_deblocking(&mut self, reader: &mut BitReader<'_>) -> Option<()> {
        if reader.flag()? {
            self.has_deblocking_override = reader.flag()?;
            self.is_deblocking_disabled = reader.flag()?;
            reader.skip_golomb(if self.is_deblocking_disabled { 0 } else { 2 })?;
        }
        Some(())
    }

    /// pps_range_extension(); `None` for others, which change slices.
    fn read_extensions(
        &mut self,
        reader: &mut BitReader<'_>,
        has_transform_skip: bool,
    ) -> Option<()> {
        if !reader.flag()? {
            return Some(());
        }
        let is_range = reader.flag()?;
        reader.bits(7).filter(|&others| others == 0)?;
        if is_range {
            reader.skip_golomb(u32::from(has_transform_skip))?;
            let _cross_component_prediction = reader.flag()?;
            self.has_chroma_qp_list = reader.flag()?;
        }
        Some(())
    }
}

/// Columns and rows of tiles, and whether filters cross them.
fn skip_tiles(reader: &mut BitReader<'_>) -> Option<()> {
    let (columns, rows) = (reader.ue()?, reader.ue()?);
    if !reader.flag()? {
        let sizes = columns.checked_add(rows).filter(|&sizes| sizes <= TILES_MAX)?;
        reader.skip_golomb(sizes)?;
    }
    let _loop_filter_across_tiles = reader.flag()?;
    Some(())
}

/// Ceil(Log2(count)).
fn bits_for(count: u64) -> u32 {
    u64::BITS - count.saturating_sub(1).leading_zeros()
}

/// The last slice of no random access picture; reserved ones follow.
const TYPE_SLICE_LAST: u8 = 9;
const TYPE_IDR_W_RADL: u8 = 19;
const TYPE_IDR_N_LP: u8 = 20;
/// num_ref_idx_active_minus1 is at most 14 (7.4.7.1), and there are no more long-term references.
const REFERENCES_MAX: u32 = 33;
/// 20 columns and 22 rows are the most of any level (A.4.1).
const TILES_MAX: u32 = 42;
/// Above the longest header of live pictures: 440 entry points of 32 bits, and what is in front of them.
const HEADER_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests;
