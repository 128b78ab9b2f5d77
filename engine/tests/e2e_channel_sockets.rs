//! Inputs and outputs of channels between two hosts: interfaces that go and return, groups that are
//! silent, queues that are full.

mod support;

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use corelay::Micros;
use corelay::channel::input::{Input, InputEvent, InputSettings, InputState, Progress};
use corelay::channel::output::{Output, OutputEvent, OutputSettings, OutputState};
use corelay::net::udp::Inbox;
use corelay_codecs::container::mpegts::{analysis, pace};
use corelay_codecs::container::rtp::{Packet, ReorderSettings};
use corelay_config::{MediaUrl, Pace, Side};
use support::netns::{self, Network};
use support::{LIMIT, wait_until};

fn input(url: &str, rejoin_s: u32) -> Input {
    let settings = InputSettings {
        rejoin_s,
        retry_min_ms: 500,
        retry_max_ms: 15_000,
        silence_ms: 500,
        reorder: ReorderSettings::default(),
        analysis: analysis::Settings::default(),
    };
    Input::new(&MediaUrl::parse(url, Side::Input).unwrap(), &settings, 1)
}

fn output(url: &str) -> Output {
    let settings = OutputSettings {
        pace: Pace::Forward,
        pacer: pace::Settings::default(),
        packets_per_datagram: 7,
        analysis: None,
        retry_min_ms: 500,
        retry_max_ms: 15_000,
    };
    Output::new(&MediaUrl::parse(url, Side::Output).unwrap(), &settings, 1).unwrap()
}

/// Seven packets.
fn datagram() -> Vec<u8> {
    let mut packets = vec![0; 7 * 188];
    for packet in packets.as_chunks_mut::<188>().0 {
        packet[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    }
    packets
}

/// An input whose time runs as the test says, and what it told.
struct Rig {
    input: Input,
    inbox: Inbox,
    now: Micros,
    packets: usize,
}

impl Rig {
    fn open(url: &str, rejoin_s: u32) -> Self {
        let (mut input, now) = (input(url, rejoin_s), Micros(1_000_000));
        input.open(now);
        Self { input, inbox: Inbox::new(), now, packets: 0 }
    }

    fn events(&mut self) -> Vec<InputEvent> {
        let events = std::iter::from_fn(|| self.input.poll_event());
        events.filter(|event| !matches!(event, InputEvent::Alarm(_))).collect()
    }

    /// Time passes, in steps that the input asks for.
    fn pass(&mut self, ms: u64) -> Vec<InputEvent> {
        let end = Micros(self.now.0 + ms * 1_000);
        let mut events = Vec::new();
        while let Some(due) = self.input.next_due().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.input.handle_timeout(self.now, &mut |_| {});
            events.extend(self.events());
        }
        self.now = end;
        events
    }

    /// Receives what is there.
    fn receive(&mut self) {
        let Self { input, inbox, now, packets } = self;
        let mut take = |bytes: &[u8]| *packets += bytes.len() / 188;
        while input.receive(inbox, *now, &mut take) == Progress::More {}
    }

    /// Waits for so many datagrams: what has arrived then.
    fn heard(&mut self, count: usize) -> usize {
        let before = self.packets;
        wait_until("datagrams arrive", LIMIT, || {
            self.receive();
            self.packets >= before + 7 * count
        });
        (self.packets - before) / 7
    }
}

/// Sends one datagram from the sending host.
fn send(network: &Network, url: &str) {
    network.sender().run(|| {
        let mut output = output(url);
        output.open(Micros(0));
        output.send(&datagram(), Micros(0));
        assert_eq!(output.snapshot().counters.datagrams, 1, "{url}");
    });
}

#[test]
fn an_input_is_received_again_when_its_interface_returns() {
    netns::inside("an_input_is_received_again_when_its_interface_returns", |network: &Network| {
        for group in ["239.71.1.1", "[ff1e::71:1]"] {
            let sent = format!("udp://tx1@{group}:5000");
            let mut rig = Rig::open(&format!("udp://rx1@{group}:5000"), 0);
            send(network, &sent);
            assert_eq!(rig.heard(1), 1);
            let events = rig.events();
            let [InputEvent::Opened { interface, .. }, InputEvent::Heard] = &events[..] else {
                panic!("{events:?}")
            };
            assert_eq!(interface.as_deref(), Some("rx1"));

            netns::ip("link del dev rx1");
            rig.receive();
            let events = rig.pass(2_000);
            let [InputEvent::Lost(why)] = &events[..] else { panic!("{events:?}") };
            assert!(why.contains("interface rx1 has gone"), "{why}");
            assert_eq!(rig.pass(120_000), [], "told once");
            let snapshot = rig.input.snapshot(rig.now);
            assert_eq!(snapshot.state, InputState::Lost);
            assert!(snapshot.why.unwrap().starts_with("there is no interface rx1"));

            network.lay_cable(1);
            let events = rig.pass(15_000);
            assert!(matches!(&events[0], InputEvent::Opened { .. }), "{events:?}");
            send(network, &sent);
            assert_eq!((rig.heard(1), rig.events()), (1, vec![InputEvent::Heard]));
        }
    });
}

