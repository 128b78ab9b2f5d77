//! Datagrams of every kind, without a socket.

use corelay_codecs::container::rtp::{Header, Packetizer, ReorderSettings};

use super::stream::{numbered, numbers};
use crate::channel::input::DatagramCounters;
use crate::channel::input::unwrap::Unwrapper;
use crate::clock::Micros;
use crate::net::udp::Run;

fn run(bytes: &[u8], datagram_bytes: usize) -> Run<'_> {
    let sender = ([10, 0, 0, 5], 1234).into();
    Run { bytes, datagram_bytes, sender, arrived_ns: None }
}

struct Rig {
    unwrapper: Unwrapper,
    /// What was handed over, piece by piece.
    pieces: Vec<Vec<u32>>,
    now: Micros,
}

impl Rig {
    fn new() -> Self {
        let unwrapper = Unwrapper::new(ReorderSettings::default());
        Self { unwrapper, pieces: Vec::new(), now: Micros(1) }
    }

    fn run(&mut self, bytes: &[u8], datagram_bytes: usize) {
        let Self { unwrapper, pieces, now } = self;
        let mut take = |packets: &[u8]| {
            assert!(packets.len().is_multiple_of(188) && packets[0] == 0x47);
            pieces.push(numbers(packets));
        };
        unwrapper.run(run(bytes, datagram_bytes), *now, &mut take);
    }

    fn datagram(&mut self, bytes: &[u8]) {
        self.run(bytes, bytes.len());
    }

    fn timeout(&mut self, after_ms: u64) {
        self.now = self.now.after_millis(after_ms);
        let Self { unwrapper, pieces, now } = self;
        unwrapper.handle_timeout(*now, &mut |packets| pieces.push(numbers(packets)));
    }

    fn counters(&self) -> (u64, u64, u64, u64) {
        let DatagramCounters { raw, rtp, foreign, with_parity } = self.unwrapper.counters();
        (raw, rtp, foreign, with_parity)
    }
}

fn packets(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(numbered).collect()
}

fn rtp(sequence: u16, payload: &[u8]) -> Vec<u8> {
    [&Packetizer::new(7, sequence, 0).header(0)[..], payload].concat()
}

#[test]
fn a_run_of_raw_datagrams_is_one_slice() {
    let mut rig = Rig::new();
    rig.run(&packets(0..23), 7 * 188);
    assert_eq!(rig.pieces, [(0..23).collect::<Vec<_>>()]);
    assert_eq!(rig.counters(), (4, 0, 0, 0));
}

#[test]
fn a_run_with_something_else_in_it_is_taken_apart() {
    let mut rig = Rig::new();
    let mut bytes = packets(0..21);
    bytes[7 * 188] = 0x48;
    rig.run(&bytes, 7 * 188);
    assert_eq!(rig.pieces, [(0..7).collect::<Vec<_>>(), (14..21).collect()]);
    assert_eq!(rig.counters(), (2, 0, 1, 0));
    // The last datagram of this run is no whole packet.
    rig.pieces.clear();
    rig.run(&[&packets(0..7)[..], &[0x47; 100]].concat(), 7 * 188);
    assert_eq!(rig.pieces, [(0..7).collect::<Vec<_>>()]);
    assert_eq!(rig.counters(), (4, 0, 2, 0));
}

#[test]
fn parity_is_cut_off_with_and_without_rtp() {
    let mut rig = Rig::new();
    let with_parity: Vec<u8> =
        (0..5).flat_map(|n| [&numbered(n)[..], &[0xEE; 16]].concat()).collect();
    rig.datagram(&with_parity);
    rig.datagram(&rtp(1, &with_parity));
    assert_eq!(rig.pieces, [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
    assert_eq!(rig.counters(), (1, 1, 0, 2));
}

#[test]
fn rtp_is_put_into_order_and_waits_for_no_more_than_its_window() {
    let mut rig = Rig::new();
    for n in [0, 1, 3, 2, 4, 6] {
        rig.datagram(&rtp(n, &packets([u32::from(n)])));
    }
    assert_eq!(rig.pieces.concat(), [0, 1, 2, 3, 4]);
    let due = rig.unwrapper.poll_timeout().expect("6 waits for 5");
    assert!(due > rig.now && due <= rig.now.after_millis(20));
    rig.timeout(19);
    assert_eq!(rig.pieces.concat().len(), 5);
    rig.timeout(1);
    assert_eq!((rig.pieces.concat().last(), rig.unwrapper.poll_timeout()), (Some(&6), None));
    let counters = rig.unwrapper.rtp_counters().expect("RTP came");
    assert_eq!((counters.recovered, counters.flow.lost), (1, 1));
}

#[test]
fn a_sender_that_goes_over_to_raw_and_back_keeps_its_order() {
    let mut rig = Rig::new();
    assert_eq!(rig.unwrapper.rtp_counters(), None);
    rig.datagram(&rtp(0, &packets([0])));
    rig.datagram(&rtp(2, &packets([1])));
    rig.datagram(&packets([2]));
    rig.datagram(&rtp(3, &packets([3])));
    rig.run(&packets(4..6), 188);
    assert_eq!(rig.pieces.concat(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(rig.counters(), (3, 3, 0, 0));
}

#[test]
fn what_is_no_transport_stream_is_counted_and_left_out() {
    let mut rig = Rig::new();
    let short = rtp(5, &[]);
    for junk in [
        &b""[..],
        b"GET / HTTP/1.1",
        &[0x47],
        &[0; 1_316],
        &short[..Header::SIZE - 1],
        &rtp(1, &[0x11; 188]),
        &rtp(2, &[0x47; 189]),
    ] {
        rig.datagram(junk);
    }
    assert!(rig.pieces.is_empty());
    assert_eq!(rig.counters().2, 7);
    // An RTP packet without payload keeps a flow alive.
    rig.datagram(&rtp(3, &[]));
    assert_eq!(rig.counters().2, 7);
}
