//! Inputs on the loopback interface; interfaces that go away are tested in namespaces.

mod stream;
mod unwrap;
mod watch;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use corelay_codecs::container::rtp::Packetizer;
use corelay_config::{DatagramAddress, Side, UrlOptions};

use super::*;
use stream::{Stream, numbered, numbers};

const SETTINGS: InputSettings = InputSettings {
    rejoin_s: 0,
    retry_min_ms: 500,
    retry_max_ms: 15_000,
    silence_ms: 500,
    reorder: ReorderSettings { window_packets: 64, wait_us: 20_000 },
    analysis: ANALYSIS,
};

const ANALYSIS: analysis::Settings = analysis::Settings {
    time: TimeSource::Arrival,
    window_us: 1_000_000,
    pids_max: 512,
    sync_lost_packets: 2,
    sync_found_packets: 5,
    pat_interval_us: 500_000,
    pmt_interval_us: 500_000,
    pid_missing_us: 5_000_000,
    pcr_interval_us: 100_000,
    pcr_step_us: 100_000,
    pcr_accuracy_ns: 500,
    pts_interval_us: 700_000,
    unreferenced_us: 500_000,
    raise_errors: 1,
    clear_after_us: 5_000_000,
};

fn at(address: &str) -> MediaUrl {
    let place = DatagramAddress { interface: None, address: address.parse().unwrap() };
    MediaUrl { endpoint: Endpoint::Udp(place), options: UrlOptions::default() }
}

/// An open input on a port of the kernel's choice, and a socket that sends to it.
struct Rig {
    input: Input,
    inbox: Inbox,
    sender: UdpSocket,
    now: Micros,
    got: Vec<u32>,
}

impl Rig {
    fn new() -> Self {
        let mut input = Input::new(&at("127.0.0.1:0"), &SETTINGS, 1);
        let now = Micros::from_millis(1_000);
        input.open(now);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(local(&mut input, now)).unwrap();
        Self { input, inbox: Inbox::new(), sender, now, got: Vec::new() }
    }

    fn receive(&mut self) -> Progress {
        let Self { input, inbox, now, got, .. } = self;
        input.receive(inbox, *now, &mut |packets| got.extend(numbers(packets)))
    }

