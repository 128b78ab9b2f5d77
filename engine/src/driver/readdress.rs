//! RTMP messages for another message stream: the one pass that a viewer pays who cannot share.

use corelay_protocols::rtmp::MessageStreamId;

/// Rewrites the message stream id of every message in `bytes`, which holds whole messages as
/// `chunk::write_media` writes them: a type 0 header, and type 3 headers every `chunk_size` bytes.
/// (Adobe RTMP 1.0, 5.3.1.2.1: the id is the last four bytes of the header, little endian.)
pub fn readdress(bytes: &mut [u8], to: MessageStreamId, chunk_size: usize) {
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + HEADER_BYTES) {
        header[8..12].copy_from_slice(&to.0.to_le_bytes());
        let time = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let length = u32::from_be_bytes([0, header[4], header[5], header[6]]) as usize;
        let extended = if time == EXTENDED { 4 } else { 0 };
        let continuations = length.saturating_sub(1) / chunk_size;
        at += HEADER_BYTES + extended + length + continuations * (1 + extended);
    }
}

/// One byte of basic header and eleven of message header.
const HEADER_BYTES: usize = 12;
const EXTENDED: u32 = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_protocols::rtmp::{MediaKind, chunk};

    fn messages(stream: MessageStreamId) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (time, length) in [(0, 0), (5, 1), (70, 128), (0x0100_0000, 300), (0xffff_ffff, 1_000)]
        {
            let payload = vec![0x17; length];
            chunk::write_media(MediaKind::Video, time, stream, &[9], &payload, 128, &mut bytes);
            chunk::write_media(MediaKind::Audio, time, stream, &[], &payload, 128, &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_readdressed_run_equals_one_written_for_that_stream() {
        let mut bytes = messages(MessageStreamId(1));
        readdress(&mut bytes, MessageStreamId(7), 128);
        assert_eq!(bytes, messages(MessageStreamId(7)));
    }
}