#[test]
fn an_interface_that_was_replaced_is_joined_anew_at_once() {
    netns::inside("an_interface_that_was_replaced_is_joined_anew_at_once", |network: &Network| {
        let mut rig = Rig::open("udp://rx1@239.71.1.2:5000", 0);
        rig.events();
        netns::ip("link del dev rx1");
        network.lay_cable(1);
        let events = rig.pass(2_000);
        let [InputEvent::Lost(_), InputEvent::Opened { .. }] = &events[..] else {
            panic!("{events:?}")
        };
        send(network, "udp://tx1@239.71.1.2:5000");
        assert_eq!(rig.heard(1), 1);
    });
}

#[test]
fn joining_anew_finds_out_that_the_interface_was_replaced() {
    netns::inside("joining_anew_finds_out_that_the_interface_was_replaced", |network: &Network| {
        let mut rig = Rig::open("udp://rx1@239.71.1.3:5000#renew=1", 0);
        send(network, "udp://tx1@239.71.1.3:5000");
        assert_eq!(rig.heard(1), 1);
        rig.events();
        assert_eq!(rig.pass(900), [], "joined anew without a word");
        netns::ip("link del dev rx1");
        network.lay_cable(1);
        // Not silent for long enough that the interface would be looked at.
        rig.now = Micros(rig.now.0 + 10_000);
        let told = rig.pass(1_200);
        assert!(matches!(&told[..], [InputEvent::Lost(_), InputEvent::Opened { .. }]), "{told:?}");
    });
}

#[test]
fn a_silent_group_is_told_with_its_interface_and_what_to_check() {
    netns::inside("a_silent_group_is_told_with_its_interface_and_what_to_check", |_: &Network| {
        let mut rig = Rig::open("rtp://rx0@239.71.1.4:5000", 0);
        rig.events();
        let events = rig.pass(5_000);
        let [InputEvent::Silent(text)] = &events[..] else { panic!("{events:?}") };
        assert!(text.starts_with("joined 239.71.1.4 on rx0, and nothing came within 4 s; check "));
        assert!(text.contains("rx0 received no frame"), "{text}");
        netns::ip("link set dev rx0 down");
        assert!(rig.pass(60_000).is_empty(), "the interface is down, and still there");
        netns::ip("link set dev rx0 up");
    });
}

#[test]
fn an_output_sends_again_when_its_interface_returns() {
    netns::inside("an_output_sends_again_when_its_interface_returns", |network: &Network| {
        let mut output = output("udp://rx1@239.71.1.5:5000");
        let mut now = Micros(1_000_000);
        output.open(now);
        output.send(&datagram(), now);
        assert!(matches!(output.poll_event(), Some(OutputEvent::Opened { .. })));
        netns::ip("link del dev rx1");
        for _ in 0..10 {
            output.send(&datagram(), now);
            now = output.next_due().expect("it is tried again");
            output.handle_timeout(now);
        }
        let Some(OutputEvent::Lost(why)) = output.poll_event() else { panic!("not told") };
        assert!(why.starts_with("cannot send: "), "{why}");
        assert_eq!(output.poll_event(), None, "told once");
        let snapshot = output.snapshot();
        assert_eq!((snapshot.state, snapshot.drops.lost), (OutputState::Lost, 10));

        network.lay_cable(1);
        now = output.next_due().unwrap();
        output.handle_timeout(now);
        output.send(&datagram(), now);
        assert!(matches!(output.poll_event(), Some(OutputEvent::Opened { .. })));
        assert_eq!(output.snapshot().counters.datagrams, 2);
    });
}

#[test]
fn a_full_send_buffer_drops_and_counts_and_waits_for_nothing() {
    let name = "a_full_send_buffer_drops_and_counts_and_waits_for_nothing";
    netns::inside(name, |network: &Network| {
        // 1 Mbit/s: what waits for it is charged to the socket.
        network.sender().run(|| {
            let command = "qdisc add dev tx0 root tbf rate 1mbit burst 3000 limit 10000000";
            let done = std::process::Command::new("tc").args(command.split(' ')).status();
            assert!(done.expect("tc is part of iproute2").success());
        });
        let receiver = UdpSocket::bind("10.71.0.1:5000").unwrap();
        receiver.set_nonblocking(true).unwrap();
        let (snapshot, last) = network.sender().run(|| {
            let mut output = output("rtp://10.71.0.1:5000#sndbuf=65536");
            output.open(Micros(0));
            for _ in 0..1_000 {
                output.send(&datagram(), Micros(0));
            }
            let snapshot = output.snapshot();
            // Until there is room again.
            while output.snapshot().counters.datagrams == snapshot.counters.datagrams {
                std::thread::sleep(Duration::from_millis(10));
                output.send(&datagram(), Micros(0));
            }
            let after = output.snapshot();
            let drops = after.drops.full - snapshot.drops.full;
            (snapshot, 1_000 + drops)
        });
        let sent = snapshot.counters.datagrams;
        // Had it waited for room, all of them would have been sent, within ten seconds.
        assert!(snapshot.drops.full > 100, "{snapshot:?}");
        assert_eq!(sent + snapshot.drops.full, 1_000);
        // What was dropped has its number.
        let mut numbers = Vec::new();
        let mut buffer = [0; 2_000];
        let deadline = Instant::now() + LIMIT;
        while numbers.len() < sent as usize + 1 {
            match receiver.recv(&mut buffer) {
                Ok(size) => numbers.push(Packet::parse(&buffer[..size]).unwrap().header.sequence),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    assert!(Instant::now() < deadline, "{} of {sent}", numbers.len());
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        let steps = numbers.last().unwrap().wrapping_sub(numbers[0]);
        assert_eq!(u64::from(steps), last);
    });
}