    /// Goes on until there are so many packets.
    fn receive_all(&mut self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.got.len() < count {
            assert!(Instant::now() < deadline, "{} of {count}", self.got.len());
            if self.receive() == Progress::Drained {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Time passes in steps that the input asks for.
    fn pass(&mut self, ms: u64) -> Vec<InputEvent> {
        let end = self.now.after_millis(ms);
        let mut events = Vec::new();
        while let Some(due) = self.input.next_due().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            let got = &mut self.got;
            self.input.handle_timeout(self.now, &mut |packets| got.extend(numbers(packets)));
            events.extend(std::iter::from_fn(|| self.input.poll_event()));
        }
        self.now = end;
        events
    }

    fn events(&mut self) -> Vec<InputEvent> {
        let events = std::iter::from_fn(|| self.input.poll_event());
        events.filter(|event| !matches!(event, InputEvent::Alarm(_))).collect()
    }
}

fn local(input: &mut Input, now: Micros) -> SocketAddr {
    input.snapshot(now).socket.unwrap().local.expect("it is open")
}

fn is_opened(event: &InputEvent) -> bool {
    matches!(event, InputEvent::Opened { fd: 3.., .. })
}

#[test]
fn packets_arrive_in_order_and_the_first_ones_are_told() {
    let mut rig = Rig::new();
    assert!(matches!(&rig.events()[..], [opened] if is_opened(opened)));
    assert_eq!((rig.receive(), rig.events()), (Progress::Drained, vec![]));
    for datagram in 0..20 {
        let packets: Vec<u8> = (0..7).flat_map(|n| numbered(7 * datagram + n)).collect();
        rig.sender.send(&packets).unwrap();
    }
    rig.receive_all(140);
    assert!(rig.got.iter().copied().eq(0..140));
    assert_eq!(rig.events(), [InputEvent::Heard]);
    let snapshot = rig.input.snapshot(rig.now);
    let socket = snapshot.socket.unwrap();
    assert_eq!((snapshot.state, socket.counters.datagrams), (InputState::Receiving, 20));
    assert_eq!((socket.datagrams.raw, socket.openings), (20, 1));
    assert_eq!(snapshot.analysis.totals.packets, 140);
}

#[test]
fn a_turn_takes_so_many_messages_and_says_that_there_is_more() {
    let mut rig = Rig::new();
    for number in 0..300 {
        rig.sender.send(&numbered(number)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    let turns = [rig.receive(), rig.receive(), rig.receive()];
    assert_eq!(turns, [Progress::More, Progress::More, Progress::Drained]);
    assert!(rig.got.iter().copied().eq(0..300));
}

#[test]
fn rtp_that_waits_is_handed_over_when_its_time_is_over() {
    let mut rig = Rig::new();
    let mut packetizer = Packetizer::new(1, 0, 0);
    for number in 0..4 {
        let datagram = [&packetizer.header(0)[..], &numbered(number)].concat();
        if number != 2 {
            rig.sender.send(&datagram).unwrap();
        }
    }
    rig.receive_all(2);
    std::thread::sleep(Duration::from_millis(20));
    rig.receive();
    assert_eq!(rig.got, [0, 1]);
    assert!(rig.input.next_due().unwrap() <= rig.now.after_millis(20));
    rig.pass(20);
    assert_eq!(rig.got, [0, 1, 3]);
}

#[test]
fn a_silent_port_is_told_within_five_seconds_and_heard_again() {
    let mut rig = Rig::new();
    rig.events();
    let events = rig.pass(5_000);
    let [InputEvent::Silent(text)] = &events[..] else { panic!("{events:?}") };
    let port = rig.sender.peer_addr().unwrap().port();
    assert!(text.starts_with(&format!("nothing came to port {port} within 4 s; check")), "{text}");
    assert_eq!(rig.pass(60_000), [], "once");
    assert_eq!(rig.input.snapshot(rig.now).state, InputState::Silent);
    rig.sender.send(&numbered(0)).unwrap();
    rig.receive_all(1);
    assert_eq!(rig.events(), [InputEvent::Heard]);
    assert!(rig.pass(3_000).iter().all(|event| matches!(event, InputEvent::Alarm(_))));
    let silent = rig.pass(2_000).into_iter().find(|event| matches!(event, InputEvent::Silent(_)));
    assert!(silent.is_some(), "a new silence");
    for number in 1..3 {
        rig.sender.send(&numbered(number)).unwrap();
        rig.receive_all(1 + number as usize);
    }
    assert_eq!(rig.events(), [InputEvent::Heard], "once for each silence");
}

#[test]
fn datagrams_that_are_none_of_ours_are_no_silence() {
    let mut rig = Rig::new();
    rig.events();
    let mut events = Vec::new();
    for _ in 0..50 {
        rig.sender.send(b"hello").unwrap();
        std::thread::sleep(Duration::from_millis(1));
        rig.receive();
        events.extend(rig.pass(100));
    }
    let [InputEvent::Silent(text)] = &events[..] else { panic!("{events:?}") };
    assert!(text.contains("datagrams came to 127.0.0.1:"), "{text}");
    assert!(text.ends_with("none carries transport stream packets"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_told_once_and_opened_when_it_is_free() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let mut rig = Rig::new();
    rig.input = Input::new(&at(&address.to_string()), &SETTINGS, 1);
    rig.input.open(rig.now);
    let mut events = rig.events();
    events.extend(rig.pass(120_000));
    let [InputEvent::Lost(why)] = &events[..] else { panic!("{events:?}") };
    assert!(why.contains("another program does already"), "{why}");
    let snapshot = rig.input.snapshot(rig.now);
    assert_eq!((snapshot.state, snapshot.why.as_ref()), (InputState::Lost, Some(why)));
    drop(other);
    let events = rig.pass(15_000);
    assert!(matches!(&events[..1], [opened] if is_opened(opened)), "{events:?}");
    assert_eq!(rig.input.snapshot(rig.now).why, None);
}

#[test]
fn attempts_are_never_farther_apart_than_set() {
    let mut input = Input::new(&at("192.0.2.1:5000"), &SETTINGS, 9);
    let mut now = Micros(0);
    input.open(now);
    let mut pauses = Vec::new();
    while pauses.len() < 30 {
        let retry = input.port.as_ref().unwrap().retry_at().expect("not this machine's address");
        pauses.push(retry.since(now) / 1_000);
        now = retry;
        input.handle_timeout(now, &mut |_| {});
    }
    assert!(pauses[0] == 0 && (250..=500).contains(&pauses[1]), "{pauses:?}");
    assert!(pauses[1..].iter().all(|pause| (250..=15_000).contains(pause)), "{pauses:?}");
    assert!(*pauses.last().unwrap() >= 7_500, "{pauses:?}");
}

#[test]
fn a_closed_input_has_nothing_to_do_and_can_be_opened_again() {
    let mut rig = Rig::new();
    rig.sender.send(&numbered(0)).unwrap();
    rig.receive_all(1);
    rig.input.close();
    assert_eq!((rig.input.next_due(), rig.input.is_open()), (None, false));
    assert_eq!(rig.receive(), Progress::Drained);
    rig.events();
    rig.input.handle_timeout(rig.now.after_millis(90_000), &mut |_| {});
    assert_eq!(rig.events(), []);
    assert_eq!(rig.input.snapshot(rig.now).state, InputState::Closed);
    rig.input.open(rig.now);
    rig.input.open(rig.now);
    assert!(matches!(&rig.events()[..], [opened] if is_opened(opened)));
    let socket = rig.input.snapshot(rig.now).socket.unwrap();
    assert_eq!((socket.openings, socket.counters.datagrams), (2, 1), "of both openings");
}

#[test]
fn a_connection_feeds_an_input_without_a_socket() {
    let url = MediaUrl::parse("http://127.0.0.1/x.ts?key=secret", Side::Input).unwrap();
    let mut input = Input::new(&url, &SETTINGS, 1);
    let mut now = Micros::from_millis(1_000);
    input.open(now);
    assert_eq!(input.poll_event(), None);
    let (mut stream, mut count) = (Stream::new(), 0);
    for _ in 0..100 {
        now = now.after_millis(20);
        let packets = stream.next();
        input.feed(&packets, now, &mut |taken| count += usize::from(taken == packets));
        while input.next_due().is_some_and(|due| due <= now) {
            input.handle_timeout(now, &mut |_| panic!("nothing waits"));
        }
    }
    assert_eq!(count, 100);
    assert_eq!(input.poll_event(), Some(InputEvent::Heard));
    let snapshot = input.snapshot(now);
    assert!(snapshot.socket.is_none() && snapshot.programs.len() == 1);
    assert_eq!((snapshot.state.label(), snapshot.services.len()), ("receiving", 1));
    assert_eq!(snapshot.url, "http://127.0.0.1:80/x.ts?...", "without its secret");

    let summary = input.summary(now);
    assert!(summary.pat.is_none() && summary.programs.is_empty() && summary.services.is_empty());
    assert!(summary.analysis.pids.is_empty() && !snapshot.analysis.pids.is_empty());
    assert_eq!(summary.analysis.totals, snapshot.analysis.totals);
    let formats: Vec<_> = snapshot.programs[0].streams.iter().map(|one| one.format).collect();
    assert!(!formats.is_empty() && summary.formats == formats && snapshot.formats == formats);
}

#[test]
fn alarms_come_behind_the_other_events() {
    let mut rig = Rig::new();
    for number in [0, 1, 5] {
        rig.sender.send(&numbered(number)).unwrap();
    }
    rig.receive_all(3);
    let events: Vec<_> = std::iter::from_fn(|| rig.input.poll_event()).collect();
    assert!(matches!(events[..], [_, InputEvent::Heard, InputEvent::Alarm(_)]), "{events:?}");
}
