//! RTP: the first byte says how many bytes the first datagram has, the rest is split that way.

use corelay_codecs::container::rtp::{Error, Framing, Header, Meter, Packet};

/// Whatever is read as a packet has its parts inside of the datagram, its header is written as it
/// was read, and the counters add up.
pub fn run(data: &[u8]) {
    let Some((&size, rest)) = data.split_first() else {
        return;
    };
    let mut meter = Meter::new(90_000);
    let mut received = 0;
    for (index, datagram) in rest.chunks(usize::from(size).max(1)).enumerate() {
        if let Some(packets) = Framing::of(datagram).packets() {
            assert!(packets.len() >= 188 && packets.len() <= datagram.len());
        }
        match Packet::parse(datagram) {
            Ok(packet) => {
                check(&packet, datagram);
                meter.packet(&packet.header, index as u64 * 1_000);
                received += 1;
            }
            Err(Error::Malformed { at, .. }) => assert!(at <= datagram.len()),
            Err(Error::Version(version)) => assert_ne!(version, 2),
        }
    }
    let counters = meter.counters();
    assert_eq!(counters.received, received);
    assert!(counters.duplicates + counters.reordered <= received);
}

fn check(packet: &Packet<'_>, datagram: &[u8]) {
    let extension = packet.extension.map_or(0, |(_, words)| 4 + words.len());
    let around = Header::SIZE + 4 * usize::from(packet.csrc_count) + extension;
    assert!(around + packet.payload.len() <= datagram.len());
    let written = [&packet.header.to_bytes()[..], packet.payload].concat();
    let again = Packet::parse(&written).expect("our own bytes");
    assert_eq!((again.header, again.payload), (packet.header, packet.payload));
}
