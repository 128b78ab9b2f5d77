use super::*;

fn packet_with(head: &[u8]) -> [u8; PACKET_SIZE] {
    let mut bytes = [0xFF; PACKET_SIZE];
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

// The front of the first video packet of tests/data/h264_aac.ts: unit start on PID 0x100, counter
// 0, random access, and PCR 63,000 in its base.
const FIRST_VIDEO: &[u8] =
    &[0x47, 0x41, 0x00, 0x30, 0x07, 0x50, 0x00, 0x00, 0x7B, 0x0C, 0x7E, 0x00, 0, 0, 1, 0xE0];

#[test]
fn every_header_field_is_found() {
    let bytes = packet_with(FIRST_VIDEO);
    let packet = Packet::parse(&bytes).expect("in sync");
    assert_eq!(packet.pid(), Pid::new(0x100));
    assert!(packet.starts_unit() && !packet.has_transport_error() && !packet.is_scrambled());
    assert!(packet.has_adaptation_field() && packet.has_payload() && !packet.is_malformed());
    assert_eq!(packet.continuity_counter(), 0);
    assert!(packet.is_random_access() && !packet.is_discontinuity());
    assert_eq!(packet.pcr(), Some(Pcr::new(63_000 * 300)));
    assert_eq!(packet.payload().first_chunk(), Some(&[0, 0, 1, 0xE0]));
    assert_eq!(packet.payload().len(), PACKET_SIZE - 12);
    let other = packet_with(&[0x47, 0x9F, 0xFF, 0xDF]);
    let other = Packet::new(&other);
    assert!(other.has_transport_error() && other.pid() == Pid::NULL);
    assert_eq!((other.scrambling(), other.continuity_counter()), (3, 15));
    assert_eq!(other.payload().len(), 184);
}

#[test]
fn an_adaptation_field_longer_than_the_packet_leaves_neither_field_nor_payload() {
    for (control, length, malformed) in [
        (0x30, 182, false),
        (0x30, 183, true),
        (0x30, 255, true),
        (0x20, 183, false),
        (0x20, 184, true),
        (0x10, 255, false),
        (0x00, 0, true),
    ] {
        let bytes = packet_with(&[0x47, 0, 0, control, length, 0]);
        let packet = Packet::new(&bytes);
        assert_eq!(packet.is_malformed(), malformed, "{control:#x} {length}");
        if malformed {
            assert!(packet.payload().is_empty());
        }
    }
    let bytes = packet_with(&[0x47, 0, 0, 0x30, 255, 0x10]);
    assert_eq!(Packet::new(&bytes).adaptation_field(), None);
}

#[test]
fn a_field_without_room_for_its_pcr_has_none() {
    for length in 0..=7 {
        let bytes = packet_with(&[0x47, 0, 0, 0x30, length, 0x10, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Packet::new(&bytes).pcr().is_some(), length == 7, "length {length}");
    }
    let both = packet_with(&[0x47, 0, 0, 0x20, 13, 0x18, 0, 0, 0, 0, 0x7E, 1, 0, 0, 0, 0, 0xFE, 2]);
    let field = Packet::new(&both).adaptation_field().expect("there");
    assert_eq!(field.pcr(), Some(Pcr::new(1)));
    assert_eq!(field.original_pcr(), Some(Pcr::new(302)));
}

#[test]
fn a_pcr_is_written_as_it_is_read_and_wraps() {
    for ticks in [0, 1, 299, 300, 16_200_000_123, Pcr::MODULUS - 1] {
        assert_eq!(Pcr::parse(&Pcr::new(ticks).to_bytes()), Some(Pcr::new(ticks)));
    }
    assert_eq!(Pcr::new(Pcr::MODULUS).ticks(), 0);
    assert_eq!(Pcr::new(5).since(Pcr::new(Pcr::MODULUS - 5)), 10);
    assert_eq!(Pcr::new(Pcr::MODULUS - 5).since(Pcr::new(5)), -10);
    assert_eq!(Pcr::new(900).base(), 3);
}

#[test]
fn cut_packets_and_lost_sync_are_told_apart() {
    let bytes = packet_with(FIRST_VIDEO);
    for size in 0..PACKET_SIZE {
        let error = Error::Malformed { at: size as u64, what: "TS packet size" };
        assert_eq!(Packet::parse(&bytes[..size]), Err(error));
    }
    let error = Error::Malformed { at: 0, what: "TS packet sync byte" };
    assert_eq!(Packet::parse(&packet_with(&[0x46])), Err(error));
}

#[test]
fn every_flip_of_a_bit_is_read_without_a_panic() {
    let original = packet_with(FIRST_VIDEO);
    for bit in 0..PACKET_SIZE * 8 {
        let mut bytes = original;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        let packet = Packet::new(&bytes);
        let _ = (packet.pcr(), packet.payload(), packet.is_malformed(), packet.pid());
    }
}
