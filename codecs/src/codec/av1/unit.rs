//! Temporal units: a row of OBUs as transport streams and as MP4 and FLV have it, and the
//! configuration record that is made of a sequence header (AV1 5.3, 5.5, 5.9.2; AV1 in ISO-BMFF
//! 2.3; "Carriage of AV1 in MPEG-2 TS" of AOM).

use bytes::{BufMut, Bytes, BytesMut};

use super::{OBU_SEQUENCE_HEADER, leb128, read_timing_and_operating_points};
use crate::codec::annexb::{find_start_code, trim_zeros};
use crate::codec::bits::{BitReader, unescape};

/// A temporal unit in the form of MP4 and FLV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemporalUnit {
    /// OBUs with sizes, without temporal delimiters, tile lists and padding.
    pub obus: Bytes,
    /// The sequence header OBU, with its size, where there is one.
    pub sequence_header: Option<Bytes>,
    /// It starts with a key frame that comes with a sequence header.
    pub is_random_access: bool,
}

/// Reads a temporal unit as it is in a PES packet: OBUs behind start codes with emulation
/// prevention, as the specification for transport streams says, or plain OBUs with sizes, as some
/// multiplexers write. `None` when it is neither or has no OBU that is kept.
pub fn from_transport_stream(unit: &[u8]) -> Option<TemporalUnit> {
    let mut builder = Builder::default();
    match find_start_code(unit, 0) {
        Some(at) if unit.iter().take(at).all(|&byte| byte == 0) => {
            let mut start = at;
            loop {
                let next = find_start_code(unit, start + 3);
                let end = trim_zeros(unit, start + 3, next.unwrap_or(unit.len()));
                builder.add_row(&unescape(unit.get(start + 3..end)?))?;
                match next {
                    Some(next) => start = next,
                    None => break,
                }
            }
        }
        _ => builder.add_row(unit)?,
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    obus: BytesMut,
    sequence_header: Option<std::ops::Range<usize>>,
    first_frame_type: Option<u8>,
}

impl Builder {
    /// Adds OBUs that stand one behind the other; only the last one may have no size.
    fn add_row(&mut self, mut bytes: &[u8]) -> Option<()> {
        while let Some((&header, rest)) = bytes.split_first() {
            let is_forbidden = header & 0x80 != 0;
            let extension = if header & 0x04 != 0 { rest.first().copied() } else { None };
            let rest = rest.get(usize::from(header & 0x04 != 0)..)?;
            let (payload, rest) = if header & 0x02 != 0 {
                let (size, rest) = leb128(rest)?;
                rest.split_at_checked(size)?
            } else {
                (rest, &[][..])
            };
            if is_forbidden {
                return None;
            }
            self.add(header, extension, payload);
            bytes = rest;
        }
        Some(())
    }

    fn add(&mut self, header: u8, extension: Option<u8>, payload: &[u8]) {
        let obu_type = header >> 3 & 0x0F;
        if matches!(obu_type, OBU_TEMPORAL_DELIMITER | OBU_TILE_LIST | OBU_PADDING) {
            return;
        }
        let start = self.obus.len();
        self.obus.put_u8(header | 0x02);
        self.obus.extend(extension);
        put_leb128(&mut self.obus, payload.len());
        self.obus.extend_from_slice(payload);
        match obu_type {
            OBU_SEQUENCE_HEADER => self.sequence_header = Some(start..self.obus.len()),
            OBU_FRAME_HEADER | OBU_FRAME if self.first_frame_type.is_none() => {
                // show_existing_frame, then two bits of frame_type (5.9.2).
                self.first_frame_type = payload.first().map(|byte| byte >> 5);
            }
            _ => {}
        }
    }

    fn finish(self) -> Option<TemporalUnit> {
        let obus = self.obus.freeze();
        let sequence_header = self.sequence_header.map(|range| obus.slice(range));
        let is_random_access = sequence_header.is_some() && self.first_frame_type == Some(0);
        (!obus.is_empty()).then_some(TemporalUnit { obus, sequence_header, is_random_access })
    }
}

/// av1C of a sequence header OBU with its size; `None` when it cannot be read.
pub fn configuration_record(sequence_header: &[u8]) -> Option<Vec<u8>> {
    let payload = super::sequence_header_obu(sequence_header)?;
    let fixed = read_record_fields(payload)?;
    let mut record = vec![0x81];
    record.extend_from_slice(&fixed);
    record.push(0); // initial presentation delay: unknown
    record.extend_from_slice(sequence_header);
    Some(record)
}

/// The second and third byte of av1C.
fn read_record_fields(payload: &[u8]) -> Option<[u8; 2]> {
    let mut reader = BitReader::new(payload);
    let profile = reader.u8(3)?;
    let _still_picture = reader.flag()?;
    let is_reduced = reader.flag()?;
    let level = if is_reduced {
        reader.u8(5)?
    } else {
        read_timing_and_operating_points(&mut reader.clone())?.0
    };
    let tier = if is_reduced { false } else { read_operating_points(&mut reader)? };
    let width_bits = reader.bits(4)? as usize + 1;
    let height_bits = reader.bits(4)? as usize + 1;
    reader.skip(width_bits + height_bits)?;
    skip_tools(&mut reader, is_reduced)?;
    let colour = read_colour(&mut reader, profile)?;
    Some([profile << 5 | level, u8::from(tier) << 7 | colour])
}

/// Like [`read_timing_and_operating_points`], for the tier of the first operating point.
fn read_operating_points(reader: &mut BitReader<'_>) -> Option<bool> {
    // The tier is the bit behind the level of the first point; the level says whether it is there.
    let mut ahead = reader.clone();
    let mut delay_bits = 0;
    if ahead.flag()? {
        ahead.skip(64)?;
        if ahead.flag()? {
            ahead.ue()?;
        }
        if ahead.flag()? {
            delay_bits = 47;
        }
    }
    ahead.skip(delay_bits + 1 + 5 + 12)?;
    let tier = ahead.bits(5)? > 7 && ahead.flag()?;
    read_timing_and_operating_points(reader)?;
    Some(tier)
}

/// From frame_id_numbers_present_flag to film_grain_params_present's colour_config: 5.5.1.
fn skip_tools(reader: &mut BitReader<'_>, is_reduced: bool) -> Option<()> {
    const SELECT: u32 = 2;
    if !is_reduced && reader.flag()? {
        reader.skip(7)?; // sizes of frame ids
    }
    reader.skip(3)?; // superblock size, filter intra, intra edge filter
    if !is_reduced {
        reader.skip(4)?; // compound modes, warped motion, dual filter
        let has_order_hint = reader.flag()?;
        reader.skip(if has_order_hint { 2 } else { 0 })?;
        let screen_content_tools = if reader.flag()? { SELECT } else { reader.bits(1)? };
        if screen_content_tools > 0 && !reader.flag()? {
            reader.skip(1)?; // integer motion vectors
        }
        reader.skip(if has_order_hint { 3 } else { 0 })?;
    }
    reader.skip(3) // super resolution, CDEF, restoration
}

/// color_config() (5.5.2) as the last seven bits of the third byte of av1C, without the tier.
fn read_colour(reader: &mut BitReader<'_>, profile: u8) -> Option<u8> {
    let is_high_bit_depth = reader.flag()?;
    let is_twelve_bit = profile == 2 && is_high_bit_depth && reader.flag()?;
    let is_monochrome = profile != 1 && reader.flag()?;
    let is_rgb = reader.flag()? && {
        let description = reader.bits(24)?;
        // BT.709 primaries, sRGB transfer, identity matrix.
        description == 0x01_0D_00
    };
    let (subsampling, position) = if is_monochrome {
        let _range = reader.flag()?;
        ((true, true), 0)
    } else if is_rgb {
        ((false, false), 0)
    } else {
        let _range = reader.flag()?;
        let subsampling = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if is_twelve_bit => {
                let x = reader.flag()?;
                (x, x && reader.flag()?)
            }
            _ => (true, false),
        };
        (subsampling, if subsampling == (true, true) { reader.u8(2)? } else { 0 })
    };
    let flags = [is_high_bit_depth, is_twelve_bit, is_monochrome, subsampling.0, subsampling.1];
    let bits = flags.iter().fold(0, |bits, &flag| bits << 1 | u8::from(flag));
    Some(bits << 2 | position)
}

