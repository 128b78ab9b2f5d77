//! Datagram sockets between two hosts: groups, interfaces, senders, and what the kernel does with them.

mod support;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use corelay::net::udp::{Inbox, Outgoing, UdpError, UdpInput, UdpOutput, UdpSource, UdpTarget};
use corelay_config::{Endpoint, MediaUrl, Side};
use socket2::{Domain, Protocol, Socket, Type};
use support::netns::{self, Host, Network};
use support::{LIMIT, Scratch, ts, wait_until};

fn open(url: &str) -> UdpInput {
    try_open(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn try_open(url: &str) -> Result<UdpInput, UdpError> {
    let url = MediaUrl::parse(url, Side::Input).unwrap();
    let Endpoint::Udp(place) = &url.endpoint else { panic!("{url}") };
    UdpInput::open(&UdpSource {
        receive_buffer_bytes: 4 << 20,
        ..UdpSource::new(place, &url.options)
    })
}

fn target(url: &str) -> UdpTarget {
    let url = MediaUrl::parse(url, Side::Output).unwrap();
    let Endpoint::Udp(place) = &url.endpoint else { panic!("{url}") };
    UdpTarget::new(place, &url.options)
}

/// Sends one datagram from the sending host to each URL: the URL itself.
fn send_to(host: &Host, urls: &[&str]) {
    host.run(|| {
        for url in urls {
            let mut output = UdpOutput::open(&target(url)).unwrap_or_else(|e| panic!("{url}: {e}"));
            let sent = output.send(&[Outgoing { header: &[], payload: url.as_bytes() }]);
            assert_eq!(sent.datagrams, 1, "{url}: {:?}", sent.stop);
        }
    });
}

/// What arrives: so many texts, and whatever comes right behind them.
fn heard(input: &mut UdpInput, count: usize) -> Vec<String> {
    let mut inbox = Inbox::new();
    let mut texts = Vec::new();
    let mut receive = || loop {
        match input.receive(&mut inbox) {
            Ok(batch) => texts.extend(
                batch.datagrams().map(|one| String::from_utf8_lossy(one.payload).into_owned()),
            ),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                return texts.len();
            }
        }
    };
    wait_until("datagrams arrive", LIMIT, || receive() >= count);
    thread::sleep(Duration::from_millis(100));
    receive();
    texts
}

#[test]
fn two_groups_on_one_port_do_not_mix() {
    netns::inside("two_groups_on_one_port_do_not_mix", |network: &Network| {
        let first = ["udp://tx0@239.71.0.1:5000", "udp://tx0@[ff1e::71:1]:5000"];
        let second = ["udp://tx0@239.71.0.2:5000", "udp://tx0@[ff1e::71:2]:5000"];
        for (first, second) in first.into_iter().zip(second) {
            let mut of_first = open(&first.replace("tx0", "rx0"));
            let mut again = open(&first.replace("tx0", "rx0"));
            let mut of_second = open(&second.replace("tx0", "rx0"));
            send_to(network.sender(), &[first, second, second]);
            assert_eq!(heard(&mut of_first, 1), [first]);
            assert_eq!(heard(&mut again, 1), [first], "inputs share a group and port");
            assert_eq!(heard(&mut of_second, 2), [second, second]);
        }
    });
}

#[test]
fn the_interface_is_chosen_by_name_or_address() {
    netns::inside("the_interface_is_chosen_by_name_or_address", |network: &Network| {
        for (group, addresses) in [
            ("239.71.0.3:5000", ["10.71.0.1", "10.72.0.1"]),
            ("[ff1e::71:3]:5000", ["[fd71::1]", "[fd72::1]"]),
            ("[ff12::71:3]:5000", ["[fd71::1]", "[fd72::1]"]),
        ] {
            let mut inputs: Vec<UdpInput> = ["rx0", "rx1", addresses[0], addresses[1]]
                .map(|interface| open(&format!("udp://{interface}@{group}")))
                .into();
            let sent = [format!("udp://tx0@{group}"), format!("udp://tx1@{group}")];
            // The second time after joining anew, which must not open the ears for good.
            for _ in 0..2 {
                send_to(network.sender(), &[&sent[0], &sent[1]]);
                for (index, input) in inputs.iter_mut().enumerate() {
                    assert_eq!(
                        heard(input, 1),
                        [sent[index % 2].as_str()],
                        "{group}, input {index}"
                    );
                    assert_eq!(input.link().unwrap().name, format!("rx{}", index % 2));
                }
                inputs.iter_mut().for_each(|input| input.rejoin().unwrap());
            }
        }
        // Unicast, on one interface only although the address is any.
        let mut input = open("udp://rx1@:5001");
        send_to(network.sender(), &["udp://10.71.0.1:5001", "udp://10.72.0.1:5001"]);
        assert_eq!(heard(&mut input, 1), ["udp://10.72.0.1:5001"]);
    });
}

#[test]
fn other_senders_than_the_chosen_ones_are_not_heard() {
    netns::inside("other_senders_than_the_chosen_ones_are_not_heard", |network: &Network| {
        for (group, senders) in [
            ("232.71.0.1:5000", ["10.71.0.2", "10.71.0.3"]),
            ("[ff3e::71:1]:5000", ["fd71::2", "fd71::3"]),
        ] {
            let mut first = open(&format!("udp://rx0@{group}#src={}", senders[0]));
            let mut second = open(&format!("udp://rx0@{group}#src={}", senders[1]));
            let mut both = open(&format!("udp://rx0@{group}#src={},{}", senders[0], senders[1]));
            let sent = senders.map(|sender| format!("udp://tx0@{group}#src={sender}"));
            send_to(network.sender(), &[&sent[0], &sent[1]]);
            assert_eq!(heard(&mut first, 1), [sent[0].as_str()]);
            assert_eq!(heard(&mut second, 1), [sent[1].as_str()]);
            assert_eq!(heard(&mut both, 2).len(), 2);
            // Joining anew keeps it so.
            first.rejoin().unwrap();
            send_to(network.sender(), &[&sent[0], &sent[1]]);
            assert_eq!(heard(&mut first, 1), [sent[0].as_str()]);
        }
    });
}

/// Sends numbered datagrams, about 20,000 a second, until it is told to stop, and no more than a socket
/// holds in front of what was received; stores their number.
fn send_numbers(url: &str, stop: &AtomicBool, sent: &AtomicU64, received: &AtomicU64) {
    let mut output = UdpOutput::open(&target(url)).unwrap();
    let mut number = 0_u64;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if number >= received.load(Ordering::Relaxed) + AHEAD_MAX {
            thread::yield_now();
            continue;
        }
        let payload = number.to_be_bytes();
        if output.send(&[Outgoing { header: &[], payload: &payload }]).datagrams == 1 {
            number += 1;
        }
        next += Duration::from_micros(50);
        while Instant::now() < next {
            std::hint::spin_loop();
        }
    }
    sent.store(number, Ordering::Release);
}

