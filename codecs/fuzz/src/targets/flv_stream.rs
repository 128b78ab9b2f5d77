//! An FLV byte stream: the first byte is the size of the pieces in which it arrives.

use corelay_codecs::container::flv::Error;
use corelay_codecs::container::flv::demux::{Demuxer, Tag, parse_tag};

const TAG_BYTES_MAX: usize = 2_000;

/// The stream in pieces gives the same tags, and then the same error, as the stream at once; and
/// never more than one tag is held.
pub fn run(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let at_once = demux([stream].into_iter());
    let in_pieces = demux(stream.chunks(usize::from(size).max(1)));
    assert_eq!(in_pieces, at_once);
    for tag in at_once.0 {
        let _ = parse_tag(tag.tag_type, i64::from(tag.timestamp_ms), tag.body);
    }
}

fn demux<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Tag>, Option<Error>) {
    let mut demuxer = Demuxer::new(TAG_BYTES_MAX);
    let mut tags = Vec::new();
    for piece in pieces {
        demuxer.push(piece);
        loop {
            match demuxer.next_tag() {
                Ok(Some(tag)) => tags.push(tag),
                Ok(None) => break,
                Err(error) => return (tags, Some(error)),
            }
        }
        assert!(demuxer.buffered_bytes() <= TAG_BYTES_MAX + 11);
    }
    (tags, None)
}
