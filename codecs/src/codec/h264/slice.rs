//! Where a slice's header ends and its data begins (ISO/IEC 14496-10 7.3.3): encryption leaves the header
//! clear, for those who look at it before anything is decrypted.

use super::nal::{TYPE_IDR, TYPE_PPS, TYPE_SLICE, TYPE_SPS, nal_type};
use super::{PROFILES_WITH_CHROMA, skip_scaling_lists};
use crate::codec::bits::{BitReader, header_size, unescape};

/// The parameter sets of a stream, by which its slices are read.
#[derive(Clone, Debug, Default)]
pub struct SliceReader {
    sequences: Vec<Sequence>,
    pictures: Vec<Picture>,
}

/// A sequence parameter set, as far as slices need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sequence {
    id: u32,
    has_separate_planes: bool,
    has_chroma: bool,
    frame_num_bits: u32,
    order: Order,
    is_frames_only: bool,
}

/// pic_order_cnt_type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// 0: the low bits of the order count are there, so many.
    Lsb(u32),
    /// 1: differences are there, unless they are always 0.
    Deltas { always_zero: bool },
    /// 2: the order of decoding.
    Decoding,
}

/// A picture parameter set, as far as slices need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    id: u32,
    sequence: u32,
    is_cabac: bool,
    has_field_order: bool,
    /// Active references of both lists, where a slice does not say.
    references: [u32; 2],
    is_weighted: bool,
    /// weighted_bipred_idc.
    bi_weights: u32,
    has_deblocking: bool,
    has_redundant: bool,
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

    /// True for a slice of a picture without data partitioning.
    pub fn is_slice(nal_unit: &[u8]) -> bool {
        matches!(nal_type(nal_unit), TYPE_IDR | TYPE_SLICE)
    }

    /// Bytes of a slice's NAL unit up to its slice_data(), the last of which may have bits of it. `None`
    /// when the unit is no slice, its header cannot be read, or a parameter set that it needs did not
    /// come.
    pub fn header_size(&self, nal_unit: &[u8]) -> Option<usize> {
        let header = nal_unit.first().filter(|_| Self::is_slice(nal_unit))?;
        let (is_idr, is_reference) = (nal_type(nal_unit) == TYPE_IDR, header & 0x60 != 0);
        let front = nal_unit.get(..nal_unit.len().min(HEADER_BYTES_MAX))?;
        let rbsp = unescape(front);
        let mut reader = BitReader::new(rbsp.get(1..)?);
        self.skip_header(&mut reader, is_idr, is_reference)?;
        header_size(front, 1 + reader.position().div_ceil(8))
    }

    fn skip_header(
        &self,
        reader: &mut BitReader<'_>,
        is_idr: bool,
        is_reference: bool,
    ) -> Option<()> {
        let _first_mb = reader.ue()?;
        let kind = Kind::of(reader.ue()?);
        let id = reader.ue()?;
        let picture = self.pictures.iter().find(|known| known.id == id)?;
        let sequence = self.sequences.iter().find(|known| known.id == picture.sequence)?;
        sequence.skip_order(reader, picture, is_idr)?;
        if picture.has_redundant {
            let _redundant_pic_cnt = reader.ue()?;
        }
        let references = read_references(reader, kind, picture)?;
        for _ in 0..kind.lists() {
            skip_list_modification(reader)?;
        }
        if picture.is_weighted && matches!(kind, Kind::P | Kind::Sp)
            || picture.bi_weights == 1 && kind == Kind::B
        {
            skip_weights(reader, sequence.has_chroma, references.get(..kind.lists())?)?;
        }
        if is_reference {
            skip_marking(reader, is_idr)?;
        }
        if picture.is_cabac && !kind.is_intra() {
            let _cabac_init_idc = reader.ue()?;
        }
        let _slice_qp_delta = reader.ue()?;
        if kind == Kind::Sp {
            let _sp_for_switch = reader.flag()?;
        }
        if matches!(kind, Kind::Sp | Kind::Si) {
            let _slice_qs_delta = reader.ue()?;
        }
        if picture.has_deblocking && reader.ue()? != 1 {
            reader.skip_golomb(2)?;
        }
        Some(())
    }
}

/// slice_type, without whether all of a picture are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P,
    B,
    I,
    Sp,
    Si,
}

impl Kind {
    fn of(slice_type: u32) -> Self {
        match slice_type % 5 {
            0 => Self::P,
            1 => Self::B,
            2 => Self::I,
            3 => Self::Sp,
            _ => Self::Si,
        }
    }

    fn is_intra(self) -> bool {
        matches!(self, Self::I | Self::Si)
    }

    /// Reference picture lists.
    fn lists(self) -> usize {
        match self {
            Self::I | Self::Si => 0,
            Self::P | Self::Sp => 1,
            Self::B => 2,
        }
    }
}

impl Sequence {
    fn parse(nal_unit: &[u8]) -> Option<Self> {
        let rbsp = unescape(nal_unit.get(1..)?);
        let mut reader = BitReader::new(&rbsp);
        let profile_idc = reader.u8(8)?;
        let _constraints_and_level = reader.bits(16)?;
        let id = reader.ue().filter(|&id| id < 32)?;
        let (mut chroma, mut has_separate_planes) = (1, false);
        if PROFILES_WITH_CHROMA.contains(&profile_idc) {
            chroma = reader.ue()?;
            has_separate_planes = chroma == 3 && reader.flag()?;
            reader.skip_golomb(2)?; // bit depths
            let _qpprime_y_zero_transform_bypass = reader.flag()?;
            skip_scaling_lists(&mut reader, chroma)?;
        }
        let frame_num_bits = reader.ue()?.checked_add(4).filter(|&bits| bits <= 16)?;
        let order = Order::read(&mut reader)?;
        let _max_num_ref_frames = reader.ue()?;
        let _gaps_in_frame_num_allowed = reader.flag()?;
        reader.skip_golomb(2)?; // width and height
        let is_frames_only = reader.flag()?;
        let has_chroma = chroma != 0 && !has_separate_planes;
        Some(Self { id, has_separate_planes, has_chroma, frame_num_bits, order, is_frames_only })
    }