/// Each takes 768 bytes of a socket's 208 KiB, which is what unprivileged processes get.
const AHEAD_MAX: u64 = 100;

/// Ends the sender, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Membership reports that name the group, as the sending host's network hears them.
struct Reports(Socket);

impl Reports {
    /// Call it on the sending host.
    fn listen() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(2))).unwrap();
        let routers = Ipv4Addr::new(224, 0, 0, 22);
        socket.join_multicast_v4(&routers, &Ipv4Addr::new(10, 71, 0, 2)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// The record types of IGMPv3 reports for the group since the last call (RFC 3376 4.2.12). A change to
    /// a list of sources is left out: 3 is then a leave, which has none.
    fn records(&self, group: Ipv4Addr) -> Vec<u8> {
        let mut types = Vec::new();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 2_000];
        while let Ok(size) = self.0.recv(&mut buffer) {
            // SAFETY: the kernel has written so many bytes.
            let packet: Vec<u8> =
                buffer[..size].iter().map(|byte| unsafe { byte.assume_init() }).collect();
            let report = &packet[usize::from(packet[0] & 0x0F) * 4..];
            let has_sources = report[10..12] != [0, 0];
            let is_leave_or_join = report[8] != 3 || !has_sources;
            if report[0] == 0x22 && report[12..16] == group.octets() && is_leave_or_join {
                types.push(report[8]);
            }
        }
        types
    }
}

