//! Outputs to the loopback interface; interfaces that go away are tested in namespaces.

use std::net::UdpSocket;
use std::time::Duration;

use corelay_codecs::container::mpegts::packet::Pcr;
use corelay_codecs::container::rtp::Packet;
use corelay_config::{DatagramAddress, UrlOptions};

use super::*;

const SETTINGS: OutputSettings = OutputSettings {
    pace: Pace::Forward,
    pacer: PACER,
    packets_per_datagram: 7,
    analysis: None,
    retry_min_ms: 500,
    retry_max_ms: 15_000,
};

const PACER: pace::Settings = pace::Settings {
    depth_us: 200_000,
    packets_per_datagram: 7,
    bytes_max: 8 << 20,
    overrun_us: 0,
    extrapolate_us: 100_000,
    linger_us: 50_000,
};

/// An open output, and who receives.
struct Rig {
    output: Output,
    receiver: UdpSocket,
    now: Micros,
}

impl Rig {
    fn new(is_rtp: bool, settings: &OutputSettings) -> Self {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let url = url(&receiver.local_addr().unwrap().to_string(), is_rtp);
        let mut output = Output::new(&url, settings, 1).unwrap();
        let now = Micros::from_millis(1_000);
        output.open(now);
        Self { output, receiver, now }
    }

    /// What arrives, until nothing comes.
    fn received(&self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2_000];
        let mut receive = || self.receiver.recv(&mut buffer).map(|size| buffer[..size].to_vec());
        std::iter::from_fn(|| receive().ok()).collect()
    }

    fn events(&mut self) -> Vec<OutputEvent> {
        std::iter::from_fn(|| self.output.poll_event()).collect()
    }
}

fn url(address: &str, is_rtp: bool) -> MediaUrl {
    let place = DatagramAddress { interface: None, address: address.parse().unwrap() };
    let endpoint = if is_rtp { Endpoint::Rtp(place) } else { Endpoint::Udp(place) };
    MediaUrl { endpoint, options: UrlOptions::default() }
}

/// Packets with numbers in them; `pcr` says which have a clock, in ticks of 27 MHz.
fn packets(numbers: std::ops::Range<u32>, pcr: impl Fn(u32) -> Option<u64>) -> Vec<u8> {
    let packet = |number: u32| {
        let mut packet = [0; PACKET_SIZE];
        packet[..4].copy_from_slice(&[0x47, 0x01, 0x23, 0x30 | (number % 16) as u8]);
        packet[4] = 7;
        if let Some(pcr) = pcr(number) {
            packet[5] = 0x10;
            packet[6..12].copy_from_slice(&Pcr::new(pcr).to_bytes());
        }
        packet[12..16].copy_from_slice(&number.to_be_bytes());
        packet
    };
    numbers.flat_map(packet).collect()
}

fn plain(numbers: std::ops::Range<u32>) -> Vec<u8> {
    packets(numbers, |_| None)
}

#[test]
fn forwarded_packets_leave_at_once_seven_a_datagram() {
    let mut rig = Rig::new(false, &SETTINGS);
    let first = plain(0..500);
    rig.output.send(&first, rig.now);
    let second = plain(500..503);
    rig.output.send(&second, rig.now);
    let received = rig.received();
    let sizes: Vec<usize> = received.iter().map(|datagram| datagram.len() / 188).collect();
    assert_eq!(sizes, [vec![7; 71], vec![3, 3]].concat());
    assert_eq!(received.concat(), [first, second].concat());
    let snapshot = rig.output.snapshot();
    assert_eq!((snapshot.counters.datagrams, snapshot.drops), (73, OutputDrops::default()));
    assert_eq!(
        (snapshot.state, snapshot.ssrc, snapshot.pace),
        (OutputState::Open, None, Pace::Forward)
    );
    assert_eq!(rig.output.next_due(), None, "nothing is due without an analyser");
}

#[test]
fn rtp_datagrams_are_numbered_and_dated() {
    let mut rig = Rig::new(true, &SETTINGS);
    let bytes = plain(0..490);
    rig.output.send(&bytes, rig.now);
    rig.output.mark_discontinuity();
    rig.now = rig.now.after_millis(100);
    rig.output.send(&plain(490..504), rig.now);
    let received = rig.received();
    let read: Vec<Packet> = received.iter().map(|one| Packet::parse(one).unwrap()).collect();
    assert_eq!(read.len(), 72);
    let first = read[0].header;
    assert_eq!((first.payload_type, Some(first.ssrc)), (33, rig.output.snapshot().ssrc));
    for (n, packet) in read.iter().enumerate() {
        let header = packet.header;
        assert_eq!(header.sequence, first.sequence.wrapping_add(n as u16));
        let ticks = if n < 70 { 0 } else { 9_000 };
        assert_eq!(header.timestamp.wrapping_sub(first.timestamp), ticks);
        assert_eq!((header.ssrc, header.marker), (first.ssrc, n == 70));
    }
    let payload: Vec<u8> = read.iter().flat_map(|packet| packet.payload).copied().collect();
    assert!(payload[..490 * 188] == bytes[..]);
}

