//! Data tags: only the name in front is read here; the values are AMF0, see [`crate::amf`].

use bytes::{Buf, Bytes};

use super::{Content, Error, Units, single};
use crate::access_unit::{Timestamp, TrackId, UnitKind};
use crate::codec::CodecId;

/// AMF0 string marker (AMF0 2.4).
const STRING_MARKER: u8 = 2;

/// Reads a script tag body that is not empty.
pub(super) fn parse(dts: Timestamp, mut body: Bytes) -> Result<Units, Error> {
    while let Some((b"@setDataFrame", size)) = name(&body).filter(|(_, size)| *size < body.len()) {
        body.advance(size);
    }
    let kind = match name(&body) {
        Some((b"onMetaData", _)) => UnitKind::Metadata,
        _ => UnitKind::Data,
    };
    let content = Content::new(kind, body.clone());
    Ok(single(TrackId::DATA, CodecId::Amf0, dts, body, content))
}

/// The AMF0 string at the front and the bytes it takes; `None` when there is something else.
fn name(body: &[u8]) -> Option<(&[u8], usize)> {
    let (&[marker, high, low], rest) = body.split_first_chunk::<3>()?;
    let size = usize::from(u16::from_be_bytes([high, low]));
    let name = rest.get(..size).filter(|_| marker == STRING_MARKER)?;
    Some((name, 3 + size))
}