#[test]
fn a_group_is_joined_anew_without_losing_a_datagram() {
    netns::inside("a_group_is_joined_anew_without_losing_a_datagram", |network: &Network| {
        let group = Ipv4Addr::new(239, 71, 0, 4);
        let reports = network.sender().run(Reports::listen);
        for url in ["udp://tx0@239.71.0.4:5000", "udp://tx0@[ff1e::71:4]:5000"] {
            let mut input = open(&url.replace("tx0", "rx0"));
            let is_reported = |record| reports.records(group).contains(&record);
            wait_until("joined", LIMIT, || url.contains("[ff1e") || is_reported(4));
            let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
            let received = AtomicU64::new(0);
            let mut expected = 0;
            let mut inbox = Inbox::new();
            let mut receive = |input: &mut UdpInput| {
                while let Ok(batch) = input.receive(&mut inbox) {
                    for datagram in batch.datagrams() {
                        let number = u64::from_be_bytes(datagram.payload.try_into().unwrap());
                        assert_eq!(number, expected, "{url}");
                        expected += 1;
                    }
                }
                received.store(expected, Ordering::Relaxed);
                expected
            };
            thread::scope(|scope| {
                let _stopped_at_the_end = Stop(&stop);
                let sender = scope.spawn(|| {
                    network.sender().run(|| send_numbers(url, &stop, &sent, &received));
                });
                wait_until("datagrams arrive", LIMIT, || receive(&mut input) > 0);
                let deadline = Instant::now() + LIMIT;
                let mut rejoins = 0;
                while rejoins < 400 || receive(&mut input) < 10_000 {
                    assert!(Instant::now() < deadline, "{rejoins} rejoins");
                    input.rejoin().unwrap();
                    rejoins += 1;
                    receive(&mut input);
                    thread::sleep(Duration::from_micros(500));
                }
                stop.store(true, Ordering::Relaxed);
                sender.join().unwrap();
            });
            let sent = sent.load(Ordering::Acquire);
            wait_until("the last one arrives", LIMIT, || receive(&mut input) >= sent);
            assert_eq!(expected, sent, "{url}");
            assert_eq!(input.counters().kernel_drops, 0);
            if url.contains("239.71.0.4") {
                let records = reports.records(group);
                assert!(records.contains(&4), "reported anew: {records:?}");
                assert!(!records.contains(&3), "never left: {records:?}");
                drop(input);
                wait_until("left when it was dropped", LIMIT, || is_reported(3));
            }
        }
    });
}

#[test]
fn runs_stay_joined_between_hosts() {
    netns::inside("runs_stay_joined_between_hosts", |network: &Network| {
        let mut input = open("udp://rx0@239.71.0.5:5000");
        let payload: Vec<u8> = (0..700 * 188).map(|at| (at / 188) as u8).collect();
        let messages = network.sender().run(|| {
            let mut output = UdpOutput::open(&target("udp://tx0@239.71.0.5:5000")).unwrap();
            assert_eq!(output.send_packed(&payload, 7 * 188).datagrams, 100);
            output.counters().messages
        });
        assert!(messages < 5, "{messages} messages out");
        let mut inbox = Inbox::new();
        let mut got = Vec::new();
        wait_until("all of it arrives", LIMIT, || {
            while let Ok(batch) = input.receive(&mut inbox) {
                for datagram in batch.datagrams() {
                    assert_eq!(datagram.payload.len(), 7 * 188);
                    assert_eq!(datagram.sender.ip().to_string(), "10.71.0.2");
                    got.extend_from_slice(datagram.payload);
                }
            }
            got.len() >= payload.len()
        });
        assert!(got == payload);
        let counters = input.counters();
        assert_eq!(counters.datagrams, 100);
        assert!(counters.messages < 20, "joined: {counters:?}");
    });
}