/// leb128(): 4.10.5.
fn put_leb128(out: &mut BytesMut, mut value: usize) {
    while value > 0x7F {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

const OBU_TEMPORAL_DELIMITER: u8 = 2;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;
const OBU_TILE_LIST: u8 = 8;
const OBU_PADDING: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::hex;

    /// av1C of `ffmpeg -f lavfi -i testsrc=size=640x360:rate=25 -c:v libaom-av1 x.mp4`, and of
    /// `-c:v libsvtav1 -pix_fmt yuv420p10le`.
    const RECORDS: [&str; 2] =
        ["81010c000a0b0000000cc4ff6736be4010", "81014c000a0b0000000cc4ff6700be1010"];

    fn sequence_header() -> Vec<u8> {
        hex(RECORDS[0]).split_off(4)
    }

    fn with_start_codes(obus: &[&[u8]]) -> Vec<u8> {
        obus.iter().flat_map(|obu| [&[0, 0, 1], *obu].concat()).collect()
    }

    #[test]
    fn start_codes_and_plain_obus_give_the_same_unit() {
        let delimiter: &[u8] = &[0x12, 0x00];
        let frame: &[u8] = &[0x32, 0x03, 0x10, 0x55, 0x66];
        let plain = [delimiter, &sequence_header(), frame].concat();
        let unit = from_transport_stream(&plain).expect("readable");
        assert_eq!(unit.obus, [&sequence_header(), frame].concat());
        assert_eq!(unit.sequence_header, Some(Bytes::from(sequence_header())));
        assert!(unit.is_random_access);
        // The sequence header has three zeros in a row: emulation prevention in front of the third.
        let escaped = hex("0a0b000003000cc4ff6736be4010");
        let framed = with_start_codes(&[&[0x10], &escaped, frame]);
        assert_eq!(from_transport_stream(&framed), Some(unit));
    }

    #[test]
    fn an_obu_without_size_gets_one() {
        let unit = from_transport_stream(&with_start_codes(&[&[0x30, 0x30, 7, 7]]));
        let unit = unit.expect("readable");
        assert_eq!(unit.obus, &[0x32, 3, 0x30, 7, 7][..]);
        assert!(!unit.is_random_access);
    }

    #[test]
    fn records_are_made_as_libaom_and_svt_had_them_made() {
        for record in RECORDS.map(hex) {
            assert_eq!(configuration_record(&record[4..]), Some(record));
        }
    }

    #[test]
    fn damage_is_none_and_never_a_panic() {
        let unit = with_start_codes(&[&[0x10], &sequence_header(), &[0x32, 3, 0x10, 5, 6]]);
        for end in 0..unit.len() {
            let _ = from_transport_stream(&unit[..end]);
        }
        for bit in 0..sequence_header().len() * 8 {
            let mut header = sequence_header();
            header[bit / 8] ^= 0x80 >> (bit % 8);
            let _ = configuration_record(&header);
        }
        assert_eq!(from_transport_stream(&[]), None);
        assert_eq!(from_transport_stream(&[0x80, 0]), None);
    }
}
