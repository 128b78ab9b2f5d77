//! AAC in LATM: the input is elements, each behind its LOAS header; where there is none, the rest
//! is one.

use corelay_codecs::codec::latm::{Reader, element_size};

/// Frames are never longer than their element.
pub fn run(data: &[u8]) {
    let mut reader = Reader::default();
    let mut rest = data;
    while !rest.is_empty() {
        let size = element_size(rest).unwrap_or(rest.len()).min(rest.len());
        let (element, next) = rest.split_at(size);
        rest = next;
        let element = element.get(3..).unwrap_or_default();
        let mut bytes = 0;
        let _ = reader.read(element, |frame| bytes += frame.len());
        assert!(bytes <= element.len());
    }
}