#[test]
fn two_flows_have_numbers_of_their_own() {
    let ssrc = || Rig::new(true, &SETTINGS).output.snapshot().ssrc.unwrap();
    assert_ne!(ssrc(), ssrc());
}

#[test]
fn paced_packets_leave_when_their_place_says() {
    // A datagram of 7 packets every ms, a PCR in every 20th datagram; all of it comes at once.
    let settings = OutputSettings { pace: Pace::Paced, ..SETTINGS };
    let mut rig = Rig::new(true, &settings);
    let pcr = |number: u32| number.is_multiple_of(140).then(|| u64::from(number / 7) * 27_000);
    let bytes = packets(0..490, pcr);
    let begin = rig.now;
    rig.output.send(&bytes, rig.now);
    let mut departures = Vec::new();
    while let Some(due) = rig.output.next_due() {
        assert!(due >= rig.now);
        rig.now = due;
        rig.output.handle_timeout(due);
        departures.push(due.since(begin));
    }
    let received = rig.received();
    assert_eq!(received.len(), 70);
    for (n, &at_us) in departures.iter().enumerate().take(60) {
        let expected = 200_000 + n as u64 * 1_000;
        assert!(at_us.abs_diff(expected) <= 20, "datagram {n} at {at_us}");
    }
    let read: Vec<Packet> = received.iter().map(|one| Packet::parse(one).unwrap()).collect();
    let payload: Vec<u8> = read.iter().flat_map(|packet| packet.payload).copied().collect();
    assert!(payload == bytes);
    let step = |one: &[Packet]| one[1].header.timestamp.wrapping_sub(one[0].header.timestamp);
    assert!(read.windows(2).take(59).all(|two| (88..=92).contains(&step(two))));
    let snapshot = rig.output.snapshot();
    assert_eq!(snapshot.pacer.unwrap().datagrams, 70);
    assert_eq!(snapshot.pace, Pace::Paced);
}

#[test]
fn the_url_says_how_packets_leave_before_the_settings_do() {
    let mut url = url("127.0.0.1:9", false);
    url.options.pace = Some(Pace::Paced);
    url.options.depth_ms = Some(50);
    let mut output = Output::new(&url, &SETTINGS, 1).unwrap();
    let begin = Micros::from_millis(1_000);
    output.open(begin);
    let pcr = |number: u32| number.is_multiple_of(7).then(|| u64::from(number) * 27_000 / 7);
    output.send(&packets(0..70, pcr), begin);
    let due = output.next_due().unwrap().since(begin);
    assert!(due.abs_diff(50_000) < 100, "{due}");
    output.close();
    assert_eq!((output.next_due(), output.snapshot().state), (None, OutputState::Closed));
    output.open(begin);
    assert_eq!(output.next_due(), None, "what was to leave does not leave");
}

#[test]
fn an_output_that_cannot_be_opened_is_told_once_and_counts_what_it_drops() {
    let mut url = url("127.0.0.1:9", false);
    url.options.sources = vec!["192.0.2.1".parse().unwrap()];
    let mut output = Output::new(&url, &SETTINGS, 1).unwrap();
    let mut now = Micros::from_millis(1);
    output.open(now);
    for _ in 0..20 {
        output.send(&plain(0..14), now);
        now = output.next_due().expect("it is tried again");
        output.handle_timeout(now);
    }
    let Some(OutputEvent::Lost(why)) = output.poll_event() else { panic!("not told") };
    assert!(why.starts_with("this machine has no address 192.0.2.1"), "{why}");
    assert_eq!(output.poll_event(), None);
    let snapshot = output.snapshot();
    assert_eq!((snapshot.state, snapshot.drops.lost), (OutputState::Lost, 40));
    assert!(now > Micros::from_millis(60_000), "with pauses: {now:?}");
}

