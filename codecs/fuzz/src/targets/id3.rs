//! RTMP data messages into ID3 tags.

use corelay_codecs::id3::{TAG_BYTES_MAX, Tag, from_amf};

/// Every tag is whole, has frames of text, and is not longer than it may be.
pub fn run(data: &[u8]) {
    if let Some(tag) = from_amf(data) {
        assert!(check(&tag, b"TXXX") > 0);
    }
    let tag = Tag::new().with_private("owner", data);
    assert_eq!(check(&tag.to_bytes(), b"PRIV"), usize::from(!tag.is_empty()));
}

/// Number of frames, which all have this identifier; texts are UTF-8.
fn check(tag: &[u8], id: &[u8; 4]) -> usize {
    assert!(tag.starts_with(b"ID3\x04\x00\x00") && tag.len() <= TAG_BYTES_MAX);
    assert_eq!(tag.len(), 10 + size(&tag[6..10]));
    let mut rest = &tag[10..];
    let mut frames = 0;
    while !rest.is_empty() {
        assert!(rest.starts_with(id) && rest[8..10] == [0, 0]);
        let (frame, next) = rest.split_at(10 + size(&rest[4..8]));
        assert!(id != b"TXXX" || frame[10] == 3 && std::str::from_utf8(&frame[11..]).is_ok());
        rest = next;
        frames += 1;
    }
    frames
}

fn size(bytes: &[u8]) -> usize {
    assert!(bytes.iter().all(|byte| byte & 0x80 == 0));
    bytes.iter().fold(0, |size, &byte| size << 7 | usize::from(byte))
}