#[test]
fn an_interface_that_goes_and_returns_is_said() {
    netns::inside("an_interface_that_goes_and_returns_is_said", |network: &Network| {
        let url = "udp://rx1@239.71.0.6:5000";
        let mut input = open(url);
        netns::ip("link del dev rx1");
        let error = input.rejoin().unwrap_err();
        assert!(matches!(error, UdpError::NoSuchInterface { .. }), "{error}");
        assert!(!input.link().unwrap().is_present());
        let error = try_open(url).unwrap_err();
        assert!(matches!(error, UdpError::NoSuchInterface { .. }), "{error}");
        network.lay_cable(1);
        let error = input.rejoin().unwrap_err();
        assert!(matches!(error, UdpError::InterfaceReplaced { .. }), "{error}");
        let mut input = open(url);
        send_to(network.sender(), &["udp://tx1@239.71.0.6:5000"]);
        assert_eq!(heard(&mut input, 1).len(), 1);
    });
}

#[test]
fn without_a_route_the_remedy_is_to_name_the_interface() {
    netns::inside("without_a_route_the_remedy_is_to_name_the_interface", |_: &Network| {
        let error = try_open("udp://239.71.0.7:5000").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no route to 239.71.0.7; name the interface"),
            "{error}"
        );
        let error = UdpOutput::open(&target("udp://239.71.0.7:5000")).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no route to 239.71.0.7; name the interface"),
            "{error}"
        );
        netns::ip("route add 224.0.0.0/4 dev rx1");
        let input = open("udp://239.71.0.7:5000");
        assert_eq!(input.link().unwrap().name, "rx1", "the routing table chose it");
        let to: SocketAddr = "10.72.0.2:9".parse().unwrap();
        let output = UdpOutput::open(&target(&format!("udp://rx1@{to}"))).unwrap();
        assert_eq!(output.local_address().ip().to_string(), "10.72.0.1");
    });
}

#[test]
fn what_ffmpeg_sends_to_a_group_arrives_whole() {
    netns::inside("what_ffmpeg_sends_to_a_group_arrives_whole", |network: &Network| {
        let scratch = Scratch::new("udp-ffmpeg");
        let mut input = open("udp://rx0@239.71.0.8:5000");
        let file = ts::path();
        let file = file.to_str().unwrap();
        // Read at once, and cut into datagrams without touching a packet.
        let args = [
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-f",
            "data",
            "-i",
            file,
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "data",
            "udp://239.71.0.8:5000?pkt_size=1316&localaddr=10.71.0.2&ttl=2&bitrate=20000000",
        ];
        let sender = network.sender().spawn(&scratch, "ffmpeg", &args);
        let mut inbox = Inbox::new();
        let mut got = Vec::new();
        let wanted = std::fs::read(file).unwrap();
        wait_until("the file has arrived", LIMIT, || {
            while let Ok(batch) = input.receive(&mut inbox) {
                batch.datagrams().for_each(|datagram| got.extend_from_slice(datagram.payload));
            }
            got.len() >= wanted.len() / 1_316 * 1_316
        });
        let finished = sender.wait(LIMIT);
        assert!(finished.succeeded(), "{}", finished.output());
        thread::sleep(Duration::from_millis(100));
        while let Ok(batch) = input.receive(&mut inbox) {
            batch.datagrams().for_each(|datagram| got.extend_from_slice(datagram.payload));
        }
        assert!(got == wanted, "{} of {} bytes, {:?}", got.len(), wanted.len(), input.counters());
    });
}