#[test]
fn a_send_that_fails_closes_the_socket_and_is_told_until_one_succeeds() {
    // A datagram that is longer than any can be fails for good, as sending on a dead interface does.
    let mut rig = Rig::new(false, &OutputSettings { packets_per_datagram: 348, ..SETTINGS });
    assert!(matches!(rig.events()[..], [OutputEvent::Opened { .. }]));
    let long = plain(0..348);
    rig.output.datagram_bytes = 349 * PACKET_SIZE;
    let too_long = [&long[..], &long].concat();
    let now = rig.now;
    rig.output.send(&too_long, now);
    let events = rig.events();
    let [OutputEvent::Lost(why)] = &events[..] else { panic!("{events:?}") };
    assert!(why.starts_with("cannot send: "), "{why}");
    for _ in 0..5 {
        rig.now = rig.output.next_due().expect("it is tried again");
        rig.output.handle_timeout(rig.now);
        rig.output.send(&too_long, rig.now);
        assert_eq!(rig.events(), [], "an open socket is no news while nothing leaves");
    }
    rig.now = rig.output.next_due().unwrap();
    rig.output.handle_timeout(rig.now);
    rig.output.send(&plain(0..7), rig.now);
    assert!(matches!(rig.events()[..], [OutputEvent::Opened { .. }]));
    assert_eq!(rig.received().len(), 1);
    rig.output.close();
    let snapshot = rig.output.snapshot();
    assert_eq!((snapshot.openings, snapshot.counters.datagrams), (7, 1), "of all openings");
}

#[test]
fn a_datagram_that_the_interface_has_no_room_for_is_tried_once_more() {
    // The kernel's answer cannot be had on loopback, so that the datagram is held by hand.
    let mut rig = Rig::new(false, &OutputSettings { pace: Pace::Paced, ..SETTINGS });
    let paced = rig.output.paced.as_mut().unwrap();
    paced.hold_for_test(&plain(0..7), rig.now);
    rig.output.send(&plain(7..14), rig.now);
    assert_eq!(rig.output.next_due(), Some(Micros(rig.now.0 + 1_000)));
    rig.now = Micros(rig.now.0 + 999);
    rig.output.handle_timeout(rig.now);
    assert_eq!(rig.received().len(), 0);
    rig.now = Micros(rig.now.0 + 1);
    rig.output.handle_timeout(rig.now);
    assert_eq!(rig.received(), [plain(0..7)]);
    while let Some(due) = rig.output.next_due() {
        rig.output.handle_timeout(due);
    }
    assert_eq!(rig.received(), [plain(7..14)]);
}

#[test]
fn what_leaves_is_measured_if_wanted() {
    let analysis = Some(analysis::Settings::default());
    let mut rig = Rig::new(false, &OutputSettings { analysis, ..SETTINGS });
    rig.output.send(&plain(0..100), rig.now);
    rig.output.send(&plain(101..200), rig.now);
    assert_eq!(rig.output.snapshot().analysis.unwrap().totals.packets, 199);
    assert!(matches!(rig.events()[..], [OutputEvent::Opened { .. }, OutputEvent::Alarm(_)]));
    let due = rig.output.next_due().expect("the analyser is told the time");
    assert!(due <= rig.now.after_millis(1_000));
    rig.output.handle_timeout(due.after_millis(500));
    let events = rig.events();
    let words: Vec<String> = events.iter().map(|event| event.describe().1).collect();
    assert_eq!(words, ["raises TR 101 290 1.3 PAT_error of PID 0"]);
}

#[test]
fn nothing_is_missing_before_the_first_packet() {
    let analysis = Some(analysis::Settings::default());
    for pace in [Pace::Forward, Pace::Paced] {
        let mut rig = Rig::new(false, &OutputSettings { analysis, pace, ..SETTINGS });
        let begin = rig.now;
        while rig.now.since(begin) < 5_000_000 {
            rig.now = rig.output.next_due().expect("the analyser is told the time");
            rig.output.handle_timeout(rig.now);
        }
        assert!(matches!(rig.events()[..], [OutputEvent::Opened { .. }]));
        let pcr = |number: u32| number.is_multiple_of(7).then(|| u64::from(number) * 27_000);
        rig.output.send(&packets(0..70, pcr), rig.now);
        let begin = rig.now;
        while rig.now.since(begin) < 5_000_000 {
            rig.now = rig.output.next_due().unwrap();
            rig.output.handle_timeout(rig.now);
        }
        let words: Vec<String> = rig.events().iter().map(|event| event.describe().1).collect();
        assert!(
            words.contains(&"raises TR 101 290 1.3 PAT_error of PID 0".to_owned()),
            "{words:?}"
        );
    }
}

#[test]
fn only_datagrams_are_sent_here() {
    let url = MediaUrl::parse("tcp://127.0.0.1:9", corelay_config::Side::Output).unwrap();
    assert!(Output::new(&url, &SETTINGS, 1).is_none());
}
