use super::*;

/// Packets with a number in each, so that a lost, doubled or shifted one is seen.
fn packets(count: usize, stride: usize) -> Vec<u8> {
    let packet = |number: usize| {
        let mut packet = vec![0; stride];
        packet[0] = SYNC_BYTE;
        packet[1..5].copy_from_slice(&(number as u32).to_be_bytes());
        // Sync bytes inside of packets, which must not mislead.
        packet[10 + number % 100] = SYNC_BYTE;
        packet
    };
    (0..count).flat_map(packet).collect()
}

fn align(pieces: impl IntoIterator<Item = Vec<u8>>) -> (Vec<u8>, Counters) {
    let mut aligner = Aligner::default();
    let mut out = Vec::new();
    for piece in pieces {
        aligner.push(Bytes::from(piece), |block| out.extend_from_slice(block.bytes()));
        assert!(aligner.buffered_bytes() < 10 * STRIDES_MAX + 1);
    }
    (out, aligner.counters())
}

fn numbers(packets: &[u8]) -> Vec<u32> {
    let number = |packet: &[u8]| u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]]);
    packets.chunks(PACKET_SIZE).map(number).collect()
}

#[test]
fn packets_188_204_and_192_apart_are_found_in_pieces_of_every_size() {
    for stride in STRIDES {
        let stream = packets(12, stride);
        let at_once = align([stream.clone()]);
        assert_eq!(numbers(&at_once.0), (0..12).collect::<Vec<_>>(), "stride {stride}");
        for size in 1..stream.len() {
            let pieces = align(stream.chunks(size).map(<[u8]>::to_vec));
            assert_eq!(pieces, at_once, "stride {stride}, pieces of {size}");
        }
    }
}

#[test]
fn whole_packets_are_not_copied() {
    let stream = Bytes::from(packets(12, PACKET_SIZE));
    let mut aligner = Aligner::default();
    let mut blocks = Vec::new();
    aligner.push(stream.slice(..6 * 188 + 10), |block| blocks.push(block));
    aligner.push(stream.slice(6 * 188 + 10..), |block| blocks.push(block));
    let counts: Vec<_> = blocks.iter().map(TsBlock::packet_count).collect();
    assert_eq!(counts, [6, 1, 5]);
    assert_eq!(blocks[0].bytes().as_ptr(), stream.as_ptr());
    assert_eq!(blocks[2].bytes().as_ptr(), stream[7 * 188..].as_ptr());
}

#[test]
fn garbage_in_front_and_between_is_skipped_and_counted() {
    let mut stream = vec![SYNC_BYTE; 3];
    stream.extend([1; 300]);
    let good = packets(20, PACKET_SIZE);
    stream.extend(&good[..10 * 188]);
    stream.extend([2; 1000]);
    stream.extend(&good[10 * 188..]);
    for size in [1, 7, 100, 188, 500, stream.len()] {
        let (out, counters) = align(stream.chunks(size).map(<[u8]>::to_vec));
        assert_eq!(numbers(&out), (0..20).collect::<Vec<_>>(), "pieces of {size}");
        let expected =
            Counters { packets: 20, sync_byte_errors: 0, sync_losses: 1, skipped_bytes: 1303 };
        assert_eq!(counters, expected, "pieces of {size}");
    }
}

#[test]
fn a_packet_with_a_wrong_sync_byte_is_left_out_without_losing_sync() {
    let mut stream = packets(20, PACKET_SIZE);
    stream[7 * 188] = 0;
    stream[12 * 188] = 0;
    stream[13 * 188] = 0;
    for size in [1, 100, 188, stream.len()] {
        let (out, counters) = align(stream.chunks(size).map(<[u8]>::to_vec));
        assert_eq!(out.len(), 17 * 188);
        assert_eq!((counters.sync_byte_errors, counters.sync_losses), (3, 0));
    }
    stream[14 * 188] = 0;
    let (out, counters) = align([stream]);
    assert_eq!(out.len(), 16 * 188);
    assert_eq!((counters.sync_byte_errors, counters.sync_losses), (1, 1));
    assert_eq!(counters.skipped_bytes, 3 * 188);
}

#[test]
fn bytes_without_sync_are_never_kept() {
    let (out, counters) = align((0..1000).map(|_| vec![SYNC_BYTE ^ 1; 1000]));
    assert!(out.is_empty());
    assert_eq!(counters.skipped_bytes, 1_000_000);
}

#[test]
fn a_stream_of_sync_bytes_alone_is_packets() {
    let (out, counters) = align([vec![SYNC_BYTE; 1880]]);
    assert_eq!((out.len(), counters.packets), (1880, 10));
}

#[test]
fn lock_takes_the_number_of_sync_bytes_that_is_set() {
    let stream = packets(10, PACKET_SIZE);
    for lock_packets in 1..=8 {
        let mut aligner = Aligner::new(Settings { lock_packets, loss_packets: 3 });
        let mut first_lock = None;
        for (at, byte) in stream.iter().enumerate() {
            aligner.push(Bytes::copy_from_slice(&[*byte]), |_| {});
            if aligner.is_in_sync() {
                first_lock.get_or_insert(at);
            }
        }
        assert_eq!(first_lock, Some((lock_packets - 1) * 188), "{lock_packets} packets");
    }
}

#[test]
fn a_datagram_is_whole_packets_of_either_size() {
    let plain = Bytes::from(packets(7, PACKET_SIZE));
    let block = datagram(plain.clone()).expect("seven packets");
    assert_eq!(block.bytes().as_ptr(), plain.as_ptr());
    let parity = datagram(Bytes::from(packets(7, 204))).expect("seven packets");
    assert_eq!(numbers(parity.bytes()), [0, 1, 2, 3, 4, 5, 6]);
    assert!(datagram(Bytes::new()).expect("nothing wrong").is_empty());
    let at = |error: Error| match error {
        Error::Malformed { at, .. } => at,
        other => panic!("{other}"),
    };
    let mut damaged = plain.to_vec();
    damaged[2 * 188] = 0;
    assert_eq!(datagram(Bytes::from(damaged)).map_err(at), Err(376));
    assert_eq!(datagram(plain.slice(..400)).map_err(at), Err(376));
    assert_eq!(datagram(plain.slice(1..189)).map_err(at), Err(0));
}