    /// From colour_plane_id to the picture order count.
    fn skip_order(
        &self,
        reader: &mut BitReader<'_>,
        picture: &Picture,
        is_idr: bool,
    ) -> Option<()> {
        if self.has_separate_planes {
            let _colour_plane_id = reader.bits(2)?;
        }
        let _frame_num = reader.bits(self.frame_num_bits)?;
        let is_field = !self.is_frames_only && reader.flag()?;
        if is_field {
            let _bottom_field = reader.flag()?;
        }
        if is_idr {
            let _idr_pic_id = reader.ue()?;
        }
        let has_bottom = u32::from(picture.has_field_order && !is_field);
        match self.order {
            Order::Lsb(bits) => {
                let _pic_order_cnt_lsb = reader.bits(bits)?;
                reader.skip_golomb(has_bottom)
            }
            Order::Deltas { always_zero: false } => reader.skip_golomb(1 + has_bottom),
            Order::Deltas { always_zero: true } | Order::Decoding => Some(()),
        }
    }
}

impl Order {
    fn read(reader: &mut BitReader<'_>) -> Option<Self> {
        Some(match reader.ue()? {
            0 => Self::Lsb(reader.ue()?.checked_add(4).filter(|&bits| bits <= 16)?),
            1 => {
                let always_zero = reader.flag()?;
                reader.skip_golomb(2)?;
                let cycle = reader.ue().filter(|&frames| frames < 256)?;
                reader.skip_golomb(cycle)?;
                Self::Deltas { always_zero }
            }
            2 => Self::Decoding,
            _ => return None,
        })
    }
}

impl Picture {
    /// `None` for one with slice groups too, which no live encoder uses.
    fn parse(nal_unit: &[u8]) -> Option<Self> {
        let rbsp = unescape(nal_unit.get(1..)?);
        let mut reader = BitReader::new(&rbsp);
        let id = reader.ue().filter(|&id| id < 256)?;
        let sequence = reader.ue()?;
        let (is_cabac, has_field_order) = (reader.flag()?, reader.flag()?);
        let _num_slice_groups_minus1 = reader.ue().filter(|&groups| groups == 0)?;
        let references = [read_count(&mut reader)?, read_count(&mut reader)?];
        let (is_weighted, bi_weights) = (reader.flag()?, reader.bits(2)?);
        reader.skip_golomb(3)?; // quantiser parameters
        let has_deblocking = reader.flag()?;
        let _constrained_intra_pred = reader.flag()?;
        let has_redundant = reader.flag()?;
        Some(Self {
            id,
            sequence,
            is_cabac,
            has_field_order,
            references,
            is_weighted,
            bi_weights,
            has_deblocking,
            has_redundant,
        })
    }
}

/// num_ref_idx_active_minus1, as a count.
fn read_count(reader: &mut BitReader<'_>) -> Option<u32> {
    reader.ue()?.checked_add(1).filter(|&count| count <= REFERENCES_MAX)
}

/// From direct_spatial_mv_pred_flag to the numbers of active references.
fn read_references(reader: &mut BitReader<'_>, kind: Kind, picture: &Picture) -> Option<[u32; 2]> {
    let mut references = picture.references;
    if kind == Kind::B {
        let _direct_spatial_mv_pred = reader.flag()?;
    }
    if !kind.is_intra() && reader.flag()? {
        for count in references.iter_mut().take(kind.lists()) {
            *count = read_count(reader)?;
        }
    }
    Some(references)
}

/// ref_pic_list_modification() of one list: 7.3.3.1.
fn skip_list_modification(reader: &mut BitReader<'_>) -> Option<()> {
    const END: u32 = 3;
    if reader.flag()? {
        while reader.ue()? != END {
            let _picture = reader.ue()?;
        }
    }
    Some(())
}

/// pred_weight_table(): 7.3.3.2.
fn skip_weights(reader: &mut BitReader<'_>, has_chroma: bool, lists: &[u32]) -> Option<()> {
    reader.skip_golomb(1 + u32::from(has_chroma))?; // denominators
    for _ in 0..lists.iter().sum() {
        if reader.flag()? {
            reader.skip_golomb(2)?;
        }
        if has_chroma && reader.flag()? {
            reader.skip_golomb(4)?;
        }
    }
    Some(())
}

/// dec_ref_pic_marking(): 7.3.3.3.
fn skip_marking(reader: &mut BitReader<'_>, is_idr: bool) -> Option<()> {
    if is_idr {
        return reader.skip(2);
    }
    if !reader.flag()? {
        return Some(());
    }
    loop {
        match reader.ue()? {
            0 => return Some(()),
            1 | 2 | 4 | 6 => reader.skip_golomb(1)?,
            3 => reader.skip_golomb(2)?,
            5 => {}
            _ => return None,
        }
    }
}

/// num_ref_idx_active_minus1 is at most 31 (7.4.3).
const REFERENCES_MAX: u32 = 32;
/// Above the longest header: 64 references with six weights, of up to 17 bits each, and 66 changes of
/// their lists.
const HEADER_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests;
