//! Bytes of a transport stream: the first byte is the size of the pieces in which they arrive.

use bytes::Bytes;
use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::align::{Aligner, Counters, Settings, datagram};

/// Pieces give the same packets as the whole, every packet has its sync byte, no byte is lost track
/// of, and little is held.
pub fn run(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let _ = datagram(Bytes::copy_from_slice(stream));
    for lock_packets in [1, 3] {
        let settings = Settings { lock_packets, loss_packets: 2 };
        let at_once = align(settings, [stream].into_iter());
        let in_pieces = align(settings, stream.chunks(usize::from(size).max(1)));
        assert_eq!(in_pieces, at_once);
    }
}

fn align<'a>(settings: Settings, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Counters) {
    let mut aligner = Aligner::new(settings);
    let mut packets = Vec::new();
    for piece in pieces {
        aligner.push(Bytes::copy_from_slice(piece), |block| {
            assert!(block.packets().all(|packet| packet.has_sync()));
            packets.extend_from_slice(block.bytes());
        });
        assert!(aligner.buffered_bytes() <= 3 * 204);
    }
    assert_eq!(aligner.counters().packets, (packets.len() / PACKET_SIZE) as u64);
    (packets, aligner.counters())
}
